{#-
    The columns identify a row. Nulls compare as equal and fail the test, unless `admite_nulos`: then a
    null is one more value of the key ("(sin dato)") and only repetition fails. With `ultimos_dias` only
    the rows of `columna_de_tiempo` in the last days before the day the marts speak of: for views on large tables.

    Where PostgreSQL itself keeps the key (macro exigir_clave: a unique index over columns that are not null) no
    row is read, whatever the size of the table: it could not have been written otherwise.
-#}
{% test clave_unica(model, columnas, admite_nulos=false, columna_de_tiempo=none, ultimos_dias=none) %}
{%- set exigida = execute and not admite_nulos and clave_exigida(model, columnas) %}
select
    {{ columnas | join(', ') }},
    count(*) as filas
from {{ model }}
{%- if exigida %}
where false
{%- elif ultimos_dias %}
where {{ columna_de_tiempo }} >= {{ fecha_referencia() }} - {{ ultimos_dias }}
{%- endif %}
group by {{ columnas | join(', ') }}
having
    count(*) > 1
    {%- if not admite_nulos %}
    {%- for columna in columnas %}
    or {{ columna }} is null
    {%- endfor %}
    {%- endif %}
{% endtest %}
