{#-
    Water balance of a zone and month in IWA terms. Input is what the zone's inlet meters gave; authorised is
    what was billed (void and negative bills left out): unbilled authorised use is not reported and stays
    unknown, so losses include it. UARL = (18·Lm + 0.8·Nc + 25·Lp)·P litres per day, quoted as valid above
    5,000 connections, 20 per km and between 25 and 100 m of pressure; without a stated pressure
    (reglas_agua, R-BALANCE-01 presion_media_m) there is none. The index is given only where it is valid, with the
    reason in ili_motivo elsewhere; it is that of real losses. Lp, private pipe, is not known and taken as 0.
    A day has its input when every inlet of the zone told its volume: one that is silent since some day let water in all the
    same, until the register has it no more. Amounts are wide: one absurd reading is a finding, not the end of the table.
-#}
with
volumenes as (
    select
        zona_id,
        macromedidor_id,
        fecha,
        volumen_m3,
        supera_maximo,
        min(fecha) over (partition by zona_id, macromedidor_id) as primera_fecha
    from {{ ref('fct_volumen_macromedidor') }}
    where tipo = 'ingreso_zona' and zona_id is not null
),

comienzos as (
    select distinct
        zona_id,
        macromedidor_id,
        primera_fecha
    from volumenes
),

dias as (
    select
        volumenes.zona_id,
        volumenes.fecha,
        sum(volumenes.volumen_m3) as ingreso_m3,
        bool_or(volumenes.supera_maximo) as ingreso_dudoso,
        count(volumenes.volumen_m3) = (
            select count(*)
            from comienzos
            where comienzos.zona_id = volumenes.zona_id and comienzos.primera_fecha <= volumenes.fecha
        ) as esta_completo
    from volumenes
    group by volumenes.zona_id, volumenes.fecha
),

ingresos as (
    select
        zona_id,
        date_trunc('month', fecha::timestamp)::date as mes,
        sum(ingreso_m3) as ingreso_m3,
        count(*) filter (where esta_completo) as dias_con_ingreso,
        bool_or(ingreso_dudoso) as ingreso_dudoso
    from dias
    group by zona_id, date_trunc('month', fecha::timestamp)
),

facturas as (
    select
        coalesce(vigencias.zona_id, cuentas.zona_id) as zona_id,
        date_trunc('month', facturas.periodo::timestamp)::date as mes,
        sum(facturas.m3_facturados) as facturado_m3
    from {{ ref('stg_aguas__facturacion') }} as facturas
    inner join {{ ref('stg_aguas__cuentas') }} as cuentas on facturas.cuenta_id = cuentas.cuenta_id
    left join lateral (
        select periodos.zona_id
        from {{ ref('int_agua__vigencias') }} as periodos
        where
            periodos.cuenta_id = facturas.cuenta_id
            and periodos.desde < date_trunc('month', facturas.periodo::timestamp) + interval '1 month'
            and periodos.hasta > date_trunc('month', facturas.periodo::timestamp)
        order by
            least(periodos.hasta, (date_trunc('month', facturas.periodo::timestamp) + interval '1 month')::date)
            - greatest(periodos.desde, date_trunc('month', facturas.periodo::timestamp)::date) desc,
            periodos.desde desc,
            periodos.medidor_id asc
        limit 1
    ) as vigencias on true
    where (facturas.estado is distinct from 'anulada') and coalesce(facturas.importe, 0) >= 0
    group by coalesce(vigencias.zona_id, cuentas.zona_id), date_trunc('month', facturas.periodo::timestamp)
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
    left join {{ ref('int_agua__redes_zona') }} as redes on ingresos.zona_id = redes.zona_id
),

supuestos as (
    select
        max(exactitud_95_pct) filter (where termino = 'ingreso') / 100 as error_ingreso,
        max(exactitud_95_pct) filter (where termino = 'facturado') / 100 as error_facturado,
        max(parte_pct) filter (where termino = 'autorizado_no_facturado') / 100 as parte_no_facturado,
        max(exactitud_95_pct) filter (where termino = 'autorizado_no_facturado') / 100 as error_no_facturado,
        max(parte_pct) filter (where termino = 'no_autorizado') / 100 as parte_no_autorizado,
        max(exactitud_95_pct) filter (where termino = 'no_autorizado') / 100 as error_no_autorizado,
        max(parte_pct) filter (where termino = 'error_de_medidores') / 100 as parte_medidores,
        max(exactitud_95_pct) filter (where termino = 'error_de_medidores') / 100 as error_medidores
    from {{ ref('terminos_balance') }}
),

-- Variances in squares of the half-width of 95 %: their ratio to the standard deviation is one for all terms.
propagados as (
    select
        terminos.*,
        terminos.ingreso_m3 * supuestos.parte_no_autorizado + terminos.facturado_m3 * supuestos.parte_medidores
            as aparentes_m3,
        terminos.ingreso_m3 * supuestos.parte_no_facturado as no_facturado_m3,
        (terminos.ingreso_m3 * supuestos.error_ingreso) ^ 2
        + (terminos.facturado_m3 * supuestos.error_facturado) ^ 2 as cuadrados_medidos,
        (terminos.ingreso_m3 * supuestos.parte_no_facturado * supuestos.error_no_facturado) ^ 2
        + (terminos.ingreso_m3 * supuestos.parte_no_autorizado * supuestos.error_no_autorizado) ^ 2
        + (terminos.facturado_m3 * supuestos.parte_medidores * supuestos.error_medidores) ^ 2 as cuadrados_supuestos
    from terminos
    cross join supuestos
),

inevitables as (
    select
        *,
        perdidas_m3 - no_facturado_m3 - aparentes_m3 as reales_m3,
        sqrt(cuadrados_medidos) as margen_m3,
        sqrt(cuadrados_medidos + cuadrados_supuestos) as margen_reales_m3,
        (18 * red_km + 0.8 * conexiones) * presion_m as uarl_l_dia
    from propagados
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
            when reales_m3 is null then 'Faltan términos del balance (terminos_balance).'
        end as ili_motivo
    from inevitables
)

select
    zona_id,
    mes,
    ingreso_m3::numeric(20, 3) as ingreso_m3,
    facturado_m3::numeric(20, 3) as facturado_m3,
    micromedido_m3::numeric(20, 3) as micromedido_m3,
    perdidas_m3::numeric(20, 3) as perdidas_m3,
    round(100 * perdidas_m3 / nullif(ingreso_m3, 0), 1)::numeric(20, 1) as perdidas_pct,
    round(perdidas_m3 * 1000 / nullif(conexiones, 0) / nullif(dias_con_ingreso, 0), 1)::numeric(20, 1)
        as perdidas_l_conexion_dia,
    case when perdidas_m3 is not null then perdidas_m3 - margen_m3 end::numeric(20, 3) as perdidas_minimo_m3,
    case when perdidas_m3 is not null then perdidas_m3 + margen_m3 end::numeric(20, 3) as perdidas_maximo_m3,
    case when perdidas_m3 is not null then aparentes_m3 end::numeric(20, 3) as perdidas_aparentes_m3,
    reales_m3::numeric(20, 3) as perdidas_reales_m3,
    (reales_m3 - margen_reales_m3)::numeric(20, 3) as perdidas_reales_minimo_m3,
    (reales_m3 + margen_reales_m3)::numeric(20, 3) as perdidas_reales_maximo_m3,
    round(reales_m3 * 1000 / nullif(conexiones, 0) / nullif(dias_con_ingreso, 0), 1)::numeric(20, 1)
        as perdidas_reales_l_conexion_dia,
    conexiones,
    red_km::numeric(12, 3) as red_km,
    uarl_l_dia::numeric(14, 1) as uarl_l_dia,
    case
        when ili_motivo is null
            then round(reales_m3 * 1000 / nullif(dias_con_ingreso, 0) / nullif(uarl_l_dia, 0), 2)
    end::numeric(10, 2) as ili,
    ili_motivo is null as ili_valido,
    ili_motivo,
    dias_con_ingreso::integer as dias_con_ingreso,
    dias_con_ingreso = dias_del_mes as mes_completo,
    coalesce(ingreso_dudoso, false) as ingreso_dudoso
from condiciones
