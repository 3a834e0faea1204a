"""Feeds tried without a warehouse: each file is judged by itself, as it is loaded."""

from __future__ import annotations

from pathlib import Path

from sources.rehearsal import rehearse
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract


def test_files_that_would_not_be_loaded_do_not_hide_the_others(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path, "csv", [column("dia", "date"), column("monto", "integer")], loadMode="files"
    )
    folder = tmp_path / "entrega"
    folder.mkdir()
    days = "".join(f"2026-01-{day:02d},1\n" for day in range(1, 29)) * 2
    (folder / "a.csv").write_text(f"dia,monto\n{days}")
    (folder / "b.csv").write_text("fecha,monto\n2026-01-01,1\n")
    (folder / "c.csv").write_text(f"dia,monto\n{days.replace(',1', ',mucho')}")
    (folder / "d.csv").write_text("dia,monto\n2026-02-01,1\n2026-02-02,nada\n")

    done = rehearse(contract, SourceUrl.parse(str(folder)), [])

    assert (done.read, done.passed) == (58, 57)
    assert list(done.refused) == ["b.csv", "c.csv"]
    assert "falta la columna dia" in done.refused["b.csv"]
    assert "Qué hacer" in done.refused["b.csv"]
    assert "56 de 56 filas no pasan" in done.refused["c.csv"]
    assert done.unknown == () and done.whole
    assert not done.would_be_refused(contract)

    some = rehearse(contract, SourceUrl.parse(str(folder)), [], most_rows=5)
    assert (some.whole, some.refused) == (False, {})
