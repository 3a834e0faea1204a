{{ config(materialized='view', post_hook=['alter view {{ this }} set (security_barrier = true)', '{{ permitir_luji() }}']) }}

{#- The last good version, which stands in `entrega` while the model it comes from is rebuilt or withheld. -#}
-- depends_on: {{ ref('int_agua__facturas_cuenta') }}
with
entregada as (
    select
        datos_al,
        retenida_desde
    from {{ source('meta', 'entrega') }}
    where nombre = 'agua.luji_facturas'
)

select
    facturas.cuenta_id,
    facturas.factura_id,
    facturas.periodo,
    facturas.m3_facturados,
    facturas.importe,
    facturas.vencimiento,
    facturas.estado,
    entregada.datos_al,
    entregada.retenida_desde
from {{ source('entrega', 'luji_facturas') }} as facturas
left join entregada on true
where facturas.cuenta_id = {{ cuenta_de_la_sesion() }}
