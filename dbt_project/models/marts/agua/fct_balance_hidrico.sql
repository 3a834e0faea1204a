{#-
    Water balance of a zone and month in IWA terms. Input is what the zone's inlet meters gave; authorised is
    what was billed (void and negative bills left out): unbilled authorised use is not reported and stays
    unknown, so losses include it. UARL = (18·Lm + 0.8·Nc + 25·Lp)·P litres per day, quoted as valid above
    5,000 connections, 20 per km and between 25 and 100 m of pressure; without a stated pressure
    (reglas_agua, R-BALANCE-01 presion_media_m) there is none. The index is given only where it is valid, with the
    reason in ili_motivo elsewhere. Lp, private pipe, is not known and taken as 0.
-#}
with
ingresos as (
    select
        zona_id,
        date_trunc('month', fecha::timestamp)::date as mes,
        sum(volumen_m3) as ingreso_m3,
        count(distinct fecha) filter (where volumen_m3 is not null) as dias_con_ingreso,
        bool_or(supera_maximo) as ingreso_dudoso
    from {{ ref('fct_volumen_macromedidor') }}
    where tipo = 'ingreso_zona' and zona_id is not null
    group by zona_id, date_trunc('month', fecha::timestamp)
),

facturas as (
    select
        cuentas.zona_id,
        date_trunc('month', facturas.periodo::timestamp)::date as mes,
        sum(facturas.m3_facturados) as facturado_m3
    from {{ ref('stg_aguas__facturacion') }} as facturas
    inner join {{ ref('stg_aguas__cuentas') }} as cuentas on facturas.cuenta_id = cuentas.cuenta_id
    where (facturas.estado is distinct from 'anulada') and facturas.importe_ars >= 0
    group by cuentas.zona_id, date_trunc('month', facturas.periodo::timestamp)
),

redes as (
    select
        zona_id,
        sum(longitud_m) / 1000 as red_km
    from {{ ref('dim_elemento_red') }}
    where tipo = 'cañería' and estado = 'en servicio'
    group by zona_id
),

terminos as (
    select
        ingresos.zona_id,
        ingresos.mes,
        ingresos.ingreso_m3,
        facturas.facturado_m3,
        medidos.litros / 1000.0 as micromedido_m3,
        -- A bill is of the whole month: against fewer days of input it would hide losses.
        case
            when ingresos.dias_con_ingreso = extract(day from ingresos.mes + interval '1 month' - interval '1 day')
                then ingresos.ingreso_m3 - facturas.facturado_m3
        end as perdidas_m3,
        ingresos.dias_con_ingreso,
        ingresos.ingreso_dudoso,
        zonas.cuentas_activas as conexiones,
        redes.red_km,
        extract(day from ingresos.mes + interval '1 month' - interval '1 day') as dias_del_mes,
        {{ umbral_agua('R-BALANCE-01', 'presion_media_m') }} as presion_m
    from ingresos
    left join facturas on ingresos.zona_id = facturas.zona_id and ingresos.mes = facturas.mes
    left join {{ ref('fct_consumo_mensual_zona') }} as medidos
        on ingresos.zona_id = medidos.zona_id and ingresos.mes = medidos.mes
    left join {{ ref('dim_zona') }} as zonas on ingresos.zona_id = zonas.zona_id
    left join redes on ingresos.zona_id = redes.zona_id
),

inevitables as (
    select
        *,
        (18 * red_km + 0.8 * conexiones) * presion_m as uarl_l_dia
    from terminos
),

-- The first condition that is not met; none when the index may be quoted.
condiciones as (
    select
        *,
        case
            when presion_m is null then 'Falta la presión media (R-BALANCE-01).'
            when coalesce(red_km, 0) = 0 then 'Falta la red en servicio de la zona.'
            when coalesce(conexiones, 0) <= 5000 then 'La zona tiene 5.000 conexiones o menos.'
            when conexiones <= 20 * red_km then 'La zona tiene 20 conexiones por km o menos.'
            when presion_m not between 25 and 100 then 'La presión media no está entre 25 y 100 m.'
            when dias_con_ingreso < dias_del_mes then 'Faltan días de ingreso en el mes.'
            when perdidas_m3 is null then 'No hay facturas del mes.'
        end as ili_motivo
    from inevitables
)

select
    zona_id,
    mes,
    ingreso_m3::numeric(14, 3) as ingreso_m3,
    facturado_m3::numeric(14, 3) as facturado_m3,
    micromedido_m3::numeric(14, 3) as micromedido_m3,
    perdidas_m3::numeric(14, 3) as perdidas_m3,
    round(100 * perdidas_m3 / nullif(ingreso_m3, 0), 1)::numeric(7, 1) as perdidas_pct,
    round(perdidas_m3 * 1000 / nullif(conexiones, 0) / nullif(dias_con_ingreso, 0), 1)::numeric(12, 1)
        as perdidas_l_conexion_dia,
    conexiones,
    red_km::numeric(12, 3) as red_km,
    uarl_l_dia::numeric(14, 1) as uarl_l_dia,
    case
        when ili_motivo is null
            then round(perdidas_m3 * 1000 / nullif(dias_con_ingreso, 0) / nullif(uarl_l_dia, 0), 2)
    end::numeric(10, 2) as ili,
    ili_motivo is null as ili_valido,
    ili_motivo,
    dias_con_ingreso::integer as dias_con_ingreso,
    dias_con_ingreso = dias_del_mes as mes_completo,
    coalesce(ingreso_dudoso, false) as ingreso_dudoso
from condiciones
