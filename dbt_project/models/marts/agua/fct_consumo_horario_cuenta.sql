{{ config(materialized='view') }}

{#-
    A view: it is asked for one account and some hours, and finds them by key. Only hours that were read; the
    parts of gaps are in fct_consumo_estimado.
-#}
select
    vigencias.cuenta_id,
    consumo.hora,
    count(*)::integer as medidores,
    sum(consumo.consumo_litros)::bigint as litros,
    bool_or(consumo.estimado) as estimado
from {{ ref('int_agua__vigencias') }} as vigencias
inner join {{ ref('fct_consumo_horario') }} as consumo
    on
        vigencias.medidor_id = consumo.medidor_id
        and vigencias.desde_momento <= consumo.hora
        and vigencias.hasta_momento > consumo.hora
where
    vigencias.cuenta_id is not null
    and consumo.consumo_litros is not null
    and consumo.regla_id is distinct from 'R-AGUA-09'
group by vigencias.cuenta_id, consumo.hora
