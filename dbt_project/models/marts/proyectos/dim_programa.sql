select
    programas.programa_id,
    programas.nombre as programa_nombre,
    programas.descripcion,
    ejes.eje_id,
    secretarias.secretaria_id,
    programas.gestion
from {{ ref('stg_mlc__programas') }} as programas
left join {{ ref('stg_mlc__ejes') }} as ejes on programas.eje_id = ejes.eje_id
left join {{ ref('stg_mlc__secretarias') }} as secretarias on programas.secretaria_id = secretarias.secretaria_id
