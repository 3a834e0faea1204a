with
origen as (
    select
        zona_id,
        nombre,
        cuenca,
        distrito,
        _load_id
    from {{ source('aguas', 'zonas') }}
),

limpio as (
    select
        origen.zona_id,
        {{ limpiar_texto('origen.nombre') }} as nombre,
        origen.nombre as nombre_original,
        {{ valor_de_lista('origen.cuenca', lista_de_la_ciudad('cuencas')) }} as cuenca,
        origen.cuenca as cuenca_original,
        distritos.distrito_nombre as distrito,
        origen.distrito as distrito_original,
        origen._load_id
    from origen
    left join {{ ref('distritos') }} as distritos
        on distritos.distrito_codigo = {{ normalizar_codigo('origen.distrito') }}
)

select
    zona_id,
    {{ corregido('stg_aguas__zonas', 'nombre') }},
    nombre_original,
    {{ corregido('stg_aguas__zonas', 'cuenca') }},
    cuenca_original,
    {{ corregido('stg_aguas__zonas', 'distrito') }},
    distrito_original,
    _load_id,
    {{ correcciones('stg_aguas__zonas') }} as correcciones
from limpio
