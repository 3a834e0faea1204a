-- From which state an alert may go to which. The trigger below holds everybody to it: people through
-- agua.cambiar_estado_alerta and the command line, and the warehouse when it rebuilds its models.
create table agua.alerta_transicion (
    desde                text not null check (desde in ('nueva', 'informada', 'resuelta', 'descartada')),
    hasta                text not null check (hasta in ('nueva', 'informada', 'resuelta', 'descartada')),
    primary key (desde, hasta)
);
comment on table agua.alerta_transicion is 'De qué estado de un aviso se puede pasar a cuál. Lo cerrado solo se reabre.';
comment on column agua.alerta_transicion.desde is 'Estado en el que está el aviso.';
comment on column agua.alerta_transicion.hasta is 'Estado al que puede pasar.';

insert into agua.alerta_transicion (desde, hasta) values
('nueva', 'informada'),
('nueva', 'resuelta'),
('nueva', 'descartada'),
('informada', 'resuelta'),
('informada', 'descartada'),
('resuelta', 'nueva'),
('descartada', 'nueva');

create or replace function agua._anotar_estado_alerta() returns trigger language plpgsql as $$
declare
    posibles text;
begin
    if new.estado is distinct from old.estado then
        if not exists (
            select from agua.alerta_transicion as legales
            where legales.desde = old.estado and legales.hasta = new.estado
        ) then
            select string_agg(legales.hasta, ', ' order by legales.hasta) into posibles
            from agua.alerta_transicion as legales
            where legales.desde = old.estado;
            raise exception 'El aviso % está en estado «%» (lo puso %) y no puede pasar a «%».',
                left(old.alerta_id, 8), old.estado, old.decidido_por, new.estado
                using errcode = 'invalid_parameter_value',
                      hint = 'Desde «' || old.estado || '» puede pasar a: ' || posibles || '.';
        end if;
        new.cambiada_en := now();
    end if;
    return new;
end
$$;

-- What people do with an alert. The row is locked: of two people who decide at once the second is told.
create or replace function agua.cambiar_estado_alerta(la_alerta text, nuevo_estado text, quien text, por_que text default null)
returns void language plpgsql as $$
declare
    aviso agua.alerta_registro;
begin
    if coalesce(btrim(quien), '') = '' or coalesce(btrim(por_que), '') = '' then
        raise exception 'Falta quién decide, o por qué.' using errcode = 'invalid_parameter_value';
    end if;
    if nuevo_estado is null or nuevo_estado not in ('nueva', 'informada', 'resuelta', 'descartada') then
        raise exception 'El estado "%" no existe: nueva, informada, resuelta o descartada.', nuevo_estado
            using errcode = 'invalid_parameter_value';
    end if;
    select * into aviso from agua.alerta_registro where alerta_id = la_alerta for update;
    if not found then
        raise exception 'No hay ninguna alerta "%".', la_alerta using errcode = 'no_data_found';
    end if;
    if aviso.estado = nuevo_estado then
        raise exception 'El aviso % ya está en estado «%» (lo puso %).',
            left(la_alerta, 8), nuevo_estado, aviso.decidido_por
            using errcode = 'invalid_parameter_value', hint = 'No hace falta hacer nada: ya está así.';
    end if;
    update agua.alerta_registro
    set estado = nuevo_estado, decidido_por = btrim(quien), motivo = btrim(por_que)
    where alerta_id = la_alerta;
end
$$;
