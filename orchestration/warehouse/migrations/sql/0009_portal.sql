-- Publications on a portal: one row per version of a dataset, its steps, and what the portal shows.
create table meta.version_portal (
    version_id           bigint generated always as identity primary key,
    conjunto             text not null,             -- name of exports/datasets/<name>.yaml
    portal               text not null,             -- public address of the portal, without credentials
    origen               text not null check (origen in ('exportacion', 'vuelta_atras', 'retiro')),
    contenido_sha256     text not null,             -- data, columns and texts, without dates
    estado               text not null check (estado in (
        'preparada', 'controlada', 'comparada', 'aprobada', 'subida', 'releida', 'conmutada',
        'verificada', 'registrada', 'abandonada'
    )),
    paquete              jsonb not null,            -- the datapackage.json of this version
    hechos               jsonb not null default '{}', -- facts of every state, by its name
    corrida_id           text not null,
    error                text,                      -- why the last attempt stopped
    rechazo              text,                      -- why somebody went back from this version
    iniciada_en          timestamptz not null default clock_timestamp(),
    cambiada_en          timestamptz not null default clock_timestamp()
);
-- One version of a dataset under way at a time; the lock of the export keeps it so, this proves it.
create unique index version_portal_abierta_idx on meta.version_portal (conjunto, portal)
    where estado not in ('registrada', 'abandonada');
create index version_portal_conjunto_idx on meta.version_portal (conjunto, portal, version_id desc);
comment on table meta.version_portal is 'Versiones de cada conjunto en el portal y en qué paso de la publicación está cada una.';

create table meta.version_portal_paso (
    version_id           bigint not null references meta.version_portal,
    estado               text not null,
    hechos               jsonb not null default '{}',
    momento              timestamptz not null default clock_timestamp()
);
create index version_portal_paso_idx on meta.version_portal_paso (version_id, momento);
comment on table meta.version_portal_paso is 'Pasos de cada versión publicada, en el orden en que ocurrieron.';

-- A withdrawal, or a column that stopped being open: approvals from before no longer count.
create table meta.aprobacion_anulada (
    anulacion_id         bigint generated always as identity primary key,
    conjunto             text not null,
    motivo               text not null,
    anulado_por          text not null,
    anulado_en           timestamptz not null default clock_timestamp()
);
create index aprobacion_anulada_conjunto_idx on meta.aprobacion_anulada (conjunto, anulado_en desc);
comment on table meta.aprobacion_anulada is 'Motivos por los que una aprobación anterior dejó de valer.';

-- What the portal showed to anybody at its last look, one row per dataset.
create table meta.portal_visto (
    portal               text not null,
    conjunto             text not null,
    titulo               text,
    situacion            text not null check (situacion in ('publicado', 'retirado', 'ausente')),
    es_propio            boolean not null,          -- published by this warehouse
    publicado            timestamptz,               -- first publication, as its metadata say
    modificado           timestamptz,               -- last change of content, as its metadata say
    frecuencia           text,
    recursos             jsonb not null default '[]', -- [{archivo, formato, mart, filas, estrategicos}]
    visto_en             timestamptz not null,
    primary key (portal, conjunto)
);
comment on table meta.portal_visto is 'Lo que el portal muestra a cualquiera, según la última mirada.';

-- Approvals that count: those after the last annulment of their dataset.
create view meta.aprobacion_vigente as
select
    a.aprobacion_id,
    a.conjunto,
    a.columnas_sha256,
    a.aprobado_por,
    a.motivo,
    a.aprobado_en
from meta.aprobacion as a
where not exists (
    select 1
    from meta.aprobacion_anulada as n
    where n.conjunto = a.conjunto and n.anulado_en >= a.aprobado_en
);
comment on view meta.aprobacion_vigente is 'Aprobaciones que valen: las posteriores a la última anulación de su conjunto.';
