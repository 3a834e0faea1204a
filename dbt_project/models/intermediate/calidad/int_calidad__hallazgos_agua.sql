{#- Findings of the water register, bills, samples and macro-meters. Readings have a file of their own. -#}
{%- set cuentas = ref('stg_aguas__cuentas') -%}
{%- set medidores = ref('stg_aguas__medidores') -%}
{%- set reportes = ref('stg_aguas__reportes_servicio') -%}
with
huecos_macromedidor as (
    select
        macromedidor_id,
        fecha + 1 as desde,
        lead(fecha) over (partition by macromedidor_id order by fecha) - 1 as hasta
    from {{ ref('stg_aguas__lecturas_macromedidor') }}
    where fecha <= {{ fecha_referencia() }}
),

-- Day by day, but a hole of more than a year is one finding: one wrong year must not turn into thousands of them.
dias_faltantes as (
    select
        huecos.macromedidor_id,
        dias.dia::date as fecha,
        case when huecos.hasta - huecos.desde > 366 then huecos.hasta end as hasta
    from huecos_macromedidor as huecos
    cross join lateral generate_series(
        huecos.desde,
        case when huecos.hasta - huecos.desde > 366 then huecos.desde else huecos.hasta end,
        interval '1 day'
    ) as dias (dia)
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

medidores_sin_instalar as (
    select
        medidores.medidor_id,
        medidores.fecha_instalacion,
        sum(consumo.horas_con_lectura) as horas
    from {{ medidores }} as medidores
    inner join {{ ref('fct_consumo_diario') }} as consumo on medidores.medidor_id = consumo.medidor_id
    where consumo.dia < medidores.fecha_instalacion
    group by medidores.medidor_id, medidores.fecha_instalacion
),

medidores_de_otra_zona as (
    select
        medidores.medidor_id,
        medidores.zona_id,
        cuentas.zona_id as zona_de_la_cuenta
    from {{ medidores }} as medidores
    inner join {{ cuentas }} as cuentas on medidores.cuenta_id = cuentas.cuenta_id
    where medidores.zona_id <> cuentas.zona_id
),

-- A meter of a provider that fell silent counts, too: the day is compared with the calendar.
ultimas_lecturas as (
    select
        medidor_id,
        {{ dia_local('max(ultima_lectura)') }} as ultimo_dia
    from {{ ref('fct_consumo_mensual_medidor') }}
    group by medidor_id
),

telemetria_conectada as (
    select count(*) > 0 as hay_lecturas
    from ultimas_lecturas
),

medidores_mudos as (
    select
        medidores.medidor_id,
        ultimas_lecturas.ultimo_dia
    from {{ medidores }} as medidores
    cross join telemetria_conectada
    left join ultimas_lecturas on medidores.medidor_id = ultimas_lecturas.medidor_id
    where
        telemetria_conectada.hay_lecturas
        and medidores.estado = 'activo'
        and medidores.tipo_telemetria in ('csv', 'lorawan')
        and coalesce(ultimas_lecturas.ultimo_dia, medidores.fecha_instalacion)
        < {{ fecha_referencia() }} - 1 - {{ umbral_agua('R-MEDIDOR-07', 'dias') }}::integer
),

-- Only the last days: the whole history would be read again at every build.
medidores_en_otra_unidad as (
    select
        medidores.medidor_id,
        medidores.unidad,
        count(*) as lecturas
    from {{ medidores }} as medidores
    inner join {{ ref('stg_telemetria__lecturas') }} as lecturas on medidores.medidor_id = lecturas.medidor_id
    where
        lecturas.fecha_hora >= {{ inicio_dia(fecha_referencia() ~ ' - 3') }}
        and lower(lecturas.unidad_original) <> lower(medidores.unidad)
    group by medidores.medidor_id, medidores.unidad
),

ingresos as (
    select
        zona_id,
        fecha,
        sum(volumen_m3) as ingreso_m3
    from {{ ref('fct_volumen_macromedidor') }}
    where tipo = 'ingreso_zona' and zona_id is not null and volumen_m3 >= 0
    group by zona_id, fecha
),

consumos_de_zona as (
    select
        zona_id,
        dia,
        -- What passed in a gap is known, its day is not.
        (litros - litros_en_huecos) / 1000.0 as consumo_m3
    from {{ ref('fct_consumo_diario_zona') }}
    where zona_id is not null
),

balances_imposibles as (
    select
        ingresos.zona_id,
        ingresos.fecha,
        ingresos.ingreso_m3,
        consumos_de_zona.consumo_m3
    from ingresos
    inner join consumos_de_zona on ingresos.zona_id = consumos_de_zona.zona_id and ingresos.fecha = consumos_de_zona.dia
    -- Readings and macro-meters do not close the day at the same minute.
    where
        consumos_de_zona.consumo_m3 - ingresos.ingreso_m3 >= {{ umbral_agua('R-MACRO-03', 'diferencia_minima_m3') }}
        and ingresos.ingreso_m3 * 100
        < consumos_de_zona.consumo_m3 * (100 - {{ umbral_agua('R-MACRO-03', 'tolerancia_pct') }})
),

volumenes as (
    select
        macromedidor_id,
        fecha,
        volumen_m3,
        fecha - (row_number() over (partition by macromedidor_id, volumen_m3 order by fecha))::integer as racha
    from {{ ref('stg_aguas__lecturas_macromedidor') }}
    where volumen_m3 > 0
),

volumenes_repetidos as (
    select
        macromedidor_id,
        volumen_m3,
        min(fecha) as desde,
        count(*) as dias
    from volumenes
    group by macromedidor_id, volumen_m3, racha
    having count(*) >= {{ umbral_agua('R-MACRO-04', 'dias') }}
),

habitos_de_facturacion as (
    select
        cuenta_id,
        percentile_cont(0.5) within group (order by importe) as importe,
        percentile_cont(0.5) within group (order by m3_facturados) as m3_facturados
    from {{ ref('stg_aguas__facturacion') }}
    where importe > 0 and estado is distinct from 'anulada'
    group by cuenta_id
    having count(*) >= 4
),

importes_desproporcionados as (
    select
        facturas.factura_id,
        facturas.importe,
        habitos.importe as importe_habitual
    from {{ ref('stg_aguas__facturacion') }} as facturas
    inner join habitos_de_facturacion as habitos on facturas.cuenta_id = habitos.cuenta_id
    where
        facturas.importe > 0
        and greatest(facturas.importe / habitos.importe, habitos.importe / facturas.importe)
        >= {{ umbral_agua('R-FACTURA-04', 'veces_importe') }}
        and coalesce(facturas.m3_facturados, 0)
        between habitos.m3_facturados / {{ umbral_agua('R-FACTURA-04', 'veces_volumen') }}
        and habitos.m3_facturados * {{ umbral_agua('R-FACTURA-04', 'veces_volumen') }}
),

emisiones as (
    select
        date_trunc('month', periodo)::date as mes,
        count(distinct cuenta_id) as cuentas
    from {{ ref('stg_aguas__facturacion') }}
    where periodo <= {{ fecha_referencia() }}
    group by date_trunc('month', periodo)::date
),

-- The last month of which most was issued: while an issue is under way nobody is missing from it.
ultima_emision as (
    select max(ultima.mes) as mes
    from emisiones as ultima
    inner join emisiones as anterior on ultima.mes = anterior.mes + interval '1 month'
    where ultima.cuentas * 100 >= anterior.cuentas * {{ umbral_agua('R-FACTURA-05', 'emision_minima_pct') }}
),

cuentas_sin_factura as (
    select
        cuentas.cuenta_id,
        ultima_emision.mes
    from {{ cuentas }} as cuentas
    cross join ultima_emision
    where
        cuentas.activa
        and exists (
            select 1
            from {{ ref('stg_aguas__facturacion') }} as anterior
            where
                anterior.cuenta_id = cuentas.cuenta_id
                and date_trunc('month', anterior.periodo) = ultima_emision.mes - interval '1 month'
        )
        and not exists (
            select 1
            from {{ ref('stg_aguas__facturacion') }} as actual
            where
                actual.cuenta_id = cuentas.cuenta_id
                and date_trunc('month', actual.periodo) = ultima_emision.mes
        )
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
),

energia_sin_estacion as (
    select
        energia.estacion_id,
        energia.periodo
    from {{ ref('stg_aguas__energia_bombeo') }} as energia
    left join {{ ref('stg_aguas__red_infraestructura') }} as red on energia.estacion_id = red.elemento_id
    where red.elemento_id is null
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
    "'La cuenta está inactiva y su medidor registró ' || " ~ con_coma('litros') ~ " || ' litros.'", 'cuentas_inactivas', 'litros > 0',
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
    "'Falta el volumen del ' || to_char(fecha, 'DD/MM/YYYY') || coalesce(' al ' || to_char(hasta, 'DD/MM/YYYY'), '') || '.'"
    ~ " || case when hasta is null then '' else ' Si ese hueco no es cierto, revise el año de la lectura anterior o de la siguiente.' end",
    'dias_faltantes', 'true', filas='0',
    columna='fecha'
) }}
union all
{{ hallazgo(
    'aguas.lecturas_macromedidor', 'R-MACRO-02', "macromedidor_id || '|' || fecha",
    "'El volumen (' || " ~ con_coma('volumen_m3') ~ " || ' m3) supera el máximo de un día (' || " ~ con_coma('volumen_maximo_m3') ~ " || ' m3).'",
    ref('fct_volumen_macromedidor'), 'supera_maximo', columna='volumen_m3'
) }}
union all
{{ hallazgo(
    'aguas.facturacion', 'R-FACTURA-01', 'factura_id', "'El importe es negativo.'",
    ref('stg_aguas__facturacion'), 'importe < 0', columna='importe'
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
    "'Se facturaron ' || " ~ con_coma('m3_facturados') ~ " || ' m3 y el medidor registró ' || " ~ con_coma('round(m3_medidos, 1)') ~ " || ' m3.'",
    'facturas_medidas',
    'abs(m3_facturados - m3_medidos) > ' ~ umbral_agua('R-FACTURA-03', 'diferencia_minima_m3')
    ~ ' and abs(m3_facturados - m3_medidos) * 100 > m3_medidos * '
    ~ umbral_agua('R-FACTURA-03', 'diferencia_minima_pct'),
    columna='m3_facturados'
) }}
union all
{{ hallazgo(
    'aguas.calidad_agua', 'R-CALIDAD-AGUA-01', 'muestra_id',
    "parametro_nombre || ' ' || " ~ con_coma('trim_scale(valor)') ~ " || ' ' || unidad || ' en ' || coalesce(punto, 'punto sin nombre') || ': fuera del límite.'",
    ref('fct_calidad_agua'), 'not cumple_limite', columna='valor', filas='0'
) }}
union all
{{ hallazgo(
    'aguas.calidad_agua', 'R-CALIDAD-AGUA-02', 'muestra_id',
    "'La unidad es ' || coalesce(unidad, '(sin dato)') || ' y el límite de ' || parametro_nombre || ' está en otra: no se puede comparar.'",
    ref('fct_calidad_agua'),
    'valor is not null and coalesce(limite_minimo, limite_maximo) is not null and cumple_limite is null',
    columna='unidad'
) }}
union all
{{ hallazgo_repetido(
    'aguas.calidad_agua', 'R-DUPLICADO-01', ref('stg_aguas__calidad_agua'), 'muestra_id',
    ['punto', 'zona_id', 'fecha_hora', 'parametro', 'valor', 'laboratorio'],
    "'Es igual a la muestra ' || clave_primera || ' salvo por el número.'", 'parametro is not null'
) }}
union all
{{ hallazgo_futuro(
    'aguas.calidad_agua', 'muestra_id', 'fecha_hora', ref('stg_aguas__calidad_agua'), dia_local('fecha_hora')
) }}
union all
{{ hallazgo_futuro('aguas.cuentas', 'cuenta_id', 'fecha_alta', cuentas) }}
union all
{{ hallazgo_repetido(
    'aguas.cuentas', 'R-CLAVE-02', cuentas, 'cuenta_id', ['numero_cuenta'],
    "'El número ya es de la cuenta ' || clave_primera || '.'", 'numero_cuenta is not null'
) }}
union all
{{ hallazgo_futuro('aguas.medidores', 'medidor_id', 'fecha_instalacion', medidores) }}
union all
{{ hallazgo(
    'aguas.medidores', 'R-FECHA-03', 'medidor_id', "'El retiro es anterior a la instalación.'",
    medidores, 'fecha_retiro < fecha_instalacion', columna='fecha_retiro'
) }}
union all
{{ hallazgo_sin_fecha('aguas.medidores', 'medidor_id', 'fecha_retiro', medidores, 'retirado') }}
union all
{{ hallazgo(
    'aguas.medidores', 'R-MEDIDOR-05', 'medidor_id',
    "'Figura instalado el ' || to_char(fecha_instalacion, 'DD/MM/YYYY') || ' y hay lecturas anteriores' || coalesce(' (' || nullif(horas, 0) || ' horas)', '') || '.'",
    'medidores_sin_instalar', 'true', columna='fecha_instalacion'
) }}
union all
{{ hallazgo(
    'aguas.medidores', 'R-MEDIDOR-06', 'medidor_id',
    "'El medidor figura en la zona ' || zona_id || ' y su cuenta en la ' || zona_de_la_cuenta || '.'",
    'medidores_de_otra_zona', 'true', columna='zona_id'
) }}
union all
{{ hallazgo(
    'aguas.medidores', 'R-MEDIDOR-07', 'medidor_id',
    "'No llegan lecturas ' || coalesce('desde el ' || to_char(ultimo_dia, 'DD/MM/YYYY'), 'desde que se instaló') || '.'",
    'medidores_mudos', 'true', filas='0'
) }}
union all
{{ hallazgo(
    'aguas.medidores', 'R-MEDIDOR-08', 'medidor_id',
    "'El padrón dice ' || unidad || ' y las lecturas llegan en otra unidad (' || lecturas || ' en los últimos días).'",
    'medidores_en_otra_unidad', 'true', columna='unidad'
) }}
union all
{{ hallazgo_futuro('aguas.lecturas_macromedidor', "macromedidor_id || '|' || fecha", 'fecha',
    ref('stg_aguas__lecturas_macromedidor')) }}
