{#-
    One row per KPI of the committee with its last known value. A measured value stands before a
    reported one. Nobody reported and nothing can be measured: null and 'sin dato'. A value that cannot be one (R-KPI-01) is
    not reported: the one before it stands.
-#}
with
manuales as (
    select distinct on (informados.codigo)
        informados.codigo,
        informados.periodo,
        informados.valor,
        informados.fuente
    from {{ ref('fct_kpi_manual') }} as informados
    inner join {{ ref('kpis_comite') }} as kpis on informados.codigo = kpis.codigo
    where
        informados.valor is not null
        and informados.periodo <= {{ fecha_referencia() }}
        and {{ kpi_posible('informados.valor', 'kpis.unidad') }}
    order by informados.codigo asc, informados.periodo desc, informados.fecha_carga desc
),

reuniones as (
    select
        100.0 * count(*) filter (where fecha_realizada <= {{ fecha_referencia() }}) / nullif(count(*), 0) as valor,
        max(fecha_prevista) as periodo
    from {{ ref('stg_planillas__reuniones_comite') }}
    where fecha_prevista <= {{ fecha_referencia() }}
),

-- Of all data sets, those known to be good. What is not known is not good; when nothing is known there is no value.
calidad as (
    select case when count(cumple_estandar) > 0 then 100.0 * count(*) filter (where cumple_estandar) / count(*) end as valor
    from {{ ref('kpi_calidad_dataset') }}
),

criticos as (
    select case when count(vencido) > 0 then 100.0 * count(*) filter (where not vencido) / count(*) end as valor
    from {{ ref('dim_dataset') }}
    where prioridad = 'critica'
),

publicados as (
    select
        case when count(*) > 0 then count(*) filter (where situacion = 'publicado') end as valor,
        max({{ dia_local('visto_en') }}) as periodo
    from {{ ref('fct_publicacion_portal') }}
),

pedidos as (
    select avg(extract(epoch from fecha_resolucion - fecha_inicio) / 86400) as valor
    from {{ ref('stg_citymis__tramites') }}
    where
        es_pedido_de_datos
        and fecha_resolucion >= fecha_inicio
        and {{ dia_local('fecha_resolucion') }} <= {{ fecha_referencia() }}
),

medidos as (
    select
        'R27' as codigo,
        valor,
        periodo,
        'Planilla de reuniones del comité' as fuente
    from reuniones
    union all
    select
        'R28',
        valor,
        {{ fecha_referencia() }},
        'Medido: calidad.kpi_calidad_dataset'
    from calidad
    union all
    select
        'R30',
        valor,
        {{ fecha_referencia() }},
        'Medido: inventario.dim_dataset'
    from criticos
    union all
    select
        'R31',
        valor,
        periodo,
        'Medido: lo que el portal muestra'
    from publicados
    union all
    select
        'R39',
        valor,
        {{ fecha_referencia() }},
        'Medido: trámites de pedido de datos'
    from pedidos
)

select
    kpis.codigo,
    kpis.orden,
    kpis.nombre,
    kpis.area,
    kpis.definicion,
    case kpis.unidad when 'moneda' then '{{ var("moneda") }}' else kpis.unidad end as unidad,
    kpis.periodicidad,
    kpis.tipo,
    round(coalesce(medidos.valor, manuales.valor), 2)::numeric(20, 2) as valor,
    case when medidos.valor is not null then medidos.periodo else manuales.periodo end as periodo,
    case when medidos.valor is not null then medidos.fuente else manuales.fuente end as fuente,
    case
        when medidos.valor is not null then 'medido'
        when manuales.valor is not null then 'informado'
        else 'sin dato'
    end as estado
from {{ ref('kpis_comite') }} as kpis
left join medidos on kpis.codigo = medidos.codigo
left join manuales on kpis.codigo = manuales.codigo
