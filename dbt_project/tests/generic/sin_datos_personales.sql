{#-
    No text of these columns looks like it carries a person's document, CUIL, telephone or address
    (R-PERSONA-03). For marts whose texts are published: the value is never selected, only its row's key.
-#}
{% test sin_datos_personales(model, clave, columnas) %}
{% for columna in columnas %}
select
    {{ clave }},
    '{{ columna }}' as columna
from {{ model }}
where {{ parece_dato_personal(columna) }}
{{ "union all" if not loop.last }}
{% endfor %}
{% endtest %}
