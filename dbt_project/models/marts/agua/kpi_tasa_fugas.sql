{#-
    Leaks per kilometre of main and per thousand connections and year, by zone, over the twelve complete months that end in
    `mes` (fewer at the start of the records, never the first month, which may be partial). Leaks of mains and valves go by
    kilometre and those of service connections by connection, as IWA's operational indicators Op31 and Op32 ask; a leak of
    unknown place counts in neither.

    Intervals are Garwood's (1936), exact for a Poisson count n: the means under which n or more, and n or fewer, have
    2.5 % of probability. Newton's method from Byar's approximation reaches them to the last digit in a few steps.
    Probabilities below 1e-304 are taken as that: exp() of less raises. Kilometres and connections are those of today: the register keeps no history of them.
-#}
{%- set z = 1.959963984540054 -%}
with recursive
fugas as (
    select
        zona_id,
        mes,
        lugar
    from {{ ref('fct_reporte_servicio') }}
    where tipo = 'fuga' and not es_repetido and estado is distinct from 'descartado' and mes is not null
),

meses as (
    select generate_series(
        (select min(fugas.mes) from fugas) + interval '1 month',
        date_trunc('month', {{ fecha_referencia() }}::timestamp) - interval '1 month',
        interval '1 month'
    )::date as mes
),

ventanas as (
    select
        mes,
        min(mes) over ultimos as desde,
        count(*) over ultimos as meses_observados
    from meses
    window ultimos as (order by mes rows between 11 preceding and current row)
),

recuentos as (
    select
        zonas.zona_id,
        zonas.zona_nombre,
        ventanas.mes,
        ventanas.desde,
        ventanas.meses_observados,
        count(fugas.mes) as fugas,
        count(*) filter (where fugas.lugar in ('cañería', 'válvula')) as fugas_red,
        count(*) filter (where fugas.lugar = 'conexión') as fugas_conexion,
        nullif(redes.red_km, 0) as red_km,
        nullif(zonas.cuentas_activas, 0) as conexiones
    from {{ ref('dim_zona') }} as zonas
    cross join ventanas
    left join {{ ref('int_agua__redes_zona') }} as redes on zonas.zona_id = redes.zona_id
    left join fugas on zonas.zona_id = fugas.zona_id and fugas.mes between ventanas.desde and ventanas.mes
    group by
        zonas.zona_id, zonas.zona_nombre, ventanas.mes, ventanas.desde, ventanas.meses_observados, redes.red_km,
        zonas.cuentas_activas
),

cantidades as (
    select fugas_red as n
    from recuentos
    union
    select fugas_conexion
    from recuentos
),

log_factoriales as (
    select
        k,
        sum(ln(greatest(k, 1)::double precision)) over (order by k) as valor
    from generate_series(0, (select max(cantidades.n) from cantidades)) as k
),

aproximaciones as (
    select
        n,
        0 as paso,
        case
            when n > 0 then n * (1 - 1 / (9.0 * n) - {{ z }} / (3 * sqrt(n))) ^ 3 else 0
        end::double precision as inferior,
        ((n + 1) * (1 - 1 / (9.0 * (n + 1)) + {{ z }} / (3 * sqrt(n + 1))) ^ 3)::double precision as superior
    from cantidades
    union all
    select
        previas.n,
        previas.paso + 1,
        case
            when previas.n > 0 then previas.inferior + (debajo.acumulada - 0.975) / debajo.puntual else 0
        end,
        previas.superior + (encima.acumulada - 0.025) / encima.puntual
    from aproximaciones as previas
    inner join lateral (
        select
            sum(exp(greatest(factoriales.k * ln(previas.inferior) - previas.inferior - factoriales.valor, -700))) as acumulada,
            exp(min((previas.n - 1) * ln(previas.inferior) - previas.inferior - factoriales.valor)) as puntual
        from log_factoriales as factoriales
        where previas.n > 0 and factoriales.k < previas.n
    ) as debajo on true
    inner join lateral (
        select
            sum(exp(greatest(factoriales.k * ln(previas.superior) - previas.superior - factoriales.valor, -700))) as acumulada,
            exp(min(previas.n * ln(previas.superior) - previas.superior - factoriales.valor)) as puntual
        from log_factoriales as factoriales
        where factoriales.k <= previas.n
    ) as encima on true
    where previas.paso < 8
),

intervalos as (
    select
        n,
        inferior,
        superior
    from aproximaciones
    where paso = 8
)

select
    recuentos.zona_id,
    recuentos.mes,
    recuentos.zona_nombre,
    recuentos.desde as desde_mes,
    recuentos.meses_observados::integer as meses_observados,
    recuentos.fugas::integer as fugas,
    recuentos.fugas_red::integer as fugas_red,
    recuentos.fugas_conexion::integer as fugas_conexion,
    recuentos.red_km::numeric(12, 3) as red_km,
    recuentos.conexiones::integer as conexiones,
    (recuentos.fugas_red * 12.0 / recuentos.meses_observados / recuentos.red_km)::numeric(12, 3) as fugas_km_anio,
    (de_red.inferior * 12 / recuentos.meses_observados / recuentos.red_km)::numeric(12, 3) as fugas_km_anio_minimo,
    (de_red.superior * 12 / recuentos.meses_observados / recuentos.red_km)::numeric(12, 3) as fugas_km_anio_maximo,
    (recuentos.fugas_conexion * 12000.0 / recuentos.meses_observados / recuentos.conexiones)::numeric(12, 2)
        as fugas_mil_conexiones_anio,
    (de_conexion.inferior * 12000 / recuentos.meses_observados / recuentos.conexiones)::numeric(12, 2)
        as fugas_mil_conexiones_anio_minimo,
    (de_conexion.superior * 12000 / recuentos.meses_observados / recuentos.conexiones)::numeric(12, 2)
        as fugas_mil_conexiones_anio_maximo
from recuentos
inner join intervalos as de_red on recuentos.fugas_red = de_red.n
inner join intervalos as de_conexion on recuentos.fugas_conexion = de_conexion.n
