{{ sigue_cambios() }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_racha',
    on_schema_change='fail',
    pre_hook=memoria_de_trabajo('256MB'),
    post_hook=['{{ anotar_avance() }}', '{{ exigir_clave(["regla_id", "medidor_id", "primera_hora"]) }}', 'analyze {{ this }}'],
    indexes=[{'columns': ['regla_id', 'medidor_id', 'primera_hora'], 'unique': true}]
) }}

{#-
    Runs of sustained flow that last long enough for a rule (R-AGUA-14 continuous flow, R-AGUA-15 burst). How
    they are found, and found again after a change, stands in macros/agua_rachas.sql. A meter whose account,
    zone or category changed may have other thresholds: all its hours are looked at again.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
{%- set reglas = {'R-AGUA-14': 'flujo', 'R-AGUA-15': 'rotura'} %}
{%- set historia = ref('fct_consumo_horario') %}
with {{ 'recursive' if is_incremental() }}
umbrales as (
    {%- for regla in reglas %}
    select
        '{{ regla }}'::text as regla_id,
        medidores.medidor_id,
        {{ umbral_agua(regla, 'umbral_lh', 'medidores.categoria') }}::double precision as umbral_lh,
        {{ umbral_agua(regla, 'horas', 'medidores.categoria') }}::integer as horas_minimas
    from {{ ref('int_agua__medidores') }} as medidores
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

{% if is_incremental() -%}
{{ dias_afectados(this, historia) }},

{{ ventanas_de_lectura(historia) }},

medidores_cambiados as (
    select distinct cambios.medidor_id
    from {{ ref('int_agua__cambios_lecturas') }} as cambios
    where cambios.tipo = 'vigencia' and {{ lote_pendiente(this) }}
),

semillas as (
    select
        islas.medidor_id,
        islas.desde,
        islas.hasta
    from islas
    where islas.medidor_id not in (select cambiados.medidor_id from medidores_cambiados as cambiados)
    union all
    select
        medidor_id,
        '-infinity'::timestamptz,
        'infinity'::timestamptz
    from medidores_cambiados
),

{% for regla, sufijo in reglas.items() -%}
{{ limites_de_racha('comienzos_' ~ sufijo, regla, historia, 'atras') }},

{{ limites_de_racha('finales_' ~ sufijo, regla, historia, 'adelante') }},

rangos_{{ sufijo }} as (
    select
        unidos.medidor_id,
        lower(unidos.rango) as desde,
        upper(unidos.rango) as hasta
    from (
        select
            comienzos.medidor_id,
            unnest(range_agg(tstzrange(comienzos.limite, finales.limite))) as rango
        from (
            select
                medidor_id,
                semilla,
                min(limite) as limite
            from comienzos_{{ sufijo }}
            group by medidor_id, semilla
        ) as comienzos
        inner join (
            select
                medidor_id,
                semilla,
                max(limite) as limite
            from finales_{{ sufijo }}
            group by medidor_id, semilla
        ) as finales on comienzos.medidor_id = finales.medidor_id and comienzos.semilla = finales.semilla
        group by comienzos.medidor_id
    ) as unidos
),

{% endfor -%}
{%- endif -%}

{% for regla, sufijo in reglas.items() -%}
{{ episodios_de_caudal(regla, sufijo, historia, 'rangos_' ~ sufijo if is_incremental() else '') }}{{ ',' if not loop.last }}

{% endfor -%}

{% for regla, sufijo in reglas.items() -%}
select
    '{{ regla }}'::text as regla_id,
    medidor_id,
    inicio,
    fin,
    horas,
    horas_estimadas,
    caudal_minimo_lh,
    consumo_litros,
    umbral_lh,
    primera_hora,
    ultima_hora
from episodios_{{ sufijo }}
{%- if is_incremental() %}
union all
select
    '{{ regla }}',
    medidor_id,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    desde,
    hasta
from rangos_{{ sufijo }}
{%- endif %}
{{ 'union all' if not loop.last }}
{% endfor -%}
