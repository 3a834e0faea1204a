"""Feeds of files: each content once, versions in each other's place, copies kept, nothing half."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.migrate import migrate
from sources.contract import Contract
from sources.landing import LoadContext, LoadReport, load
from sources.landing import files as landing_files
from sources.landing.archive import Archive, verify_archive
from sources.landing.files import waiting_files
from sources.readers import FeedFile
from sources.readers import files as reader_files
from sources.readers.files import LocalFolder
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract
from tests.support.proxy import proxy_to
from tests.support.s3 import S3Server, s3_server
from tests.support.sftp import SftpServer, sftp_server

COLUMNS = [column("medidor"), column("dia", "date"), column("litros", "integer")]
HEADER = "medidor,dia,litros"
OLD = 1_000_000_000


class Feed:
    """A folder of readings. Files are old enough for their date to count, unless said otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self._clock = OLD

    @property
    def url(self) -> SourceUrl:
        return SourceUrl.parse(str(self.folder))

    def write(self, name: str, *rows: str) -> Path:
        """A file of these rows, a second younger than the one written before."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([HEADER, *rows, ""]))
        self._clock += 1
        moment = self._clock * 1_000_000_000 + 123_456_789
        os.utime(path, ns=(moment, moment))
        return path


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path / "lecturas")


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return make_contract(tmp_path, "csv", COLUMNS, pattern="**/*.csv")


@pytest.fixture
def run(warehouse: Warehouse, contract: Contract) -> Callable[..., LoadReport]:
    """Loads a feed: `run(feed)`; another contract or more of the context by name."""

    def loaded(feed: Feed | SourceUrl, of: Contract = contract, **context: Any) -> LoadReport:
        url = feed.url if isinstance(feed, Feed) else feed
        made = LoadContext(connect=warehouse.connect, run_id="prueba", **context)
        return load(of, url, made, [])

    return loaded


def query(warehouse: Warehouse, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(statement.encode(), parameters).fetchall()


def readings(warehouse: Warehouse) -> list[str]:
    """Raw rows as they stood in their files, sorted."""
    found = query(warehouse, "select medidor, dia::text, litros from raw.prueba__tabla")
    return sorted(f"{meter},{day},{litres}" for meter, day, litres in found)


def removed(warehouse: Warehouse) -> list[str]:
    """Rows that history says were removed, sorted."""
    found = query(warehouse, "select fila from raw._historial where operacion = 'baja'")
    return sorted(f"{row['medidor']},{row['dia']},{row['litros']}" for (row,) in found)


def figures(report: LoadReport) -> dict[str, int]:
    """What is not zero of a report."""
    names = ("read", "loaded", "quarantined", "known", "deleted", "files", "files_known",
             "files_waiting")  # fmt: skip
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def in_force(warehouse: Warehouse) -> dict[str, bool]:
    return dict(query(warehouse, "select nombre, vigente from meta.archivo order by cargado_en"))


# Each file once -------------------------------------------------------------------------------


def test_a_renamed_and_a_sent_again_file_are_known_by_their_content(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    first = feed.write("junio.csv", "m1,2026-06-01,5")
    run(feed)
    first.rename(feed.folder / "junio_final.csv")
    feed.write("otra_vez/junio.csv", "m1,2026-06-01,5")

    report = run(feed)

    assert (report.state, figures(report)) == ("sin_cambios", {"files": 2, "files_known": 2})
    assert readings(warehouse) == ["m1,2026-06-01,5"]
    names = "select nombre from meta.archivo_nombre order by 1"
    assert query(warehouse, names) == [
        ("junio.csv",),
        ("junio_final.csv",),
        ("otra_vez/junio.csv",),
    ]


def test_a_folder_whose_files_the_pattern_leaves_out_is_no_silence(
    feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("LECTURAS.CSV", "m1,2026-06-01,5")

    report = run(feed)

    assert (report.state, report.files) == ("sin_cambios", 0)
    assert "LECTURAS.CSV (las mayúsculas cuentan)" in report.notes[0]


def test_what_is_noticed_in_a_copy_is_told_of_the_file(
    tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    path = feed.write("ñ.csv", "m1,2026-06-01,5")
    path.write_bytes(f"{HEADER}\nÑandú,2026-06-01,5\n".encode("latin-1"))

    [note] = run(feed, archive=tmp_path / "archivo").notes

    assert note.startswith("ñ.csv: el contrato declara")


def test_two_equal_files_of_one_run_are_loaded_once(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")
    feed.write("b.csv", "m1,2026-06-01,5")

    assert figures(run(feed)) == {"read": 1, "loaded": 1, "files": 2, "files_known": 1}


def test_a_file_whose_name_size_and_date_are_known_is_not_read_again(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    path = feed.write("a.csv", "m1,2026-06-01,5")
    facts = path.stat()
    run(feed)
    # The one way to tell that nobody looked: content that differs behind equal facts.
    path.write_text(path.read_text().replace("5", "6"))
    os.utime(path, ns=(facts.st_mtime_ns, facts.st_mtime_ns))

    assert figures(run(feed)) == {"files": 1, "files_known": 1}


def test_a_date_of_a_moment_ago_proves_nothing(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    path = feed.write("a.csv", "m1,2026-06-01,5")
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    run(feed)
    path.write_text(path.read_text().replace("5", "6"))
    os.utime(path, ns=(now, now))

    run(feed)

    assert readings(warehouse) == ["m1,2026-06-01,6"]


def test_a_sensor_hears_of_what_a_run_would_load(
    warehouse: Warehouse, feed: Feed, contract: Contract, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")
    run(feed)
    feed.write("copia.csv", "m1,2026-06-01,5")
    with warehouse.connect() as connection:
        assert waiting_files(connection, contract, feed.url) == []
        feed.write("b.csv", "m1,2026-06-02,5")
        assert len(waiting_files(connection, contract, feed.url)) == 1


# Still being written --------------------------------------------------------------------------


def grow_once(path: Path) -> Callable[[int], None]:
    """A progress listener that adds a line to a file the first time it is called."""
    lines = ["m3,2026-06-01,7\n"]

    def listener(rows: int) -> None:
        if lines:
            with path.open("a") as stream:
                stream.write(lines.pop())

    return listener


def test_a_file_new_by_its_size_is_loaded_while_it_is_hashed(
    warehouse: Warehouse,
    feed: Feed,
    run: Callable[..., LoadReport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, digest = threading.Event(), reader_files._digest
    monkeypatch.setattr(
        reader_files,
        "_digest",
        lambda path, given_up: digest(path, given_up) if read.wait(20) else "too late",
    )
    path = feed.write("a.csv", "m1,2026-06-01,5")

    report = run(feed, progress=lambda rows: read.set())

    assert figures(report) == {"read": 1, "loaded": 1, "files": 1}
    hashes = "select sha256 from meta.archivo union select sha256 from meta.archivo_nombre"
    assert query(warehouse, hashes) == [(hashlib.sha256(path.read_bytes()).hexdigest(),)]


def test_contents_of_one_size_are_told_apart(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")
    run(feed)
    feed.write("b.csv", "m2,2026-06-01,5")
    feed.write("c.csv", "m1,2026-06-01,5")

    report = run(feed)

    assert figures(report) == {"read": 1, "loaded": 1, "files": 3, "files_known": 2}
    assert readings(warehouse) == ["m1,2026-06-01,5", "m2,2026-06-01,5"]


def test_a_file_that_grows_while_it_is_read_waits_for_the_next_run(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    path = feed.write("a.csv", "m1,2026-06-01,5")
    feed.write("b.csv", "m9,2026-06-01,9")

    report = run(feed, progress=grow_once(path))

    assert (report.state, report.errors) == ("cargada", [])
    assert figures(report) == {"read": 1, "loaded": 1, "files": 2, "files_waiting": 1}
    assert "el archivo a.csv cambió mientras se leía" in report.notes[0]
    assert "próxima corrida" in report.notes[0]
    assert readings(warehouse) == ["m9,2026-06-01,9"]
    assert query(warehouse, "select count(*) from meta.carga where estado = 'fallida'") == [(0,)]
    assert figures(run(feed)) == {"read": 2, "loaded": 2, "files": 2, "files_known": 1}
    assert readings(warehouse) == ["m1,2026-06-01,5", "m3,2026-06-01,7", "m9,2026-06-01,9"]


def test_what_half_a_file_looks_like_is_no_failure_while_it_is_being_written(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    path = feed.write("a.csv", *["m1,2026-06-01,cinco"] * 60)
    broken = run(feed)
    assert broken.state == "fallida" and "60 de 60 filas no pasan" in str(broken.errors[0])

    report = run(feed, progress=grow_once(path))

    assert (report.state, report.files_waiting) == ("sin_cambios", 1)


def test_a_file_touched_a_moment_ago_waits_for_as_long_as_the_contract_says(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    patient = make_contract(tmp_path, "csv", COLUMNS, settleSeconds=60)
    os.utime(feed.write("a.csv", "m1,2026-06-01,5"))

    report = run(feed, patient)

    assert (report.state, figures(report)) == ("sin_cambios", {})
    assert report.notes == [
        "para la próxima corrida quedan archivos que cambiaron hace un momento: 1."
    ]


# Archive --------------------------------------------------------------------------------------


def test_a_loaded_file_is_kept_by_its_hash_and_left_where_it_was(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    path = feed.write("sub/año 26.csv", "m1,2026-06-01,5")

    run(feed, archive=tmp_path / "archivo")

    [(copy, sha256)] = query(warehouse, "select copia, sha256 from meta.archivo")
    assert copy == f"prueba.tabla/{sha256[:2]}/{sha256}-sub_año 26.csv"
    assert (tmp_path / "archivo" / copy).read_bytes() == path.read_bytes()
    assert [f for f in (tmp_path / "archivo").rglob("*") if f.is_file()] == [
        tmp_path / "archivo" / copy
    ]


def test_the_archive_is_proven_against_its_hashes(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    for day in (1, 2, 3):
        feed.write(f"{day}.csv", f"m1,2026-06-0{day},5")
    archive = tmp_path / "archivo"
    run(feed, archive=archive)
    places = dict(query(warehouse, "select nombre, copia from meta.archivo"))
    with warehouse.connect() as connection:
        assert verify_archive(connection, archive) == []
        (archive / places["1.csv"]).unlink()
        (archive / places["2.csv"]).write_text("otra cosa")

        problems = verify_archive(connection, archive)

    assert [(one.dataset, one.name) for one in problems] == [
        ("prueba.tabla", "1.csv"),
        ("prueba.tabla", "2.csv"),
    ]
    assert "falta la copia" in problems[0].what and "cambió su contenido" in problems[1].what


def test_a_contract_may_do_without_the_archive(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")

    run(feed, make_contract(tmp_path, "csv", COLUMNS, archive=False), archive=tmp_path / "archivo")

    assert query(warehouse, "select copia from meta.archivo") == [(None,)]
    assert not (tmp_path / "archivo").exists()


def test_a_file_that_cannot_be_kept_is_not_loaded(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")
    (tmp_path / "ocupado").write_text("")

    report = run(feed, archive=tmp_path / "ocupado" / "archivo")

    assert report.state == "fallida"
    message = str(report.errors[0])
    assert "no se pudo guardar la copia de a.csv" in message and "Qué hacer:" in message
    assert query(warehouse, "select to_regclass('raw.prueba__tabla')") == [(None,)]
    assert query(warehouse, "select count(*) from meta.archivo") == [(0,)]


def _load_with_small_disk(
    feed: Feed, contract: Contract, warehouse: Warehouse, archive: Path
) -> None:
    """What a process runs that may write files of 100 kB at most."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    context = LoadContext(connect=warehouse.connect, run_id="prueba", archive=archive)
    load(contract, feed.url, context, [])


