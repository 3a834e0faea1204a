-- Those who read the warehouse directly (the chatbot, Power BI) read the last good version of a mart,
-- which stands here while the mart is rebuilt and while a check on it does not pass.
create schema if not exists entrega;
comment on schema entrega is 'Última versión buena de lo que lee el chatbot Luji, de todas las cuentas. Se lee por agua.luji_*.';
create schema if not exists tableros;
comment on schema tableros is 'Última versión buena de los marts que leen los tableros (Power BI). De cuándo es cada una: tableros.vigencia.';

-- What each reader sees now; written in the transaction that replaces its rows.
create table meta.entrega (
    nombre               text primary key,          -- what the reader reads: '<schema>.<relation>'
    candidato            text not null,             -- what its rows are taken from
    destino              text not null,             -- where they stand
    construccion_id      bigint,                    -- newest build behind the version shown; null = none was good yet
    datos_al             timestamptz,               -- when that version was built
    entregada_en         timestamptz,
    corrida_id           text not null,             -- run that delivered or withheld last
    liberacion_id        bigint references meta.liberacion, -- release with which it left, past a red check
    retenida_desde       timestamptz,               -- since when a newer version is withheld; null = none is
    motivo               text,
    check ((retenida_desde is null) = (motivo is null))
);
comment on table meta.entrega is 'Qué versión ve quien lee el almacén directamente (Luji, tableros), de cuándo es y si hay una más nueva retenida.';

create table meta.entrega_historia (
    historia_id          bigint generated always as identity primary key,
    nombre               text not null,
    estado               text not null check (estado in ('entregada', 'retenida')),
    corrida_id           text not null,
    construccion_id      bigint,
    liberacion_id        bigint references meta.liberacion,
    filas_agregadas      bigint,                    -- new or changed rows
    filas_quitadas       bigint,                    -- rows that went or changed
    motivo               text,
    fin                  timestamptz not null default now()
);
create index entrega_historia_nombre_idx on meta.entrega_historia (nombre, historia_id desc);
comment on table meta.entrega_historia is 'Cada versión que se entregó y cada vez que una se retuvo. No se borra.';

create view tableros.vigencia as
select
    destino as tabla,
    datos_al,
    retenida_desde,
    motivo
from meta.entrega
where destino like 'tableros.%';
comment on view tableros.vigencia is 'De cuándo son los datos de cada tabla de este esquema, y desde cuándo y por qué hay una versión más nueva retenida.';
comment on column tableros.vigencia.tabla is 'Esquema y tabla.';
comment on column tableros.vigencia.datos_al is 'Cuándo se construyó la versión que se ve.';
comment on column tableros.vigencia.retenida_desde is 'Desde cuándo hay una versión más nueva retenida por un control; sin dato si no la hay.';
comment on column tableros.vigencia.motivo is 'Qué control la retiene.';

-- Their shape is fixed, because views stand on them: another column is another migration.
create table entrega.luji_consumo (
    cuenta_id                       integer,
    ultimo_dia                      date,
    litros_ultimo_dia               bigint,
    mes                             date,
    litros_mes                      bigint,
    dias_mes                        integer,
    litros_mismo_mes_anio_anterior  bigint,
    mediana_similares_l_dia         numeric(12, 0)
);
create index luji_consumo_cuenta_idx on entrega.luji_consumo (cuenta_id);
comment on table entrega.luji_consumo is 'Consumo de cada cuenta, última versión buena. Una fila es una cuenta.';

create table entrega.luji_facturas (
    cuenta_id            integer,
    factura_id           bigint,
    periodo              date,
    m3_facturados        numeric(12, 3),
    importe_ars          numeric(14, 2),
    vencimiento          date,
    estado               text
);
create index luji_facturas_cuenta_idx on entrega.luji_facturas (cuenta_id);
comment on table entrega.luji_facturas is 'Facturas de cada cuenta, última versión buena. Una fila es una factura.';

create table entrega.luji_alertas (
    alerta_id            text,
    cuenta_id            integer,
    clase                text,
    desde                timestamptz,
    hasta                timestamptz,
    litros_estimados     bigint,
    pesos_estimados      numeric(14, 2),
    explicacion          text,
    que_hacer            text,
    estado               text
);
create index luji_alertas_cuenta_idx on entrega.luji_alertas (cuenta_id);
comment on table entrega.luji_alertas is 'Avisos de cada cuenta, última versión buena. Una fila es un evento avisado.';
