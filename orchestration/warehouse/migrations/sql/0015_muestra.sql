-- One row once the synthetic sample municipality was loaded here: what leaves this warehouse says so.
create table meta.muestra (
    unica                boolean primary key default true check (unica),
    desde                timestamptz not null default now()
);
comment on table meta.muestra is 'Si tiene una fila, en este almacén se cargó el municipio sintético de muestra, y lo que sale de él lo dice.';

insert into meta.muestra (desde)
select min(inicio) from meta.carga where origen ~ '/sample(/|$| )' having count(*) > 0;
