"""Who takes part.

Belongs here: the list of contenders. Does not belong here: any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.loading.contenders.base import Contender
from benchmarks.loading.contenders.dlt import Dlt
from benchmarks.loading.contenders.duckdb import DuckDb
from benchmarks.loading.contenders.ingestr import Ingestr
from benchmarks.loading.contenders.limit import Limit
from benchmarks.loading.contenders.lujan import Lujan
from benchmarks.loading.contenders.pandas import Pandas
from benchmarks.loading.contenders.sling import Sling
from benchmarks.loading.servers import Postgres

LIMIT = Limit.name


def contenders(postgres: Postgres, peers: Path) -> list[Contender]:
    """Everyone, the limit first. `peers`: folder of the peers' virtual environments."""
    return [
        Limit(postgres),
        Lujan(postgres),
        Lujan(postgres, "clave"),
        Lujan(postgres, "particiones"),
        DuckDb(peers),
        Ingestr(peers),
        Dlt(peers),
        Sling(peers),
        Pandas(peers),
    ]


def choose(everyone: Sequence[Contender], only: Sequence[str]) -> list[Contender]:
    """The limit and those whose name, or its part before `_`, is in `only`; all when empty."""
    return [
        one
        for one in everyone
        if not only or one.name == LIMIT or one.name in only or one.name.split("_")[0] in only
    ]


def must_succeed(name: str) -> bool:
    """Ours and the limit: without them the run has failed; a peer's failure is a result."""
    return name == LIMIT or name.split("_", maxsplit=1)[0] == "lujan"
