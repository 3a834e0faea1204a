with
origen as (
    select
        factura_id,
        cuenta_id,
        periodo,
        m3_facturados,
        importe,
        vencimiento,
        estado,
        actualizado_en,
        _load_id
    from {{ source('aguas', 'facturacion') }}
),

limpio as (
    select
        factura_id,
        cuenta_id,
        periodo,
        {{ en_rango('m3_facturados', 0, none) }} as m3_facturados,
        m3_facturados as m3_facturados_original,
        importe,
        vencimiento,
        {{ valor_de_lista('estado', ['pagada', 'impaga', 'anulada']) }} as estado,
        estado as estado_original,
        actualizado_en at time zone '{{ var("zona_horaria") }}' as actualizado_en,
        _load_id
    from origen
)

select
    factura_id,
    cuenta_id,
    periodo,
    {{ corregido('stg_aguas__facturacion', 'm3_facturados') }},
    m3_facturados_original,
    importe,
    vencimiento,
    {{ corregido('stg_aguas__facturacion', 'estado') }},
    estado_original,
    actualizado_en,
    _load_id,
    {{ correcciones('stg_aguas__facturacion') }} as correcciones
from limpio
