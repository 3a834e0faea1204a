{#-
    One row per corrected value. Values of sensitive fields are counted and never shown. Readings enter
    with the hours whose consumption a rule changed or recovered, and with those that had repetitions.
-#}
with
cambiados as (
    {%- for modelo in campos_corregibles() %}
        {{ correcciones_de(modelo) }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

valores as (
    select
        dataset,
        clave,
        carga_id,
        columna,
        case when not sensible then antes end as valor_original,
        case when not sensible then despues end as valor_corregido,
        despues is null as queda_sin_dato,
        {{ regla_de_correccion() }} as regla_id
    from cambiados
),

cargas as (
    select
        carga_id,
        dataset
    from {{ source('meta', 'carga') }}
),

horas as (
    select
        medidor_id,
        hora,
        regla_id,
        consumo_litros,
        diferencia_original_litros,
        lecturas,
        lecturas_descartadas,
        carga_id
    from {{ ref('fct_consumo_horario') }}
    where
        regla_id in ('R-AGUA-04', 'R-AGUA-05', 'R-AGUA-06', 'R-AGUA-07', 'R-AGUA-08')
        or lecturas_descartadas > 0
),

consumos as (
    select
        coalesce(cargas.dataset, 'telemetria.lecturas')::text as dataset,
        horas.medidor_id || '|' || {{ hora_de_clave('horas.hora') }} as clave,
        horas.carga_id,
        cambios.columna,
        cambios.valor_original,
        cambios.valor_corregido,
        cambios.valor_corregido is null as queda_sin_dato,
        cambios.regla_id
    from horas
    left join cargas on horas.carga_id = cargas.carga_id
    cross join
        lateral (
            values
            (
                'consumo_litros',
                horas.diferencia_original_litros::text,
                horas.consumo_litros::text,
                case when horas.regla_id not in ('R-AGUA-01', 'R-AGUA-09') then horas.regla_id end
            ),
            (
                'lecturas',
                (horas.lecturas + horas.lecturas_descartadas)::text,
                horas.lecturas::text,
                case when horas.lecturas_descartadas > 0 then 'R-AGUA-02' end
            )
        ) as cambios (columna, valor_original, valor_corregido, regla_id)
    where cambios.regla_id is not null
),

reunidos as (
    select
        dataset,
        clave,
        carga_id,
        columna,
        valor_original,
        valor_corregido,
        queda_sin_dato,
        regla_id
    from valores
    where regla_id is not null
    union all
    select
        dataset,
        clave,
        carga_id,
        columna,
        valor_original,
        valor_corregido,
        queda_sin_dato,
        regla_id
    from consumos
)

select
    md5(dataset || '|' || clave || '|' || columna) as correccion_id,
    dataset,
    clave,
    columna,
    valor_original,
    valor_corregido,
    queda_sin_dato,
    regla_id,
    carga_id
from reunidos
