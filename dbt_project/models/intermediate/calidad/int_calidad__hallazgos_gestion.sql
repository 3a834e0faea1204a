{#- Findings of Citymis, spreadsheets and Mi Luján Digital. People are named by the key of their record. -#}
with
personas_en_programas as (
    select
        beneficiario_id,
        programa_id,
        documento,
        nombre,
        apellido,
        fecha_nacimiento,
        first_value(beneficiario_id) over por_documento as primero,
        count(*) over (partition by documento, programa_id) as veces_en_programa,
        count(*) over (partition by documento) as veces,
        min(coalesce(nombre, '') || '|' || coalesce(apellido, '') || '|' || coalesce(fecha_nacimiento::text, ''))
            over (partition by documento)
        <> max(coalesce(nombre, '') || '|' || coalesce(apellido, '') || '|' || coalesce(fecha_nacimiento::text, ''))
            over (partition by documento) as de_otra_persona
    from {{ ref('stg_citymis__beneficiarios') }}
    where documento is not null
    window por_documento as (partition by documento order by beneficiario_id)
)

{{ hallazgo_huerfano(
    'citymis.tramites',
    ref('stg_citymis__tramites'),
    'tramite_id',
    'secretaria_id',
    ref('stg_mlc__secretarias'),
    'secretaria_id'
) }}
union all
{{ hallazgo_huerfano(
    'citymis.beneficiarios',
    ref('stg_citymis__beneficiarios'),
    'beneficiario_id',
    'programa_id',
    ref('stg_mlc__programas'),
    'programa_id'
) }}
union all
{{ hallazgo(
    'citymis.solicitudes', 'R-FECHA-03', 'solicitud_id', "'El cierre es anterior al ingreso.'",
    ref('stg_citymis__solicitudes'), 'fecha_cierre < fecha_ingreso', columna='fecha_cierre'
) }}
union all
{{ hallazgo_repetido(
    'citymis.solicitudes', 'R-DUPLICADO-01', ref('stg_citymis__solicitudes'), 'solicitud_id',
    ['tipo', 'categoria', 'descripcion', 'fecha_ingreso', 'latitud_original', 'longitud_original'],
    "'Es igual a la solicitud ' || clave_primera || ' salvo por el número.'"
) }}
union all
{{ hallazgo(
    'citymis.tramites', 'R-FECHA-03', 'tramite_id', "'La resolución es anterior al inicio.'",
    ref('stg_citymis__tramites'), 'fecha_resolucion < fecha_inicio', columna='fecha_resolucion'
) }}
union all
{{ hallazgo(
    'citymis.beneficiarios', 'R-PERSONA-01', 'beneficiario_id',
    "case when de_otra_persona then 'El documento figura también con datos de otra persona (registro ' || primero || ').' "
    ~ "else 'El documento ya figura en el mismo programa (registro ' || primero || ').' end",
    'personas_en_programas', '(de_otra_persona and veces > 1) or (veces_en_programa > 1 and beneficiario_id <> primero)',
    columna='documento'
) }}
union all
{{ hallazgo(
    'citymis.beneficiarios', 'R-PERSONA-02', 'beneficiario_id', "'No hay una fecha de nacimiento utilizable.'",
    ref('stg_citymis__beneficiarios'), 'fecha_nacimiento is null and fecha_nacimiento_original is null',
    columna='fecha_nacimiento'
) }}
union all
{{ hallazgo(
    'planillas.inventario_datasets', 'R-INVENTARIO-01', 'dataset_codigo',
    "'El conjunto ' || coalesce(nombre, dataset_codigo) || ' no tiene responsable.'",
    ref('stg_planillas__inventario_datasets'), 'responsable is null', columna='responsable'
) }}
union all
{{ hallazgo(
    'planillas.inventario_datasets', 'R-SECRETARIA-02', 'dataset_codigo',
    "'La secretaría «' || secretaria || '» no figura en el sistema de proyectos.'",
    ref('stg_planillas__inventario_datasets'), 'secretaria is not null and secretaria_id is null',
    columna='secretaria'
) }}
union all
{{ hallazgo(
    'planillas.encuesta_habilidades', 'R-SECRETARIA-02', 'respuesta_id',
    "'La secretaría «' || secretaria || '» no figura en el sistema de proyectos.'",
    ref('stg_planillas__encuesta_habilidades'), 'secretaria is not null and secretaria_id is null',
    columna='secretaria'
) }}
union all
{{ hallazgo(
    'milujan.tramites_digitales', 'R-SECRETARIA-02', 'tramite_digital_id',
    "'La secretaría «' || secretaria || '» no figura en el sistema de proyectos.'",
    ref('stg_milujan__tramites_digitales'), 'secretaria is not null and secretaria_id is null',
    columna='secretaria'
) }}
union all
{{ hallazgo(
    'milujan.tramites_digitales', 'R-FECHA-03', 'tramite_digital_id', "'El fin es anterior al inicio.'",
    ref('stg_milujan__tramites_digitales'), 'fecha_fin < fecha_inicio', columna='fecha_fin'
) }}
