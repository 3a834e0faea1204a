-- Findings of the models. Keys of a data set whose key says who a person is are not shown.
insert into observado (
    fuente, objeto, regla, columna, dataset, area, responsable, dimension, severidad, titulo, explicacion,
    siguiente_paso, filas, muestra, presente, corrida_id
)
select
    'dato', h.dataset, h.regla_id, coalesce(h.columna, ''), h.dataset, min(h.secretaria), min(h.responsable),
    r.dimension, r.severidad, r.nombre, r.descripcion, r.que_hacer,
    greatest(sum(h.filas_afectadas), count(*)),
    case
        when exists (
            select from meta.contrato_campo as k
            where k.dataset = h.dataset and k.es_clave and k.clasificacion = 'sensible'
        ) then '[]'
        else to_jsonb(array(
            select jsonb_build_object('clave', m.clave)
            from calidad.fct_hallazgo as m
            where m.dataset = h.dataset and m.regla_id = h.regla_id and m.columna is not distinct from h.columna
            order by m.clave
            limit %(sample)s
        ))
    end,
    true, %(run_id)s
from calidad.fct_hallazgo as h
inner join referencia.reglas_limpieza as r on h.regla_id = r.regla_id
group by h.dataset, h.regla_id, h.columna, r.dimension, r.severidad, r.nombre, r.descripcion, r.que_hacer
