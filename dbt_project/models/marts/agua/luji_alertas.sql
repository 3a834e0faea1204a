{{ config(materialized='view', post_hook=['alter view {{ this }} set (security_barrier = true)', '{{ permitir_luji() }}']) }}

{#-
    The last good version, which stands in `entrega` while the models it comes from are rebuilt or withheld.
    What a person decided about an alert since counts at once; what the models decided waits for its checks.
-#}
-- depends_on: {{ ref('alerta_agua') }}
with
entregada as (
    select
        datos_al,
        retenida_desde
    from {{ source('meta', 'entrega') }}
    where nombre = 'agua.luji_alertas'
),

avisos as (
    select
        entregados.cuenta_id,
        entregados.alerta_id,
        entregados.clase,
        entregados.desde,
        entregados.hasta,
        entregados.litros_estimados,
        entregados.importe_estimado,
        entregados.explicacion,
        entregados.que_hacer,
        case when eventos.decidido_por <> 'almacén' then eventos.estado else entregados.estado end as estado
    from {{ source('entrega', 'luji_alertas') }} as entregados
    left join {{ source('agua', 'alerta_registro') }} as eventos on entregados.alerta_id = eventos.alerta_id
    where entregados.cuenta_id = {{ cuenta_de_la_sesion() }}
)

select
    avisos.cuenta_id,
    avisos.alerta_id,
    avisos.clase,
    avisos.desde,
    avisos.hasta,
    avisos.litros_estimados,
    avisos.importe_estimado,
    avisos.explicacion,
    avisos.que_hacer,
    avisos.estado,
    entregada.datos_al,
    entregada.retenida_desde
from avisos
left join entregada on true
where avisos.estado in ('nueva', 'informada')
