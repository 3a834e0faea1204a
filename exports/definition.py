"""Portal datasets as city staff write them: `exports/datasets/<name>.yaml`, checked hard.

Belongs here: the shape of a definition, its defaults, and errors that name file, field and next
step. Does not belong here: what the marts hold (`manifest.py`), or anything that reads data.

The keys are Spanish because the people who edit these files are. A definition names the columns
that may leave, one by one: what is not listed stays inside.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from exports.errors import DefinitionError
from sources.documents import parse_yaml

DATASETS_DIR = Path(__file__).parent / "datasets"
SCHEMA_FILE = Path(__file__).parent / "dataset.schema.json"

# National profile: the only frequencies an aggregator understands (facts of the profile page).
FREQUENCIES: Mapping[str, str] = {
    "R/P10Y": "cada diez años",
    "R/P4Y": "cada cuatro años",
    "R/P3Y": "cada tres años",
    "R/P2Y": "cada dos años",
    "R/P1Y": "cada año",
    "R/P6M": "cada seis meses",
    "R/P4M": "cada cuatro meses",
    "R/P3M": "cada tres meses",
    "R/P2M": "cada dos meses",
    "R/P1M": "cada mes",
    "R/P0.5M": "cada quince días",
    "R/P0.33M": "tres veces por mes",
    "R/P1W": "cada semana",
    "R/P0.5W": "dos veces por semana",
    "R/P0.33W": "tres veces por semana",
    "R/P1D": "cada día",
    "R/PT1H": "cada hora",
    "R/PT1S": "continuamente",
    "eventual": "cuando hay novedades",
}
SUPER_THEMES: Mapping[str, str] = {
    "AGRI": "Agroganadería, pesca y forestación",
    "ECON": "Economía y finanzas",
    "EDUC": "Educación, cultura y deportes",
    "ENER": "Energía",
    "ENVI": "Medio ambiente",
    "GOVE": "Gobierno y sector público",
    "HEAL": "Salud",
    "INTR": "Asuntos internacionales",
    "JUST": "Justicia, seguridad y legales",
    "REGI": "Regiones y ciudades",
    "SOCI": "Población y sociedad",
    "TECH": "Ciencia y tecnología",
    "TRAN": "Transporte",
}
LICENCES: Mapping[str, tuple[str, str]] = {
    "CC-BY-4.0": (
        "Creative Commons Attribution 4.0",
        "https://creativecommons.org/licenses/by/4.0/deed.es",
    ),
    "CC0-1.0": (
        "Creative Commons Zero 1.0",
        "https://creativecommons.org/publicdomain/zero/1.0/deed.es",
    ),
}
# Below three a count gives back persons or accounts; five is the usual floor (OECD: "at least
# five, others three"). Going under five takes a written reason, which the approval then covers.
THRESHOLD_FLOOR = 3
THRESHOLD_USUAL = 5

INTERNAL_SCHEMAS = ("raw", "quarantine", "meta", "staging", "intermediate", "divulgacion")

_SLUG = re.compile(r"^[a-z0-9]+(?:-[a-z0-9]+)*$")
_COLUMN = re.compile(r"^[a-z][a-z0-9_]{0,59}$")
_PART_NAME = re.compile(r"-parte-\d+$")
_MART = re.compile(r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")


def _slug(value: str) -> str:
    if not _SLUG.match(value) or len(value) > 90:
        raise ValueError("use minúsculas sin acentos, números y guiones: 'consumo-de-agua'")
    return value


def _column(value: str) -> str:
    if not _COLUMN.match(value):
        raise ValueError(
            "no es un nombre de columna publicable: minúsculas, números y guion bajo, hasta 60"
        )
    return value


def _mart(value: str) -> str:
    if not _MART.match(value):
        raise ValueError("escríbalo como 'esquema.tabla', p. ej. 'proyectos.fct_proyecto'")
    if (schema := value.partition(".")[0]) in INTERNAL_SCHEMAS:
        raise ValueError(f"'{schema}' es un esquema interno: solo se publica desde los marts")
    return value


def _keyword(value: str) -> str:
    if "," in value or "/" in value:
        raise ValueError("una etiqueta no lleva comas ni barras: escriba dos etiquetas")
    return value


def _theme(value: str) -> str:
    return _listed(value, SUPER_THEMES)


def _licence(value: str) -> str:
    return _listed(value, LICENCES)


def _frequency(value: str) -> str:
    return _listed(value, FREQUENCIES)


def _listed(value: str, allowed: Iterable[str]) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} no es uno de: {', '.join(allowed)}")
    return value


def check_email(value: str) -> str:
    """The address as given; ValueError when it cannot be one."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        raise ValueError("no es una dirección de correo")
    return value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
