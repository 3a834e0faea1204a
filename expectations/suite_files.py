"""Suites of expectations on marts, as the files that staff can read and change say them.

Belongs here: `suites/*.yaml` as typed values, with an error that names file and field. Does not
belong here: running them (`marts.py`). Nothing of Great Expectations is imported: Dagster's
definitions are made from these values and load in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from expectations.results import DIMENSIONS
from sources.city import CityError, with_city_values
from sources.contract import SEVERITIES, Severity
from sources.documents import parse_yaml
from sources.errors import PipelineError

SUITES_DIR = Path(__file__).parent / "suites"


class SuiteError(PipelineError):
    """A suite that cannot be used, or a warehouse where none can run."""

    @classmethod
    def of_file(cls, path: Path, what: str) -> SuiteError:
        """The error of the file at `path`, from what is wrong with it."""
        return cls(
            f"expectativas {path.name}: {what}.",
            next_step=f"corrija {path} (guía: docs/calidad.md).",
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """The rows an expectation speaks of: those where a column holds one of some values."""

    columna: str
    valores: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation of a suite: a Great Expectations type, its arguments and what it protects."""

    tipo: str
    argumentos: Mapping[str, Any]
    donde: Filter | None
    severidad: Severity
    dimension: str
    explicacion: str
    regla: str = ""  # its own name, where the type says too little

    @property
    def nombre(self) -> str:
        """What verdicts on it are called."""
        return self.regla or self.tipo

    @property
    def columna(self) -> str | None:
        """The column or columns it speaks of; None when it speaks of the whole table."""
        pair = [self.argumentos.get(name) for name in ("column_A", "column_B")]
        several = self.argumentos.get("column_list") or (pair if all(pair) else ())
        if several:
            return ", ".join(str(name) for name in several)
        return self.argumentos.get("column")


@dataclass(frozen=True, slots=True)
class Window:
    """The last days of a large table: what changed lately, at a cost that does not grow with it.

    `hasta` is a table of the same schema with that column, of which the newest day is taken: for
    a view that would have to be computed whole to know its own.
    """

    columna: str
    dias: int
    hasta: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """The expectations on one mart, as its file says them."""

    mart: str
    descripcion: str
    expectativas: tuple[Expectation, ...]
    ventana: Window | None
    path: Path
    clave: tuple[str, ...] = ()  # of the mart: names the rows that fail
    problema: SuiteError | None = None  # why its file cannot be used

    @property
    def schema(self) -> str:
        return self.mart.partition(".")[0]

    @property
    def table(self) -> str:
        return self.mart.partition(".")[2]


def load_suites(directory: Path = SUITES_DIR) -> dict[str, Suite]:
    """Read every `*.yaml` of `directory`, by mart, in alphabetical order.

    A file that cannot be used gives a suite with a `problema` that names the file and the field,
    of the mart that the file is named after: one mistake must not stop the other marts. Whether
    Great Expectations knows a type is found out when the suite runs (and by the tests): asking it
    takes seconds. Raises SuiteError for a file that is named after no mart.
    """
    suites: dict[str, Suite] = {}
    for path in sorted(directory.glob("*.yaml")):
        suite = _load_or_problem(path)
        twice = suites.get(suite.mart)
        if twice is not None:
            problem = SuiteError.of_file(
                path, f"{suite.mart} ya tiene expectativas en {twice.path}"
            )
            suite = replace(suite, problema=problem)
        suites[suite.mart] = suite
    return dict(sorted(suites.items()))


def _load_or_problem(path: Path) -> Suite:
    try:
        return _load(path)
    except SuiteError as error:
        mart = path.stem.replace("__", ".", 1)
        if "." not in mart:
            raise
        return Suite(mart, "", (), None, path, problema=error)


