{#- Written by each run after the models: a view, so that it holds what the last run counted. -#}
select
    correcciones.dataset,
    date_trunc('month', correcciones.cargado_en at time zone '{{ var("zona_horaria") }}')::date as mes,
    correcciones.regla_id,
    max(reglas.nombre) as regla_nombre,
    correcciones.columna,
    sum(correcciones.valores)::bigint as valores,
    sum(correcciones.sin_dato)::bigint as sin_dato,
    count(*) as cargas,
    max(correcciones.cargado_en) as ultima_carga
from {{ source('meta', 'correccion') }} as correcciones
left join {{ ref('reglas_limpieza') }} as reglas on correcciones.regla_id = reglas.regla_id
group by 1, 2, 3, 5
