select
    respuesta_id,
    secretaria,
    genero,
    nivel_educativo,
    frecuencia_uso,
    herramienta_principal,
    capacitacion_recibida,
    interes_capacitacion,
    autoevaluacion,
    {{ banda_edad('fecha_nacimiento', fecha_referencia_edad()) }} as banda_edad
from {{ ref('stg_planillas__encuesta_habilidades') }}
