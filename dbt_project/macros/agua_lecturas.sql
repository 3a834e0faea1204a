{#- Readings side by side with their neighbours, and what the rules make of each of them. -#}

{% macro columnas_de_lectura() -%}
    medidor_id,
    hora,
    fecha_hora,
    lectura_l,
    consumo_intervalo_l,
    estimada,
    bateria_mv,
    _load_id,
    modulo_litros,
    multiplicador,
    maximo_lh,
    fecha_instalacion,
    descartadas,
    en_conflicto,
    fecha_hora_1,
    lectura_1,
    estimada_1,
    fecha_hora_2,
    lectura_2,
    lectura_siguiente
{%- endmacro %}


{#-
    A reading is in the future (R-AGUA-12) when it is dated later than the load that brought it, plus a
    tolerance. The load's own clock and not today's: what was set aside once stays so in every rebuild.
    The sample is dated by its reference day.
-#}
{% macro limite_de_futuro(fin_de_carga) -%}
    {%- set dia = var('fecha_referencia') or env_var('DBT_FECHA_REFERENCIA', '') -%}
    {%- set reloj = "greatest(" ~ fin_de_carga ~ ", timestamptz '" ~ dia ~ "' + interval '1 day')" if dia else fin_de_carga -%}
    ({{ reloj }} + make_interval(hours => {{ umbral_agua('R-AGUA-12', 'tolerancia_h') }}::integer))
{%- endmacro %}


{#-
    CTEs ending in `lecturas_con_vecinas`: one row per meter and moment. With `ventanas` (a CTE of that
    name: medidor_id, ventana, leer_desde, leer_hasta) only the readings of those stretches, each stretch
    by itself.

    Of several readings of one meter and moment the measured one wins over the estimated one, then the
    lowest register: the choice depends on values only, never on the order in which files arrived.
    Readings dated in the future are left out before neighbours are looked at.

    A reading without register counts only when its feed has none (its contract names no `lectura`): then the volume of the
    interval that ends at its moment is what there is. In a feed with registers it is an incomplete row, and the next
    register recovers its volume. A day that a meter has from both kinds of feed is taken from one of them (R-AGUA-25).
    `dias`: the CTE that bounds the days asked for this, like `ventanas` or wider; none for all of them.
-#}
{% macro lecturas_con_vecinas(ventanas=false, dias='ventanas') -%}
{%- set tramo = 'medidor_id, ventana' if ventanas else 'medidor_id' -%}
{%- set origen = "timestamptz '2000-01-01 00:00:00+00'" -%}
{% if ventanas -%}
-- Days of UTC that each stretch touches: readings find theirs by equality. By meter alone, each would be held
-- against all stretches of its meter. Materialized, or the planner joins by meter first and makes the days last.
dias_de_ventana as materialized (
    select
        ventanas.medidor_id,
        ventanas.ventana,
        ventanas.leer_desde,
        ventanas.leer_hasta,
        dias.dia_utc
    from ventanas
    cross join lateral generate_series(
        date_bin('24 hours', ventanas.leer_desde, {{ origen }}), ventanas.leer_hasta, interval '24 hours'
    ) as dias (dia_utc)
),

{% endif -%}
medidores as (
    select
        medidor_id,
        modulo_litros,
        multiplicador,
        maximo_lh,
        fecha_instalacion
    from {{ ref('int_agua__medidores') }}
),

cargas_sin_registro as (
    {{ cargas_sin_registro() }}
),

-- Not materialized, here and below: a reader of a materialized one reads raw with one process.
limites_de_fecha as not materialized (
    select
        cargas.carga_id,
        {{ limite_de_futuro('cargas.fin') }} as hasta
    from {{ source('meta', 'carga') }} as cargas
),

{{ dias_de_dos_fuentes(dias if ventanas else none) }},

lecturas as (
    select
        crudas.medidor_id,
        {%- if ventanas %}
        dias_de_ventana.ventana,
        {%- endif %}
        date_bin('1 hour', crudas.fecha_hora, {{ origen }}) as hora,
        crudas.fecha_hora,
        crudas.lectura_l,
        crudas.consumo_intervalo_l,
        crudas.estimada,
        crudas.bateria_mv,
        crudas._load_id,
        medidores.modulo_litros,
        medidores.fecha_instalacion,
        coalesce(medidores.multiplicador, 1) as multiplicador,
        coalesce(
            medidores.maximo_lh, {{ umbral_agua('R-AGUA-06', 'maximo_lh') }}::double precision
        ) as maximo_lh
    from {{ ref('stg_telemetria__lecturas') }} as crudas
    {%- if ventanas %}
    inner join dias_de_ventana
        on
            crudas.medidor_id = dias_de_ventana.medidor_id
            and date_bin('24 hours', crudas.fecha_hora, {{ origen }}) = dias_de_ventana.dia_utc
            and crudas.fecha_hora >= dias_de_ventana.leer_desde
            and crudas.fecha_hora < dias_de_ventana.leer_hasta
    {%- endif %}
    left join medidores on crudas.medidor_id = medidores.medidor_id
    left join limites_de_fecha on crudas._load_id = limites_de_fecha.carga_id
    where
        crudas.medidor_id is not null
        and crudas.fecha_hora is not null
        and {{ con_volumen('crudas') }}
        and crudas.fecha_hora <= coalesce(limites_de_fecha.hasta, 'infinity')
        and not {{ es_de_fuente_apartada('crudas') }}
        {%- if ventanas %}
        and crudas.fecha_hora >= (select min(leer_desde) from ventanas)
        and crudas.fecha_hora < (select max(leer_hasta) from ventanas)
        {%- endif %}
),

numeradas as (
    select
        *,
        row_number() over mismo_momento as orden,
        (count(*) over mismo_momento)::integer - 1 as descartadas,
        last_value(coalesce(lectura_l, consumo_intervalo_l)) over mismo_momento as ultima_copia_l
    from lecturas
    window
        mismo_momento as (
            partition by {{ tramo }}, hora, fecha_hora
            order by estimada, lectura_l, consumo_intervalo_l, _load_id
            rows between unbounded preceding and unbounded following
        )
),

lecturas_con_vecinas as (
    select
        medidor_id,
        {%- if ventanas %}
        ventana,
        {%- endif %}
        hora,
        fecha_hora,
        lectura_l,
        consumo_intervalo_l,
        estimada,
        bateria_mv,
        _load_id,
        modulo_litros,
        multiplicador,
        maximo_lh,
        fecha_instalacion,
        descartadas,
        ultima_copia_l <> coalesce(lectura_l, consumo_intervalo_l) as en_conflicto,
        lag(fecha_hora) over vecinas as fecha_hora_1,
        lag(lectura_l) over vecinas as lectura_1,
        lag(estimada) over vecinas as estimada_1,
        lag(fecha_hora, 2) over vecinas as fecha_hora_2,
        lag(lectura_l, 2) over vecinas as lectura_2,
        lead(lectura_l) over vecinas as lectura_siguiente
    from numeradas
    where orden = 1
    window vecinas as (partition by {{ tramo }} order by hora, fecha_hora)
)
{%- endmacro %}


{#- CTEs ending in `propias`: the readings of `ventanas`, each with neighbours that may lie outside. `dias` as above. -#}
{% macro lecturas_de_ventanas(dias='ventanas') -%}
{{ lecturas_con_vecinas(ventanas=true, dias=dias) }},

propias as (
    select {{ columnas_de_lectura() | replace('medidor_id', 'vecinas.medidor_id', 1) }}
    from lecturas_con_vecinas as vecinas
    inner join ventanas on vecinas.medidor_id = ventanas.medidor_id and vecinas.ventana = ventanas.ventana
    where vecinas.fecha_hora >= ventanas.desde and vecinas.fecha_hora < ventanas.hasta
)
{%- endmacro %}


{#- Loads of feeds that tell the volume of each interval and no register. -#}
{% macro cargas_sin_registro() -%}
    select cargas.carga_id
    from {{ source('meta', 'carga') }} as cargas
    inner join {{ source('meta', 'contrato') }} as contratos on cargas.dataset = contratos.dataset
    inner join {{ source('meta', 'contrato_campo') }} as campos on contratos.dataset = campos.dataset
    where contratos.tabla_raw = 'raw.telemetria__lecturas'
    group by cargas.carga_id
    having not bool_or(campos.campo = 'lectura')
{%- endmacro %}


{#- A reading that says how much water passed. Feeds are asked only about readings without register. -#}
{% macro con_volumen(lecturas) -%}
    (
        {{ lecturas }}.lectura_l is not null
        or (
            {{ lecturas }}.consumo_intervalo_l is not null
            and {{ lecturas }}._load_id = any(array(select sin_registro.carga_id from cargas_sin_registro as sin_registro))
        )
    )
{%- endmacro %}


{#-
    CTEs ending in `dias_de_dos_fuentes` (medidor_id, dia, vale_registro): the meter-days that come from a feed with
    registers and from one without. What one register says and the intervals since the one before are the same water: one
    of both counts (R-AGUA-25). The register does, being exact though readings are lost, unless the intervals of the day
    are more than `veces` as many: then they know what a register read now and then does not, the hour.
    A day is decided by its own readings alone, whole, so that a build of some days decides like one of all. Without a
    load of a feed without registers nothing is read. `tramos`: CTE whose stretches (leer_desde, leer_hasta) bound the days.
-#}
{% macro dias_de_dos_fuentes(tramos=none) -%}
dias_de_intervalos as not materialized (
    select
        intervalos.medidor_id,
        {{ dia_local('intervalos.fecha_hora') }} as dia,
        count(distinct intervalos.fecha_hora) as intervalos
    from {{ ref('stg_telemetria__lecturas') }} as intervalos
    inner join limites_de_fecha on intervalos._load_id = limites_de_fecha.carga_id
    where
        exists (select 1 from cargas_sin_registro)
        and intervalos.lectura_l is null
        and {{ con_volumen('intervalos') }}
        and intervalos.fecha_hora <= limites_de_fecha.hasta
        {{- dias_enteros('intervalos', tramos) }}
    group by intervalos.medidor_id, {{ dia_local('intervalos.fecha_hora') }}
),

dias_de_dos_fuentes as not materialized (
    select
        dias.medidor_id,
        dias.dia,
        count(distinct registros.fecha_hora) * {{ umbral_agua('R-AGUA-25', 'veces') }} >= min(dias.intervalos) as vale_registro
    from dias_de_intervalos as dias
    inner join {{ ref('stg_telemetria__lecturas') }} as registros
        on dias.medidor_id = registros.medidor_id and dias.dia = {{ dia_local('registros.fecha_hora') }}
    inner join limites_de_fecha on registros._load_id = limites_de_fecha.carga_id
    where
        exists (select 1 from cargas_sin_registro)
        and registros.lectura_l is not null
        and registros.fecha_hora <= limites_de_fecha.hasta
        {{- dias_enteros('registros', tramos) }}
    group by dias.medidor_id, dias.dia
)
{%- endmacro %}


{#- Condition that keeps the days touched by some stretch, whole, and lets PostgreSQL leave out other months. -#}
{% macro dias_enteros(lecturas, tramos) -%}
    {%- if tramos %}
        and {{ lecturas }}.fecha_hora >= (select min(leer_desde) - interval '1 day' from {{ tramos }})
        and {{ lecturas }}.fecha_hora < (select max(leer_hasta) + interval '1 day' from {{ tramos }})
    {%- endif -%}
{%- endmacro %}


{#- The reading is of the feed that does not count on its day (R-AGUA-25). Days are asked only if there are such feeds. -#}
{% macro es_de_fuente_apartada(lecturas) -%}
    case
        when exists (select 1 from cargas_sin_registro)
            then ({{ lecturas }}.medidor_id, {{ dia_local(lecturas ~ '.fecha_hora') }}, {{ lecturas }}.lectura_l is null) in (
                select
                    apartados.medidor_id,
                    apartados.dia,
                    apartados.vale_registro
                from dias_de_dos_fuentes as apartados
            )
        else false
    end
{%- endmacro %}


{#-
    CTEs ending in `consumos`: the readings of `origen` (columns of columnas_de_lectura) with their volume
    and the rule behind it. The volume between two readings belongs to the hour of the second.
    Rules, in the order in which they are tried (thresholds in reglas_agua):
      R-AGUA-01 first reading                      → unknown
      R-AGUA-08 the previous reading was isolated  → difference with the one before it
      R-AGUA-04, 06, 07 this reading is isolated   → unknown (its successor recovers the volume)
      R-AGUA-20 meter exchanged in between         → unknown
      R-AGUA-05 register rollover, when plausible  → difference + 10^dials m3
      R-AGUA-04 negative difference                → unknown
      R-AGUA-06 more than the connection can pass  → unknown
      R-AGUA-09 longer than the admitted interval  → volume kept, its hour is not known
    Of a meter without register (lectura_l is null) the volume is the one its interval tells; its length is the time since
    the reading before, unknown for the first one and after a hole:
      R-AGUA-04, 06 negative, or more than passes  → unknown
      R-AGUA-24 intervals are missing before it    → volume kept; what passed in the hole is not known and not spread
    Nearly every reading is in order with its neighbours and moderate: that case is asked first.
    A reading is isolated when it does not fit between its neighbours and they do fit each other.
    Readings are whole litres and sums are of int4: PostgreSQL adds those four times faster than numeric.
-#}
{% macro lecturas_validadas(origen) -%}
diferencias as (
    select
        medidor_id,
        hora,
        fecha_hora,
        consumo_intervalo_l,
        bateria_mv,
        _load_id,
        modulo_litros,
        multiplicador,
        maximo_lh,
        descartadas,
        en_conflicto,
        estimada or (lectura_l is not null and coalesce(estimada_1, false)) as estimado,
        lectura_l,
        lectura_1,
        fecha_hora_1,
        lectura_1 is null as es_primera,
        fecha_instalacion between {{ dia_local('fecha_hora_1') }} and {{ dia_local('fecha_hora') }} as es_recambio,
        lectura_2 <= lectura_1 and lectura_1 <= lectura_l and lectura_l <= lectura_siguiente as es_monotona,
        lectura_l >= lectura_2 and (lectura_1 < lectura_2 or lectura_1 > lectura_l) as anterior_aislada,
        lectura_siguiente >= lectura_1
        and (lectura_l < lectura_1 or lectura_l > lectura_siguiente) as aislada,
        case when lectura_l is null then consumo_intervalo_l else lectura_l - lectura_1 end * multiplicador as diferencia_l,
        (lectura_l - lectura_2) * multiplicador as diferencia_2_l,
        date_part('epoch', fecha_hora - fecha_hora_1)::integer as segundos_1,
        date_part('epoch', fecha_hora - fecha_hora_2)::integer as segundos_2
    from {{ origen }}
),

-- What the connection can pass between two readings; less than an hour counts as one, since meters
-- send in bursts. The second bound keeps every volume an int4.
maximos as (
    select
        *,
        least(maximo_lh * greatest(segundos_1, 3600) / 3600, 1e9::double precision) as maximo_l,
        least(maximo_lh * greatest(segundos_2, 3600) / 3600, 1e9::double precision) as maximo_2_l
    from diferencias
),

validadas as (
    select
        *,
        case
            when
                es_monotona
                and segundos_1 <= (3600 * {{ umbral_agua('R-AGUA-09', 'intervalo_maximo_h') }})::integer
                and diferencia_l <= maximo_l
                then null
            when lectura_l is null
                then
                    case
                        when diferencia_l < 0 then 'R-AGUA-04'
                        when
                            diferencia_l > least(
                                coalesce(maximo_l, maximo_lh), maximo_lh * {{ umbral_agua('R-AGUA-09', 'intervalo_maximo_h') }}
                            )
                            then 'R-AGUA-06'
                        when segundos_1 > (3600 * {{ umbral_agua('R-AGUA-09', 'intervalo_maximo_h') }})::integer
                            then 'R-AGUA-24'
                    end
            when es_primera then 'R-AGUA-01'
            when anterior_aislada
                then
                    case
                        when diferencia_2_l <= maximo_2_l then 'R-AGUA-08'
                        else 'R-AGUA-06'
                    end
            when aislada
                then
                    case
                        when diferencia_l < 0 then 'R-AGUA-04'
                        when diferencia_l > maximo_l then 'R-AGUA-06'
                        else 'R-AGUA-07'
                    end
            when es_recambio and (diferencia_l < 0 or diferencia_l > maximo_l) then 'R-AGUA-20'
            when diferencia_l < 0
                then
                    case
                        when
                            (diferencia_l + modulo_litros * multiplicador) between 0 and maximo_l
                            then 'R-AGUA-05'
                        else 'R-AGUA-04'
                    end
            when diferencia_l > maximo_l then 'R-AGUA-06'
            when segundos_1 > (3600 * {{ umbral_agua(
                'R-AGUA-09',
                'intervalo_maximo_h'
            ) }})::integer then 'R-AGUA-09'
        end as regla_id
    from maximos
),

-- The simple form of CASE: its argument is a long expression and is evaluated once per row.
consumos as (
    select
        *,
        case coalesce(regla_id, 'R-AGUA-09')
            when 'R-AGUA-09' then diferencia_l::integer
            when 'R-AGUA-05'
                then (diferencia_l + modulo_litros * multiplicador)::integer
            when 'R-AGUA-08' then diferencia_2_l::integer
            when 'R-AGUA-24' then diferencia_l::integer
        end as consumo_l,
        case coalesce(regla_id, 'R-AGUA-09')
            when 'R-AGUA-09' then segundos_1
            when 'R-AGUA-05' then segundos_1
            when 'R-AGUA-08' then segundos_2
        end as segundos
    from validadas
)
{%- endmacro %}
