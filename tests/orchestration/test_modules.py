"""What every module has to be, whichever of the promised Pythons reads it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from orchestration.settings import PROJECT_ROOT

ROOMS = ("orchestration", "sources", "expectations", "exports", "seeds", "benchmarks", "tests")


def docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def test_docstrings_are_text_that_python_3_13_can_compile() -> None:
    """It writes them as UTF-8, which half a character (an escape) cannot be."""
    modules = [path for room in ROOMS for path in (PROJECT_ROOT / room).rglob("*.py")]

    wrong = [
        str(path)
        for path in modules
        if any(text.encode("utf-8", "replace").decode() != text for text in docstrings(path))
    ]

    assert len(modules) > 400 and wrong == []
