{#-
    Energy of a pumping station in a month, per cubic metre pumped. A month whose kWh/m3 is off the station's own
    median by the factor of R-ENERGIA-01 is marked and not compared with others; with fewer months than the rule asks for
    nobody knows, and the mark is null. Names come from staging: a red check on the inventory of the network is none on
    energy, which the findings read.
-#}
with
estaciones as (
    select
        elementos.elemento_id,
        min(elementos.nombre) as estacion_nombre,
        min(zonas.zona_id) as zona_id
    from {{ ref('stg_aguas__red_infraestructura') }} as elementos
    left join {{ ref('stg_aguas__zonas') }} as zonas on elementos.zona_id = zonas.zona_id
    group by elementos.elemento_id
),

meses as (
    select
        estacion_id,
        mes,
        sum(energia_kwh) as energia_kwh,
        case when count(volumen_bombeado_m3) = count(*) then sum(volumen_bombeado_m3) end as volumen_bombeado_m3,
        sum(importe) as importe
    from {{ ref('stg_aguas__energia_bombeo') }}
    group by estacion_id, mes
),

rendimientos as (
    select
        *,
        energia_kwh / nullif(volumen_bombeado_m3, 0) as kwh_por_m3
    from meses
),

habituales as (
    select
        estacion_id,
        percentile_cont(0.5) within group (order by kwh_por_m3) as kwh_por_m3
    from rendimientos
    where kwh_por_m3 is not null
    group by estacion_id
    having count(*) >= {{ umbral_agua('R-ENERGIA-01', 'meses_minimos') }}
)

select
    rendimientos.estacion_id,
    rendimientos.mes,
    estaciones.estacion_nombre,
    estaciones.zona_id,
    rendimientos.energia_kwh::numeric(16, 1) as energia_kwh,
    rendimientos.volumen_bombeado_m3::numeric(16, 3) as volumen_bombeado_m3,
    rendimientos.kwh_por_m3::numeric(24, 4) as kwh_por_m3,
    habituales.kwh_por_m3::numeric(24, 4) as kwh_por_m3_habitual,
    rendimientos.importe::numeric(16, 2) as importe,
    case
        when rendimientos.kwh_por_m3 is not null and habituales.kwh_por_m3 > 0
            then
                rendimientos.kwh_por_m3 >= habituales.kwh_por_m3 * {{ umbral_agua('R-ENERGIA-01', 'veces') }}
                or rendimientos.kwh_por_m3 * {{ umbral_agua('R-ENERGIA-01', 'veces') }} <= habituales.kwh_por_m3
    end as es_dudoso
from rendimientos
left join habituales on rendimientos.estacion_id = habituales.estacion_id
left join estaciones on rendimientos.estacion_id = estaciones.elemento_id
