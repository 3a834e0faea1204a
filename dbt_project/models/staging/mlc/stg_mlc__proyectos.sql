with
origen as (
    select
        proyecto_id,
        codigo,
        programa_id,
        secretaria_id,
        nombre,
        descripcion,
        estado,
        avance_pct,
        presupuesto,
        fecha_inicio,
        fecha_fin_prevista,
        fecha_fin_real,
        gestion,
        ods,
        plan_climatico,
        participacion_ciudadana,
        distrito,
        creado_en,
        actualizado_en,
        _load_id
    from {{ source('mlc', 'proyectos') }}
),

limpio as (
    select
        origen.proyecto_id,
        {{ limpiar_texto('origen.codigo') }} as codigo,
        origen.codigo as codigo_original,
        origen.programa_id,
        origen.secretaria_id,
        {{ limpiar_texto('origen.nombre') }} as nombre,
        origen.nombre as nombre_original,
        {{ limpiar_texto('origen.descripcion') }} as descripcion,
        origen.descripcion as descripcion_original,
        estados.estado,
        origen.estado as estado_original,
        {{ en_rango('origen.avance_pct', 0, 100) }} as avance_pct,
        origen.avance_pct as avance_pct_original,
        origen.presupuesto,
        origen.fecha_inicio,
        origen.fecha_fin_prevista,
        origen.fecha_fin_real,
        {{ valor_de_lista('origen.gestion', lista_de_la_ciudad('gestiones')) }} as gestion,
        origen.gestion as gestion_original,
        {{ lista_ods('origen.ods') }} as ods,
        origen.ods as ods_original,
        origen.plan_climatico,
        origen.participacion_ciudadana,
        distritos.distrito_nombre as distrito,
        origen.distrito as distrito_original,
        origen.creado_en,
        origen.actualizado_en,
        origen._load_id
    from origen
    left join {{ ref('estados_proyecto') }} as estados
        on estados.origen_codigo = {{ normalizar_codigo('origen.estado') }}
    left join {{ ref('distritos') }} as distritos
        on distritos.distrito_codigo = {{ normalizar_codigo('origen.distrito') }}
)

select
    proyecto_id,
    {{ corregido('stg_mlc__proyectos', 'codigo') }},
    codigo_original,
    programa_id,
    secretaria_id,
    {{ corregido('stg_mlc__proyectos', 'nombre') }},
    nombre_original,
    {{ corregido('stg_mlc__proyectos', 'descripcion') }},
    descripcion_original,
    {{ corregido('stg_mlc__proyectos', 'estado') }},
    estado_original,
    {{ corregido('stg_mlc__proyectos', 'avance_pct') }},
    avance_pct_original,
    presupuesto,
    fecha_inicio,
    fecha_fin_prevista,
    fecha_fin_real,
    {{ corregido('stg_mlc__proyectos', 'gestion') }},
    gestion_original,
    {{ corregido('stg_mlc__proyectos', 'ods') }},
    ods_original,
    plan_climatico,
    participacion_ciudadana,
    {{ corregido('stg_mlc__proyectos', 'distrito') }},
    distrito_original,
    creado_en,
    actualizado_en,
    _load_id,
    {{ correcciones('stg_mlc__proyectos') }} as correcciones
from limpio
