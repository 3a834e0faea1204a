"""Loads a job with pandas; runs in pandas' virtual environment.

Belongs here: `read_*` in pieces and `to_sql` with several rows a statement, as its documentation
shows. Does not belong here: anything of this project, or a COPY written by hand around pandas.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

_PIECE_ROWS = 50_000
# PostgreSQL takes at most 65,535 parameters a statement; psycopg2 puts values into the text.
_STATEMENT_ROWS = 1_000


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    began = time.monotonic()
    target = sa.create_engine(job["target_url"].replace("postgresql://", "postgresql+psycopg2://"))
    table = job["tables"][0]
    with target.begin() as connection:
        for piece in pieces(job, table):
            piece.to_sql(
                table, connection, schema="destino", if_exists="append", index=False,
                method="multi", chunksize=_STATEMENT_ROWS,
            )  # fmt: skip
    print(json.dumps({"inner_seconds": time.monotonic() - began}))


def pieces(job, table):
    times = [name for name, kind in job["columns"].items() if kind in ("date", "timestamptz")]
    match job["path"]:
        case "csv":
            yield from pd.read_csv(job["file"], chunksize=_PIECE_ROWS, parse_dates=times)
        case "parquet":
            yield pd.read_parquet(job["file"])
        case "xlsx":
            yield pd.read_excel(job["file"], engine="calamine")
        case _:
            url = job["source_url"].replace("mysql://", "mysql+pymysql://")
            url = url.replace("postgresql://", "postgresql+psycopg2://")
            engine = sa.create_engine(url)
            with engine.connect().execution_options(stream_results=True) as connection:
                yield from pd.read_sql_table(table, connection, chunksize=_PIECE_ROWS)


if __name__ == "__main__":
    main()
