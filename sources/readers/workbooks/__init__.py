"""Workbooks: which of the three formats a file has, and opening it.

Belongs here: telling xlsx, ods and xls apart by their content (names lie: systems export HTML or
CSV as `.xls`). Does not belong here: the formats themselves (a module each) or anything that the
contract says about a sheet (`sources/readers/spreadsheet.py`).
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from sources.readers.workbooks.base import Area, Flaw, Sheet, SheetInfo, UnusableWorkbook, Workbook

__all__ = ["Area", "Flaw", "Sheet", "SheetInfo", "UnusableWorkbook", "Workbook", "open_workbook"]

_ZIP, _OLE = b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def open_workbook(path: Path) -> Workbook:
    """The workbook in a file, whatever the file's name says.

    Raises UnusableWorkbook, in words for the person who keeps the file: empty, no workbook,
    password, damaged, or too large once unpacked. OSError when the file cannot be read at all.
    """
    with path.open("rb") as stream:
        start = stream.read(2048)
    if not start:
        raise UnusableWorkbook("está vacío (0 bytes)", "vuelva a copiarlo a la carpeta.")
    if start.startswith(_OLE):
        if _ENCRYPTED in path.read_bytes():
            raise UnusableWorkbook.protected()
        from sources.readers.workbooks.xls import XlsWorkbook

        return XlsWorkbook(path)
    if start.startswith(_ZIP):
        return _zipped(path)
    if b"<html" in start.lower() or b"<table" in start.lower():
        raise UnusableWorkbook(
            "es una página HTML con nombre de planilla",
            "ábralo, guárdelo como .xlsx y vuelva a copiarlo a la carpeta.",
        )
    raise UnusableWorkbook.damaged("no tiene el formato de una planilla")


def _zipped(path: Path) -> Workbook:
    try:
        with zipfile.ZipFile(path) as package:
            names = {name.lower() for name in package.namelist()}
    except (zipfile.BadZipFile, ValueError) as error:
        raise UnusableWorkbook.damaged(error) from error
    if "xl/workbook.xml" in names:
        from sources.readers.workbooks.xlsx import XlsxWorkbook

        return XlsxWorkbook(path)
    if "content.xml" in names:
        from sources.readers.workbooks.ods import OdsWorkbook

        return OdsWorkbook(path)
    if "xl/workbook.bin" in names:
        raise UnusableWorkbook(
            "es una planilla binaria (.xlsb), que no se admite",
            "ábralo, guárdelo como .xlsx y vuelva a copiarlo a la carpeta.",
        )
    raise UnusableWorkbook.damaged("es un archivo comprimido sin una planilla adentro")
