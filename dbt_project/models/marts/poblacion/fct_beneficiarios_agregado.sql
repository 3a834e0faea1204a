{#-
    One-way tables per programme, each closed by its total, with small cells hidden. Programmes are not
    added up and dimensions are not crossed: nothing published here can be subtracted from anything
    else published here.
-#}
with
personas as (
    select
        programa_id,
        genero,
        banda_edad,
        etnia,
        nivel_educativo,
        nivel_ingreso,
        distrito,
        acceso_tecnologia,
        alfabetizacion_digital,
        case when con_discapacidad then 'Con discapacidad' when not con_discapacidad then 'Sin discapacidad' end
            as discapacidad
    from {{ ref('int_poblacion__beneficiarios') }}
),

celdas as (
    select
        personas.programa_id,
        dimensiones.dimension,
        coalesce(dimensiones.valor, 'Sin dato') as valor,
        count(*) as personas
    from personas
    cross join
        lateral (
            values
            ('total', 'Total'),
            ('genero', personas.genero),
            ('banda_edad', personas.banda_edad),
            ('etnia', personas.etnia),
            ('discapacidad', personas.discapacidad),
            ('nivel_educativo', personas.nivel_educativo),
            ('nivel_ingreso', personas.nivel_ingreso),
            ('distrito', personas.distrito),
            ('acceso_tecnologia', personas.acceso_tecnologia),
            ('alfabetizacion_digital', personas.alfabetizacion_digital)
        ) as dimensiones (dimension, valor)
    group by personas.programa_id, dimensiones.dimension, coalesce(dimensiones.valor, 'Sin dato')
),

{{ suprimir('celdas', ['programa_id']) }}

select
    protegidas.programa_id,
    coalesce(programas.programa_nombre, '(sin dato)') as programa_nombre,
    protegidas.dimension,
    protegidas.valor,
    (case when protegidas.supresion is null then protegidas.personas end)::bigint as personas,
    protegidas.supresion is not null as suprimido,
    case
        when protegidas.supresion is not null then 'Menos casos que los necesarios para mostrar el dato sin identificar a nadie.'
    end as motivo,
    {{ fecha_referencia_edad() }} as fecha_referencia_edad
from protegidas
left join {{ ref('dim_programa') }} as programas on protegidas.programa_id = programas.programa_id