ColumnName = Annotated[str, AfterValidator(_column)]
Format = Literal["csv", "json", "jsonl", "parquet", "xlsx", "geojson"]
Operator = Literal[
    "igual", "distinto", "mayor", "mayor_o_igual", "menor", "menor_o_igual", "en", "vacio",
    "no_vacio",
]  # fmt: skip
FilterValue = bool | int | Decimal | dt.date | str


class _Document(BaseModel):
    """Base of every part: an unknown key is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Contact(_Document):
    """Who answers questions about the dataset; without an address, the portal's is shown."""

    nombre: Text
    correo: Annotated[str, AfterValidator(check_email)] | None = None


class Filter(_Document):
    """A condition on the rows of the mart. Several conditions must all hold."""

    columna: ColumnName
    operador: Operator = "igual"
    valor: FilterValue | list[FilterValue] | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> Filter:
        if self.operador in ("vacio", "no_vacio"):
            if self.valor is not None:
                raise ValueError(f"el operador '{self.operador}' no lleva `valor`")
        elif self.valor is None:
            raise ValueError(f"el operador '{self.operador}' necesita `valor`")
        elif (self.operador == "en") != isinstance(self.valor, list):
            raise ValueError(
                "el operador 'en' lleva una lista en `valor`; los demás, un solo valor"
            )
        elif isinstance(self.valor, list) and not self.valor:
            raise ValueError("la lista de `valor` está vacía")
        return self


class Dominance(_Document):
    """One account or person may not make up most of a cell.

    `columna` of the mart holds the share of the largest contributor, in percent. It serves the
    check and need not be published: together with the total it would tell the contributor's value.
    """

    columna: ColumnName
    maximo_pct: Annotated[Decimal, Field(gt=0, le=100)]


class TotalRow(_Document):
    """How the mart marks the row that holds the total of its group."""

    columna: ColumnName
    valor: Text


