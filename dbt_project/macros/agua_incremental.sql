{#-
    What a load changes in the water models: which meter-days, and which readings have to be read again.

    int_agua__cambios_lecturas lists the meter-days whose readings changed, in numbered batches. A model
    that follows it recomputes those days and their neighbours, replaces exactly them (strategy `por_dia`)
    and notes the batch it got to in meta.avance_modelo, in the transaction that writes its rows.

    Neighbours: a reading is judged by the two readings before it and the one after it, and the volume of
    a gap is spread over the days between its ends. So a changed day reaches back to the day of the second
    reading hour before it and forward to that of the second one after it, however far away they are.
    They are looked up in fct_consumo_horario by meter and hour (its key), never in raw: raw is read only
    between the first and the last hour that is needed.
-#}

{#-
    What only the incremental text of a model reads. dbt must hear of it while it parses, when it sees the text of a first
    build; it must not while it runs a unit test, which gives no rows for it.
    modelos: names of models; fuentes: pairs of source and table.
-#}
{% macro leer_solo_incremental(modelos=[], fuentes=[]) -%}
    {%- if not execute -%}
        {%- for modelo in modelos -%}{%- do ref(modelo) -%}{%- endfor -%}
        {%- for fuente in fuentes -%}{%- do source(*fuente) -%}{%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#- The same for a model that follows int_agua__cambios_lecturas: that list, how far the model got, and which months are apart. -#}
{% macro sigue_cambios(modelos=[], fuentes=[]) -%}
    {{- leer_solo_incremental(
        ['int_agua__cambios_lecturas'] + modelos, [['meta', 'avance_modelo'], ['meta', 'particion_separada']] + fuentes
    ) -}}
{%- endmacro %}


{#-
    Start of a local day. By the moment before it: where clocks go back from one to midnight, midnight comes twice, and
    PostgreSQL takes the second for it, with an hour of that day already gone.
-#}
{% macro inicio_dia(dia) -%}
    ((({{ dia }})::timestamp - interval '1 microsecond') at time zone '{{ var("zona_horaria") }}' + interval '1 microsecond')
{%- endmacro %}


{#- Hours of a local day: 24, and 23 or 25 when the clocks are changed. -#}
{% macro horas_del_dia(dia) -%}
    (extract(epoch from {{ inicio_dia('(' ~ dia ~ ') + 1') }} - {{ inicio_dia(dia) }}) / 3600)
{%- endmacro %}


{#-
    Raw has all its readings of the days from `desde` up to `hasta` (not included): no month that they touch was taken out.
    The days of such a month stay as they are in the marts, the one it shares with its neighbour too (months of raw are those
    of UTC); they are listed as changed when the month comes back.
-#}
{% macro todo_en_raw(desde, hasta) -%}
    not exists (
        select 1
        from {{ source('meta', 'particion_separada') }} as separados
        where
            separados.tabla = 'telemetria__lecturas'
            and separados.unida_en is null
            and separados.desde < {{ inicio_dia(hasta) }}
            and separados.hasta > {{ inicio_dia(desde) }}
    )
{%- endmacro %}


{#- Condition on batches of changes that `modelo` has not incorporated yet. -#}
{% macro lote_pendiente(modelo) -%}
    cambios.lote > coalesce((
        select avance.ultimo_lote
        from {{ source('meta', 'avance_modelo') }} as avance
        where avance.modelo = '{{ modelo.schema }}.{{ modelo.identifier }}'
    ), 0)
{%- endmacro %}


{#- Earliest or latest hour of a meter on one side of a moment: two steps give the second neighbour. -#}
{% macro hora_vecina(historia, medidor, momento, hacia) -%}
    (
        select {{ 'max' if hacia == 'atras' else 'min' }}(vecinas.hora)
        from {{ historia }} as vecinas
        where vecinas.medidor_id = {{ medidor }} and vecinas.hora {{ '<' if hacia == 'atras' else '>=' }} {{ momento }}
    )
{%- endmacro %}


{#-
    First day on which two lists of periods ('<day>|<values>|<end if it has one>;…') differ. A period whose
    start and values are the same and that only got an end differs from that end on.
-#}
{% macro primer_dia_distinto(antes, ahora) -%}
    (
        select min(least(diferencias.dia, diferencias.fin))
        from (
            select
                case when count(distinct piezas.lista) = 1 then min(piezas.dia) end as dia,
                case when count(distinct piezas.fin) > 1 then min(piezas.fin) end as fin
            from (
                select
                    partes.lista,
                    split_part(partes.pieza, '|', 1)::date as dia,
                    array_to_string((string_to_array(partes.pieza, '|'))[1:7], '|') as valores,
                    coalesce(nullif(split_part(partes.pieza, '|', 8), '')::date, date '9999-12-31') as fin
                from (
                    select
                        1 as lista,
                        unnest(string_to_array({{ antes }}, ';')) as pieza
                    union all
                    select
                        2 as lista,
                        unnest(string_to_array({{ ahora }}, ';')) as pieza
                ) as partes
            ) as piezas
            group by piezas.valores
        ) as diferencias
    )
{%- endmacro %}


{#- Join with the account, zone and category (`vigencias`) that a meter had on a day. `filas`: alias; `dia`: SQL expression. -#}
{% macro con_vigencia(filas, dia) -%}
    left join {{ ref('int_agua__vigencias') }} as vigencias
        on
            {{ filas }}.medidor_id = vigencias.medidor_id
            and {{ dia }} >= vigencias.desde
            and {{ dia }} < vigencias.hasta
{%- endmacro %}


{#- Runs of consecutive days (medidor_id, primero, ultimo) of a relation of meter-days that are there once each. -#}
{% macro tramos_de_dias(dias) -%}
    select
        numerados.medidor_id,
        min(numerados.dia) as primero,
        max(numerados.dia) as ultimo
    from (
        select
            todos.medidor_id,
            todos.dia,
            todos.dia - (row_number() over (partition by todos.medidor_id order by todos.dia))::integer as tramo
        from {{ dias }} as todos
    ) as numerados
    group by numerados.medidor_id, numerados.tramo
{%- endmacro %}


{#-
    Join that keeps the hours of some meter-days. `dias`: CTE (medidor_id, dia), each once; `horas`: alias of a table by
    meter and hour. By runs of days: a year of one meter is one stretch of its hours, not each hour beside 365 days.
-#}
{% macro solo_horas_de(dias, horas) -%}
    inner join (
        {{ tramos_de_dias(dias) }}
    ) as tramos_pedidos
        on
            {{ horas }}.medidor_id = tramos_pedidos.medidor_id
            and {{ horas }}.hora >= {{ inicio_dia('tramos_pedidos.primero') }}
            and {{ horas }}.hora < {{ inicio_dia('tramos_pedidos.ultimo + 1') }}
{%- endmacro %}


{#-
    CTEs ending in `dias_afectados` (medidor_id, dia): what `modelo` has to recompute.
    Neighbours are looked for at both ends of a run of changed days: those of its other days lie within.
    Days of a month that is apart from raw are left out: they cannot be computed again.
    dias_despues: SQL integer, for models in which a day weighs on later ones.
    atribucion: also the days from which a meter belongs to another account, zone or category; for models
    that follow fct_consumo_diario and say whose a day is.
-#}
{% macro dias_afectados(modelo, historia, dias_despues='0', atribucion=false) -%}
cambiados as (
    select distinct
        cambios.medidor_id,
        cambios.dia
    from {{ ref('int_agua__cambios_lecturas') }} as cambios
    where cambios.tipo = 'dia' and {{ lote_pendiente(modelo) }}
),

tramos_cambiados as (
    {{ tramos_de_dias('cambiados') }}
),

primeros_vecinos as (
    select
        tramos_cambiados.medidor_id,
        tramos_cambiados.primero,
        tramos_cambiados.ultimo,
        {{ hora_vecina(historia, 'tramos_cambiados.medidor_id', inicio_dia('tramos_cambiados.primero'), 'atras') }} as anterior,
        {{ hora_vecina(
            historia, 'tramos_cambiados.medidor_id', inicio_dia('tramos_cambiados.ultimo + 1'), 'adelante'
        ) }} as siguiente
    from tramos_cambiados
),

alcances as (
    select
        medidor_id,
        coalesce(
            {{ dia_local(hora_vecina(historia, 'primeros_vecinos.medidor_id', 'primeros_vecinos.anterior', 'atras')) }},
            {{ dia_local('anterior') }},
            primero
        ) as desde,
        coalesce(
            {{ dia_local(hora_vecina(
                historia, 'primeros_vecinos.medidor_id', "primeros_vecinos.siguiente + interval '1 hour'", 'adelante'
            )) }},
            {{ dia_local('siguiente') }},
            ultimo
        ) + {{ dias_despues }} as hasta
    from primeros_vecinos
),

dias_afectados as (
    select distinct
        alcances.medidor_id,
        dias.dia::date as dia
    from alcances
    cross join lateral generate_series(alcances.desde::timestamp, alcances.hasta::timestamp, interval '1 day') as dias (dia)
    where {{ todo_en_raw('dias.dia::date', 'dias.dia::date + 1') }}
    {%- if atribucion %}
    union
    select
        diario.medidor_id,
        diario.dia
    from {{ ref('int_agua__cambios_lecturas') }} as cambios
    inner join {{ ref('fct_consumo_diario') }} as diario
        on cambios.medidor_id = diario.medidor_id and cambios.dia <= diario.dia
    where cambios.tipo = 'vigencia' and {{ lote_pendiente(modelo) }}
    {%- endif %}
)
{%- endmacro %}


{#-
    CTEs ending in `ventanas`: runs of affected days, and the wider stretch in which the neighbours of
    their readings lie. `ventana` tells the runs of one meter apart.
-#}
{% macro ventanas_de_lectura(historia) -%}
islas as (
    select
        tramos.medidor_id,
        tramos.primero as ventana,
        {{ inicio_dia('tramos.primero') }} as desde,
        {{ inicio_dia('tramos.ultimo + 1') }} as hasta
    from (
        {{ tramos_de_dias('dias_afectados') }}
    ) as tramos
),

islas_con_vecina as (
    select
        medidor_id,
        ventana,
        desde,
        hasta,
        {{ hora_vecina(historia, 'islas.medidor_id', 'islas.desde', 'atras') }} as anterior,
        {{ hora_vecina(historia, 'islas.medidor_id', 'islas.hasta', 'adelante') }} as siguiente
    from islas
),

ventanas as (
    select
        medidor_id,
        ventana,
        desde,
        hasta,
        coalesce(
            {{ hora_vecina(historia, 'islas_con_vecina.medidor_id', 'islas_con_vecina.anterior', 'atras') }},
            anterior,
            desde
        ) as leer_desde,
        coalesce(siguiente + interval '1 hour', hasta) as leer_hasta
    from islas_con_vecina
)
{%- endmacro %}


{#-
    Strategy `por_dia`: takes the affected meter-days out of the target and puts the new rows in, so that
    days that lost all their readings go away too. meta.columna is 'hora', 'dia' or 'mes'.
-#}
{% macro get_incremental_por_dia_sql(arg_dict) -%}
    {%- set destino = arg_dict['target_relation'] -%}
    {%- set columnas = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set meta = config.get('meta') -%}
    {%- set historia = destino if meta['columna'] == 'hora' and meta['es_historia'] else ref('fct_consumo_horario') -%}
    set local enable_nestloop to default;
    with
    {{ dias_afectados(
        this, historia, dias_despues=dias_despues(meta['regla_dias_despues']), atribucion=meta['sigue_atribucion']
    ) }}
    delete from {{ destino }} as viejas
    using dias_afectados
    where
        viejas.medidor_id = dias_afectados.medidor_id
        {%- if meta['columna'] == 'hora' %}
        and viejas.hora >= {{ inicio_dia('dias_afectados.dia') }}
        and viejas.hora < {{ inicio_dia('dias_afectados.dia + 1') }}
        {%- elif meta['columna'] == 'mes' %}
        and viejas.mes = date_trunc('month', dias_afectados.dia::timestamp)::date
        {%- else %}
        and viejas.dia = dias_afectados.dia
        {%- endif %};
    insert into {{ destino }} ({{ columnas }})
    select {{ columnas }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}


{#-
    Strategy `por_zona_dia`: the same for models of zones, whose days are replaced whole. meta.columna is
    'hora' or 'dia'.
-#}
{% macro get_incremental_por_zona_dia_sql(arg_dict) -%}
    {%- set destino = arg_dict['target_relation'] -%}
    {%- set columnas = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set es_hora = config.get('meta')['columna'] == 'hora' -%}
    with
    {{ dias_afectados(this, ref('fct_consumo_horario'), atribucion=true) }}
    delete from {{ destino }} as viejas
    using (select distinct todos.dia from dias_afectados as todos) as dias
    where
        {%- if es_hora %}
        viejas.hora >= {{ inicio_dia('dias.dia') }} and viejas.hora < {{ inicio_dia('dias.dia + 1') }}
        {%- else %}
        viejas.dia = dias.dia
        {%- endif %};
    insert into {{ destino }} ({{ columnas }})
    select {{ columnas }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}


{#-
    CTEs ending in `medidores_por_dia` (medidor_id, dia): every meter with data on a day that has to be
    recomputed, so that its rows are read by key. Months know their meters (fct_consumo_mensual_medidor).
-#}
{% macro medidores_de_dias_afectados() -%}
{{ dias_afectados(this, ref('fct_consumo_horario'), atribucion=true) }},

medidores_por_dia as (
    select distinct
        meses.medidor_id,
        dias.dia
    from (select distinct todos.dia from dias_afectados as todos) as dias
    inner join {{ ref('fct_consumo_mensual_medidor') }} as meses on meses.mes = date_trunc('month', dias.dia::timestamp)::date
)
{%- endmacro %}


{#- Days that a day weighs on: parameter dias_de_historia of a rule; none without a rule. -#}
{% macro dias_despues(regla=none) -%}
    {{ umbral_agua(regla, 'dias_de_historia') ~ '::integer' if regla else '0' }}
{%- endmacro %}


{#- Pre-hook: the planner guesses few windows and would read raw once for each of them. -#}
{% macro sin_bucles_anidados() -%}
    {%- if is_incremental() -%} set local enable_nestloop = off {%- else -%} select 1 {%- endif -%}
{%- endmacro %}


{#-
    Hours of fct_consumo_horario about which some rule has something to say, in the words of its partial
    index. Whoever asks for fewer of them finds them there and does not read the others.
-#}
{% macro horas_con_novedad() -%}
    regla_id is not null or lecturas_descartadas > 0 or lecturas_en_conflicto > 0 or difiere_intervalo
{%- endmacro %}


{#- Post-hook: the newest batch that this model now contains. -#}
{% macro anotar_avance() -%}
    insert into {{ source('meta', 'avance_modelo') }} as avance (modelo, ultimo_lote)
    select '{{ this.schema }}.{{ this.identifier }}', coalesce(max(lote), 0)
    from {{ ref('int_agua__cambios_lecturas') }}
    on conflict (modelo) do update set ultimo_lote = excluded.ultimo_lote, actualizado_en = now()
{%- endmacro %}


{#- Pre-hook of the list of changes: days that every model has incorporated are of no more use. -#}
{% macro podar_cambios() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where tipo = 'dia' and lote <= (select min(ultimo_lote) from {{ source('meta', 'avance_modelo') }})
    {%- else -%} select 1 {%- endif -%}
{%- endmacro %}
