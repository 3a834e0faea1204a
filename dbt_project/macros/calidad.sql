{#- Findings: one shape for all of them, so that they can be put together. -#}

{#-
    One finding per row of a relation that meets a condition.
    dataset, regla: text; clave, filas, detalle: SQL expressions; origen: relation; condicion: SQL.
-#}
{% macro hallazgo(dataset, regla, clave, detalle, origen, condicion, filas='1', columna=none) -%}
    select
        '{{ dataset }}'::text as dataset,
        ({{ clave }})::text as clave,
        '{{ regla }}'::text as regla_id,
        {{ "'" ~ columna ~ "'" if columna else 'null' }}::text as columna,
        ({{ filas }})::integer as filas_afectadas,
        ({{ detalle }})::text as descripcion
    from {{ origen }}
    where {{ condicion }}
{%- endmacro %}


{#- Rows whose reference points nowhere. -#}
{% macro hallazgo_huerfano(dataset, hijo, clave, referencia, padre, clave_padre) -%}
    select
        '{{ dataset }}'::text as dataset,
        hijo.{{ clave }}::text as clave,
        'R-CLAVE-01'::text as regla_id,
        '{{ referencia }}'::text as columna,
        1 as filas_afectadas,
        'El registro ' || hijo.{{ clave }} || ' apunta a {{ referencia }} ' || hijo.{{ referencia }} || ', que no existe.' as descripcion
    from {{ hijo }} as hijo
    left join {{ padre }} as padre on hijo.{{ referencia }} = padre.{{ clave_padre }}
    where hijo.{{ referencia }} is not null and padre.{{ clave_padre }} is null
{%- endmacro %}


{#- Rows that repeat another one in the listed columns; the first by key is the good one. -#}
{% macro hallazgo_repetido(dataset, regla, relacion, clave, columnas, detalle, condicion='true') -%}
    select
        '{{ dataset }}'::text as dataset,
        {{ clave }}::text as clave,
        '{{ regla }}'::text as regla_id,
        '{{ columnas | first if columnas | length == 1 else "" }}'::text as columna,
        1 as filas_afectadas,
        {{ detalle }} as descripcion
    from (
        select
            *,
            first_value({{ clave }}) over repetidos as clave_primera
        from {{ relacion }}
        where {{ condicion }}
        window repetidos as (partition by {{ columnas | join(', ') }} order by {{ clave }})
    ) as repetidas
    where {{ clave }} <> clave_primera
{%- endmacro %}


{#- A number as people here write it in a sentence, 11.060,2; columns that are numbers stay numbers. -#}
{% macro con_coma(numero) -%}
    regexp_replace(replace(({{ numero }})::text, '.', ','), '(?<=\d)(?<!,\d*)(?=(\d{3})+(?!\d))', '.', 'g')
{%- endmacro %}


{#- Local hour as it is written in keys of findings, with its offset: where clocks go back an hour comes twice. -#}
{% macro hora_de_clave(momento) -%}
    {%- set local = '(' ~ momento ~ " at time zone '" ~ var('zona_horaria') ~ "')" -%}
    {%- set utc = '(' ~ momento ~ " at time zone 'UTC')" -%}
    to_char({{ local }}, 'YYYY-MM-DD"T"HH24:MI:SS')
    || case
        when {{ local }} < {{ utc }} then '-' || to_char({{ utc }} - {{ local }}, 'HH24:MI')
        else '+' || to_char({{ local }} - {{ utc }}, 'HH24:MI')
    end
{%- endmacro %}


{#- Something that happened already, on a day after the reference day. dia: SQL expression of a date. -#}
{% macro hallazgo_futuro(dataset, clave, columna, origen, dia=none) -%}
    {%- set fecha = dia or columna -%}
    {{ hallazgo(
        dataset, 'R-FECHA-05', clave,
        "'La fecha (' || to_char(" ~ fecha ~ ", 'DD/MM/YYYY') || ') es posterior al día de referencia.'",
        origen, fecha ~ ' > ' ~ fecha_referencia(), columna=columna
    ) }}
{%- endmacro %}


{#- A day no record of the city can have: what systems put where nobody wrote one. -#}
{% macro hallazgo_inverosimil(dataset, clave, columna, origen) -%}
    {{ hallazgo(
        dataset, 'R-FECHA-06', clave,
        "'La fecha es ' || to_char(" ~ columna ~ ", 'DD/MM/YYYY') || '.'",
        origen,
        columna ~ " < date '1990-01-01' or " ~ columna ~ ' > ' ~ fecha_referencia() ~ " + interval '30 years'",
        columna=columna
    ) }}
{%- endmacro %}


{#- A final state without the day it was reached. -#}
{% macro hallazgo_sin_fecha(dataset, clave, columna, origen, estado) -%}
    {{ hallazgo(
        dataset, 'R-FECHA-04', clave,
        "'El estado es «" ~ estado ~ "» y no se informó la fecha.'",
        origen, "estado = '" ~ estado ~ "' and " ~ columna ~ ' is null', columna=columna
    ) }}
{%- endmacro %}


{#-
    What looks like a person's data in a free text (`patrones_dato_personal` in dbt_project.yml). The finding names the
    record and never repeats the value.
-#}
{% macro parece_dato_personal(texto) -%}
    (
        {%- for patron in var('patrones_dato_personal') %}
        {{ texto }} ~* '{{ patron | replace("'", "''") }}'
        {{- ' or' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}


{#- Free texts that may be shown or published: personal data and leftovers of web pages in them. -#}
{% macro hallazgos_de_texto(dataset, clave, columnas, origen) -%}
    {%- for columna in columnas %}
        {{ hallazgo(
            dataset, 'R-PERSONA-03', clave,
            "'El texto de " ~ columna ~ " parece contener un dato personal.'",
            origen, parece_dato_personal(columna), columna=columna
        ) }}
        union all
        {{ hallazgo(
            dataset, 'R-TEXTO-04', clave,
            "'El texto de " ~ columna ~ " trae marcas de una página web.'",
            origen, columna ~ " ~ '</?[a-zA-Z][^<>]*>|&[a-zA-Z]{2,8};|&#\d+;'", columna=columna
        ) }}
        {%- if not loop.last %}
            union all
        {%- endif %}
    {%- endfor %}
{%- endmacro %}


{#- A value that a KPI of the committee can have: percentages go from 0 to 100, counts and days are not negative. -#}
{% macro kpi_posible(valor, unidad) -%}
    case
        when {{ unidad }} = '%' then {{ valor }} between 0 and 100
        when {{ unidad }} in ('cantidad', 'días') then {{ valor }} >= 0
        else true
    end
{%- endmacro %}
