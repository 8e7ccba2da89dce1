"""Which package may import which: the arrows that keep the compiler usable on its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "ditto_compiler": ROOT / "compiler" / "ditto_compiler",
    "ditto": ROOT / "python" / "ditto",
    "ditto_tools": ROOT / "tools" / "ditto_tools",
}

DATA_MODULES = ("errors", "files", "options", "program", "dialect.encoding")
"""Modules of the compiler that a machine without JAX imports."""


def files(package: str, folder: str = "") -> list[Path]:
    found = sorted((SOURCES[package] / folder).rglob("*.py"))
    assert found, f"no sources in {package}/{folder}"
    return found


def imports(path: Path, *, at_import_time: bool = False) -> Iterator[str]:
    """Full names of the modules that a file imports; of `from a import b`, both `a` and `a.b`."""
    tree = ast.parse(path.read_text())
    skipped = set()
    if at_import_time:
        for node in ast.walk(tree):
            lazy = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            if lazy or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
                skipped.update(map(id, ast.walk(node)))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def test_the_compiler_imports_neither_the_runtime_nor_the_engine() -> None:
    for path in files("ditto_compiler"):
        assert not packages(path) & {"ditto", "ditto_tools", "spu"}, path


def test_one_module_of_the_compiler_touches_jax() -> None:
    touching = {path.name for path in files("ditto_compiler") if packages(path) & {"jax", "jaxlib"}}
    assert touching == {"ir.py"}


@pytest.mark.parametrize("module", DATA_MODULES)
def test_data_modules_import_only_each_other(module: str) -> None:
    path = SOURCES["ditto_compiler"] / f"{module.replace('.', '/')}.py"
    ours = {name for name in imports(path, at_import_time=True) if name.startswith("ditto_compiler.")}
    allowed = {f"ditto_compiler.{name}" for name in DATA_MODULES}
    assert all(name in allowed or name.rpartition(".")[0] in allowed for name in ours), ours


def test_passes_do_not_import_passes() -> None:
    for path in files("ditto_compiler", "passes"):
        assert not [name for name in imports(path) if name.startswith("ditto_compiler.passes")], path


@pytest.mark.parametrize("folder", ["dialect", "analyses", "spu"])
def test_what_passes_are_made_of_does_not_import_them(folder: str) -> None:
    above = ("ditto_compiler.registry", "ditto_compiler.pipelines", "ditto_compiler.pass_manager")
    for path in files("ditto_compiler", folder):
        found = [name for name in imports(path) if name.startswith(above)]
        assert not found, path


def test_only_the_runtime_and_the_baseline_touch_the_engine() -> None:
    for path in (*files("ditto"), *files("ditto_tools")):
        if "spu" in packages(path):
            inside = path.relative_to(SOURCES["ditto"])
            assert inside.parts[0] in ("runtime", "bench", "baseline.py"), path


def test_models_are_plain_jax() -> None:
    allowed = {"jax", "numpy", "safetensors", "tokenizers", "ditto", "ditto_compiler"}
    for path in files("ditto", "models"):
        ours = [name for name in imports(path) if name.startswith(("ditto.", "ditto_compiler."))]
        assert all(name.startswith(("ditto.models", "ditto_compiler.errors")) for name in ours), path
        assert packages(path) - set(__import__("sys").stdlib_module_names) <= allowed, path


def test_nothing_imports_the_tools() -> None:
    for path in (*files("ditto_compiler"), *files("ditto")):
        assert "ditto_tools" not in packages(path), path


def test_the_check_sees_imports() -> None:
    assert "ditto_compiler.ir" in set(imports(SOURCES["ditto_compiler"] / "source.py"))
    assert {"jax", "jaxlib"} <= packages(SOURCES["ditto_compiler"] / "ir.py")
