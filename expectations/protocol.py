"""The city's protocol for disaggregated data: the fields about people and what they may hold.

Belongs here: the fields (R17-R20 of the strategy: date of birth, gender, ethnicity, income,
education, location, access to technology, digital literacy, disability), the rules on their
values and the compliance of a dataset field by field. The lists of values are data, in
`seeds/reference/`. Does not belong here: correcting values (staging) or hiding small groups
(`exports/`).

Nothing said here about a row repeats its value: reasons describe the shape of what came.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import pyarrow as pa
import pyarrow.compute as pc

from expectations.batches import CheckedBatch, Finding, KeySampler, Tally, separate
from expectations.results import CheckResult
from sources.city import city_timezone
from sources.contract import Column, Contract, Severity
from sources.errors import PipelineError

REFERENCE_DIR = Path(__file__).parent.parent / "seeds" / "reference"
VALUES_FILE = "protocolo_valores.csv"
GENDER_FILE = "genero_equivalencias.csv"
DISTRICTS_FILE = "distritos.csv"

# Field names of contracts (`protocolField`) and how people call them.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "fecha_nacimiento": "fecha de nacimiento",
        "genero": "género",
        "etnia": "identificación étnica",
        "ingreso": "nivel de ingreso",
        "educacion": "nivel educativo",
        "ubicacion": "ubicación",
        "acceso_tecnologia": "acceso a la tecnología",
        "alfabetizacion_digital": "alfabetización digital",
        "discapacidad": "discapacidad",
    }
)
MAX_AGE_YEARS = 120
# The list each field takes its values from. Disability has one list per question, named after the
# column that answers it; a location has one where it is a district.
_LISTS: Mapping[str, str] = MappingProxyType(
    {
        "genero": "genero",
        "etnia": "etnia",
        "ingreso": "nivel_ingreso",
        "educacion": "nivel_educativo",
        "acceso_tecnologia": "acceso_tecnologia",
        "alfabetizacion_digital": "alfabetizacion_digital",
    }
)

AGE = "protocolo.edad_en_lugar_de_fecha"
IMPOSSIBLE_DATE = "protocolo.fecha_imposible"
DATE_FORMAT = "protocolo.fecha_nacimiento.formato"
GENDER_EQUIVALENT = "protocolo.genero.equivalencia"

_CITY_TIME = city_timezone()
_PROTOCOL_DATE = re.compile(r"\d{2}/\d{2}/\d{4}", re.ASCII)
# What staging can read besides (dbt_project/macros/fechas.sql), with the midnight that spreadsheets
# add to a date. A year of two digits is ambiguous, so it is not here.
_DAY_FIRST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", re.ASCII)
_YEAR_FIRST = re.compile(
    r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})(?:[ T]00:00(?::00(?:\.0+)?)?)?", re.ASCII
)
# What people write for "no data"; staging reads it the same way (dbt_project/macros/limpieza.sql).
_NO_DATA = re.compile(
    r"s/d|s\.d\.|n/a|n/d|null|none|nan|sin datos?|-+|\.+|\?+|", re.ASCII | re.IGNORECASE
)
_UNACCENTED = str.maketrans("áéíóúüñàèìòù", "aeiouunaeiou")
_AGE = re.compile(
    r"""(?:(?:más|mas|menos|mayor(?:es)?|menor(?:es)?)\s+de\s+|[<>]\s*)?
        [0-9]{1,3}(?:[.,]0+)?
        (?:\s*(?:a|-|–|y|hasta)\s*[0-9]{1,3})?
        \s*(?:\+|(?:y|o)\s+(?:más|mas|menos))?
        \s*(?:años?|anios?|a\.?)?(?:\s+(?:y|o)\s+(?:más|mas|menos))?""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class ReferenceLists:
    """The values the protocol admits, and the spellings of gender it understands.

    `values` maps the name of a list to its values by code; `genders` maps the code of a spelling
    to one of the city's four values. A code is the text without case, accents or signs.
    """

    values: Mapping[str, Mapping[str, str]]
    genders: Mapping[str, str]

    def of(self, column: Column) -> Mapping[str, str] | None:
        """The list a column takes its values from, or None where any value may stand."""
        if column.pg_type != "text":
            return None
        if column.protocol_field == "discapacidad":
            return self.values.get(column.name)
        if column.protocol_field == "ubicacion":
            return self.values["distrito"] if column.name.startswith("distrito") else None
        return self.values.get(_LISTS.get(column.protocol_field or "", ""))


