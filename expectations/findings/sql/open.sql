with nuevos as (
    insert into meta.hallazgo (
        fuente, objeto, regla, columna, dataset, area, responsable, dimension, severidad, titulo, explicacion,
        siguiente_paso, filas_afectadas, filas_evaluadas, muestra, primera_vez, primera_corrida, ultima_vez,
        ultima_corrida, abierto_desde
    )
    select
        o.fuente, o.objeto, o.regla, o.columna, o.dataset, o.area, o.responsable, o.dimension, o.severidad, o.titulo,
        o.explicacion, o.siguiente_paso, o.filas, o.evaluadas, o.muestra, o.visto_en, o.corrida_id, o.visto_en,
        o.corrida_id, o.visto_en
    from observado as o
    where
        o.presente
        and not exists (
            select from meta.hallazgo as h
            where (h.fuente, h.objeto, h.regla, h.columna) = (o.fuente, o.objeto, o.regla, o.columna)
        )
    order by o.area, o.dataset, o.objeto, o.regla, o.columna
    returning hallazgo_id, filas_afectadas
)

insert into meta.hallazgo_evento (hallazgo_id, tipo, corrida_id, filas_afectadas)
select hallazgo_id, 'abierto', %(run_id)s, filas_afectadas from nuevos order by hallazgo_id
