{#-
    One-way tables of the whole survey. Crossing two of them is left to a process with disclosure
    control for tables with several margins.
-#}
with
respuestas as (
    select
        secretaria,
        genero,
        banda_edad,
        nivel_educativo,
        frecuencia_uso,
        herramienta_principal,
        autoevaluacion,
        case when capacitacion_recibida then 'Sí' when not capacitacion_recibida then 'No' end as capacitacion_recibida,
        case when interes_capacitacion then 'Sí' when not interes_capacitacion then 'No' end as interes_capacitacion
    from {{ ref('int_poblacion__encuesta') }}
),

celdas as (
    select
        1 as encuesta,
        dimensiones.dimension,
        coalesce(dimensiones.valor, 'Sin dato') as valor,
        count(*) as personas,
        avg(respuestas.autoevaluacion) as autoevaluacion_media
    from respuestas
    cross join
        lateral (
            values
            ('total', 'Total'),
            ('secretaria', respuestas.secretaria),
            ('genero', respuestas.genero),
            ('banda_edad', respuestas.banda_edad),
            ('nivel_educativo', respuestas.nivel_educativo),
            ('frecuencia_uso', respuestas.frecuencia_uso),
            ('herramienta_principal', respuestas.herramienta_principal),
            ('capacitacion_recibida', respuestas.capacitacion_recibida),
            ('interes_capacitacion', respuestas.interes_capacitacion)
        ) as dimensiones (dimension, valor)
    group by dimensiones.dimension, coalesce(dimensiones.valor, 'Sin dato')
),

{{ suprimir('celdas', ['encuesta']) }}

select
    dimension,
    valor,
    (case when supresion is null then personas end)::bigint as respuestas,
    (case when supresion is null then round(autoevaluacion_media, 1) end)::numeric(3, 1) as autoevaluacion_media,
    supresion is not null as suprimido,
    case
        when supresion is not null then 'Menos casos que los necesarios para mostrar el dato sin identificar a nadie.'
    end as motivo,
    {{ fecha_referencia_edad() }} as fecha_referencia_edad
from protegidas
