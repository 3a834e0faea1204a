"""Which files of a folder belong to a contract, near and far, and reading them as one dataset."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from sources.contract import Contract
from sources.errors import ContractError, LoadRefused, SourceUnavailable
from sources.readers import FeedFile, Reader, ReaderOptions, list_files, open_file, open_reader
from sources.readers.files import FileChanging, FilesReader, LocalCopy, cannot_write, open_folder
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract, read_all, rows_of
from tests.support.proxy import Proxy, proxy_to
from tests.support.s3 import S3Server, s3_server
from tests.support.sftp import SftpServer, password_server, sftp_server

# Nearly 6 MB: a connection can break in the middle of it.
LONG = b"a\n" + b"".join(b"%d\n" % n for n in range(1_000_000, 1_800_000))


def feed(folder: Path, **files: str) -> SourceUrl:
    (folder / "entrada").mkdir()
    for name, content in files.items():
        path = folder / "entrada" / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return SourceUrl.parse(str(folder / "entrada"))


def test_files_are_listed_by_name_with_size_and_date(tmp_path: Path) -> None:
    url = feed(tmp_path, b_csv="a\n2\n", a_csv="a\n1\n", otro="x", sub__c_csv="a\n3\n")
    contract = make_contract(tmp_path, "csv", [column("a")], pattern="*.csv")

    files = list_files(contract, url)

    assert [file.name for file in files] == ["a.csv", "b.csv"]
    assert files[0].bytes == 4
    written = (tmp_path / "entrada" / "a.csv").stat().st_mtime
    assert files[0].mtime == pytest.approx(written, abs=1e-6)


def test_a_pattern_may_reach_into_folders(tmp_path: Path) -> None:
    url = feed(tmp_path, a_csv="a\n", sub__c_csv="a\n")
    contract = make_contract(tmp_path, "csv", [column("a")], pattern="**/*.csv")

    assert [file.name for file in list_files(contract, url)] == ["a.csv", "sub/c.csv"]


@pytest.mark.parametrize(
    "name",
    [
        ".b.csv",
        "~$a.csv",
        "a.csv.part",
        "a.csv.filepart",
        "a.csv.tmp",
        "a.csv.CRDOWNLOAD",
        "Thumbs.db",
        "desktop.ini",
    ],
)
def test_hidden_files_and_unfinished_ones_are_left_alone(tmp_path: Path, name: str) -> None:
    url = feed(tmp_path, lista_csv="a\n")
    (tmp_path / "entrada" / name).write_text("a\n")
    contract = make_contract(tmp_path, "csv", [column("a")], pattern="*")

    assert [file.name for file in list_files(contract, url)] == ["lista.csv"]


def test_files_that_the_contract_excludes_are_left_alone(tmp_path: Path) -> None:
    url = feed(tmp_path, a_csv="a\n", b_csv="a\n", sub__b_csv="a\n", sub__c_csv="a\n")

    def names(*exclude: str) -> list[str]:
        contract = make_contract(
            tmp_path, "csv", [column("a")], pattern="**/*.csv", exclude=list(exclude)
        )
        return [file.name for file in list_files(contract, url)]

    assert names("b.csv") == ["a.csv", "sub/c.csv"]
    assert names("sub/*", "a*") == ["b.csv"]
    with pytest.raises(ContractError, match="exclude"):
        make_contract(tmp_path, "csv", [column("a")], exclude="b.csv")


def test_a_file_that_may_still_be_written_waits(tmp_path: Path) -> None:
    url = feed(tmp_path, vieja_csv="a\n", nueva_csv="a\n")
    os.utime(tmp_path / "entrada" / "vieja.csv", (1_000, 1_000))
    os.utime(tmp_path / "entrada" / "nueva.csv", (1_050, 1_050))
    contract = make_contract(tmp_path, "csv", [column("a")], settleSeconds=60)
    at_1100 = ReaderOptions(now=lambda: 1_100.0)

    assert [file.name for file in list_files(contract, url, options=at_1100)] == ["vieja.csv"]
    at_once = ReaderOptions(now=lambda: 1_100.0, settle_seconds=0)
    assert len(list_files(contract, url, options=at_once)) == 2


def test_a_missing_folder_says_where_and_what_to_do(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", [column("a")])

    with pytest.raises(SourceUnavailable, match="no se puede leer la carpeta") as held:
        list_files(contract, SourceUrl.parse(str(tmp_path / "falta")))
    assert "SOURCE_PRUEBA_URL" in str(held.value)


def test_an_address_of_something_else_is_refused(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", [column("a")])

    with pytest.raises(SourceUnavailable, match="el contrato es de archivos y la dirección es my"):
        list_files(contract, SourceUrl.parse("mysql://u:muysecreta@h/d"))


def test_a_dataset_in_several_files_is_read_as_one(tmp_path: Path) -> None:
    url = feed(tmp_path, b_csv="a\n2\n3\n", a_csv="a;b\n1;x\n")
    contract = make_contract(tmp_path, "csv", [column("a")], delimiter=";", loadMode="full")

    with open_reader(contract, url) as reader:
        assert reader.columns() == ("a", "b")
        batches = list(reader.batches())

    assert [(batch.file, row["a"]) for batch in batches for row in rows_of([batch])] == [
        ("a.csv", "1"),
        ("b.csv", "2"),
        ("b.csv", "3"),
    ]
    assert [batch.rows.to_pylist() for batch in batches] == [[1], [1, 2]]


def test_each_file_of_a_dataset_is_opened_once(tmp_path: Path) -> None:
    url = feed(tmp_path, a_csv="a\n1\n", b_csv="a\n2\n")
    contract = make_contract(tmp_path, "csv", [column("a")], loadMode="full")
    opened: list[str] = []

    def open_one(file: FeedFile) -> Reader:
        opened.append(file.name)
        return open_file(contract, file)

    with FilesReader(contract, url, open_one=open_one) as reader:
        assert reader.columns() == ("a",)
        assert [row["a"] for row in rows_of(reader.batches())] == ["1", "2"]

    assert opened == ["a.csv", "b.csv"]


def test_a_dataset_whose_file_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    url = feed(tmp_path, a_csv="a\n1\n")
    contract = make_contract(tmp_path, "csv", [column("a")], loadMode="full")

    with open_reader(contract, url) as reader:
        batches = reader.batches()
        next(batches)
        (tmp_path / "entrada" / "a.csv").write_text("a\n1\n2\n")
        with pytest.raises(FileChanging, match=r"a\.csv cambió mientras se leía"):
            list(batches)


def test_a_dataset_without_its_file_is_unavailable(tmp_path: Path) -> None:
    url = feed(tmp_path, otro="x")
    contract = make_contract(
        tmp_path, "xlsx", [column("a")], pattern="inventario.xlsx", loadMode="full"
    )

    with pytest.raises(SourceUnavailable, match=r"no hay ningún archivo inventario\.xlsx"):
        read_all(open_reader(contract, url))


def test_an_address_may_name_a_single_file(tmp_path: Path) -> None:
    feed(tmp_path, a_csv="a\n1\n")
    contract = make_contract(tmp_path, "csv", [column("a")], pattern="otra.csv")

    files = list_files(contract, SourceUrl.parse(str(tmp_path / "entrada" / "a.csv")))

    assert [file.name for file in files] == ["a.csv"]


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with sftp_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="module")
def s3_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_for_all: S3Server) -> S3Server:
    """The store, with one empty bucket `lecturas`."""
    s3_for_all.reset()
    s3_for_all.client.create_bucket(Bucket="lecturas")
    return s3_for_all


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return make_contract(tmp_path, "csv", [column("a")], pattern="**/*.csv")


@contextmanager
def behind_proxy(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> Iterator[tuple[str, Proxy]]:
    """A folder with `a.csv` (LONG) on a server of this kind, and the proxy it is reached by."""
    if kind == "s3":
        store: S3Server = request.getfixturevalue("s3")
        store.put("lecturas", "a.csv", LONG)
        with proxy_to("127.0.0.1", store.port) as proxy:
            yield store.url("lecturas", port=proxy.port), proxy
        return
    server: SftpServer = request.getfixturevalue("sftp")
    feed(tmp_path)
    (tmp_path / "entrada" / "a.csv").write_bytes(LONG)
    with proxy_to("127.0.0.1", server.port) as proxy:
        yield server.url(tmp_path / "entrada", port=proxy.port), proxy


def fetch(contract: Contract, url: str, folder: Path, options: ReaderOptions) -> dict[str, str]:
    """Name and hash of each file, fetched into `folder`, which is empty again afterwards."""
    found = {}
    with open_folder(contract, SourceUrl.parse(url), options=options) as place:
        for entry in place.entries():
            with LocalCopy(contract, entry.name, folder) as copy:
                place.copy(entry, copy)
                file = copy.finished()
                assert hashlib.sha256(file.path.read_bytes()).hexdigest() == file.sha256
                found[entry.name] = file.sha256
    assert list(folder.iterdir()) == []
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_files_of_an_sftp_server_are_listed_and_fetched(
    tmp_path: Path, sftp: SftpServer, contract: Contract
) -> None:
    feed(tmp_path, a_csv="a\n1\n", **{"con espacio__ñandú_csv": "a\n2\n", "b_csv.part": "a\n"})
    (tmp_path / "entrada" / "enlace.csv").symlink_to(tmp_path / "entrada" / "a.csv")

    found = fetch(contract, sftp.url(tmp_path / "entrada"), tmp_path / "aqui", ReaderOptions())

    assert found == {
        "a.csv": sha256(b"a\n1\n"),
        "con espacio/ñandú.csv": sha256(b"a\n2\n"),
        "enlace.csv": sha256(b"a\n1\n"),
    }


def test_an_sftp_server_may_ask_for_a_password(tmp_path: Path, contract: Contract) -> None:
    feed(tmp_path, a_csv="a\n1\n")
    with password_server(tmp_path / "servidor", "lector", "clave con @ y /") as server:
        url = server.url(tmp_path / "entrada")
        assert list(fetch(contract, url, tmp_path / "aqui", ReaderOptions())) == ["a.csv"]

        wrong = url.replace("clave", "otraclave")
        with pytest.raises(SourceUnavailable, match="rechazó el usuario o la contraseña") as held:
            list_files(contract, SourceUrl.parse(wrong))
    assert "otraclave" not in str(held.value)


def test_an_sftp_server_that_is_not_the_known_one_gets_no_password(
    tmp_path: Path, sftp: SftpServer, contract: Contract
) -> None:
    url = sftp.url(tmp_path, host_key="SHA256:" + "a" * 43)

    with pytest.raises(SourceUnavailable, match="la clave del servidor no es la conocida"):
        list_files(contract, SourceUrl.parse(url))


def test_an_sftp_server_may_be_known_by_a_file_of_known_hosts(
    tmp_path: Path, sftp: SftpServer, contract: Contract
) -> None:
    feed(tmp_path, a_csv="a\n1\n")
    unknown, known = tmp_path / "unknown", tmp_path / "known"
    unknown.write_text("")
    host_key = (sftp_folder(sftp) / "host.pub").read_text()
    known.write_text(f"[127.0.0.1]:{sftp.port} {host_key}")
    address = sftp.url(tmp_path / "entrada").replace("host_key=", "x=")

    listed = list_files(contract, SourceUrl.parse(f"{address}&known_hosts={known}"))

    assert [entry.name for entry in listed] == ["a.csv"]
    with pytest.raises(SourceUnavailable, match="la clave del servidor no es la conocida"):
        list_files(contract, SourceUrl.parse(f"{address}&known_hosts={unknown}"))


def sftp_folder(server: SftpServer) -> Path:
    """Where the server keeps its keys, which is where its users' are."""
    return Path(SourceUrl.parse(server.url(Path("/x"))).query["key_file"]).parent


