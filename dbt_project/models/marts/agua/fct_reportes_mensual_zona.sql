{#- Reports by zone, month in which they were known, and kind. What was discarded is only counted as such. -#}
with
reportes as (
    select
        zona_id,
        mes,
        tipo,
        estado,
        (estado is distinct from 'descartado') as vale,
        programado,
        cuentas_afectadas,
        horas_hasta_reparacion
    from {{ ref('fct_reporte_servicio') }}
    where not es_repetido and mes is not null
)

select
    reportes.zona_id,
    reportes.mes,
    reportes.tipo,
    min(zonas.nombre) as zona_nombre,
    count(*) filter (where reportes.vale)::integer as reportes,
    count(*) filter (where not reportes.vale)::integer as descartados,
    count(*) filter (where reportes.vale and reportes.programado)::integer as programados,
    count(*) filter (where reportes.estado = 'reparado')::integer as reparados,
    count(*) filter (where reportes.estado in ('abierto', 'en_reparacion'))::integer as abiertos,
    count(reportes.horas_hasta_reparacion)::integer as con_tiempo_de_reparacion,
    (percentile_cont(0.5) within group (order by reportes.horas_hasta_reparacion))::numeric(10, 1)
        as horas_reparacion_mediana,
    (percentile_cont(0.9) within group (order by reportes.horas_hasta_reparacion))::numeric(10, 1)
        as horas_reparacion_p90,
    (sum(reportes.cuentas_afectadas) filter (where reportes.vale))::bigint as cuentas_afectadas
from reportes
left join {{ ref('stg_aguas__zonas') }} as zonas on reportes.zona_id = zonas.zona_id
group by reportes.zona_id, reportes.mes, reportes.tipo
