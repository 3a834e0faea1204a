-- Findings with their life cycle, digests of them, scores by day, corrections by load. They are history: models are rebuilt, these stay.

-- What somebody has to put right: one row per place (data set or table), rule and column, for good. It is opened and closed by what
-- checks, models, quarantine and drift say; a person can only acknowledge it, or close what cannot close by itself.
create table meta.hallazgo (
    hallazgo_id          bigint generated always as identity primary key,
    fuente               text not null check (fuente in ('dato', 'cuarentena', 'deriva', 'control')),
    objeto               text not null,             -- data set, or '<schema>.<table>' for a check
    regla                text not null,             -- rule id, reason code, kind of drift, or the check's stable name
    columna              text not null default '',  -- '' = the whole row or table
    dataset              text,                      -- '<system>.<dataset>'; null = it speaks of a mart
    area                 text,                      -- owning secretariat; null = nobody declared one
    responsable          text,
    dimension            text check (dimension in ('completitud', 'unicidad', 'validez', 'consistencia', 'exactitud', 'actualidad')),
    severidad            text not null check (severidad in ('alta', 'media', 'baja')),
    titulo               text not null,
    explicacion          text not null,
    siguiente_paso       text not null,
    filas_afectadas      bigint,                    -- null = not counted
    filas_evaluadas      bigint,
    muestra              jsonb not null default '[]', -- keys of rows, never values
    estado               text not null default 'abierto' check (estado in ('abierto', 'cerrado')),
    primera_vez          timestamptz not null,
    primera_corrida      text not null,
    ultima_vez           timestamptz not null,      -- last time something confirmed it
    ultima_corrida       text not null,
    abierto_desde        timestamptz not null,      -- of the present (or last) episode
    veces_abierto        integer not null default 1,
    cerrado_en           timestamptz,
    cierre_corrida       text,                      -- null when a person closed it
    cierre_motivo        text,
    visto_por            text,
    visto_en             timestamptz,
    visto_nota           text,
    unique (fuente, objeto, regla, columna),
    check ((estado = 'cerrado') = (cerrado_en is not null))
);
create index hallazgo_abierto_idx on meta.hallazgo (area, severidad) where estado = 'abierto';
comment on table meta.hallazgo is 'Lo que alguien debe corregir: desde cuándo, cuántas filas, de quién es y cuál es el siguiente paso.';
comment on column meta.hallazgo.muestra is 'Claves de algunas filas; nunca valores.';

create table meta.hallazgo_evento (
    evento_id            bigint generated always as identity primary key,
    hallazgo_id          bigint not null references meta.hallazgo on delete cascade,
    tipo                 text not null check (tipo in ('abierto', 'reabierto', 'cambio', 'cerrado', 'visto')),
    corrida_id           text,                      -- null = done by a person
    filas_afectadas      bigint,
    por                  text,
    nota                 text,
    ocurrido_en          timestamptz not null default now()
);
create index hallazgo_evento_idx on meta.hallazgo_evento (hallazgo_id, evento_id);
comment on table meta.hallazgo_evento is 'Historia de cada hallazgo: cuándo se abrió, cambió, se cerró o volvió, y quién lo vio. Solo se agrega.';

-- Digests of findings, written before they are sent: a send that is cut off is taken up again with the same text and the same
-- message number, so that nothing is lost and a repetition can be recognised as one.
create table meta.resumen_hallazgos (
    resumen_id           bigint generated always as identity primary key,
    area                 text not null,             -- '' = findings without an area
    canal                text not null check (canal in ('correo', 'webhook')),
    semana               date not null,             -- Monday
    desde_evento_id      bigint not null,           -- events after this one, up to the next, are told
    hasta_evento_id      bigint not null,
    huella               text not null,             -- of what it says, dates left out
    estado               text not null check (estado in ('pendiente', 'enviado', 'sin_novedades')),
    mensaje_id           text not null unique,
    contenido            jsonb not null,
    intentos             integer not null default 0,
    error                text,                      -- or note of the last attempt, without secrets
    creado_en            timestamptz not null default now(),
    enviado_en           timestamptz,
    unique (area, canal, semana)
);
comment on table meta.resumen_hallazgos is 'Resúmenes semanales de hallazgos por área: qué decían, si salieron y cuándo.';

-- Score of each data set by day: the last measurement of a day stands for it.
create table meta.puntaje (
    dia                  date not null,             -- in Mendoza
    dataset              text not null,
    dimension            text not null check (dimension in ('completitud', 'unicidad', 'validez', 'consistencia', 'exactitud', 'actualidad')),
    secretaria           text,
    peso                 numeric(5, 2) not null,
    puntos               numeric(7, 4),             -- null = not measured: no points, and no coverage either
    corrida_id           text not null,
    medido_en            timestamptz not null default now(),
    primary key (dataset, dia, dimension)
);
create table meta.puntaje_estandar (
    dia                  date not null,
    dataset              text not null,
    secretaria           text,
    puntaje              numeric(5, 2),
    cobertura_pct        numeric(5, 2) not null,
    cumple_estandar      boolean,                   -- null = not enough is known
    motivo               text not null,
    corrida_id           text not null,
    medido_en            timestamptz not null default now(),
    primary key (dataset, dia)
);
comment on table meta.puntaje is 'Puntos de calidad de cada conjunto y dimensión, por día.';
comment on table meta.puntaje_estandar is 'Puntaje de calidad de cada conjunto y si cumple el estándar, por día.';

-- Values corrected in the rows that each load brought. A row that is put right at its source leaves fct_correccion, not this.
create table meta.correccion (
    carga_id             bigint not null references meta.carga deferrable initially deferred,
    dataset              text not null,
    columna              text not null,
    regla_id             text not null,
    valores              bigint not null,           -- most values ever seen corrected in this load's rows
    sin_dato             bigint not null,           -- of them, those left without a value
    cargado_en           timestamptz not null,
    corrida_id           text not null,             -- run that brought the rows
    contado_en           timestamptz not null default now(),
    primary key (carga_id, dataset, columna, regla_id)
);
create index correccion_dataset_idx on meta.correccion (dataset, cargado_en);
comment on table meta.correccion is 'Cuántos valores corrigió cada regla en las filas que trajo cada carga.';

-- dbt fills a list that is there already without adding columns to it.
alter table if exists referencia.reglas_limpieza add column if not exists que_hacer text, add column if not exists reversion text;
