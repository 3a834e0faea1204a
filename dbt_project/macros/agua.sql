{#- Thresholds of the water rules (seed reglas_agua), units of volume, and words that several models share. -#}

{#-
    Value of a threshold for a connection category, the general one where the category has none.
    `categoria` must be a qualified column: the seed has a column of that name. `tipo`: type of the value, where it is
    asked of every reading: cast here it is cast once.
-#}
{% macro umbral_agua(regla, parametro, categoria=none, tipo=none) -%}
    (
        select umbrales.valor{{ '::' ~ tipo if tipo }}
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


{#-
    Seconds between two readings that are no whole number of steps: the clock moved in between. Asked of every hour:
    in floating point, which costs a third of numeric, and exact for whole seconds.
-#}
{% macro fuera_de_paso(segundos) -%}
    {%- set paso = umbral_agua('R-AGUA-23', 'paso_s', tipo='double precision') -%}
    abs({{ segundos }} - round({{ segundos }} / {{ paso }}) * {{ paso }})
    > {{ umbral_agua('R-AGUA-23', 'tolerancia_s', tipo='double precision') }}
{%- endmacro %}


{#- Seconds since midnight, on the local clock. Changing time zones is dear: a reader of many rows asks once of each. -#}
{% macro segundo_del_dia(momento) -%}
    date_part('epoch', ({{ momento }} at time zone '{{ var("zona_horaria") }}')::time)
{%- endmacro %}


{#- Start (`desde_h`) or end (`hasta_h`) of the night window of a local day (R-NOCTURNO-01). -#}
{% macro limite_de_noche(dia, parametro) -%}
    (
        (({{ dia }})::timestamp + interval '1 hour' * {{ umbral_agua('R-NOCTURNO-01', parametro, tipo='double precision') }})
        at time zone '{{ var("zona_horaria") }}'
    )
{%- endmacro %}


{#- Seconds of the night window of a local day: fewer when the clocks are put forward within it. -#}
{% macro duracion_de_noche(dia) -%}
    extract(epoch from {{ limite_de_noche(dia, 'hasta_h') }} - {{ limite_de_noche(dia, 'desde_h') }})
{%- endmacro %}


{#-
    Seconds of a stretch of `segundos` up to `fin` that lie within the night window of its last local day, `dia`
    (R-NOCTURNO-01). `cierre`: the second of that day at which it ends on the clock; it tells the many that are far from the
    window without a change of time zone. None of a stretch of unknown length.
-#}
{% macro segundos_de_noche(dia, cierre, fin, segundos) -%}
    case
        when {{ segundos }} is null then null
        when
            {{ cierre }} <= 3600 * {{ umbral_agua('R-NOCTURNO-01', 'desde_h', tipo='double precision') }}
            or {{ cierre }} - {{ segundos }} >= 3600 * {{ umbral_agua('R-NOCTURNO-01', 'hasta_h', tipo='double precision') }}
            then 0
        else greatest(
            0,
            date_part('epoch', least({{ fin }}, {{ limite_de_noche(dia, 'hasta_h') }}))
            - greatest(date_part('epoch', {{ fin }}) - {{ segundos }}, date_part('epoch', {{ limite_de_noche(dia, 'desde_h') }}))
        )
    end
{%- endmacro %}


{#- Litres of a day that were measured: without the provider's estimates and without the share of a gap. -#}
{% macro litros_medidos(diario) -%}
    ({{ diario }}.litros - {{ diario }}.litros_en_huecos - {{ diario }}.litros_estimados)
{%- endmacro %}


{#- What a finding and an alert of R-AGUA-16 say. -#}
{% macro texto_de_exceso(reciente, habitual, total) -%}
    'En un día típico de la última semana usó ' || {{ con_coma('round(' ~ reciente ~ ')') }} || ' litros; lo habitual era '
    || {{ con_coma('round(' ~ habitual ~ ')') }} || '.'
    || case
        when {{ total }} > {{ reciente }} * 1.1 then ' No cuenta lo que pasa sin interrupción, que tiene su propio aviso.'
        else ''
    end
{%- endmacro %}


{#- What two reports must share to be one: a finding and the mart ask the same. -#}
{% macro columnas_de_reporte() -%}
    {{ return(['tipo', 'zona_id', 'lugar', 'elemento_id', 'solicitud_id', 'fecha_reporte']) }}
{%- endmacro %}
