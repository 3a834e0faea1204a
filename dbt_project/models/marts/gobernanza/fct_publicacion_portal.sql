{#-
    What the portal shows to anybody, as last looked at. Up to date: less than 1.2 periods since the
    last change of content (national profile); without a period or a date it is not known.
-#}
with
visto as (
    select
        portal,
        conjunto,
        titulo,
        situacion,
        es_propio,
        publicado,
        modificado,
        frecuencia,
        recursos,
        visto_en
    from {{ source('meta', 'portal_visto') }}
),

recursos as (
    select
        visto.portal,
        visto.conjunto,
        count(*) as recursos,
        count(*) filter (
            where upper(recurso.formato) in ('CSV', 'JSON', 'JSONL', 'GEOJSON', 'PARQUET', 'XML', 'TXT')
        ) as recursos_abiertos,
        max(recurso.estrategicos) as indicadores_estrategicos
    from visto
    cross join lateral jsonb_to_recordset(visto.recursos) as recurso (formato text, estrategicos integer)
    group by visto.portal, visto.conjunto
)

select
    visto.portal,
    visto.conjunto,
    visto.titulo,
    visto.situacion,
    visto.es_propio,
    {{ dia_local('visto.publicado') }} as fecha_publicacion,
    {{ dia_local('visto.modificado') }} as fecha_modificacion,
    visto.frecuencia as frecuencia_codigo,
    coalesce(recursos.recursos, 0)::integer as recursos,
    coalesce(recursos.recursos_abiertos, 0)::integer as recursos_abiertos,
    recursos.indicadores_estrategicos,
    case
        when visto.situacion = 'publicado'
            then {{ fecha_referencia() }} - {{ dia_local('visto.modificado') }} >= frecuencias.dias * 1.2
    end as vencido,
    visto.visto_en
from visto
left join recursos on visto.portal = recursos.portal and visto.conjunto = recursos.conjunto
left join {{ ref('frecuencias') }} as frecuencias on visto.frecuencia = frecuencias.frecuencia_codigo
