{{ config(materialized='view') }}

{#- A view: the state is what people decided up to this moment, and the beginning the one that was told first. -#}
select
    eventos.alerta_id,
    episodios.clase,
    episodios.regla_id,
    episodios.medidor_id,
    episodios.cuenta_id,
    episodios.zona_id,
    eventos.inicio as desde,
    episodios.fin as hasta,
    episodios.sigue_abierta,
    episodios.litros::bigint as litros_estimados,
    episodios.importe::numeric(14, 2) as importe_estimado,
    episodios.explicacion,
    episodios.que_hacer,
    eventos.estado,
    eventos.decidido_por,
    eventos.motivo,
    eventos.vista_en,
    eventos.cambiada_en
from {{ ref('int_agua__episodios_avisados') }} as episodios
inner join {{ source('agua', 'alerta_registro') }} as eventos on episodios.episodio_id = eventos.episodio_id
