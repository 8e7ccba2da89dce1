"""`ditto-update-checks`: what it writes holds, and fails for other output; what people wrote stays."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from test.support.processes import child_environment

from ditto_compiler.check_lines import NOTE, CheckLinesError, Run, runs_of, updated
from ditto_compiler.update_checks import main

ROOT = Path(__file__).resolve().parents[2]

SOURCE = """\
// RUN: ditto-opt %s --split-input-file --inline-calls --cse | filecheck %s
// RUN: ditto-opt --split-input-file < %s | filecheck %s --check-prefix=PLAIN
// RUN: not ditto-opt %s --nonsense 2>&1 | filecheck %s --check-prefix=ERROR

// A note of somebody's.
// ERROR: there is no option
func.func @main(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
  // Another.
  %0 = call @double(%x) : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %1 = stablehlo.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %2 = stablehlo.add %0, %1 : tensor<2x2xf32>
  %3 = stablehlo.add %2, %1 : tensor<2x2xf32>
  return %3 : tensor<2x2xf32>
}
func.func private @double(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
  %0 = stablehlo.add %x, %x : tensor<2x2xf32>
  return %0 : tensor<2x2xf32>
}

// -----

module attributes {some.attribute = 1 : i32} {
  func.func @loop(%n: tensor<i32>, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<f32>) {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %z = stablehlo.constant dense<0.0> : tensor<f32>
    %0:2 = stablehlo.while(%i = %c, %v = %x) : tensor<i32>, tensor<4xf32>
      cond {
        %p = stablehlo.compare LT, %i, %n : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %p : tensor<i1>
      } do {
        %w = stablehlo.negate %v : tensor<4xf32>
        stablehlo.return %i, %w : tensor<i32>, tensor<4xf32>
      }
    %1 = stablehlo.reduce(%0#1 init: %z) applies stablehlo.add across dimensions = [0]
      : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
    return %0#1, %1 : tensor<4xf32>, tensor<f32>
  }
}
"""


def update(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.output


def holds(file: Path, content: str | None = None) -> bool:
    """Whether the RUN lines that ditto-update-checks is for succeed, on other content if there is any."""
    text = file.read_text()
    for run in runs_of(text)[0]:
        source = file.with_name("other.mlir")
        source.write_text(text if content is None else content)
        words = [str(source) if word == "%s" else word for word in run.arguments]
        command = [sys.executable, "-P", "-m"]
        opt = subprocess.run(
            [*command, "ditto_compiler.opt", *words], capture_output=True, text=True, env=child_environment()
        )
        assert opt.returncode == 0, opt.stderr
        done = subprocess.run(
            [*command, "filecheck", str(file), f"--check-prefix={run.prefix}"],
            input=opt.stdout,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return False
    return True


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    file = tmp_path / "golden.mlir"
    file.write_text(SOURCE)
    return file


def test_what_it_writes_holds_and_fails_for_other_output(golden: Path) -> None:
    code, output = update(golden)
    assert code == 0 and f"{golden}: updated" in output
    assert f"{golden}: left alone: RUN: not ditto-opt" in output
    text = golden.read_text()
    assert holds(golden)
    for old, new in [
        ("stablehlo.negate %v", "stablehlo.abs %v"),
        ("stablehlo.add %2, %1", "stablehlo.add %1, %2"),
        ("[3.0, 4.0]", "[3.0, 5.0]"),
        ("return %i, %w", "return %i, %v"),
        ("@loop", "@loops"),
    ]:
        assert old in text
        assert not holds(golden, text.replace(old, new)), old


def test_nothing_else_changes_and_twice_is_once(golden: Path) -> None:
    update(golden)
    first = golden.read_text()
    lines = [line for line in first.splitlines() if line != NOTE]
    own = [line for line in lines if not re.match(r"// (CHECK|PLAIN)[-:]", line)]
    assert own == SOURCE.splitlines()
    assert first.count(NOTE) == 1
    assert update(golden) == (0, f"{golden}: left alone: RUN: {runs_of(SOURCE)[1][0]}\n")
    assert golden.read_text() == first
    assert update("--check", golden)[0] == 0
    golden.write_text(first.replace("stablehlo.negate %v", "stablehlo.abs %v"))
    changed = golden.read_text()
    code, output = update("--check", golden)
    assert code == 1 and f"{golden}: is out of date" in output and golden.read_text() == changed
    assert update(golden)[0] == 0 and holds(golden)


def test_names_are_variables(golden: Path) -> None:
    update(golden)
    text = golden.read_text()
    assert "CHECK-SAME:  %[[ARG0:[^ ,:]+]]: tensor<2x2xf32>) -> tensor<2x2xf32> {" in text
    assert "CHECK-NEXT:    %[[ADD_1:[^ ,:]+]] = stablehlo.add %[[ADD]], %[[CONSTANT]] :" in text
    assert "dense<{{\\[\\[}}1.0" in text
    assert not re.search(r"// (?:CHECK|PLAIN)\S*:.*%[a-z0-9]", text)


@pytest.mark.parametrize("name", ["passes/ditto_insert_casts", "passes/ditto_outline_regions"])
def test_golden_files_of_this_project(name: str, tmp_path: Path) -> None:
    file = tmp_path / "golden.mlir"
    shutil.copy(ROOT / "test" / f"{name}.mlir", file)
    code, output = update(file)
    assert code == 1 and "has check lines that were written by hand; give --force" in output
    assert file.read_bytes() == (ROOT / "test" / f"{name}.mlir").read_bytes()
    assert update("--force", file)[0] == 0
    assert holds(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @f() {\n  return\n}\n", "there is no line '// RUN: ditto-opt %s"),
        ("// RUN: rm -rf %s | filecheck %s\n", "there is no line '// RUN: ditto-opt %s"),
        ("// RUN: ditto-opt %s > %t | filecheck %s\n", "there is no line '// RUN: ditto-opt %s"),
        ("// RUN: ditto-opt %s | filecheck %s\nfunc.func @f(\n", "ditto-opt %s fails:\n"),
        ("// RUN: ditto-opt %s --cbe | filecheck %s\n\n", "there is no option or pass '--cbe'"),
    ],
)
def test_errors(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "golden.mlir"
    file.write_text(text)
    code, output = update(file)
    assert code == 1 and message in output and "Traceback" not in output
    assert file.read_text() == text


def test_a_file_that_is_not_there_and_one_that_is(golden: Path) -> None:
    code, output = update(golden.with_name("missing.mlir"), golden)
    assert code == 1 and "cannot read" in output and f"{golden}: updated" in output


def test_only_files_that_are_asked_for_are_written(golden: Path) -> None:
    other = golden.with_name("other.mlir")
    other.write_text(SOURCE)
    update(golden)
    assert other.read_text() == SOURCE


def test_functions_in_another_order_are_checked_before_the_first() -> None:
    text = "// RUN: ditto-opt %s | filecheck %s\nfunc.func @a() {\n}\nfunc.func @b() {\n}\n"
    found = updated(text, lambda run: "func.func @b() {\n}\nfunc.func @a() {\n}\n")
    labels = [line for line in found.splitlines() if "LABEL" in line or line.startswith("func.func @")]
    assert labels == [
        "// CHECK-LABEL: func.func @b(",
        "// CHECK-LABEL: func.func @a(",
        "func.func @a() {",
        "func.func @b() {",
    ]


def test_as_many_programs_as_there_are() -> None:
    text = "// RUN: ditto-opt %s --split-input-file | filecheck %s\nfunc.func @a() {\n}\n"
    with pytest.raises(CheckLinesError, match="prints 2 programs, and the file has 1"):
        updated(text, lambda run: "func.func @a() {\n}\n// -----\nfunc.func @b() {\n}\n")


def test_run_lines() -> None:
    text = "// RUN: ditto-opt %s --cse='a b' | filecheck %s --check-prefix=X\n// RUN: ditto-opt %s -o %t\n"
    assert runs_of(text) == ([Run(("%s", "--cse=a b"), "X")], ["ditto-opt %s -o %t"])
