{{ config(materialized='view') }}

{#- How each zone's newest projection was made and how far it was off on months it had not seen. -#}
with
ultimas as (
    select distinct on (zona_id)
        zona_id,
        metodo,
        forma,
        motivo,
        meses_historia,
        primer_mes,
        ultimo_mes,
        meses_apartados,
        error_modelo_pct,
        error_base_pct,
        cobertura_pct,
        ensanche,
        nivel_pct,
        biblioteca,
        calculada_en
    from {{ source('meta', 'proyeccion') }}
    order by zona_id asc, proyeccion_id desc
)

select
    ultimas.zona_id,
    zonas.nombre as zona_nombre,
    ultimas.metodo,
    ultimas.forma as forma_modelo,
    case when ultimas.error_modelo_pct is not null then ultimas.metodo = 'suavizado_exponencial' end as supera_base,
    ultimas.motivo,
    ultimas.meses_historia,
    ultimas.primer_mes as primer_mes_medido,
    ultimas.ultimo_mes as ultimo_mes_medido,
    ultimas.meses_apartados,
    ultimas.error_modelo_pct::numeric(10, 2) as error_modelo_pct,
    ultimas.error_base_pct::numeric(10, 2) as error_base_pct,
    (case ultimas.metodo when 'suavizado_exponencial' then ultimas.error_modelo_pct else ultimas.error_base_pct end)::numeric(10, 2)
        as error_pct,
    ultimas.nivel_pct as nivel_intervalo_pct,
    ultimas.cobertura_pct::numeric(5, 1) as cobertura_intervalo_pct,
    -- Infinite when no width would have held the held-out months; then there is no interval.
    (case when ultimas.ensanche < 1000 then ultimas.ensanche end)::numeric(8, 2) as ensanche_intervalo,
    ultimas.biblioteca,
    ultimas.calculada_en
from ultimas
left join {{ ref('stg_aguas__zonas') }} as zonas on ultimas.zona_id = zonas.zona_id
