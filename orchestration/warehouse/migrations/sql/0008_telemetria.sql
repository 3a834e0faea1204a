-- Telemetry: messages that were landed, months taken out of raw tables.

-- Messages landed lately. A broker delivers again what was not acknowledged: what stands here was
-- committed, so it is known and not loaded twice. Rows leave once no broker can hold the message.
create table meta.mensaje (
    dataset              text not null,
    huella               uuid not null,             -- 128 bits over topic and payload
    carga_id             bigint not null references meta.carga deferrable initially deferred,
    recibido_en          timestamptz not null,
    primary key (dataset, huella)
);
create index mensaje_recibido_idx on meta.mensaje (dataset, recibido_en);
comment on table meta.mensaje is 'Mensajes en vivo ya cargados, para reconocer los que el servidor entrega otra vez.';

-- Months detached from a raw table. The table stays in raw under its name until it is dropped.
create table meta.particion_separada (
    tabla                text not null,             -- raw table, without its schema
    particion            text not null,             -- name of the month's table
    columna              text not null,             -- the column the table is divided by
    desde                timestamptz not null,      -- included
    hasta                timestamptz not null,      -- not included
    filas                bigint not null,
    separada_en          timestamptz not null default now(),
    copia                text,                      -- archive file, relative to the archive folder; null = none
    copia_sha256         text,
    copia_filas          bigint,
    borrada_en           timestamptz,               -- dropped: only its archive file is left
    primary key (tabla, particion)
);
comment on table meta.particion_separada is 'Meses retirados de una tabla de raw: dónde está su copia y si la tabla fue borrada.';
