{#-
    One row per meter and moment, with its neighbours in time. A view over all readings: a first build of
    fct_consumo_horario reads it in the single sorted pass (meter, hour, moment) that also serves to drop
    repeated readings, to look at the neighbours and to add up hours. Later builds use the same text on the
    stretches that changed (macro lecturas_con_vecinas). The order costs nothing, rows have it already; said, it reaches
    the reader's plan, which would sort them all again.
-#}
with
{{ lecturas_con_vecinas() }}

select
    {{ columnas_de_lectura() }}
from lecturas_con_vecinas
order by medidor_id, hora
