{#-
    Account, zone and category of every meter by day (type 2). `desde` is included and `hasta` is not. The
    first version seen holds for everything before it; of several changes within a day the last one counts.
-#}
with
versiones as (
    select
        medidor_id,
        cuenta_id,
        zona_id,
        categoria,
        cuenta_activa,
        estado,
        fecha_retiro,
        dbt_valid_from,
        dbt_valid_to,
        row_number() over (partition by medidor_id order by dbt_valid_from) as orden
    from {{ ref('historia_medidores') }}
),

periodos as (
    select
        medidor_id,
        cuenta_id,
        zona_id,
        categoria,
        cuenta_activa,
        estado,
        fecha_retiro,
        dbt_valid_to is null as vigente,
        case when orden = 1 then date '1900-01-01' else {{ dia_mendoza('dbt_valid_from') }} end as desde,
        coalesce({{ dia_mendoza('dbt_valid_to') }}, date '9999-12-31') as hasta
    from versiones
)

select
    medidor_id,
    cuenta_id,
    zona_id,
    categoria,
    cuenta_activa,
    estado,
    fecha_retiro,
    vigente,
    desde,
    hasta
from periodos
where desde < hasta
