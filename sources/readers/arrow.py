"""Arrow, as typed as it can be.

The published stubs tie every function to the exact type of its columns and know no Python
streams; the readers work on columns whose type is only known at run time. So columns and the two
modules of functions are `Any` to the type checker, in this one place. Nothing else belongs here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow.compute
import pyarrow.csv

Array: TypeAlias = Any
pc: Any = pyarrow.compute
pacsv: Any = pyarrow.csv

__all__ = ["Array", "pacsv", "pc"]
