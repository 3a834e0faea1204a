with
origen as (
    select
        solicitud_id,
        tipo,
        categoria,
        area,
        descripcion,
        distrito,
        latitud,
        longitud,
        fecha_ingreso,
        fecha_cierre,
        estado,
        canal,
        actualizado_en,
        _load_id
    from {{ source('citymis', 'solicitudes') }}
),

limpio as (
    select
        origen.solicitud_id,
        {{ limpiar_texto('origen.tipo') }} as tipo,
        origen.tipo as tipo_original,
        {{ limpiar_texto('origen.categoria') }} as categoria,
        origen.categoria as categoria_original,
        {{ limpiar_texto('origen.area') }} as area,
        origen.area as area_original,
        {{ limpiar_texto('origen.descripcion') }} as descripcion,
        origen.descripcion as descripcion_original,
        distritos.distrito_nombre as distrito,
        origen.distrito as distrito_original,
        {{ latitud_corregida('origen.latitud', 'origen.longitud') }} as latitud,
        origen.latitud as latitud_original,
        {{ longitud_corregida('origen.latitud', 'origen.longitud') }} as longitud,
        origen.longitud as longitud_original,
        origen.fecha_ingreso,
        origen.fecha_cierre,
        {{ valor_de_lista('origen.estado', ['ingresada', 'en_proceso', 'resuelta', 'rechazada']) }} as estado,
        origen.estado as estado_original,
        {{ valor_de_lista('origen.canal', ['presencial', 'telefono', 'web', 'app', 'luji']) }} as canal,
        origen.canal as canal_original,
        origen.actualizado_en,
        origen._load_id
    from origen
    left join {{ ref('distritos') }} as distritos
        on distritos.distrito_codigo = {{ normalizar_codigo('origen.distrito') }}
)

select
    solicitud_id,
    {{ corregido('stg_citymis__solicitudes', 'tipo') }},
    tipo_original,
    {{ corregido('stg_citymis__solicitudes', 'categoria') }},
    categoria_original,
    {{ corregido('stg_citymis__solicitudes', 'area') }},
    area_original,
    {{ corregido('stg_citymis__solicitudes', 'descripcion') }},
    descripcion_original,
    {{ corregido('stg_citymis__solicitudes', 'distrito') }},
    distrito_original,
    {{ corregido('stg_citymis__solicitudes', 'latitud') }},
    latitud_original,
    {{ corregido('stg_citymis__solicitudes', 'longitud') }},
    longitud_original,
    fecha_ingreso,
    fecha_cierre,
    {{ corregido('stg_citymis__solicitudes', 'estado') }},
    estado_original,
    {{ corregido('stg_citymis__solicitudes', 'canal') }},
    canal_original,
    actualizado_en,
    _load_id,
    {{ correcciones('stg_citymis__solicitudes') }} as correcciones
from limpio