def test_files_of_a_store_are_listed_and_fetched(
    tmp_path: Path, s3: S3Server, contract: Contract
) -> None:
    s3.put("lecturas", "junio/", b"")
    s3.put("lecturas", "junio/a.csv", b"a\n1\n")
    s3.put("lecturas", "junio/sub/ñandú b.csv", LONG)
    s3.put("lecturas", "julio/c.csv", b"a\n3\n")

    found = fetch(contract, s3.url("lecturas", "junio"), tmp_path / "aqui", ReaderOptions())

    assert found == {"a.csv": sha256(b"a\n1\n"), "sub/ñandú b.csv": sha256(LONG)}


def test_the_pattern_says_how_deep_a_store_is_looked_into(tmp_path: Path, s3: S3Server) -> None:
    for key in ("a.csv", "b.txt", "sub/c.csv", "sub/mas/d.csv"):
        s3.put("lecturas", key, b"a\n")

    def names(pattern: str) -> list[str]:
        contract = make_contract(tmp_path, "csv", [column("a")], pattern=pattern)
        return [e.name for e in list_files(contract, SourceUrl.parse(s3.url("lecturas")))]

    assert names("*.csv") == ["a.csv"]
    assert names("*/*.csv") == ["sub/c.csv"]
    assert names("**/*.csv") == ["a.csv", "sub/c.csv", "sub/mas/d.csv"]
    contract = make_contract(
        tmp_path, "csv", [column("a")], pattern="**/*.csv", exclude=["sub/mas/*", "a.csv"]
    )
    listed = list_files(contract, SourceUrl.parse(s3.url("lecturas")))
    assert [entry.name for entry in listed] == ["sub/c.csv"]


