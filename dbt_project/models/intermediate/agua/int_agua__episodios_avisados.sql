{{ config(
    materialized='table',
    post_hook='{{ registrar_alertas() }}',
    indexes=[{'columns': ['cuenta_id']}]
) }}

{#-
    Every event worth an alert, one shape for all kinds; what the provider estimated makes none. Its post-hook finds for each the event that was
    reported before (same rule, same subject, overlapping time), so that nobody is told twice.
    `ventana_movil`: the rule looks at the last days only, so the beginning it sees moves with every day; the event keeps
    the first one. Months of imbalance of a zone that follow each other are one event.
-#}
with
ultimas as (
    select
        medidor_id,
        max(ultima_lectura) as ultima_lectura
    from {{ ref('fct_consumo_mensual_medidor') }}
    group by medidor_id
),

hallazgos as (
    select
        regla_id,
        split_part(clave, '|', 1) as medidor_id,
        nullif(split_part(clave, '|', 2), '')::date as desde,
        descripcion
    from {{ ref('fct_hallazgo') }}
    where regla_id in ('R-AGUA-10', 'R-AGUA-11')
),

desbalances as (
    select
        zona_id,
        mes,
        ingreso_m3,
        facturado_m3,
        perdidas_m3,
        mes - make_interval(months => (row_number() over (partition by zona_id order by mes))::integer) as racha
    from {{ ref('fct_balance_hidrico') }}
    where perdidas_pct >= {{ umbral_agua('R-AGUA-21', 'perdida_minima_pct') }} and mes_completo
),

rachas_de_desbalance as (
    select
        zona_id,
        min(mes) as mes,
        (max(mes) + interval '1 month')::date as hasta,
        count(*) as meses,
        sum(ingreso_m3) as ingreso_m3,
        sum(facturado_m3) as facturado_m3,
        sum(perdidas_m3) as perdidas_m3
    from desbalances
    group by zona_id, racha
),

-- Until the next month has a balance, nobody knows whether the imbalance went on.
ultimos_balances as (
    select
        zona_id,
        (max(mes) + interval '1 month')::date as hasta
    from {{ ref('fct_balance_hidrico') }}
    where perdidas_pct is not null and mes_completo
    group by zona_id
),

reunidos as (
    select
        'flujo_continuo'::text as clase,
        false as ventana_movil,
        regla_id,
        medidor_id,
        null::integer as zona_id,
        inicio,
        fin,
        perdida_estimada_litros as litros,
        explicacion,
        'Revise inodoros, canillas, tanque y cañerías; si no encuentra la pérdida, avise al área de aguas.'::text as que_hacer
    from {{ ref('alerta_flujo_continuo') }}
    union all
    select
        'rotura',
        false,
        regla_id,
        medidor_id,
        null,
        inicio,
        fin,
        consumo_litros,
        explicacion,
        'Cierre la llave de paso y avise al área de aguas.'
    from {{ ref('alerta_rotura') }}
    union all
    select
        'medidor_trabado',
        false,
        hallazgos.regla_id,
        hallazgos.medidor_id,
        null,
        coalesce({{ inicio_dia('hallazgos.desde') }}, ultimas.ultima_lectura - interval '7 days'),
        ultimas.ultima_lectura,
        null,
        hallazgos.descripcion,
        'El área de aguas debe revisar el medidor; no hace falta hacer nada en el domicilio.'
    from hallazgos
    inner join ultimas on hallazgos.medidor_id = ultimas.medidor_id
    union all
    select
        'exceso',
        true,
        'R-AGUA-16',
        comparados.medidor_id,
        null,
        {{ inicio_dia('comparados.hasta_dia - 6') }},
        ultimas.ultima_lectura,
        round((comparados.uso_reciente_l_dia - comparados.uso_habitual_l_dia) * comparados.dias_recientes)::bigint,
        {{ texto_de_exceso(
            'comparados.uso_reciente_l_dia', 'comparados.uso_habitual_l_dia', 'comparados.reciente_l_dia'
        ) }},
        'Compare con sus hábitos: riego, pileta o visitas lo explican; si no, busque una pérdida.'
    from {{ ref('fct_comparacion_medidor') }} as comparados
    inner join ultimas on comparados.medidor_id = ultimas.medidor_id
    where comparados.es_exceso
    union all
    select
        'flujo_inverso',
        false,
        regla_id,
        medidor_id,
        null,
        fecha_hora_anterior,
        fecha_hora,
        null,
        'El registro retrocedió ' || {{ con_coma('abs(diferencia_original_litros)') }} || ' litros entre dos lecturas.',
        'El área de aguas debe revisar el medidor y la válvula de retención.'
    from {{ ref('fct_decision_lectura') }}
    where regla_id = 'R-AGUA-04' and fecha_hora_anterior is not null and not estimado
    union all
    select
        'desbalance_zona',
        false,
        'R-AGUA-21',
        null,
        zona_id,
        {{ inicio_dia('mes') }},
        {{ inicio_dia('hasta') }},
        (perdidas_m3 * 1000)::bigint,
        case when meses = 1 then 'En el mes entraron ' else 'En ' || meses || ' meses seguidos entraron ' end
        || {{ con_coma('round(ingreso_m3)') }} || ' m3 y se facturaron '
        || {{ con_coma('round(facturado_m3)') }} || ' m3: falta explicar el '
        || {{ con_coma('round(100 * perdidas_m3 / ingreso_m3, 1)') }} || ' %.',
        'Revise macromedidor, padrón y red de la zona; busque pérdidas de noche.'
    from rachas_de_desbalance
)

select
    md5(
        reunidos.regla_id || '|' || coalesce('medidor:' || reunidos.medidor_id, 'zona:' || reunidos.zona_id) || '|'
        || extract(epoch from reunidos.inicio)::bigint
    ) as episodio_id,
    reunidos.clase,
    reunidos.ventana_movil,
    reunidos.regla_id,
    coalesce('medidor:' || reunidos.medidor_id, 'zona:' || reunidos.zona_id) as sujeto,
    reunidos.medidor_id,
    vigencias.cuenta_id,
    coalesce(reunidos.zona_id, vigencias.zona_id) as zona_id,
    reunidos.inicio,
    reunidos.fin,
    coalesce(
        reunidos.fin >= coalesce(ultimas.ultima_lectura, {{ inicio_dia('ultimos_balances.hasta') }}), false
    ) as sigue_abierta,
    reunidos.litros,
    round(reunidos.litros / 1000.0 * tarifas.precio_m3, 2) as importe,
    reunidos.explicacion,
    reunidos.que_hacer
from reunidos
left join ultimas on reunidos.medidor_id = ultimas.medidor_id
left join ultimos_balances on reunidos.zona_id = ultimos_balances.zona_id
{{ con_vigencia('reunidos', dia_local('reunidos.fin')) }}
left join lateral (
    select precios.precio_m3
    from {{ ref('tarifa_agua') }} as precios
    where
        precios.categoria in (vigencias.categoria, '(todas)')
        and precios.vigente_desde <= {{ dia_local('reunidos.fin') }}
    order by precios.categoria = '(todas)', precios.vigente_desde desc
    limit 1
) as tarifas on true
