-- Water: how far each incremental model got, and what people decided about alerts. dbt rebuilds its
-- tables; what stands here outlives every rebuild.
create table meta.avance_modelo (
    modelo               text primary key,          -- '<schema>.<table>'
    ultimo_lote          bigint not null,           -- newest batch of intermediate.int_agua__cambios_lecturas it contains
    actualizado_en       timestamptz not null default now()
);
comment on table meta.avance_modelo is 'Hasta qué lote de cambios incorporó cada modelo incremental de agua. Se escribe en la misma transacción que el modelo.';

-- One row per event that was ever reported. Its identity survives late readings that move its start, and
-- rebuilds of the models. It holds neither a charge nor a sanction, and must not: alerts inform.
create table agua.alerta_registro (
    alerta_id            text primary key,
    regla_id             text not null,
    sujeto               text not null,             -- 'medidor:<id>' or 'zona:<id>'
    inicio               timestamptz not null,
    fin                  timestamptz not null,
    estado               text not null default 'nueva' check (estado in ('nueva', 'informada', 'resuelta', 'descartada')),
    decidido_por         text not null default 'almacén',
    motivo               text,
    episodio_id          text unique,               -- episode of the models that shows it now; null = none does
    vista_en             timestamptz not null default now(),
    cambiada_en          timestamptz not null default now(),
    check (fin >= inicio)
);
create index alerta_registro_sujeto_idx on agua.alerta_registro (regla_id, sujeto, inicio);
comment on table agua.alerta_registro is 'Un evento avisado por fila, con su estado (nueva, informada, resuelta, descartada). Es informativo: no lleva cargos ni sanciones.';
comment on column agua.alerta_registro.alerta_id is 'Identificación del evento; no cambia aunque lecturas tardías muevan su comienzo.';
comment on column agua.alerta_registro.regla_id is 'Regla que lo detectó (referencia.reglas_limpieza).';
comment on column agua.alerta_registro.sujeto is 'De qué habla: medidor:<identificador> o zona:<número>.';
comment on column agua.alerta_registro.inicio is 'Comienzo del evento según las últimas lecturas.';
comment on column agua.alerta_registro.fin is 'Última lectura que lo muestra.';
comment on column agua.alerta_registro.estado is 'nueva: nadie la comunicó. informada: se comunicó. resuelta: terminó. descartada: no era tal.';
comment on column agua.alerta_registro.decidido_por is 'Quién puso el estado: una persona, o el almacén.';
comment on column agua.alerta_registro.motivo is 'Por qué está en ese estado.';
comment on column agua.alerta_registro.episodio_id is 'Episodio que lo muestra en los modelos; sin dato si las lecturas corregidas ya no lo muestran.';
comment on column agua.alerta_registro.vista_en is 'Cuándo se registró por primera vez.';
comment on column agua.alerta_registro.cambiada_en is 'Último cambio de estado.';

create table agua.alerta_historia (
    historia_id          bigint generated always as identity primary key,
    alerta_id            text not null references agua.alerta_registro,
    estado_anterior      text,
    estado               text not null,
    decidido_por         text not null,
    motivo               text,
    cambiada_en          timestamptz not null default now()
);
create index alerta_historia_alerta_idx on agua.alerta_historia (alerta_id, historia_id);
comment on table agua.alerta_historia is 'Cada cambio de estado de una alerta: quién, cuándo y por qué. No se borra.';

create function agua._anotar_estado_alerta() returns trigger language plpgsql as $$
begin
    if new.estado is distinct from old.estado then
        new.cambiada_en := now();
    end if;
    return new;
end
$$;

create function agua._guardar_estado_alerta() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into agua.alerta_historia (alerta_id, estado_anterior, estado, decidido_por, motivo)
        values (new.alerta_id, null, new.estado, new.decidido_por, new.motivo);
    elsif new.estado is distinct from old.estado then
        insert into agua.alerta_historia (alerta_id, estado_anterior, estado, decidido_por, motivo)
        values (new.alerta_id, old.estado, new.estado, new.decidido_por, new.motivo);
    end if;
    return null;
end
$$;

create trigger alerta_registro_antes before update on agua.alerta_registro
for each row execute function agua._anotar_estado_alerta();
create trigger alerta_registro_historia after insert or update on agua.alerta_registro
for each row execute function agua._guardar_estado_alerta();

-- What people do with an alert. Raises when the alert or the state does not exist or nobody signs.
create function agua.cambiar_estado_alerta(la_alerta text, nuevo_estado text, quien text, por_que text default null)
returns void language plpgsql as $$
begin
    if coalesce(btrim(quien), '') = '' then
        raise exception 'Falta quién decide.' using errcode = 'invalid_parameter_value';
    end if;
    if nuevo_estado is null or nuevo_estado not in ('nueva', 'informada', 'resuelta', 'descartada') then
        raise exception 'El estado "%" no existe: nueva, informada, resuelta o descartada.', nuevo_estado
            using errcode = 'invalid_parameter_value';
    end if;
    update agua.alerta_registro
    set estado = nuevo_estado, decidido_por = quien, motivo = por_que
    where alerta_id = la_alerta;
    if not found then
        raise exception 'No hay ninguna alerta "%".', la_alerta using errcode = 'no_data_found';
    end if;
end
$$;
comment on function agua.cambiar_estado_alerta is 'Cambia el estado de una alerta y deja escrito quién y por qué.';
