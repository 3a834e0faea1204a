{#-
    The columns identify a row. Nulls compare as equal and fail the test, unless `admite_nulos`: then a
    null is one more value of the key ("(sin dato)") and only repetition fails. With `ultimos_dias` only
    the rows of `columna_de_tiempo` in the last days before the day the marts speak of: for views on large tables.
-#}
{% test clave_unica(model, columnas, admite_nulos=false, columna_de_tiempo=none, ultimos_dias=none) %}
select
    {{ columnas | join(', ') }},
    count(*) as filas
from {{ model }}
{%- if ultimos_dias %}
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
