{{ config(meta={
    'dagster': {'ref': {'name': 'fct_beneficiarios_agregado'}},
    'claves': ['tabla', 'grupo', 'dimension']
}) }}
-- One hidden cell beside a visible total is a cell that can be subtracted.
with
tablas as (
    select
        'fct_beneficiarios_agregado' as tabla,
        coalesce(programa_id::text, '(sin dato)') as grupo,
        dimension,
        suprimido
    from {{ ref('fct_beneficiarios_agregado') }}
    union all
    select
        'fct_encuesta_habilidades',
        'encuesta',
        dimension,
        suprimido
    from {{ ref('fct_encuesta_habilidades') }}
),

totales as (
    select
        tabla,
        grupo,
        bool_or(suprimido) as total_oculto
    from tablas
    where dimension = 'total'
    group by tabla, grupo
)

select
    tablas.tabla,
    tablas.grupo,
    tablas.dimension,
    count(*) filter (where tablas.suprimido) as ocultas
from tablas
inner join totales on tablas.tabla = totales.tabla and tablas.grupo = totales.grupo
group by tablas.tabla, tablas.grupo, tablas.dimension, totales.total_oculto
having
    (not totales.total_oculto and count(*) filter (where tablas.suprimido) = 1)
    or (totales.total_oculto and not bool_and(tablas.suprimido))
