{#-
    Minimum night flow of a zone (IWA practice): the mean flow between 02:00 and 04:00 local time
    (R-NOCTURNO-01), when people use least. It is that of the customers' meters: zone inlets report daily
    volumes and have no night. Not extrapolated to meters without data; below the coverage asked for there is
    no figure.
-#}
with
telemedidos as (
    select medidor_id
    from {{ ref('stg_aguas__medidores') }}
    where tipo_telemetria in ('csv', 'lorawan')
),

-- Meters that ought to have been read: what came into a zone up to a day, less what left it.
movimientos as (
    select
        vigencias.zona_id,
        vigencias.desde as dia,
        1 as cambio
    from {{ ref('int_agua__vigencias') }} as vigencias
    inner join telemedidos on vigencias.medidor_id = telemedidos.medidor_id
    where vigencias.zona_id is not null and vigencias.estado is distinct from 'retirado'
    union all
    select
        vigencias.zona_id,
        vigencias.hasta,
        -1
    from {{ ref('int_agua__vigencias') }} as vigencias
    inner join telemedidos on vigencias.medidor_id = telemedidos.medidor_id
    where vigencias.zona_id is not null and vigencias.estado is distinct from 'retirado'
),

acumulados as (
    select
        zona_id,
        dia,
        es_dia,
        sum(cambio) over (partition by zona_id order by dia) as medidores_esperados
    from (
        select
            zona_id,
            dia,
            cambio,
            false as es_dia
        from movimientos
        union all
        select
            zona_id,
            dia,
            0,
            true
        from {{ ref('fct_consumo_diario_zona') }}
        where zona_id is not null
    ) as todos
),

noches as (
    select
        dias.zona_id,
        dias.dia,
        dias.medidores_de_noche,
        dias.caudal_nocturno_lh,
        dias.litros_de_noche_medida,
        greatest(coalesce(acumulados.medidores_esperados, 0), dias.medidores_de_noche)::integer as medidores_esperados
    from {{ ref('fct_consumo_diario_zona') }} as dias
    left join acumulados on dias.zona_id = acumulados.zona_id and dias.dia = acumulados.dia and acumulados.es_dia
    where dias.zona_id is not null
),

coberturas as (
    select
        zona_id,
        dia,
        medidores_de_noche,
        caudal_nocturno_lh,
        litros_de_noche_medida,
        medidores_esperados,
        round(100.0 * medidores_de_noche / nullif(medidores_esperados, 0), 1) as cobertura_pct
    from noches
)

select
    coberturas.zona_id,
    coberturas.dia,
    zonas.nombre as zona_nombre,
    coberturas.medidores_esperados,
    coberturas.medidores_de_noche,
    coberturas.cobertura_pct::numeric(5, 1) as cobertura_pct,
    coberturas.cobertura_pct >= {{ umbral_agua('R-NOCTURNO-01', 'cobertura_minima_pct') }} as es_representativo,
    case
        when coberturas.cobertura_pct >= {{ umbral_agua('R-NOCTURNO-01', 'cobertura_minima_pct') }}
            then coberturas.caudal_nocturno_lh
    end::numeric(14, 1) as caudal_nocturno_lh,
    case
        when coberturas.cobertura_pct >= {{ umbral_agua('R-NOCTURNO-01', 'cobertura_minima_pct') }}
            then round(coberturas.caudal_nocturno_lh / nullif(coberturas.medidores_de_noche, 0), 2)
    end::numeric(12, 2) as caudal_por_medidor_lh,
    case
        when coberturas.cobertura_pct >= {{ umbral_agua('R-NOCTURNO-01', 'cobertura_minima_pct') }}
            then round(
                100 * coberturas.caudal_nocturno_lh * {{ horas_del_dia('coberturas.dia') }}
                / nullif(coberturas.litros_de_noche_medida, 0),
                1
            )
    end::numeric(7, 1) as parte_del_caudal_medio_pct
from coberturas
left join {{ ref('stg_aguas__zonas') }} as zonas on coberturas.zona_id = zonas.zona_id
