{#- Days, hours, dates written as text and age bands. -#}

{#- Day the marts speak of: the variable, else the environment (the sample's day), else today. -#}
{% macro fecha_referencia() -%}
    {%- set dia = var('fecha_referencia') or env_var('DBT_FECHA_REFERENCIA', '') -%}
    {%- if dia -%}
        date '{{ dia }}'
    {%- else -%}
        (current_timestamp at time zone '{{ var("zona_horaria") }}')::date
    {%- endif -%}
{%- endmacro %}


{#-
    Ages are computed at 1 January of the reference year: a date that moves once a year, so that two
    releases of the same table cannot be subtracted to learn whose birthday fell in between.
-#}
{% macro fecha_referencia_edad() -%}
    date_trunc('year', {{ fecha_referencia() }}::timestamp)::date
{%- endmacro %}


{#- Day of a moment where the city is. -#}
{% macro dia_local(momento) -%}
    ({{ momento }} at time zone '{{ var("zona_horaria") }}')::date
{%- endmacro %}


{#- year, month and day as integers → date, or null where the calendar has no such day. -#}
{% macro fecha_segura(anio, mes, dia) -%}
    case
        when {{ anio }} between 1900 and 2100 and {{ mes }} between 1 and 12 and {{ dia }} between 1 and
            case
                when {{ mes }} in (4, 6, 9, 11) then 30
                when {{ mes }} <> 2 then 31
                when ({{ anio }} % 4 = 0 and {{ anio }} % 100 <> 0) or {{ anio }} % 400 = 0 then 29
                else 28
            end
            then make_date({{ anio }}, {{ mes }}, {{ dia }})
    end
{%- endmacro %}


{#-
    Text → date without ever raising. 'dd/mm/aaaa' is the protocol's form; 'd/m/aaaa', 'dd-mm-aaaa',
    'dd.mm.aaaa' and 'aaaa-mm-dd' are read too. Two-digit years are ambiguous and give null.
-#}
{% macro fecha_de_texto(columna) -%}
    {%- set texto = "translate(btrim(" ~ columna ~ "), '-.', '//')" -%}
    {%- set parte = "split_part(" ~ texto ~ ", '/', {})::integer" -%}
    case
        when btrim({{ columna }}) ~ '^\d{1,2}[/.-]\d{1,2}[/.-]\d{4}$'
            then {{ fecha_segura(parte.format(3), parte.format(2), parte.format(1)) }}
        when btrim({{ columna }}) ~ '^\d{4}[/.-]\d{1,2}[/.-]\d{1,2}$'
            then {{ fecha_segura(parte.format(1), parte.format(2), parte.format(3)) }}
    end
{%- endmacro %}


{#- Completed years at a stated day → age band. Null when the birth date is unknown or impossible. -#}
{% macro banda_edad(fecha_nacimiento, fecha) -%}
    case
        when {{ fecha_nacimiento }} is null then null
        when {{ fecha_nacimiento }} > {{ fecha }} then null
        when extract(year from age({{ fecha }}, {{ fecha_nacimiento }})) > 115 then null
        when extract(year from age({{ fecha }}, {{ fecha_nacimiento }})) < 15 then '0 a 14'
        when extract(year from age({{ fecha }}, {{ fecha_nacimiento }})) < 25 then '15 a 24'
        when extract(year from age({{ fecha }}, {{ fecha_nacimiento }})) < 35 then '25 a 34'
        when extract(year from age({{ fecha }}, {{ fecha_nacimiento }})) < 45 then '35 a 44'
        when extract(year from age({{ fecha }}, {{ fecha_nacimiento }})) < 55 then '45 a 54'
        when extract(year from age({{ fecha }}, {{ fecha_nacimiento }})) < 65 then '55 a 64'
        else '65 y más'
    end
{%- endmacro %}
