-- What is known now, one row per finding: present, or known to be gone. What is not here is unknown.
create temporary table observado (
    fuente text not null,
    objeto text not null,
    regla text not null,
    columna text not null,
    dataset text,
    area text,
    responsable text,
    dimension text,
    severidad text,
    titulo text,
    explicacion text,
    siguiente_paso text,
    filas bigint,
    evaluadas bigint,
    muestra jsonb not null default '[]',
    presente boolean not null,
    motivo text,
    visto_en timestamptz not null default now(),
    corrida_id text not null,
    primary key (fuente, objeto, regla, columna)
) on commit drop
