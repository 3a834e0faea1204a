-- Projections of consumption: what was said of the months to come, when and with which error. A row is
-- never changed: what was said once can be compared with what happened.
create table meta.proyeccion (
    proyeccion_id        bigint generated always as identity primary key,
    zona_id              integer not null,
    calculada_en         timestamptz not null default now(),
    serie_sha256         text not null,             -- the months it was made of, and the version of the method
    metodo               text check (metodo in ('suavizado_exponencial', 'estacional_ingenuo')),  -- null = nothing projected
    forma                text,                      -- components of the model
    motivo               text not null,
    meses_historia       integer not null,          -- complete months without a gap, up to the last one
    primer_mes           date,
    ultimo_mes           date,
    medidores            integer,                   -- meters of the last complete month; taken to stay as they are
    meses_apartados      integer not null,
    error_modelo_pct     double precision,
    error_base_pct       double precision,
    cobertura_pct        double precision,
    ensanche             double precision,
    nivel_pct            integer not null,
    biblioteca           text not null
);
create index proyeccion_zona_idx on meta.proyeccion (zona_id, proyeccion_id desc);
comment on table meta.proyeccion is 'Una fila por cálculo de la proyección de consumo de una zona, con su error medido en meses apartados. No se borra.';

create table meta.proyeccion_mes (
    proyeccion_id        bigint not null references meta.proyeccion,
    mes                  date not null,
    litros_medidor_dia   double precision not null check (litros_medidor_dia >= 0),
    minimo               double precision,
    maximo               double precision,
    primary key (proyeccion_id, mes),
    check ((minimo is null) = (maximo is null)),
    check (minimo is null or (0 <= minimo and minimo <= litros_medidor_dia and litros_medidor_dia <= maximo))
);
comment on table meta.proyeccion_mes is 'Litros por medidor y día proyectados para cada mes, con su intervalo (sin dato: no se conoce).';

-- Months taken out of a raw table: who, why, and when they came back. Nothing is dropped by the
-- pipeline, so neither an archive file nor a date of dropping is kept.
alter table meta.particion_separada
    drop column copia,
    drop column copia_sha256,
    drop column copia_filas,
    drop column borrada_en,
    add column separada_por text not null default 'almacén',
    add column motivo text,
    add column unida_en timestamptz,                -- back in its table; null = still apart
    add column unida_por text;
comment on table meta.particion_separada is 'Meses retirados de una tabla de raw: siguen en raw con su nombre, fuera de la tabla, y se pueden volver a unir.';

insert into meta.motivo_cuarentena (regla, descripcion, que_hacer) values
('mes_separado', 'La fila es de un mes que fue separado de su tabla.', 'Si la lectura hace falta: lujan partitions attach TABLA MES --by …, y lujan quarantine replay CONJUNTO.');
