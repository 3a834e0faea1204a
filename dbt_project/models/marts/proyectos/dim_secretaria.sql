select
    secretaria_id,
    nombre as secretaria_nombre,
    sigla as secretaria_sigla,
    activa
from {{ ref('stg_mlc__secretarias') }}
