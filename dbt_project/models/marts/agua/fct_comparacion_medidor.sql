{#-
    What a meter used lately against its own history and against similar ones. Medians of daily litres, which
    neither a pool that is filled nor a burst of one day moves; deviations in robust standard units,
    (x - median) / (1.4826 · MAD), as in Iglewicz and Hoaglin (1993). Only days with 20 hours measured or more, and only
    what was measured: neither estimates nor the share of a gap.
      lately      the seven days up to the last reading, four of them at least
      habit       the 28 days before, fourteen at least
      last year   the same seven week days, 364 days before, four at least
      neighbours  meters of the same zone and category read in the same days; the register has no size
    `uso_…` leaves out what runs without a break: the smallest flow of an hour, all day long. That is a leak's, and has
    an alert of its own (R-AGUA-14); the same water is not told twice.
-#}
with
ultimos as (
    select
        medidor_id,
        {{ dia_local('max(ultima_lectura)') }} as hasta_dia
    from {{ ref('fct_consumo_mensual_medidor') }}
    group by medidor_id
    having max(ultima_lectura) is not null
),

dias as (
    select
        ultimos.medidor_id,
        case when diario.dia > ultimos.hasta_dia - 7 then 'reciente' else 'habitual' end as periodo,
        {{ litros_medidos('diario') }} as litros,
        greatest({{ litros_medidos('diario') }} - {{ horas_del_dia('diario.dia') }} * coalesce(diario.caudal_minimo_lh, 0), 0) as uso_l,
        diario.carga_id
    from ultimos
    inner join {{ ref('fct_consumo_diario') }} as diario
        on
            ultimos.medidor_id = diario.medidor_id
            and ultimos.hasta_dia - 35 < diario.dia
            and ultimos.hasta_dia >= diario.dia
    where diario.horas_medidas >= 20 and diario.litros is not null
    union all
    select
        ultimos.medidor_id,
        'anterior',
        {{ litros_medidos('diario') }},
        null,
        null
    from ultimos
    inner join {{ ref('fct_consumo_diario') }} as diario
        on
            ultimos.medidor_id = diario.medidor_id
            and ultimos.hasta_dia - 364 - 7 < diario.dia
            and ultimos.hasta_dia - 364 >= diario.dia
    where diario.horas_medidas >= 20 and diario.litros is not null
),

periodos as (
    select
        medidor_id,
        periodo,
        count(*) as cantidad,
        percentile_cont(0.5) within group (order by litros) as mediana_l,
        percentile_cont(0.5) within group (order by uso_l) as mediana_uso_l,
        max(carga_id) as carga_id
    from dias
    group by medidor_id, periodo
),

validos as (
    select
        medidor_id,
        periodo,
        cantidad,
        mediana_l,
        mediana_uso_l,
        carga_id
    from periodos
    where
        cantidad >= case periodo
            when 'habitual' then {{ umbral_agua('R-AGUA-16', 'dias_minimos') }}
            else {{ umbral_agua('R-AGUA-16', 'dias_recientes_minimos') }}
        end
),

dispersiones as (
    select
        dias.medidor_id,
        percentile_cont(0.5) within group (order by abs(dias.litros - validos.mediana_l)) as mad_l
    from dias
    inner join validos on dias.medidor_id = validos.medidor_id and dias.periodo = validos.periodo
    where dias.periodo = 'habitual'
    group by dias.medidor_id
),

comparados as (
    select
        ultimos.medidor_id,
        ultimos.hasta_dia,
        vigencias.cuenta_id,
        vigencias.zona_id,
        vigencias.categoria,
        recientes.cantidad as dias_recientes,
        recientes.mediana_l as reciente_l,
        recientes.mediana_uso_l as uso_reciente_l,
        recientes.carga_id,
        habituales.cantidad as dias_habituales,
        habituales.mediana_l as habitual_l,
        habituales.mediana_uso_l as uso_habitual_l,
        anteriores.mediana_l as anterior_l,
        dispersiones.mad_l,
        case
            when
                recientes.mediana_l is not null
                and vigencias.categoria is not null
                and ultimos.hasta_dia > max(ultimos.hasta_dia) over () - 7
                then vigencias.zona_id
        end as zona_comparable
    from ultimos
    left join validos as recientes on ultimos.medidor_id = recientes.medidor_id and recientes.periodo = 'reciente'
    left join validos as habituales on ultimos.medidor_id = habituales.medidor_id and habituales.periodo = 'habitual'
    left join validos as anteriores on ultimos.medidor_id = anteriores.medidor_id and anteriores.periodo = 'anterior'
    left join dispersiones on ultimos.medidor_id = dispersiones.medidor_id
    {{ con_vigencia('ultimos', 'ultimos.hasta_dia') }}
),

grupos as (
    select
        zona_comparable,
        categoria,
        count(*) - 1 as vecinos,
        percentile_cont(0.5) within group (order by reciente_l) as mediana_l
    from comparados
    where zona_comparable is not null
    group by zona_comparable, categoria
    having count(*) - 1 >= {{ umbral_agua('R-VECINOS-01', 'minimo') }}
),

dispersiones_de_grupo as (
    select
        grupos.zona_comparable,
        grupos.categoria,
        percentile_cont(0.5) within group (order by abs(comparados.reciente_l - grupos.mediana_l)) as mad_l
    from comparados
    inner join grupos
        on comparados.zona_comparable = grupos.zona_comparable and comparados.categoria = grupos.categoria
    group by grupos.zona_comparable, grupos.categoria
)

select
    comparados.medidor_id,
    comparados.hasta_dia,
    comparados.cuenta_id,
    comparados.zona_id,
    comparados.categoria,
    comparados.dias_recientes::integer as dias_recientes,
    comparados.reciente_l::numeric(14, 1) as reciente_l_dia,
    comparados.dias_habituales::integer as dias_habituales,
    comparados.habitual_l::numeric(14, 1) as habitual_l_dia,
    ((comparados.reciente_l - comparados.habitual_l) / nullif(1.4826 * comparados.mad_l, 0))::numeric(12, 2)
        as desvio_propio,
    comparados.anterior_l::numeric(14, 1) as anio_anterior_l_dia,
    grupos.vecinos::integer as vecinos,
    grupos.mediana_l::numeric(14, 1) as mediana_vecinos_l_dia,
    ((comparados.reciente_l - grupos.mediana_l) / nullif(1.4826 * dispersiones_de_grupo.mad_l, 0))::numeric(12, 2)
        as desvio_vecinos,
    comparados.uso_reciente_l::numeric(14, 1) as uso_reciente_l_dia,
    comparados.uso_habitual_l::numeric(14, 1) as uso_habitual_l_dia,
    case
        when comparados.uso_reciente_l is not null and comparados.uso_habitual_l > 0
            then
                comparados.uso_reciente_l >= comparados.uso_habitual_l * {{ umbral_agua('R-AGUA-16', 'veces') }}
                and comparados.uso_reciente_l - comparados.uso_habitual_l
                >= {{ umbral_agua('R-AGUA-16', 'diferencia_minima_l_dia') }}
    end as es_exceso,
    comparados.carga_id
from comparados
left join grupos
    on comparados.zona_comparable = grupos.zona_comparable and comparados.categoria = grupos.categoria
left join dispersiones_de_grupo
    on
        comparados.zona_comparable = dispersiones_de_grupo.zona_comparable
        and comparados.categoria = dispersiones_de_grupo.categoria
