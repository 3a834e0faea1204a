-- Rows that wait in quarantine, by place in the file and number of the row, never by value.
insert into observado (
    fuente, objeto, regla, columna, dataset, area, responsable, dimension, severidad, titulo, explicacion,
    siguiente_paso, filas, muestra, presente, corrida_id
)
select
    'cuarentena', g.dataset, g.regla, g.columna, g.dataset, c.secretaria, coalesce(c.responsable, c.secretaria),
    case
        when g.motivo = 'clave_repetida' then 'unicidad'
        when g.motivo = 'obligatorio' then 'completitud'
        else 'validez'
    end,
    'alta', 'Filas en cuarentena', coalesce(m.descripcion, 'Las filas no cumplen una regla del contrato.'),
    coalesce(m.que_hacer, 'Corrija las filas en el origen o revise la regla en el contrato.')
    || ' Para verlas: lujan quarantine show ' || g.dataset || ' --rule ' || g.regla,
    g.filas,
    to_jsonb(array(
        select jsonb_strip_nulls(jsonb_build_object(
            'fila_id', f.fila_id, 'archivo', f.archivo, 'numero_fila', f.numero_fila))
        from quarantine.fila as f
        where
            f.dataset = g.dataset and f.estado = 'pendiente' and f.regla = g.regla
            and coalesce(f.columna, '') = g.columna
        order by f.fila_id
        limit %(sample)s
    )),
    true, %(run_id)s
from (
    select
        dataset, regla, coalesce(columna, '') as columna, regexp_replace(regla, '_\d+$', '') as motivo,
        count(*) as filas
    from quarantine.fila
    where estado = 'pendiente'
    group by 1, 2, 3, 4
) as g
left join meta.motivo_cuarentena as m on g.motivo = m.regla
left join meta.contrato as c on g.dataset = c.dataset
