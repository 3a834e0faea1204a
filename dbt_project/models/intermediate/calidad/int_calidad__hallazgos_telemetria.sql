{#-
    Findings of the readings: hours about which a rule has something to say (a partial index of
    fct_consumo_horario), the rest from days and months.
    The dataset is that of the load that brought the rows: several feeds share one table.
    `filas_afectadas` is 0 where the readings are sound: the water is unusual or the register incomplete.
-#}
with
cargas as (
    select
        carga_id,
        dataset
    from {{ source('meta', 'carga') }}
),

horas as (
    select
        medidor_id,
        hora,
        consumo_litros,
        diferencia_original_litros,
        regla_id,
        segundos,
        lecturas_en_conflicto,
        difiere_intervalo,
        carga_id
    from {{ ref('fct_consumo_horario') }}
    where
        regla_id in ('R-AGUA-04', 'R-AGUA-06', 'R-AGUA-07', 'R-AGUA-09')
        or lecturas_en_conflicto > 0
        or difiere_intervalo
),

-- Set aside before the hours are made, or about the time before an hour: no hour tells of them.
decisiones as (
    select
        carga_id,
        medidor_id,
        fecha_hora,
        fecha_hora_anterior,
        dia,
        regla_id,
        lectura_l,
        lecturas_descartadas
    from {{ ref('fct_decision_lectura') }}
    where regla_id in ('R-AGUA-12', 'R-AGUA-24', 'R-AGUA-25')
),

dobles as (
    select
        medidor_id,
        max(carga_id) as carga_id,
        min(dia) as desde,
        max(dia) as hasta,
        sum(lecturas_descartadas) as lecturas,
        sum(lecturas_descartadas) filter (where lectura_l is not null) as registros
    from decisiones
    where regla_id = 'R-AGUA-25'
    group by medidor_id
),

por_hora as (
    select
        horas.carga_id,
        horas.medidor_id || '|' || {{ hora_de_clave('horas.hora') }} as clave,
        reglas.regla_id,
        1 as filas_afectadas,
        reglas.descripcion
    from horas
    cross join
        lateral (
            values
            (
                case when horas.regla_id in ('R-AGUA-04', 'R-AGUA-06', 'R-AGUA-07', 'R-AGUA-09') then horas.regla_id end,
                case horas.regla_id
                    when 'R-AGUA-04'
                        then 'El registro retrocede ' || {{ con_coma('abs(horas.diferencia_original_litros)') }} || ' litros.'
                    when 'R-AGUA-06'
                        then
                            'El registro sube ' || {{ con_coma('horas.diferencia_original_litros') }}
                            || ' litros, más de lo que puede pasar por la conexión.'
                    when 'R-AGUA-07'
                        then 'La lectura no encaja entre la anterior y la siguiente.'
                    else
                        'Pasaron ' || {{ con_coma('round(horas.segundos / 3600.0, 1)') }} || ' horas sin lecturas; en ellas se consumieron '
                        || {{ con_coma('horas.consumo_litros') }} || ' litros.'
                end
            ),
            (
                case when horas.lecturas_en_conflicto > 0 then 'R-AGUA-03' end,
                'Hay dos lecturas distintas del mismo momento; se conservó la medida.'
            )
        ) as reglas (regla_id, descripcion)
    where reglas.regla_id is not null
),

intervalos as (
    select
        max(carga_id) as carga_id,
        medidor_id as clave,
        'R-AGUA-13'::text as regla_id,
        count(*)::integer as filas_afectadas,
        'En ' || count(*) || ' horas el consumo informado no es la diferencia de las lecturas.' as descripcion
    from horas
    where difiere_intervalo and regla_id is null
    group by medidor_id
),

-- Readings come every so many minutes (`paso_s`). A clock that jumps breaks the rhythm once or
-- twice; a meter that never kept it is another kind of meter.
relojes as (
    select
        medidor_id,
        min(dia) as desde,
        sum(horas_fuera_de_paso) as lecturas
    from {{ ref('fct_consumo_diario') }}
    where horas_fuera_de_paso > 0
    group by medidor_id
),

-- Days on which the flow did not vary; a run of them is one of equal values, so the others are not needed.
dias_iguales as (
    select
        medidor_id,
        dia,
        litros,
        horas_con_lectura,
        horas_medidas,
        caudal_minimo_lh,
        caudal_maximo_lh,
        carga_id,
        dia - (row_number() over (
            partition by medidor_id, litros = 0, caudal_minimo_lh = caudal_maximo_lh, caudal_maximo_lh
            order by dia
        ))::integer as racha
    from {{ ref('fct_consumo_diario') }}
    where litros = 0 or caudal_minimo_lh = caudal_maximo_lh
),

detenidos as (
    select
        medidor_id,
        max(carga_id) as carga_id,
        min(dia) as desde,
        max(dia) as hasta,
        count(*) as dias,
        sum(horas_con_lectura) as horas
    from dias_iguales
    where litros = 0 and horas_medidas >= 20
    group by medidor_id, racha
    having count(*) >= {{ umbral_agua('R-AGUA-10', 'dias') }}
),

detenidos_con_uso_previo as (
    select
        detenidos.carga_id,
        detenidos.medidor_id,
        detenidos.desde,
        detenidos.hasta,
        detenidos.dias,
        detenidos.horas,
        avg(dias.litros) as uso_previo
    from detenidos
    inner join {{ ref('fct_consumo_diario') }} as dias
        on detenidos.medidor_id = dias.medidor_id and detenidos.desde > dias.dia
    group by detenidos.carga_id, detenidos.medidor_id, detenidos.desde, detenidos.hasta, detenidos.dias, detenidos.horas
    having avg(dias.litros) >= {{ umbral_agua('R-AGUA-10', 'uso_previo_minimo_l_dia') }}
),

trabados as (
    select
        medidor_id,
        max(carga_id) as carga_id,
        min(dia) as desde,
        max(dia) as hasta,
        count(*) as dias,
        sum(horas_con_lectura) as horas,
        max(caudal_maximo_lh) as caudal_lh
    from dias_iguales
    where
        caudal_minimo_lh = caudal_maximo_lh
        and caudal_maximo_lh > 0
        and horas_medidas >= {{ umbral_agua('R-AGUA-11', 'horas_por_dia') }}
    group by medidor_id, racha
    having count(*) >= {{ umbral_agua('R-AGUA-11', 'dias') }}
),

-- Months know what days do: what is asked of every meter is asked of them.
resumen_por_medidor as (
    select
        medidor_id,
        sum(horas_con_lectura) as horas,
        min(primer_dia) as primer_dia,
        {{ dia_local('max(ultima_lectura)') }} as ultimo_dia
    from {{ ref('fct_consumo_mensual_medidor') }}
    group by medidor_id
),

-- The load that brought a meter's last day says which feed it belongs to.
origenes as (
    select
        resumen.medidor_id,
        diario.carga_id
    from resumen_por_medidor as resumen
    inner join {{ ref('fct_consumo_diario') }} as diario
        on resumen.medidor_id = diario.medidor_id and resumen.ultimo_dia = diario.dia
),

baterias as (
    select
        medidor_id,
        min(bateria_minima_mv) as bateria_mv
    from {{ ref('fct_consumo_diario') }}
    where bateria_minima_mv < 1000 * {{ umbral_agua('R-MEDIDOR-04', 'tension_minima_v') }}
    group by medidor_id
),

desconocidos as (
    select
        resumen.medidor_id,
        resumen.primer_dia as desde
    from resumen_por_medidor as resumen
    left join {{ ref('int_agua__medidores') }} as medidores on resumen.medidor_id = medidores.medidor_id
    where medidores.medidor_id is null
),

reunidos as (
    select
        carga_id,
        clave,
        regla_id,
        filas_afectadas,
        descripcion
    from por_hora
    union all
    select
        carga_id,
        clave,
        regla_id,
        filas_afectadas,
        descripcion
    from intervalos
    union all
    select
        carga_id,
        medidor_id || '|' || {{ hora_de_clave('fecha_hora') }},
        'R-AGUA-12',
        lecturas_descartadas,
        'La lectura tiene una fecha posterior a su llegada; se apartó.'
    from decisiones
    where regla_id = 'R-AGUA-12'
    union all
    select
        carga_id,
        medidor_id || '|' || {{ hora_de_clave('fecha_hora') }},
        'R-AGUA-24',
        1,
        'Faltan los intervalos de ' || {{ con_coma("round(extract(epoch from fecha_hora - fecha_hora_anterior) / 3600, 1)") }}
        || ' horas: lo que se consumió en ellas no se conoce.'
    from decisiones
    where regla_id = 'R-AGUA-24'
    union all
    select
        carga_id,
        medidor_id,
        'R-AGUA-25',
        lecturas::integer,
        'Llega por dos fuentes, con registro y por intervalos, entre el ' || to_char(desde, 'DD/MM/YYYY') || ' y el '
        || to_char(hasta, 'DD/MM/YYYY') || ': de cada día se usó una y se apartaron ' || lecturas || ' lecturas'
        || case when registros > 0 then ' (' || registros || ' con registro)' else '' end || ' para no sumar dos veces.'
    from dobles
    union all
    select
        origenes.carga_id,
        relojes.medidor_id,
        'R-AGUA-23',
        relojes.lecturas::integer,
        'Desde el ' || to_char(relojes.desde, 'DD/MM/YYYY') || ', en ' || relojes.lecturas
        || ' lecturas la hora no sigue el ritmo del medidor: puede haberse corrido su reloj.'
    from relojes
    inner join resumen_por_medidor as totales on relojes.medidor_id = totales.medidor_id
    left join origenes on relojes.medidor_id = origenes.medidor_id
    where relojes.lecturas * 100 <= totales.horas * {{ umbral_agua('R-AGUA-23', 'parte_maxima_pct') }}
    union all
    select
        carga_id,
        medidor_id || '|' || desde,
        'R-AGUA-10',
        horas::integer,
        'El registro no avanza desde el ' || to_char(desde, 'DD/MM/YYYY') || ' (' || dias || ' días); antes usaba '
        || {{ con_coma('round(uso_previo)') }} || ' litros por día. Puede estar detenido el medidor o desocupado el lugar.'
    from detenidos_con_uso_previo
    union all
    select
        carga_id,
        medidor_id || '|' || desde,
        'R-AGUA-11',
        horas::integer,
        'Registra ' || {{ con_coma("caudal_lh::numeric(12, 1)") }} || ' litros en todas las horas durante ' || dias || ' días.'
    from trabados
    union all
    select
        carga_id,
        medidor_id,
        'R-AGUA-16',
        0,
        {{ texto_de_exceso('uso_reciente_l_dia', 'uso_habitual_l_dia', 'reciente_l_dia') }}
    from {{ ref('fct_comparacion_medidor') }}
    where es_exceso
    union all
    select
        origenes.carga_id,
        baterias.medidor_id,
        'R-MEDIDOR-04',
        0,
        'La batería informó ' || {{ con_coma("round(baterias.bateria_mv / 1000.0, 2)") }} || ' V.'
    from baterias
    left join origenes on baterias.medidor_id = origenes.medidor_id
    union all
    select
        origenes.carga_id,
        desconocidos.medidor_id,
        'R-MEDIDOR-02',
        0,
        'Llegan lecturas desde el ' || to_char(desconocidos.desde, 'DD/MM/YYYY') || ' y el medidor no está en el padrón.'
    from desconocidos
    left join origenes on desconocidos.medidor_id = origenes.medidor_id
    union all
    select
        origenes.carga_id,
        alertas.medidor_id || '|' || {{ hora_de_clave('alertas.inicio') }},
        alertas.regla_id,
        0,
        alertas.explicacion
    from (
        select
            medidor_id,
            inicio,
            regla_id,
            explicacion
        from {{ ref('alerta_flujo_continuo') }}
        union all
        select
            medidor_id,
            inicio,
            regla_id,
            explicacion
        from {{ ref('alerta_rotura') }}
    ) as alertas
    left join origenes on alertas.medidor_id = origenes.medidor_id
)

select
    coalesce(cargas.dataset, 'telemetria.lecturas')::text as dataset,
    reunidos.clave::text as clave,
    reunidos.regla_id::text as regla_id,
    null::text as columna,
    reunidos.filas_afectadas,
    reunidos.descripcion::text as descripcion
from reunidos
left join cargas on reunidos.carga_id = cargas.carga_id
