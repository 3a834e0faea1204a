{{ leer_solo_incremental(
    ['stg_telemetria__lecturas'], [['meta', 'avance_modelo'], ['meta', 'archivo'], ['raw', '_historial']]
) }}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook='{{ podar_cambios() }}'
) }}

{#-
    Append-only list of what changed in the readings, in numbered batches (`lote`):
      tipo 'carga'    a load that has been looked at
      tipo 'medidor'  the values of a meter that its consumption depends on, as last seen
      tipo 'dia'      a meter-day whose readings changed: brought, removed or revised by a load, or of a
                      meter whose values changed
      tipo 'vigencia' account, zone and category of a meter by period, as last seen (`huella`), and the first
                      day on which they are others than before (`dia`; null the first time)
    Loads are remembered one by one and not by the highest number: numbers are given before commits, so a
    lower one may appear later. The first batch lists no days: there is nothing built to be corrected.
    It is never rebuilt, or a model that failed would lose what it still has to incorporate.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
nuevas as (
    select
        cargas.carga_id,
        cargas.modo,
        cargas.detalle -> 'rango' as rango
    from {{ source('meta', 'carga') }} as cargas
    inner join {{ source('meta', 'contrato') }} as contratos on cargas.dataset = contratos.dataset
    where
        contratos.tabla_raw = 'raw.telemetria__lecturas'
        and cargas.estado = 'cargada'
        {%- if is_incremental() %}
        and not exists (
            select 1
            from {{ this }} as vistas
            where vistas.tipo = 'carga' and vistas.carga_id = cargas.carga_id
        )
        {%- endif %}
),

huellas as (
    select
        medidor_id,
        concat_ws('|', modulo_litros, multiplicador, maximo_lh, fecha_instalacion) as huella
    from {{ ref('int_agua__medidores') }}
),

{% if is_incremental() -%}
vistos as (
    select distinct on (medidor_id)
        medidor_id,
        huella
    from {{ this }}
    where tipo = 'medidor'
    order by medidor_id asc, lote desc
),
{%- endif %}

medidores_nuevos as (
    select
        {%- if is_incremental() %}
        coalesce(huellas.medidor_id, vistos.medidor_id) as medidor_id,
        coalesce(huellas.huella, '') as huella
        {%- else %}
        huellas.medidor_id,
        huellas.huella
        {%- endif %}
    from huellas
    {%- if is_incremental() %}
    full outer join vistos on huellas.medidor_id = vistos.medidor_id
    where coalesce(vistos.huella, '') <> coalesce(huellas.huella, '')
    {%- endif %}
),

{% if is_incremental() -%}
-- Where the rows of the new loads lie; a load that says nothing of it has raw looked through.
rango as (
    select
        min(coalesce(archivos.desde, nuevas.rango ->> 'desde', '-infinity')::timestamptz) as desde,
        max(coalesce(archivos.hasta, nuevas.rango ->> 'hasta', 'infinity')::timestamptz) as hasta
    from nuevas
    left join {{ source('meta', 'archivo') }} as archivos
        on nuevas.carga_id = archivos.carga_id and archivos.rango_columna = 'fecha_hora'
    where nuevas.modo not in ('mes_separado', 'mes_unido', 'recalculo')
),

llegadas as (
    select
        lecturas._load_id as carga_id,
        lecturas.medidor_id,
        {{ dia_local('lecturas.fecha_hora') }} as dia
    from {{ ref('stg_telemetria__lecturas') }} as lecturas
    where
        lecturas._load_id in (select nuevas.carga_id from nuevas)
        and lecturas.fecha_hora >= (select rango.desde from rango)
        and lecturas.fecha_hora <= (select rango.hasta from rango)
),

-- A month of raw that was apart and is back, or days to be worked through again: their rows keep the number of the
-- load that brought them. Days to be worked through again are listed for every meter that is known: one may have had
-- readings there that somebody took out of raw.
de_meses as (
    select
        nuevas.carga_id,
        lecturas.medidor_id,
        {{ dia_local('lecturas.fecha_hora') }} as dia
    from nuevas
    inner join {{ ref('stg_telemetria__lecturas') }} as lecturas
        on
            lecturas.fecha_hora >= (nuevas.rango ->> 'desde')::timestamptz
            and lecturas.fecha_hora < (nuevas.rango ->> 'hasta')::timestamptz
    where nuevas.modo in ('mes_unido', 'recalculo')
    union all
    select
        nuevas.carga_id,
        medidores.medidor_id,
        dias.dia::date
    from nuevas
    cross join {{ ref('int_agua__medidores') }} as medidores
    cross join lateral generate_series(
        {{ dia_local("(nuevas.rango ->> 'desde')::timestamptz") }}::timestamp,
        {{ dia_local("(nuevas.rango ->> 'hasta')::timestamptz") }} - interval '1 day',
        interval '1 day'
    ) as dias (dia)
    where nuevas.modo = 'recalculo'
),

-- Rows that the new loads took out of raw or replaced, as they were.
retiradas as (
    select
        historial.carga_id,
        btrim(historial.fila ->> 'medidor_id') as medidor_id,
        {{ dia_local("(historial.fila ->> 'fecha_hora')::timestamptz") }} as dia
    from {{ source('raw', '_historial') }} as historial
    inner join nuevas on historial.carga_id = nuevas.carga_id
),

de_medidores as (
    select
        null::bigint as carga_id,
        lecturas.medidor_id,
        {{ dia_local('lecturas.fecha_hora') }} as dia
    from {{ ref('stg_telemetria__lecturas') }} as lecturas
    where
        lecturas.medidor_id in (select medidores_nuevos.medidor_id from medidores_nuevos)
        and exists (select 1 from medidores_nuevos)
),

dias as (
    select
        max(carga_id) as carga_id,
        medidor_id,
        dia
    from (
        select
            carga_id,
            medidor_id,
            dia
        from llegadas
        union all
        select
            carga_id,
            medidor_id,
            dia
        from de_meses
        union all
        select
            carga_id,
            medidor_id,
            dia
        from retiradas
        union all
        select
            carga_id,
            medidor_id,
            dia
        from de_medidores
    ) as todas
    where medidor_id is not null and dia is not null
    group by medidor_id, dia
),
{%- endif %}

atribuciones as (
    select
        medidor_id,
        string_agg(
            concat_ws(
                '|', desde, coalesce(cuenta_id, -1), coalesce(zona_id, -1), coalesce(categoria, ''),
                coalesce(cuenta_activa::text, ''), coalesce(estado, ''), coalesce(fecha_retiro::text, ''),
                case when hasta < date '9999-12-31' then hasta end
            ),
            ';' order by desde
        ) as huella
    from {{ ref('int_agua__vigencias') }}
    group by medidor_id
),

{% if is_incremental() -%}
atribuciones_vistas as (
    select distinct on (medidor_id)
        medidor_id,
        huella
    from {{ this }}
    where tipo = 'vigencia'
    order by medidor_id asc, lote desc
),
{%- endif %}

atribuciones_nuevas as (
    select
        {%- if is_incremental() %}
        coalesce(atribuciones.medidor_id, vistas.medidor_id) as medidor_id,
        coalesce(atribuciones.huella, '') as huella,
        {{ primer_dia_distinto("coalesce(vistas.huella, '')", "coalesce(atribuciones.huella, '')") }} as dia
        {%- else %}
        atribuciones.medidor_id,
        atribuciones.huella,
        null::date as dia
        {%- endif %}
    from atribuciones
    {%- if is_incremental() %}
    full outer join atribuciones_vistas as vistas on atribuciones.medidor_id = vistas.medidor_id
    where coalesce(vistas.huella, '') <> coalesce(atribuciones.huella, '')
    {%- endif %}
),

reunidos as (
    select
        'carga'::text as tipo,
        carga_id,
        null::text as medidor_id,
        null::date as dia,
        null::text as huella
    from nuevas
    union all
    select
        'medidor',
        null,
        medidor_id,
        null,
        huella
    from medidores_nuevos
    union all
    select
        'vigencia',
        null,
        medidor_id,
        dia,
        huella
    from atribuciones_nuevas
    {%- if is_incremental() %}
    union all
    select
        'dia',
        carga_id,
        medidor_id,
        dia,
        null
    from dias
    {%- endif %}
)

select
    {% if is_incremental() -%} coalesce((select max(previos.lote) from {{ this }} as previos), 0) + 1 {%- else -%} 1::bigint {%- endif %} as lote,
    tipo,
    carga_id,
    medidor_id,
    dia,
    huella
from reunidos
