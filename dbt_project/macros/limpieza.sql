{#-
    Corrections of single values, as SQL expressions that cannot raise. Each takes column names and
    gives the corrected value; which rule changed it is answered in macros/correcciones.sql.
-#}

{#- Marks that only appear in text that went through the wrong encoding. -#}
{% macro tiene_mojibake(columna) -%}
    {{ columna }} ~ '[ÃÂ][^A-Za-z]|â[\u0080\u0082\u20ac\u201a]'
{%- endmacro %}


{#-
    Puts right each pair of a mark and the character that stands for one byte, given the characters that
    the pairs should have been. The byte is looked for as Latin-1 and as Windows-1252 show it; a mark
    followed by anything else is left alone.
-#}
{% macro reparar_pares(texto, marca, letras) -%}
    {%- set ns = namespace(desde='', hasta='') -%}
    {%- for letra in letras -%}
        {%- set byte = letra.encode('utf-8')[-1:] -%}
        {%- for forma in [byte.decode('latin-1'), byte.decode('cp1252', 'ignore')] | unique if forma -%}
            {%- set ns.desde = ns.desde ~ forma -%}
            {%- set ns.hasta = ns.hasta ~ letra -%}
        {%- endfor -%}
    {%- endfor -%}
    (
        select
            string_agg(
                case
                    when orden = 1 then trozo
                    when trozo <> '' and strpos('{{ ns.desde }}', left(trozo, 1)) > 0
                        then translate(left(trozo, 1), '{{ ns.desde }}', '{{ ns.hasta }}') || substr(trozo, 2)
                    else '{{ marca }}' || trozo
                end,
                '' order by orden
            )
        from unnest(string_to_array({{ texto }}, '{{ marca }}')) with ordinality as trozos (trozo, orden)
    )
{%- endmacro %}


{#-
    Repairs UTF-8 that was read as Latin-1 or Windows-1252 ("RevisiÃ³n" → "Revisión"). Pair by pair and not
    with convert_from: a text that mixes damaged and sound parts is repaired too, and nothing in it can
    raise. Text without the marks is passed through untouched.
-#}
{% macro reparar_codificacion(columna) -%}
    {%- set sin_marca = "regexp_replace(" ~ columna ~ ", 'Â([\\u00a0-\\u00bf])', '\\1', 'g')" -%}
    {%- set euros = "replace(replace(" ~ sin_marca ~ ", 'â‚¬', '€'), 'â' || U&'\\0082' || '¬', '€')" -%}
    {%- set signos = "replace(" ~ euros ~ ", 'â' || U&'\\0080', 'â€')" -%}
    {%- set letras = 'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ' -%}
    case
        when {{ tiene_mojibake(columna) }}
            then {{ reparar_pares(reparar_pares(signos, 'â€', '–—‘’“”…•'), 'Ã', letras) }}
        else {{ columna }}
    end
{%- endmacro %}


{#- Encoding, outer and repeated blanks, and the marks people write for "no data" (→ null). -#}
{% macro limpiar_texto(columna) -%}
    nullif(
        regexp_replace(
            btrim(regexp_replace({{ reparar_codificacion(columna) }}, '[\s\u00a0]+', ' ', 'g')),
            '^(s/d|s\.d\.|n/a|n/d|null|none|nan|sin dato|sin datos|-+|\.+|\?+)$', '', 'i'
        ),
        ''
    )
{%- endmacro %}


{#- Form in which codes are compared: repaired, lower case, without accents, words joined by '_'. -#}
{% macro normalizar_codigo(columna) -%}
    nullif(
        btrim(
            regexp_replace(
                translate(lower({{ reparar_codificacion(columna) }}), 'áéíóúüñàèìòù', 'aeiouunaeiou'),
                '[^a-z0-9%+]+', '_', 'g'
            ),
            '_'
        ),
        ''
    )
{%- endmacro %}


{#-
    Value of a closed list. `valores` maps the normalised form to the value of the list, or is a list
    of values that are their own normalised form. Not recognised → null: unknown is unknown.
-#}
{% macro valor_de_lista(columna, valores) -%}
    case {{ normalizar_codigo(columna) }}
        {%- if valores is mapping %}
        {%- for origen, valor in valores.items() %}
        when '{{ origen }}' then '{{ valor }}'
        {%- endfor %}
        {%- else %}
        {%- for valor in valores %}
        when '{{ valor }}' then '{{ valor }}'
        {%- endfor %}
        {%- endif %}
    end
{%- endmacro %}


{#-
    A closed list that the city names among the project's variables, as `valor_de_lista` takes it: by what `normalizar_codigo`
    makes of each value.
-#}
{% macro lista_de_la_ciudad(variable) -%}
    {%- set valores = {} -%}
    {%- for valor in var(variable) -%}
        {%- set letras = [] -%}
        {%- for letra in valor | lower -%}
            {%- set lugar = 'áéíóúüñàèìòù'.find(letra) -%}
            {%- set simple = 'aeiouunaeiou'[lugar] if lugar >= 0 else letra -%}
            {%- do letras.append(simple if simple in 'abcdefghijklmnopqrstuvwxyz0123456789%+' else '_') -%}
        {%- endfor -%}
        {%- do valores.update({(letras | join).split('_') | select | join('_'): valor | replace("'", "''")}) -%}
    {%- endfor -%}
    {{- return(valores) -}}
{%- endmacro %}


{#- 'Sí', 'si', 'S', 'x', '1', 'true' → true; 'no', 'n', '0', 'false' → false; anything else → null. -#}
{% macro si_no(columna) -%}
    case
        when {{ normalizar_codigo(columna) }} in ('si', 's', 'x', '1', 'true', 'verdadero', 'yes') then true
        when {{ normalizar_codigo(columna) }} in ('no', 'n', '0', 'false', 'falso') then false
    end
{%- endmacro %}


{#- '1.234,5', '1234,5', '1234.5', '12 %' → numeric; anything else → null. -#}
{% macro numero_de_texto(columna) -%}
    {%- set texto = "btrim(regexp_replace(" ~ columna ~ ", '[\\s\\u00a0%$]', '', 'g'))" -%}
    case
        when {{ texto }} ~ '^-?\d{1,3}(\.\d{3})+,\d+$' then replace(replace({{ texto }}, '.', ''), ',', '.')::numeric
        when {{ texto }} ~ '^-?\d{1,3}(\.\d{3}){2,}$' then replace({{ texto }}, '.', '')::numeric
        when {{ texto }} ~ '^-?\d{1,15},\d{1,10}$' then replace({{ texto }}, ',', '.')::numeric
        when {{ texto }} ~ '^-?\d{1,15}(\.\d{1,10})?$' then {{ texto }}::numeric
    end
{%- endmacro %}


{#-
    Identity document without blanks and dots, in capitals. Fewer than 6 or more than 15 characters
    cannot identify anybody → null. Foreign documents carry letters, so letters are kept.
-#}
{% macro documento(columna) -%}
    case
        when length(regexp_replace({{ columna }}, '[\s.]', '', 'g')) between 6 and 15
            then upper(regexp_replace({{ columna }}, '[\s.]', '', 'g'))
    end
{%- endmacro %}


{#-
    Coordinates inside the city's bounding box (variables of the project). Swapped pairs and lost minus signs are put
    right; what still falls outside gives null.
-#}
{% macro en_la_ciudad(latitud, longitud) -%}
    {{ latitud }} between {{ var('latitud_minima') }} and {{ var('latitud_maxima') }}
    and {{ longitud }} between {{ var('longitud_minima') }} and {{ var('longitud_maxima') }}
{%- endmacro %}


{#- A degree with the sign that all degrees of the city have; as it is where they have either. `eje`: latitud or longitud. -#}
{% macro con_su_signo(grados, eje) -%}
    {%- if var(eje ~ '_maxima') | float <= 0 -%}
        -abs({{ grados }})
    {%- elif var(eje ~ '_minima') | float >= 0 -%}
        abs({{ grados }})
    {%- else -%}
        {{ grados }}
    {%- endif -%}
{%- endmacro %}


{% macro latitud_corregida(latitud, longitud) -%}
    {%- set firme, cambiada = con_su_signo(latitud, 'latitud'), con_su_signo(longitud, 'latitud') -%}
    case
        when {{ en_la_ciudad(latitud, longitud) }} then {{ latitud }}
        when {{ en_la_ciudad(firme, con_su_signo(longitud, 'longitud')) }} then {{ firme }}
        when {{ en_la_ciudad(cambiada, con_su_signo(latitud, 'longitud')) }} then {{ cambiada }}
    end
{%- endmacro %}


{% macro longitud_corregida(latitud, longitud) -%}
    {%- set firme, cambiada = con_su_signo(longitud, 'longitud'), con_su_signo(latitud, 'longitud') -%}
    case
        when {{ en_la_ciudad(latitud, longitud) }} then {{ longitud }}
        when {{ en_la_ciudad(con_su_signo(latitud, 'latitud'), firme) }} then {{ firme }}
        when {{ en_la_ciudad(con_su_signo(longitud, 'latitud'), cambiada) }} then {{ cambiada }}
    end
{%- endmacro %}


{#-
    Washington Group short set: with disability when any domain is "mucha dificultad" or "no puede";
    without when all six are answered and none is; unknown otherwise.
    Source: Washington Group on Disability Statistics, recommended cut-off.
-#}
{% macro dominios_wg() -%}
    {{ return(['wg_ver', 'wg_oir', 'wg_caminar', 'wg_recordar', 'wg_cuidado_personal', 'wg_comunicarse']) }}
{%- endmacro %}

{% macro con_discapacidad() -%}
    case
        when
            {%- for dominio in dominios_wg() %}
            {{ 'or ' if not loop.first }}{{ dominio }} in ('mucha dificultad', 'no puede')
            {%- endfor %}
            then true
        when
            {%- for dominio in dominios_wg() %}
            {{ 'and ' if not loop.first }}{{ dominio }} is not null
            {%- endfor %}
            then false
    end
{%- endmacro %}


{#- The value when it lies between the two bounds (either may be none), null otherwise. -#}
{% macro en_rango(columna, minimo, maximo) -%}
    case
        when {{ columna }} is not null
            {%- if minimo is not none %} and {{ columna }} >= {{ minimo }}{% endif %}
            {%- if maximo is not none %} and {{ columna }} <= {{ maximo }}{% endif %}
            then {{ columna }}
    end
{%- endmacro %}


{#- 'ODS 11, 6,18' → '6,11': numbers from 1 to 17, once each, in order; none left → null. -#}
{% macro lista_ods(columna) -%}
    (
        select string_agg(numero::text, ',' order by numero)
        from (
            select distinct pieza[1]::integer as numero
            from regexp_matches({{ columna }}, '\d{1,4}', 'g') as piezas (pieza)
        ) as numeros
        where numero between 1 and 17
    )
{%- endmacro %}
