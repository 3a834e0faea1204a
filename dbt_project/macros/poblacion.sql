{#- Disclosure control of counts of people. Thresholds are variables and are never lowered here. -#}

{#- Smallest count shown for a dimension: gender, ethnicity and disability need more. -#}
{% macro umbral_celda(dimension) -%}
    case
        when {{ dimension }} in ('genero', 'etnia', 'discapacidad') then {{ var('umbral_celda_sensible') }}
        else {{ var('umbral_celda_general') }}
    end
{%- endmacro %}


{#-
    CTEs that decide which cells of one-way tables are hidden, ending in `protegidas`.

    `celdas` is a CTE with the columns of `grupo` (one closed table of counts whose total is known),
    `dimension`, `valor` and `personas`. Primary: a cell under its threshold. Complementary: as long as
    the hidden cells of a group are fewer than two, or add up to less than the threshold, the next
    smallest goes too; otherwise the total would give them away. A group whose total is under the
    larger threshold is hidden whole.
-#}
{% macro suprimir(celdas, grupo) -%}
{%- set particion = grupo | join(', ') -%}
ordenadas as (
    select
        *,
        {{ umbral_celda('dimension') }} as umbral,
        row_number() over (partition by {{ particion }}, dimension order by personas, valor) as lugar,
        sum(personas) over (
            partition by {{ particion }}, dimension order by personas, valor rows between unbounded preceding and 1 preceding
        ) as menores,
        sum(personas) over (partition by {{ particion }}, dimension) as total
    from {{ celdas }}
),

con_primarias as (
    select
        *,
        count(*) filter (where personas < umbral) over (partition by {{ particion }}, dimension) as primarias
    from ordenadas
),

protegidas as (
    select
        *,
        case
            when total < {{ var('umbral_celda_sensible') }} then 'total'
            when personas < umbral then 'primaria'
            when primarias > 0 and (lugar <= 2 or menores < umbral) then 'complementaria'
        end as supresion
    from con_primarias
)
{%- endmacro %}


{#- What requests are counted by, one dimension after the other: of a row called `solicitudes`. -#}
{% macro dimensiones_de_solicitudes() -%}
    lateral (
        values
        ('total', 'Total'),
        ('categoria', solicitudes.categoria),
        ('area', solicitudes.area),
        ('distrito', solicitudes.distrito),
        ('canal', solicitudes.canal),
        ('estado', solicitudes.estado)
    ) as dimensiones (dimension, valor)
{%- endmacro %}
