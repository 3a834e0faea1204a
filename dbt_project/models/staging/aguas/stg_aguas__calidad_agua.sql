with
origen as (
    select
        muestra_id,
        punto,
        zona_id,
        fecha_hora,
        parametro,
        valor,
        unidad,
        laboratorio,
        _load_id
    from {{ source('aguas', 'calidad_agua') }}
),

parametros as (
    select
        *,
        {{ valor_de_lista(
            'parametro',
            {
                'turbidez': 'turbidez', 'color': 'color', 'ph': 'ph', 'arsenico': 'arsenico',
                'amonio': 'amonio', 'cloro_residual': 'cloro_residual', 'cloro': 'cloro_residual'
            }
        ) }} as parametro_leido
    from origen
),

limpio as (
    select
        parametros.muestra_id,
        {{ limpiar_texto('parametros.punto') }} as punto,
        parametros.punto as punto_original,
        parametros.zona_id,
        parametros.fecha_hora at time zone '{{ var("zona_horaria") }}' as fecha_hora,
        parametros.parametro_leido as parametro,
        parametros.parametro as parametro_original,
        {#- A parameter without known limits has no upper end; none of what is measured can be negative. #}
        {{ en_rango(
            'parametros.valor',
            'coalesce(limites.minimo_posible, 0)',
            'coalesce(limites.maximo_posible, parametros.valor)'
        ) }} as valor,
        parametros.valor as valor_original,
        {{ limpiar_texto('parametros.unidad') }} as unidad,
        parametros.unidad as unidad_original,
        {{ limpiar_texto('parametros.laboratorio') }} as laboratorio,
        parametros.laboratorio as laboratorio_original,
        parametros._load_id
    from parametros
    left join {{ ref('limites_calidad_agua') }} as limites on parametros.parametro_leido = limites.parametro
)

select
    muestra_id,
    {{ corregido('stg_aguas__calidad_agua', 'punto') }},
    punto_original,
    zona_id,
    fecha_hora,
    {{ corregido('stg_aguas__calidad_agua', 'parametro') }},
    parametro_original,
    {{ corregido('stg_aguas__calidad_agua', 'valor') }},
    valor_original,
    {{ corregido('stg_aguas__calidad_agua', 'unidad') }},
    unidad_original,
    {{ corregido('stg_aguas__calidad_agua', 'laboratorio') }},
    laboratorio_original,
    _load_id,
    {{ correcciones('stg_aguas__calidad_agua') }} as correcciones
from limpio
