with
origen as (
    select
        medidor_id,
        cuenta_id,
        zona_id,
        marca,
        modelo,
        digitos,
        multiplicador,
        unidad,
        tipo_telemetria,
        fecha_instalacion,
        fecha_retiro,
        estado,
        _load_id
    from {{ source('aguas', 'medidores') }}
),

limpio as (
    select
        btrim(medidor_id) as medidor_id,
        cuenta_id,
        zona_id,
        {{ limpiar_texto('marca') }} as marca,
        marca as marca_original,
        {{ limpiar_texto('modelo') }} as modelo,
        modelo as modelo_original,
        digitos,
        {{ en_rango('multiplicador', 0.0001, none) }} as multiplicador,
        multiplicador as multiplicador_original,
        {{ valor_de_lista('unidad', {'m3': 'm3', 'l': 'L', 'litros': 'L'}) }} as unidad,
        unidad as unidad_original,
        {{ valor_de_lista('tipo_telemetria', ['csv', 'lorawan', 'manual']) }} as tipo_telemetria,
        tipo_telemetria as tipo_telemetria_original,
        fecha_instalacion,
        fecha_retiro,
        {{ estado_de_medidor('estado') }} as estado,
        estado as estado_original,
        _load_id
    from origen
)

select
    medidor_id,
    cuenta_id,
    zona_id,
    {{ corregido('stg_aguas__medidores', 'marca') }},
    marca_original,
    {{ corregido('stg_aguas__medidores', 'modelo') }},
    modelo_original,
    digitos,
    {{ corregido('stg_aguas__medidores', 'multiplicador') }},
    multiplicador_original,
    {{ corregido('stg_aguas__medidores', 'unidad') }},
    unidad_original,
    {{ corregido('stg_aguas__medidores', 'tipo_telemetria') }},
    tipo_telemetria_original,
    fecha_instalacion,
    fecha_retiro,
    {{ corregido('stg_aguas__medidores', 'estado') }},
    estado_original,
    _load_id,
    {{ correcciones('stg_aguas__medidores') }} as correcciones
from limpio
