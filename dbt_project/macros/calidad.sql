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


{#- Local hour as it is written in keys of findings. Mendoza is UTC-3 all year. -#}
{% macro hora_de_clave(momento) -%}
    to_char({{ momento }} at time zone '{{ var("zona_horaria") }}', 'YYYY-MM-DD"T"HH24:MI:SS"-03:00"')
{%- endmacro %}