union all
{{ hallazgo(
    'aguas.lecturas_macromedidor', 'R-MACRO-03', "'zona ' || zona_id || '|' || fecha",
    "'Entraron ' || " ~ con_coma('round(ingreso_m3, 1)') ~ " || ' m3 y los medidores de la zona registraron ' || " ~ con_coma('round(consumo_m3, 1)') ~ " || ' m3.'",
    'balances_imposibles', 'true', columna='volumen_m3'
) }}
union all
{{ hallazgo(
    'aguas.lecturas_macromedidor', 'R-MACRO-04', "macromedidor_id || '|' || desde",
    "'Informó ' || " ~ con_coma('volumen_m3') ~ " || ' m3 ' || dias || ' días seguidos.'",
    'volumenes_repetidos', 'true', filas='dias', columna='volumen_m3'
) }}
union all
{{ hallazgo_futuro(
    'aguas.facturacion', 'factura_id', 'periodo', ref('stg_aguas__facturacion'), "(periodo - interval '1 month')::date"
) }}
union all
{{ hallazgo(
    'aguas.facturacion', 'R-FECHA-03', 'factura_id', "'El vencimiento es anterior al período facturado.'",
    ref('stg_aguas__facturacion'), 'vencimiento < periodo', columna='vencimiento'
) }}
union all
{{ hallazgo(
    'aguas.facturacion', 'R-FACTURA-04', 'factura_id',
    "'El importe es ' || " ~ con_coma('importe') ~ " || ' y el habitual de la cuenta, ' || " ~ con_coma('round(importe_habitual::numeric)') ~ " || '; el volumen es el de siempre.'",
    'importes_desproporcionados', 'true', columna='importe'
) }}
union all
{{ hallazgo(
    'aguas.facturacion', 'R-FACTURA-05', "'cuenta ' || cuenta_id || '|' || mes",
    "'La cuenta ' || cuenta_id || ' está activa y no tiene factura de ' || to_char(mes, 'MM/YYYY') || '.'",
    'cuentas_sin_factura', 'true', filas='0'
) }}
union all
{{ hallazgo(
    'aguas.energia_bombeo', 'R-CLAVE-01', "estacion_id || '|' || periodo",
    "'La factura de ' || to_char(periodo, 'MM/YYYY') || ' apunta a estacion_id ' || estacion_id || ', que no existe.'",
    'energia_sin_estacion', 'true', columna='estacion_id'
) }}
union all
{{ hallazgo(
    'aguas.energia_bombeo', 'R-ENERGIA-01', "estacion_id || '|' || mes",
    "'Usó ' || " ~ con_coma('round(kwh_por_m3, 2)') ~ " || ' kWh por m3 y lo habitual en la estación es ' || " ~ con_coma('round(kwh_por_m3_habitual, 2)') ~ " || '.'",
    ref('fct_energia_bombeo'), 'es_dudoso', columna='energia_kwh'
) }}
union all
{{ hallazgo_futuro(
    'aguas.energia_bombeo', "estacion_id || '|' || periodo", 'periodo', ref('stg_aguas__energia_bombeo')
) }}
union all
{{ hallazgo_huerfano(
    'aguas.reportes_servicio', reportes, 'reporte_id', 'zona_id', ref('stg_aguas__zonas'), 'zona_id'
) }}
union all
{{ hallazgo_huerfano(
    'aguas.reportes_servicio', reportes, 'reporte_id', 'elemento_id', ref('stg_aguas__red_infraestructura'), 'elemento_id'
) }}
union all
{{ hallazgo_huerfano(
    'aguas.reportes_servicio', reportes, 'reporte_id', 'solicitud_id', ref('stg_citymis__solicitudes'), 'solicitud_id'
) }}
union all
{{ hallazgo_repetido(
    'aguas.reportes_servicio', 'R-DUPLICADO-01', reportes, 'reporte_id', columnas_de_reporte(),
    "'Es igual al reporte ' || clave_primera || ' salvo por el número.'", 'fecha_reporte is not null'
) }}
union all
{{ hallazgo(
    'aguas.reportes_servicio', 'R-FECHA-03', 'reporte_id', "'La reparación es anterior al reporte.'",
    reportes, 'fecha_reparacion < fecha_reporte', columna='fecha_reparacion'
) }}
union all
{{ hallazgo_sin_fecha('aguas.reportes_servicio', 'reporte_id', 'fecha_reparacion', reportes, 'reparado') }}
union all
{{ hallazgo_futuro('aguas.reportes_servicio', 'reporte_id', 'fecha_reporte', reportes, dia_local('fecha_reporte')) }}
