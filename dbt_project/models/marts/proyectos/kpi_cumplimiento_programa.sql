{{ cumplimiento_por('programa_id') }}

select
    niveles.nivel_id as programa_id,
    coalesce(nombres.programa_nombre, '(sin dato)') as programa_nombre,
    {{ columnas_de_cumplimiento() }}
left join {{ ref('dim_programa') }} as nombres on niveles.nivel_id = nombres.programa_id