@dataclass(frozen=True, slots=True)
class FieldCompliance:
    """How one dataset complies with one field of the protocol.

    Shares go from 0 to 1 and are None where nothing could be measured: a dataset without rows
    neither complies nor fails.
    """

    dataset: str
    campo: str
    columnas: tuple[str, ...]
    estado: Literal["cumple", "cumple_en_parte", "no_cumple", "sin_dato"]
    completitud: float | None
    validez: float | None
    explicacion: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a value: the rule, and the shape of what came."""

    rule: str
    reason: str


Judge = Callable[[str], Verdict | None]


def load_lists(directory: Path = REFERENCE_DIR) -> ReferenceLists:
    """Read the versioned lists of the protocol.

    Raises PipelineError naming the file when one is missing or lacks a column.
    """
    values: dict[str, dict[str, str]] = {}
    for row in _read(directory / VALUES_FILE, ("campo", "codigo", "valor")):
        values.setdefault(row["campo"], {})[row["codigo"]] = row["valor"]
    values["distrito"] = {
        row["distrito_codigo"]: row["distrito_nombre"]
        for row in _read(directory / DISTRICTS_FILE, ("distrito_codigo", "distrito_nombre"))
    }
    genders = {
        row["origen_codigo"]: row["genero"]
        for row in _read(directory / GENDER_FILE, ("origen_codigo", "genero"))
    }
    return ReferenceLists(MappingProxyType(values), MappingProxyType(genders))


def judge_birth_date(value: str, today: dt.date) -> Verdict | None:
    """What is wrong with a date of birth kept as text; None when it is as the protocol asks."""
    text = value.strip()
    if match := _DAY_FIRST.fullmatch(text):
        day, month, year = (int(part) for part in match.groups())
    elif match := _YEAR_FIRST.fullmatch(text):
        year, month, day = (int(part) for part in match.groups())
    else:
        rule, kind = (
            (AGE, "parece una edad")
            if _AGE.fullmatch(text.lower())
            else (
                IMPOSSIBLE_DATE,
                "no es una fecha",
            )
        )
        return Verdict(
            rule,
            f"se recibió {_shape(text)}, que {kind}; "
            "el protocolo pide la fecha de nacimiento dd/mm/aaaa",
        )
    impossible = _judge_day(year, month, day, today)
    if impossible or _PROTOCOL_DATE.fullmatch(text):
        return impossible
    return Verdict(DATE_FORMAT, "la fecha vino en otro orden o con otros signos que dd/mm/aaaa")


def judge_listed(
    field: str, value: str, allowed: Mapping[str, str], spellings: Mapping[str, str]
) -> Verdict | None:
    """What is wrong with a value of a list; None when it is in it, letter by letter.

    `allowed` maps codes to values, `spellings` further codes that are understood as one of them.
    """
    code = _code(value)
    if value == allowed.get(code):
        return None
    if code in allowed or code in spellings:
        return Verdict(
            _spelling_rule(field), f"{FIELDS[field]} con otra escritura que la de la lista"
        )
    return Verdict(
        f"protocolo.{field}.fuera_de_lista",
        f"se recibió {_shape(value)}, que no está en la lista de {FIELDS[field]}",
    )


class ProtocolChecker:
    """Checks the fields about people in the batches of one load, and counts per rule.

    An age instead of a date of birth, or an impossible date, keeps the row out; with
    `protocolSeverity: advertencia` on the column it is only reported. All else is reported.
    A contract without such fields costs nothing and gives no results.

    `today` bounds dates of birth (a day of the city); `lists` come from `seeds/reference/` unless
    given. Not for use from several threads: it keeps the counts of one load.

    Raises PipelineError when the lists cannot be read.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        lists: ReferenceLists | None = None,
        today: dt.date | None = None,
    ) -> None:
        self._contract = contract
        columns = [column for column in contract.columns if column.protocol_field]
        known = lists or (load_lists() if columns else ReferenceLists({}, {}))
        day = today or dt.datetime.now(_CITY_TIME).date()
        self._columns = [_ColumnProtocol(contract, column, known, day) for column in columns]
        self._sampler = KeySampler(contract)

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> CheckedBatch:
        """Separate the rows of `batch` the protocol keeps out, and count the others.

        `batch` holds the contract's columns in their Arrow types; `row_numbers` gives the 1-based
        place of every row in what was read.
        """
        findings = [
            finding
            for column in self._columns
            for finding in column.findings(batch, row_numbers, self._sampler)
        ]
        return separate(batch, row_numbers, findings)

    def results(self) -> list[CheckResult]:
        """One result per rule and column, and one per field that a dataset of people lacks."""
        found = [
            tally.result("protocolo", self._contract)
            for column in self._columns
            for tally in column.tallies
        ]
        return [*found, *_absent(self._contract)]