def test_a_store_that_refuses_the_key_is_one_message_without_the_key(
    s3: S3Server, contract: Contract
) -> None:
    s3.demand_keys()

    with pytest.raises(SourceUnavailable, match="rechazó la clave o no da permiso") as held:
        list_files(contract, SourceUrl.parse(s3.url("lecturas")))
    for text in (str(held.value), repr(held.value)):
        assert "secreto" not in text
    assert "SOURCE_PRUEBA_URL" in str(held.value)


@pytest.mark.parametrize("prefix", ["lecturas/no-hay", "no-hay/x"])
def test_a_prefix_with_nothing_below_it_is_unavailable(
    s3: S3Server, contract: Contract, prefix: str
) -> None:
    bucket, _, rest = prefix.partition("/")

    with pytest.raises(SourceUnavailable, match="no existe, o no hay nada con ese prefijo"):
        list_files(contract, SourceUrl.parse(s3.url(bucket, rest)))


@pytest.mark.parametrize("action", ["reset", "close"])
@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_a_transfer_that_breaks_off_is_begun_again(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    contract: Contract,
    kind: str,
    action: Literal["reset", "close"],
) -> None:
    pauses: list[float] = []
    options = ReaderOptions(sleep=pauses.append, connect_timeout_s=5)
    with behind_proxy(request, tmp_path, kind) as (url, proxy):
        # The listing takes some thousand bytes; the file breaks off in its second half.
        proxy.fail_after(len(LONG) * 2 // 3, action, once=True)
        found = fetch(contract, url, tmp_path / "aqui", options)
        assert proxy.struck

    assert found == {"a.csv": sha256(LONG)}
    assert len(pauses) == 1 and 0 <= pauses[0] <= 1


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_a_server_that_stays_away_is_one_message_after_a_few_attempts(
    request: pytest.FixtureRequest, tmp_path: Path, contract: Contract, kind: str
) -> None:
    pauses: list[float] = []
    with behind_proxy(request, tmp_path, kind) as (url, proxy):

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            proxy.refuse()

        options = ReaderOptions(sleep=pause, max_attempts=3, max_wait_s=7, connect_timeout_s=5)
        with open_folder(contract, SourceUrl.parse(url), options=options) as place:
            [entry] = place.entries()
            proxy.fail_after(len(LONG) // 3, "reset", once=True)
            with (
                LocalCopy(contract, entry.name, tmp_path / "aqui") as copy,
                pytest.raises(SourceUnavailable, match=r"a\.csv .* falló 3 veces") as held,
            ):
                place.copy(entry, copy)

    assert len(pauses) == 2 and max(pauses) <= 7
    assert list((tmp_path / "aqui").iterdir()) == []
    assert "secreto" not in str(held.value)


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_a_file_that_is_no_longer_what_was_listed_is_left_for_later(
    request: pytest.FixtureRequest, tmp_path: Path, contract: Contract, kind: str
) -> None:
    with (
        behind_proxy(request, tmp_path, kind) as (url, _),
        open_folder(contract, SourceUrl.parse(url)) as place,
    ):
        [entry] = place.entries()
        if kind == "s3":
            request.getfixturevalue("s3").put("lecturas", "a.csv", b"a\n1\n")
        else:
            (tmp_path / "entrada" / "a.csv").write_bytes(b"a\n1\n")
        with (
            LocalCopy(contract, entry.name, tmp_path / "aqui") as copy,
            pytest.raises(FileChanging, match=r"a\.csv cambió mientras se leía"),
        ):
            place.copy(entry, copy)


def test_a_dataset_far_away_is_fetched_once_and_leaves_nothing_here(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("lecturas", "a.csv", b"a\n1\n")
    s3.put("lecturas", "b.csv", b"a\n2\n")
    contract = make_contract(tmp_path, "csv", [column("a")], loadMode="full")
    (tmp_path / "temporal").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporal"))

    with open_reader(contract, SourceUrl.parse(s3.url("lecturas"))) as reader:
        assert reader.columns() == ("a",)
        assert [row["a"] for row in rows_of(reader.batches())] == ["1", "2"]
        assert len(list((tmp_path / "temporal").iterdir())) == 2

    assert list((tmp_path / "temporal").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no hay espacio"), (errno.EACCES, "no hay permiso")],
)
def test_a_copy_that_cannot_be_written_says_why(
    contract: Contract, number: int, words: str
) -> None:
    error = cannot_write(contract, "a.csv", Path("/copias"), OSError(number, "x"))

    assert f"no se pudo guardar la copia de a.csv en /copias: {words}" in str(error)


def test_a_copy_where_no_folder_can_be_is_refused(tmp_path: Path, contract: Contract) -> None:
    (tmp_path / "ocupado").write_text("")

    with pytest.raises(LoadRefused, match=r"no se pudo guardar la copia de a\.csv"):
        LocalCopy(contract, "a.csv", tmp_path / "ocupado" / "dentro")
