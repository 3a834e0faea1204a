{{ config(materialized='table', indexes=[{'columns': ['cuenta_id']}]) }}

{#- Bills by account, ready to be read by key. -#}
select
    cuenta_id,
    factura_id,
    periodo,
    m3_facturados,
    importe,
    vencimiento,
    estado
from {{ ref('stg_aguas__facturacion') }}
