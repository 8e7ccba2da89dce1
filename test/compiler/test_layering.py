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

DATA_MODULES = (
    "dtypes",
    "encoding",
    "errors",
    "executor.instruction",
    "files",
    "network",
    "oneshot.terms",
    "options",
    "owners",
    "processes",
    "program",
    "program_file",
    "showing",
    "remarks",
    "program_upgrades",
)
"""Modules of the compiler that a machine without JAX imports."""


LAYERS: dict[str, tuple[str, ...]] = {
    "ditto_compiler": (
        "dtypes errors intervals owners processes program_upgrades showing timing",
        "encoding extensions files oneshot options remarks",
        "network reproducers",
        "protocols",
        "executor",
        "program_file",
        "ir program",
        "diagnostics dialect op_attributes",
        "calibration pass_base recurrences scopes source structure verify_diagnostics xla",
        "building cost custom_calls matcher private_functions spu visibility_words",
        "beside check_lines folds logic quartic_exp",
        "extract ops recognizers report",
        "indices supported",
        "analyses forms verifier written",
        "policy reading rings",
        "planning",
        "passes",
        "registry",
        "pass_manager",
        "pipelines",
        "driver plugins",
        "opt update_checks",
    ),
    "ditto_compiler.oneshot": ("series terms", "cache series_search", "fit"),
    "ditto_compiler.planning": ("functions keys linear objective", "problem", "equations modules"),
    "ditto_compiler.rings": ("numbers", "deciding writing"),
    "ditto_compiler.written": ("base", "convolutions functions linear_algebra pooling", "lapack"),
    "ditto_compiler.cost": ("measured", "batches instructions ops", "model"),
    "ditto_compiler.executor": ("instruction", "schedule"),
    "ditto_compiler.ops": (
        "base",
        "emitter scales",
        "bitwise control conversions elementwise integers movement oneshot sorting sources",
        "indexing products reductions",
        "functions",
    ),
    "ditto": (
        "compiled_program models progress sampling tapping tree",
        "frontend one_shot runtime",
        "baseline calibrating compile_traced simulator",
        "fake_quantizing planning",
        "api distillation",
        "demo generation",
        "bench text_generation",
    ),
    "ditto.distillation": (
        "examples exporting",
        "checkpoints losses stages weights",
        "comparing starting",
        "training",
        "hugging_face",
    ),
    "ditto.runtime": ("transport", "protocols", "party", "caller"),
    "ditto.planning": ("gains policies", "result", "plan_page sampled", "searching other_forms", "planner"),
    "ditto.simulator": ("interpreter overflow ring", "choices", "engine_functions exact fast", "ops"),
}
"""What stands in each package, from the ground up: a module or folder imports only what is in lines above."""


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


def test_what_of_the_compiler_touches_jax() -> None:
    """One module its MLIR, one its XLA, and the ops that are written in it."""
    touching = {path for path in files("ditto_compiler") if packages(path) & {"jax", "jaxlib"}}
    assert {path.name for path in touching if path.parent.name != "written"} == {"ir.py", "xla.py"}


@pytest.mark.parametrize("module", DATA_MODULES)
def test_data_modules_import_only_each_other(module: str) -> None:
    path = SOURCES["ditto_compiler"] / f"{module.replace('.', '/')}.py"
    ours = {name for name in imports(path, at_import_time=True) if name.startswith("ditto_compiler.")}
    allowed = {f"ditto_compiler.{name}" for name in DATA_MODULES}
    assert all(name in allowed or name.rpartition(".")[0] in allowed for name in ours), ours


@pytest.mark.parametrize("package", LAYERS)
def test_modules_and_folders_import_only_what_is_below_them(package: str) -> None:
    root = SOURCES[package.partition(".")[0]].joinpath(*package.split(".")[1:])
    level = {unit: index for index, line in enumerate(LAYERS[package]) for unit in line.split()}
    found = {path.stem for path in root.glob("*.py")} | {path.parent.name for path in root.glob("*/*.py")}
    unknown = found - set(level) - {"__init__"}
    assert not unknown, f"{package}: say in LAYERS where {sorted(unknown)} stand"
    for path in sorted(root.rglob("*.py")):
        unit = path.relative_to(root).parts[0].removesuffix(".py")
        if unit == "__init__":
            continue
        for name in imports(path):
            below = name.removeprefix(f"{package}.").partition(".")[0]
            if name.startswith(f"{package}.") and below in level and below != unit:
                assert level[below] < level[unit], f"{path.relative_to(ROOT)} imports {name}"


def test_no_two_files_of_one_name_for_two_things() -> None:
    """Families of ops, and functions, have one file in each of several places; nothing else has."""
    mirrored = {path.name for path in files("ditto_compiler", "ops")}
    mirrored |= {path.name for path in files("ditto_compiler", "recognizers")}
    names = [path.name for package in SOURCES for path in files(package)]
    twice = {name for name in names if names.count(name) > 1} - mirrored
    assert not twice


def test_passes_do_not_import_passes() -> None:
    for path in files("ditto_compiler", "passes"):
        assert not [name for name in imports(path) if name.startswith("ditto_compiler.passes")], path


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
    assert {"jax", "jaxlib"} <= packages(SOURCES["ditto_compiler"] / "xla.py")
