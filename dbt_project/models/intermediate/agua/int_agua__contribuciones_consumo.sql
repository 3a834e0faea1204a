{#-
    Who makes up each row of fct_consumo_mensual_zona; read when it is published, and by nobody else. A month of an
    account is a unit of its own: its other months say nothing of it.
-#}
select
    zona_id,
    mes,
    coalesce('cuenta ' || cuenta_id, 'medidor ' || min(medidor_id)) || ' ' || mes as unidad,
    case when cuenta_id is null then 'sin cuenta' else 'cuenta' end as clase,
    array[coalesce(sum(litros), 0), coalesce(sum(dias_con_lectura), 0)]::numeric[] as medidas
from {{ ref('fct_consumo_mensual_medidor') }}
group by zona_id, mes, cuenta_id, case when cuenta_id is null then medidor_id end
