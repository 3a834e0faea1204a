{{ sigue_cambios() }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_dia',
    on_schema_change='fail',
    meta={'columna': 'dia'},
    pre_hook=[memoria_de_trabajo('256MB'), 'set local enable_nestloop = off'],
    post_hook=['{{ anotar_avance() }}', '{{ exigir_clave(["medidor_id", "fecha_hora", "regla_id"]) }}'],
    indexes=[{'columns': ['medidor_id', 'fecha_hora', 'regla_id'], 'unique': true}]
) }}

{#-
    Every reading about which a rule decided something, with what it said untouched. Days with such a
    reading are known from fct_consumo_horario, so only those are read again. First readings of a
    meter (R-AGUA-01) decide nothing.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
{% if is_incremental() -%}
{{ dias_afectados(this, ref('fct_consumo_horario')) | replace('dias_afectados as', 'dias_por_revisar as') }},
{%- endif %}

dias_afectados as (
    select distinct
        consumo.medidor_id,
        {{ dia_local('consumo.hora') }} as dia
    from {{ ref('fct_consumo_horario') }} as consumo
    {%- if is_incremental() %}
    {{ solo_horas_de('dias_por_revisar', 'consumo') }}
    {%- endif %}
    where
        consumo.regla_id <> 'R-AGUA-01'
        or consumo.lecturas_descartadas > 0
        or consumo.difiere_intervalo
        or (consumo.regla_id = 'R-AGUA-01' and consumo.lecturas > 1)
),

{{ ventanas_de_lectura(ref('fct_consumo_horario')) }},

{% if is_incremental() -%}
-- Days without anything to say in their hours may have a second feed that was set aside.
tramos_por_revisar as (
    select
        leer_desde,
        leer_hasta
    from ventanas
    union all
    select
        {{ inicio_dia('dia') }},
        {{ inicio_dia('dia + 1') }}
    from dias_por_revisar
),

{% endif -%}
{{ lecturas_de_ventanas('tramos_por_revisar' if is_incremental() else none) }},

{{ lecturas_validadas('propias') }},

decisiones as (
    select
        *,
        case
            when regla_id is not null and regla_id <> 'R-AGUA-01' then regla_id
            when en_conflicto then 'R-AGUA-03'
            when descartadas > 0 then 'R-AGUA-02'
            when abs(consumo_intervalo_l * multiplicador - diferencia_l) > 1 then 'R-AGUA-13'
        end as regla_decisiva
    from consumos
),

-- Only partitions later than the oldest limit can hold any.
futuras as (
    select
        crudas.medidor_id,
        crudas.fecha_hora,
        'R-AGUA-12'::text as regla_id,
        min(crudas.lectura_l) as lectura_l,
        min(crudas.consumo_intervalo_l) as consumo_intervalo_l,
        bool_or(crudas.estimada) as estimado,
        count(*) as lecturas,
        max(crudas._load_id) as carga_id
    from {{ ref('stg_telemetria__lecturas') }} as crudas
    inner join limites_de_fecha on crudas._load_id = limites_de_fecha.carga_id
    {%- if is_incremental() %}
    inner join dias_por_revisar
        on
            crudas.medidor_id = dias_por_revisar.medidor_id
            and {{ dia_local('crudas.fecha_hora') }} = dias_por_revisar.dia
    {%- endif %}
    where
        crudas.fecha_hora > limites_de_fecha.hasta
        and crudas.fecha_hora > (select min(todos.hasta) from limites_de_fecha as todos)
        and {{ con_volumen('crudas') }}
        and crudas.medidor_id is not null
    group by crudas.medidor_id, crudas.fecha_hora
),

-- What a meter says a second time through a feed of the other kind.
de_otra_fuente as (
    select
        crudas.medidor_id,
        crudas.fecha_hora,
        'R-AGUA-25'::text as regla_id,
        min(crudas.lectura_l) as lectura_l,
        min(crudas.consumo_intervalo_l) as consumo_intervalo_l,
        bool_or(crudas.estimada) as estimado,
        count(*) as lecturas,
        max(crudas._load_id) as carga_id
    from {{ ref('stg_telemetria__lecturas') }} as crudas
    inner join limites_de_fecha on crudas._load_id = limites_de_fecha.carga_id
    inner join dias_de_dos_fuentes as dobles
        on
            crudas.medidor_id = dobles.medidor_id
            and {{ dia_local('crudas.fecha_hora') }} = dobles.dia
            and (crudas.lectura_l is null) = dobles.vale_registro
    {%- if is_incremental() %}
    inner join dias_por_revisar on dobles.medidor_id = dias_por_revisar.medidor_id and dobles.dia = dias_por_revisar.dia
    {%- endif %}
    where
        exists (select 1 from cargas_sin_registro)
        {{- dias_enteros('crudas', 'tramos_por_revisar' if is_incremental() else none) }}
        and crudas.fecha_hora <= limites_de_fecha.hasta
        and {{ con_volumen('crudas') }}
    group by crudas.medidor_id, crudas.fecha_hora
),

apartadas as (
    select
        medidor_id,
        fecha_hora,
        regla_id,
        lectura_l,
        consumo_intervalo_l,
        estimado,
        lecturas,
        carga_id
    from futuras
    union all
    select
        medidor_id,
        fecha_hora,
        regla_id,
        lectura_l,
        consumo_intervalo_l,
        estimado,
        lecturas,
        carga_id
    from de_otra_fuente
)

select
    medidor_id,
    fecha_hora,
    {{ dia_local('fecha_hora') }} as dia,
    regla_decisiva as regla_id,
    case
        when regla_decisiva in ('R-AGUA-05', 'R-AGUA-08') then 'recalculado'
        when regla_decisiva = 'R-AGUA-09' then 'repartido'
        when regla_decisiva in ('R-AGUA-02', 'R-AGUA-03') then 'copia_apartada'
        when regla_decisiva in ('R-AGUA-13', 'R-AGUA-24') then 'marcado'
        else 'sin_dato'
    end as accion,
    lectura_l,
    lectura_1 as lectura_anterior_l,
    fecha_hora_1 as fecha_hora_anterior,
    diferencia_l::bigint as diferencia_original_litros,
    consumo_intervalo_l as intervalo_informado_litros,
    consumo_l as consumo_litros,
    segundos,
    estimado,
    descartadas::integer as lecturas_descartadas,
    _load_id as carga_id
from decisiones
where regla_decisiva is not null
union all
select
    medidor_id,
    fecha_hora,
    {{ dia_local('fecha_hora') }},
    regla_id,
    'lectura_apartada',
    lectura_l,
    null,
    null,
    null,
    consumo_intervalo_l,
    null,
    null,
    estimado,
    lecturas::integer,
    carga_id
from apartadas
order by medidor_id, fecha_hora
