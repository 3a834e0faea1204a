with
origen as (
    select
        beneficiario_id,
        programa_id,
        documento,
        nombre,
        apellido,
        fecha_nacimiento,
        genero,
        etnia,
        nivel_educativo,
        nivel_ingreso,
        distrito,
        wg_ver,
        wg_oir,
        wg_caminar,
        wg_recordar,
        wg_cuidado_personal,
        wg_comunicarse,
        acceso_tecnologia,
        alfabetizacion_digital,
        fecha_alta,
        _load_id
    from {{ source('citymis', 'beneficiarios') }}
),

limpio as (
    select
        origen.beneficiario_id,
        origen.programa_id,
        {{ documento('origen.documento') }} as documento,
        origen.documento as documento_original,
        {{ limpiar_texto('origen.nombre') }} as nombre,
        origen.nombre as nombre_original,
        {{ limpiar_texto('origen.apellido') }} as apellido,
        origen.apellido as apellido_original,
        {{ fecha_de_texto('origen.fecha_nacimiento') }} as fecha_nacimiento,
        origen.fecha_nacimiento as fecha_nacimiento_original,
        generos.genero,
        origen.genero as genero_original,
        lista_etnia.valor as etnia,
        origen.etnia as etnia_original,
        lista_nivel_educativo.valor as nivel_educativo,
        origen.nivel_educativo as nivel_educativo_original,
        lista_nivel_ingreso.valor as nivel_ingreso,
        origen.nivel_ingreso as nivel_ingreso_original,
        distritos.distrito_nombre as distrito,
        origen.distrito as distrito_original,
        lista_wg_ver.valor as wg_ver,
        origen.wg_ver as wg_ver_original,
        lista_wg_oir.valor as wg_oir,
        origen.wg_oir as wg_oir_original,
        lista_wg_caminar.valor as wg_caminar,
        origen.wg_caminar as wg_caminar_original,
        lista_wg_recordar.valor as wg_recordar,
        origen.wg_recordar as wg_recordar_original,
        lista_wg_cuidado_personal.valor as wg_cuidado_personal,
        origen.wg_cuidado_personal as wg_cuidado_personal_original,
        lista_wg_comunicarse.valor as wg_comunicarse,
        origen.wg_comunicarse as wg_comunicarse_original,
        lista_acceso_tecnologia.valor as acceso_tecnologia,
        origen.acceso_tecnologia as acceso_tecnologia_original,
        lista_alfabetizacion_digital.valor as alfabetizacion_digital,
        origen.alfabetizacion_digital as alfabetizacion_digital_original,
        origen.fecha_alta,
        origen._load_id
    from origen
    left join {{ ref('genero_equivalencias') }} as generos
        on generos.origen_codigo = {{ normalizar_codigo('origen.genero') }}
    left join {{ ref('protocolo_valores') }} as lista_etnia
        on lista_etnia.campo = 'etnia' and lista_etnia.codigo = {{ normalizar_codigo('origen.etnia') }}
    left join {{ ref('protocolo_valores') }} as lista_nivel_educativo
        on lista_nivel_educativo.campo = 'nivel_educativo' and lista_nivel_educativo.codigo = {{ normalizar_codigo(
            'origen.nivel_educativo'
        ) }}
    left join {{ ref('protocolo_valores') }} as lista_nivel_ingreso
        on lista_nivel_ingreso.campo = 'nivel_ingreso' and lista_nivel_ingreso.codigo = {{ normalizar_codigo(
            'origen.nivel_ingreso'
        ) }}
    left join {{ ref('distritos') }} as distritos
        on distritos.distrito_codigo = {{ normalizar_codigo('origen.distrito') }}
    left join {{ ref('protocolo_valores') }} as lista_wg_ver
        on lista_wg_ver.campo = 'wg_ver' and lista_wg_ver.codigo = {{ normalizar_codigo('origen.wg_ver') }}
    left join {{ ref('protocolo_valores') }} as lista_wg_oir
        on lista_wg_oir.campo = 'wg_oir' and lista_wg_oir.codigo = {{ normalizar_codigo('origen.wg_oir') }}
    left join {{ ref('protocolo_valores') }} as lista_wg_caminar
        on lista_wg_caminar.campo = 'wg_caminar' and lista_wg_caminar.codigo = {{ normalizar_codigo(
            'origen.wg_caminar'
        ) }}
    left join {{ ref('protocolo_valores') }} as lista_wg_recordar
        on lista_wg_recordar.campo = 'wg_recordar' and lista_wg_recordar.codigo = {{ normalizar_codigo(
            'origen.wg_recordar'
        ) }}
    left join {{ ref('protocolo_valores') }} as lista_wg_cuidado_personal
        on lista_wg_cuidado_personal.campo = 'wg_cuidado_personal' and lista_wg_cuidado_personal.codigo = {{ normalizar_codigo(
            'origen.wg_cuidado_personal'
        ) }}
    left join {{ ref('protocolo_valores') }} as lista_wg_comunicarse
        on lista_wg_comunicarse.campo = 'wg_comunicarse' and lista_wg_comunicarse.codigo = {{ normalizar_codigo(
            'origen.wg_comunicarse'
        ) }}
    left join {{ ref('protocolo_valores') }} as lista_acceso_tecnologia
        on lista_acceso_tecnologia.campo = 'acceso_tecnologia' and lista_acceso_tecnologia.codigo = {{ normalizar_codigo(
            'origen.acceso_tecnologia'
        ) }}
    left join {{ ref('protocolo_valores') }} as lista_alfabetizacion_digital
        on lista_alfabetizacion_digital.campo = 'alfabetizacion_digital' and lista_alfabetizacion_digital.codigo = {{ normalizar_codigo(
            'origen.alfabetizacion_digital'
        ) }}
)

