{#-
    Measurements with the plausibility mark of rule R-MEDICION-01: more than twenty times the median of
    the indicator, in absolute value, where it has at least four measurements.
-#}
with
mediciones as (
    select
        mediciones.medicion_id,
        mediciones.indicador_id as indicador_id_original,
        indicadores.indicador_id,
        mediciones.periodo,
        mediciones.valor,
        mediciones.fuente,
        mediciones.registrado_en
    from {{ ref('stg_mlc__mediciones') }} as mediciones
    left join {{ ref('stg_mlc__indicadores') }} as indicadores
        on mediciones.indicador_id = indicadores.indicador_id
),

habituales as (
    select
        indicador_id,
        percentile_cont(0.5) within group (order by abs(valor)) as mediana
    from mediciones
    where indicador_id is not null and valor is not null
    group by indicador_id
    having count(*) >= 4
)

select
    mediciones.medicion_id,
    mediciones.indicador_id_original,
    mediciones.indicador_id,
    mediciones.periodo,
    mediciones.valor,
    mediciones.fuente,
    mediciones.registrado_en,
    coalesce(abs(mediciones.valor) > 20 * nullif(habituales.mediana, 0), false) as es_atipica
from mediciones
left join habituales on mediciones.indicador_id = habituales.indicador_id
