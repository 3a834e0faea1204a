{#-
    One row per meter and moment, with its neighbours in time. A view over all readings: a first build of
    fct_consumo_horario reads it in the single sorted pass (meter, hour, moment) that also serves to drop
    repeated readings, to look at the neighbours and to add up hours. Later builds use the same text on the
    stretches that changed (macro lecturas_con_vecinas).
-#}
with
{{ lecturas_con_vecinas() }}

select
    {{ columnas_de_lectura() }}
from lecturas_con_vecinas
