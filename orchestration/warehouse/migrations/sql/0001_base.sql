-- Schemas of the warehouse and the tables that account for every row that passed through it.
-- Comments reach psql, dbt docs and Power BI, so they are in Spanish.
create schema if not exists raw;
create schema if not exists quarantine;
create schema if not exists meta;
create schema if not exists dagster;
create schema if not exists staging;
create schema if not exists intermediate;
create schema if not exists referencia;
create schema if not exists inventario;
create schema if not exists proyectos;
create schema if not exists agua;
create schema if not exists poblacion;
create schema if not exists calidad;
create schema if not exists gobernanza;

comment on schema raw is 'Datos tal como llegaron de cada sistema, con su registro de carga. No se corrigen aquí.';
comment on schema quarantine is 'Filas que no pudieron representarse o incumplen una regla bloqueante, textuales y con su motivo.';
comment on schema meta is 'Cargas, archivos, marcas, contratos, controles, deriva y publicaciones: la contabilidad del almacén.';
comment on schema staging is 'Datos de cada sistema limpios y tipados; cada corrección conserva el original y la regla.';
comment on schema intermediate is 'Pasos intermedios de los modelos; no son para consumo.';
comment on schema referencia is 'Listas versionadas: ODS, protocolo de datos desagregados, distritos, frecuencias, temas.';
comment on schema inventario is 'Inventario de datos: sistemas, conjuntos de datos y campos.';
comment on schema proyectos is 'Proyectos, programas, ejes, metas e indicadores.';
comment on schema agua is 'Consumo de agua, medidores, calidad e infraestructura.';
comment on schema poblacion is 'Resultados desagregados de población, siempre agregados.';
comment on schema calidad is 'Hallazgos, correcciones y resultados de los controles.';
comment on schema gobernanza is 'Indicadores del comité de datos.';

-- One row per contract known to the last run: the machine-readable inventory.
create table meta.contrato (
    dataset              text primary key,          -- '<system>.<dataset>'
    sistema              text not null,
    nombre               text not null,
    descripcion          text,
    tabla_raw            text not null,             -- 'raw.<system>__<dataset>'
    version              text not null,
    contrato_sha256      text not null,
    secretaria           text,                      -- owning secretariat; null = unknown
    responsable          text,
    referente            text,                      -- data champion
    frecuencia           text,                      -- ISO-8601 duration, e.g. P1D; null = unknown
    formato              text,
    motor                text,                      -- postgresql, mysql, sqlserver, csv, jsonl, xlsx, api
    clasificacion        text not null default 'acceso_restringido',
    prioridad            text not null default 'normal',
    contiene_personas    boolean not null default false,
    modo_carga           text not null,
    configurado          boolean not null default false,
    vigente              boolean not null default true,
    actualizado_en       timestamptz not null default now()
);

create table meta.contrato_campo (
    dataset              text not null references meta.contrato on delete cascade,
    orden                integer not null,
    campo                text not null,
    campo_origen         text not null,
    tipo_logico          text,
    tipo_fisico          text not null,
    descripcion          text,
    obligatorio          boolean not null,
    es_clave             boolean not null,
    clasificacion        text not null default 'acceso_restringido',
    campo_protocolo      text,                      -- disaggregation protocol field it answers to
    primary key (dataset, campo)
);

-- One row per attempt to load one dataset. Written in the same transaction as the rows.
create table meta.carga (
    carga_id             bigint generated always as identity primary key,
    corrida_id           text not null,             -- Dagster run id
    dataset              text not null,
    estado               text not null check (estado in ('cargada', 'sin_cambios', 'fallida')),
    modo                 text not null,
    origen               text,                      -- where it was read from, without secrets
    contrato_version     text not null,
    contrato_sha256      text not null,
    inicio               timestamptz not null,
    fin                  timestamptz not null,
    filas_leidas         bigint not null default 0,
    filas_cargadas       bigint not null default 0, -- inserted or changed in raw
    filas_cuarentena     bigint not null default 0,
    filas_conocidas      bigint not null default 0, -- read, already in raw and equal
    filas_eliminadas     bigint not null default 0, -- in raw, gone from the source
    filas_origen         bigint,                    -- counted at the source, null = not counted
    marca                text,                      -- watermark after the load
    error                text,                      -- message for the person on duty
    detalle              jsonb not null default '{}',
    check (filas_leidas = filas_cargadas + filas_cuarentena + filas_conocidas)
);
create index carga_dataset_idx on meta.carga (dataset, carga_id desc);

create table meta.marca (
    dataset              text primary key,
    columna              text not null,
    valor                text not null,
    carga_id             bigint not null references meta.carga deferrable initially deferred,
    actualizado_en       timestamptz not null default now()
);

create table meta.archivo (
    dataset              text not null,
    sha256               text not null,
    nombre               text not null,             -- path relative to the feed folder
    bytes                bigint not null,
    filas_leidas         bigint not null,
    filas_cuarentena     bigint not null default 0,
    carga_id             bigint not null references meta.carga deferrable initially deferred,
    cargado_en           timestamptz not null default now(),
    primary key (dataset, sha256)
);

