"""One load must not stop the others: what a source did wrong becomes a failed load record.

Belongs here: that turn, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from sources.contract import Contract
from sources.errors import PipelineError, SourceDataError
from sources.landing.records import record_outcome
from sources.landing.report import LoadContext, LoadReport
from sources.urls import redact


def guarded(
    contract: Contract, context: LoadContext, origin: str, action: Callable[[], LoadReport]
) -> LoadReport:
    """Run one load; what a source did wrong becomes a failed load record and a report."""
    started = context.clock()
    try:
        return action()
    except PipelineError as error:
        error.dataset = error.dataset or contract.id
        error.owner = error.owner or contract.owner
        failure = error
    except psycopg.Error:
        raise  # the warehouse itself: no other table would fare better
    except Exception as error:  # a reader met what nobody foresaw: the other datasets go on
        failure = SourceDataError(
            f"no se pudo leer {redact(origin)}: {redact(str(error) or type(error).__name__)}.",
            dataset=contract.id,
            owner=contract.owner,
            next_step="revise el origen; la tabla conserva sus últimos datos buenos.",
        )
        failure.__cause__ = error
    report = LoadReport(contract.id, "fallida", errors=[failure])
    record_outcome(contract, context, report, started, origin)
    return report
