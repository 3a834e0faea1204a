{#-
    Leaks, cuts and low pressure as the crews attended to them, one row each. A copy of another report (R-DUPLICADO-01)
    stays, marked: counts leave it out. Hours are unknown when the repair is missing or earlier than the report.
-#}
with
reportes as (
    select
        *,
        row_number() over (partition by {{ columnas_de_reporte() | join(', ') }} order by reporte_id) as copia
    from {{ ref('stg_aguas__reportes_servicio') }}
)

select
    reportes.reporte_id,
    reportes.tipo,
    reportes.origen,
    zonas.zona_id,
    reportes.lugar,
    reportes.elemento_id,
    reportes.solicitud_id,
    reportes.programado,
    reportes.cuentas_afectadas,
    reportes.fecha_reporte,
    date_trunc('month', {{ dia_local('reportes.fecha_reporte') }}::timestamp)::date as mes,
    reportes.fecha_reparacion,
    case
        when reportes.estado = 'reparado' and reportes.fecha_reparacion >= reportes.fecha_reporte
            then extract(epoch from reportes.fecha_reparacion - reportes.fecha_reporte) / 3600
    end::numeric(10, 1) as horas_hasta_reparacion,
    reportes.estado,
    reportes.fecha_reporte is not null and reportes.copia > 1 as es_repetido
from reportes
left join {{ ref('stg_aguas__zonas') }} as zonas on reportes.zona_id = zonas.zona_id