create table meta.deriva (
    deriva_id            bigint generated always as identity primary key,
    dataset              text not null,
    carga_id             bigint references meta.carga deferrable initially deferred,
    tipo                 text not null check (tipo in ('columna_nueva', 'columna_faltante', 'tipo_cambiado')),
    columna              text not null,
    detalle              text not null,
    accion               text not null,
    detectado_en         timestamptz not null default now(),
    visto_por_ultima_vez timestamptz not null default now(),
    unique (dataset, tipo, columna, detalle)
);

-- Rows kept out of raw, verbatim. `fila` holds every value as text under the contract's column names; a line that could
-- not be taken apart stands whole under `_linea`.
create table quarantine.fila (
    fila_id              bigint generated always as identity primary key,
    dataset              text not null,
    carga_id             bigint not null references meta.carga deferrable initially deferred,
    archivo              text,
    numero_fila          bigint,                    -- 1-based data row in what was read
    regla                text not null,             -- reason code, e.g. 'tipo_invalido'
    columna              text,
    motivo               text not null,
    fila                 jsonb not null,
    huella               text not null,             -- hash of dataset + row + rule: a row met again is the same row
    estado               text not null default 'pendiente' check (estado in ('pendiente', 'reprocesada', 'descartada')),
    primera_vez          timestamptz not null default now(),
    ultima_vez           timestamptz not null default now(),
    unique (dataset, huella)
);
comment on column quarantine.fila.fila is 'Fila textual como llegó. Puede contener datos sensibles: solo el equipo de datos la lee.';

-- Earlier versions of rows that a load changed or removed (requirement: all changes and removals, with
-- when and by which load). It holds what raw held, so it is as restricted as raw.
create table raw._historial (
    historial_id         bigint generated always as identity primary key,
    dataset              text not null,
    operacion            text not null check (operacion in ('modificacion', 'baja')),
    fila                 jsonb not null,
    carga_id             bigint not null references meta.carga deferrable initially deferred,
    registrado_en        timestamptz not null default now()
);
create index historial_dataset_idx on raw._historial (dataset, carga_id);

-- One row per check and run, whatever engine ran it.
create table meta.resultado_control (
    resultado_id         bigint generated always as identity primary key,
    corrida_id           text not null,
    control              text not null,             -- stable name of the check
    motor                text not null check (motor in ('pandera', 'protocolo', 'dbt', 'great_expectations', 'conciliacion', 'construccion')),
    objeto               text not null,             -- '<schema>.<table>' the check speaks of
    columna              text,
    dimension            text check (dimension in ('completitud', 'unicidad', 'validez', 'consistencia', 'exactitud', 'actualidad')),
    regla                text not null,
    severidad            text not null check (severidad in ('bloqueante', 'advertencia')),
    paso                 boolean,                   -- null = could not be evaluated
    filas_evaluadas      bigint,
    filas_fallidas       bigint,
    muestra              jsonb not null default '[]', -- keys only, never personal values
    explicacion          text not null,
    responsable          text,
    evaluado_en          timestamptz not null default now()
);
create index resultado_control_objeto_idx on meta.resultado_control (objeto, control, resultado_id desc);

-- Last verdict of every check: what the gate reads.
create view meta.control_vigente as
select distinct on (objeto, control) *
from meta.resultado_control
order by objeto, control, resultado_id desc;

-- One row per dbt node and invocation.
create table meta.construccion (
    construccion_id      bigint generated always as identity primary key,
    corrida_id           text not null,
    objeto               text not null,             -- '<schema>.<table>'
    nodo                 text not null,             -- dbt unique_id
    estado               text not null check (estado in ('ok', 'error', 'omitido')),
    segundos             double precision,
    mensaje              text,
    proyecto_sha256      text not null,
    ultima_carga_id      bigint not null,           -- newest load the build has seen
    fin                  timestamptz not null default now()
);
create index construccion_objeto_idx on meta.construccion (objeto, construccion_id desc);

-- One row per export of a portal dataset.
create table meta.publicacion (
    publicacion_id       bigint generated always as identity primary key,
    corrida_id           text not null,
    conjunto             text not null,             -- name of exports/datasets/<name>.yaml
    estado               text not null check (estado in ('exportada', 'sin_cambios', 'retenida', 'publicada', 'pendiente_aprobacion')),
    definicion_sha256    text not null,
    construccion_id      bigint,                    -- newest build of its marts it was made from
    filas                bigint,
    archivos             jsonb not null default '[]', -- [{path, bytes, sha256, rows}]
    destino              text,                      -- portal address or local folder
    motivo               text,
    fin                  timestamptz not null default now()
);
create index publicacion_conjunto_idx on meta.publicacion (conjunto, publicacion_id desc);

-- A person's approval of the first publication of a dataset, or of a change in its columns.
create table meta.aprobacion (
    aprobacion_id        bigint generated always as identity primary key,
    conjunto             text not null,
    columnas_sha256      text not null,
    aprobado_por         text not null,
    motivo               text not null,
    aprobado_en          timestamptz not null default now()
);
