{#- Written by each run after the models: a view, so that it holds what the last run measured. -#}
select
    dataset,
    dia,
    secretaria,
    puntaje,
    cobertura_pct,
    cumple_estandar,
    motivo as motivo_estandar
from {{ source('meta', 'puntaje_estandar') }}
