{#-
    Overdue is what is past its date and not done, whatever word the register keeps for it: nobody changes 'pendiente' to
    'vencido' at midnight. Without a date the register's word counts. Nothing of a cancelled project is awaited any more.
    Null when it cannot be known: no state, neither date nor the word, or a day of fulfilment beside a state that denies it.
-#}
with
hitos as (
    select
        hitos.hito_id,
        proyectos.proyecto_id,
        hitos.proyecto_id as proyecto_id_original,
        hitos.nombre,
        hitos.fecha_prevista,
        hitos.fecha_cumplido,
        hitos.estado,
        case
            when hitos.estado = 'cumplido' or proyectos.estado = 'cancelado' then false
            when hitos.estado is null or hitos.fecha_cumplido is not null then null
            when hitos.fecha_prevista is not null then hitos.fecha_prevista < {{ fecha_referencia() }}
            when hitos.estado = 'vencido' then true
        end as esta_vencido
    from {{ ref('stg_mlc__hitos') }} as hitos
    left join {{ ref('stg_mlc__proyectos') }} as proyectos on hitos.proyecto_id = proyectos.proyecto_id
)

select
    hito_id,
    proyecto_id,
    proyecto_id_original,
    nombre as hito_nombre,
    fecha_prevista,
    fecha_cumplido,
    estado,
    esta_vencido,
    case
        when estado = 'cumplido' then fecha_cumplido - fecha_prevista
        when esta_vencido then {{ fecha_referencia() }} - fecha_prevista
    end::integer as dias_de_desvio
from hitos
