{#- What people decided about alerts stays beside the models, in agua.alerta_registro. -#}

{#-
    Post-hook of int_agua__episodios_avisados, in its transaction. An episode is an event reported before
    when rule and subject are the same and the times overlap; the earliest event wins, and of several
    episodes of one event the earliest one keeps it. The rest:
      no such event            → a new one, 'nueva'
      event without episode    → 'descartada' (unless closed): corrected readings no longer show it. An excess whose meter
                                 was read after it ended by itself: 'resuelta' after the days of R-AGUA-22
      back after that          → 'nueva' again, when no person had decided
      informed and over        → 'resuelta' after the days of R-AGUA-22
-#}
{% macro registrar_alertas() -%}
    {%- set registro = source('agua', 'alerta_registro') -%}
    {%- set comparados = ref('fct_comparacion_medidor') -%}
    update {{ registro }} set episodio_id = null where episodio_id is not null;
    with parejas as (
        select
            eventos.alerta_id,
            episodios.episodio_id,
            case
                when episodios.ventana_movil then least(eventos.inicio, episodios.inicio) else episodios.inicio
            end as inicio,
            episodios.fin,
            row_number() over (
                partition by episodios.episodio_id order by eventos.vista_en, eventos.inicio, eventos.alerta_id
            ) as turno_evento
        from {{ this }} as episodios
        inner join {{ registro }} as eventos
            on
                episodios.regla_id = eventos.regla_id
                and episodios.sujeto = eventos.sujeto
                and (
                    (episodios.inicio < eventos.fin and episodios.fin > eventos.inicio)
                    or episodios.inicio = eventos.inicio
                )
    ),

    elegidas as (
        select distinct on (alerta_id)
            alerta_id,
            episodio_id,
            inicio,
            fin
        from parejas
        where turno_evento = 1
        order by alerta_id, inicio
    )

    update {{ registro }} as eventos
    set
        episodio_id = elegidas.episodio_id,
        inicio = elegidas.inicio,
        fin = elegidas.fin,
        estado = case
            when eventos.estado = 'descartada' and eventos.decidido_por = 'almacén' then 'nueva' else eventos.estado
        end
    from elegidas
    where eventos.alerta_id = elegidas.alerta_id;
    insert into {{ registro }} (alerta_id, regla_id, sujeto, inicio, fin, episodio_id)
    select
        case
            when exists (select 1 from {{ registro }} as otros where otros.alerta_id = episodios.episodio_id)
                then md5(episodios.episodio_id || clock_timestamp())
            else episodios.episodio_id
        end,
        episodios.regla_id,
        episodios.sujeto,
        episodios.inicio,
        episodios.fin,
        episodios.episodio_id
    from {{ this }} as episodios
    where not exists (select 1 from {{ registro }} as eventos where eventos.episodio_id = episodios.episodio_id);
    update {{ registro }} as eventos
    set estado = 'resuelta', decidido_por = 'almacén', motivo = 'La última semana ya no se aparta de lo habitual.'
    from {{ comparados }} as comparados
    where
        {{ exceso_pasado() }}
        and comparados.hasta_dia
        >= {{ dia_local('eventos.fin') }} + {{ umbral_agua('R-AGUA-22', 'dias_hasta_resolver') }}::integer;
    update {{ registro }} as eventos
    set estado = 'descartada', decidido_por = 'almacén', motivo = 'Las lecturas corregidas ya no la muestran.'
    where
        eventos.episodio_id is null
        and eventos.estado in ('nueva', 'informada')
        and not exists (select 1 from {{ comparados }} as comparados where {{ exceso_pasado() }});
    update {{ registro }} as eventos
    set estado = 'resuelta', decidido_por = 'almacén', motivo = 'El evento terminó.'
    from {{ this }} as episodios
    where
        eventos.episodio_id = episodios.episodio_id
        and eventos.estado = 'informada'
        and not episodios.sigue_abierta
        and episodios.fin < {{ inicio_dia(fecha_referencia()) }}
        - make_interval(days => {{ umbral_agua('R-AGUA-22', 'dias_hasta_resolver') }}::integer)
{%- endmacro %}


{#- An open excess that no week shows any more, although its meter went on being read. -#}
{% macro exceso_pasado() -%}
    eventos.episodio_id is null
    and eventos.estado in ('nueva', 'informada')
    and eventos.regla_id = 'R-AGUA-16'
    and eventos.sujeto = 'medidor:' || comparados.medidor_id
    and comparados.hasta_dia > {{ dia_local('eventos.fin') }}
{%- endmacro %}


{#- Post-hook of the chatbot's views: its role reads them and nothing else. -#}
{% macro permitir_luji() -%}
    do $luji$
    begin
        if exists (select from pg_roles where rolname = 'datos_luji') then
            grant select on {{ this }} to datos_luji;
        end if;
    end
    $luji$
{%- endmacro %}


{#- The account of the session: setting lujan.cuenta. Unset or empty is null, which matches nothing. -#}
{% macro cuenta_de_la_sesion() -%}
    nullif(current_setting('lujan.cuenta', true), '')::integer
{%- endmacro %}
