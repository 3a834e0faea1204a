{#-
    The columns identify a row. Nulls compare as equal and fail the test, unless `admite_nulos`: then a
    null is one more value of the key ("(sin dato)") and only repetition fails.
-#}
{% test clave_unica(model, columnas, admite_nulos=false) %}
select
    {{ columnas | join(', ') }},
    count(*) as filas
from {{ model }}
group by {{ columnas | join(', ') }}
having
    count(*) > 1
    {%- if not admite_nulos %}
    {%- for columna in columnas %}
    or {{ columna }} is null
    {%- endfor %}
    {%- endif %}
{% endtest %}
