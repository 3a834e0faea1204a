"""What a dataset's rows are asked on the doorstep, as its contract wants it.

Belongs here: choosing the checkers for a load or a replay. Does not belong here: any rule
(`expectations/`). They are imported when asked for: Pandera alone takes two seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sources.contract import Contract

if TYPE_CHECKING:
    from expectations.batches import RowChecker


def checkers_for(contract: Contract) -> list[RowChecker]:
    """New checkers, which count what they see: one set per load.

    Raises ContractError when a rule of the contract cannot be used.
    """
    from expectations.contract_schema import BatchChecker
    from expectations.protocol import ProtocolChecker

    checkers: list[RowChecker] = [BatchChecker(contract)]
    if contract.has_people:
        checkers.append(ProtocolChecker(contract))
    return checkers
