"""Workbooks: which of the formats a file has, and opening it.

Belongs here: telling xlsx, ods, xls and pages of HTML apart by their content (names lie: systems
export HTML or CSV as `.xls`). Does not belong here: the formats themselves (a module each) or
anything that the contract says about a sheet (`sources/readers/spreadsheet.py`).
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from sources.readers.pages import is_page
from sources.readers.workbooks.base import Area, Flaw, Sheet, SheetInfo, UnusableWorkbook, Workbook

__all__ = ["Area", "Flaw", "Sheet", "SheetInfo", "UnusableWorkbook", "Workbook", "open_workbook"]

_ZIP, _OLE = b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_XML_2003 = b"urn:schemas-microsoft-com:office:spreadsheet"
# A first line of text with a sign between its values.
_DELIMITED = re.compile(rb"[^\x00-\x08\n<]*[;,|\t][^\x00-\x08\n]*\r?\n")


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
    if is_page(start):
        from sources.readers.workbooks.html import HtmlWorkbook

        return HtmlWorkbook(path)
    if _XML_2003 in start:
        raise UnusableWorkbook(
            "es una planilla en XML de 2003, que no se admite",
            "ábralo, guárdelo como .xlsx y vuelva a copiarlo a la carpeta.",
        )
    if _DELIMITED.match(start):
        raise UnusableWorkbook(
            "es un archivo de texto (¿csv?) con nombre de planilla",
            "si siempre viene así, el contrato lleva `format: csv`; si no, ábralo, guárdelo como "
            ".xlsx y vuelva a copiarlo a la carpeta.",
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
