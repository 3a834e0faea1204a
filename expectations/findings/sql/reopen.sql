-- What somebody closed by hand comes back only on evidence newer than that.
with vueltos as (
    update meta.hallazgo as h
    set
        estado = 'abierto', abierto_desde = o.visto_en, veces_abierto = h.veces_abierto + 1, cerrado_en = null,
        cierre_corrida = null, cierre_motivo = null, visto_por = null, visto_en = null, visto_nota = null
    from observado as o
    where
        (h.fuente, h.objeto, h.regla, h.columna) = (o.fuente, o.objeto, o.regla, o.columna)
        and o.presente and h.estado = 'cerrado'
        and (h.cierre_corrida is not null or o.visto_en > h.cerrado_en)
    returning h.hallazgo_id, o.filas
)

insert into meta.hallazgo_evento (hallazgo_id, tipo, corrida_id, filas_afectadas)
select hallazgo_id, 'reabierto', %(run_id)s, filas from vueltos order by hallazgo_id
