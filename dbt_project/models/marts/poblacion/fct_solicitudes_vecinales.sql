{#-
    One-way tables of every month's requests, each closed by the month's total, with small cells
    hidden. Dimensions are not crossed. The text of a request, its place and its day stay inside.
-#}
with
solicitudes as (
    select
        date_trunc('month', {{ dia_local('fecha_ingreso') }})::date as mes,
        categoria,
        area,
        distrito,
        canal,
        estado,
        case
            when fecha_cierre >= fecha_ingreso then extract(epoch from fecha_cierre - fecha_ingreso) / 86400
        end as dias_resolucion
    from {{ ref('stg_citymis__solicitudes') }}
),

celdas as (
    select
        solicitudes.mes,
        dimensiones.dimension,
        coalesce(dimensiones.valor, 'Sin dato') as valor,
        count(*) as personas,
        count(solicitudes.dias_resolucion) as resueltas,
        percentile_cont(0.5) within group (order by solicitudes.dias_resolucion) as dias_resolucion_mediana
    from solicitudes
    cross join {{ dimensiones_de_solicitudes() }}
    group by solicitudes.mes, dimensiones.dimension, coalesce(dimensiones.valor, 'Sin dato')
),

{{ suprimir('celdas', ['mes']) }}

select
    mes,
    dimension,
    valor,
    (case when supresion is null then personas end)::bigint as solicitudes,
    (case when supresion is null and resueltas >= umbral then round(dias_resolucion_mediana::numeric, 1) end)::numeric(8, 1)
        as dias_resolucion_mediana,
    supresion is not null as suprimido,
    case
        when supresion is not null then 'Menos casos que los necesarios para mostrar el dato sin identificar a nadie.'
    end as motivo
from protegidas
