-- Readings in = readings kept + readings set aside; litres are the same at every level.
with
crudas as (
    select count(*) as lecturas
    from {{ ref('stg_telemetria__lecturas') }}
    where medidor_id is not null and fecha_hora is not null and lectura_l is not null
),

horas as (
    select
        coalesce(sum(lecturas), 0) + coalesce(sum(lecturas_descartadas), 0) as lecturas,
        coalesce(sum(consumo_litros), 0) as litros
    from {{ ref('fct_consumo_horario') }}
),

futuras as (
    select coalesce(sum(lecturas_descartadas), 0) as lecturas
    from {{ ref('fct_decision_lectura') }}
    where regla_id = 'R-AGUA-12'
),

niveles as (
    select
        'dia' as nivel,
        coalesce(sum(litros), 0) as litros
    from {{ ref('fct_consumo_diario') }}
    union all
    select
        'mes y cuenta',
        coalesce(sum(litros), 0)
    from {{ ref('fct_consumo_mensual_cuenta') }}
    union all
    select
        'mes y zona',
        coalesce(sum(litros), 0)
    from {{ ref('fct_consumo_mensual_zona') }}
)

select
    'lecturas' as nivel,
    crudas.lecturas as esperado,
    horas.lecturas + futuras.lecturas as obtenido
from crudas
cross join horas
cross join futuras
where crudas.lecturas <> horas.lecturas + futuras.lecturas
union all
select
    niveles.nivel,
    horas.litros as esperado,
    niveles.litros as obtenido
from niveles
cross join horas
where niveles.litros <> horas.litros
