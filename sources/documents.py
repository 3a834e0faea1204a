"""YAML documents as Python values.

Belongs here: only that, in one way for all rooms. Does not belong here: what a document says.
"""

from __future__ import annotations

from typing import Any

import yaml

# Ten times as fast, where PyYAML was built with its library.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """The document in a text, of plain types alone. Raises yaml.YAMLError when it is none."""
    return yaml.load(text, Loader=_LOADER)