def test_a_copy_for_which_there_is_no_room_keeps_its_rows_out_and_lets_the_others_in(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, contract: Contract
) -> None:
    feed.write("grande.csv", *(f"m{n},2026-06-01,{n}" for n in range(20_000)))
    feed.write("chico.csv", "m1,2026-06-01,5")
    process = multiprocessing.get_context("fork").Process(
        target=_load_with_small_disk, args=(feed, contract, warehouse, tmp_path / "archivo")
    )
    process.start()
    process.join(60)

    assert process.exitcode == 0
    assert readings(warehouse) == ["m1,2026-06-01,5"]
    [(error,)] = query(warehouse, "select error from meta.carga where estado = 'fallida'")
    assert "no se pudo guardar la copia de grande.csv" in error and "no hay espacio" in error
    assert not list((tmp_path / "archivo").rglob(".*"))


# Versions -------------------------------------------------------------------------------------


def test_a_new_version_takes_the_place_of_the_old_one(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("otro.csv", "m9,2026-06-01,9")
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,6", "m3,2026-06-01,7")
    run(feed)
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,60", "m4,2026-06-01,8")

    report = run(feed)

    assert figures(report) == {
        "read": 3, "loaded": 2, "known": 1, "deleted": 2, "files": 2, "files_known": 1,
    }  # fmt: skip
    assert readings(warehouse) == [
        "m1,2026-06-01,5",
        "m2,2026-06-01,60",
        "m4,2026-06-01,8",
        "m9,2026-06-01,9",
    ]
    assert removed(warehouse) == ["m2,2026-06-01,6", "m3,2026-06-01,7"]
    [(old, new, replaced)] = query(
        warehouse,
        "select a.vigente, b.vigente, a.reemplazado_en is not null from meta.archivo a "
        "join meta.archivo b on b.sha256 = a.reemplazado_por where a.nombre = 'a.csv'",
    )
    assert (old, new, replaced) == (False, True, True)


def test_a_removed_row_says_which_load_and_line_it_came_from(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,6")
    run(feed)
    feed.write("a.csv", "m1,2026-06-01,5")
    run(feed)

    assert query(
        warehouse,
        "select a.nombre, a.vigente, h.fila -> '_source_row', h.carga_id = b.carga_id "
        "from raw._historial h join meta.archivo a on a.carga_id = (h.fila ->> '_load_id')::bigint "
        "join meta.archivo b on b.sha256 = a.reemplazado_por",
    ) == [("a.csv", False, 2, True)]


def test_equal_rows_are_counted_one_by_one(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", *["m1,2026-06-01,5"] * 3, "m2,,", "m2,,")
    run(feed)
    feed.write("a.csv", *["m1,2026-06-01,5"] * 2, "m2,,", "m2,,", "m2,,")

    report = run(feed)

    assert (report.loaded, report.known, report.deleted) == (1, 4, 1)
    assert removed(warehouse) == ["m1,2026-06-01,5"]
    [(accounted,)] = query(
        warehouse, "select sum(filas_cargadas) - sum(filas_eliminadas) from meta.carga"
    )
    assert accounted == len(readings(warehouse)) == 5


def test_the_same_rows_written_otherwise_are_a_version_without_history(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,6")
    run(feed)
    feed.write("a.csv", "m2,2026-06-01,6", "m1,2026-06-01,5")

    report = run(feed)

    assert (report.loaded, report.known, report.deleted) == (0, 2, 0)
    assert removed(warehouse) == []
    assert query(warehouse, "select distinct _load_id from raw.prueba__tabla") == query(
        warehouse, "select carga_id from meta.archivo where vigente"
    )


def test_versions_may_be_told_by_a_part_of_their_names(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    versions = make_contract(tmp_path, "csv", COLUMNS, fileIdentity=r"^(\d{4}-\d{2})_v\d+\.csv$")
    feed.write("2026-06_v2.csv", "m1,2026-06-01,6")
    feed.write("2026-06_v1.csv", "m1,2026-06-01,5")
    feed.write("2026-07_v1.csv", "m1,2026-07-01,7")

    run(feed, versions)

    # Of files that come together the one changed last counts, whatever its name says.
    assert readings(warehouse) == ["m1,2026-06-01,5", "m1,2026-07-01,7"]
    assert run(feed, versions).files_known == 3
    feed.write("2026-06_v3.csv", "m1,2026-06-01,8")
    run(feed, versions)
    assert readings(warehouse) == ["m1,2026-06-01,8", "m1,2026-07-01,7"]


def test_a_contract_that_begins_to_tell_versions_tells_those_it_has(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("junio_v1.csv", "m1,2026-06-01,5")
    run(feed)
    feed.write("junio_v2.csv", "m1,2026-06-01,6")

    run(feed, make_contract(tmp_path, "csv", COLUMNS, fileIdentity=r"^(.*)_v\d+\.csv$"))

    assert readings(warehouse) == ["m1,2026-06-01,6"]


def test_the_version_that_arrives_last_counts_even_when_it_is_older(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,6")
    run(feed)
    os.utime(feed.write("a.csv", "m1,2026-06-01,5"), (OLD - 5000, OLD - 5000))

    run(feed)

    assert readings(warehouse) == ["m1,2026-06-01,5"]


def test_a_file_put_back_to_an_earlier_version_counts_again(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    for litres in (5, 6, 5):
        feed.write("a.csv", f"m1,2026-06-01,{litres}")
        run(feed)

    assert readings(warehouse) == ["m1,2026-06-01,5"]
    assert removed(warehouse) == ["m1,2026-06-01,5", "m1,2026-06-01,6"]
    states = "select filas_leidas, vigente from meta.archivo order by cargado_en"
    assert query(warehouse, states) == [(1, False), (1, True)]
    assert figures(run(feed)) == {"files": 1, "files_known": 1}


def test_a_copy_of_a_replaced_version_does_not_bring_it_back(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")
    run(feed)
    feed.write("a.csv", "m1,2026-06-01,6")
    run(feed)
    feed.write("a (copia vieja).csv", "m1,2026-06-01,5")

    assert figures(run(feed)) == {"files": 2, "files_known": 2}
    assert readings(warehouse) == ["m1,2026-06-01,6"]


def test_a_renamed_file_is_replaced_under_its_new_name(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5").rename(feed.folder / "b.csv")
    run(feed)
    (feed.folder / "b.csv").rename(feed.folder / "c.csv")
    run(feed)
    feed.write("c.csv", "m1,2026-06-01,6")

    run(feed)

    assert readings(warehouse) == ["m1,2026-06-01,6"]


def test_a_copy_that_is_changed_replaces_nothing_while_its_original_is_there(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")
    feed.write("b.csv", "m1,2026-06-01,5")
    run(feed)
    feed.write("b.csv", "m2,2026-06-01,6")

    run(feed)

    assert readings(warehouse) == ["m1,2026-06-01,5", "m2,2026-06-01,6"]


def test_versions_may_be_kept_side_by_side(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    both = make_contract(tmp_path, "csv", COLUMNS, revisions="append")
    feed.write("a.csv", "m1,2026-06-01,5")
    run(feed, both)
    feed.write("a.csv", "m1,2026-06-01,6")

    assert figures(run(feed, both)) == {"read": 1, "loaded": 1, "files": 1}
    assert readings(warehouse) == ["m1,2026-06-01,5", "m1,2026-06-01,6"]
    assert in_force(warehouse) == {"a.csv": True}


def test_a_new_version_that_is_rather_a_part_of_the_old_one_is_refused(
    run: Callable[..., LoadReport], feed: Feed, warehouse: Warehouse, tmp_path: Path
) -> None:
    """A correction that holds the corrected rows only would take all the others away."""
    feed.write("mes.csv", *(f"m{n},2026-06-01,{n}" for n in range(100)))
    run(feed)
    feed.write("mes.csv", *(f"m{n},2026-06-01,{n}" for n in range(79)))

    [error] = run(feed).errors

    assert "tiene 79 filas buenas" in str(error) and "tenía 100" in str(error)
    assert "maxDeletionShare" in error.next_step and "revisions: append" in error.next_step
    assert error.owner and len(readings(warehouse)) == 100
    feed.write("mes.csv", *(f"m{n},2026-06-01,{n}" for n in range(80)))
    assert figures(run(feed)) == {"read": 80, "known": 80, "deleted": 20, "files": 1}
    feed.write("mes.csv", "m1,2026-06-01,1")
    shrunk = make_contract(tmp_path, "csv", COLUMNS, pattern="**/*.csv", maxDeletionShare=1)
    assert figures(run(feed, of=shrunk))["deleted"] == 79


def test_a_refused_version_is_refused_again_unread_until_something_changed(
    run: Callable[..., LoadReport],
    feed: Feed,
    warehouse: Warehouse,
    contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    original = landing_files.open_file

    def noted(of: Contract, file: FeedFile, **options: Any) -> Any:
        read.append(file.name)
        return original(of, file, **options)

    monkeypatch.setattr(landing_files, "open_file", noted)
    whole = [f"m{n},2026-06-01,{n}" for n in range(100)]
    feed.write("mes.csv", *whole)
    run(feed)
    small = feed.write("mes.csv", *whole[:60])
    [first] = run(feed).errors
    read.clear()

    with monkeypatch.context() as untouched:
        untouched.setattr(LocalFolder, "hashed", None)
        again = run(feed)
        with warehouse.connect() as connection:
            assert len(waiting_files(connection, contract, feed.url)) == 1
    assert again.state == "fallida" and str(again.errors[0]) == str(first)
    assert query(warehouse, "select estado, error from meta.carga order by carga_id")[1:] == [
        ("fallida", str(first)), ("fallida", str(first))
    ]  # fmt: skip
    os.utime(small, (OLD + 50, OLD + 50))  # copied once more
    assert str(run(feed).errors[0]) == str(first)
    assert read == []

    feed.write("mes.csv", *whole[:61])
    assert "tiene 61 filas" in str(run(feed).errors[0])
    feed.write("mes.csv", *whole[:90])
    assert run(feed).deleted == 10
    feed.write("mes.csv", *whole[:60])
    assert "la anterior (mes.csv) tenía 90" in str(run(feed).errors[0])
    wider = make_contract(tmp_path, "csv", COLUMNS, pattern="**/*.csv", maxDeletionShare=0.5)
    assert run(feed, of=wider).deleted == 30
    assert read == ["mes.csv"] * 4


def test_a_refused_version_with_rows_kept_out_is_read_again(
    run: Callable[..., LoadReport], feed: Feed, warehouse: Warehouse
) -> None:
    """What a rule looks at may have changed."""
    feed.write("mes.csv", *(f"m{n},2026-06-01,{n}" for n in range(100)))
    run(feed)
    feed.write("mes.csv", *(f"m{n},2026-06-01,{n}" for n in range(75)), "m76,2026-06-01,mal")

    run(feed)

    assert query(warehouse, "select detalle ? 'rechazo' from meta.carga order by 1") == [
        (False,), (False,)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param(["m1,2026-06-01,cinco"] * 60, "60 de 60 filas no pasan", id="mostly bad"),
        pytest.param(["m1,2026-06-01,cinco"], "ninguna fila buena", id="few and all bad"),
        pytest.param([], "ninguna fila buena", id="empty"),
    ],
)
def test_a_new_version_that_is_refused_leaves_the_old_one_in_force(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport], rows: list[str], words: str
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,roto")
    run(feed)
    feed.write("a.csv", *rows)

    report = run(feed)

    assert report.state == "fallida" and words in str(report.errors[0])
    assert readings(warehouse) == ["m1,2026-06-01,5"]
    assert removed(warehouse) == []
    assert in_force(warehouse) == {"a.csv": True}
    assert query(warehouse, "select estado, numero_fila from quarantine.fila") == [("pendiente", 2)]


def test_bad_rows_of_a_replaced_version_are_pending_no_longer(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,roto", "m3,2026-06-01,roto")
    feed.write("b.csv", "m4,2026-06-01,5", "m5,2026-06-01,roto")
    run(feed)
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,6", "m3,2026-06-01,roto")

    run(feed)

    states = "select fila ->> 'medidor', estado from quarantine.fila order by 1"
    assert query(warehouse, states) == [
        ("m2", "reemplazada"),
        ("m3", "pendiente"),
        ("m5", "pendiente"),
    ]


def test_a_new_version_takes_rows_that_were_replayed_for_the_old_one_with_it(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,seis")
    run(feed)
    # A replay is a load of its own that names the file's (`reproceso_de`).
    query(
        warehouse,
        "with c as (insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
        "contrato_sha256, inicio, fin, filas_leidas, filas_cargadas, reproceso_de) "
        "select 'x', 'prueba.tabla', 'cargada', 'reproceso', '1', '1', now(), now(), 1, 1, "
        "carga_id from meta.archivo returning carga_id) insert into raw.prueba__tabla "
        "select 'm2', '2026-06-01', 6, carga_id, 2 from c returning 1",
    )
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,7")

    report = run(feed)

    assert (report.loaded, report.known, report.deleted) == (1, 1, 1)
    assert readings(warehouse) == ["m1,2026-06-01,5", "m2,2026-06-01,7"]
    assert removed(warehouse) == ["m2,2026-06-01,6"]


def test_feeds_that_share_a_table_replace_only_their_own_rows(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    (tmp_path / "otro").mkdir()
    other = make_contract(tmp_path / "otro", "csv", COLUMNS, landingTable="prueba__tabla")
    object.__setattr__(other, "id", "prueba.otra")
    others = Feed(tmp_path / "otras_lecturas")
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,6")
    others.write("a.csv", "m1,2026-06-01,5", "m7,2026-06-01,7")
    run(feed)
    run(others, other)
    feed.write("a.csv", "m1,2026-06-01,5")

    run(feed)

    assert readings(warehouse) == ["m1,2026-06-01,5", "m1,2026-06-01,5", "m7,2026-06-01,7"]
    assert removed(warehouse) == ["m2,2026-06-01,6"]


def test_files_that_were_loaded_as_a_whole_are_not_loaded_beside_their_rows(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")
    feed.write("b.csv", "m2,2026-06-01,6")
    one_by_one = make_contract(tmp_path, "csv", COLUMNS)
    whole = make_contract(tmp_path, "csv", COLUMNS, loadMode="full")
    run(feed, one_by_one)
    run(feed, whole)  # knows every row

    refused = run(feed, one_by_one)

    assert "1 de sus 1 filas ya están" in str(refused.errors[0]) and len(refused.errors) == 2
    assert "truncate raw.prueba__tabla" in refused.errors[0].next_step
    assert readings(warehouse) == ["m1,2026-06-01,5", "m2,2026-06-01,6"]
    with warehouse.connect() as connection:
        connection.execute("truncate raw.prueba__tabla")
    assert figures(run(feed, one_by_one)) == {"read": 2, "loaded": 2, "files": 2}
    assert run(feed, one_by_one).state == "sin_cambios"
    assert in_force(warehouse) == {"a.csv": True, "b.csv": True}


def test_readers_never_see_the_gap_between_two_versions(
    warehouse: Warehouse, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", *(f"m{n},2026-06-01,5" for n in range(500)))
    run(feed)
    feed.write("a.csv", *(f"m{n},2026-06-01,6" for n in range(500)))
    seen: set[tuple[int, int, int]] = set()
    over = threading.Event()

    def watch() -> None:
        statement = "select count(*), min(litros), max(litros) from raw.prueba__tabla"
        while not over.is_set():
            seen.update(query(warehouse, statement))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        report = run(feed, batch_rows=100, progress=lambda rows: time.sleep(0.02))
    finally:
        over.set()
        watcher.join()

    assert report.deleted == 500
    assert (500, 5, 5) in seen and seen <= {(500, 5, 5), (500, 6, 6)}


def test_only_the_months_of_a_file_are_looked_at(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    monthly = make_contract(tmp_path, "csv", COLUMNS, partitionBy="dia")
    feed.write("enero.csv", "m1,2026-01-15,1")
    feed.write("junio.csv", "m1,2026-06-15,6", "m2,2026-06-20,6")
    run(feed, monthly)
    run(feed, monthly)  # the second load of a table makes its index
    scans = (
        "select relname, pg_stat_get_numscans(relid) from pg_stat_user_tables "
        "where relname ~ '^prueba' order by 1"
    )
    before = dict(query(warehouse, scans))
    feed.write("junio.csv", "m1,2026-06-15,6")

    report = run(feed, monthly)

    after = dict(query(warehouse, scans))
    assert report.deleted == 1
    assert after["prueba__tabla_2026_06"] > before["prueba__tabla_2026_06"]
    assert after["prueba__tabla_2026_01"] == before["prueba__tabla_2026_01"]


def test_a_contract_that_no_longer_divides_its_table_still_finds_the_rows_of_a_file(
    warehouse: Warehouse, tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    feed.write("a.csv", "m1,2026-06-01,5")
    run(feed, make_contract(tmp_path, "csv", COLUMNS, partitionBy="dia"))
    feed.write("a.csv", "m1,2026-06-02,5")

    report = run(feed, make_contract(tmp_path, "csv", COLUMNS))

    assert report.deleted == 1
    assert readings(warehouse) == ["m1,2026-06-02,5"]


# Broken off -----------------------------------------------------------------------------------

MOMENTS = {
    "copy made": (landing_files.SyncedCopy, "__enter__"),
    "rows written": (landing_files, "refuse_if_mostly_bad"),
    "versions replaced": (landing_files, "replace_versions"),
    "copy in the archive": (Archive, "keep"),
    "file recorded": (landing_files.Ledger, "note_name"),
}


def _die_after(
    moment: str, feed: Feed, contract: Contract, warehouse: Warehouse, archive: Path
) -> None:
    """What a process runs that is killed right after a step of a load."""
    place, name = MOMENTS[moment]
    step = getattr(place, name)

    def last_step(*arguments: Any) -> None:
        step(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(place, name, last_step)
    context = LoadContext(connect=warehouse.connect, run_id="prueba", archive=archive)
    load(contract, feed.url, context, [])


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_it_replaces_a_version_and_run_again_gives_what_one_run_gives(
    warehouse: Warehouse,
    tmp_path: Path,
    feed: Feed,
    contract: Contract,
    run: Callable[..., LoadReport],
    moment: str,
) -> None:
    archive = tmp_path / "archivo"
    feed.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,6")
    run(feed, archive=archive)
    feed.write("a.csv", "m1,2026-06-01,5", "m3,2026-06-01,7")
    process = multiprocessing.get_context("fork").Process(
        target=_die_after, args=(moment, feed, contract, warehouse, archive)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert readings(warehouse) == ["m1,2026-06-01,5", "m2,2026-06-01,6"]
    assert removed(warehouse) == []

    report = run(feed, archive=archive)

    assert (report.loaded, report.known, report.deleted) == (1, 1, 1)
    assert readings(warehouse) == ["m1,2026-06-01,5", "m3,2026-06-01,7"]
    assert removed(warehouse) == ["m2,2026-06-01,6"]
    with warehouse.connect() as connection:
        assert verify_archive(connection, archive) == []


def test_what_a_killed_process_left_half_written_is_removed_after_a_day(
    tmp_path: Path, feed: Feed, run: Callable[..., LoadReport]
) -> None:
    archive = tmp_path / "archivo"
    (archive / "prueba.tabla").mkdir(parents=True)
    old, recent = (archive / "prueba.tabla" / f".entrante-{name}" for name in ("vieja", "nueva"))
    for path in (old, recent):
        path.write_text("m")
    os.utime(old, (OLD, OLD))

    run(feed, archive=archive)

    assert (old.exists(), recent.exists()) == (False, True)


# Far away -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with sftp_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client.create_bucket(Bucket="lecturas")
        yield server


def test_files_of_a_store_are_loaded_once_and_replaced_by_their_versions(
    warehouse: Warehouse, tmp_path: Path, s3: S3Server, run: Callable[..., LoadReport]
) -> None:
    def put(name: str, *rows: str) -> None:
        s3.put("lecturas", f"versiones/{name}", "\n".join([HEADER, *rows, ""]).encode())

    url = SourceUrl.parse(s3.url("lecturas", "versiones"))
    archive = tmp_path / "archivo"
    put("a.csv", "m1,2026-06-01,5")
    put("sub/b.csv", "m2,2026-06-01,6")
    assert figures(run(url, archive=archive)) == {"read": 2, "loaded": 2, "files": 2}
    put("a.csv", "m1,2026-06-01,7")
    put("copia.csv", "m2,2026-06-01,6")

    report = run(url, archive=archive)

    assert figures(report) == {
        "read": 1, "loaded": 1, "deleted": 1, "files": 3, "files_known": 2,
    }  # fmt: skip
    assert readings(warehouse) == ["m1,2026-06-01,7", "m2,2026-06-01,6"]
    with warehouse.connect() as connection:
        assert verify_archive(connection, archive) == []


def test_a_known_file_of_a_server_is_not_fetched_again(
    warehouse: Warehouse, feed: Feed, sftp: SftpServer, run: Callable[..., LoadReport]
) -> None:
    size = feed.write("a.csv", *(f"m{n},2026-06-01,5" for n in range(50_000))).stat().st_size
    with proxy_to("127.0.0.1", sftp.port) as proxy:
        url = SourceUrl.parse(sftp.url(feed.folder, port=proxy.port))
        assert run(url).loaded == 50_000
        before = proxy.forwarded("to_client")
        assert before > size

        assert figures(run(url)) == {"files": 1, "files_known": 1}
        assert proxy.forwarded("to_client") - before < size / 10


def test_a_file_whose_transfer_breaks_off_is_loaded_whole_and_once(
    warehouse: Warehouse,
    tmp_path: Path,
    feed: Feed,
    sftp: SftpServer,
    run: Callable[..., LoadReport],
) -> None:
    path = feed.write("a.csv", *(f"m{n},2026-06-01,5" for n in range(50_000)))
    with proxy_to("127.0.0.1", sftp.port) as proxy:
        proxy.fail_after(path.stat().st_size // 2, "reset", once=True)

        report = run(
            SourceUrl.parse(sftp.url(feed.folder, port=proxy.port)), archive=tmp_path / "archivo"
        )

        assert proxy.struck and proxy.connections == 2
    assert figures(report) == {"read": 50_000, "loaded": 50_000, "files": 1}
    with warehouse.connect() as connection:
        assert verify_archive(connection, tmp_path / "archivo") == []


def test_a_server_that_stays_away_is_one_failed_load_without_its_secrets(
    warehouse: Warehouse, s3: S3Server, run: Callable[..., LoadReport]
) -> None:
    # Nothing exists below this bucket, so that no attempt is repeated.
    report = run(SourceUrl.parse(s3.url("no-hay", "lecturas")))

    assert report.state == "fallida"
    [(origin, error)] = query(warehouse, "select origen, error from meta.carga")
    assert origin == "s3://no-hay/lecturas"
    for text in (origin, error, str(report.errors[0])):
        assert "secreto" not in text and "AKIA" not in text


# Warehouses of before -------------------------------------------------------------------------


def test_a_warehouse_with_files_of_before_knows_them_and_replaces_them(
    new_database: Callable[[], str],
    feed: Feed,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import hashlib

    from alembic import command

    upgrade = command.upgrade
    made = Warehouse(new_database(), embedded=True)
    monkeypatch.setattr(command, "upgrade", lambda config, to: upgrade(config, "0001"))
    migrate(made)
    known = feed.write("a.csv", "m1,2026-06-01,5")
    feed.write("b.csv", "m2,2026-06-01,6")
    with made.connect() as connection:
        connection.execute(
            "create table raw.prueba__tabla (medidor text, dia date, litros integer, "
            "_load_id bigint not null, _source_row bigint)"
        )
        connection.execute("insert into raw.prueba__tabla values ('m1', '2026-06-01', 5, 1, 1)")
        connection.execute(
            "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
            "contrato_sha256, inicio, fin, filas_leidas, filas_cargadas) "
            "values ('antes', 'prueba.tabla', 'cargada', 'files', '1', '1', now(), now(), 1, 1)"
        )
        connection.execute(
            "insert into meta.archivo (dataset, sha256, nombre, bytes, filas_leidas, carga_id) "
            "values ('prueba.tabla', %s, 'a.csv', %s, 1, 1)",
            [hashlib.sha256(known.read_bytes()).hexdigest(), known.stat().st_size],
        )
    monkeypatch.undo()
    migrate(made)
    context = LoadContext(connect=made.connect, run_id="prueba")

    first = load(contract, feed.url, context, [])
    feed.write("a.csv", "m1,2026-06-01,7")
    second = load(contract, feed.url, context, [])

    assert figures(first) == {"read": 1, "loaded": 1, "files": 2, "files_known": 1}
    assert figures(second)["deleted"] == 1
    assert readings(made) == ["m1,2026-06-01,7", "m2,2026-06-01,6"]
