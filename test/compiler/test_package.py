"""The compiler as a package of its own: what is in it, and what it asks for."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import ditto_compiler
from ditto_compiler.files import parse_toml

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "compiler" / "ditto_compiler"
PROJECT = parse_toml((ROOT / "compiler" / "pyproject.toml").read_text())["project"]


def test_the_package_has_every_file_of_the_sources() -> None:
    """Of the wheel, where that is what is imported: see `make newest`."""
    package = Path(str(ditto_compiler.__file__)).parent
    files = [path.relative_to(SOURCES) for path in SOURCES.rglob("*") if path.is_file()]
    wanted = {file for file in files if file.suffix != ".pyc"}
    assert {file.suffix for file in wanted} >= {".py", ".typed", ".toml", ".json", ".css"}
    assert not [file for file in wanted if not (package / file).is_file()]


def test_it_asks_for_what_it_imports_and_nothing_else() -> None:
    imported = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    # JAX brings jaxlib; typing_extensions is for type checkers, which have it.
    ours = {"ditto_compiler", "jaxlib", "typing_extensions", "tomllib"}
    declared = {re.split(r"[^a-z_]", one)[0] for one in PROJECT["dependencies"]}
    assert imported - ours - set(sys.stdlib_module_names) == declared - ({"tomli"} - imported)


def test_both_packages_have_one_version() -> None:
    root = parse_toml((ROOT / "pyproject.toml").read_text())["project"]
    assert PROJECT["version"] == root["version"] == ditto_compiler.__version__
    # The root has the compiler inside of it, with all that it asks for.
    names = {re.split(r"[^a-z_]", one)[0] for one in root["dependencies"]}
    assert names >= {re.split(r"[^a-z_]", one)[0] for one in PROJECT["dependencies"]} - {"tomli"}
