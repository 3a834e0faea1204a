{{ config(
    pre_hook=memoria_de_trabajo('256MB'),
    indexes=[{'columns': ['medidor_id', 'dia'], 'unique': true}]
) }}

with
horas as (
    select
        medidor_id,
        {{ dia_mendoza('hora') }} as dia,
        consumo_litros,
        regla_id,
        estimado,
        ultima_lectura,
        lecturas_descartadas,
        lecturas_en_conflicto,
        bateria_mv,
        carga_id,
        case
            when (regla_id is distinct from 'R-AGUA-09') and not estimado and segundos > 0
                then consumo_litros * 3600.0::double precision / segundos
        end as caudal_lh
    from {{ ref('fct_consumo_horario') }}
)

select
    medidor_id,
    dia,
    sum(consumo_litros) as litros,
    coalesce(sum(consumo_litros) filter (where regla_id = 'R-AGUA-09'), 0) as litros_en_huecos,
    count(consumo_litros)::smallint as horas_con_lectura,
    count(*) filter (where consumo_litros > 0)::smallint as horas_sin_cero,
    count(*) filter (where estimado)::smallint as horas_estimadas,
    count(caudal_lh)::smallint as horas_medidas,
    min(caudal_lh)::numeric(12, 1) as caudal_minimo_lh,
    max(caudal_lh)::numeric(12, 1) as caudal_maximo_lh,
    sum(lecturas_descartadas)::integer as lecturas_descartadas,
    sum(lecturas_en_conflicto)::integer as lecturas_en_conflicto,
    min(bateria_mv)::integer as bateria_minima_mv,
    max(ultima_lectura) as ultima_lectura,
    max(carga_id) as carga_id
from horas
group by medidor_id, dia
order by medidor_id, dia
