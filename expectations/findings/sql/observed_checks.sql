-- Last verdicts of the checks: a failure opens, a pass closes, and what could not be evaluated does neither.
--
-- A pass on part of the rows (a batch of an incremental load) proves nothing of the rows before it, so it closes nothing. A verdict of
-- a check that is no longer made (its rule left the contract, the suite or the project) closes. What a finding of the data or of the
-- quarantine already says of the same column is not said twice.
insert into observado (
    fuente, objeto, regla, columna, dataset, area, responsable, dimension, severidad, titulo, explicacion,
    siguiente_paso, filas, evaluadas, muestra, presente, motivo, visto_en, corrida_id
)
with vigentes as (
    select
        v.*,
        max(v.resultado_id) filter (where v.motor in ('pandera', 'protocolo', 'great_expectations'))
            over (partition by v.objeto, v.motor, c.dataset) as ultimo_id,
        c.dataset as conjunto, c.secretaria, c.responsable as responsable_contrato, c.modo_carga, c.clave_sensible
    from meta.control_vigente as v
    left join lateral (
        select
            k.dataset, k.secretaria, k.responsable, k.modo_carga,
            exists (
                select from meta.contrato_campo as f
                where f.dataset = k.dataset and f.es_clave and f.clasificacion = 'sensible'
            ) as clave_sensible
        from meta.contrato as k
        where k.tabla_raw = v.objeto
        order by strpos('.' || replace(v.control, ':', '.') || '.', '.' || k.dataset || '.') > 0 desc, k.dataset
        limit 1
    ) as c on true
),

juzgados as (
    select
        v.*,
        (v.motor = 'dbt' and not v.control = any(%(dbt_tests)s))
        -- Its dataset left the contracts.
        or (
            v.dataset is not null
            and exists (select from meta.contrato as k where k.dataset = v.dataset and not k.vigente)
        )
        or (
            v.motor in ('pandera', 'protocolo', 'great_expectations')
            and v.corrida_id <> (select u.corrida_id from meta.resultado_control as u where u.resultado_id = v.ultimo_id)
        ) as retirado,
        -- A verdict that tells its batch apart (`lote_evaluadas`) speaks of all the rows there are.
        v.motor in ('pandera', 'protocolo') and v.modo_carga <> 'full'
        and to_jsonb(v) ->> 'lote_evaluadas' is null as parcial,
        exists (
            select from quarantine.fila as q
            where
                q.dataset = v.conjunto and q.regla = v.regla and q.columna is not distinct from v.columna
                and q.estado in ('pendiente', 'descartada')
        ) as en_cuarentena,
        (
            select min(h.hallazgo_id) from meta.hallazgo as h
            where
                h.fuente = 'dato' and h.estado = 'abierto' and h.dataset = v.conjunto
                and h.columna = v.columna and h.dimension = v.dimension
        ) as ya_dicho
    from vigentes as v
),

veredictos as (
    select
        j.*,
        case
            when j.retirado then 'El control ya no se hace.'
            when j.paso is false and j.en_cuarentena then 'Lo cuenta el hallazgo de la cuarentena.'
            when j.paso is false and j.ya_dicho is not null then 'Lo cuenta el hallazgo ' || j.ya_dicho || '.'
            when j.paso then 'El control pasa.'
        end as motivo
    from juzgados as j
    where
        j.retirado
        or j.paso is false
        or (j.paso and not j.parcial and j.filas_evaluadas is distinct from 0)
)

select
    'control', v.objeto, v.control, coalesce(v.columna, ''), v.conjunto,
    coalesce(v.secretaria, a.area), coalesce(v.responsable, v.responsable_contrato, v.secretaria, a.area),
    v.dimension, case v.severidad when 'bloqueante' then 'alta' else 'media' end,
    coalesce(p.titulo, g.titulo, v.regla),
    coalesce(nullif(case when v.motor <> 'dbt' then v.explicacion end, ''), p.titulo, g.titulo, v.explicacion),
    coalesce(p.siguiente_paso, g.siguiente_paso, 'Revise las filas de la muestra y corríjalas en su sistema de origen.'),
    v.filas_fallidas, v.filas_evaluadas, case when v.clave_sensible then '[]' else v.muestra end,
    v.motivo is null, v.motivo, v.evaluado_en, v.corrida_id
from veredictos as v
left join jsonb_to_recordset(%(areas)s::jsonb) as a (objeto text, area text) on v.objeto = a.objeto
left join jsonb_to_recordset(%(steps)s::jsonb) as p (clase text, titulo text, siguiente_paso text)
    on p.clase = v.motor || ':' || v.regla
left join jsonb_to_recordset(%(steps)s::jsonb) as g (clase text, titulo text, siguiente_paso text)
    on g.clase = v.motor
