with
lecturas as (
    select
        macromedidor_id,
        fecha,
        volumen_m3
    from {{ ref('stg_aguas__lecturas_macromedidor') }}
),

macromedidores as (
    select
        macromedidor_id,
        nombre,
        tipo,
        zona_id,
        caudal_max_m3h
    from {{ ref('stg_aguas__macromedidores') }}
),

-- What goes into a zone of few accounts, or of one that outweighs the others, is nearly what they use.
zonas_de_muchos as (
    select zonas.zona_id
    from {{ ref('dim_zona') }} as zonas
    -- Of a zone where few are measured, who uses most is not known.
    left join {{ ref('fct_consumo_mensual_zona') }} as meses
        on zonas.zona_id = meses.zona_id and meses.cuentas >= {{ var('umbral_celda_sensible') }}
    where zonas.cuentas_activas >= {{ var('umbral_celda_sensible') }}
    group by zonas.zona_id
    having coalesce(max(meses.participacion_mayor_pct), 0) <= {{ var('participacion_maxima_pct') }}
)

select
    lecturas.macromedidor_id,
    lecturas.fecha,
    macromedidores.nombre as macromedidor_nombre,
    macromedidores.tipo,
    zonas.zona_id,
    lecturas.volumen_m3::numeric(14, 3) as volumen_m3,
    (macromedidores.caudal_max_m3h * {{ horas_del_dia('lecturas.fecha') }})::numeric(14, 3) as volumen_maximo_m3,
    lecturas.volumen_m3 > macromedidores.caudal_max_m3h * {{ horas_del_dia('lecturas.fecha') }} as supera_maximo,
    coalesce(macromedidores.tipo in ('captacion', 'planta', 'troncal'), false)
    or zonas_de_muchos.zona_id is not null as es_publicable
from lecturas
left join macromedidores on lecturas.macromedidor_id = macromedidores.macromedidor_id
left join {{ ref('stg_aguas__zonas') }} as zonas on macromedidores.zona_id = zonas.zona_id
left join zonas_de_muchos on macromedidores.zona_id = zonas_de_muchos.zona_id