class Disclosure(_Document):
    """What must hold before the rows of a resource leave; see `disclosure.py`.

    `medidas` are the columns that say something about the counted group and must be empty where
    the count is. `margenes` lists groups of columns whose total is published: none of them may
    have exactly one suppressed row, because the total would give it back; `fila_total` says which
    rows are those totals. A table crossed by two or more columns names one for each of them; a
    margin is then the total over the one column it leaves out. `celdas_inseguras: omitir` leaves
    unsafe rows out of the files, and says how many, instead of refusing the dataset: only for
    tables without totals. `diferencia_minima` is by how many, at least, a group has to have changed
    since the last release before the next one leaves (`succession.py`).
    """

    umbral_minimo: Annotated[int, Field(ge=THRESHOLD_FLOOR)] = THRESHOLD_USUAL
    columna_conteo: ColumnName
    medidas: tuple[ColumnName, ...] = ()
    margenes: tuple[tuple[ColumnName, ...], ...] = ()
    fila_total: TotalRow | tuple[TotalRow, ...] | None = None
    dominancia: Dominance | None = None
    diferencia_minima: Annotated[int, Field(ge=THRESHOLD_FLOOR)] | None = None
    celdas_inseguras: Literal["rechazar", "omitir"] = "rechazar"
    justificacion: Text | None = None

    @model_validator(mode="after")
    def _never_lowered_silently(self) -> Disclosure:
        if self.umbral_minimo < THRESHOLD_USUAL and not self.justificacion:
            raise ValueError(
                f"un `umbral_minimo` menor que {THRESHOLD_USUAL} necesita `justificacion`"
            )
        if self.celdas_inseguras == "omitir" and self.margenes:
            raise ValueError(
                "con `margenes` no se puede omitir: el total devolvería lo omitido; la supresión "
                "se hace en el mart"
            )
        names = [total.columna for total in self.totals]
        if len(names) > 1:
            if len(set(names)) < len(names):
                raise ValueError("`fila_total` repite una columna")
            for margin in self.margenes:
                if len(set(names) - set(margin)) != 1:
                    raise ValueError(
                        "con varias `fila_total`, cada margen deja afuera exactamente una de sus "
                        f"columnas ({', '.join(names)}): la que se suma"
                    )
        return self

    @property
    def totals(self) -> tuple[TotalRow, ...]:
        """How total rows are marked: by one column, or by each of those that cross."""
        if self.fila_total is None:
            return ()
        return (self.fila_total,) if isinstance(self.fila_total, TotalRow) else self.fila_total

    def total_of(self, margin: Iterable[str]) -> TotalRow | None:
        """Which rows are the totals of a margin; None where the mart has none."""
        totals = self.totals
        if len(totals) > 1:
            named = set(margin)
            totals = tuple(total for total in totals if total.columna not in named)
        return totals[0] if totals else None


class Coordinates(_Document):
    """Which columns place a row on the map (WGS 84, degrees), and how exactly it may be told.

    Four decimals are about ten metres: a public place, not a door. See `disclosure.py` for what may
    have coordinates at all.
    """

    latitud: ColumnName
    longitud: ColumnName
    decimales: Annotated[int, Field(ge=0, le=6)] = 4


