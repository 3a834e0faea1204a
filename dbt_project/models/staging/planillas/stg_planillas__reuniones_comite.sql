with
origen as (
    select
        reunion_id,
        fecha_prevista,
        fecha_realizada,
        asistentes,
        temas,
        acta,
        _load_id,
        _source_row
    from {{ source('planillas', 'reuniones_comite') }}
),

limpio as (
    select
        reunion_id,
        fecha_prevista,
        fecha_realizada,
        asistentes,
        {{ limpiar_texto('temas') }} as temas,
        temas as temas_original,
        {{ limpiar_texto('acta') }} as acta,
        acta as acta_original,
        _load_id,
        _source_row
    from origen
)

select
    reunion_id,
    fecha_prevista,
    fecha_realizada,
    asistentes,
    {{ corregido('stg_planillas__reuniones_comite', 'temas') }},
    temas_original,
    {{ corregido('stg_planillas__reuniones_comite', 'acta') }},
    acta_original,
    _load_id,
    _source_row,
    {{ correcciones('stg_planillas__reuniones_comite') }} as correcciones
from limpio
