{{ config(
    pre_hook=memoria_de_trabajo('512MB'),
    indexes=[{'columns': ['medidor_id', 'hora'], 'unique': true}]
) }}

{#-
    Register differences, validated. The volume between two readings belongs to the hour of the second.
    Rules, in the order in which they are tried (thresholds in reglas_agua):
      R-AGUA-01 first reading                      → unknown
      R-AGUA-08 the previous reading was isolated  → difference with the one before it
      R-AGUA-04, 06, 07 this reading is isolated   → unknown (its successor recovers the volume)
      R-AGUA-05 register rollover, when plausible  → difference + 10^dials m3
      R-AGUA-04 negative difference                → unknown
      R-AGUA-06 more than the connection can pass  → unknown
      R-AGUA-09 longer than the admitted interval  → volume kept, its hour is not known
    Nearly every reading is in order with its neighbours and moderate: that case is asked first.
    A reading is isolated when it does not fit between its neighbours and they do fit each other.
    Readings are whole litres and sums are of int4: PostgreSQL adds those four times faster than numeric.
-#}
with
diferencias as (
    select
        medidor_id,
        hora,
        fecha_hora,
        consumo_intervalo_l,
        bateria_mv,
        _load_id,
        modulo_litros,
        multiplicador,
        maximo_lh,
        descartadas,
        en_conflicto,
        estimada or coalesce(estimada_1, false) as estimado,
        lectura_1 is null as es_primera,
        lectura_2 <= lectura_1 and lectura_1 <= lectura_l and lectura_l <= lectura_siguiente as es_monotona,
        lectura_l >= lectura_2 and (lectura_1 < lectura_2 or lectura_1 > lectura_l) as anterior_aislada,
        lectura_siguiente >= lectura_1
        and (lectura_l < lectura_1 or lectura_l > lectura_siguiente) as aislada,
        (lectura_l - lectura_1) * multiplicador as diferencia_l,
        (lectura_l - lectura_2) * multiplicador as diferencia_2_l,
        date_part('epoch', fecha_hora - fecha_hora_1)::integer as segundos_1,
        date_part('epoch', fecha_hora - fecha_hora_2)::integer as segundos_2
    from {{ ref('int_agua__lecturas') }}
),

-- What the connection can pass between two readings; less than an hour counts as one, since meters
-- send in bursts. The second bound keeps every volume an int4.
maximos as (
    select
        *,
        least(maximo_lh * greatest(segundos_1, 3600) / 3600, 1e9::double precision) as maximo_l,
        least(maximo_lh * greatest(segundos_2, 3600) / 3600, 1e9::double precision) as maximo_2_l
    from diferencias
),

validadas as (
    select
        *,
        case
            when
                es_monotona
                and segundos_1 <= (3600 * {{ umbral_agua('R-AGUA-09', 'intervalo_maximo_h') }})::integer
                and diferencia_l <= maximo_l
                then null
            when es_primera then 'R-AGUA-01'
            when anterior_aislada
                then
                    case
                        when diferencia_2_l <= maximo_2_l then 'R-AGUA-08'
                        else 'R-AGUA-06'
                    end
            when aislada
                then
                    case
                        when diferencia_l < 0 then 'R-AGUA-04'
                        when diferencia_l > maximo_l then 'R-AGUA-06'
                        else 'R-AGUA-07'
                    end
            when diferencia_l < 0
                then
                    case
                        when
                            (diferencia_l + modulo_litros * multiplicador) between 0 and maximo_l
                            then 'R-AGUA-05'
                        else 'R-AGUA-04'
                    end
            when diferencia_l > maximo_l then 'R-AGUA-06'
            when segundos_1 > (3600 * {{ umbral_agua(
                'R-AGUA-09',
                'intervalo_maximo_h'
            ) }})::integer then 'R-AGUA-09'
        end as regla_id
    from maximos
),

-- The simple form of CASE: its argument is a long expression and is evaluated once per row.
consumos as (
    select
        *,
        case coalesce(regla_id, 'R-AGUA-09')
            when 'R-AGUA-09' then diferencia_l::integer
            when 'R-AGUA-05'
                then (diferencia_l + modulo_litros * multiplicador)::integer
            when 'R-AGUA-08' then diferencia_2_l::integer
        end as consumo_l,
        case coalesce(regla_id, 'R-AGUA-09')
            when 'R-AGUA-09' then segundos_1
            when 'R-AGUA-05' then segundos_1
            when 'R-AGUA-08' then segundos_2
        end as segundos
    from validadas
)

select
    medidor_id,
    hora,
    sum(consumo_l)::integer as consumo_litros,
    sum(
        case
            when diferencia_l between -1e9::double precision and 1e9::double precision then diferencia_l::integer
            when diferencia_l is not null then 1000000000 * sign(diferencia_l)::integer
        end
    ) as diferencia_original_litros,
    min(regla_id) as regla_id,
    bool_or(estimado) as estimado,
    sum(segundos)::integer as segundos,
    max(fecha_hora) as ultima_lectura,
    count(*)::smallint as lecturas,
    sum(descartadas)::integer as lecturas_descartadas,
    count(*) filter (where en_conflicto)::smallint as lecturas_en_conflicto,
    bool_or(abs(consumo_intervalo_l - diferencia_l) > 1) as difiere_intervalo,
    min(bateria_mv) as bateria_mv,
    max(_load_id) as carga_id
from consumos
group by medidor_id, hora
order by medidor_id, hora
