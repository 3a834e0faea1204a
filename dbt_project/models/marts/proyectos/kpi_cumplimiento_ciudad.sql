{{ cumplimiento_por(none) }}

select
    {{ fecha_referencia() }} as fecha_referencia,
    {{ columnas_de_cumplimiento() }}
