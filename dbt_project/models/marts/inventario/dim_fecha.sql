{#-
    The calendar that boards relate their dates to. A fixed stretch, wider than any date of the city's data that is no error,
    so that it is built once. Names in Spanish whatever the server's language; weeks are those of ISO 8601.
-#}
with
dias as (
    select serie.momento::date as fecha
    from generate_series(timestamp '1990-01-01', timestamp '2060-12-31', interval '1 day') as serie (momento)
)

select
    fecha,
    extract(year from fecha)::integer as anio,
    extract(quarter from fecha)::integer as trimestre,
    extract(month from fecha)::integer as mes_numero,
    (array[
        'enero', 'febrero', 'marzo', 'abril', 'mayo', 'junio', 'julio', 'agosto', 'septiembre', 'octubre', 'noviembre', 'diciembre'
    ])[extract(month from fecha)::integer] as mes_nombre,
    date_trunc('month', fecha::timestamp)::date as mes,
    to_char(fecha, 'YYYY-MM') as anio_mes,
    extract(day from fecha)::integer as dia_del_mes,
    extract(isodow from fecha)::integer as dia_semana_numero,
    (array['lunes', 'martes', 'miércoles', 'jueves', 'viernes', 'sábado', 'domingo'])[extract(isodow from fecha)::integer]
        as dia_semana_nombre,
    extract(isodow from fecha) >= 6 as es_fin_de_semana,
    extract(isoyear from fecha)::integer as anio_iso,
    extract(week from fecha)::integer as semana_iso
from dias
