{#- Where relations are built and how tables are created. Nothing about the data belongs here. -#}

{#- The custom schema is the schema: one per domain, the same in every environment. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema if custom_schema_name is none else custom_schema_name | trim }}
{%- endmacro %}


{#-
    Tables with an enforced contract are created with CREATE TABLE AS. dbt-postgres would create the
    table first and then run INSERT … SELECT, which PostgreSQL never plans in parallel. Names and
    types are checked all the same; constraints, which only the other route could carry, are refused
    instead of ignored.
-#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set contrato = config.get('contract') -%}
    {%- set cabecera = config.get('sql_header', none) -%}
    {%- if contrato.enforced and not temporary -%}
        {%- for columna in (model.get('columns') or {}).values() if columna.get('constraints') -%}
            {%- do exceptions.raise_compiler_error(
                relation ~ '.' ~ columna.name ~ ': use tests and indexes instead of constraints'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ cabecera if cabecera is not none }}
    {%- if contrato.enforced %}
        {{ get_assert_columns_equivalent(sql) }}
        {%- if not temporary -%}{%- set sql = get_select_subquery(sql) -%}{%- endif -%}
    {%- endif %}
    create
    {%- if temporary %} temporary
    {%- elif config.get('unlogged', default=false) %} unlogged
    {%- endif %} table {{ relation }} as (
        {{ sql }}
    );
{%- endmacro %}


{#- More memory for one model's sort. `set local` ends with the model's own transaction. -#}
{% macro memoria_de_trabajo(memoria) -%}
    set local work_mem = '{{ memoria }}'
{%- endmacro %}


{#- Snapshots keep instants, like every other time of the warehouse. dbt-postgres would drop the zone. -#}
{% macro postgres__snapshot_get_time() -%}
    {{ current_timestamp() }}
{%- endmacro %}


{#-
    The columns of a relation, with arrays under a name that can be cast to ('_text' → 'text[]').
    dbt-postgres says 'ARRAY', which breaks every unit test over a model with an array column.
-#}
{% macro postgres__get_columns_in_relation(relation) -%}
    {% call statement('get_columns_in_relation', fetch_result=True) %}
        select
            column_name,
            case when data_type = 'ARRAY' then substring(udt_name from 2) || '[]' else data_type end as data_type,
            character_maximum_length,
            numeric_precision,
            numeric_scale
        from {{ relation.information_schema('columns') }}
        where
            table_name = '{{ relation.identifier }}'
            {%- if relation.schema %}
            and table_schema = '{{ relation.schema }}'
            {%- endif %}
        order by ordinal_position
    {% endcall %}
    {{ return(sql_convert_columns_in_relation(load_result('get_columns_in_relation').table)) }}
{%- endmacro %}


{#-
    Post-hook of large tables: these columns hold no nulls. With a unique index on them they are the key, kept by
    PostgreSQL in every later write; asked for once, when the table is new.
-#}
{% macro exigir_clave(columnas) -%}
    do $clave$
    begin
        if exists (
            select from pg_attribute as columnas
            where
                columnas.attrelid = '{{ this }}'::regclass
                and columnas.attname in ('{{ columnas | join("', '") }}')
                and not columnas.attnotnull
        ) then
            alter table {{ this }}
            {%- for columna in columnas %}
            alter column {{ columna }} set not null{{ ',' if not loop.last }}
            {%- endfor %};
        end if;
    end
    $clave$
{%- endmacro %}


{#- Whether PostgreSQL keeps these columns as a key: unique in an index without conditions, and never null. -#}
{% macro clave_exigida(relacion, columnas) -%}
    {%- set lista = "array['" ~ columnas | join("', '") ~ "']::name[]" -%}
    {%- set consulta -%}
        select
            not exists (
                select from unnest({{ lista }}) as pedidas (nombre)
                where not exists (
                    select from pg_attribute as columnas
                    where
                        columnas.attrelid = indices.indrelid
                        and columnas.attname = pedidas.nombre
                        and columnas.attnotnull
                )
            )
        from pg_index as indices
        where
            indices.indrelid = to_regclass('{{ relacion }}')
            and indices.indisunique
            and indices.indisvalid
            and indices.indpred is null
            and indices.indexprs is null
            and not exists (
                select
                from unnest(indices.indkey::smallint[]) with ordinality as claves (numero, orden)
                inner join pg_attribute as columnas
                    on columnas.attrelid = indices.indrelid and columnas.attnum = claves.numero
                where claves.orden <= indices.indnkeyatts and columnas.attname <> all({{ lista }})
            )
    {%- endset -%}
    {%- set filas = run_query(consulta) -%}
    {{ return(true in filas.columns[0].values()) }}
{%- endmacro %}


{#-
    Post-hook of large tables of which others look for few rows: an index of those rows alone. dbt's own
    `indexes` knows no conditions.
-#}
{% macro indice_parcial(columnas, condicion) -%}
    do $indice$
    begin
        if not exists (
            select from pg_index as indices
            where indices.indrelid = '{{ this }}'::regclass and indices.indpred is not null
        ) then
            create index on {{ this }} ({{ columnas | join(', ') }}) where {{ condicion }};
        end if;
    end
    $indice$
{%- endmacro %}
