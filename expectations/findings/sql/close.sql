-- Closed: known to be gone, or not among what a source that was looked at whole (`complete`) holds.
with cerrados as (
    update meta.hallazgo as h
    set
        estado = 'cerrado', cerrado_en = now(), cierre_corrida = %(run_id)s,
        cierre_motivo = coalesce(
            (
                select o.motivo from observado as o
                where (h.fuente, h.objeto, h.regla, h.columna) = (o.fuente, o.objeto, o.regla, o.columna)
            ),
            case h.fuente
                when 'cuarentena' then 'No quedan filas pendientes en cuarentena.'
                when 'deriva' then 'El origen y el contrato vuelven a coincidir.'
                else 'Ya no se encuentra en los datos.'
            end
        )
    where
        h.estado = 'abierto'
        and case
            when h.fuente = any(%(complete)s) then not exists (
                select from observado as o
                where
                    o.presente
                    and (h.fuente, h.objeto, h.regla, h.columna) = (o.fuente, o.objeto, o.regla, o.columna)
            )
            else exists (
                select from observado as o
                where
                    not o.presente
                    and (h.fuente, h.objeto, h.regla, h.columna) = (o.fuente, o.objeto, o.regla, o.columna)
            )
        end
    returning h.hallazgo_id, h.filas_afectadas, h.cierre_motivo
)

insert into meta.hallazgo_evento (hallazgo_id, tipo, corrida_id, filas_afectadas, nota)
select hallazgo_id, 'cerrado', %(run_id)s, filas_afectadas, cierre_motivo from cerrados order by hallazgo_id
