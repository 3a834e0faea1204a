with
cargas as (
    select
        dataset,
        max(fin) as ultima_carga
    from {{ source('meta', 'carga') }}
    where estado in ('cargada', 'sin_cambios') and modo in ('full', 'incremental', 'append', 'files')
    group by dataset
)

select
    contratos.sistema,
    count(*)::integer as datasets,
    count(*) filter (where contratos.configurado)::integer as datasets_configurados,
    count(*) filter (where contratos.contiene_personas)::integer as datasets_con_personas,
    string_agg(distinct contratos.motor, ', ' order by contratos.motor) as motores,
    string_agg(distinct contratos.secretaria, ', ' order by contratos.secretaria) as secretarias,
    max(cargas.ultima_carga) as ultima_carga
from {{ source('meta', 'contrato') }} as contratos
left join cargas on contratos.dataset = cargas.dataset
where contratos.vigente
group by contratos.sistema
