with
origen as (
    select
        elemento_id,
        tipo,
        nombre,
        zona_id,
        material,
        diametro_mm,
        longitud_m,
        anio_instalacion,
        estado,
        _load_id
    from {{ source('aguas', 'red_infraestructura') }}
),

limpio as (
    select
        elemento_id,
        {{ valor_de_lista(
            'tipo',
            {
                'caneria': 'cañería', 'estacion_de_bombeo': 'estación de bombeo',
                'planta_potabilizadora': 'planta potabilizadora', 'valvula': 'válvula', 'cisterna': 'cisterna'
            }
        ) }} as tipo,
        tipo as tipo_original,
        {{ limpiar_texto('nombre') }} as nombre,
        nombre as nombre_original,
        zona_id,
        {{ limpiar_texto('material') }} as material,
        material as material_original,
        diametro_mm,
        longitud_m,
        {{ en_rango(
            'anio_instalacion',
            1850,
            'extract(year from ' ~ fecha_referencia() ~ ') + 1'
        ) }} as anio_instalacion,
        anio_instalacion as anio_instalacion_original,
        {{ valor_de_lista(
            'estado',
            {'en_servicio': 'en servicio', 'fuera_de_servicio': 'fuera de servicio', 'en_obra': 'en obra'}
        ) }} as estado,
        estado as estado_original,
        _load_id
    from origen
)

select
    elemento_id,
    {{ corregido('stg_aguas__red_infraestructura', 'tipo') }},
    tipo_original,
    {{ corregido('stg_aguas__red_infraestructura', 'nombre') }},
    nombre_original,
    zona_id,
    {{ corregido('stg_aguas__red_infraestructura', 'material') }},
    material_original,
    diametro_mm,
    longitud_m,
    {{ corregido('stg_aguas__red_infraestructura', 'anio_instalacion') }},
    anio_instalacion_original,
    {{ corregido('stg_aguas__red_infraestructura', 'estado') }},
    estado_original,
    _load_id,
    {{ correcciones('stg_aguas__red_infraestructura') }} as correcciones
from limpio
