-- Quarantine: reasons, decisions, replays. Drift: since when, until when, and the columns last seen.

-- The closed list of reasons. Rules that a contract repeats on one column carry a number at their end ('minimo_2').
create table meta.motivo_cuarentena (
    regla                text primary key,
    descripcion          text not null,             -- what is wrong, for the owner of the data
    que_hacer            text not null              -- next step
);
comment on table meta.motivo_cuarentena is 'Motivos por los que una fila queda en cuarentena, y qué hacer con cada uno.';
insert into meta.motivo_cuarentena (regla, descripcion, que_hacer) values
('linea_malformada', 'La línea no pudo separarse en campos: sobran o faltan separadores, o está cortada.', 'Pida el archivo corregido; al cargarlo de nuevo la línea entra. Con `discard` se descarta si no hace falta.'),
('codificacion_invalida', 'La fila tiene bytes que no son texto en la codificación del contrato.', 'Corrija `encoding` en el contrato o el texto en el origen, y pida que se envíe de nuevo.'),
('error_de_formula', 'Una celda de la planilla tiene un error de fórmula (#REF!, #N/A…) en lugar de un valor.', 'Corrija la fórmula en la planilla y pida que se envíe de nuevo.'),
('formula_sin_valor', 'Una celda de la planilla tiene una fórmula cuyo resultado no está guardado.', 'Abra la planilla, guárdela y envíela de nuevo.'),
('numero_impreciso', 'Un número de la planilla tiene más cifras de las que una planilla puede guardar.', 'Escriba el valor como texto en la planilla y envíela de nuevo.'),
('tipo_invalido', 'Un valor no puede leerse en el tipo de su columna, por ejemplo letras en un número.', 'Corrija el valor en el origen; si el valor es válido, corrija el tipo o el formato en el contrato y use `replay`.'),
('fuera_de_rango', 'Un valor no cabe en el tipo de su columna: es demasiado grande o tiene más decimales.', 'Corrija el valor en el origen; si es válido, amplíe el tipo en el contrato y use `replay`.'),
('texto_con_nulo', 'Un texto contiene el carácter nulo, que PostgreSQL no puede guardar.', 'Quite ese carácter en el origen. En la fila guardada se lo ve escrito \u0000.'),
('clave_repetida', 'La clave de la fila ya vino en otra fila de la misma carga: solo una puede entrar.', 'Corrija el duplicado en el origen; si las dos son válidas, la clave del contrato no es la correcta.'),
('obligatorio', 'Falta un valor que el contrato declara obligatorio.', 'Complete el dato en el origen.'),
('valor_permitido', 'Un valor no está en la lista de valores permitidos del contrato.', 'Corrija el valor en el origen; si es válido, agréguelo a la lista del contrato y use `replay`.'),
('minimo', 'Un valor es menor que el mínimo del contrato.', 'Revise el valor en el origen; si es válido, corrija el mínimo del contrato y use `replay`.'),
('maximo', 'Un valor es mayor que el máximo del contrato.', 'Revise el valor en el origen; si es válido, corrija el máximo del contrato y use `replay`.'),
('patron', 'Un valor no tiene la forma que el contrato exige.', 'Corrija el valor en el origen; si es válido, corrija el patrón del contrato y use `replay`.'),
('largo_minimo', 'Un texto es más corto que lo que el contrato exige.', 'Revise el valor en el origen; si es válido, corrija el largo del contrato y use `replay`.'),
('largo_maximo', 'Un texto es más largo que lo que el contrato admite.', 'Revise el valor en el origen; si es válido, corrija el largo del contrato y use `replay`.'),
('protocolo.edad_en_lugar_de_fecha', 'Vino la edad donde el protocolo pide la fecha de nacimiento.', 'Pida la fecha de nacimiento (dd/mm/aaaa) y corrija el formulario.'),
('protocolo.fecha_imposible', 'La fecha de nacimiento no existe, es futura o supera los 120 años.', 'Corrija la fecha en el origen.');

-- What people decided about rows; never changed afterwards.
create table quarantine.decision (
    decision_id          bigint generated always as identity primary key,
    dataset              text not null,
    accion               text not null check (accion in ('descartar', 'deshacer')),
    fila_ids             bigint[] not null,         -- the rows it was about
    regla                text,                      -- when they were chosen by rule
    por                  text not null check (por <> ''),
    motivo               text not null check (motivo <> ''),
    decidido_en          timestamptz not null default now()
);
comment on table quarantine.decision is 'Quién descartó filas en cuarentena, o deshizo un descarte, cuándo y por qué.';

alter table quarantine.fila
    add column contrato_sha256 text,                -- the contract it was last judged by; null = before this was kept
    add column veces bigint not null default 1,     -- equal rows in the load that met it last
    add column es_textual boolean not null default true,  -- false: values as cast, not as the source wrote them
    add column con_nul boolean not null default false,    -- true: \u0000 in `fila` stands for the character NUL
    add column clave text[],                        -- its key in the contract's types, when it can be read
    add column decision_id bigint references quarantine.decision,
    add column resuelta_en timestamptz,
    add column reabierta_en timestamptz,            -- when it came again after it had stopped being pending
    add column resolucion text,                     -- how it stopped being pending
    add column reproceso_carga_id bigint references meta.carga deferrable initially deferred,
    add column ultimo_intento text,                 -- why the last replay left it pending
    add column ultimo_intento_en timestamptz;