select
    beneficiario_id,
    programa_id,
    {{ corregido('stg_citymis__beneficiarios', 'documento') }},
    documento_original,
    {{ corregido('stg_citymis__beneficiarios', 'nombre') }},
    nombre_original,
    {{ corregido('stg_citymis__beneficiarios', 'apellido') }},
    apellido_original,
    {{ corregido('stg_citymis__beneficiarios', 'fecha_nacimiento') }},
    fecha_nacimiento_original,
    {{ corregido('stg_citymis__beneficiarios', 'genero') }},
    genero_original,
    {{ corregido('stg_citymis__beneficiarios', 'etnia') }},
    etnia_original,
    {{ corregido('stg_citymis__beneficiarios', 'nivel_educativo') }},
    nivel_educativo_original,
    {{ corregido('stg_citymis__beneficiarios', 'nivel_ingreso') }},
    nivel_ingreso_original,
    {{ corregido('stg_citymis__beneficiarios', 'distrito') }},
    distrito_original,
    {{ corregido('stg_citymis__beneficiarios', 'wg_ver') }},
    wg_ver_original,
    {{ corregido('stg_citymis__beneficiarios', 'wg_oir') }},
    wg_oir_original,
    {{ corregido('stg_citymis__beneficiarios', 'wg_caminar') }},
    wg_caminar_original,
    {{ corregido('stg_citymis__beneficiarios', 'wg_recordar') }},
    wg_recordar_original,
    {{ corregido('stg_citymis__beneficiarios', 'wg_cuidado_personal') }},
    wg_cuidado_personal_original,
    {{ corregido('stg_citymis__beneficiarios', 'wg_comunicarse') }},
    wg_comunicarse_original,
    {{ corregido('stg_citymis__beneficiarios', 'acceso_tecnologia') }},
    acceso_tecnologia_original,
    {{ corregido('stg_citymis__beneficiarios', 'alfabetizacion_digital') }},
    alfabetizacion_digital_original,
    fecha_alta,
    _load_id,
    {{ correcciones('stg_citymis__beneficiarios') }} as correcciones
from limpio
