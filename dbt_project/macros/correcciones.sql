{#-
    Which fields staging corrects, by which kind of rule, how a correction is recognised and how it is taken back. Staging
    uses it for its values and for `correcciones`; calidad.fct_correccion for one row per corrected value. How a value is
    corrected is in macros/limpieza.sql; what each rule means, in the seed reglas_limpieza.
-#}

{#-
    Fields per staging model: field → kind. `sensible` fields are counted, never shown.
    Every field here has a twin `<field>_original` in its model.
-#}
{% macro campos_corregibles() -%}
    {{ return({
        'stg_mlc__secretarias': {'dataset': 'mlc.secretarias', 'clave': ['secretaria_id'], 'sensible': [],
            'campos': {'nombre': 'texto', 'sigla': 'texto', 'responsable': 'texto'}},
        'stg_mlc__ejes': {'dataset': 'mlc.ejes', 'clave': ['eje_id'], 'sensible': [],
            'campos': {'nombre': 'texto', 'descripcion': 'texto'}},
        'stg_mlc__programas': {'dataset': 'mlc.programas', 'clave': ['programa_id'], 'sensible': [],
            'campos': {'nombre': 'texto', 'descripcion': 'texto', 'gestion': 'codigo'}},
        'stg_mlc__proyectos': {'dataset': 'mlc.proyectos', 'clave': ['proyecto_id'], 'sensible': [],
            'campos': {'codigo': 'texto', 'nombre': 'texto', 'descripcion': 'texto', 'estado': 'codigo',
                       'avance_pct': 'rango', 'gestion': 'codigo', 'ods': 'lista', 'distrito': 'distrito'}},
        'stg_mlc__hitos': {'dataset': 'mlc.hitos', 'clave': ['hito_id'], 'sensible': [],
            'campos': {'nombre': 'texto', 'estado': 'codigo'}},
        'stg_mlc__indicadores': {'dataset': 'mlc.indicadores', 'clave': ['indicador_id'], 'sensible': [],
            'campos': {'nombre': 'texto', 'categoria': 'codigo', 'tipo': 'codigo', 'unidad': 'texto',
                       'sentido': 'codigo', 'frecuencia': 'codigo'}},
        'stg_mlc__metas': {'dataset': 'mlc.metas', 'clave': ['meta_id'], 'sensible': [],
            'campos': {'descripcion': 'texto'}},
        'stg_mlc__mediciones': {'dataset': 'mlc.mediciones', 'clave': ['medicion_id'], 'sensible': [],
            'campos': {'fuente': 'texto'}},
        'stg_aguas__zonas': {'dataset': 'aguas.zonas', 'clave': ['zona_id'], 'sensible': [],
            'campos': {'nombre': 'texto', 'cuenca': 'codigo', 'distrito': 'distrito'}},
        'stg_aguas__cuentas': {'dataset': 'aguas.cuentas', 'clave': ['cuenta_id'],
            'sensible': ['titular_nombre', 'titular_documento', 'domicilio'],
            'campos': {'titular_nombre': 'texto', 'titular_documento': 'documento', 'domicilio': 'texto',
                       'categoria': 'codigo', 'distrito': 'distrito', 'latitud': 'coordenada',
                       'longitud': 'coordenada'}},
        'stg_aguas__medidores': {'dataset': 'aguas.medidores', 'clave': ['medidor_id'], 'sensible': [],
            'campos': {'marca': 'texto', 'modelo': 'texto', 'multiplicador': 'rango', 'unidad': 'codigo',
                       'tipo_telemetria': 'codigo', 'estado': 'codigo'}},
        'stg_aguas__macromedidores': {'dataset': 'aguas.macromedidores', 'clave': ['macromedidor_id'],
            'sensible': [],
            'campos': {'nombre': 'texto', 'tipo': 'codigo', 'latitud': 'coordenada',
                       'longitud': 'coordenada'}},
        'stg_aguas__lecturas_macromedidor': {'dataset': 'aguas.lecturas_macromedidor',
            'clave': ['macromedidor_id', 'fecha'], 'sensible': [], 'campos': {'volumen_m3': 'rango'}},
        'stg_aguas__facturacion': {'dataset': 'aguas.facturacion', 'clave': ['factura_id'], 'sensible': [],
            'campos': {'m3_facturados': 'rango', 'estado': 'codigo'}},
        'stg_aguas__red_infraestructura': {'dataset': 'aguas.red_infraestructura', 'clave': ['elemento_id'],
            'sensible': [],
            'campos': {'tipo': 'codigo', 'nombre': 'texto', 'material': 'texto', 'anio_instalacion': 'rango',
                       'estado': 'codigo'}},
        'stg_aguas__calidad_agua': {'dataset': 'aguas.calidad_agua', 'clave': ['muestra_id'], 'sensible': [],
            'campos': {'punto': 'texto', 'parametro': 'codigo', 'valor': 'rango', 'unidad': 'texto', 'laboratorio': 'texto'}},
        'stg_aguas__energia_bombeo': {'dataset': 'aguas.energia_bombeo', 'clave': ['estacion_id', 'periodo'],
            'sensible': [], 'campos': {'energia_kwh': 'rango', 'volumen_bombeado_m3': 'rango'}},
        'stg_aguas__reportes_servicio': {'dataset': 'aguas.reportes_servicio', 'clave': ['reporte_id'],
            'sensible': [],
            'campos': {'tipo': 'codigo', 'origen': 'codigo', 'lugar': 'codigo', 'cuentas_afectadas': 'rango',
                       'estado': 'codigo'}},
        'stg_citymis__solicitudes': {'dataset': 'citymis.solicitudes', 'clave': ['solicitud_id'],
            'sensible': ['descripcion'],
            'campos': {'tipo': 'texto', 'categoria': 'texto', 'area': 'texto', 'descripcion': 'texto',
                       'distrito': 'distrito', 'latitud': 'coordenada', 'longitud': 'coordenada',
                       'estado': 'codigo', 'canal': 'codigo'}},
        'stg_citymis__tramites': {'dataset': 'citymis.tramites', 'clave': ['tramite_id'], 'sensible': [],
            'campos': {'tipo': 'texto', 'estado': 'formato'}},
        'stg_citymis__beneficiarios': {'dataset': 'citymis.beneficiarios', 'clave': ['beneficiario_id'],
            'sensible': ['documento', 'nombre', 'apellido', 'fecha_nacimiento', 'genero', 'etnia',
                         'nivel_educativo', 'nivel_ingreso', 'wg_ver', 'wg_oir', 'wg_caminar', 'wg_recordar',
                         'wg_cuidado_personal', 'wg_comunicarse', 'acceso_tecnologia',
                         'alfabetizacion_digital'],
            'campos': {'documento': 'documento', 'nombre': 'texto', 'apellido': 'texto',
                       'fecha_nacimiento': 'fecha', 'genero': 'genero', 'etnia': 'protocolo',
                       'nivel_educativo': 'protocolo', 'nivel_ingreso': 'protocolo', 'distrito': 'distrito',
                       'wg_ver': 'protocolo', 'wg_oir': 'protocolo', 'wg_caminar': 'protocolo',
                       'wg_recordar': 'protocolo', 'wg_cuidado_personal': 'protocolo',
                       'wg_comunicarse': 'protocolo', 'acceso_tecnologia': 'protocolo',
                       'alfabetizacion_digital': 'protocolo'}},
        'stg_planillas__inventario_datasets': {'dataset': 'planillas.inventario_datasets',
            'clave': ['dataset_codigo'], 'sensible': [],
            'campos': {'dataset_codigo': 'texto', 'nombre': 'texto', 'secretaria': 'secretaria', 'responsable': 'texto',
                       'referente': 'texto', 'frecuencia': 'texto', 'formato': 'texto', 'clasificacion': 'codigo',
                       'prioridad': 'codigo', 'ubicacion': 'texto', 'publicado': 'si_no'}},
        'stg_planillas__encuesta_habilidades': {'dataset': 'planillas.encuesta_habilidades',
            'clave': ['respuesta_id'], 'sensible': ['fecha_nacimiento', 'genero', 'nivel_educativo'],
            'campos': {'secretaria': 'secretaria', 'fecha_nacimiento': 'fecha', 'genero': 'genero',
                       'nivel_educativo': 'protocolo', 'frecuencia_uso': 'codigo',
                       'herramienta_principal': 'texto', 'capacitacion_recibida': 'si_no',
                       'interes_capacitacion': 'si_no', 'autoevaluacion': 'rango'}},
        'stg_planillas__kpi_manuales': {'dataset': 'planillas.kpi_manuales', 'clave': ['kpi_codigo', 'periodo'],
            'sensible': ['cargado_por'],
            'campos': {'kpi_codigo': 'texto', 'valor': 'numero', 'fuente': 'texto', 'cargado_por': 'texto'}},
        'stg_planillas__reuniones_comite': {'dataset': 'planillas.reuniones_comite', 'clave': ['reunion_id'],
            'sensible': ['acta'], 'campos': {'temas': 'texto', 'acta': 'texto'}},
        'stg_milujan__tramites_digitales': {'dataset': 'milujan.tramites_digitales',
            'clave': ['tramite_digital_id'], 'sensible': [],
            'campos': {'tipo': 'texto', 'secretaria': 'secretaria', 'estado': 'codigo', 'canal': 'codigo',
                       'satisfaccion': 'rango'}}
    }) }}
{%- endmacro %}


{#-
    Rules that may correct a field of each kind. Every id here is in the seed reglas_limpieza, and every rule of corrections of the
    seed is here: a test compares both.
-#}
{% macro reglas_por_tipo() -%}
    {{ return({
        'texto': ['R-TEXTO-01', 'R-TEXTO-02', 'R-TEXTO-03'],
        'codigo': ['R-CODIGO-01', 'R-CODIGO-02', 'R-TEXTO-03'],
        'formato': ['R-CODIGO-01', 'R-TEXTO-03'],
        'si_no': ['R-CODIGO-02', 'R-TEXTO-03'],
        'protocolo': ['R-PROTOCOLO-01', 'R-PROTOCOLO-02', 'R-TEXTO-03'],
        'genero': ['R-GENERO-01', 'R-GENERO-02', 'R-TEXTO-03'],
        'distrito': ['R-DISTRITO-01', 'R-DISTRITO-02', 'R-TEXTO-03'],
        'secretaria': ['R-SECRETARIA-01', 'R-TEXTO-03'],
        'fecha': ['R-FECHA-01', 'R-FECHA-02', 'R-TEXTO-03'],
        'numero': ['R-NUMERO-01', 'R-NUMERO-02', 'R-TEXTO-03'],
        'rango': ['R-RANGO-01'],
        'lista': ['R-LISTA-01', 'R-LISTA-02'],
        'documento': ['R-DOCUMENTO-01', 'R-DOCUMENTO-02'],
        'coordenada': ['R-COORD-01', 'R-COORD-02']
    }) }}
{%- endmacro %}


{#- Kinds whose type cannot hold the text that came: switching a rule off leaves no value, and the text beside it. -#}
{% macro tipos_sin_original() -%}
    {{ return(['fecha', 'numero', 'si_no']) }}
{%- endmacro %}


{#-
    Rules that somebody switched off (variable `reglas_apagadas` of dbt_project.yml). Refused: an id that is not a rule of corrections,
    and a rule whose original no field could hold.
-#}
{% macro reglas_apagadas() -%}
    {%- set apagables = reglas_por_tipo().values() | sum(start=[]) | unique | list -%}
    {%- for regla in var('reglas_apagadas', []) -%}
        {%- if regla not in apagables or regla in ['R-FECHA-02', 'R-NUMERO-02'] -%}
            {%- do exceptions.raise_compiler_error(
                "reglas_apagadas: " ~ regla ~ " no se puede apagar. Se pueden: " ~ apagables | sort | join(', ')
                ~ ", salvo R-FECHA-02 y R-NUMERO-02 (el texto original no cabe en una fecha ni en un número)."
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(var('reglas_apagadas', [])) }}
{%- endmacro %}


{#-
    Rule that turned the text `antes` into the text `despues`, by the kind of field; null when nothing was corrected. All three are SQL
    expressions.
-#}
{% macro regla_de_correccion(tipo='tipo', antes='antes', despues='despues') -%}
    case
        when {{ tipo }} = 'fecha' and {{ antes }} is not null
            then
                case
                    when {{ despues }} is not null and btrim({{ antes }}) ~ '^\d{2}/\d{2}/\d{4}$' then null
                    when {{ despues }} is not null then 'R-FECHA-01'
                    when {{ limpiar_texto(antes) }} is null then 'R-TEXTO-03'
                    else 'R-FECHA-02'
                end
        when ({{ antes }} is not distinct from {{ despues }}) then null
        when {{ tipo }} = 'numero'
            then
                case
                    when {{ despues }} is not null and {{ antes }} ~ '^-?\d+(\.\d+)?$' then null
                    when {{ despues }} is not null then 'R-NUMERO-01'
                    when {{ limpiar_texto(antes) }} is null then 'R-TEXTO-03'
                    else 'R-NUMERO-02'
                end
        when {{ tipo }} = 'rango' then 'R-RANGO-01'
        when {{ tipo }} = 'lista' then case when {{ despues }} is null then 'R-LISTA-02' else 'R-LISTA-01' end
        when {{ tipo }} = 'documento' then case when {{ despues }} is null then 'R-DOCUMENTO-02' else 'R-DOCUMENTO-01' end
        when {{ tipo }} = 'coordenada' then case when {{ despues }} is null then 'R-COORD-02' else 'R-COORD-01' end
        when {{ despues }} is null and {{ limpiar_texto(antes) }} is null then 'R-TEXTO-03'
        -- A yes or no that is understood was read, not corrected.
        when {{ tipo }} = 'si_no' then case when {{ despues }} is null then 'R-CODIGO-02' end
        when {{ tipo }} = 'texto' then case when {{ tiene_mojibake(antes) }} then 'R-TEXTO-01' else 'R-TEXTO-02' end
        when {{ tipo }} = 'formato' then 'R-CODIGO-01'
        when {{ tipo }} = 'secretaria' then 'R-SECRETARIA-01'
        when {{ tipo }} = 'codigo' then case when {{ despues }} is null then 'R-CODIGO-02' else 'R-CODIGO-01' end
        when {{ tipo }} = 'protocolo' then case when {{ despues }} is null then 'R-PROTOCOLO-02' else 'R-PROTOCOLO-01' end
        when {{ tipo }} = 'genero' then case when {{ despues }} is null then 'R-GENERO-02' else 'R-GENERO-01' end
        when {{ tipo }} = 'distrito' then case when {{ despues }} is null then 'R-DISTRITO-02' else 'R-DISTRITO-01' end
    end
{%- endmacro %}


{#-
    Value of a field after the rules that are on: what cleaning made of it or, where a rule that is off made it, what came. With no rule
    off it is the column itself.
-#}
{% macro valor_corregido(modelo, campo) -%}
    {%- set tipo = campos_corregibles()[modelo].campos[campo] -%}
    {%- set apagadas = reglas_por_tipo()[tipo] | select('in', reglas_apagadas()) | list -%}
    {%- if apagadas -%}
    case
        when {{ regla_de_correccion("'" ~ tipo ~ "'", campo ~ '_original::text', campo ~ '::text') }}
            in ('{{ apagadas | join("', '") }}')
            then {{ 'null' if tipo in tipos_sin_original() else campo ~ '_original' }}
        else {{ campo }}
    end
    {%- else -%}
    {{ campo }}
    {%- endif -%}
{%- endmacro %}


{#- The same, named after the field: a column of a staging model. -#}
{% macro corregido(modelo, campo) -%}
    {%- set valor = valor_corregido(modelo, campo) -%}
    {{ valor if valor == campo else valor ~ ' as ' ~ campo }}
{%- endmacro %}


{#- Rows (columna, tipo, sensible, antes, despues) of one model, for a lateral join or a subquery. -#}
{% macro valores_corregibles(modelo) -%}
    {%- set ficha = campos_corregibles()[modelo] -%}
    values
    {%- for campo, tipo in ficha.campos.items() %}
    (
        '{{ campo }}', '{{ tipo }}', {{ campo in ficha.sensible }}, {{ campo }}_original::text,
        ({{ valor_corregido(modelo, campo) }})::text
    ){{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#- Distinct rules that corrected something in the row, in the order of their ids; '{}' when none did. -#}
{% macro correcciones(modelo) -%}
    array(
        select distinct reglas.regla_id
        from (
            select {{ regla_de_correccion() }} as regla_id
            from ({{ valores_corregibles(modelo) }}) as valores (columna, tipo, sensible, antes, despues)
        ) as reglas
        where reglas.regla_id is not null
        order by reglas.regla_id
    )
{%- endmacro %}


{#- One row per corrected value of one staging model, for calidad.fct_correccion. -#}
{% macro correcciones_de(modelo) -%}
    {%- set ficha = campos_corregibles()[modelo] -%}
    select
        '{{ ficha.dataset }}'::text as dataset,
        {% for campo in ficha.clave %}{{ campo }}::text{{ " || '|' || " if not loop.last }}{% endfor %} as clave,
        _load_id as carga_id,
        valores.columna,
        valores.tipo,
        valores.sensible,
        valores.antes,
        valores.despues
    from {{ ref(modelo) }}
    cross join lateral (
        {{ valores_corregibles(modelo) }}
    ) as valores (columna, tipo, sensible, antes, despues)
    -- A readable date may be written as PostgreSQL writes it and still not be in the protocol's form.
    where valores.antes is distinct from valores.despues or valores.tipo = 'fecha'
{%- endmacro %}
