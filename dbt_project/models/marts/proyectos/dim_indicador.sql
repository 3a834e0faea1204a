{#- The last measurement that can be one: of a known period that has begun. -#}
with
ultimas as (
    select distinct on (indicador_id)
        indicador_id,
        periodo,
        valor
    from {{ ref('int_proyectos__mediciones') }}
    where
        indicador_id is not null
        and valor is not null
        and not es_atipica
        and periodo <= {{ fecha_referencia() }}
    order by indicador_id asc, periodo desc, medicion_id desc
)

select
    indicadores.indicador_id,
    indicadores.codigo,
    indicadores.nombre as indicador_nombre,
    secretarias.secretaria_id,
    programas.programa_id,
    indicadores.categoria,
    indicadores.tipo,
    indicadores.unidad,
    indicadores.sentido,
    indicadores.linea_base::numeric(18, 4) as linea_base,
    indicadores.frecuencia,
    indicadores.relevancia,
    indicadores.medibilidad,
    indicadores.accesibilidad,
    indicadores.comparabilidad,
    indicadores.simplicidad,
    indicadores.validado_por_secretaria,
    indicadores.es_estrategico,
    ultimas.periodo as ultimo_periodo,
    ultimas.valor::numeric(18, 4) as ultimo_valor
from {{ ref('stg_mlc__indicadores') }} as indicadores
left join {{ ref('stg_mlc__secretarias') }} as secretarias
    on indicadores.secretaria_id = secretarias.secretaria_id
left join {{ ref('stg_mlc__programas') }} as programas on indicadores.programa_id = programas.programa_id
left join ultimas on indicadores.indicador_id = ultimas.indicador_id
