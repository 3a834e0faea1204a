{#- Findings of Citymis, spreadsheets and Mi Luján Digital. People are named by the key of their record. -#}
with
edades_del_personal as (
    select
        respuesta_id,
        extract(year from age(fecha_respuesta, fecha_nacimiento)) as edad
    from {{ ref('stg_planillas__encuesta_habilidades') }}
),

kpis_informados as (
    select
        manuales.codigo_original || '|' || manuales.periodo as clave,
        manuales.codigo_original,
        manuales.valor,
        kpis.codigo,
        kpis.unidad,
        {{ kpi_posible('manuales.valor', 'kpis.unidad') }} as es_posible
    from {{ ref('fct_kpi_manual') }} as manuales
    left join {{ ref('kpis_comite') }} as kpis on manuales.codigo = kpis.codigo
),

archivos_repetidos as (
    select
        dataset,
        sha256,
        min(nombre) as primero,
        max(nombre) as otro
    from {{ source('meta', 'archivo_nombre') }}
    group by dataset, sha256
    having count(distinct nombre) > 1
),

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
),

-- dim_dataset counts the first of each.
codigos_de_inventario as (
    select
        dataset_codigo,
        row_number() over mismo_conjunto as orden,
        first_value(dataset_codigo) over mismo_conjunto as codigo_primero,
        first_value(_source_row) over mismo_conjunto as fila_primera
    from {{ ref('stg_planillas__inventario_datasets') }}
    window mismo_conjunto as (partition by lower(dataset_codigo) order by _source_row, dataset_codigo)
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
    'planillas.inventario_datasets', 'R-CLAVE-02', 'dataset_codigo',
    "'El conjunto ya está en el inventario, en la fila ' || fila_primera || ' de la planilla, como «' || codigo_primero || '».'",
    'codigos_de_inventario', 'orden > 1', columna='dataset_codigo'
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
union all
{{ hallazgo_sin_fecha('citymis.solicitudes', 'solicitud_id', 'fecha_cierre', ref('stg_citymis__solicitudes'), 'resuelta') }}
union all
{{ hallazgo_futuro(
    'citymis.solicitudes', 'solicitud_id', 'fecha_ingreso', ref('stg_citymis__solicitudes'),
    dia_local('fecha_ingreso')
) }}
union all
{{ hallazgo_futuro(
    'citymis.solicitudes', 'solicitud_id', 'fecha_cierre', ref('stg_citymis__solicitudes'),
    dia_local('fecha_cierre')
) }}
union all
{{ hallazgos_de_texto('citymis.solicitudes', 'solicitud_id', ['descripcion'], ref('stg_citymis__solicitudes')) }}
union all
{{ hallazgo_sin_fecha('citymis.tramites', 'tramite_id', 'fecha_resolucion', ref('stg_citymis__tramites'), 'resuelto') }}
union all
{{ hallazgo_futuro(
    'citymis.tramites', 'tramite_id', 'fecha_inicio', ref('stg_citymis__tramites'), dia_local('fecha_inicio')
) }}
union all
{{ hallazgo_futuro('citymis.beneficiarios', 'beneficiario_id', 'fecha_alta', ref('stg_citymis__beneficiarios')) }}
union all
{{ hallazgo_sin_fecha(
    'milujan.tramites_digitales', 'tramite_digital_id', 'fecha_fin', ref('stg_milujan__tramites_digitales'), 'finalizado'
) }}
union all
{{ hallazgo_futuro(
    'milujan.tramites_digitales', 'tramite_digital_id', 'fecha_inicio', ref('stg_milujan__tramites_digitales'),
    dia_local('fecha_inicio')
) }}
union all
{{ hallazgo_futuro(
    'milujan.tramites_digitales', 'tramite_digital_id', 'fecha_fin', ref('stg_milujan__tramites_digitales'),
    dia_local('fecha_fin')
) }}
union all
{{ hallazgo_repetido(
    'milujan.tramites_digitales', 'R-DUPLICADO-01', ref('stg_milujan__tramites_digitales'), 'tramite_digital_id',
    ['tipo', 'secretaria', 'fecha_inicio', 'fecha_fin', 'estado', 'canal', 'satisfaccion', 'actualizado_en'],
    "'Es igual al trámite ' || clave_primera || ' salvo por el identificador.'"
) }}
union all
{{ hallazgo_repetido(
    'planillas.encuesta_habilidades', 'R-DUPLICADO-01', ref('stg_planillas__encuesta_habilidades'), 'respuesta_id',
    [
        'secretaria', 'fecha_nacimiento', 'genero', 'nivel_educativo', 'frecuencia_uso', 'herramienta_principal',
        'capacitacion_recibida', 'interes_capacitacion', 'autoevaluacion', 'fecha_respuesta'
    ],
    "'Es igual a la respuesta ' || clave_primera || ' salvo por el número.'", 'fecha_nacimiento is not null'
) }}
union all
{{ hallazgo_futuro(
    'planillas.encuesta_habilidades', 'respuesta_id', 'fecha_respuesta', ref('stg_planillas__encuesta_habilidades')
) }}
union all
{{ hallazgo(
    'planillas.encuesta_habilidades', 'R-PERSONA-04', 'respuesta_id',
    "'La edad que resulta de la fecha de nacimiento no es la de una persona que trabaja.'",
    'edades_del_personal', 'edad < 16 or edad > 80', columna='fecha_nacimiento'
) }}
union all
{{ hallazgo_futuro(
    'planillas.inventario_datasets', 'dataset_codigo', 'ultima_actualizacion', ref('stg_planillas__inventario_datasets')
) }}
union all
{{ hallazgo_futuro(
    'planillas.reuniones_comite', 'reunion_id', 'fecha_realizada', ref('stg_planillas__reuniones_comite')
) }}
union all
{{ hallazgo(
    'planillas.kpi_manuales', 'R-CLAVE-01', 'clave',
    "'«' || codigo_original || '» no es uno de los indicadores del comité.'", 'kpis_informados', 'codigo is null',
    columna='kpi_codigo'
) }}
union all
{{ hallazgo(
    'planillas.kpi_manuales', 'R-KPI-01', 'clave',
    "'Se informó ' || " ~ con_coma('trim_scale(valor)') ~ " || case unidad when '%' then ' %' else ' (' || unidad || ')' end || '.'",
    'kpis_informados', 'not es_posible', columna='valor'
) }}
union all
select
    dataset,
    sha256 as clave,
    'R-ARCHIVO-01'::text as regla_id,
    null::text as columna,
    0 as filas_afectadas,
    'El archivo ' || otro || ' es idéntico a ' || primero || '.' as descripcion
from archivos_repetidos
