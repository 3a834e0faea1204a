{#-
    One row per person and programme, restricted. Persons are told apart by document; without one, by
    name and birth date; without those, each record is a person of its own. Of several records of one
    person in one programme the first by number is kept.
-#}
with
personas as (
    select
        beneficiario_id,
        programa_id,
        coalesce(
            'd:' || documento,
            'n:' || lower(nombre) || '|' || lower(apellido) || '|' || fecha_nacimiento,
            'r:' || beneficiario_id
        ) as persona_clave,
        genero,
        etnia,
        nivel_educativo,
        nivel_ingreso,
        distrito,
        acceso_tecnologia,
        alfabetizacion_digital,
        {{ banda_edad('fecha_nacimiento', fecha_referencia_edad()) }} as banda_edad,
        {{ con_discapacidad() }} as con_discapacidad
    from {{ ref('stg_citymis__beneficiarios') }}
)

select distinct on (programas.programa_id, personas.persona_clave)
    personas.beneficiario_id,
    programas.programa_id,
    md5(personas.persona_clave) as persona_id,
    personas.genero,
    personas.etnia,
    personas.nivel_educativo,
    personas.nivel_ingreso,
    personas.distrito,
    personas.acceso_tecnologia,
    personas.alfabetizacion_digital,
    personas.banda_edad,
    personas.con_discapacidad
from personas
left join {{ ref('stg_mlc__programas') }} as programas on personas.programa_id = programas.programa_id
order by programas.programa_id, personas.persona_clave, personas.beneficiario_id
