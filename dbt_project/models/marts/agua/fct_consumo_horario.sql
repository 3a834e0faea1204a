{{ sigue_cambios(
    ['stg_telemetria__lecturas', 'int_agua__medidores'],
    [['meta', 'carga'], ['meta', 'contrato'], ['meta', 'contrato_campo']]
) }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_dia',
    on_schema_change='fail',
    meta={'columna': 'hora', 'es_historia': true},
    pre_hook=[memoria_de_trabajo('512MB'), '{{ sin_bucles_anidados() }}'],
    post_hook=[
        '{{ anotar_avance() }}',
        '{{ exigir_clave(["medidor_id", "hora"]) }}',
        '{{ indice_parcial(["medidor_id", "hora"], horas_con_novedad()) }}'
    ],
    indexes=[{'columns': ['medidor_id', 'hora'], 'unique': true}]
) }}

{#- Register differences by hour, validated: the rules stand in macro lecturas_validadas. -#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
{% if is_incremental() -%}
{{ dias_afectados(this, this) }},

{{ ventanas_de_lectura(this) }},

{{ lecturas_de_ventanas() }},

{{ lecturas_validadas('propias') }}
{%- else -%}
{{ lecturas_validadas(ref('int_agua__lecturas')) }}
{%- endif %}

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
    bool_or(abs(consumo_intervalo_l * multiplicador - diferencia_l) > 1) as difiere_intervalo,
    min(bateria_mv) as bateria_mv,
    max(_load_id) as carga_id
from consumos
group by medidor_id, hora
order by medidor_id, hora
