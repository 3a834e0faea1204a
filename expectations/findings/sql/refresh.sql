with anteriores as (
    select h.hallazgo_id, h.filas_afectadas
    from meta.hallazgo as h
    where h.estado = 'abierto'
),

confirmados as (
    update meta.hallazgo as h
    set
        dataset = o.dataset, area = o.area, responsable = o.responsable, dimension = o.dimension,
        severidad = o.severidad, titulo = o.titulo, explicacion = o.explicacion, siguiente_paso = o.siguiente_paso,
        filas_afectadas = o.filas, filas_evaluadas = o.evaluadas, muestra = o.muestra,
        ultima_vez = greatest(h.ultima_vez, o.visto_en), ultima_corrida = o.corrida_id
    from observado as o
    where
        (h.fuente, h.objeto, h.regla, h.columna) = (o.fuente, o.objeto, o.regla, o.columna)
        and o.presente and h.estado = 'abierto'
    returning h.hallazgo_id, h.filas_afectadas
)

insert into meta.hallazgo_evento (hallazgo_id, tipo, corrida_id, filas_afectadas)
select c.hallazgo_id, 'cambio', %(run_id)s, c.filas_afectadas
from confirmados as c
inner join anteriores as a on c.hallazgo_id = a.hallazgo_id
where c.filas_afectadas is distinct from a.filas_afectadas
order by c.hallazgo_id
