-- Quality: verdicts over whole tables, releases by hand, profiles.

-- More engines: rules of a contract over the whole table, freshness, monitors on history.
alter table meta.resultado_control drop constraint resultado_control_motor_check;
alter table meta.resultado_control add constraint resultado_control_motor_check check (motor in (
    'pandera', 'protocolo', 'contrato', 'frescura', 'monitor', 'dbt', 'great_expectations', 'conciliacion', 'construccion'
));
alter table meta.resultado_control
    add column dataset text,                        -- contract it speaks of; null for models
    add column lote_evaluadas bigint,               -- row rules: rows read in this run, and those of them
    add column lote_fallidas bigint;                -- that fail; `filas_*` speak of the rows held now
create index resultado_control_motor_idx on meta.resultado_control (objeto, motor, resultado_id desc);
comment on column meta.resultado_control.filas_fallidas is 'Filas que no cumplen entre todas las que la tabla tiene ahora (o en cuarentena por esa regla), no solo entre las de esta corrida.';
comment on column meta.resultado_control.lote_fallidas is 'Reglas por fila: filas leídas en esta corrida que no cumplen.';

create or replace view meta.control_vigente as
select distinct on (objeto, control) *
from meta.resultado_control
order by objeto, control, resultado_id desc;

-- A person lets a withheld dataset leave: for these verdicts only, and for a time.
create table meta.liberacion (
    liberacion_id        bigint generated always as identity primary key,
    conjunto             text not null,             -- name of exports/datasets/<name>.yaml
    alcance              jsonb not null,            -- [{objeto, control, huella, explicacion}]: the verdicts it covers
    por                  text not null check (por <> ''),
    motivo               text not null check (motivo <> ''),
    creada_en            timestamptz not null default now(),
    vence_en             timestamptz not null,
    revocada_en          timestamptz,
    revocada_por         text,
    revocada_motivo      text,
    check (vence_en > creada_en),
    check ((revocada_en is null) = (revocada_por is null))
);
create index liberacion_conjunto_idx on meta.liberacion (conjunto, liberacion_id desc);
comment on table meta.liberacion is 'Quién dejó salir un conjunto retenido, por qué, con qué alcance y hasta cuándo. Nunca se borra: se revoca.';
alter table meta.publicacion add column liberacion_id bigint references meta.liberacion;
comment on column meta.publicacion.liberacion_id is 'Liberación con la que salió pese a un control en rojo; nulo = salió con todos los controles en verde.';

-- What is withheld now, since when, and which good version stands meanwhile.
create view meta.retencion_vigente as
with ultima as (
    select distinct on (conjunto) conjunto, estado, motivo, fin
    from meta.publicacion
    order by conjunto, publicacion_id desc
),

buena as (
    select conjunto, max(publicacion_id) as publicacion_id, max(fin) as fin
    from meta.publicacion
    where estado in ('exportada', 'publicada', 'sin_cambios')
    group by conjunto
)

select
    u.conjunto,
    u.motivo,
    (
        select min(p.fin) from meta.publicacion p
        where p.conjunto = u.conjunto and p.estado = 'retenida' and p.publicacion_id > coalesce(b.publicacion_id, 0)
    ) as retenida_desde,
    b.fin as ultima_buena
from ultima u
left join buena b on b.conjunto = u.conjunto
where u.estado = 'retenida';
comment on view meta.retencion_vigente is 'Conjuntos retenidos ahora: por qué, desde cuándo y de cuándo es la última versión buena, que sigue a la vista.';

-- Profiles: one per dataset and run in which it changed.
create table meta.perfil (
    perfil_id            bigint generated always as identity primary key,
    corrida_id           text not null,
    dataset              text not null,
    objeto               text not null,             -- 'raw.<table>'
    alcance              text not null check (alcance in ('tabla', 'llegadas')), -- the whole table, or what this run brought
    hasta_carga_id       bigint not null,           -- newest load it has seen
    filas                bigint not null,           -- rows in scope, counted exactly
    filas_medidas        bigint not null,           -- rows the statistics were taken from; less = a sample
    columnas             jsonb not null,            -- [[name, type]] as they stand in the table
    calculado_en         timestamptz not null default now(),
    dia                  date not null              -- business day in Mendoza
);
create index perfil_dataset_idx on meta.perfil (dataset, perfil_id desc);
comment on table meta.perfil is 'Perfil de un conjunto en una corrida en la que cambió: su volumen y sus columnas.';

create table meta.perfil_columna (
    perfil_id            bigint not null references meta.perfil on delete cascade,
    columna              text not null,
    tipo                 text not null,
    publicable           boolean not null,          -- false: restricted, only nulls and distinct values are counted
    nulos                bigint not null,
    distintos            bigint,
    minimo               text,
    maximo               text,
    cuantiles            jsonb,                     -- {"0.05": …}: numbers, or seconds since 1970 for dates
    largo_minimo         integer,
    largo_maximo         integer,
    largo_medio          double precision,
    patrones             jsonb,                     -- [[pattern, rows]]: letters a, digits 9, the rest as is
    valores              jsonb,                     -- [[value, rows]]: the most frequent, with enough rows each
    primary key (perfil_id, columna)
);
comment on table meta.perfil_columna is 'Perfil de una columna. De las columnas no abiertas solo se cuentan nulos y distintos: ningún valor se guarda.';
