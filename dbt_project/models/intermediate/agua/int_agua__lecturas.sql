{#-
    One row per meter and moment, with its neighbours in time. A view: fct_consumo_horario reads it in
    the single sorted pass (meter, hour, moment) that also serves to drop repeated readings, to look at
    the neighbours and to add up hours.

    Of several readings of one meter and moment the measured one wins over the estimated one, then the
    lowest register: the choice depends on values only, never on the order in which files arrived.
-#}
with
medidores as (
    select
        medidor_id,
        modulo_litros,
        multiplicador,
        maximo_lh
    from {{ ref('int_agua__medidores') }}
),

lecturas as (
    select
        crudas.medidor_id,
        date_bin('1 hour', crudas.fecha_hora, timestamptz '2000-01-01 00:00:00+00') as hora,
        crudas.fecha_hora,
        crudas.lectura_l,
        crudas.consumo_intervalo_l,
        crudas.estimada,
        crudas.bateria_mv,
        crudas._load_id,
        medidores.modulo_litros,
        coalesce(medidores.multiplicador, 1) as multiplicador,
        coalesce(
            medidores.maximo_lh, {{ umbral_agua('R-AGUA-06', 'maximo_lh') }}::double precision
        ) as maximo_lh
    from {{ ref('stg_telemetria__lecturas') }} as crudas
    left join medidores on crudas.medidor_id = medidores.medidor_id
    where
        crudas.medidor_id is not null
        and crudas.fecha_hora is not null
        and crudas.lectura_l is not null
),

numeradas as (
    select
        *,
        row_number() over mismo_momento as orden,
        (count(*) over mismo_momento)::integer - 1 as descartadas,
        last_value(lectura_l) over mismo_momento as ultima_copia_l
    from lecturas
    window
        mismo_momento as (
            partition by medidor_id, hora, fecha_hora
            order by estimada, lectura_l
            rows between unbounded preceding and unbounded following
        )
)

select
    medidor_id,
    hora,
    fecha_hora,
    lectura_l,
    consumo_intervalo_l,
    estimada,
    bateria_mv,
    _load_id,
    modulo_litros,
    multiplicador,
    maximo_lh,
    descartadas,
    ultima_copia_l <> lectura_l as en_conflicto,
    lag(fecha_hora) over vecinas as fecha_hora_1,
    lag(lectura_l) over vecinas as lectura_1,
    lag(estimada) over vecinas as estimada_1,
    lag(fecha_hora, 2) over vecinas as fecha_hora_2,
    lag(lectura_l, 2) over vecinas as lectura_2,
    lead(lectura_l) over vecinas as lectura_siguiente
from numeradas
where orden = 1
window vecinas as (partition by medidor_id order by hora, fecha_hora)
