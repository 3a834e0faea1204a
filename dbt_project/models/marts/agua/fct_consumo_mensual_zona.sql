{#- Grouped from meters and not from accounts: meters without an account still belong to a zone. -#}
with
meses as (
    select
        zona_id,
        cuenta_id,
        mes,
        litros,
        dias_con_lectura
    from {{ ref('fct_consumo_mensual_medidor') }}
),

por_cuenta as (
    select
        zona_id,
        mes,
        cuenta_id,
        coalesce(sum(litros), 0) as litros,
        coalesce(sum(dias_con_lectura), 0) as dias_medidos
    from meses
    group by zona_id, mes, cuenta_id
)

select
    por_cuenta.zona_id,
    por_cuenta.mes,
    min(zonas.nombre) as zona_nombre,
    min(zonas.cuenca) as cuenca,
    count(por_cuenta.cuenta_id)::integer as cuentas,
    sum(por_cuenta.litros)::bigint as litros,
    (sum(por_cuenta.litros) filter (where por_cuenta.cuenta_id is null))::bigint as litros_sin_cuenta,
    round(
        sum(por_cuenta.litros) filter (where por_cuenta.cuenta_id is not null)
        / nullif(sum(por_cuenta.dias_medidos) filter (where por_cuenta.cuenta_id is not null), 0),
        1
    )::numeric(14, 1) as litros_por_cuenta_dia,
    round(
        100 * max(por_cuenta.litros) filter (where por_cuenta.cuenta_id is not null)
        / nullif(sum(por_cuenta.litros) filter (where por_cuenta.cuenta_id is not null), 0),
        1
    )::numeric(5, 1) as participacion_mayor_pct
from por_cuenta
left join {{ ref('stg_aguas__zonas') }} as zonas on por_cuenta.zona_id = zonas.zona_id
group by por_cuenta.zona_id, por_cuenta.mes
