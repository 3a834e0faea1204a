{#-
    Views are replaced in place. dbt-postgres renames the old one and drops it with CASCADE, which takes
    every view built on it along: with several threads two such drops meet in one dependent view and
    PostgreSQL reports a deadlock, and a partial run leaves holes downstream.

    CREATE OR REPLACE refuses a view whose columns changed (invalid_table_definition). Only then is it
    dropped, one view at a time: the lock is taken before anything else is held.
-#}
{% materialization view, adapter='postgres' %}
    {%- set anterior = load_cached_relation(this) -%}
    {%- set vista = this.incorporate(type='view') -%}
    {%- set permisos = config.get('grants') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if anterior is not none and anterior.type != 'view' -%}
        {%- do adapter.drop_relation(anterior) -%}
    {%- endif -%}

    {% call statement('main') -%}
        {%- if config.get('contract').enforced %}
            {{ get_assert_columns_equivalent(sql) }}
        {%- endif %}
        do $reemplazo$
        begin
            create or replace view {{ vista }} as (
                {{ sql }}
            );
        exception when invalid_table_definition then
            perform pg_advisory_xact_lock(hashtext('dbt: drop view'));
            drop view {{ vista }} cascade;
            create view {{ vista }} as (
                {{ sql }}
            );
        end
        $reemplazo$;
    {%- endcall %}

    {%- do apply_grants(vista, permisos, should_revoke=should_revoke(anterior, full_refresh_mode=True)) -%}
    {%- do persist_docs(vista, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [vista]}) }}
{% endmaterialization %}
