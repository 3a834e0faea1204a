{{ config(meta={
    'dagster': {'ref': {'name': 'dim_cuenta'}},
    'claves': ['table_schema', 'table_name', 'column_name'],
    'sin_filas': 'mira nombres de columnas'
}) }}
-- Names of columns that carry personal data in the sources must not exist in any mart.
-- depends_on: {{ ref('dim_cuenta') }}, {{ ref('fct_beneficiarios_agregado') }}, {{ ref('fct_hallazgo') }}
select
    table_schema,
    table_name,
    column_name
from information_schema.columns
where
    table_schema in ('inventario', 'proyectos', 'agua', 'poblacion', 'calidad', 'gobernanza')
    and (
        column_name in ('documento', 'apellido', 'domicilio', 'fecha_nacimiento', 'persona_id', 'latitud', 'longitud')
        or column_name like 'titular%'
        or column_name like 'wg\_%'
    )
