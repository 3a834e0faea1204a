{{ config(materialized='table') }}
{#-
    What was measured of each data set: one row per rule that looked at it, with the share of its rows that fail. Rules that
    found nothing are here, too: they are what tells «measured and good» from «not measured».

    `fraccion` is null where a rule could not be evaluated, and 1 where it failed without saying how many rows.
-#}
with
pendientes as (
    select
        dataset,
        count(*) as filas
    from {{ source('quarantine', 'fila') }}
    where estado = 'pendiente'
    group by dataset
),

con_clave as (
    select distinct dataset
    from {{ source('meta', 'contrato_campo') }}
    where es_clave
),

conjuntos as (
    select
        contratos.dataset,
        contratos.tabla_raw,
        filas.filas,
        coalesce(pendientes.filas, 0) as filas_cuarentena,
        con_clave.dataset is not null as tiene_clave,
        count(*) over (partition by contratos.tabla_raw) as comparten_tabla
    from {{ source('meta', 'contrato') }} as contratos
    left join {{ ref('int_calidad__filas') }} as filas on contratos.dataset = filas.dataset
    left join pendientes on contratos.dataset = pendientes.dataset
    left join con_clave on contratos.dataset = con_clave.dataset
    where contratos.vigente
),

-- Rows that arrived: of a data set that brought none, nothing is known.
llegados as (
    select
        dataset,
        tabla_raw,
        tiene_clave,
        filas + filas_cuarentena as filas
    from conjuntos
    where filas + filas_cuarentena > 0
),

-- Landing looks at every row: its type, its key. What it refused is counted below, by its reason.
de_la_entrada as (
    select
        llegados.dataset,
        entradas.dimension,
        entradas.regla,
        null::text as columna,
        llegados.filas as filas_evaluadas,
        0 as filas_fallidas,
        true as evaluada
    from llegados
    cross join (values ('validez', 'tipos_del_contrato'), ('unicidad', 'clave_repetida')) as entradas (dimension, regla)
    where entradas.regla <> 'clave_repetida' or llegados.tiene_clave
),

de_la_cuarentena as (
    select
        llegados.dataset,
        case
            when filas.regla like 'clave_repetida%' then 'unicidad'
            when filas.regla like 'obligatorio%' then 'completitud'
            else 'validez'
        end as dimension,
        filas.regla,
        filas.columna,
        llegados.filas as filas_evaluadas,
        count(*) as filas_fallidas,
        true as evaluada
    from {{ source('quarantine', 'fila') }} as filas
    inner join llegados on filas.dataset = llegados.dataset
    where filas.estado = 'pendiente'
    group by llegados.dataset, filas.regla, filas.columna, llegados.filas
),

controles as (
    select
        *,
        coalesce(filas_evaluadas, -1) <> 0 as con_filas,
        first_value(corrida_id) over (
            partition by objeto, motor, split_part(control, '.', 2), split_part(control, '.', 3)
            order by resultado_id desc
        ) as ultima_corrida
    from {{ source('meta', 'control_vigente') }}
    -- A monitor says that something is unusual, not that it is wrong: it opens a finding and costs no points.
    where dimension is not null and motor <> 'monitor'
),

-- Several data sets may share a table: then the check's name says which one it is about.
de_los_controles as (
    select
        conjuntos.dataset,
        controles.dimension,
        controles.motor || ':' || controles.regla as regla,
        controles.columna,
        greatest(controles.filas_evaluadas, llegados.filas) as filas_evaluadas,
        case when controles.paso then 0 else controles.filas_fallidas end as filas_fallidas,
        controles.paso is not null and controles.con_filas as evaluada
    from controles
    inner join conjuntos
        on
            controles.objeto = conjuntos.tabla_raw
            and (
                conjuntos.comparten_tabla = 1
                or strpos('.' || replace(controles.control, ':', '.') || '.', '.' || conjuntos.dataset || '.') > 0
            )
    left join llegados on conjuntos.dataset = llegados.dataset
    -- A rule that left the contract keeps its last verdict for ever: it is of the past.
    where controles.motor not in ('pandera', 'protocolo') or controles.corrida_id = controles.ultima_corrida
),

reglas_aplicadas as (
    select
        llegados.dataset,
        reglas.regla_id,
        reglas.dimension,
        llegados.filas
    from ({{ reglas_aplicadas() }}) as aplicadas (tabla, regla_id)
    inner join llegados on llegados.tabla_raw = 'raw.' || aplicadas.tabla
    inner join {{ ref('reglas_limpieza') }} as reglas on aplicadas.regla_id = reglas.regla_id
),

hallazgos as (
    select
        dataset,
        regla_id,
        dimension,
        columna,
        sum(filas_afectadas) as filas_fallidas
    from {{ ref('fct_hallazgo') }}
    group by dataset, regla_id, dimension, columna
    union all
    -- Repeated readings are merged without a finding: how many were left aside.
    select
        dataset,
        regla_id,
        'unicidad',
        null,
        sum(valor_original::bigint - valor_corregido::bigint)
    from {{ ref('fct_correccion') }}
    where regla_id = 'R-AGUA-02'
    group by dataset, regla_id
),

de_los_datos as (
    select
        coalesce(aplicadas.dataset, hallazgos.dataset) as dataset,
        coalesce(aplicadas.dimension, hallazgos.dimension) as dimension,
        coalesce(aplicadas.regla_id, hallazgos.regla_id) as regla,
        hallazgos.columna,
        aplicadas.filas as filas_evaluadas,
        coalesce(hallazgos.filas_fallidas, 0) as filas_fallidas,
        true as evaluada
    from reglas_aplicadas as aplicadas
    full outer join hallazgos on aplicadas.dataset = hallazgos.dataset and aplicadas.regla_id = hallazgos.regla_id
),

-- The table keeps its last good data while a column is missing or retyped: it no longer says what its source says.
de_la_deriva as (
    select
        dataset,
        'consistencia' as dimension,
        'deriva:' || tipo as regla,
        columna,
        null::bigint as filas_evaluadas,
        null::bigint as filas_fallidas,
        true as evaluada
    from {{ source('meta', 'deriva') }}
    where resuelto_en is null and tipo in ('columna_faltante', 'tipo_cambiado')
),

de_la_frecuencia as (
    select
        dataset,
        'actualidad' as dimension,
        'actualidad' as regla,
        null::text as columna,
        null::bigint as filas_evaluadas,
        case when vencido then null else 0 end as filas_fallidas,
        vencido is not null as evaluada
    from {{ ref('dim_dataset') }}
    where origen = 'contrato'
),

reunidas as (
    {%- for fuente in [
        'de_la_entrada', 'de_la_cuarentena', 'de_los_controles', 'de_los_datos', 'de_la_deriva', 'de_la_frecuencia'
    ] %}
        select
            dataset,
            dimension,
            regla,
            columna,
            filas_evaluadas,
            filas_fallidas,
            evaluada
        from {{ fuente }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    dataset,
    dimension,
    regla,
    nullif(columna, '') as columna,
    filas_evaluadas::bigint as filas_evaluadas,
    filas_fallidas::bigint as filas_fallidas,
    case
        when not evaluada then null
        when filas_fallidas = 0 then 0
        when filas_fallidas is null or filas_evaluadas is null then 1
        else trim_scale(round(least(1, filas_fallidas::numeric / greatest(filas_evaluadas, 1)), 12))
    end as fraccion
from reunidas
