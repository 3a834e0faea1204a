"""Readers: one per kind of source, all giving Arrow batches under the contract's names.

Belongs here: choosing the reader for a contract. Does not belong here: casting to the contract's
types (`sources/casting.py`) and writing (`sources/landing/`). A reader's module is imported
when a contract needs it, so that a missing driver only stops the systems that use it.
"""

from __future__ import annotations

from sources.contract import DATABASE_TYPES, Contract
from sources.errors import SourceUnavailable
from sources.readers.base import (
    DEFAULT_OPTIONS,
    FeedFile,
    RawBatch,
    Reader,
    ReaderOptions,
    RejectedRow,
    check_settings_hint,
    problem,
)
from sources.readers.files import FilesReader, list_files
from sources.urls import SourceUrl

__all__ = [
    "FeedFile",
    "RawBatch",
    "Reader",
    "ReaderOptions",
    "RejectedRow",
    "list_files",
    "notes_of",
    "open_file",
    "open_reader",
]


def open_reader(
    contract: Contract,
    url: SourceUrl,
    *,
    watermark: str | None = None,
    batch_rows: int = 65_536,
    options: ReaderOptions = DEFAULT_OPTIONS,
) -> Reader:
    """The reader of a whole dataset; nothing is opened before it is entered.

    `watermark` is the highest cursor value already loaded, as ISO text; without it, or without a
    cursor in the contract, everything is read. A contract over files reads all its files.
    Raises SourceUnavailable when the address is of another kind than the contract says.
    """
    _check_scheme(contract, url)
    if contract.kind in DATABASE_TYPES:
        from sources.readers.database import DatabaseReader

        return DatabaseReader(
            contract, url, watermark=watermark, batch_rows=batch_rows, options=options
        )
    if contract.kind == "api":
        from sources.readers.api import ApiReader

        return ApiReader(contract, url, watermark=watermark, batch_rows=batch_rows, options=options)
    return FilesReader(
        contract,
        url,
        open_one=lambda file: open_file(contract, file, batch_rows=batch_rows, options=options),
        options=options,
    )


def open_file(
    contract: Contract,
    file: FeedFile,
    *,
    batch_rows: int = 65_536,
    options: ReaderOptions = DEFAULT_OPTIONS,
) -> Reader:
    """The reader of one file of a feed."""
    match contract.kind:
        case "csv":
            from sources.readers.delimited import DelimitedReader

            return DelimitedReader(contract, file, batch_rows=batch_rows)
        case "jsonl":
            from sources.readers.jsonlines import JsonLinesReader

            return JsonLinesReader(contract, file, batch_rows=batch_rows)
        case "parquet":
            from sources.readers.parquet import ParquetReader

            return ParquetReader(contract, file, batch_rows=batch_rows)
        case "fixed":
            from sources.readers.fixed import FixedReader

            return FixedReader(contract, file, batch_rows=batch_rows)
        case "xlsx":
            from sources.readers.spreadsheet import SpreadsheetReader

            return SpreadsheetReader(contract, file, batch_rows=batch_rows)
        case _:
            raise ValueError(f"{contract.id}: {contract.kind!r} is not a kind of file")


def notes_of(reader: Reader) -> tuple[str, ...]:
    """What a person should know of what was read; asked once its batches were taken.

    Findings that stop nothing: a file that looks like another encoding, hidden rows.
    """
    tell = getattr(reader, "notes", None)
    return tuple(tell()) if tell else ()


def _check_scheme(contract: Contract, url: SourceUrl) -> None:
    # A SQLite file may stand in for any database: the sample municipality does so.
    allowed = {
        "postgresql": ("postgresql", "sqlite"),
        "mysql": ("mysql", "sqlite"),
        "sqlserver": ("mssql", "sqlite"),
        "api": ("http", "https"),
    }.get(contract.kind, ("file", "s3", "sftp"))
    if url.scheme not in allowed:
        raise problem(
            SourceUnavailable,
            contract,
            f"el contrato es de tipo {contract.kind} y la dirección es {url.scheme} ({url.safe}).",
            check_settings_hint(contract),
        )
