{{ config(meta={
    'dagster': {'ref': {'name': 'fct_consumo_diario'}},
    'claves': ['nivel'],
    'sin_filas': 'compara sumas de los meses de la última tanda'
}) }}
{#-
    Readings in = readings kept + readings set aside; litres are the same at every level. Looked at where the
    last batch of changes was, in whole months; everywhere when everything was built. Months that were taken
    out of raw stay in the marts and are not compared.
-#}
with
ultimo as (
    select max(lote) as lote
    from {{ ref('int_agua__cambios_lecturas') }}
),

tramos as (
    select
        min(date_trunc('month', cambios.dia::timestamp))::date as desde,
        (max(date_trunc('month', cambios.dia::timestamp)) + interval '1 month')::date as hasta
    from {{ ref('int_agua__cambios_lecturas') }} as cambios
    inner join ultimo on cambios.lote = ultimo.lote
    where cambios.tipo = 'dia'
),

-- The first batch lists no days: it brought everything there is.
meses as (
    select
        case when {{ 'true' if flags.FULL_REFRESH else 'ultimo.lote <= 1' }} then date '0001-01-01' else tramos.desde end as desde,
        case when {{ 'true' if flags.FULL_REFRESH else 'ultimo.lote <= 1' }} then date '9999-01-01' else tramos.hasta end as hasta
    from ultimo
    cross join tramos
),

tramo as (
    select
        desde,
        hasta,
        {{ inicio_dia('desde') }} as desde_hora,
        {{ inicio_dia('hasta') }} as hasta_hora
    from meses
),

separados as (
    select
        desde,
        hasta
    from {{ source('meta', 'particion_separada') }}
    where tabla = 'telemetria__lecturas' and unida_en is null
),

cargas_sin_registro as (
    {{ cargas_sin_registro() }}
),

crudas as (
    select count(*) as lecturas
    from {{ ref('stg_telemetria__lecturas') }} as lecturas
    where
        lecturas.medidor_id is not null
        and lecturas.fecha_hora is not null
        and {{ con_volumen('lecturas') }}
        and lecturas.fecha_hora >= (select tramo.desde_hora from tramo)
        and lecturas.fecha_hora < (select tramo.hasta_hora from tramo)
),

-- Hours of months that raw still has: only their readings can be counted on both sides.
horas as (
    select
        coalesce(sum(consumo.lecturas + consumo.lecturas_descartadas) filter (where separados.desde is null), 0) as lecturas,
        coalesce(sum(consumo.consumo_litros) filter (where consumo.regla_id is distinct from 'R-AGUA-09'), 0) as litros
    from {{ ref('fct_consumo_horario') }} as consumo
    left join separados on consumo.hora >= separados.desde and consumo.hora < separados.hasta
    where
        consumo.hora >= (select tramo.desde_hora from tramo)
        and consumo.hora < (select tramo.hasta_hora from tramo)
),

estimadas as (
    select coalesce(sum(consumo_litros), 0) as litros
    from {{ ref('fct_consumo_estimado') }}
    where
        hora >= (select tramo.desde_hora from tramo)
        and hora < (select tramo.hasta_hora from tramo)
),

apartadas as (
    select coalesce(sum(lecturas_descartadas), 0) as lecturas
    from {{ ref('fct_decision_lectura') }}
    where
        regla_id in ('R-AGUA-12', 'R-AGUA-25')
        and fecha_hora >= (select tramo.desde_hora from tramo)
        and fecha_hora < (select tramo.hasta_hora from tramo)
),

niveles as (
    select
        'dia' as nivel,
        coalesce(sum(litros), 0) as litros
    from {{ ref('fct_consumo_diario') }}
    where dia >= (select tramo.desde from tramo) and dia < (select tramo.hasta from tramo)
    union all
    select
        'mes y cuenta',
        coalesce(sum(litros), 0)
    from {{ ref('fct_consumo_mensual_cuenta') }}
    where mes >= (select tramo.desde from tramo) and mes < (select tramo.hasta from tramo)
    union all
    select
        'mes y zona',
        coalesce(sum(litros), 0)
    from {{ ref('fct_consumo_mensual_zona') }}
    where mes >= (select tramo.desde from tramo) and mes < (select tramo.hasta from tramo)
)

select
    'lecturas' as nivel,
    crudas.lecturas as esperado,
    horas.lecturas + apartadas.lecturas as obtenido
from crudas
cross join horas
cross join apartadas
where crudas.lecturas <> horas.lecturas + apartadas.lecturas
union all
select
    niveles.nivel,
    horas.litros + estimadas.litros as esperado,
    niveles.litros as obtenido
from niveles
cross join horas
cross join estimadas
where niveles.litros <> horas.litros + estimadas.litros
