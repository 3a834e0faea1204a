{{ config(materialized='view', post_hook=['alter view {{ this }} set (security_barrier = true)', '{{ permitir_luji() }}']) }}

select
    cuenta_id,
    factura_id,
    periodo,
    m3_facturados::numeric(12, 3) as m3_facturados,
    importe_ars::numeric(14, 2) as importe_ars,
    vencimiento,
    estado
from {{ ref('int_agua__facturas_cuenta') }}
where cuenta_id = {{ cuenta_de_la_sesion() }}
