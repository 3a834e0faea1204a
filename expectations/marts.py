"""Great Expectations over the marts: the suites of staff, run inside the database.

Belongs here: running suites against PostgreSQL and building Data Docs. Does not belong here: what
a suite's file may say (`suite_files.py`), checks on rows at the door (`contract_schema`,
`protocol`), dbt's own tests, or what a failure withholds (`orchestration/`).

Great Expectations takes seconds to import, so it is imported when the first suite runs. Its
context lives in memory: no file holds an address, and Data Docs show of each mart the run that
looked at it last (the history of every check is in `meta.resultado_control`). Results carry counts,
never values.
"""

from __future__ import annotations

import datetime as dt
import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from expectations.data_docs import stand_alone
from expectations.results import SAMPLE_SIZE, CheckResult
from expectations.suite_files import Expectation, Suite, SuiteError
from sources.contract import Severity
from sources.wording import counted, number

SITE_NAME = "calidad"

_DATASOURCE = "almacen"
_URL_VARIABLE = "GX_WAREHOUSE_URL"
_SEVERITIES: Mapping[Severity, str] = MappingProxyType(
    {"bloqueante": "critical", "advertencia": "warning"}
)
# Counts without a single value: Data Docs and results may be seen by people who may not see rows.
_RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}
# Of these, which nobody sees, the keys alone are kept.
_FIND_ROWS = {
    "result_format": "BASIC",
    "include_unexpected_rows": True,
    "partial_unexpected_count": SAMPLE_SIZE,
}


def unusable(suite: Suite, problem: SuiteError) -> CheckResult:
    """The verdict on a mart whose suite cannot be used: nothing is known, so nothing leaves."""
    return CheckResult(
        control=f"{suite.mart}.suite",
        motor="great_expectations",
        objeto=suite.mart,
        regla="suite",
        severidad="bloqueante",
        paso=None,
        explicacion=f"No se pudo evaluar: {problem}",
    )


def run_suite(suite: Suite, url: str, docs_dir: Path) -> list[CheckResult]:
    """Run one suite on the warehouse at `url` and build Data Docs in `docs_dir`."""
    with MartValidator(url, docs_dir) as validator:
        results = validator.run(suite)
        validator.build_docs()
    return results


