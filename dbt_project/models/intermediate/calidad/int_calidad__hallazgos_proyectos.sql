{#- Findings of the projects system. Each names the row by its key; what to do is for its owner. -#}
{%- set proyectos = ref('stg_mlc__proyectos') -%}
{%- set hitos = ref('stg_mlc__hitos') -%}
with
presupuesto_mediano as (
    select percentile_cont(0.5) within group (order by presupuesto) as presupuesto
    from {{ proyectos }}
    where presupuesto > 0
),

presupuestos_desproporcionados as (
    select
        proyectos.proyecto_id,
        round(proyectos.presupuesto / presupuesto_mediano.presupuesto::numeric) as veces
    from {{ proyectos }} as proyectos
    cross join presupuesto_mediano
    where proyectos.presupuesto > presupuesto_mediano.presupuesto * {{ var('presupuesto_desproporcionado') }}
),

hitos_de_proyectos as (
    select
        hitos.hito_id,
        hitos.estado,
        hitos.fecha_cumplido,
        proyectos.fecha_inicio
    from {{ hitos }} as hitos
    inner join {{ proyectos }} as proyectos on hitos.proyecto_id = proyectos.proyecto_id
)

{{ hallazgo_huerfano(
    'mlc.programas',
    ref('stg_mlc__programas'),
    'programa_id',
    'eje_id',
    ref('stg_mlc__ejes'),
    'eje_id'
) }}
union all
{{ hallazgo_huerfano(
    'mlc.programas',
    ref('stg_mlc__programas'),
    'programa_id',
    'secretaria_id',
    ref('stg_mlc__secretarias'),
    'secretaria_id'
) }}
union all
{{ hallazgo_huerfano(
    'mlc.proyectos',
    proyectos,
    'proyecto_id',
    'programa_id',
    ref('stg_mlc__programas'),
    'programa_id'
) }}
union all
{{ hallazgo_huerfano(
    'mlc.proyectos',
    proyectos,
    'proyecto_id',
    'secretaria_id',
    ref('stg_mlc__secretarias'),
    'secretaria_id'
) }}
union all
{{ hallazgo_huerfano('mlc.hitos', hitos, 'hito_id', 'proyecto_id', proyectos, 'proyecto_id') }}
union all
{{ hallazgo_huerfano(
    'mlc.indicadores',
    ref('stg_mlc__indicadores'),
    'indicador_id',
    'programa_id',
    ref('stg_mlc__programas'),
    'programa_id'
) }}
union all
{{ hallazgo_huerfano(
    'mlc.indicadores',
    ref('stg_mlc__indicadores'),
    'indicador_id',
    'secretaria_id',
    ref('stg_mlc__secretarias'),
    'secretaria_id'
) }}
union all
{{ hallazgo_huerfano(
    'mlc.metas',
    ref('stg_mlc__metas'),
    'meta_id',
    'indicador_id',
    ref('stg_mlc__indicadores'),
    'indicador_id'
) }}
union all
{{ hallazgo_huerfano('mlc.metas', ref('stg_mlc__metas'), 'meta_id', 'proyecto_id', proyectos, 'proyecto_id') }}
union all
{{ hallazgo_huerfano(
    'mlc.mediciones',
    ref('stg_mlc__mediciones'),
    'medicion_id',
    'indicador_id',
    ref('stg_mlc__indicadores'),
    'indicador_id'
) }}
union all
{{ hallazgo_repetido(
    'mlc.proyectos', 'R-CLAVE-02', proyectos, 'proyecto_id', ['codigo'],
    "'El código ' || codigo || ' ya es del proyecto ' || clave_primera || '.'", 'codigo is not null'
) }}
union all
{{ hallazgo(
    'mlc.proyectos', 'R-FECHA-03', 'proyecto_id',
    "'El fin previsto (' || to_char(fecha_fin_prevista, 'DD/MM/YYYY') || ') es anterior al inicio (' || to_char(fecha_inicio, 'DD/MM/YYYY') || ').'",
    proyectos, 'fecha_fin_prevista < fecha_inicio', columna='fecha_fin_prevista'
) }}
union all
{{ hallazgo(
    'mlc.proyectos', 'R-FECHA-03', 'proyecto_id',
    "'El fin real (' || to_char(fecha_fin_real, 'DD/MM/YYYY') || ') es anterior al inicio (' || to_char(fecha_inicio, 'DD/MM/YYYY') || ').'",
    proyectos, 'fecha_fin_real < fecha_inicio', columna='fecha_fin_real'
) }}
union all
{{ hallazgo(
    'mlc.proyectos', 'R-FECHA-04', 'proyecto_id', "'El proyecto está finalizado y no tiene fecha de fin real.'",
    proyectos, "estado = 'finalizado' and fecha_fin_real is null", columna='fecha_fin_real'
) }}
union all
{{ hallazgo(
    'mlc.proyectos', 'R-PROY-01', 'proyecto_id',
    "'El estado es «' || estado || '» y el avance ' || " ~ con_coma('trim_scale(avance_pct::numeric)') ~ " || ' %.'", proyectos,
    "(estado = 'planificado' and avance_pct >= 100) or (estado = 'finalizado' and avance_pct < 100)",
    columna='avance_pct'
) }}
union all
{{ hallazgo(
    'mlc.proyectos', 'R-PROY-02', 'proyecto_id', "'La lista de ODS es «' || ods_original || '»: van de 1 a 17.'",
    proyectos,
    "exists (select 1 from regexp_matches(ods_original, '\d+', 'g') as p (n) "
    ~ "where length(p.n[1]) > 4 or p.n[1]::integer not between 1 and 17)",
    columna='ods'
) }}
union all
{{ hallazgo(
    'mlc.hitos', 'R-FECHA-03', 'hito_id',
    "'El hito se cumplió el ' || to_char(fecha_cumplido, 'DD/MM/YYYY') || ', antes de empezar el proyecto (' || to_char(fecha_inicio, 'DD/MM/YYYY') || ').'",
    'hitos_de_proyectos', 'fecha_cumplido < fecha_inicio', columna='fecha_cumplido'
) }}
union all
{{ hallazgo(
    'mlc.hitos', 'R-FECHA-04', 'hito_id', "'El hito figura cumplido y no tiene fecha de cumplimiento.'",
    hitos, "estado = 'cumplido' and fecha_cumplido is null", columna='fecha_cumplido'
) }}
union all
{{ hallazgo(
    'mlc.metas', 'R-META-01', 'meta_id', "'La meta no tiene indicador: no se puede medir.'",
    ref('stg_mlc__metas'), 'indicador_id is null', columna='indicador_id'
) }}
union all
{{ hallazgo(
    'mlc.metas', 'R-META-02', 'meta_id',
    "'El indicador debe ' || sentido || ' desde ' || " ~ con_coma('trim_scale(linea_base)') ~ " || ' y el objetivo es ' || " ~ con_coma('trim_scale(valor_objetivo)') ~ " || '.'",
    ref('fct_meta'),
    "(sentido = 'aumentar' and valor_objetivo <= linea_base) or (sentido = 'disminuir' and valor_objetivo >= linea_base)",
    columna='valor_objetivo'
) }}
union all
{{ hallazgo(
    'mlc.mediciones', 'R-MEDICION-01', 'medicion_id',
    "'El valor ' || " ~ con_coma('trim_scale(valor)') ~ " || ' es más de veinte veces la mediana del indicador ' || indicador_id || '.'",
    ref('fct_medicion'), 'es_atipica', columna='valor'
) }}
union all
{{ hallazgo_repetido(
    'mlc.indicadores', 'R-CLAVE-02', ref('stg_mlc__indicadores'), 'indicador_id', ['codigo'],
    "'El código ' || codigo || ' ya es del indicador ' || clave_primera || '.'", 'codigo is not null'
) }}
union all
{{ hallazgo_repetido(
    'mlc.mediciones', 'R-MEDICION-02', ref('stg_mlc__mediciones'), 'medicion_id', ['indicador_id', 'periodo'],
    "'La medición ' || clave_primera || ' es del mismo indicador y período.'",
    'indicador_id is not null and periodo is not null'
) }}
union all
{{ hallazgo(
    'mlc.proyectos', 'R-PROY-03', 'proyecto_id',
    "'El presupuesto es ' || veces || ' veces la mediana de los proyectos.'",
    'presupuestos_desproporcionados', 'true', columna='presupuesto'
) }}
union all
{{ hallazgo_inverosimil('mlc.proyectos', 'proyecto_id', 'fecha_inicio', proyectos) }}
union all
{{ hallazgo_inverosimil('mlc.proyectos', 'proyecto_id', 'fecha_fin_prevista', proyectos) }}
union all
{{ hallazgo_futuro('mlc.proyectos', 'proyecto_id', 'fecha_fin_real', proyectos) }}
union all
{{ hallazgos_de_texto('mlc.proyectos', 'proyecto_id', ['nombre', 'descripcion'], proyectos) }}
union all
{{ hallazgo(
    'mlc.hitos', 'R-HITO-01', 'hito_id',
    "'El estado es «' || estado || '» y el hito tiene fecha de cumplimiento (' || to_char(fecha_cumplido, 'DD/MM/YYYY') || ').'",
    hitos, "estado <> 'cumplido' and fecha_cumplido is not null", columna='estado'
) }}
union all
{{ hallazgo_futuro('mlc.hitos', 'hito_id', 'fecha_cumplido', hitos) }}
union all
{{ hallazgo_futuro('mlc.mediciones', 'medicion_id', 'periodo', ref('stg_mlc__mediciones')) }}
