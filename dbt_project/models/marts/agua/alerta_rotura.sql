with
episodios as (
    select
        medidor_id,
        inicio,
        fin,
        horas,
        caudal_minimo_lh,
        consumo_litros,
        umbral_lh
    from {{ ref('int_agua__episodios_caudal') }}
    where regla_id = 'R-AGUA-15'
)

select
    md5('R-AGUA-15|' || episodios.medidor_id || '|' || extract(epoch from episodios.inicio)::bigint) as alerta_id,
    episodios.medidor_id,
    medidores.cuenta_id,
    medidores.zona_id,
    medidores.categoria,
    episodios.inicio,
    episodios.fin,
    episodios.horas::integer as horas,
    episodios.caudal_minimo_lh::numeric(12, 1) as caudal_minimo_lh,
    episodios.consumo_litros::bigint as consumo_litros,
    episodios.umbral_lh::numeric(12, 1) as umbral_lh,
    'R-AGUA-15'::text as regla_id,
    'Durante ' || episodios.horas || ' horas seguidas pasaron al menos '
    || {{ con_coma('episodios.caudal_minimo_lh::numeric(12, 1)') }} || ' litros por hora, desde el '
    || to_char(episodios.inicio at time zone '{{ var("zona_horaria") }}', 'DD/MM/YYYY HH24:MI')
    || '. Puede ser la rotura de una cañería. Es un aviso informativo y no genera ningún cargo.' as explicacion
from episodios
left join {{ ref('int_agua__medidores') }} as medidores on episodios.medidor_id = medidores.medidor_id
where episodios.umbral_lh is not null
