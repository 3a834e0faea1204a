{#-
    Which fields staging corrects, by which kind of rule, and how a correction is recognised. Staging
    uses it for `correcciones`; calidad.fct_correccion for one row per corrected value. How a value is
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
            'campos': {'marca': 'texto', 'modelo': 'texto', 'unidad': 'codigo', 'tipo_telemetria': 'codigo',
                       'estado': 'codigo'}},
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
            'campos': {'nombre': 'texto', 'secretaria': 'secretaria', 'responsable': 'texto', 'referente': 'texto',
                       'frecuencia': 'texto', 'formato': 'texto', 'clasificacion': 'codigo',
                       'prioridad': 'codigo', 'ubicacion': 'texto'}},
        'stg_planillas__encuesta_habilidades': {'dataset': 'planillas.encuesta_habilidades',
            'clave': ['respuesta_id'], 'sensible': ['fecha_nacimiento', 'genero', 'nivel_educativo'],
            'campos': {'secretaria': 'secretaria', 'fecha_nacimiento': 'fecha', 'genero': 'genero',
                       'nivel_educativo': 'protocolo', 'frecuencia_uso': 'codigo',
                       'herramienta_principal': 'texto', 'autoevaluacion': 'rango'}},
        'stg_planillas__kpi_manuales': {'dataset': 'planillas.kpi_manuales', 'clave': ['kpi_codigo', 'periodo'],
            'sensible': [], 'campos': {'valor': 'numero', 'fuente': 'texto'}},
        'stg_planillas__reuniones_comite': {'dataset': 'planillas.reuniones_comite', 'clave': ['reunion_id'],
            'sensible': [], 'campos': {'temas': 'texto'}},
        'stg_milujan__tramites_digitales': {'dataset': 'milujan.tramites_digitales',
            'clave': ['tramite_digital_id'], 'sensible': [],
            'campos': {'tipo': 'texto', 'secretaria': 'secretaria', 'estado': 'codigo', 'canal': 'codigo',
                       'satisfaccion': 'rango'}}
    }) }}
{%- endmacro %}


{#- Rule that turned `<campo>_original` into `<campo>`, or null when nothing was corrected. -#}
{% macro regla_de_correccion(campo, tipo) -%}
    {%- set antes = campo ~ '_original' -%}
    {%- set despues = campo -%}
    {%- if tipo in ['texto', 'formato'] -%}
    case
        when {{ antes }} is not distinct from {{ despues }} then null
        when {{ despues }} is null then 'R-TEXTO-03'
        when {{ tiene_mojibake(antes) }} then 'R-TEXTO-01'
        else {{ "'R-TEXTO-02'" if tipo == 'texto' else "'R-CODIGO-01'" }}
    end
    {%- elif tipo in ['codigo', 'protocolo', 'genero', 'distrito'] -%}
    {%- set reglas = {'codigo': 'R-CODIGO', 'protocolo': 'R-PROTOCOLO', 'genero': 'R-GENERO',
                      'distrito': 'R-DISTRITO'} -%}
    case
        when {{ antes }} is not distinct from {{ despues }} then null
        when {{ despues }} is not null then '{{ reglas[tipo] }}-01'
        when {{ limpiar_texto(antes) }} is null then 'R-TEXTO-03'
        else '{{ reglas[tipo] }}-02'
    end
    {%- elif tipo == 'fecha' -%}
    case
        when {{ despues }} is not null and btrim({{ antes }}) !~ '^\d{2}/\d{2}/\d{4}$' then 'R-FECHA-01'
        when {{ despues }} is not null or {{ antes }} is null then null
        when {{ limpiar_texto(antes) }} is null then 'R-TEXTO-03'
        else 'R-FECHA-02'
    end
    {%- elif tipo == 'numero' -%}
    case
        when {{ despues }} is not null and {{ antes }} !~ '^-?\d+(\.\d+)?$' then 'R-NUMERO-01'
        when {{ despues }} is not null or {{ antes }} is null then null
        when {{ limpiar_texto(antes) }} is null then 'R-TEXTO-03'
        else 'R-NUMERO-02'
    end
    {%- elif tipo == 'secretaria' -%}
    case
        when {{ antes }} is not distinct from {{ despues }} then null
        when {{ despues }} is null then 'R-TEXTO-03'
        else 'R-SECRETARIA-01'
    end
    {%- elif tipo == 'lista' -%}
    case
        when {{ antes }} is not distinct from {{ despues }} then null
        when {{ despues }} is null then 'R-LISTA-02'
        else 'R-LISTA-01'
    end
    {%- else -%}
    {%- set reglas = {'rango': ['R-RANGO-01', 'R-RANGO-01'], 'documento': ['R-DOCUMENTO-01', 'R-DOCUMENTO-02'],
                      'coordenada': ['R-COORD-01', 'R-COORD-02']} -%}
    case
        when {{ antes }} is not distinct from {{ despues }} then null
        when {{ despues }} is null then '{{ reglas[tipo][1] }}'
        else '{{ reglas[tipo][0] }}'
    end
    {%- endif -%}
{%- endmacro %}


{#- Distinct rules that corrected something in the row, in the order of their ids; '{}' when none did. -#}
{% macro correcciones(modelo) -%}
    array(
        select distinct regla.regla_id
        from (
            values
            {%- for campo, tipo in campos_corregibles()[modelo]['campos'].items() %}
            ({{ regla_de_correccion(campo, tipo) }}){{ ',' if not loop.last }}
            {%- endfor %}
        ) as regla (regla_id)
        where regla.regla_id is not null
        order by regla.regla_id
    )
{%- endmacro %}


{#- One row per corrected value of one staging model, for calidad.fct_correccion. -#}
{% macro correcciones_de(modelo) -%}
    {%- set ficha = campos_corregibles()[modelo] -%}
    select
        '{{ ficha.dataset }}'::text as dataset,
        {% for campo in ficha.clave %}{{ campo }}::text{{ " || '|' || " if not loop.last }}{% endfor %} as clave,
        corregido.columna,
        corregido.valor_original,
        corregido.valor_corregido,
        corregido.queda_sin_dato,
        corregido.regla_id
    from {{ ref(modelo) }}
    cross join lateral (
        values
        {%- for campo, tipo in ficha.campos.items() %}
        {%- set oculto = campo in ficha.sensible %}
        (
            '{{ campo }}',
            {{ 'null::text' if oculto else campo ~ '_original::text' }},
            {{ 'null::text' if oculto else campo ~ '::text' }},
            {{ campo }} is null,
            {{ regla_de_correccion(campo, tipo) }}
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as corregido (columna, valor_original, valor_corregido, queda_sin_dato, regla_id)
    where corregido.regla_id is not null
{%- endmacro %}
