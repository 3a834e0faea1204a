{{ config(materialized='view', post_hook=['alter view {{ this }} set (security_barrier = true)', '{{ permitir_luji() }}']) }}

select
    cuenta_id,
    alerta_id,
    clase,
    desde,
    hasta,
    litros_estimados,
    pesos_estimados,
    explicacion,
    que_hacer,
    estado
from {{ ref('alerta_agua') }}
where cuenta_id = {{ cuenta_de_la_sesion() }} and estado in ('nueva', 'informada')
