-- Open differences between a source's columns and its contract.
insert into observado (
    fuente, objeto, regla, columna, dataset, area, responsable, dimension, severidad, titulo, explicacion,
    siguiente_paso, muestra, presente, corrida_id
)
select distinct on (d.dataset, d.tipo, d.columna)
    'deriva', d.dataset, d.tipo, d.columna, d.dataset, c.secretaria,
    coalesce(d.responsable, c.responsable, c.secretaria), 'consistencia',
    case when d.tipo in ('columna_faltante', 'tipo_cambiado') then 'alta' else 'baja' end,
    coalesce(p.titulo, d.tipo), d.detalle, coalesce(p.siguiente_paso, 'Acuerde con el área qué cambió y ajuste el contrato.'),
    '[]', true, %(run_id)s
from meta.deriva as d
left join meta.contrato as c on d.dataset = c.dataset
left join jsonb_to_recordset(%(steps)s::jsonb) as p (clase text, titulo text, siguiente_paso text)
    on p.clase = 'deriva:' || d.tipo
where d.resuelto_en is null
order by d.dataset, d.tipo, d.columna, d.visto_por_ultima_vez desc
