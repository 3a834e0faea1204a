-- Loads of tables: key comparisons, checksums.
-- When the keys of a table were last compared with its source. Checksums of a load stand in meta.carga.detalle ('sumas').
create table meta.comparacion (
    dataset              text primary key,
    carga_id             bigint not null references meta.carga deferrable initially deferred,
    claves_origen        bigint not null,           -- keys the source held
    filas_eliminadas     bigint not null,           -- rows of raw whose key the source no longer held
    claves_faltantes     bigint not null,           -- keys of the source that raw lacked; > 0 = the next load reads everything
    comparado_en         timestamptz not null
);
comment on table meta.comparacion is 'Última comparación de todas las claves de una tabla incremental con su origen: así se descubren las bajas.';
