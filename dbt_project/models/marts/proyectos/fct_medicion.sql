select
    medicion_id,
    indicador_id,
    periodo,
    valor::numeric(18, 4) as valor,
    es_atipica,
    fuente,
    registrado_en
from {{ ref('int_proyectos__mediciones') }}
