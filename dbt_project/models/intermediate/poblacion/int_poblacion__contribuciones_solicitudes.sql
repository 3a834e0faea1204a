{{ config(materialized='table') }}

{#-
    Which requests make up each row of fct_solicitudes_vecinales, once for every dimension. How long they took is left
    out: a median is no sum of them, and a request that is closed changes its state.
-#}
select
    date_trunc('month', {{ dia_local('solicitudes.fecha_ingreso') }})::date as mes,
    solicitudes.solicitud_id || ' ' || dimensiones.dimension as unidad,
    dimensiones.dimension || '=' || coalesce(dimensiones.valor, 'Sin dato') as clase,
    array[1]::numeric[] as medidas
from {{ ref('stg_citymis__solicitudes') }} as solicitudes
cross join {{ dimensiones_de_solicitudes() }}
