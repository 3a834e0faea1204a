{#-
    Every point that is missing from 100, with its reason: what failed and in how many rows, and what was not measured. The points of a
    data set and those of its rows here add up to 100.
-#}
with
medidas as (
    select distinct on (dataset, dimension, coalesce(columna, regla))
        dataset,
        dimension,
        regla,
        columna,
        filas_evaluadas,
        filas_fallidas,
        fraccion
    from {{ ref('int_calidad__mediciones') }}
    where fraccion > 0
    -- Of equals, the rule that says what to do about the data, before the check that only saw it.
    order by dataset asc, dimension asc, coalesce(columna, regla) asc, fraccion desc, regla like 'R-%' desc, regla asc
),

repartidas as (
    select
        *,
        greatest(1, sum(fraccion) over (partition by dataset, dimension)) as total
    from medidas
),

perdidos as (
    select
        dimensiones.dataset,
        dimensiones.secretaria,
        dimensiones.dimension,
        repartidas.regla,
        repartidas.columna,
        repartidas.filas_evaluadas,
        repartidas.filas_fallidas,
        dimensiones.peso * repartidas.fraccion / repartidas.total as puntos_perdidos
    from {{ ref('kpi_calidad_dimension') }} as dimensiones
    inner join repartidas on dimensiones.dataset = repartidas.dataset and dimensiones.dimension = repartidas.dimension
    union all
    select
        dataset,
        secretaria,
        dimension,
        'sin_medir',
        null,
        null,
        null,
        peso
    from {{ ref('kpi_calidad_dimension') }}
    where puntos is null
)

select
    md5(perdidos.dataset || '|' || perdidos.dimension || '|' || coalesce(perdidos.columna, '') || '|' || perdidos.regla)
        as perdida_id,
    perdidos.dataset,
    perdidos.secretaria,
    perdidos.dimension,
    perdidos.regla,
    coalesce(
        reglas.nombre, pasos.titulo, generales.titulo,
        case when perdidos.regla = 'sin_medir' then 'Dimensión sin medir' else 'Filas en cuarentena' end
    ) as regla_nombre,
    perdidos.columna,
    perdidos.filas_evaluadas,
    perdidos.filas_fallidas,
    round(perdidos.puntos_perdidos, 4)::numeric(7, 4) as puntos_perdidos,
    coalesce(
        reglas.que_hacer, pasos.siguiente_paso, generales.siguiente_paso,
        case
            when perdidos.regla = 'sin_medir'
                then
                    'Agregue al contrato una regla de esta dimensión, o cargue el conjunto si nunca se cargó: lo que no se mide '
                    || 'no suma.'
            else 'Mire las filas con «lujan quarantine show ' || perdidos.dataset || '» y corríjalas en el origen.'
        end
    ) as siguiente_paso
from perdidos
left join {{ ref('reglas_limpieza') }} as reglas on perdidos.regla = reglas.regla_id
left join {{ ref('pasos_hallazgo') }} as pasos on perdidos.regla = pasos.clase
left join {{ ref('pasos_hallazgo') }} as generales on split_part(perdidos.regla, ':', 1) = generales.clase
where round(perdidos.puntos_perdidos, 4) > 0
