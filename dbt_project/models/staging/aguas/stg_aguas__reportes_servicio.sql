with
origen as (
    select
        reporte_id,
        tipo,
        origen,
        zona_id,
        lugar,
        elemento_id,
        solicitud_id,
        programado,
        cuentas_afectadas,
        fecha_reporte,
        fecha_reparacion,
        estado,
        actualizado_en,
        _load_id
    from {{ source('aguas', 'reportes_servicio') }}
),

limpio as (
    select
        reporte_id,
        {{ valor_de_lista('tipo', ['fuga', 'corte', 'baja_presion']) }} as tipo,
        tipo as tipo_original,
        {{ valor_de_lista('origen', ['vecino', 'cuadrilla', 'telemetria']) }} as origen,
        origen as origen_original,
        zona_id,
        {{ valor_de_lista(
            'lugar',
            {'caneria': 'cañería', 'conexion': 'conexión', 'valvula': 'válvula', 'otro': 'otro'}
        ) }} as lugar,
        lugar as lugar_original,
        elemento_id,
        solicitud_id,
        programado,
        {{ en_rango('cuentas_afectadas', 0, none) }} as cuentas_afectadas,
        cuentas_afectadas as cuentas_afectadas_original,
        fecha_reporte at time zone '{{ var("zona_horaria") }}' as fecha_reporte,
        fecha_reparacion at time zone '{{ var("zona_horaria") }}' as fecha_reparacion,
        {{ valor_de_lista('estado', ['abierto', 'en_reparacion', 'reparado', 'descartado']) }} as estado,
        estado as estado_original,
        actualizado_en at time zone '{{ var("zona_horaria") }}' as actualizado_en,
        _load_id
    from origen
)

select
    reporte_id,
    {{ corregido('stg_aguas__reportes_servicio', 'tipo') }},
    tipo_original,
    {{ corregido('stg_aguas__reportes_servicio', 'origen') }},
    origen_original,
    zona_id,
    {{ corregido('stg_aguas__reportes_servicio', 'lugar') }},
    lugar_original,
    elemento_id,
    solicitud_id,
    programado,
    {{ corregido('stg_aguas__reportes_servicio', 'cuentas_afectadas') }},
    cuentas_afectadas_original,
    fecha_reporte,
    fecha_reparacion,
    {{ corregido('stg_aguas__reportes_servicio', 'estado') }},
    estado_original,
    actualizado_en,
    _load_id,
    {{ correcciones('stg_aguas__reportes_servicio') }} as correcciones
from limpio