def _load(path: Path) -> Suite:
    try:
        document = with_city_values(parse_yaml(path.read_text(encoding="utf-8")), {})
    except CityError as error:
        raise SuiteError.of_file(path, f"{error.what} {error.next_step}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SuiteError.of_file(path, f"no se puede leer: {error}") from error
    if not isinstance(document, dict):
        raise SuiteError.of_file(path, "el archivo está vacío")
    _only(path, "el archivo", document, {"mart", "descripcion", "ventana", "expectativas"})
    mart = str(document.get("mart") or "")
    if mart.count(".") != 1 or not all(mart.split(".")):
        raise SuiteError.of_file(path, f"`mart` debe ser '<esquema>.<tabla>', no {mart!r}")
    declared = document.get("expectativas")
    if not isinstance(declared, list) or not declared:
        raise SuiteError.of_file(path, "`expectativas` debe ser una lista con al menos una")
    return Suite(
        mart=mart,
        descripcion=" ".join(str(document.get("descripcion") or "").split()),
        expectativas=tuple(_expectation(path, item) for item in declared),
        ventana=_window(path, document.get("ventana")),
        path=path,
    )


def _expectation(path: Path, item: Any) -> Expectation:
    if not isinstance(item, dict):
        raise SuiteError.of_file(path, f"cada expectativa es un conjunto de claves, no {item!r}")
    tipo = str(item.get("tipo") or "")
    where = f"la expectativa {tipo!r}"
    known = {"tipo", "argumentos", "donde", "severidad", "dimension", "explicacion"}
    _only(path, where, item, known)
    if not tipo.startswith("expect_"):
        raise SuiteError.of_file(path, f"{where}: `tipo` debe empezar con expect_")
    if item.get("severidad") not in SEVERITIES:
        raise SuiteError.of_file(
            path, f"{where}: `severidad` debe ser una de {', '.join(SEVERITIES)}"
        )
    if item.get("dimension") not in DIMENSIONS:
        raise SuiteError.of_file(
            path, f"{where}: `dimension` debe ser una de {', '.join(DIMENSIONS)}"
        )
    if not str(item.get("explicacion") or "").strip():
        raise SuiteError.of_file(path, f"{where}: falta `explicacion`")
    arguments = item.get("argumentos") or {}
    if not isinstance(arguments, dict):
        raise SuiteError.of_file(
            path, f"{where}: `argumentos` es un conjunto de claves, no {arguments!r}"
        )
    return Expectation(
        tipo=tipo,
        argumentos=MappingProxyType(arguments),
        donde=_filter(path, where, item.get("donde")),
        severidad=item["severidad"],
        dimension=item["dimension"],
        explicacion=" ".join(str(item["explicacion"]).split()),
    )


def _filter(path: Path, where: str, item: Any) -> Filter | None:
    if item is None:
        return None
    if not isinstance(item, dict) or not isinstance(item.get("valores"), list):
        raise SuiteError.of_file(
            path, f"{where}: `donde` necesita `columna` y `valores`, una lista"
        )
    _only(path, f"{where}: `donde`", item, {"columna", "valores"})
    if not item.get("columna") or not item["valores"]:
        raise SuiteError.of_file(path, f"{where}: `donde` necesita `columna` y al menos un valor")
    return Filter(str(item["columna"]), tuple(item["valores"]))


def _window(path: Path, item: Any) -> Window | None:
    if item is None:
        return None
    if (
        not isinstance(item, dict)
        or not isinstance(item.get("dias"), int)
        or not item.get("columna")
    ):
        raise SuiteError.of_file(path, "`ventana` necesita `columna` y `dias`, un número entero")
    _only(path, "`ventana`", item, {"columna", "dias", "hasta"})
    return Window(str(item["columna"]), item["dias"], item.get("hasta"))


def _only(path: Path, where: str, item: Mapping[str, Any], known: Iterable[str]) -> None:
    if unknown := sorted(set(item) - set(known)):
        raise SuiteError.of_file(
            path, f"{where} tiene claves desconocidas: {', '.join(map(str, unknown))}"
        )
