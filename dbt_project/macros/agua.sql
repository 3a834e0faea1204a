{#- Thresholds of the water rules (seed reglas_agua) and the runs of sustained flow built on them. -#}

{#-
    Value of a threshold for a connection category, the general one where the category has none.
    `categoria` must be a qualified column: the seed has a column of that name.
-#}
{% macro umbral_agua(regla, parametro, categoria=none) -%}
    (
        select umbrales.valor
        from {{ ref('reglas_agua') }} as umbrales
        where
            umbrales.regla_id = '{{ regla }}'
            and umbrales.parametro = '{{ parametro }}'
            {%- if categoria is none %}
            and umbrales.categoria = '(todas)'
            {%- else %}
            and umbrales.categoria in ({{ categoria }}, '(todas)')
        order by umbrales.categoria = '(todas)'
        limit 1
            {%- endif %}
    )
{%- endmacro %}


{#- Closed lists of the register, for its rows of today and for those it had before. -#}
{% macro categoria_de_cuenta(columna) -%}
    {{ valor_de_lista(columna, ['residencial', 'comercial', 'industrial', 'publica']) }}
{%- endmacro %}


{% macro estado_de_medidor(columna) -%}
    {{ valor_de_lista(columna, ['activo', 'retirado', 'en_reparacion']) }}
{%- endmacro %}


{#-
    Runs of hours in which water flowed above the threshold of `regla` without a break, one row per
    meter and run, as a list of CTEs ending in `episodios`.

    Only hours above the threshold are read: a lower hour, a gap or an hour with unknown consumption
    leaves a hole between the end of one stretch and the start of the next, and the hole ends the run.
    Estimated hours are kept whatever their value, so they neither start, lengthen nor end a run; only
    measured hours count towards its length. A stretch is the time between two readings, so feeds that
    drift by minutes or skip an hour (up to R-AGUA-09's interval) chain like punctual ones.
-#}
{% macro episodios_de_caudal(regla) -%}
umbrales as (
    select
        medidores.medidor_id,
        {{ umbral_agua(regla, 'umbral_lh', 'medidores.categoria') }}::double precision as umbral_lh,
        {{ umbral_agua(regla, 'horas', 'medidores.categoria') }}::integer as horas_minimas
    from {{ ref('int_agua__medidores') }} as medidores
),

tramos as (
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
    from {{ ref('fct_consumo_horario') }} as consumo
    left join umbrales on consumo.medidor_id = umbrales.medidor_id
    where
        consumo.consumo_litros is not null
        and consumo.segundos > 0
        and consumo.regla_id is distinct from 'R-AGUA-09'
        and (
            consumo.estimado
            or consumo.consumo_litros * 3600.0::double precision
            > coalesce(umbrales.umbral_lh, {{ umbral_agua(regla, 'umbral_lh') }}::double precision)
            * consumo.segundos
        )
),

cortes as (
    select
        *,
        coalesce(
            inicio_tramo - lag(fin_tramo) over (partition by medidor_id order by hora) > interval '2 seconds',
            true
        ) as empieza
    from tramos
),

numerados as (
    select
        *,
        count(*) filter (where empieza) over (partition by medidor_id order by hora) as episodio
    from cortes
),

episodios as (
    select
        medidor_id,
        min(inicio_tramo) filter (where not estimado) as inicio,
        max(fin_tramo) filter (where not estimado) as fin,
        sum(segundos) filter (where not estimado) / 3600 as horas,
        count(*) filter (where estimado) as horas_estimadas,
        min(caudal_lh) filter (where not estimado) as caudal_minimo_lh,
        sum(consumo_litros) filter (where not estimado) as consumo_litros,
        min(umbral_lh) as umbral_lh
    from numerados
    group by medidor_id, episodio
    having
        sum(segundos) filter (where not estimado)
        >= 3600 * coalesce(min(horas_minimas), {{ umbral_agua(regla, 'horas') }}::integer)
)
{%- endmacro %}


{#-
    A volume in whole litres, whatever unit the meter counts in; null for a unit nobody declared.
    Exact by definition: US gallon 3.785411784 L, cubic foot 28.316846592 L (NIST Handbook 44,
    appendix C). The two units of the city's own feeds come first: most rows stop there.
-#}
{% macro en_litros(valor, unidad) -%}
    case
        when {{ unidad }} = 'm3' then ({{ valor }} * 1000)::bigint
        when {{ unidad }} = 'L' then {{ valor }}::bigint
        else
            case lower(btrim({{ unidad }}))
                when 'l' then {{ valor }}
                when 'm3' then {{ valor }} * 1000
                when 'm³' then {{ valor }} * 1000
                when 'cm' then {{ valor }} * 1000
                when 'gal' then {{ valor }} * 3.785411784
                when 'kgal' then {{ valor }} * 3785.411784
                when 'ft3' then {{ valor }} * 28.316846592
                when 'cf' then {{ valor }} * 28.316846592
                when 'ccf' then {{ valor }} * 2831.6846592
            end::bigint
    end
{%- endmacro %}


{#- Seconds between two readings that are no whole number of steps: the clock moved in between. -#}
{% macro fuera_de_paso(segundos) -%}
    abs(
        {{ segundos }}
        - round({{ segundos }} / {{ umbral_agua('R-AGUA-23', 'paso_s') }}) * {{ umbral_agua('R-AGUA-23', 'paso_s') }}
    ) > {{ umbral_agua('R-AGUA-23', 'tolerancia_s') }}
{%- endmacro %}


{#-
    Seconds of a stretch of `segundos` ending at `fin` that lie within the night window of its last day
    (R-NOCTURNO-01, hours of Mendoza). None of a stretch of unknown length.
-#}
{% macro segundos_de_noche(fin, segundos) -%}
    {%- set cierre = "date_part('epoch', (" ~ fin ~ " at time zone '" ~ var("zona_horaria") ~ "')::time)" -%}
    case when {{ segundos }} is not null then greatest(
        0,
        least({{ cierre }}, 3600 * {{ umbral_agua('R-NOCTURNO-01', 'hasta_h') }}::double precision)
        - greatest({{ cierre }} - {{ segundos }}, 3600 * {{ umbral_agua('R-NOCTURNO-01', 'desde_h') }}::double precision)
    ) end
{%- endmacro %}


{#- What a finding and an alert of R-AGUA-16 say. -#}
{% macro texto_de_exceso(reciente, habitual, total) -%}
    'En un día típico de la última semana usó ' || round({{ reciente }}) || ' litros; lo habitual era '
    || round({{ habitual }}) || '.'
    || case
        when {{ total }} > {{ reciente }} * 1.1 then ' No cuenta lo que pasa sin interrupción, que tiene su propio aviso.'
        else ''
    end
{%- endmacro %}


{#- What two reports must share to be one: a finding and the mart ask the same. -#}
{% macro columnas_de_reporte() -%}
    {{ return(['tipo', 'zona_id', 'lugar', 'elemento_id', 'solicitud_id', 'fecha_reporte']) }}
{%- endmacro %}
