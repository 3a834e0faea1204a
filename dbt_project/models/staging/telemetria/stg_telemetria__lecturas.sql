{#-
    The one staging view over a large table. No joins, and no expression that its readers do not use
    is ever computed: PostgreSQL drops unused columns of a view.
-#}
with
origen as (
    select
        medidor_id,
        fecha_hora,
        lectura,
        unidad,
        consumo_intervalo,
        unidad_intervalo,
        estimada,
        bateria_v,
        rssi_dbm,
        _load_id,
        _source_row
    from {{ source('telemetria', 'lecturas') }}
),

limpio as (
    select
        {{ 'medidor_id' if 'R-TEXTO-02' in reglas_apagadas() else 'btrim(medidor_id) as medidor_id' }},
        medidor_id as medidor_id_original,
        fecha_hora,
        {{ en_litros('lectura', 'unidad') }} as lectura_l,
        lectura as lectura_original,
        unidad as unidad_original,
        {{ en_litros('consumo_intervalo', 'coalesce(unidad_intervalo, unidad)') }} as consumo_intervalo_l,
        consumo_intervalo as consumo_intervalo_original,
        coalesce(estimada, false) as estimada,
        (bateria_v * 1000)::integer as bateria_mv,
        rssi_dbm,
        _load_id,
        _source_row
    from origen
)

select
    medidor_id,
    medidor_id_original,
    fecha_hora,
    lectura_l,
    lectura_original,
    unidad_original,
    consumo_intervalo_l,
    consumo_intervalo_original,
    estimada,
    bateria_mv,
    rssi_dbm,
    _load_id,
    _source_row,
    array_remove(
        array[case when medidor_id is distinct from medidor_id_original then 'R-TEXTO-02' end]::text[], null
    ) as correcciones
from limpio
