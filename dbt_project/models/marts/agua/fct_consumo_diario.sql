{{ sigue_cambios() }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_dia',
    on_schema_change='fail',
    meta={'columna': 'dia'},
    pre_hook=memoria_de_trabajo('256MB'),
    post_hook=['{{ anotar_avance() }}', '{{ exigir_clave(["medidor_id", "dia"]) }}'],
    indexes=[{'columns': ['medidor_id', 'dia'], 'unique': true}]
) }}

{#-
    A day adds the hours that were read and its part of the gaps (fct_consumo_estimado), which is shown
    apart in litros_en_huecos. Night flow: what measured stretches let pass between 02:00 and 04:00 (R-NOCTURNO-01),
    each taken as even over its length; segundos_nocturnos says how much of the window was measured. A day without a single reading inside a gap has only estimated litres.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
{% if is_incremental() -%}
{{ dias_afectados(this, ref('fct_consumo_horario')) }},
{%- endif %}

-- What is dear to ask of an hour, once each: merged into what follows it would be asked for every column that uses it.
horas as (
    select
        consumo.medidor_id,
        {{ dia_local('consumo.hora') }} as dia,
        {{ segundo_del_dia('consumo.ultima_lectura') }} as cierre_s,
        consumo.consumo_litros,
        consumo.segundos,
        consumo.regla_id,
        consumo.estimado,
        consumo.lecturas,
        consumo.ultima_lectura,
        consumo.lecturas_descartadas,
        consumo.lecturas_en_conflicto,
        consumo.bateria_mv,
        consumo.carga_id,
        (consumo.regla_id is distinct from 'R-AGUA-09') as es_de_su_hora
    from {{ ref('fct_consumo_horario') }} as consumo
    {%- if is_incremental() %}
    {{ solo_horas_de('dias_afectados', 'consumo') }}
    {%- endif %}
    offset 0 -- noqa: AM09
),

leidas as (
    select
        medidor_id,
        dia,
        case when es_de_su_hora then consumo_litros end as litros_medidos,
        consumo_litros,
        estimado,
        ultima_lectura,
        lecturas_descartadas,
        lecturas_en_conflicto,
        bateria_mv,
        carga_id,
        case
            when es_de_su_hora and not estimado and segundos > 0
                then consumo_litros * 3600.0::double precision / segundos
        end as caudal_lh,
        case
            when es_de_su_hora and not estimado and consumo_litros is not null
                then {{ segundos_de_noche('dia', 'cierre_s', 'ultima_lectura', 'segundos') }}
        end as segundos_noche,
        case when regla_id is null and lecturas = 1 then segundos - 3600 end as desvio_s,
        {{ fuera_de_paso('segundos') }} as fuera_de_paso
    from horas
),

por_dia as (
    select
        medidor_id,
        dia,
        sum(litros_medidos) as litros_medidos,
        sum(litros_medidos) filter (where estimado) as litros_estimados,
        count(consumo_litros)::smallint as horas_con_lectura,
        count(*) filter (where consumo_litros > 0)::smallint as horas_sin_cero,
        count(*) filter (where estimado)::smallint as horas_estimadas,
        count(caudal_lh)::smallint as horas_medidas,
        min(caudal_lh)::numeric(12, 1) as caudal_minimo_lh,
        max(caudal_lh)::numeric(12, 1) as caudal_maximo_lh,
        (sum(caudal_lh * segundos_noche) / nullif(sum(segundos_noche), 0))::numeric(12, 1) as caudal_nocturno_lh,
        coalesce(sum(segundos_noche), 0)::integer as segundos_nocturnos,
        sum(desvio_s)::integer as desvio_reloj_s,
        (count(*) filter (where fuera_de_paso))::smallint as horas_fuera_de_paso,
        sum(lecturas_descartadas)::integer as lecturas_descartadas,
        sum(lecturas_en_conflicto)::integer as lecturas_en_conflicto,
        min(bateria_mv)::integer as bateria_minima_mv,
        max(ultima_lectura) as ultima_lectura,
        max(carga_id) as carga_id
    from leidas
    group by medidor_id, dia
),

repartidas as (
    select
        estimado.medidor_id,
        {{ dia_local('estimado.hora') }} as dia,
        sum(estimado.consumo_litros) as litros_en_huecos,
        count(*)::smallint as horas_en_huecos,
        max(estimado.carga_id) as carga_id
    from {{ ref('fct_consumo_estimado') }} as estimado
    {%- if is_incremental() %}
    {{ solo_horas_de('dias_afectados', 'estimado') }}
    {%- endif %}
    group by estimado.medidor_id, {{ dia_local('estimado.hora') }}
)

select
    coalesce(por_dia.medidor_id, repartidas.medidor_id) as medidor_id,
    coalesce(por_dia.dia, repartidas.dia) as dia,
    case
        when por_dia.litros_medidos is not null or repartidas.litros_en_huecos is not null
            then coalesce(por_dia.litros_medidos, 0) + coalesce(repartidas.litros_en_huecos, 0)
    end as litros,
    coalesce(repartidas.litros_en_huecos, 0) as litros_en_huecos,
    coalesce(repartidas.horas_en_huecos, 0)::smallint as horas_en_huecos,
    coalesce(por_dia.litros_estimados, 0)::bigint as litros_estimados,
    coalesce(por_dia.horas_con_lectura, 0)::smallint as horas_con_lectura,
    coalesce(por_dia.horas_sin_cero, 0)::smallint as horas_sin_cero,
    coalesce(por_dia.horas_estimadas, 0)::smallint as horas_estimadas,
    coalesce(por_dia.horas_medidas, 0)::smallint as horas_medidas,
    por_dia.caudal_minimo_lh,
    por_dia.caudal_maximo_lh,
    por_dia.caudal_nocturno_lh,
    coalesce(por_dia.segundos_nocturnos, 0)::integer as segundos_nocturnos,
    por_dia.desvio_reloj_s,
    coalesce(por_dia.horas_fuera_de_paso, 0)::smallint as horas_fuera_de_paso,
    coalesce(por_dia.lecturas_descartadas, 0)::integer as lecturas_descartadas,
    coalesce(por_dia.lecturas_en_conflicto, 0)::integer as lecturas_en_conflicto,
    por_dia.bateria_minima_mv,
    por_dia.ultima_lectura,
    greatest(por_dia.carga_id, repartidas.carga_id) as carga_id
from por_dia
full outer join repartidas on por_dia.medidor_id = repartidas.medidor_id and por_dia.dia = repartidas.dia
order by medidor_id, dia
