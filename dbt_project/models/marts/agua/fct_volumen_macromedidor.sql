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
)

select
    lecturas.macromedidor_id,
    lecturas.fecha,
    macromedidores.nombre as macromedidor_nombre,
    macromedidores.tipo,
    zonas.zona_id,
    lecturas.volumen_m3::numeric(14, 3) as volumen_m3,
    (macromedidores.caudal_max_m3h * {{ horas_del_dia('lecturas.fecha') }})::numeric(14, 3) as volumen_maximo_m3,
    lecturas.volumen_m3 > macromedidores.caudal_max_m3h * {{ horas_del_dia('lecturas.fecha') }} as supera_maximo
from lecturas
left join macromedidores on lecturas.macromedidor_id = macromedidores.macromedidor_id
left join {{ ref('stg_aguas__zonas') }} as zonas on macromedidores.zona_id = zonas.zona_id
