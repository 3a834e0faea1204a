with
episodios as (
    select
        medidor_id,
        inicio,
        fin,
        horas,
        horas_estimadas,
        caudal_minimo_lh,
        consumo_litros,
        umbral_lh
    from {{ ref('int_agua__episodios_caudal') }}
    where regla_id = 'R-AGUA-14'
),

ultimas as (
    select
        medidor_id,
        max(ultima_lectura) as ultima_lectura
    from {{ ref('fct_consumo_mensual_medidor') }}
    group by medidor_id
)

select
    md5('R-AGUA-14|' || episodios.medidor_id || '|' || extract(epoch from episodios.inicio)::bigint) as alerta_id,
    episodios.medidor_id,
    medidores.cuenta_id,
    medidores.zona_id,
    medidores.categoria,
    episodios.inicio,
    episodios.fin,
    episodios.horas::integer as horas,
    episodios.horas_estimadas::integer as horas_estimadas,
    episodios.caudal_minimo_lh::numeric(12, 1) as caudal_minimo_lh,
    episodios.consumo_litros::bigint as consumo_litros,
    round(episodios.caudal_minimo_lh * episodios.horas)::bigint as perdida_estimada_litros,
    coalesce(episodios.umbral_lh, {{ umbral_agua('R-AGUA-14', 'umbral_lh') }})::numeric(12, 1) as umbral_lh,
    episodios.fin >= ultimas.ultima_lectura as sigue_abierta,
    'R-AGUA-14'::text as regla_id,
    'Pasó agua sin interrupción durante ' || episodios.horas || ' horas, desde el '
    || to_char(episodios.inicio at time zone '{{ var("zona_horaria") }}', 'DD/MM/YYYY HH24:MI') || ' hasta el '
    || to_char(episodios.fin at time zone '{{ var("zona_horaria") }}', 'DD/MM/YYYY HH24:MI')
    || '. En la hora de menor uso pasaron '
    || {{ con_coma('episodios.caudal_minimo_lh::numeric(12, 1)') }}
    || ' litros. Puede haber una pérdida: conviene revisar inodoros, canillas, tanque y cañerías. '
    || 'Es un aviso informativo y no genera ningún cargo.' as explicacion
from episodios
left join {{ ref('int_agua__medidores') }} as medidores on episodios.medidor_id = medidores.medidor_id
left join ultimas on episodios.medidor_id = ultimas.medidor_id
