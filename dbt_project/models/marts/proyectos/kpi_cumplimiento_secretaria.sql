{{ cumplimiento_por('secretaria_id') }}

select
    niveles.nivel_id as secretaria_id,
    coalesce(nombres.secretaria_nombre, '(sin dato)') as secretaria_nombre,
    {{ columnas_de_cumplimiento() }}
left join {{ ref('dim_secretaria') }} as nombres on niveles.nivel_id = nombres.secretaria_id
