{#-
    Points of each data set and dimension. A rule costs the dimension's weight times the share of rows that fail it. Rules that look at
    the same column see the same defect: the one with most rows counts, once. A dimension cannot lose more than its weight.

    Not measured (no rule could be evaluated): no points, null and not 0, and not part of the measured coverage either.
-#}
with
conjuntos as (
    select
        dataset,
        secretaria
    from {{ source('meta', 'contrato') }}
    where vigente
),

pesos as (
    select
        dimension,
        peso,
        minimo_pct,
        obligatoria
    from {{ ref('dimensiones_calidad') }}
    where dimension <> '(total)'
),

por_lugar as (
    select
        dataset,
        dimension,
        max(fraccion) as fraccion,
        count(fraccion) as reglas
    from {{ ref('int_calidad__mediciones') }}
    group by dataset, dimension, coalesce(columna, regla)
),

medidas as (
    select
        dataset,
        dimension,
        sum(reglas) as reglas,
        -- least() would pass over a null and call it 1.
        case when count(fraccion) > 0 then least(1, sum(fraccion)) end as fraccion
    from por_lugar
    group by dataset, dimension
)

select
    conjuntos.dataset,
    conjuntos.secretaria,
    pesos.dimension,
    pesos.peso,
    coalesce(medidas.reglas, 0)::integer as reglas_evaluadas,
    round(pesos.peso * (1 - medidas.fraccion), 4)::numeric(7, 4) as puntos,
    round(100 * (1 - medidas.fraccion), 2)::numeric(5, 2) as cumplimiento_pct,
    pesos.minimo_pct,
    pesos.obligatoria,
    100 * (1 - medidas.fraccion) >= pesos.minimo_pct as alcanza_minimo
from conjuntos
cross join pesos
left join medidas on conjuntos.dataset = medidas.dataset and pesos.dimension = medidas.dimension