alter table quarantine.fila drop constraint fila_estado_check;
alter table quarantine.fila add constraint fila_estado_check
check (estado in ('pendiente', 'reprocesada', 'reemplazada', 'descartada'));
comment on column quarantine.fila.carga_id is 'Carga que encontró la fila por última vez.';
create index fila_pendiente_idx on quarantine.fila (dataset, fila_id) where estado = 'pendiente';
create index fila_carga_idx on quarantine.fila (carga_id);
-- Until now rows refused by a rule were stored as cast, and NUL without a mark of its own.
update quarantine.fila
set es_textual = regla in ('linea_malformada', 'codificacion_invalida', 'tipo_invalido', 'fuera_de_rango', 'texto_con_nulo'),
    con_nul = regla = 'texto_con_nulo';

-- A replay is a load; for files it says whose rows it brought, so that they go when their file is replaced.
alter table meta.carga add column reproceso_de bigint references meta.carga deferrable initially deferred;
comment on column meta.carga.reproceso_de is 'En un reproceso de archivos (modo reproceso), la carga del archivo cuyas filas entraron.';
create index carga_reproceso_idx on meta.carga (reproceso_de) where reproceso_de is not null;

create view quarantine.detalle as
select
    f.fila_id, f.dataset, f.archivo, f.numero_fila, f.regla, f.columna, f.motivo, f.fila, f.estado, f.primera_vez,
    f.ultima_vez, f.carga_id, m.descripcion,
    floor(extract(epoch from coalesce(f.resuelta_en, now()) - f.primera_vez) / 86400)::integer as dias,
    case f.estado
        when 'pendiente' then coalesce(f.ultimo_intento || ' ', '') || coalesce(m.que_hacer, 'Revise la regla en el contrato.')
        when 'descartada' then format('Nada: la descartó %s (%s).', d.por, d.motivo)
        else 'Nada.'
    end as siguiente_paso,
    f.veces, f.resuelta_en, f.resolucion
from quarantine.fila f
left join meta.motivo_cuarentena m on m.regla = regexp_replace(f.regla, '_\d+$', '')
left join quarantine.decision d on d.decision_id = f.decision_id;
comment on view quarantine.detalle is 'Filas en cuarentena con la explicación de su motivo, su antigüedad en días y el siguiente paso.';

create view quarantine.resumen as
select
    f.dataset, f.regla, m.descripcion, f.estado, count(*) as filas, min(f.primera_vez) as primera_vez,
    max(f.ultima_vez) as ultima_vez, coalesce(c.responsable, c.secretaria) as responsable
from quarantine.fila f
left join meta.motivo_cuarentena m on m.regla = regexp_replace(f.regla, '_\d+$', '')
left join meta.contrato c on c.dataset = f.dataset
group by f.dataset, f.regla, m.descripcion, f.estado, coalesce(c.responsable, c.secretaria);
comment on view quarantine.resumen is 'Cuántas filas hay en cuarentena por conjunto, regla y estado, desde cuándo y quién responde por ellas.';

-- The view of one dataset, for its owner. Columns are only ever added at the end.
create function quarantine.crear_vista(vista text, conjunto text) returns void language plpgsql as $$
begin
    execute format(
        'create or replace view quarantine.%I as select fila_id, archivo, numero_fila, regla, columna, motivo, fila, '
        'estado, primera_vez, ultima_vez, carga_id, descripcion, dias, siguiente_paso, veces, resuelta_en, resolucion '
        'from quarantine.detalle where dataset = %L', vista, conjunto);
end
$$;
comment on function quarantine.crear_vista is 'Crea o actualiza la vista de cuarentena de un conjunto.';
select quarantine.crear_vista(replace(dataset, '.', '__'), dataset)
from meta.contrato
where to_regclass(format('quarantine.%I', replace(dataset, '.', '__'))) is not null;

-- Drift: one row per episode, open until `resuelto_en`.
alter table meta.deriva drop constraint deriva_tipo_check;
alter table meta.deriva add constraint deriva_tipo_check
check (tipo in ('columna_nueva', 'columna_faltante', 'tipo_cambiado', 'tipo_ampliado'));
alter table meta.deriva drop constraint deriva_dataset_tipo_columna_detalle_key;
alter table meta.deriva
    add column origen text,                         -- where it was seen last: table or file
    add column responsable text,
    add column resuelto_en timestamptz;
create unique index deriva_vigente_idx on meta.deriva (dataset, tipo, columna, detalle) where resuelto_en is null;
comment on table meta.deriva is 'Diferencias entre las columnas del origen y el contrato: desde cuándo, qué se hizo y cuándo terminó.';

create view meta.deriva_vigente as
select
    deriva_id, dataset, tipo, columna, detalle, accion, responsable, origen, detectado_en, visto_por_ultima_vez,
    floor(extract(epoch from now() - detectado_en) / 86400)::integer as dias
from meta.deriva
where resuelto_en is null;
comment on view meta.deriva_vigente is 'Diferencias con el origen que siguen abiertas.';

-- Columns of each source as they were when the contract's version was first read with them.
create table meta.columna_origen (
    dataset              text not null,
    columna              text not null,             -- the source's own name
    tipo_declarado       text not null,
    contrato_version     text not null,
    visto_desde          timestamptz not null default now(),
    primary key (dataset, columna)
);
comment on table meta.columna_origen is 'Tipo con que cada sistema declara sus columnas, para notar cuándo cambia.';
