select
    campos.dataset || '.' || campos.campo as campo_id,
    campos.dataset,
    campos.orden,
    campos.campo,
    campos.campo_origen,
    campos.tipo_logico,
    campos.tipo_fisico,
    campos.descripcion,
    campos.obligatorio,
    campos.es_clave,
    case
        when campos.clasificacion in ('sensible', 'acceso_restringido', 'libre_acceso') then campos.clasificacion
        else 'acceso_restringido'
    end as clasificacion,
    campos.campo_protocolo
from {{ source('meta', 'contrato_campo') }} as campos
inner join {{ source('meta', 'contrato') }} as contratos on campos.dataset = contratos.dataset
where contratos.vigente
