"""Reads the sheet out of an xlsx file and splits its XML into tokens; keeps nothing.

Belongs here: the least work any reader of a sheet must do. Does not belong here: cells, types,
strings. Prints the rows it saw, as a JSON line.
"""

import json
import sys
import time
import zipfile
from xml.parsers import expat


def main() -> None:
    began = time.monotonic()
    with zipfile.ZipFile(sys.argv[1]) as book:
        sheet = next(name for name in book.namelist() if name.startswith("xl/worksheets/sheet"))
        data = book.read(sheet)
    expat.ParserCreate().Parse(data, True)
    rows = data.count(b"<row ") - 1
    print(json.dumps({"inner_seconds": time.monotonic() - began, "rows": rows}))


main()