class Resource(_Document):
    """One table of the dataset: rows of one mart, published as one file per format."""

    nombre: Annotated[str, AfterValidator(_slug)]
    titulo: Text
    descripcion: Text | None = None
    mart: Annotated[str, AfterValidator(_mart)]
    columnas: Annotated[tuple[ColumnName, ...], Field(min_length=1)]
    orden: tuple[ColumnName, ...] = ()
    filtros: tuple[Filter, ...] = ()
    formatos: Annotated[tuple[Format, ...], Field(min_length=1)] = ("csv", "json")
    columna_fecha: ColumnName | None = None
    coordenadas: Coordinates | None = None
    divulgacion: Disclosure | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Resource:
        for field_name, values in (("columnas", self.columnas), ("formatos", self.formatos)):
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"`{field_name}` repite: {', '.join(repeated)}")
        named: dict[str, tuple[str, ...]] = {
            "orden": self.orden,
            "columna_fecha": (self.columna_fecha,) if self.columna_fecha else (),
        }
        if self.coordenadas:
            named["coordenadas"] = (self.coordenadas.latitud, self.coordenadas.longitud)
        elif "geojson" in self.formatos:
            raise ValueError("el formato geojson necesita `coordenadas`: {latitud, longitud}")
        if _PART_NAME.search(self.nombre):
            raise ValueError("el final '-parte-NN' queda para los archivos divididos")
        if self.divulgacion:
            if self.divulgacion.diferencia_minima and "csv" not in self.formatos:
                raise ValueError("`diferencia_minima` compara archivos csv: agréguelo a `formatos`")
            named["divulgacion.columna_conteo"] = (self.divulgacion.columna_conteo,)
            named["divulgacion.medidas"] = self.divulgacion.medidas
            named["divulgacion.margenes"] = tuple(
                name for margin in self.divulgacion.margenes for name in margin
            )
        for field_name, values in named.items():
            absent = [value for value in values if value not in self.columnas]
            if absent:
                raise ValueError(
                    f"`{field_name}` nombra columnas que no están en `columnas`: "
                    f"{', '.join(absent)}"
                )
        return self

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names of the files of this resource, in the order of `formatos`, while it is not large.

        A large one becomes parts or compressed files: `owns` knows all of their names.
        """
        return tuple(f"{self.nombre}.{extension}" for extension in self.formatos)

    def owns(self, file: str) -> bool:
        """Whether a file is of this resource: whole, a part of it, compressed or not."""
        formats = "|".join(self.formatos)
        pattern = rf"{re.escape(self.nombre)}(-parte-\d+)?\.({formats})(\.gz)?"
        return re.fullmatch(pattern, file) is not None


class DatasetDefinition(_Document):
    """A portal dataset. `nombre`, `ruta` and `sha256` come from the file, not from its text."""

    nombre: Annotated[str, AfterValidator(_slug)]
    ruta: Path
    sha256: str
    titulo: Text
    descripcion: Text
    tema: Annotated[str, AfterValidator(_theme)]
    etiquetas: Annotated[tuple[Annotated[Text, AfterValidator(_keyword)], ...], Field(min_length=1)]
    licencia: Annotated[str, AfterValidator(_licence)] = "CC-BY-4.0"
    frecuencia: Annotated[str, AfterValidator(_frequency)]
    secretaria: Text
    contacto: Contact
    fuentes: Annotated[tuple[Text, ...], Field(min_length=1)]
    advertencias: tuple[Text, ...] = ()
    recursos: Annotated[tuple[Resource, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> DatasetDefinition:
        names = [resource.nombre for resource in self.recursos]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"`recursos` repite el nombre: {', '.join(repeated)}")
        if self.dictionary_name.removesuffix(".csv") in names:
            raise ValueError(f"el nombre {self.dictionary_name} queda para el diccionario de datos")
        return self

    @property
    def marts(self) -> tuple[str, ...]:
        """The marts the dataset is made from, each once, as `schema.table`."""
        return tuple(dict.fromkeys(resource.mart for resource in self.recursos))

    @property
    def columns_by_mart(self) -> dict[str, frozenset[str]]:
        """The columns it publishes of each mart, in all its resources together."""
        return {
            mart: frozenset(
                name for part in self.recursos if part.mart == mart for name in part.columnas
            )
            for mart in self.marts
        }

    @property
    def dictionary_name(self) -> str:
        """File name of the dataset's data dictionary."""
        return f"{self.nombre}-diccionario.csv"

    @property
    def dictionary_page_name(self) -> str:
        """File name of the same dictionary, to be read by people."""
        return f"{self.nombre}-diccionario.md"


