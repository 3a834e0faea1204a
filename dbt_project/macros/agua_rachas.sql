{#-
    Runs of hours in which water flowed above a threshold without a break (`episodios`).

    Only hours above the threshold are read: a lower hour, a gap or an hour with unknown consumption
    leaves a hole between the end of one stretch and the start of the next, and the hole ends the run.
    Estimated hours are kept whatever their value, so they neither start, lengthen nor end a run; only
    measured hours count towards its length. A stretch is the time between two readings, so feeds that
    drift by minutes or skip an hour (up to R-AGUA-09's interval) chain like punctual ones.

    A run may have begun long before the day that changed and go on long after it. An incremental build
    looks for the holes on both sides of each changed day and computes what lies between them anew: the
    work grows with the changed days and with the runs they touch, never with the history of the meter.
-#}

{#- The hour belongs to a run. `fila`: a row of fct_consumo_horario; `umbral`: litres per hour. -#}
{% macro hora_en_racha(fila, umbral) -%}
    coalesce(
        {{ fila }}.consumo_litros is not null
        and {{ fila }}.segundos > 0
        and {{ fila }}.regla_id is distinct from 'R-AGUA-09'
        and (
            {{ fila }}.estimado
            or {{ fila }}.consumo_litros * 3600.0::double precision > {{ umbral }} * {{ fila }}.segundos
        ),
        false
    )
{%- endmacro %}


{#- Longest time between two stretches of one run: readings are dated by the second. -#}
{% macro holgura_de_racha() -%}
    interval '2 seconds'
{%- endmacro %}


{#-
    Whether a run goes on across `momento`, the start of an hour: one of its hours ends before it and the
    next one starts where that ended. The hour may skip a reading that was isolated (R-AGUA-08), so the
    first three hours from the moment on are asked; any later one starts after it.
-#}
{% macro racha_cruza(historia, medidor, umbral, momento) -%}
    exists (
        select 1
        from (
            select
                despues.hora,
                despues.consumo_litros,
                despues.segundos,
                despues.regla_id,
                despues.estimado,
                despues.ultima_lectura - make_interval(secs => despues.segundos) as inicio_tramo
            from {{ historia }} as despues
            where despues.medidor_id = {{ medidor }} and despues.hora >= {{ momento }}
            order by despues.hora
            limit 3
        ) as primeras
        inner join {{ historia }} as antes
            on
                antes.medidor_id = {{ medidor }}
                and antes.hora < {{ momento }}
                and antes.hora > primeras.inicio_tramo - interval '1 hour' - {{ holgura_de_racha() }}
        where
            {{ hora_en_racha('primeras', umbral) }}
            and {{ hora_en_racha('antes', umbral) }}
            and primeras.inicio_tramo - antes.ultima_lectura <= {{ holgura_de_racha() }}
    )
{%- endmacro %}


{#-
    CTE of how far the stretch to compute anew reaches on one side of each changed one, step by step: while
    a run crosses the limit, to the nearest hour that belongs to none, a day away at most; and to the end of
    any run stored before.
-#}
{% macro limites_de_racha(nombre, regla, historia, hacia) -%}
    {%- set atras = hacia == 'atras' -%}
{{ nombre }} as (
    select
        semillas.medidor_id,
        semillas.desde as semilla,
        {{ 'semillas.desde' if atras else 'semillas.hasta' }} as limite,
        coalesce(umbrales.umbral_lh, {{ umbral_agua(regla, 'umbral_lh') }}::double precision) as umbral_lh
    from semillas
    left join umbrales on semillas.medidor_id = umbrales.medidor_id and umbrales.regla_id = '{{ regla }}'
    union all
    select
        previos.medidor_id,
        previos.semilla,
        siguientes.limite,
        previos.umbral_lh
    from {{ nombre }} as previos
    cross join lateral (
        select
            {{ 'least' if atras else 'greatest' }}(
                case
                    when {{ racha_cruza(historia, 'previos.medidor_id', 'previos.umbral_lh', 'previos.limite') }}
                        then
                            coalesce(
                                (
                                    select {{ 'max' if atras else 'min' }}(fuera.hora)
                                    from {{ historia }} as fuera
                                    where
                                        fuera.medidor_id = previos.medidor_id
                                        and fuera.hora {{ '<' if atras else '>' }} previos.limite
                                        and fuera.hora {{ ">= previos.limite - interval '1 day'" if atras else "<= previos.limite + interval '1 day'" }}
                                        and not {{ hora_en_racha('fuera', 'previos.umbral_lh') }}
                                ),
                                previos.limite {{ '-' if atras else '+' }} interval '1 day'
                            )
                end,
                (
                    select {{ 'min(guardados.primera_hora)' if atras else "max(guardados.ultima_hora) + interval '1 hour'" }}
                    from {{ this }} as guardados
                    where
                        guardados.regla_id = '{{ regla }}'
                        and guardados.medidor_id = previos.medidor_id
                        and guardados.primera_hora < previos.limite
                        and guardados.ultima_hora >= previos.limite
                )
            ) as limite
    ) as siguientes
    where siguientes.limite {{ '<' if atras else '>' }} previos.limite
)
{%- endmacro %}


{#-
    CTEs ending in `episodios_<sufijo>`: the runs of a rule. Needs `umbrales` (regla_id, medidor_id,
    umbral_lh, horas_minimas) and, unless `rangos` is empty, the CTE of that name: the stretches to read
    (medidor_id, desde, hasta), at whose ends no run goes on.
-#}
{% macro episodios_de_caudal(regla, sufijo, historia, rangos='') -%}
tramos_{{ sufijo }} as (
    select
        consumo.medidor_id,
        consumo.hora,
        consumo.ultima_lectura as fin_tramo,
        consumo.ultima_lectura - make_interval(secs => consumo.segundos) as inicio_tramo,
        consumo.segundos,
        consumo.consumo_litros,
        consumo.estimado,
        consumo.consumo_litros * 3600.0::double precision / consumo.segundos as caudal_lh,
        umbrales.umbral_lh,
        umbrales.horas_minimas
    from
    {%- if rangos %}
    {{ rangos }} as rangos
    -- By key, one stretch after the other: a plan that reads all hours would grow with history.
    cross join lateral (
        select todas.*
        from {{ historia }} as todas
        where todas.medidor_id = rangos.medidor_id and todas.hora >= rangos.desde and todas.hora < rangos.hasta
        offset 0
    ) as consumo
    {%- else %} {{ historia }} as consumo
    {%- endif %}
    left join umbrales on consumo.medidor_id = umbrales.medidor_id and umbrales.regla_id = '{{ regla }}'
    where
        {{ hora_en_racha(
            'consumo',
            "coalesce(umbrales.umbral_lh, " ~ umbral_agua(regla, 'umbral_lh') ~ "::double precision)"
        ) }}
),

cortes_{{ sufijo }} as (
    select
        *,
        coalesce(
            inicio_tramo - lag(fin_tramo) over (partition by medidor_id order by hora) > {{ holgura_de_racha() }},
            true
        ) as empieza
    from tramos_{{ sufijo }}
),

numerados_{{ sufijo }} as (
    select
        *,
        count(*) filter (where empieza) over (partition by medidor_id order by hora) as episodio
    from cortes_{{ sufijo }}
),

episodios_{{ sufijo }} as (
    select
        medidor_id,
        min(inicio_tramo) filter (where not estimado) as inicio,
        max(fin_tramo) filter (where not estimado) as fin,
        (sum(segundos) filter (where not estimado) / 3600)::integer as horas,
        (count(*) filter (where estimado))::integer as horas_estimadas,
        min(caudal_lh) filter (where not estimado) as caudal_minimo_lh,
        (sum(consumo_litros) filter (where not estimado))::bigint as consumo_litros,
        min(umbral_lh) as umbral_lh,
        min(hora) as primera_hora,
        max(hora) as ultima_hora
    from numerados_{{ sufijo }}
    group by medidor_id, episodio
    having
        sum(segundos) filter (where not estimado)
        >= 3600 * coalesce(min(horas_minimas), {{ umbral_agua(regla, 'horas') }}::integer)
)
{%- endmacro %}


{#-
    Strategy `por_racha`: the rows without an end are the stretches that were computed anew; what the target
    has of them goes, and the other rows come in its place.
-#}
{% macro get_incremental_por_racha_sql(arg_dict) -%}
    {%- set destino = arg_dict['target_relation'] -%}
    {%- set columnas = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    delete from {{ destino }} as viejos
    using {{ arg_dict['temp_relation'] }} as rangos
    where
        rangos.fin is null
        and viejos.regla_id = rangos.regla_id
        and viejos.medidor_id = rangos.medidor_id
        and viejos.primera_hora < rangos.ultima_hora
        and viejos.ultima_hora >= rangos.primera_hora;
    insert into {{ destino }} ({{ columnas }})
    select {{ columnas }} from {{ arg_dict['temp_relation'] }} where fin is not null
{%- endmacro %}
