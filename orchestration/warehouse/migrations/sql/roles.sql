-- Roles and grants; applied at every migration, so it must give the same result each time.
-- Group roles without login: the administrator grants them to people and tools.
--   datos_equipo    the data team: reads everything, quarantine included; not the memory of what was
--                   published (schema divulgacion), which only its owner does
--   datos_analista  analysts: marts, reference lists and the accounting in meta
--   datos_powerbi   Power BI and other tools: the last good version of the marts of their boards
--                   (schema tableros), and reference lists
--   datos_luji      the chatbot: views agua.luji_*, one account at a time (setting lujan.cuenta)
do $$
declare
    wanted text;
begin
    foreach wanted in array array['datos_equipo', 'datos_analista', 'datos_powerbi', 'datos_luji'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I nologin', wanted);
        end if;
    end loop;
end
$$;

do $$
declare
    area text;
begin
    foreach area in array array['inventario', 'proyectos', 'agua', 'poblacion', 'calidad', 'gobernanza', 'referencia'] loop
        execute format('grant usage on schema %I to datos_equipo, datos_analista', area);
        execute format('grant select on all tables in schema %I to datos_equipo, datos_analista', area);
        -- dbt replaces tables: the grant has to come with the new one.
        execute format('alter default privileges in schema %I grant select on tables to datos_equipo, datos_analista', area);
    end loop;
    -- Boards never see a mart before its checks do.
    foreach area in array array['inventario', 'proyectos', 'agua', 'poblacion', 'calidad', 'gobernanza'] loop
        execute format('revoke select on all tables in schema %I from datos_powerbi', area);
        execute format('revoke usage on schema %I from datos_powerbi', area);
        execute format('alter default privileges in schema %I revoke select on tables from datos_powerbi', area);
    end loop;
    foreach area in array array['tableros', 'referencia'] loop
        -- A warehouse on its way from an older version does not have it yet.
        continue when to_regnamespace(area) is null;
        execute format('grant usage on schema %I to datos_equipo, datos_analista, datos_powerbi', area);
        execute format('grant select on all tables in schema %I to datos_equipo, datos_analista, datos_powerbi', area);
        execute format('alter default privileges in schema %I grant select on tables to datos_equipo, datos_analista, datos_powerbi', area);
    end loop;
    foreach area in array array['raw', 'quarantine', 'staging', 'intermediate', 'entrega'] loop
        continue when to_regnamespace(area) is null;
        execute format('grant usage on schema %I to datos_equipo', area);
        execute format('grant select on all tables in schema %I to datos_equipo', area);
        execute format('alter default privileges in schema %I grant select on tables to datos_equipo', area);
    end loop;
end
$$;

grant usage on schema meta to datos_equipo, datos_analista;
grant select on all tables in schema meta to datos_equipo, datos_analista;
alter default privileges in schema meta grant select on tables to datos_equipo, datos_analista;

-- The views agua.luji_*; nothing else of the schema is readable. dbt grants each as it makes it, and
-- this those that are older than the role.
grant usage on schema agua to datos_luji;
do $$
declare
    shown text;
begin
    foreach shown in array array['luji_consumo', 'luji_facturas', 'luji_alertas'] loop
        continue when to_regclass('agua.' || shown) is null;
        execute format('grant select on agua.%I to datos_luji', shown);
    end loop;
end
$$;

-- Rows of each account stand in entrega.luji_*, which the views agua.luji_* read as their owner. A
-- second barrier behind them: whoever is ever let into these tables sees the account of the session
-- there too, the data team all of them. Their owner, who writes them, is not held by it.
do $$
declare
    delivered text;
begin
    foreach delivered in array array['luji_consumo', 'luji_facturas', 'luji_alertas'] loop
        -- Changing a table locks out its readers: once only. An older warehouse lacks it yet.
        continue when not exists (
            select from pg_class
            where oid = to_regclass('entrega.' || delivered) and not relrowsecurity
        );
        execute format('alter table entrega.%I enable row level security', delivered);
        execute format('drop policy if exists una_cuenta on entrega.%I', delivered);
        execute format('drop policy if exists equipo on entrega.%I', delivered);
        execute format(
            'create policy una_cuenta on entrega.%I for select '
            'using (cuenta_id = nullif(current_setting(''lujan.cuenta'', true), '''')::integer)',
            delivered
        );
        execute format(
            'create policy equipo on entrega.%I for select to datos_equipo using (true)', delivered
        );
    end loop;
end
$$;