def compliance(contract: Contract, results: Iterable[CheckResult]) -> list[FieldCompliance]:
    """How `contract` complies with every field of the protocol, from the results of its loads.

    A field complies when no value is missing and every value is as the protocol asks; it does not
    when the dataset lacks it or no value is valid. Empty for datasets that hold no people.
    """
    if not contract.has_people:
        return []
    own = [r for r in results if r.motor == "protocolo" and r.objeto == contract.raw_name]
    return [_field_compliance(contract, field, own) for field in FIELDS]


class _ColumnProtocol:
    """The rules on one column: how its values are judged, and the counts so far."""

    def __init__(
        self, contract: Contract, column: Column, lists: ReferenceLists, today: dt.date
    ) -> None:
        self._name = column.name
        self._field = column.protocol_field or ""
        self._judge = _judge_for(column, lists, today)
        severity = column.protocol_severity or "bloqueante"
        self._severities: dict[str, Severity] = {AGE: severity, IMPOSSIBLE_DATE: severity}
        self._missing = self._tally(contract, f"protocolo.{self._field}.completitud")
        self._wrong = {rule: self._tally(contract, rule) for rule in _rules_of(column, lists)}

    @property
    def tallies(self) -> list[Tally]:
        return [self._missing, *self._wrong.values()]

    def findings(
        self, batch: pa.RecordBatch, row_numbers: pa.Int64Array, sampler: KeySampler
    ) -> list[Finding]:
        """Judge every distinct value once, count, and return the rows behind each rule."""
        encoded = _as_text(batch.column(self._name)).dictionary_encode()
        distinct = cast("list[str]", encoded.dictionary.to_pylist())
        gaps = [_is_missing(value) for value in distinct]
        missing = _rows(gaps, encoded, absent=True)
        self._missing.add(
            batch.num_rows, missing.true_count, sampler.keys(batch, row_numbers, missing)
        )
        verdicts = [
            None if gap else self._judge(value) for value, gap in zip(distinct, gaps, strict=True)
        ]
        present = batch.num_rows - missing.true_count
        findings: list[Finding] = []
        for rule, tally in self._wrong.items():
            broken = [verdict is not None and verdict.rule == rule for verdict in verdicts]
            if not any(broken):
                tally.add(present, 0)
                continue
            failing = _rows(broken, encoded, absent=False)
            tally.add(present, failing.true_count, sampler.keys(batch, row_numbers, failing))
            reasons = pa.array([verdict.reason if verdict else None for verdict in verdicts])
            findings.append(
                Finding(
                    rule=rule,
                    column=self._name,
                    severity=tally.severity,
                    failing=failing,
                    reason=reasons.take(encoded.indices),
                )
            )
        return findings

    def _tally(self, contract: Contract, rule: str) -> Tally:
        field = FIELDS[self._field]
        kind = rule.rpartition(".")[2]
        return Tally(
            control=f"protocolo.{contract.id}.{self._name}.{kind}",
            rule=rule,
            column=self._name,
            dimension=_DIMENSIONS.get(kind, "validez"),
            severity=self._severities.get(rule, "advertencia"),
            explanation=_EXPLANATIONS[kind].format(column=self._name, field=field),
        )


