{#- Findings of the water register, bills, samples and macro-meters. Readings have a file of their own. -#}
{%- set cuentas = ref('stg_aguas__cuentas') -%}
{%- set medidores = ref('stg_aguas__medidores') -%}
with
dias_macromedidor as (
    select
        macromedidor_id,
        generate_series(min(fecha), max(fecha), interval '1 day')::date as fecha
    from {{ ref('stg_aguas__lecturas_macromedidor') }}
    group by macromedidor_id
),

dias_faltantes as (
    select
        dias.macromedidor_id,
        dias.fecha
    from dias_macromedidor as dias
    left join {{ ref('stg_aguas__lecturas_macromedidor') }} as lecturas
        on dias.macromedidor_id = lecturas.macromedidor_id and dias.fecha = lecturas.fecha
    where lecturas.macromedidor_id is null
),

medidores_retirados as (
    select
        medidores.medidor_id,
        medidores.fecha_retiro,
        sum(consumo.horas_con_lectura) as horas
    from {{ medidores }} as medidores
    inner join {{ ref('fct_consumo_diario') }} as consumo on medidores.medidor_id = consumo.medidor_id
    where consumo.dia > medidores.fecha_retiro
    group by medidores.medidor_id, medidores.fecha_retiro
),

cuentas_inactivas as (
    select
        cuentas.cuenta_id,
        sum(consumo.litros) as litros
    from {{ cuentas }} as cuentas
    inner join {{ ref('fct_consumo_mensual_cuenta') }} as consumo on cuentas.cuenta_id = consumo.cuenta_id
    where not cuentas.activa
    group by cuentas.cuenta_id
),

meses_completos as (
    select
        cuenta_id,
        mes,
        litros / 1000.0 as m3_medidos
    from {{ ref('fct_consumo_mensual_cuenta') }}
    where
        cuenta_id is not null
        and medidores = 1
        and dias_con_lectura = extract(day from mes + interval '1 month' - interval '1 day')
),

facturas_medidas as (
    select
        facturas.factura_id,
        facturas.periodo,
        facturas.m3_facturados,
        meses.m3_medidos
    from {{ ref('stg_aguas__facturacion') }} as facturas
    inner join meses_completos as meses
        on facturas.cuenta_id = meses.cuenta_id and date_trunc('month', facturas.periodo)::date = meses.mes
    where facturas.estado is distinct from 'anulada'
)

{{ hallazgo_huerfano('aguas.cuentas', cuentas, 'cuenta_id', 'zona_id', ref('stg_aguas__zonas'), 'zona_id') }}
union all
{{ hallazgo_huerfano('aguas.medidores', medidores, 'medidor_id', 'cuenta_id', cuentas, 'cuenta_id') }}
union all
{{ hallazgo_huerfano('aguas.medidores', medidores, 'medidor_id', 'zona_id', ref('stg_aguas__zonas'), 'zona_id') }}
union all
{{ hallazgo_huerfano(
    'aguas.macromedidores',
    ref('stg_aguas__macromedidores'),
    'macromedidor_id',
    'zona_id',
    ref('stg_aguas__zonas'),
    'zona_id'
) }}
union all
{{ hallazgo_huerfano(
    'aguas.lecturas_macromedidor',
    ref('stg_aguas__lecturas_macromedidor'),
    'macromedidor_id',
    'macromedidor_id',
    ref('stg_aguas__macromedidores'),
    'macromedidor_id'
) }}
union all
{{ hallazgo_huerfano(
    'aguas.facturacion',
    ref('stg_aguas__facturacion'),
    'factura_id',
    'cuenta_id',
    cuentas,
    'cuenta_id'
) }}
union all
{{ hallazgo_huerfano(
    'aguas.red_infraestructura',
    ref('stg_aguas__red_infraestructura'),
    'elemento_id',
    'zona_id',
    ref('stg_aguas__zonas'),
    'zona_id'
) }}
union all
{{ hallazgo_huerfano(
    'aguas.calidad_agua',
    ref('stg_aguas__calidad_agua'),
    'muestra_id',
    'zona_id',
    ref('stg_aguas__zonas'),
    'zona_id'
) }}
union all
{{ hallazgo(
    'aguas.cuentas', 'R-CUENTA-01', 'cuenta_id', "'La cuenta no tiene zona.'", cuentas, 'zona_id is null',
    columna='zona_id'
) }}
union all
{{ hallazgo(
    'aguas.cuentas', 'R-CUENTA-02', 'cuenta_id',
    "'La cuenta está inactiva y su medidor registró ' || litros || ' litros.'", 'cuentas_inactivas', 'litros > 0',
    columna='activa'
) }}
union all
{{ hallazgo(
    'aguas.medidores', 'R-MEDIDOR-01', 'medidor_id', "'El medidor no está asociado a ninguna cuenta.'",
    medidores, "cuenta_id is null and estado is distinct from 'retirado'", columna='cuenta_id'
) }}
union all
{{ hallazgo(
    'aguas.medidores', 'R-MEDIDOR-03', 'medidor_id',
    "'El medidor fue retirado el ' || to_char(fecha_retiro, 'DD/MM/YYYY') || ' y siguen llegando lecturas (' || horas || ' horas).'",
    'medidores_retirados', 'true', columna='fecha_retiro'
) }}
union all
{{ hallazgo(
    'aguas.lecturas_macromedidor', 'R-MACRO-01', "macromedidor_id || '|' || fecha",
    "'Falta el volumen del ' || to_char(fecha, 'DD/MM/YYYY') || '.'", 'dias_faltantes', 'true', filas='0',
    columna='fecha'
) }}
union all
{{ hallazgo(
    'aguas.lecturas_macromedidor', 'R-MACRO-02', "macromedidor_id || '|' || fecha",
    "'El volumen (' || volumen_m3 || ' m3) supera el máximo de un día (' || volumen_maximo_m3 || ' m3).'",
    ref('fct_volumen_macromedidor'), 'supera_maximo', columna='volumen_m3'
) }}
union all
{{ hallazgo(
    'aguas.facturacion', 'R-FACTURA-01', 'factura_id', "'El importe es negativo.'",
    ref('stg_aguas__facturacion'), 'importe_ars < 0', columna='importe_ars'
) }}
union all
{{ hallazgo_repetido(
    'aguas.facturacion', 'R-FACTURA-02', ref('stg_aguas__facturacion'), 'factura_id', ['cuenta_id', 'periodo'],
    "'Ya existe la factura ' || clave_primera || ' de la misma cuenta y período.'",
    "estado is distinct from 'anulada' and cuenta_id is not null"
) }}
union all
{{ hallazgo(
    'aguas.facturacion', 'R-FACTURA-03', 'factura_id',
    "'Se facturaron ' || m3_facturados || ' m3 y el medidor registró ' || round(m3_medidos, 1) || ' m3.'",
    'facturas_medidas',
    'abs(m3_facturados - m3_medidos) > ' ~ umbral_agua('R-FACTURA-03', 'diferencia_minima_m3')
    ~ ' and abs(m3_facturados - m3_medidos) * 100 > m3_medidos * '
    ~ umbral_agua('R-FACTURA-03', 'diferencia_minima_pct'),
    columna='m3_facturados'
) }}
union all
{{ hallazgo(
    'aguas.calidad_agua', 'R-CALIDAD-AGUA-01', 'muestra_id',
    "parametro_nombre || ' ' || trim_scale(valor) || ' ' || unidad || ' en ' || coalesce(punto, 'punto sin nombre') || ': fuera del límite.'",
    ref('fct_calidad_agua'), 'not cumple_limite', columna='valor', filas='0'
) }}
