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
        btrim(acta) as acta,
        _load_id,
        _source_row
    from origen
)

select
    reunion_id,
    fecha_prevista,
    fecha_realizada,
    asistentes,
    temas,
    temas_original,
    acta,
    _load_id,
    _source_row,
    {{ correcciones('stg_planillas__reuniones_comite') }} as correcciones
from limpio