_DIMENSIONS = {
    "completitud": "completitud",
    "equivalencia": "consistencia",
    "otra_escritura": "consistencia",
}
_EXPLANATIONS = {
    "completitud": "{column}: filas sin dato de {field}.",
    "edad_en_lugar_de_fecha": (
        "{column}: el protocolo pide la fecha de nacimiento (dd/mm/aaaa), nunca la edad. "
        "Pida a quien carga los datos que corrija el formulario."
    ),
    "fecha_imposible": (
        "{column}: fechas que no existen, futuras, de más de 120 años atrás o que no se leen."
    ),
    "formato": (
        "{column}: fechas legibles que no vienen como dd/mm/aaaa; se corrigen al estandarizar."
    ),
    "equivalencia": (
        "{column}: géneros con otra escritura; se corrigen al estandarizar según la tabla de "
        "equivalencias y se conserva el original."
    ),
    "otra_escritura": (
        "{column}: valores de {field} escritos de otra forma que en la lista; se corrigen al "
        "estandarizar y se conserva el original."
    ),
    "fuera_de_lista": (
        "{column}: valores de {field} que no están en la lista del protocolo "
        "(seeds/reference/protocolo_valores.csv)."
    ),
    "ausente": "el conjunto contiene datos de personas y no releva {field}, que pide el protocolo.",
}


def _judge_for(column: Column, lists: ReferenceLists, today: dt.date) -> Judge:
    field = column.protocol_field or ""
    if field == "fecha_nacimiento":
        judge = _judge_iso if pa.types.is_temporal(column.arrow_type) else judge_birth_date
        return lambda value: judge(value, today)
    allowed = lists.of(column)
    if allowed is None:
        return lambda value: None
    spellings = lists.genders if field == "genero" else {}
    return lambda value: judge_listed(field, value, allowed, spellings)


def _rules_of(column: Column, lists: ReferenceLists) -> list[str]:
    field = column.protocol_field or ""
    if field == "fecha_nacimiento":
        if pa.types.is_temporal(column.arrow_type):
            return [IMPOSSIBLE_DATE]
        return [AGE, IMPOSSIBLE_DATE, DATE_FORMAT]
    if lists.of(column) is None:
        return []
    return [_spelling_rule(field), f"protocolo.{field}.fuera_de_lista"]


def _spelling_rule(field: str) -> str:
    return GENDER_EQUIVALENT if field == "genero" else f"protocolo.{field}.otra_escritura"


def _judge_iso(value: str, today: dt.date) -> Verdict | None:
    """A date the database or spreadsheet kept as a date: only its place in time can be wrong."""
    year, month, day = value[:10].rsplit("-", 2)
    return _judge_day(int(year), int(month), int(day), today)


def _judge_day(year: int, month: int, day: int, today: dt.date) -> Verdict | None:
    try:
        born = dt.date(year, month, day)
    except ValueError:
        return Verdict(IMPOSSIBLE_DATE, "la fecha de nacimiento no existe en el calendario")
    if born > today:
        return Verdict(IMPOSSIBLE_DATE, "la fecha de nacimiento es posterior a hoy")
    if (born.year + MAX_AGE_YEARS, born.month, born.day) < (today.year, today.month, today.day):
        return Verdict(IMPOSSIBLE_DATE, f"la fecha de nacimiento supera los {MAX_AGE_YEARS} años")
    return None


