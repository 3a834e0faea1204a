with
elementos as (
    select
        elemento_id,
        tipo,
        nombre,
        zona_id,
        material,
        diametro_mm,
        longitud_m,
        anio_instalacion,
        estado
    from {{ ref('stg_aguas__red_infraestructura') }}
)

select
    elementos.elemento_id,
    elementos.tipo,
    elementos.nombre as elemento_nombre,
    zonas.zona_id,
    elementos.material,
    elementos.diametro_mm,
    elementos.longitud_m::numeric(12, 2) as longitud_m,
    elementos.anio_instalacion::integer as anio_instalacion,
    (extract(year from {{ fecha_referencia(
        
    ) }})::integer - elementos.anio_instalacion)::integer as antiguedad_anios,
    elementos.estado
from elementos
left join {{ ref('stg_aguas__zonas') }} as zonas on elementos.zona_id = zonas.zona_id
