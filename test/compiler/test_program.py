"""Program files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from test.support.processes import child_environment

from ditto_compiler.diagnostics import CompileError
from ditto_compiler.encoding import Int
from ditto_compiler.extract import extract_program
from ditto_compiler.files import write_whole
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import lowering_pipeline, precision_pipeline
from ditto_compiler.program import (
    CallerTensor,
    CastBatch,
    CompareBatch,
    Program,
    operands_of,
    results_of,
)
from ditto_compiler.program_file import ProgramFileError
from ditto_compiler.source import parse_source

SOURCE = """
module @jit_model {
  func.func public @main(
      %x: tensor<2x4xf32> {ditto.owner = "clinic"}, %w: tensor<4x3xf32>,
      %m: tensor<3xf32> {ditto.owner = "model.example:8", ditto.visibility = "public"}, %u: tensor<f32>
  ) -> (tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) {
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
      : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
    %1 = stablehlo.broadcast_in_dim %m, dims = [1] : (tensor<3xf32>) -> tensor<2x3xf32>
    %2 = stablehlo.add %0, %1 : tensor<2x3xf32>
    %3 = stablehlo.rsqrt %2 : tensor<2x3xf32>
    %4 = stablehlo.tanh %0 : tensor<2x3xf32>
    %5 = stablehlo.maximum %0, %2 : tensor<2x3xf32>
    return %3, %4, %5 : tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>
  }
}
"""


@pytest.fixture(scope="module")
def program() -> Program:
    module = parse_source(SOURCE, "model.mlir")
    PassManager(precision_pipeline("ditto-engine")).run(module)
    annotated = str(module)
    PassManager(lowering_pipeline("ditto-engine")).run(module)
    return extract_program(module, policy="ditto", annotated=annotated)


def test_extracted_program(program: Program) -> None:
    assert (program.name, program.policy) == ("model", "ditto")
    assert {region.ring for region in program.regions.values()} == {32, 64}
    assert program.caller_inputs == (
        CallerTensor((2, 4), "f32", "clinic"),
        CallerTensor((4, 3), "f32", ""),
        CallerTensor((3,), "f32", "model.example:8"),
        CallerTensor((), "f32", ""),
    )
    # The last argument is not used, so it is not asked for.
    assert {use.index for use in program.inputs} == {0, 1, 2}
    secrets = {use.index: program.values[use.value].secret for use in program.inputs}
    assert secrets == {0: True, 1: True, 2: False}
    assert [program.values[number].shape for number in program.outputs] == [(2, 3)] * 3


def test_every_step_uses_what_earlier_steps_made(program: Program) -> None:
    made = {use.value for use in program.inputs}
    for step in program.steps:
        assert set(operands_of(step)) <= made
        made.update(results_of(step))
    assert set(program.outputs) <= made


def test_comparisons_are_steps_that_give_booleans(program: Program) -> None:
    (step,) = (step for step in program.steps if isinstance(step, CompareBatch))
    ((source, thresholds, results),) = map(dataclasses.astuple, step.comparisons)
    assert thresholds == (0,)
    assert program.values[source].dtype == "f32"
    (result,) = (program.values[number] for number in results)
    assert (result.dtype, result.shape, result.secret) == ("i1", (2, 3), True)
    assert result.encoding == Int(program.values[source].encoding.ring)


def test_casts_of_a_batch_share_one_message_and_cast_secrets_only_at_a_cost(program: Program) -> None:
    batches = [step for step in program.steps if isinstance(step, CastBatch)]
    assert batches
    assert all(value.secret for value, _ in program.casts())


def test_save_and_load_round_trip(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "model.ditto"
    arguments = ["tuple", ["*", ["dict", [["a", "*"], [("b", 1), "*"]]], ["custom", [None, "*"]]]]
    nested = program.replace(input_tree=arguments, output_tree=["list", ["*", "*", "*"]])
    nested.save(path)
    assert Program.load(path) == nested
    assert Program.load(str(path)) == nested
    assert os.listdir(tmp_path) == ["model.ditto"]


def test_equal_programs_are_equal_files(program: Program) -> None:
    assert program.to_bytes() == Program.from_bytes(program.to_bytes()).to_bytes()


def test_a_program_is_known_by_the_digest_of_its_file(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "model.ditto"
    program.save(path)
    assert program.digest == hashlib.sha256(program.executable).hexdigest()
    assert Program.load(path).digest == program.digest
    # What is not saved is no part of it, and a changed copy has its own.
    assert program.replace(seconds={"JAX": 1.0}, remarks=("slow",)).digest == program.digest
    assert program.replace(name="other").digest != program.digest


def test_the_digest_is_computed_once(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = program.replace()
    digest = copy.digest
    monkeypatch.setattr(Program, "executable", b"")
    assert copy.digest == digest
    assert copy.replace().digest == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ('{ditto.input = 0 : i32, ditto.owner = "bank"}', "of a different shape, dtype or 'ditto.owner'"),
        ("{ditto.input = 0 : i32}", "of a different shape, dtype or 'ditto.owner'"),
        ("{ditto.input = 2 : i32}", r"must count the caller's inputs from 0, got \[0, 2\]"),
    ],
)
def test_arguments_that_disagree_about_an_input(second: str, problem: str) -> None:
    text = f"""
    func.func public @main(
        %x: tensor<3xf32> {{ditto.input = 0 : i32, ditto.owner = "clinic"}}, %y: tensor<3xf32> {second}
    ) -> tensor<3xf32> {{
      %0 = stablehlo.add %x, %y : tensor<3xf32>
      return %0 : tensor<3xf32>
    }}
    """
    module = parse_source(text, "model.mlir")
    PassManager([*precision_pipeline("uniform64"), *lowering_pipeline()]).run(module)
    with pytest.raises(CompileError, match=problem):
        extract_program(module, policy="", annotated="")


@pytest.mark.parametrize("name", ["missing.ditto", "."])
def test_unreadable_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProgramFileError, match="cannot read program file"):
        Program.load(tmp_path / name)


def test_unwritable_paths_leave_nothing_behind(program: Program, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "missing" / "p.ditto", tmp_path / "folder", tmp_path / "file" / "p.ditto"):
        with pytest.raises(ProgramFileError, match="cannot write program file"):
            program.save(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.ditto"
    path.write_bytes(b"old")

    def full_disk(self: Path, content: bytes) -> int:
        with open(self, "wb") as file:
            file.write(content[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new content")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["p.ditto"]


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    write_whole(tmp_path / "ours", b"x")
    (tmp_path / "theirs").write_bytes(b"x")
    ours, theirs = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "theirs"))
    assert ours == theirs


def test_links_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"
    write_whole("/dev/null", b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_programs_need_no_jax() -> None:
    """A machine that only runs programs has no JAX."""
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("jax", "jaxlib"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
import ditto_compiler
from ditto_compiler import DittoError, Fxp, Program
from ditto_compiler.program import Value
assert not {"jax", "jaxlib"} & {name.split(".")[0] for name in sys.modules}
try:
    ditto_compiler.PassManager
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=child_environment()
    )
    assert done.returncode == 0, done.stderr
    assert "is blocked" in done.stdout


def test_a_program_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Neither addresses nor hashes, which differ between processes, decide anything."""
    code = """
import sys
import ditto
from ditto.bench.workloads import workload
task = workload("bert-tiny", 2, 4)
ditto.compile(task.function, *task.shapes, policy="ditto").save(sys.argv[1])
"""
    files = [tmp_path / f"{seed}.ditto" for seed in range(3)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(file)],
            env=child_environment(PYTHONHASHSEED=str(seed)),
        )
        for seed, file in enumerate(files)
    ]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    assert len({file.read_bytes() for file in files}) == 1


def test_the_public_names_exist_and_are_what_type_checkers_see() -> None:
    import ast
    import importlib

    import ditto_compiler

    tree = ast.parse(Path(ditto_compiler.__file__).read_text())
    checked = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ditto_compiler")
        for alias in node.names
    }
    assert checked == {name: f"ditto_compiler.{home}" for name, home in ditto_compiler._HOMES.items()}
    for name, module in checked.items():
        assert getattr(ditto_compiler, str(name)) is getattr(importlib.import_module(str(module)), str(name))
        assert name in dir(ditto_compiler)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = ditto_compiler.nonsense


def test_programs_are_frozen(program: Program) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        program.name = "other"  # type: ignore[misc]
