"""Loads a job with DuckDB; runs in DuckDB's virtual environment.

Belongs here: one INSERT from an attached source or a file into an attached PostgreSQL. Does not
belong here: anything of this project.
"""

import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import duckdb


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    began = time.monotonic()
    connection = duckdb.connect()
    load_extension(connection, "postgres_scanner")
    connection.execute("set timezone = 'UTC'")
    connection.execute("set preserve_insertion_order = false")
    connection.execute(f"attach '{job['target_url']}' as destino (type postgres)")
    columns = ", ".join(f"{name} {kind}" for name, kind in job["columns"].items())
    table = f"destino.destino.{job['tables'][0]}"
    connection.execute(f"create table {table} ({columns})")
    connection.execute(f"insert into {table} select * from {source(connection, job)}")
    connection.close()
    print(json.dumps({"inner_seconds": time.monotonic() - began}))


def source(connection, job):
    match job["path"]:
        case "csv":
            kinds = ", ".join(f"'{name}': '{kind}'" for name, kind in job["columns"].items())
            return f"read_csv('{job['file']}', header = true, columns = {{{kinds}}})"
        case "parquet":
            return f"read_parquet('{job['file']}')"
        case "mariadb":
            load_extension(connection, "mysql_scanner")
            at = urlsplit(job["source_url"])
            connection.execute(
                f"attach 'host={at.hostname} port={at.port} user={at.username} "
                f"password={at.password} database={at.path[1:]}' as origen (type mysql, read_only)"
            )
            return f"origen.{job['tables'][0]}"
        case _:
            connection.execute(f"attach '{job['source_url']}' as origen (type postgres, read_only)")
            return f"origen.public.{job['tables'][0]}"


def load_extension(connection, name):
    """From the package that carries it: nothing is fetched."""
    packages = Path(duckdb.__file__).parents[1]
    file = next(packages.glob(f"duckdb_extension_{name}/extensions/*/{name}.duckdb_extension"))
    connection.execute(f"load '{file}'")


if __name__ == "__main__":
    main()
