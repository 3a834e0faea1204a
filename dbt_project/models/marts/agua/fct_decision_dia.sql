{{ sigue_cambios(['fct_consumo_horario']) }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_dia',
    on_schema_change='fail',
    meta={'columna': 'dia', 'regla_dias_despues': 'R-AGUA-17', 'sigue_atribucion': true},
    pre_hook=memoria_de_trabajo('256MB'),
    post_hook=['{{ anotar_avance() }}', '{{ exigir_clave(["medidor_id", "dia", "regla_id"]) }}'],
    indexes=[{'columns': ['medidor_id', 'dia', 'regla_id'], 'unique': true}]
) }}

{#-
    What a whole day of a meter shows; values stand, they are marked. A day is compared with the mean of
    the days before it (R-AGUA-17), so a changed day also weighs on those that follow.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
{% if is_incremental() -%}
{{ dias_afectados(
    this, ref('fct_consumo_horario'), dias_despues=dias_despues('R-AGUA-17'), atribucion=true
) }},

tramos as (
    select
        medidor_id,
        min(dia) - {{ dias_despues('R-AGUA-17') }} as desde,
        max(dia) as hasta
    from dias_afectados
    group by medidor_id
),
{%- endif %}

historia as (
    select
        diario.medidor_id,
        diario.dia,
        diario.litros,
        diario.horas_con_lectura,
        diario.horas_medidas,
        diario.desvio_reloj_s,
        diario.carga_id
    from {{ ref('fct_consumo_diario') }} as diario
    {%- if is_incremental() %}
    inner join tramos
        on diario.medidor_id = tramos.medidor_id and diario.dia >= tramos.desde and diario.dia <= tramos.hasta
    {%- endif %}
),

promedios as (
    select
        *,
        avg(litros) over previos as promedio_l,
        count(litros) over previos as dias_previos
    from historia
    window previos as (
        partition by medidor_id order by dia::timestamp
        range between make_interval(days => {{ dias_despues('R-AGUA-17') }}) preceding and interval '1 day' preceding -- noqa: PRS
    )
),

por_dia as (
    select
        promedios.medidor_id,
        promedios.dia,
        promedios.litros,
        promedios.horas_con_lectura,
        promedios.horas_medidas,
        promedios.desvio_reloj_s,
        promedios.carga_id,
        promedios.dias_previos,
        round(promedios.promedio_l) as promedio_l,
        vigencias.cuenta_activa,
        vigencias.fecha_retiro,
        {{ umbral_agua('R-AGUA-17', 'veces_alta', 'vigencias.categoria') }} as veces_alta
    from promedios
    {%- if is_incremental() %}
    inner join dias_afectados
        on promedios.medidor_id = dias_afectados.medidor_id and promedios.dia = dias_afectados.dia
    {%- endif %}
    {{ con_vigencia('promedios', 'promedios.dia') }}
),

decisiones as (
    select
        medidor_id,
        dia,
        'R-AGUA-17'::text as regla_id,
        litros,
        promedio_l as referencia,
        case when litros > promedio_l then 'alto' else 'bajo' end as detalle,
        carga_id
    from por_dia
    where
        dias_previos >= {{ umbral_agua('R-AGUA-17', 'dias_minimos') }}
        and horas_con_lectura >= 20
        and (
            (
                litros > promedio_l * veces_alta
                and litros - promedio_l >= {{ umbral_agua('R-AGUA-17', 'diferencia_minima_l') }}
            )
            or (
                promedio_l >= {{ umbral_agua('R-AGUA-17', 'promedio_minimo_l') }}
                and litros > 0
                and litros < promedio_l * {{ umbral_agua('R-AGUA-17', 'fraccion_baja') }}
            )
        )
    union all
    select
        medidor_id,
        dia,
        'R-AGUA-18',
        litros,
        null,
        case when fecha_retiro < dia then 'medidor retirado' else 'cuenta inactiva' end,
        carga_id
    from por_dia
    where litros > 0 and (not cuenta_activa or fecha_retiro < dia)
    union all
    select
        medidor_id,
        dia,
        'R-AGUA-19',
        litros,
        desvio_reloj_s,
        case when desvio_reloj_s > 0 then 'atrasa' else 'adelanta' end,
        carga_id
    from por_dia
    where horas_medidas >= 20 and abs(desvio_reloj_s) >= {{ umbral_agua('R-AGUA-19', 'deriva_maxima_s') }}
)

select
    medidor_id,
    dia,
    regla_id,
    'marcado'::text as accion,
    litros::bigint as litros,
    referencia::bigint as referencia,
    detalle,
    carga_id
from decisiones
order by medidor_id, dia, regla_id
