with
origen as (
    select
        cuenta_id,
        numero_cuenta,
        titular_nombre,
        titular_documento,
        categoria,
        zona_id,
        distrito,
        domicilio,
        latitud,
        longitud,
        fecha_alta,
        activa,
        _load_id
    from {{ source('aguas', 'cuentas') }}
),

limpio as (
    select
        origen.cuenta_id,
        btrim(origen.numero_cuenta) as numero_cuenta,
        {{ limpiar_texto('origen.titular_nombre') }} as titular_nombre,
        origen.titular_nombre as titular_nombre_original,
        {{ documento('origen.titular_documento') }} as titular_documento,
        origen.titular_documento as titular_documento_original,
        {{ categoria_de_cuenta('origen.categoria') }} as categoria,
        origen.categoria as categoria_original,
        origen.zona_id,
        distritos.distrito_nombre as distrito,
        origen.distrito as distrito_original,
        {{ limpiar_texto('origen.domicilio') }} as domicilio,
        origen.domicilio as domicilio_original,
        {{ latitud_corregida('origen.latitud', 'origen.longitud') }} as latitud,
        origen.latitud as latitud_original,
        {{ longitud_corregida('origen.latitud', 'origen.longitud') }} as longitud,
        origen.longitud as longitud_original,
        origen.fecha_alta,
        origen.activa,
        origen._load_id
    from origen
    left join {{ ref('distritos') }} as distritos
        on distritos.distrito_codigo = {{ normalizar_codigo('origen.distrito') }}
)

select
    cuenta_id,
    numero_cuenta,
    {{ corregido('stg_aguas__cuentas', 'titular_nombre') }},
    titular_nombre_original,
    {{ corregido('stg_aguas__cuentas', 'titular_documento') }},
    titular_documento_original,
    {{ corregido('stg_aguas__cuentas', 'categoria') }},
    categoria_original,
    zona_id,
    {{ corregido('stg_aguas__cuentas', 'distrito') }},
    distrito_original,
    {{ corregido('stg_aguas__cuentas', 'domicilio') }},
    domicilio_original,
    {{ corregido('stg_aguas__cuentas', 'latitud') }},
    latitud_original,
    {{ corregido('stg_aguas__cuentas', 'longitud') }},
    longitud_original,
    fecha_alta,
    activa,
    _load_id,
    {{ correcciones('stg_aguas__cuentas') }} as correcciones
from limpio
