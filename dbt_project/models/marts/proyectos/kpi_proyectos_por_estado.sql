select
    proyectos.secretaria_id,
    coalesce(min(secretarias.secretaria_nombre), '(sin dato)') as secretaria_nombre,
    proyectos.estado,
    count(*)::integer as proyectos,
    count(*) filter (where proyectos.en_riesgo)::integer as proyectos_en_riesgo,
    sum(proyectos.presupuesto)::numeric(20, 2) as presupuesto
from {{ ref('fct_proyecto') }} as proyectos
left join {{ ref('dim_secretaria') }} as secretarias on proyectos.secretaria_id = secretarias.secretaria_id
group by proyectos.secretaria_id, proyectos.estado
