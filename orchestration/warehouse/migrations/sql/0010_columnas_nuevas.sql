-- Columns of a source that its contract does not declare, added to raw as text under a name of their own.
create table meta.columna_agregada (
    dataset              text not null,
    nombre_origen        text not null,             -- the source's own name
    tabla                text not null,             -- in raw
    columna              text not null,             -- in raw: `_nueva_…`
    agregada_en          timestamptz not null default now(),
    primary key (dataset, tabla, nombre_origen)
);
comment on table meta.columna_agregada is 'Columnas del origen que el contrato no declara: con qué nombre se guardan, como texto y restringidas, en raw.';

-- Primary key of each source table as it was when the contract's version was first read with it.
create table meta.clave_origen (
    dataset              text primary key,
    columnas             text[] not null,           -- the source's own names; empty: none declared
    contrato_version     text not null,
    visto_desde          timestamptz not null default now()
);
comment on table meta.clave_origen is 'Clave primaria que declara cada origen, vista por primera vez con esta versión del contrato.';

alter table meta.deriva drop constraint deriva_tipo_check;
alter table meta.deriva add constraint deriva_tipo_check
check (tipo in ('columna_nueva', 'columna_faltante', 'tipo_cambiado', 'tipo_ampliado', 'clave_cambiada'));
