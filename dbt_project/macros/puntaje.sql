{#- What the data are measured by: which rules look at which tables, and what a lost point costs. -#}

{#-
    Rules of findings per raw table, as the int_calidad__hallazgos_* models apply them (a test compares both), and the merging of
    repeated readings, which leaves no finding. A rule that finds nothing has been looked at all the same:
    without this list a dimension nobody looks at would seem perfect.
-#}
{% macro reglas_de_hallazgo() -%}
    {{ return({
        'aguas__calidad_agua': ['R-CALIDAD-AGUA-01', 'R-CALIDAD-AGUA-02', 'R-CLAVE-01', 'R-DUPLICADO-01', 'R-FECHA-05'],
        'aguas__cuentas': ['R-CLAVE-01', 'R-CLAVE-02', 'R-CUENTA-01', 'R-CUENTA-02', 'R-FECHA-05'],
        'aguas__energia_bombeo': ['R-CLAVE-01', 'R-ENERGIA-01', 'R-FECHA-05'],
        'aguas__facturacion': [
            'R-CLAVE-01', 'R-FACTURA-01', 'R-FACTURA-02', 'R-FACTURA-03', 'R-FACTURA-04', 'R-FACTURA-05', 'R-FECHA-03',
            'R-FECHA-05'
        ],
        'aguas__lecturas_macromedidor': ['R-CLAVE-01', 'R-FECHA-05', 'R-MACRO-01', 'R-MACRO-02', 'R-MACRO-03', 'R-MACRO-04'],
        'aguas__macromedidores': ['R-CLAVE-01'],
        'aguas__medidores': [
            'R-CLAVE-01', 'R-FECHA-03', 'R-FECHA-04', 'R-FECHA-05', 'R-MEDIDOR-01', 'R-MEDIDOR-03', 'R-MEDIDOR-05',
            'R-MEDIDOR-06', 'R-MEDIDOR-07', 'R-MEDIDOR-08'
        ],
        'aguas__red_infraestructura': ['R-CLAVE-01'],
        'aguas__reportes_servicio': ['R-CLAVE-01', 'R-DUPLICADO-01', 'R-FECHA-03', 'R-FECHA-04', 'R-FECHA-05'],
        'citymis__beneficiarios': ['R-CLAVE-01', 'R-FECHA-05', 'R-PERSONA-01', 'R-PERSONA-02'],
        'citymis__solicitudes': ['R-DUPLICADO-01', 'R-FECHA-03', 'R-FECHA-04', 'R-FECHA-05', 'R-PERSONA-03', 'R-TEXTO-04'],
        'citymis__tramites': ['R-CLAVE-01', 'R-FECHA-03', 'R-FECHA-04', 'R-FECHA-05'],
        'milujan__tramites_digitales': ['R-DUPLICADO-01', 'R-FECHA-03', 'R-FECHA-04', 'R-FECHA-05', 'R-SECRETARIA-02'],
        'mlc__hitos': ['R-CLAVE-01', 'R-FECHA-03', 'R-FECHA-04', 'R-FECHA-05', 'R-HITO-01'],
        'mlc__indicadores': ['R-CLAVE-01', 'R-CLAVE-02'],
        'mlc__mediciones': ['R-CLAVE-01', 'R-FECHA-05', 'R-MEDICION-01', 'R-MEDICION-02'],
        'mlc__metas': ['R-CLAVE-01', 'R-META-01', 'R-META-02'],
        'mlc__programas': ['R-CLAVE-01'],
        'mlc__proyectos': [
            'R-CLAVE-01', 'R-CLAVE-02', 'R-FECHA-03', 'R-FECHA-04', 'R-FECHA-05', 'R-FECHA-06', 'R-PERSONA-03', 'R-PROY-01',
            'R-PROY-02', 'R-PROY-03', 'R-TEXTO-04'
        ],
        'planillas__encuesta_habilidades': ['R-DUPLICADO-01', 'R-FECHA-05', 'R-PERSONA-04', 'R-SECRETARIA-02'],
        'planillas__inventario_datasets': ['R-CLAVE-02', 'R-FECHA-05', 'R-INVENTARIO-01', 'R-SECRETARIA-02'],
        'planillas__kpi_manuales': ['R-CLAVE-01', 'R-KPI-01'],
        'planillas__reuniones_comite': ['R-FECHA-05'],
        'telemetria__lecturas': [
            'R-AGUA-02', 'R-AGUA-03', 'R-AGUA-04', 'R-AGUA-06', 'R-AGUA-07', 'R-AGUA-09', 'R-AGUA-10', 'R-AGUA-11', 'R-AGUA-12',
            'R-AGUA-13', 'R-AGUA-14', 'R-AGUA-15', 'R-AGUA-16', 'R-AGUA-23', 'R-AGUA-24', 'R-AGUA-25', 'R-MEDIDOR-02', 'R-MEDIDOR-04'
        ]
    }) }}
{%- endmacro %}


{#- Rules of corrections that leave a finding, per kind of field of campos_corregibles(). -#}
{% macro reglas_de_campo() -%}
    {{ return({
        'codigo': ['R-CODIGO-02'], 'si_no': ['R-CODIGO-02'], 'protocolo': ['R-PROTOCOLO-02'], 'genero': ['R-GENERO-02'],
        'distrito': ['R-DISTRITO-02'], 'fecha': ['R-FECHA-02'], 'numero': ['R-NUMERO-02'], 'rango': ['R-RANGO-01'],
        'documento': ['R-DOCUMENTO-02'], 'coordenada': ['R-COORD-01', 'R-COORD-02']
    }) }}
{%- endmacro %}


{#- Both lists as rows (tabla, regla_id), each once. -#}
{% macro reglas_aplicadas() -%}
    {%- set pares = [] -%}
    {%- for tabla, reglas in reglas_de_hallazgo().items() -%}
        {%- for regla in reglas -%}{%- do pares.append((tabla, regla)) -%}{%- endfor -%}
    {%- endfor -%}
    {%- for ficha in campos_corregibles().values() -%}
        {%- for tipo in ficha.campos.values() -%}
            {%- for regla in reglas_de_campo().get(tipo, []) -%}
                {%- do pares.append((ficha.dataset.replace('.', '__'), regla)) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    values
    {%- for tabla, regla in pares | unique %}
    ('{{ tabla }}', '{{ regla }}'){{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
