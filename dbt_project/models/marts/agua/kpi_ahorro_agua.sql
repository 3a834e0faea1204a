{#-
    What the strategy claims of its programmes (seed afirmaciones_agua), measured. Each complete month after the start is
    compared with the same calendar month of the last year before it, unit by unit: accounts with one valid bill in both
    months, stations with energy in both. Same months and same units take season and growth out; a hotter year, prices and
    works stay in, so a difference is not yet an effect of the programme.

    With totals a_i before and d_i after of unit i:
      ahorro_pct    100 · (1 - D/A), a ratio estimator with residuals d_i - (D/A)·a_i (Cochran 1977, 2.11)
      ahorro_total  A - D, with the spread of a_i - d_i
    The interval of 95 % is that of other units like these. Student's quantile comes from the normal one by the expansion of
    Abramowitz and Stegun 26.7.5, within 1 % from four degrees of freedom on.
-#}
{%- set z = 1.959963984540054 -%}
with
afirmaciones as (
    select
        *,
        date_trunc('month', programa_desde::timestamp)::date as mes_comienzo,
        -- The month of the start belongs to neither side, unless it began with it.
        date_trunc('month', (programa_desde - 1)::timestamp + interval '1 month')::date as primer_mes
    from {{ ref('afirmaciones_agua') }}
),

facturas as (
    select
        facturas.cuenta_id,
        min(cuentas.categoria) as categoria,
        date_trunc('month', facturas.periodo::timestamp)::date as mes,
        sum(facturas.m3_facturados) as m3
    from {{ ref('stg_aguas__facturacion') }} as facturas
    inner join {{ ref('stg_aguas__cuentas') }} as cuentas on facturas.cuenta_id = cuentas.cuenta_id
    where (facturas.estado is distinct from 'anulada') and facturas.importe >= 0
    group by facturas.cuenta_id, date_trunc('month', facturas.periodo::timestamp)
    having count(*) = 1
),

cantidades as (
    select
        'consumo_domiciliario'::text as indicador,
        cuenta_id as unidad_id,
        mes,
        m3 as cantidad
    from facturas
    where categoria = 'residencial' and m3 is not null
    union all
    select
        'consumo_facturado',
        cuenta_id,
        mes,
        m3
    from facturas
    where m3 is not null
    union all
    select
        'energia_bombeo',
        estacion_id,
        mes,
        energia_kwh
    from {{ ref('fct_energia_bombeo') }}
    where energia_kwh is not null and es_dudoso is not true
),

alcances as (
    select
        indicador,
        min(mes) as primer_mes,
        max(mes) filter (where mes < date_trunc('month', {{ fecha_referencia() }}::timestamp)) as ultimo_mes
    from cantidades
    group by indicador
),

meses as materialized (
    select
        afirmaciones.codigo,
        afirmaciones.indicador,
        dias.mes::date as mes,
        (
            dias.mes - make_interval(
                years => 1 + (
                    12 * (extract(year from dias.mes) - extract(year from afirmaciones.mes_comienzo))
                    + extract(month from dias.mes) - extract(month from afirmaciones.mes_comienzo)
                )::integer / 12
            )
        )::date as mes_base
    from afirmaciones
    inner join alcances on afirmaciones.indicador = alcances.indicador
    inner join lateral generate_series(
        greatest(afirmaciones.primer_mes, (alcances.ultimo_mes - interval '11 months')::date)::timestamp,
        alcances.ultimo_mes::timestamp,
        interval '1 month'
    ) as dias (mes) on true
),

-- Materialised, so that the few months are joined first and not the two long sides with each other.
bases as materialized (
    select
        meses.codigo,
        meses.indicador,
        meses.mes,
        meses.mes_base,
        antes.unidad_id,
        antes.cantidad as antes
    from meses
    inner join cantidades as antes on meses.indicador = antes.indicador and meses.mes_base = antes.mes
),

parejas as (
    select
        bases.codigo,
        bases.mes,
        bases.mes_base,
        bases.unidad_id,
        bases.antes,
        despues.cantidad as despues
    from bases
    inner join cantidades as despues
        on
            bases.indicador = despues.indicador
            and bases.mes = despues.mes
            and bases.unidad_id = despues.unidad_id
),

unidades as (
    select
        codigo,
        unidad_id,
        sum(antes) as antes,
        sum(despues) as despues,
        count(*) as meses
    from parejas
    group by codigo, unidad_id
),

pares as (
    select distinct
        codigo,
        mes,
        mes_base
    from parejas
),

comparados as (
    select
        codigo,
        min(mes_base) as base_desde,
        max(mes_base) as base_hasta,
        min(mes) as actual_desde,
        max(mes) as actual_hasta,
        count(*) as meses
    from pares
    group by codigo
),

totales as (
    select
        codigo,
        count(*) as unidades,
        sum(antes) as antes,
        sum(despues) as despues,
        sum(meses) as pares,
        sqrt(count(*)) * stddev_samp(antes - despues) as error_total
    from unidades
    group by codigo
    having sum(antes) > 0
),

errores as (
    select
        totales.codigo,
        sqrt(
            sum((unidades.despues - unidades.antes * totales.despues / totales.antes) ^ 2)
            * min(totales.unidades) / nullif(min(totales.unidades) - 1, 0)
        ) / min(totales.antes) as error_razon
    from totales
    inner join unidades on totales.codigo = unidades.codigo
    group by totales.codigo
),

medidos as (
    select
        afirmaciones.*,
        alcances.primer_mes as primer_dato,
        alcances.ultimo_mes as ultimo_dato,
        comparados.base_desde,
        comparados.base_hasta,
        comparados.actual_desde,
        comparados.actual_hasta,
        coalesce(comparados.meses, 0) as meses,
        coalesce(totales.unidades, 0) as unidades,
        totales.antes / totales.pares as valor_base,
        totales.despues / totales.pares as valor_actual,
        case afirmaciones.medida
            when 'ahorro_pct' then 100 * (1 - totales.despues / totales.antes)
            when 'ahorro_total' then totales.antes - totales.despues
        end as medido,
        case afirmaciones.medida
            when 'ahorro_pct' then 100 * errores.error_razon
            when 'ahorro_total' then totales.error_total
        end as error_estandar,
        nullif(totales.unidades - 1, 0)::numeric as grados
    from afirmaciones
    left join alcances on afirmaciones.indicador = alcances.indicador
    left join comparados on afirmaciones.codigo = comparados.codigo
    left join totales on afirmaciones.codigo = totales.codigo
    left join errores on afirmaciones.codigo = errores.codigo
),

-- The first thing that is missing; none when the claim can be measured.
con_motivo as (
    select
        *,
        case
            when programa_desde is null then 'Falta la fecha de comienzo del programa.'
            when ultimo_dato is null then 'No hay datos cargados para medirlo.'
            when ultimo_dato < primer_mes then 'No hay meses completos posteriores al comienzo.'
            when primer_dato >= mes_comienzo
                then
                    'No hay datos anteriores al comienzo: los primeros son de ' || to_char(primer_dato, 'MM/YYYY') || '.'
            when meses < {{ umbral_agua('R-AHORRO-01', 'meses_minimos') }}
                then
                    'Meses que se pueden comparar: ' || meses || '; hacen falta '
                    || {{ umbral_agua('R-AHORRO-01', 'meses_minimos') }} || '.'
            when unidades < {{ umbral_agua('R-AHORRO-01', 'unidades_minimas') }}
                then
                    'Cuentas o estaciones con datos en los dos períodos: ' || unidades || '; hacen falta '
                    || {{ umbral_agua('R-AHORRO-01', 'unidades_minimas') }} || '.'
            when error_estandar is null then 'No se puede calcular el intervalo.'
        end as motivo,
        error_estandar * (
            {{ z }}
            + ({{ z }} ^ 3 + {{ z }}) / (4 * grados)
            + (5 * {{ z }} ^ 5 + 16 * {{ z }} ^ 3 + 3 * {{ z }}) / (96 * grados ^ 2)
            + (3 * {{ z }} ^ 7 + 19 * {{ z }} ^ 5 + 17 * {{ z }} ^ 3 - 15 * {{ z }}) / (384 * grados ^ 3)
        ) as margen
    from medidos
)

select
    codigo,
    orden,
    nombre as afirmacion_nombre,
    programa,
    programa_desde,
    valor_afirmado::numeric(16, 2) as valor_afirmado,
    unidad,
    case when motivo is null then medido end::numeric(16, 2) as valor_medido,
    case when motivo is null then medido - margen end::numeric(16, 2) as valor_medido_minimo,
    case when motivo is null then medido + margen end::numeric(16, 2) as valor_medido_maximo,
    case
        when motivo is not null then 'sin_dato'
        when medido - margen >= valor_afirmado then 'se_cumple'
        when medido + margen < valor_afirmado then 'no_se_cumple'
        else 'no_concluyente'
    end as estado,
    motivo,
    base_desde,
    (base_hasta + interval '1 month' - interval '1 day')::date as base_hasta,
    actual_desde,
    (actual_hasta + interval '1 month' - interval '1 day')::date as actual_hasta,
    'Los mismos meses del último año anterior al comienzo, en las mismas '
    || case indicador when 'energia_bombeo' then 'estaciones' else 'cuentas' end || '.' as base_criterio,
    meses::integer as meses_comparados,
    unidades::integer as unidades_comparadas,
    case when motivo is null then valor_base end::numeric(16, 3) as valor_base,
    case when motivo is null then valor_actual end::numeric(16, 3) as valor_actual,
    case indicador when 'energia_bombeo' then 'kWh por estación y mes' else 'm3 por cuenta y mes' end as valor_unidad,
    fuente,
    a_verificar
from con_motivo
