"""Prints the test files that need nothing but the compiler, for environments that have nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
HELPERS = (TEST / "support", TEST / "conformance")
"""Folders from which tests import by a file's name alone; pyproject.toml says so."""

_ELSEWHERE = re.compile(
    r"\b(?:import|from) (?:ditto|ditto_tools|spu|flax|transformers|sklearn|yaml|nbclient)\b|\bcluster\b"
)
"""Imports of what the compiler does without, also in scripts that a test runs; and the fixture of parties."""

_OTHERS = {"test_readme.py", "test_plugins_page.py", "test_docs.py"}
"""They run what they find elsewhere."""


def compiler_tests() -> list[Path]:
    """Test files that lead out of the compiler neither themselves nor by what they import from tests."""
    found = []
    for path in sorted(TEST.rglob("test_*.py")):
        sources = [path, *_helpers(path, set())]
        if path.name not in _OTHERS and not any(_ELSEWHERE.search(source.read_text()) for source in sources):
            found.append(path)
    return found


def _helpers(path: Path, seen: set[Path]) -> set[Path]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            for folder in HELPERS:
                helper = folder / f"{name.rpartition('.')[2]}.py"
                if helper.is_file() and helper not in seen:
                    seen.add(helper)
                    _helpers(helper, seen)
    return seen


if __name__ == "__main__":
    print(*(path.relative_to(TEST.parent) for path in compiler_tests()))
