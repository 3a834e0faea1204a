"""Loads a job with dlt; runs in dlt's virtual environment.

Belongs here: dlt's fastest configuration for each path, as measured: connectorx for databases,
Arrow batches for files, Parquet as its intermediate format, ADBC into PostgreSQL. Does not belong
here: anything of this project.
"""

import json
import sys
import time
from pathlib import Path

import dlt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from dlt.destinations import postgres
from dlt.sources.sql_database import sql_table

_CSV_BLOCK_BYTES = 16 << 20
_BATCH_ROWS = 250_000
_ARROW = {
    "bigint": pa.int64(), "integer": pa.int32(), "smallint": pa.int16(), "text": pa.string(),
    "date": pa.date32(), "boolean": pa.bool_(), "double precision": pa.float64(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}  # fmt: skip


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    began = time.monotonic()
    pipeline = dlt.pipeline(
        pipeline_name="medicion",
        pipelines_dir=str(Path(job["folder"]) / "dlt"),
        destination=postgres(credentials=job["target_url"]),
        dataset_name="destino",
    )
    info = pipeline.run(resources(job), loader_file_format="parquet")
    info.raise_on_failed_jobs()
    print(json.dumps({"inner_seconds": time.monotonic() - began}))


def resources(job):
    if job["file"]:
        return [dlt.resource(file_batches(job), name=job["tables"][0], write_disposition="append")]
    return [database_table(job, table) for table in job["tables"]]


def database_table(job, table):
    url = job["source_url"]
    kind = "mysql" if url.startswith("mysql") else "postgresql"
    # connectorx takes the address without a driver's name, SQLAlchemy with one.
    driver = "pymysql" if kind == "mysql" else "psycopg2"
    address = url.replace(f"{kind}://", f"{kind}+{driver}://")
    found = sql_table(
        credentials=address,
        table=table,
        schema="public" if kind == "postgresql" else None,
        backend="connectorx",
        backend_kwargs={"conn": url, "return_type": "arrow_stream", "batch_size": _BATCH_ROWS},
        reflection_level="full",
        incremental=dlt.sources.incremental(job["cursor"]) if job["incremental"] else None,
    )
    if job["incremental"]:
        found.apply_hints(
            primary_key=job["key"],
            write_disposition={"disposition": "merge", "strategy": "delete-insert"},
        )
    else:
        # The source's key would make it look for repeated rows, as no other contender does here.
        found.apply_hints(primary_key=(), write_disposition="append")
    return found


def file_batches(job):
    match job["path"]:
        case "csv":
            options = pa.csv.ConvertOptions(
                column_types={name: arrow_type(kind) for name, kind in job["columns"].items()}
            )
            reading = pa.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
            with pa.csv.open_csv(job["file"], reading, convert_options=options) as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch])
        case "parquet":
            with pa.parquet.ParquetFile(job["file"]) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    yield pa.Table.from_batches([batch])
        case "xlsx":
            import pandas as pd

            frame = pd.read_excel(job["file"], engine="calamine", dtype_backend="pyarrow")
            yield pa.Table.from_pandas(frame, preserve_index=False)


def arrow_type(pg_type):
    if pg_type.startswith("numeric"):
        precision, scale = pg_type[len("numeric(") : -1].split(",")
        return pa.decimal128(int(precision), int(scale))
    return _ARROW[pg_type]


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        # dlt ends its messages with advice; what went wrong stands above it.
        lines = [line.strip() for line in str(error).splitlines() if "rror" in line]
        sys.exit(lines[-1] if lines else str(error))