class LoadedDefinitions(NamedTuple):
    """Every definition that can be used, and the errors of those that cannot."""

    definitions: dict[str, DatasetDefinition]
    errors: tuple[DefinitionError, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all documents found, also of the broken ones: their last good files stay."""
        return tuple(sorted({*self.definitions, *(error.dataset for error in self.errors)}))


def load_definitions(directory: Path = DATASETS_DIR) -> LoadedDefinitions:
    """Read every `*.yaml` of `directory`, in alphabetical order.

    Never raises for a bad document: one mistake must not stop the other datasets.
    """
    definitions: dict[str, DatasetDefinition] = {}
    errors: list[DefinitionError] = []
    if not directory.is_dir():
        errors.append(
            DefinitionError(
                f"no existe la carpeta de definiciones {directory}",
                next_step="revise la ruta indicada.",
            )
        )
    for path in sorted(directory.glob("*.y*ml")):
        try:
            definitions[path.stem] = load_definition(path)
        except DefinitionError as error:
            errors.append(error)
    return LoadedDefinitions(definitions, tuple(errors))


def load_definition(path: Path) -> DatasetDefinition:
    """Read and check one document; DefinitionError names the file and the field."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _problem(path, f"no se puede leer: {error}") from error
    return _parsed(path, text)


# Every export asks for all definitions, several times: each text is checked once.
@functools.lru_cache(maxsize=512)
def _parsed(path: Path, text: str) -> DatasetDefinition:
    try:
        loaded = parse_yaml(text)
    except yaml.YAMLError as error:
        raise _problem(path, f"no es YAML válido: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise _problem(path, "está vacío o no es una definición (claves y valores)")
    if path.suffix != ".yaml":
        raise _problem(path, "el archivo debe terminar en .yaml")
    own = set(_NOT_WRITTEN) & loaded.keys()
    if own:
        raise _problem(path, f"`{sorted(own)[0]}` no se escribe: sale del archivo mismo")
    try:
        return DatasetDefinition.model_validate(
            {
                **loaded,
                "nombre": path.stem,
                "ruta": path,
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
            }
        )
    except ValidationError as error:
        problems = "; ".join(_in_spanish(item) for item in separate_errors(error))
        raise _problem(path, problems, owner=_owner(loaded)) from error


def columns_fingerprint(definition: DatasetDefinition) -> str:
    """Hash of what the approval covers: which columns of which rows leave, and how protected.

    Texts, formats, file names' order and column order do not change it; a column, mart, filter or
    disclosure rule does.
    """
    covered = [
        {
            "recurso": resource.nombre,
            "mart": resource.mart,
            "columnas": sorted(resource.columnas),
            "filtros": sorted(
                json.dumps(item.model_dump(mode="json"), sort_keys=True)
                for item in resource.filtros
            ),
            "divulgacion": resource.divulgacion and _covered_rule(resource.divulgacion),
        }
        for resource in sorted(definition.recursos, key=lambda resource: resource.nombre)
    ]
    text = json.dumps(covered, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _covered_rule(rule: Disclosure) -> dict[str, Any]:
    """The rule as its approval covers it; approvals from before a key existed go on standing."""
    written = rule.model_dump(mode="json")
    if rule.diferencia_minima is None:
        del written["diferencia_minima"]
    return written


def definition_schema() -> dict[str, Any]:
    """JSON Schema of a document, for editors: what may be written, with the lists to choose from.

    Derived from the model; `exports/dataset.schema.json` is this, and a test keeps it so.
    """
    schema: dict[str, Any] = _for_staff(DatasetDefinition.model_json_schema())
    for key in _NOT_WRITTEN:
        del schema["properties"][key]
        schema["required"].remove(key)
    for key, choices in (
        ("tema", SUPER_THEMES),
        ("frecuencia", FREQUENCIES),
        ("licencia", {code: title for code, (title, _) in LICENCES.items()}),
    ):
        written = schema["properties"][key]
        written["enum"] = list(choices)
        written["description"] = "; ".join(f"{code}: {words}" for code, words in choices.items())
    for properties in (
        schema["properties"],
        *(part["properties"] for part in schema["$defs"].values()),
    ):
        for key, words in _HELP.items():
            if key in properties:
                properties[key].setdefault("description", words)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Conjunto de datos del portal",
        "description": "Qué se publica y cómo. Guía: docs/publicar-un-conjunto.md",
    }


def _for_staff(part: Any) -> Any:
    """The schema without what is written for programmers: docstrings and titles made from names."""
    if isinstance(part, list):
        return [_for_staff(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: _for_staff(value)
        for key, value in part.items()
        if not (key in ("description", "title") and isinstance(value, str))
    }


_NOT_WRITTEN = ("nombre", "ruta", "sha256")
_HELP: Mapping[str, str] = {
    "titulo": "Nombre del conjunto en el portal, hasta 90 caracteres.",
    "descripcion": "Qué contiene, para quien no conoce la Municipalidad por dentro.",
    "etiquetas": "Palabras por las que alguien lo buscaría, sin comas ni barras.",
    "secretaria": "Área responsable de los datos.",
    "contacto": "Quién responde preguntas sobre los datos.",
    "fuentes": "De qué sistemas salen los datos.",
    "advertencias": "Lo que hay que tener en cuenta al leerlos.",
    "recursos": "Las tablas del conjunto.",
    "nombre": "Nombre corto, con minúsculas y guiones; en un contacto, quién es.",
    "correo": "Dirección de correo; sin ella se muestra la del portal.",
    "mart": "Tabla del almacén, como esquema.tabla.",
    "columnas": "Columnas que se publican, una por una: lo que no está, no sale.",
    "orden": "Columnas por las que se ordenan las filas.",
    "filtros": "Condiciones que deben cumplir las filas; se cumplen todas.",
    "formatos": "Tipos de archivo.",
    "columna_fecha": "De qué columna sale el período que cubre; si es `mes`, llega a fin de mes.",
    "coordenadas": "Columnas con latitud y longitud de lugares públicos.",
    "decimales": "Con cuántos decimales se publican las coordenadas; cuatro son unos diez metros.",
    "divulgacion": "Cuidado de las personas: qué celdas no pueden mostrarse.",
    "umbral_minimo": "Recuento más chico que se muestra.",
    "columna_conteo": "Columna que cuenta personas, cuentas o casos.",
    "medidas": "Columnas que dicen algo del grupo contado y se vacían con él.",
    "margenes": "Grupos de columnas de los que se publica el total.",
    "fila_total": "Qué filas son el total de su grupo; en una tabla cruzada, una por columna.",
    "dominancia": "Cuánto puede pesar, como mucho, un solo caso en una celda.",
    "diferencia_minima": "Cuánto debe haber cambiado un grupo, al menos, desde la última vez.",
    "celdas_inseguras": "Qué hacer con una celda insegura: rechazar el conjunto u omitir la fila.",
    "justificacion": "Por qué se baja un umbral; la aprobación lo cubre.",
}


def _owner(loaded: Mapping[str, Any]) -> str | None:
    owner = loaded.get("secretaria")
    return owner if isinstance(owner, str) else None


_MESSAGES: Mapping[str, str] = {
    "missing": "falta",
    "extra_forbidden": "no es una clave conocida (¿está bien escrita?)",
    "string_type": "debe ser un texto (póngalo entre comillas)",
    "string_too_short": "está vacío",
    "int_type": "debe ser un número entero",
    "int_parsing": "debe ser un número entero",
    "tuple_type": "debe ser una lista",
    "list_type": "debe ser una lista",
    "too_short": "la lista está vacía",
    "model_type": "debe tener claves y valores",
}


def _in_spanish(item: Any) -> str:
    """One Pydantic error as staff read it: `recursos.0.mart: …`."""
    place = ".".join(str(part) for part in item["loc"])
    message = error_in_words(item)
    return f"`{place}`: {message}" if place else message


def separate_errors(error: ValidationError) -> list[Any]:
    """The errors of a document, without those that only follow from others.

    A list whose items are wrong counts as empty for Pydantic; only the items are worth telling.
    """
    found: list[Any] = list(error.errors())
    return [
        item
        for item in found
        if item["type"] != "too_short"
        or not any(
            other["loc"][: len(item["loc"])] == item["loc"] and other is not item for other in found
        )
    ]


def error_in_words(item: Any) -> str:
    """What one Pydantic error says, without its place."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "value_error":
        message = str(context["error"])
    elif kind == "literal_error":
        message = f"{item['input']!r} no es uno de {context['expected'].replace(' or ', ' o ')}"
    elif kind == "greater_than_equal":
        message = f"debe ser al menos {context['ge']}"
    else:
        message = _MESSAGES.get(kind, f"no es válido ({item['msg']})")
    return message


def _problem(path: Path, what: str, owner: str | None = None) -> DefinitionError:
    return DefinitionError(
        f"definición {path.name}: {what}.",
        dataset=path.stem,
        owner=owner,
        next_step=f"corrija {path.name} (guía: docs/publicar-un-conjunto.md); los demás conjuntos "
        "se siguen publicando y la última versión buena de este queda como está.",
    )