class MartValidator:
    """Runs suites against one warehouse: open once, run many, build the Data Docs at the end.

    `url` is any PostgreSQL URL with a host; `docs_dir` is replaced as a whole by `build_docs`;
    `run_id` names the run in the pages. Use it as a context manager: it holds a connection pool.

    Raises SuiteError, without the address, when the warehouse does not answer.
    """

    def __init__(self, url: str, docs_dir: Path, run_id: str = "manual") -> None:
        self._docs_dir = docs_dir
        self._run_id = run_id
        docs_dir.parent.mkdir(parents=True, exist_ok=True)
        # Built beside the final place and moved there when complete: nobody opens half a site.
        self._workshop = Path(tempfile.mkdtemp(prefix=f".{docs_dir.name}-", dir=docs_dir.parent))
        try:
            with _collector_at_rest():
                self._context = _open_context(url, self._workshop / "sitio")
            self._datasource = _add_datasource(self._context, url)
            self._queries: set[str] = set()
            # Suites run on an engine of its own, not on the one that asks for tables.
            self._engine = self._datasource.get_execution_engine().engine
            _ask_for_names_alone(self._engine, self._queries)
        except BaseException:
            self._remove_workshop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, suite: Suite) -> list[CheckResult]:
        """One result per expectation, in the order of the file.

        An expectation that could not be evaluated (no such table or column) has `paso` None.
        Raises SuiteError when its file cannot be used, or Great Expectations does not know a type
        or an argument.
        """
        if suite.problema is not None:
            raise suite.problema
        with _collector_at_rest():
            return self._run(suite)

    def _run(self, suite: Suite) -> list[CheckResult]:
        import great_expectations as gx
        from great_expectations.core import RunIdentifier
        from great_expectations.exceptions import DataContextError

        declared = gx.ExpectationSuite(
            name=suite.mart,
            expectations=[_build(suite, number) for number in range(len(suite.expectativas))],
            notes=suite.descripcion,
        )
        if not self._exists(suite):
            return [
                _result(suite, number, None, f"La tabla {suite.mart} no existe todavía.")
                for number in range(len(suite.expectativas))
            ]
        query = _rows_of(suite, self._first_moment(suite))
        batch = self._asset(suite, query).add_batch_definition_whole_table("tabla")
        # Added anew: looking for an old one to update costs as much as many an expectation.
        with suppress(DataContextError):
            self._context.validation_definitions.delete(suite.mart)
        with suppress(DataContextError):
            self._context.suites.delete(suite.mart)
        definition = self._context.validation_definitions.add(
            gx.ValidationDefinition(
                name=suite.mart, data=batch, suite=self._context.suites.add(declared)
            )
        )
        outcome = definition.run(
            result_format=_RESULT_FORMAT, run_id=RunIdentifier(run_name=self._run_id)
        )
        found = {result.expectation_config.meta["numero"]: result for result in outcome.results}
        return [
            self._with_sample(suite, number, _interpret(suite, number, found[number]))
            for number in range(len(suite.expectativas))
        ]

    def _with_sample(self, suite: Suite, number: int, result: CheckResult) -> CheckResult:
        """The same, with keys of some rows that fail; asked only when some do, never for values.

        Great Expectations itself finds the rows, by the condition it has just counted them by, and
        is shown the key and the columns of the rule alone. A rule on the whole table has no rows.
        """
        if result.paso is not False or not result.filas_fallidas or not suite.clave:
            return result
        declared = suite.expectativas[number]
        query = _rows_of(suite, self._first_moment(suite), _columns_to_find(suite, declared))
        batch = self._asset(suite, query).add_batch_definition_whole_table("tabla").get_batch()
        found = batch.validate(_build(suite, number), result_format=_FIND_ROWS).result or {}
        keys = (
            tuple(row[name] for name in suite.clave) for row in found.get("unexpected_rows") or ()
        )
        return replace(
            result,
            muestra=tuple(dict(zip(suite.clave, key, strict=True)) for key in dict.fromkeys(keys)),
        )

    def build_docs(self, standing: Collection[str] = ()) -> Path:
        """Put the pages of every suite run so far in `docs_dir`; return the path of its index.

        Of the other marts in `standing` ('<schema>.<table>') the pages of an earlier run stay.
        """
        self._context.build_data_docs()
        site, old = self._workshop / "sitio", self._workshop / "anterior"
        for mart in standing:
            place = Path("validations", *mart.split(".", 1))
            if (self._docs_dir / place).exists() and not (site / place).exists():
                shutil.copytree(self._docs_dir / place, site / place)
        stand_alone(site)
        if self._docs_dir.exists():
            self._docs_dir.rename(old)
        site.rename(self._docs_dir)
        shutil.rmtree(old, ignore_errors=True)
        return self._docs_dir / "index.html"

    def close(self) -> None:
        """Give the connections back and remove unfinished pages."""
        self._engine.dispose()
        self._datasource.get_engine().dispose()
        self._remove_workshop()

    def _remove_workshop(self) -> None:
        shutil.rmtree(self._workshop, ignore_errors=True)

    def _exists(self, suite: Suite) -> bool:
        import sqlalchemy as sa

        inspector = sa.inspect(self._datasource.get_engine())
        return bool(inspector.has_table(suite.table, schema=suite.schema))

    def _asset(self, suite: Suite, query: str) -> Any:
        with suppress(LookupError):
            self._datasource.delete_asset(suite.mart)
        self._queries.add(_flat(query))
        return self._datasource.add_query_asset(name=suite.mart, query=query)

    def _first_moment(self, suite: Suite) -> str | None:
        """Where the window of a suite begins; None without one, or without rows to know it.

        Asked once, and a constant in the query: no expectation has to look for the newest day
        again, and the server can plan for few rows. A table or column that does not exist is left
        for the expectations to report.
        """
        import sqlalchemy as sa

        window = suite.ventana
        if window is None:
            return None
        dated = sa.table(window.hasta or suite.table, schema=suite.schema)
        newest: sa.Select[Any] = sa.select(sa.func.max(sa.column(window.columna))).select_from(
            dated
        )
        try:
            with self._datasource.get_engine().connect() as connection:
                found = connection.execute(newest).scalar()
        except sa.exc.ProgrammingError:
            return None
        return None if found is None else (found - dt.timedelta(days=window.dias)).isoformat()


