with
origen as (
    select
        respuesta_id,
        secretaria,
        fecha_nacimiento,
        genero,
        nivel_educativo,
        frecuencia_uso,
        herramienta_principal,
        capacitacion_recibida,
        interes_capacitacion,
        autoevaluacion,
        fecha_respuesta,
        _load_id,
        _source_row
    from {{ source('planillas', 'encuesta_habilidades') }}
),

secretarias as (
    select distinct on (nombre_codigo)
        nombre_codigo,
        nombre,
        secretaria_id
    from {{ ref('stg_mlc__secretarias') }}
    order by nombre_codigo, secretaria_id
),

limpio as (
    select
        origen.respuesta_id,
        coalesce(secretarias.nombre, {{ limpiar_texto('origen.secretaria') }}) as secretaria,
        origen.secretaria as secretaria_original,
        {{ fecha_de_texto('origen.fecha_nacimiento') }} as fecha_nacimiento,
        origen.fecha_nacimiento as fecha_nacimiento_original,
        generos.genero,
        origen.genero as genero_original,
        lista_nivel_educativo.valor as nivel_educativo,
        origen.nivel_educativo as nivel_educativo_original,
        {{ valor_de_lista(
            'origen.frecuencia_uso',
            ['diaria', 'semanal', 'mensual', 'ocasional', 'nunca']
        ) }} as frecuencia_uso,
        origen.frecuencia_uso as frecuencia_uso_original,
        {{ limpiar_texto('origen.herramienta_principal') }} as herramienta_principal,
        origen.herramienta_principal as herramienta_principal_original,
        {{ si_no('origen.capacitacion_recibida') }} as capacitacion_recibida,
        origen.capacitacion_recibida as capacitacion_recibida_original,
        {{ si_no('origen.interes_capacitacion') }} as interes_capacitacion,
        origen.interes_capacitacion as interes_capacitacion_original,
        {{ en_rango('origen.autoevaluacion', 1, 5) }} as autoevaluacion,
        origen.autoevaluacion as autoevaluacion_original,
        origen.fecha_respuesta,
        secretarias.secretaria_id,
        origen._load_id,
        origen._source_row
    from origen
    left join secretarias on secretarias.nombre_codigo = {{ normalizar_codigo('origen.secretaria') }}
    left join {{ ref('genero_equivalencias') }} as generos
        on generos.origen_codigo = {{ normalizar_codigo('origen.genero') }}
    left join {{ ref('protocolo_valores') }} as lista_nivel_educativo
        on lista_nivel_educativo.campo = 'nivel_educativo' and lista_nivel_educativo.codigo = {{ normalizar_codigo(
            'origen.nivel_educativo'
        ) }}
)

select
    respuesta_id,
    {{ corregido('stg_planillas__encuesta_habilidades', 'secretaria') }},
    secretaria_original,
    {{ corregido('stg_planillas__encuesta_habilidades', 'fecha_nacimiento') }},
    fecha_nacimiento_original,
    {{ corregido('stg_planillas__encuesta_habilidades', 'genero') }},
    genero_original,
    {{ corregido('stg_planillas__encuesta_habilidades', 'nivel_educativo') }},
    nivel_educativo_original,
    {{ corregido('stg_planillas__encuesta_habilidades', 'frecuencia_uso') }},
    frecuencia_uso_original,
    {{ corregido('stg_planillas__encuesta_habilidades', 'herramienta_principal') }},
    herramienta_principal_original,
    {{ corregido('stg_planillas__encuesta_habilidades', 'capacitacion_recibida') }},
    capacitacion_recibida_original,
    {{ corregido('stg_planillas__encuesta_habilidades', 'interes_capacitacion') }},
    interes_capacitacion_original,
    {{ corregido('stg_planillas__encuesta_habilidades', 'autoevaluacion') }},
    autoevaluacion_original,
    fecha_respuesta,
    secretaria_id,
    _load_id,
    _source_row,
    {{ correcciones('stg_planillas__encuesta_habilidades') }} as correcciones
from limpio
