with
origen as (
    select
        indicador_id,
        codigo,
        nombre,
        secretaria_id,
        programa_id,
        categoria,
        tipo,
        unidad,
        sentido,
        linea_base,
        frecuencia,
        relevancia,
        medibilidad,
        accesibilidad,
        comparabilidad,
        simplicidad,
        validado_por_secretaria,
        es_estrategico,
        _load_id
    from {{ source('mlc', 'indicadores') }}
),

limpio as (
    select
        indicador_id,
        btrim(codigo) as codigo,
        {{ limpiar_texto('nombre') }} as nombre,
        nombre as nombre_original,
        secretaria_id,
        programa_id,
        {{ valor_de_lista(
            'categoria',
            ['eficiencia', 'eficacia', 'calidad', 'productividad', 'impacto']
        ) }} as categoria,
        categoria as categoria_original,
        {{ valor_de_lista(
            'tipo',
            {
                'de_proceso': 'de proceso', 'proceso': 'de proceso', 'de_finalidad': 'de finalidad',
                'finalidad': 'de finalidad'
            }
        ) }} as tipo,
        tipo as tipo_original,
        {{ limpiar_texto('unidad') }} as unidad,
        unidad as unidad_original,
        {{ valor_de_lista('sentido', ['aumentar', 'disminuir', 'mantener']) }} as sentido,
        sentido as sentido_original,
        linea_base,
        {{ valor_de_lista('frecuencia', ['mensual', 'trimestral', 'semestral', 'anual']) }} as frecuencia,
        frecuencia as frecuencia_original,
        relevancia,
        medibilidad,
        accesibilidad,
        comparabilidad,
        simplicidad,
        validado_por_secretaria,
        es_estrategico,
        _load_id
    from origen
)

select
    indicador_id,
    codigo,
    {{ corregido('stg_mlc__indicadores', 'nombre') }},
    nombre_original,
    secretaria_id,
    programa_id,
    {{ corregido('stg_mlc__indicadores', 'categoria') }},
    categoria_original,
    {{ corregido('stg_mlc__indicadores', 'tipo') }},
    tipo_original,
    {{ corregido('stg_mlc__indicadores', 'unidad') }},
    unidad_original,
    {{ corregido('stg_mlc__indicadores', 'sentido') }},
    sentido_original,
    linea_base,
    {{ corregido('stg_mlc__indicadores', 'frecuencia') }},
    frecuencia_original,
    relevancia,
    medibilidad,
    accesibilidad,
    comparabilidad,
    simplicidad,
    validado_por_secretaria,
    es_estrategico,
    _load_id,
    {{ correcciones('stg_mlc__indicadores') }} as correcciones
from limpio
