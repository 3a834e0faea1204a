-- What was published of each cell of a table about people, and which contributions made it up: so that
-- two releases never differ by fewer of them than may be told. No role reads it, the data team included.
create schema divulgacion;
revoke all on schema divulgacion from public;
comment on schema divulgacion is 'Memoria de lo publicado: de quiénes se compone cada cifra. Solo la lee quien publica.';

-- Names of accounts and requests are kept under this key only: a copy of the table alone names nobody.
create table divulgacion.clave (
    clave                bytea not null
);
insert into divulgacion.clave
select sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));
comment on table divulgacion.clave is 'Clave con la que se cifran las unidades; una por almacén.';

create sequence divulgacion.orden;
create table divulgacion.estado (
    estado_id            bigint generated always as identity primary key,
    relacion             text not null,             -- model that says who contributes
    celda                jsonb not null,            -- its key columns and their values
    huella               text not null,             -- of its contributions: equal for equal ones
    orden                bigint not null default nextval('divulgacion.orden'), -- highest: last shown
    publicado_en         timestamptz not null default clock_timestamp(),
    unique (relacion, celda, huella)
);
comment on table divulgacion.estado is 'Cada estado de una celda que se publicó, hasta los últimos de cada una.';

-- Written and deleted with its state, many rows at a time: a foreign key would look each of them up.
create table divulgacion.contribucion (
    estado_id            bigint not null,
    unidad               bytea not null,            -- account or request, under the key
    clase                text not null,             -- what it counted as
    medidas              numeric[] not null         -- what it added
);
create index contribucion_estado_idx on divulgacion.contribucion (estado_id);
comment on table divulgacion.contribucion is 'Con qué contribuyó cada unidad a cada estado publicado.';

create table divulgacion.mostrado (
    estado_id            bigint not null references divulgacion.estado on delete cascade,
    mart                 text not null,
    filas                jsonb not null,            -- rows of the mart for the cell, as they left
    primary key (estado_id, mart)
);
comment on table divulgacion.mostrado is 'Filas con que cada mart mostró un estado: vuelven a salir mientras su cambio espera.';
