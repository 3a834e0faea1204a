-- Files of feeds: versions, archive, what of them is in force.
alter table meta.archivo
    add column nombre_actual text,                  -- newest name of this content: a renamed file stays the same file
    add column identidad text,                      -- files of one identity are versions of one another
    add column identidad_regla text not null default '', -- `fileIdentity` it was taken by; '' = the name itself
    add column modificado_en timestamptz,           -- at the source
    add column copia text,                          -- its copy, relative to the archive folder; null = none was kept
    add column rango_columna text,                  -- the table's `partitionBy` column, and its lowest and
    add column desde text,                          -- highest value among the file's rows: they are nowhere
    add column hasta text,                          -- else; null = not known
    add column vigente boolean not null default true,
    add column reemplazado_por text,                -- sha256 of the version that took its place
    add column reemplazado_en timestamptz;
update meta.archivo set nombre_actual = nombre, identidad = nombre;
alter table meta.archivo
    alter column nombre_actual set not null,
    alter column identidad set not null,
    add constraint archivo_reemplazo_check check (vigente = (reemplazado_por is null));
create index archivo_identidad_idx on meta.archivo (dataset, identidad) where vigente;
create index archivo_carga_idx on meta.archivo (carga_id);
comment on table meta.archivo is 'Un contenido de archivo por fila, por su sha256 (de los bytes tal como llegaron): cuándo se cargó, su copia y si sigue vigente.';
comment on column meta.archivo.copia is 'Copia textual del archivo, relativa a la carpeta de archivo (data/archivo).';
comment on column meta.archivo.vigente is 'Falso: otra versión lo reemplazó; sus filas que no siguen están en raw._historial.';

-- Every name under which a content came, and what the source said of it: enough to know it again unread.
create table meta.archivo_nombre (
    dataset              text not null,
    nombre               text not null,             -- relative to the feed folder
    sha256               text not null,
    bytes                bigint not null,
    modificado_en        timestamptz,
    etiqueta             text,                      -- the store's own mark of the content (ETag)
    fiable               boolean not null default false, -- false: changed so recently that its date proves nothing
    llegado_en           timestamptz not null default now(),
    primary key (dataset, nombre, sha256),
    foreign key (dataset, sha256) references meta.archivo
);
create index archivo_nombre_llegado_idx on meta.archivo_nombre (dataset, nombre, llegado_en desc);
comment on table meta.archivo_nombre is 'Con qué nombres llegó cada contenido: un archivo renombrado o reenviado se reconoce y no se carga otra vez.';
insert into meta.archivo_nombre (dataset, nombre, sha256, bytes, llegado_en)
select dataset, nombre, sha256, bytes, cargado_en from meta.archivo;
