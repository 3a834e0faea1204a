with
origen as (
    select
        tramite_id,
        tipo,
        secretaria_id,
        fecha_inicio,
        fecha_resolucion,
        estado,
        es_pedido_de_datos,
        _load_id
    from {{ source('citymis', 'tramites') }}
),

limpio as (
    select
        tramite_id,
        {{ limpiar_texto('tipo') }} as tipo,
        tipo as tipo_original,
        secretaria_id,
        fecha_inicio,
        fecha_resolucion,
        {{ normalizar_codigo('estado') }} as estado,
        estado as estado_original,
        es_pedido_de_datos,
        _load_id
    from origen
)

select
    tramite_id,
    {{ corregido('stg_citymis__tramites', 'tipo') }},
    tipo_original,
    secretaria_id,
    fecha_inicio,
    fecha_resolucion,
    {{ corregido('stg_citymis__tramites', 'estado') }},
    estado_original,
    es_pedido_de_datos,
    _load_id,
    {{ correcciones('stg_citymis__tramites') }} as correcciones
from limpio