def _open_context(url: str, site: Path) -> Any:
    # Read when the library is imported; it must not call home from a municipal network.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={
            SITE_NAME: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(site),
                },
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                # The page of a verdict lists every expectation of its suite: a second page for
                # the suite alone, and a look for profiles nobody makes, would cost as much again.
                "site_section_builders": {"expectations": "None", "profiling": "None"},
            }
        },
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(
        mode="ephemeral",
        project_config=config,
        # The address is only known by its variable; this is where the variable gets its value.
        runtime_environment={_URL_VARIABLE: _with_driver(url)},
    )


def _add_datasource(context: Any, url: str) -> Any:
    from great_expectations.datasource.fluent.interfaces import TestConnectionError

    parts = urlsplit(url)
    try:
        datasource = context.data_sources.add_postgres(
            _DATASOURCE, connection_string=f"${{{_URL_VARIABLE}}}"
        )
        datasource.test_connection()
    except TestConnectionError:
        # Not chained: the library's error may carry the address with its password.
        raise SuiteError(
            f"el almacén {parts.hostname}:{parts.port or 5432} no responde a los controles de "
            "calidad.",
            next_step="compruebe que el servidor esté encendido y la dirección sea correcta.",
        ) from None
    return datasource


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No collection of garbage meanwhile: a suite makes millions of small objects.

    Looking through them again and again costs a quarter of its time. What a suite leaves behind
    does not grow with the mart, and goes before the next one.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _ask_for_names_alone(engine: Any, queries: Collection[str]) -> None:
    """Keep Great Expectations from reading a mart whole to learn the names of its columns.

    For that it runs the query of the batch bare, and the driver fetches every row of it into
    memory, though not one is looked at. The same statement without rows has the same names.
    """
    import sqlalchemy as sa

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def without_rows(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        bare = _flat(statement) in queries
        return (f"{statement} limit 0" if bare else statement), parameters


def _flat(statement: str) -> str:
    return " ".join(statement.split())


def _with_driver(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(scheme="postgresql+psycopg2"))


def _rows_of(suite: Suite, first: str | None, columns: Sequence[str] = ()) -> str:
    """The query of the rows a suite speaks of; names go through SQLAlchemy, which quotes them.

    `first` is where the window of the suite begins. With `columns`, those alone, in the order of
    the key.
    """
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql

    table = sa.table(suite.table, schema=suite.schema)
    chosen: list[Any] = [sa.column(name) for name in columns] or [sa.text("*")]
    query = sa.select(*chosen).select_from(table)
    if suite.ventana and first:
        query = query.where(sa.column(suite.ventana.columna) >= sa.literal(first, sa.String))
    if columns:
        query = query.order_by(*map(sa.column, suite.clave))
    # SQLAlchemy leaves the constructor of its dialects without types.
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _columns_to_find(suite: Suite, declared: Expectation) -> list[str]:
    """The key and what the rule is about: all that is needed to find the rows that fail."""
    spoken = (declared.columna or "").split(", ")
    filtered = [declared.donde.columna] if declared.donde else []
    return list(dict.fromkeys((*suite.clave, *filter(None, spoken), *filtered)))


def _build(suite: Suite, number: int) -> Any:
    """One expectation as Great Expectations wants it; its number finds its result again."""
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    declared = suite.expectativas[number]
    try:
        kind = get_expectation_impl(declared.tipo)
        return kind(
            **declared.argumentos,
            **_row_condition(declared),
            description=declared.explicacion,
            severity=_SEVERITIES[declared.severidad],
            meta={"numero": number, "dimension": declared.dimension},
        )
    except ExpectationNotFoundError as error:
        raise SuiteError.of_file(
            suite.path, f"Great Expectations no conoce {declared.tipo!r}"
        ) from error
    except (ValueError, TypeError) as error:
        raise SuiteError.of_file(
            suite.path, f"{declared.tipo}: argumentos no válidos: {error}"
        ) from error


def _row_condition(declared: Expectation) -> dict[str, Any]:
    from great_expectations.expectations.row_conditions import Column

    if declared.donde is None:
        return {}
    column, values = Column(declared.donde.columna), declared.donde.valores
    # `is_in` takes no truth values.
    return {"row_condition": column == values[0] if len(values) == 1 else column.is_in(values)}


def _interpret(suite: Suite, number: int, outcome: Any) -> CheckResult:
    declared = suite.expectativas[number]
    if _could_not_run(outcome.exception_info or {}):
        column = f" la columna {declared.columna} o" if declared.columna else ""
        return _result(
            suite, number, None, f"No se pudo evaluar: falta{column} algo que la regla necesita."
        )
    numbers = outcome.result or {}
    observed = numbers.get("observed_value")
    rows, failed = numbers.get("element_count"), numbers.get("unexpected_count")
    if declared.tipo.startswith("expect_table_row_count"):
        rows = observed
    return _result(
        suite,
        number,
        bool(outcome.success),
        "" if outcome.success else _what_failed(declared, numbers, rows, failed),
        rows=rows,
        failed=failed,
    )


def _what_failed(
    declared: Expectation, numbers: Mapping[str, Any], rows: int | None, failed: int | None
) -> str:
    """The facts behind a failure in words: counts and names of columns, never values."""
    mismatched = (numbers.get("details") or {}).get("mismatched") or {}
    labels = {"missing": "Faltan columnas"}
    if declared.argumentos.get("exact_match", True):
        labels["unexpected"] = "Sobran columnas"
    parts = [
        f"{label}: {', '.join(mismatched[name])}."
        for name, label in labels.items()
        if mismatched.get(name)
    ]
    if failed is not None and rows is not None:
        parts.append(f"No cumplen {number(failed)} de {counted(rows, 'fila', 'filas')}.")
    elif rows is not None:
        parts.append(f"Se encontraron {counted(rows, 'fila', 'filas')}.")
    return " ".join(parts)


def _could_not_run(info: Mapping[str, Any]) -> bool:
    """Errors come either flat or one per metric, by its identifier."""
    if info.get("raised_exception"):
        return True
    return any(isinstance(part, Mapping) and part.get("raised_exception") for part in info.values())


def _result(
    suite: Suite,
    number: int,
    passed: bool | None,
    facts: str,
    *,
    rows: int | None = None,
    failed: int | None = None,
) -> CheckResult:
    declared = suite.expectativas[number]
    return CheckResult(
        control=_control_name(suite, number),
        motor="great_expectations",
        objeto=suite.mart,
        columna=declared.columna,
        dimension=declared.dimension,
        regla=declared.nombre,
        severidad=declared.severidad,
        paso=passed,
        filas_evaluadas=rows,
        filas_fallidas=failed,
        explicacion=f"{declared.explicacion} {facts}".strip(),
    )


def _control_name(suite: Suite, number: int) -> str:
    """Stable while the file keeps the expectation: mart, type and columns, numbered if repeated."""
    declared = suite.expectativas[number]
    same = [
        other
        for other in suite.expectativas[:number]
        if (other.nombre, other.columna) == (declared.nombre, declared.columna)
    ]
    columns = f".{declared.columna.replace(', ', '+')}" if declared.columna else ""
    suffix = f".{len(same) + 1}" if same else ""
    return f"{suite.mart}{columns}.{declared.nombre}{suffix}"