def _shape(value: str) -> str:
    """What a value looks like, without saying it."""
    text = value.strip()
    if text.isdecimal():
        return f"un número de {len(text)} {'cifra' if len(text) == 1 else 'cifras'}"
    with_digits = " con cifras" if any(character.isdecimal() for character in text) else ""
    return f"un texto de {len(text)} caracteres{with_digits}"


def _absent(contract: Contract) -> list[CheckResult]:
    if not contract.has_people:
        return []
    present = {column.protocol_field for column in contract.columns}
    return [
        CheckResult(
            control=f"protocolo.{contract.id}.{field}.ausente",
            motor="protocolo",
            objeto=contract.raw_name,
            dimension="completitud",
            regla=f"protocolo.{field}.ausente",
            severidad="advertencia",
            paso=False,
            explicacion=_EXPLANATIONS["ausente"].format(field=label),
            responsable=contract.accountable,
        )
        for field, label in FIELDS.items()
        if field not in present
    ]


def _field_compliance(
    contract: Contract, field: str, results: Sequence[CheckResult]
) -> FieldCompliance:
    columns = tuple(c.name for c in contract.columns if c.protocol_field == field)
    label = FIELDS[field]
    if not columns:
        return FieldCompliance(
            contract.id, field, (), "no_cumple", None, None, f"no releva {label}"
        )
    own = [result for result in results if result.columna in columns]
    gaps = [result for result in own if result.regla.endswith(".completitud")]
    rows = sum(result.filas_evaluadas or 0 for result in gaps)
    if not rows:
        return FieldCompliance(
            contract.id, field, columns, "sin_dato", None, None, "todavía no se evaluó ninguna fila"
        )
    present = rows - sum(result.filas_fallidas or 0 for result in gaps)
    wrong = sum(result.filas_fallidas or 0 for result in own if result not in gaps)
    complete = present / rows
    valid = (present - wrong) / present if present else None
    if not valid:
        state: Literal["cumple", "cumple_en_parte", "no_cumple"] = "no_cumple"
    else:
        state = "cumple" if complete == valid == 1 else "cumple_en_parte"
    explanation = (
        f"{label}: {_percent(complete)} de las filas con dato"
        if valid is None
        else f"{label}: {_percent(complete)} de las filas con dato; "
        f"{_percent(valid)} de los datos, como pide el protocolo"
    )
    return FieldCompliance(contract.id, field, columns, state, complete, valid, explanation)


def _percent(share: float) -> str:
    """Rounded down, so that 100 % means all."""
    tenths = int(share * 1000)
    return f"{tenths // 10},{tenths % 10} %"


def _as_text(values: pa.Array[Any]) -> pa.StringArray:
    if pa.types.is_timestamp(values.type):
        values = pc.cast(values, pa.date32())
    return cast("pa.StringArray", pc.cast(values, pa.string()))


def _rows(
    marked: list[bool], encoded: pa.DictionaryArray[Any, Any], *, absent: bool
) -> pa.BooleanArray:
    """Marks on distinct values as marks on rows; rows without a value get `absent`."""
    marks: pa.BooleanArray = pa.array(marked, pa.bool_())
    return cast("pa.BooleanArray", marks.take(encoded.indices).fill_null(absent))


def _is_missing(value: str) -> bool:
    return _NO_DATA.fullmatch(value.strip()) is not None


def _code(value: str) -> str:
    """The text without case, accents or signs, as the lists and staging write codes."""
    plain = value.lower().translate(_UNACCENTED)
    return re.sub(r"[^a-z0-9%+]+", "_", plain).strip("_")


def _read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            rows = [] if missing else list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"no se puede leer la lista del protocolo {path}: {error}.",
            next_step="restituya el archivo desde el repositorio: "
            "sin él no se cargan datos de personas.",
        ) from error
    if missing:
        raise PipelineError(
            f"a la lista del protocolo {path} le faltan columnas: {', '.join(missing)}.",
            next_step=f"la primera línea debe tener {', '.join(columns)}.",
        )
    return rows
