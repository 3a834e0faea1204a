{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{% if is_incremental() %} delete from {{ this }} {% else %} select 1 {% endif %}',
    indexes=[{'columns': ['medidor_id', 'desde'], 'unique': true}, {'columns': ['cuenta_id']}]
) }}

{#-
    Account, zone and category of every meter by day (type 2): `desde` is included and `hasta` is not.
    Built whole every time from what raw says and what raw._historial says it said before; in place, so that
    views on it stay.

    When a version begins:
      the first one seen                                → holds for everything before it
      its installation date is later than the last one  → that day: the register itself dates the exchange
      it brings a removal date                          → the day after it
      any other change                                  → the day of the load that brought it
    Of several changes within a day the last one counts. After its removal date a meter measures nothing of the
    account it had: the account is unknown, the zone stays. A removal date before the installation is a leftover
    of the place before and is not heeded.
-#}
with
cargas as (
    select
        carga_id,
        {{ dia_local('coalesce(fin, inicio)') }} as dia
    from {{ source('meta', 'carga') }}
),

medidores_vistos as (
    select
        medidor_id,
        cuenta_id,
        zona_id,
        estado,
        fecha_instalacion,
        fecha_retiro,
        _load_id as carga_desde,
        null::bigint as carga_hasta,
        null::timestamptz as registrado_en,
        'infinity'::double precision as orden
    from {{ ref('stg_aguas__medidores') }}
    union all
    select
        btrim(fila ->> 'medidor_id'),
        (fila ->> 'cuenta_id')::integer,
        (fila ->> 'zona_id')::integer,
        {{ estado_de_medidor("(fila ->> 'estado')") }},
        (fila ->> 'fecha_instalacion')::date,
        (fila ->> 'fecha_retiro')::date,
        (fila ->> '_load_id')::bigint,
        carga_id,
        registrado_en,
        historial_id
    from {{ source('raw', '_historial') }}
    where dataset = 'aguas.medidores'
),

cuentas_vistas as (
    select
        cuenta_id,
        zona_id,
        categoria,
        activa,
        _load_id as carga_desde,
        null::bigint as carga_hasta,
        null::timestamptz as registrado_en,
        'infinity'::double precision as orden
    from {{ ref('stg_aguas__cuentas') }}
    union all
    select
        (fila ->> 'cuenta_id')::integer,
        (fila ->> 'zona_id')::integer,
        {{ categoria_de_cuenta("(fila ->> 'categoria')") }},
        (fila ->> 'activa')::boolean,
        (fila ->> '_load_id')::bigint,
        carga_id,
        registrado_en,
        historial_id
    from {{ source('raw', '_historial') }}
    where dataset = 'aguas.cuentas'
),

medidores_en_orden as (
    select
        vistos.medidor_id,
        vistos.cuenta_id,
        vistos.zona_id,
        vistos.estado,
        vistos.fecha_instalacion,
        vistos.fecha_retiro,
        vistos.orden,
        brindo.dia as dia_visto,
        coalesce(quito.dia, {{ dia_local('vistos.registrado_en') }}, date '9999-12-31') as dia_quitado,
        lag(vistos.fecha_instalacion) over version as instalacion_previa,
        case
            when vistos.fecha_retiro >= coalesce(vistos.fecha_instalacion, vistos.fecha_retiro) then vistos.fecha_retiro
        end as retiro_valido,
        lag(vistos.fecha_retiro) over version as retiro_previo,
        row_number() over version as numero
    from medidores_vistos as vistos
    left join cargas as brindo on vistos.carga_desde = brindo.carga_id
    left join cargas as quito on vistos.carga_hasta = quito.carga_id
    where vistos.medidor_id is not null
    window version as (partition by vistos.medidor_id order by vistos.orden)
),

-- A start is never earlier than that of the version before.
medidores_fechados as (
    select
        medidor_id,
        cuenta_id,
        zona_id,
        estado,
        fecha_retiro,
        dia_quitado,
        numero,
        max(
            case
                when numero = 1 then date '1900-01-01'
                when fecha_instalacion > instalacion_previa and fecha_instalacion <= dia_visto then fecha_instalacion
                when (retiro_valido is distinct from retiro_previo) and retiro_valido < dia_visto then retiro_valido + 1
                else dia_visto
            end
        ) over (partition by medidor_id order by numero) as desde,
        retiro_valido + 1 as sin_cuenta_desde
    from medidores_en_orden
),

versiones_medidor as (
    select
        medidor_id,
        cuenta_id,
        zona_id,
        estado,
        fecha_retiro,
        sin_cuenta_desde,
        desde,
        least(dia_quitado, coalesce(lead(desde) over (partition by medidor_id order by numero), dia_quitado)) as hasta
    from medidores_fechados
),

cuentas_en_orden as (
    select
        vistas.cuenta_id,
        vistas.zona_id,
        vistas.categoria,
        vistas.activa,
        case
            when row_number() over version = 1 then date '1900-01-01'
            else brindo.dia
        end as desde,
        coalesce(quito.dia, {{ dia_local('vistas.registrado_en') }}, date '9999-12-31') as hasta
    from cuentas_vistas as vistas
    left join cargas as brindo on vistas.carga_desde = brindo.carga_id
    left join cargas as quito on vistas.carga_hasta = quito.carga_id
    where vistas.cuenta_id is not null
    window version as (partition by vistas.cuenta_id order by vistas.orden)
),

versiones_cuenta as (
    select
        cuenta_id,
        zona_id,
        categoria,
        activa,
        desde,
        hasta
    from cuentas_en_orden
    where desde < hasta
),

-- Every day on which something of a meter changes, its account's changes included.
cortes as (
    select
        medidor_id,
        desde as dia
    from versiones_medidor
    where desde < hasta
    union
    select
        medidor_id,
        hasta
    from versiones_medidor
    where desde < hasta
    union
    select
        medidor_id,
        sin_cuenta_desde
    from versiones_medidor
    where sin_cuenta_desde > desde and sin_cuenta_desde < hasta
    union
    select
        medidores.medidor_id,
        unnest(array[cuentas.desde, cuentas.hasta])
    from versiones_medidor as medidores
    inner join versiones_cuenta as cuentas
        on
            medidores.cuenta_id = cuentas.cuenta_id
            and medidores.desde < cuentas.hasta
            and medidores.hasta > cuentas.desde
),

tramos as (
    select
        medidor_id,
        dia as desde,
        lead(dia) over (partition by medidor_id order by dia) as hasta
    from cortes
),

atribuidos as (
    select
        tramos.medidor_id,
        cuentas.cuenta_id,
        zonas.zona_id,
        cuentas.categoria,
        cuentas.activa as cuenta_activa,
        medidores.estado,
        medidores.fecha_retiro,
        tramos.desde,
        tramos.hasta,
        concat_ws(
            '|', coalesce(cuentas.cuenta_id, -1), coalesce(zonas.zona_id, -1), coalesce(cuentas.categoria, ''),
            coalesce(cuentas.activa::text, ''), coalesce(medidores.estado, ''), coalesce(medidores.fecha_retiro::text, '')
        ) as valores
    from tramos
    inner join versiones_medidor as medidores
        on
            tramos.medidor_id = medidores.medidor_id
            and tramos.desde >= medidores.desde
            and tramos.desde < medidores.hasta
    left join versiones_cuenta as titulares
        on
            medidores.cuenta_id = titulares.cuenta_id
            and tramos.desde >= titulares.desde
            and tramos.desde < titulares.hasta
    left join versiones_cuenta as cuentas
        on
            titulares.cuenta_id = cuentas.cuenta_id
            and titulares.desde = cuentas.desde
            and (medidores.sin_cuenta_desde is null or tramos.desde < medidores.sin_cuenta_desde)
    left join {{ ref('stg_aguas__zonas') }} as zonas
        on coalesce(titulares.zona_id, medidores.zona_id) = zonas.zona_id
    where tramos.hasta is not null
),

-- Changes of other columns leave neighbouring stretches alike: they are one.
cambios as (
    select
        *,
        coalesce(
            valores <> lag(valores) over version or desde <> lag(hasta) over version, true
        )::integer as empieza
    from atribuidos
    window version as (partition by medidor_id order by desde)
),

numerados as (
    select
        *,
        sum(empieza) over (partition by medidor_id order by desde) as periodo
    from cambios
)

select
    medidor_id,
    min(cuenta_id) as cuenta_id,
    min(zona_id) as zona_id,
    min(categoria) as categoria,
    bool_and(cuenta_activa) as cuenta_activa,
    min(estado) as estado,
    min(fecha_retiro) as fecha_retiro,
    max(hasta) = date '9999-12-31' as vigente,
    min(desde) as desde,
    max(hasta) as hasta,
    {{ inicio_dia('min(desde)') }} as desde_momento,
    {{ inicio_dia('max(hasta)') }} as hasta_momento
from numerados
group by medidor_id, periodo
