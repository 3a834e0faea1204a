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

limpio as (
    select
        origen.muestra_id,
        {{ limpiar_texto('origen.punto') }} as punto,
        origen.punto as punto_original,
        origen.zona_id,
        origen.fecha_hora at time zone '{{ var("zona_horaria") }}' as fecha_hora,
        {{ valor_de_lista(
            'origen.parametro',
            {
                'turbidez': 'turbidez', 'color': 'color', 'ph': 'ph', 'arsenico': 'arsenico',
                'amonio': 'amonio', 'cloro_residual': 'cloro_residual', 'cloro': 'cloro_residual'
            }
        ) }} as parametro,
        origen.parametro as parametro_original,
        {#- A parameter without known limits has no range to be out of. #}
        {{ en_rango(
            'origen.valor',
            'coalesce(limites.minimo_posible, origen.valor)',
            'coalesce(limites.maximo_posible, origen.valor)'
        ) }} as valor,
        origen.valor as valor_original,
        {{ limpiar_texto('origen.unidad') }} as unidad,
        origen.unidad as unidad_original,
        {{ limpiar_texto('origen.laboratorio') }} as laboratorio,
        origen.laboratorio as laboratorio_original,
        origen._load_id
    from origen
    left join {{ ref('limites_calidad_agua') }} as limites
        on limites.parametro = {{ normalizar_codigo('origen.parametro') }}
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
