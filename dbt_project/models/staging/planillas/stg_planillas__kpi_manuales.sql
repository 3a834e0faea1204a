with
origen as (
    select
        kpi_codigo,
        periodo,
        valor,
        fuente,
        cargado_por,
        fecha_carga,
        _load_id,
        _source_row
    from {{ source('planillas', 'kpi_manuales') }}
),

limpio as (
    select
        btrim(kpi_codigo) as kpi_codigo,
        kpi_codigo as kpi_codigo_original,
        periodo,
        {{ numero_de_texto('valor') }} as valor,
        valor as valor_original,
        {{ limpiar_texto('fuente') }} as fuente,
        fuente as fuente_original,
        {{ limpiar_texto('cargado_por') }} as cargado_por,
        cargado_por as cargado_por_original,
        fecha_carga,
        _load_id,
        _source_row
    from origen
)

select
    {{ corregido('stg_planillas__kpi_manuales', 'kpi_codigo') }},
    kpi_codigo_original,
    periodo,
    {{ corregido('stg_planillas__kpi_manuales', 'valor') }},
    valor_original,
    {{ corregido('stg_planillas__kpi_manuales', 'fuente') }},
    fuente_original,
    {{ corregido('stg_planillas__kpi_manuales', 'cargado_por') }},
    cargado_por_original,
    fecha_carga,
    _load_id,
    _source_row,
    {{ correcciones('stg_planillas__kpi_manuales') }} as correcciones
from limpio
