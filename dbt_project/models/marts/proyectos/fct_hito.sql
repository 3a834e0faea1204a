select
    hitos.hito_id,
    proyectos.proyecto_id,
    hitos.proyecto_id as proyecto_id_original,
    hitos.nombre as hito_nombre,
    hitos.fecha_prevista,
    hitos.fecha_cumplido,
    hitos.estado,
    case
        when hitos.estado = 'cumplido' then hitos.fecha_cumplido - hitos.fecha_prevista
        when hitos.estado in ('pendiente', 'vencido') and hitos.fecha_prevista < {{ fecha_referencia() }}
            then {{ fecha_referencia() }} - hitos.fecha_prevista
    end::integer as dias_de_desvio
from {{ ref('stg_mlc__hitos') }} as hitos
left join {{ ref('stg_mlc__proyectos') }} as proyectos on hitos.proyecto_id = proyectos.proyecto_id
