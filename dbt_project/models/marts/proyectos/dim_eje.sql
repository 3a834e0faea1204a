select
    eje_id,
    nombre as eje_nombre,
    descripcion,
    orden
from {{ ref('stg_mlc__ejes') }}
