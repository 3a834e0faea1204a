"""Programs that the contenders run as processes of their own.

Belongs here: one program per contender that needs one; those of the peers run in the peer's own
virtual environment and import nothing of this project. Does not belong here: measuring them.

Each is called with the path of a job (JSON, see `model.Scenario.job`) and ends by writing one JSON
line: `inner_seconds` (without imports) and `versions`.
"""

import sys

# The tests' environment has hypothesis, which Pandera imports where it finds it; an environment
# that only runs the project has not, and is what is measured.
sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type]
