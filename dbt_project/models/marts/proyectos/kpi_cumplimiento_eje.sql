{{ cumplimiento_por('eje_id') }}

select
    niveles.nivel_id as eje_id,
    coalesce(nombres.eje_nombre, '(sin dato)') as eje_nombre,
    {{ columnas_de_cumplimiento() }}
left join {{ ref('dim_eje') }} as nombres on niveles.nivel_id = nombres.eje_id
