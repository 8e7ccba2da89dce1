"""The command line of ditto-opt. What passes do is tested by golden files."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from test.support.processes import child_environment

from ditto_compiler import opt
from ditto_compiler.errors import InternalError
from ditto_compiler.ir import copy_module, ir, prepare, stablehlo
from ditto_compiler.options import option_docs
from ditto_compiler.pass_base import Pass
from ditto_compiler.registry import PASSES

CALL = """\
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @double(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @double(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""


class Result:
    """What a run gave."""

    def __init__(self, code: int, captured: pytest.CaptureResult[str]) -> None:
        self.code, self.out, self.err = code, captured.out, captured.err

    def error(self) -> str:
        """The one line that a failed run prints."""
        assert self.code == 1
        assert self.out == ""
        assert "Traceback" not in self.err
        (line,) = self.err.splitlines()
        return line


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the tool on `content`, in a file `input.mlir` of an empty folder."""
    monkeypatch.chdir(tmp_path)

    def go(content: str | bytes | None, *arguments: str) -> Result:
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (tmp_path / "input.mlir").write_bytes(data)
            arguments = ("input.mlir", *arguments)
        return Result(opt.run(arguments), capsys.readouterr())

    return go


def jax_module() -> ir.Module:
    @jax.jit
    def model(x, w):
        return jax.nn.softmax(jax.nn.relu(x @ w))

    return copy_module(model.lower(jnp.ones((2, 3)), jnp.ones((3, 4))).compiler_ir("stablehlo"))


def test_without_passes_the_program_comes_back(run) -> None:
    result = run(CALL)
    assert (result.code, result.err) == (0, "")
    assert run(result.out).out == result.out


def test_pass_flags_run_in_the_order_given(run) -> None:
    shown = run(None, "--cse", "--ditto-annotate=policy=dtype", "--inline-calls", "--cse", "--show-pipeline")
    assert shown.out == "builtin.module(cse,ditto-annotate{policy=dtype},inline-calls,cse)\n"
    assert "call @double" not in run(CALL, "--inline-calls").out


def test_pipelines_are_flags(run) -> None:
    default = run(None, "--ditto-pipeline", "--show-pipeline").out
    uniform = run(None, "--ditto-pipeline=uniform64", "--show-pipeline").out
    assert uniform.startswith("builtin.module(inline-calls,") and "policy=uniform64" in uniform
    assert "ditto-to-pphlo" in uniform and default != uniform
    precision = run(None, "--ditto-precision-pipeline=uniform64", "--show-pipeline").out
    assert "ditto-to-pphlo" not in precision


def test_what_show_pipeline_prints_runs(run) -> None:
    flags = run(CALL, "--ditto-pipeline=uniform32")
    text = run(None, "--ditto-pipeline=uniform32", "--show-pipeline").out.strip()
    assert run(CALL, f"--pass-pipeline={text}").out == flags.out


def test_a_policy_file_is_named_by_its_path(run, tmp_path: Path) -> None:
    (tmp_path / "my policy.toml").write_text('base = "uniform64"\nname = "other"\n')
    text = run(None, "--ditto-pipeline=my policy.toml", "--show-pipeline").out.strip()
    assert "ditto-annotate{policy='my policy.toml'}" in text
    assert run(CALL, f"--pass-pipeline={text}").code == 0


def test_output_file(run, tmp_path: Path) -> None:
    result = run(CALL, "--inline-calls", "-o", "out.mlir")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert "stablehlo.add" in (tmp_path / "out.mlir").read_text()
    assert sorted(os.listdir(tmp_path)) == ["input.mlir", "out.mlir"]


def test_a_failed_run_keeps_the_old_output_file(run, tmp_path: Path) -> None:
    (tmp_path / "out.mlir").write_text("old")
    assert run("func.func @f(", "-o", "out.mlir").code == 1
    assert (tmp_path / "out.mlir").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["input.mlir", "out.mlir"]


def test_stdin(run, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in ([], ["-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CALL.encode())))
        assert "func.func @main" in run(None, *arguments).out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"func.func @f(")))
    assert run(None).error().startswith("<stdin>:1:13: error: ")


def test_pipe_between_processes() -> None:
    command = [sys.executable, "-m", "ditto_compiler.opt"]
    environment = child_environment()
    done = subprocess.run(
        [*command, "--inline-calls"], input=CALL, capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "stablehlo.add" in done.stdout and "call" not in done.stdout
    done = subprocess.run(
        [*command, "--nonsense"], input=CALL, capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ditto-opt: error: there is no option or pass '--nonsense'\n"


def test_a_module_that_jax_printed(run) -> None:
    for policy, op in (("ditto", "ditto.beside"), ("ditto-engine", "pphlo.")):
        result = run(str(jax_module()), f"--ditto-pipeline={policy}")
        assert (result.code, result.err) == (0, "")
        assert op in result.out


def test_bytecode(run) -> None:
    buffer = io.BytesIO()
    module = jax_module()
    module.operation.write_bytecode(buffer)
    assert run(buffer.getvalue()).out == str(module)


def test_portable_artifact(run) -> None:
    module = jax_module()
    version = stablehlo.get_minimum_version()
    if hasattr(stablehlo, "serialize_portable_artifact"):
        artifact = stablehlo.serialize_portable_artifact(prepare(copy_module(module)), version)
    else:
        artifact = stablehlo.serialize_portable_artifact_str(str(module), version)
    assert artifact[:4] == b"ML\xefR"
    result = run(artifact, "--inline-calls")
    assert result.code == 0
    assert "stablehlo.dot_general" in result.out
    for option in ("--split-input-file", "--verify-diagnostics"):
        message = f"ditto-opt: error: {option} needs a text, but 'input.mlir' is binary"
        assert run(artifact, option).error() == message
    damaged = run(artifact[: len(artifact) // 2]).error()
    assert damaged.startswith("input.mlir:1:1: error: cannot read the portable artifact: ")


@pytest.mark.parametrize("text", ["module {}", "// nothing but a comment\n"])
def test_an_empty_module_is_a_module(run, text: str) -> None:
    result = run(text, "--inline-calls", "--cse")
    assert (result.code, result.err) == (0, "")
    assert "module {" in result.out


def test_an_empty_module_is_no_program(run) -> None:
    assert (
        run("module {}", "--ditto-pipeline")
        .error()
        .startswith(
            "input.mlir:1:1: error: [ditto-check-supported] 'builtin.module' op: there is no entry function: "
        )
    )


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, ["missing.mlir"], "ditto-opt: error: cannot read 'missing.mlir': No such file or directory"),
        (None, ["."], "ditto-opt: error: cannot read '.': Is a directory"),
        ("", [], "input.mlir:1:1: error: the input is empty; expected a StableHLO module"),
        (" \n\n", [], "input.mlir:1:1: error: the input is empty; expected a StableHLO module"),
        (b"\x7fELF\x02\x01\xff\xfe", [], "input.mlir:1:1: error: the input is neither StableHLO text nor"),
        (b"module {}\0", [], "input.mlir:1:1: error: the input is neither StableHLO text nor"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), [], "input.mlir:1:1: error: the input is neither"),
        (
            b"ML\xefR\x01StableHLO_v1.0.0\0garbage",
            [],
            "input.mlir:1:1: error: cannot read the portable artifact",
        ),
        (b"ML\xefR", [], "input.mlir:0:0: error: attempting to parse a byte at the end of the bytecode"),
        ("hello", [], "input.mlir:1:1: error: "),
        ("module {\n  func.func @f() {", [], "input.mlir:2:"),
        ("func.func @f() {\n  stablehlo.nonsense\n}", [], "input.mlir:2:3: error: "),
        (CALL.replace("call @double", "call @triple"), [], "input.mlir:2:8: error: "),
        (
            "func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {\n  return %x : tensor<?xf32>\n}",
            ["--ditto-check-supported"],
            "input.mlir:1:1: error: [ditto-check-supported] 'func.func' op: argument 0: shapes must be "
            "static, found 'tensor<?xf32>'; export with concrete shapes",
        ),
        (CALL, ["--no-such-pass"], "ditto-opt: error: there is no option or pass '--no-such-pass'"),
        (
            CALL,
            ["--inline-cals"],
            "ditto-opt: error: there is no option or pass '--inline-cals'; did you mean 'inline-calls'?",
        ),
        (
            CALL,
            ["--split-input"],
            "ditto-opt: error: there is no option or pass '--split-input'; did you mean",
        ),
        (CALL, ["-Z"], "ditto-opt: error: No such option '-Z'."),
        (CALL, ["-o"], "ditto-opt: error: Option '-o' requires an argument."),
        (CALL, ["another.mlir"], "ditto-opt: error: Got unexpected extra argument (another.mlir)"),
        (CALL, ["-o", "no/such/folder"], "ditto-opt: error: cannot write 'no/such/folder': No such file"),
        (CALL, ["-o", "."], "ditto-opt: error: cannot write '.': Is a directory"),
        (CALL, ["--cse=nonsense=1"], "ditto-opt: error: MLIR cannot read 'cse{nonsense=1}': "),
        (
            CALL,
            ["--ditto-annotate=polisy=dtype"],
            "ditto-opt: error: pass 'ditto-annotate' has no option 'polisy' (it has: policy); "
            "did you mean 'policy'?",
        ),
        (
            CALL,
            ["--ditto-to-pphlo=free-above=many"],
            "ditto-opt: error: option 'free-above' of pass 'ditto-to-pphlo' must be an integer, got 'many'",
        ),
        (
            CALL,
            ["--inline-calls", "--ditto-annotate=policy=unifrom64"],
            "input.mlir:0:0: error: [ditto-annotate] 'builtin.module' op: no policy 'unifrom64'; "
            "did you mean 'uniform64'?",
        ),
        (
            CALL,
            ["--ditto-pipeline=unifrom64"],
            "ditto-opt: error: no policy 'unifrom64'; did you mean 'uniform64'?",
        ),
        (
            CALL,
            ["--pass-pipeline=builtin.module(cse"],
            "ditto-opt: error: expected ')' at the end of pipeline",
        ),
        (
            CALL,
            ["--pass-pipeline=builtin.module(nonsense)"],
            "ditto-opt: error: 'nonsense' is neither a pass of ditto nor one of MLIR",
        ),
        (
            CALL,
            ["--pass-pipeline=cse", "--inline-calls"],
            "ditto-opt: error: --pass-pipeline and --inline-calls exclude each other; "
            "put all passes into one",
        ),
        (
            CALL,
            ["--cse", "--mlir-print-ir-after=inline-calls"],
            "ditto-opt: error: cannot print the program around 'inline-calls': it is not in the pipeline",
        ),
    ],
)
def test_errors_are_one_clean_line(
    run, content: str | bytes | None, arguments: list[str], message: str
) -> None:
    assert run(content, *arguments).error().startswith(message)


def test_all_errors_of_a_pass_are_printed(run) -> None:
    text = (
        "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
        "  %0 = stablehlo.cbrt %x : tensor<4xf32>\n"
        "  %1 = stablehlo.tan %0 : tensor<4xf32>\n"
        "  return %1 : tensor<4xf32>\n}"
    )
    result = run(text, "--ditto-check-supported")
    assert (result.code, result.out) == (1, "")
    assert re.findall(r"^input\.mlir:(\d+):8: error: ", result.err, re.MULTILINE) == ["2", "3"]


def test_the_user_s_python_line_is_named(run) -> None:
    module = jax.jit(lambda x: jnp.cbrt(x)).lower(jnp.ones(3)).compiler_ir("stablehlo")
    text = module.operation.get_asm(enable_debug_info=True)
    error = run(text, "--inline-calls", "--ditto-check-supported").error()
    assert re.match(
        rf"{re.escape(__file__)}:\d+:\d+: error: \[ditto-check-supported\] 'stablehlo.cbrt' op", error
    )


CHUNKS = "func.func @a() {\n  return\n}\n// -----\nfunc.func @b( {\n// -----\nfunc.func @c() {\n  return\n}\n"


def test_split_input_goes_on_after_an_error(run, tmp_path: Path) -> None:
    result = run(CHUNKS, "--split-input-file")
    assert result.code == 1
    assert result.err.startswith("input.mlir:5:14: error: ")
    assert re.findall(r"func.func (@\w)|(// -----)", result.out) == [("@a", ""), ("", "// -----"), ("@c", "")]
    run(CHUNKS, "--split-input-file", "-o", "out.mlir")
    assert not (tmp_path / "out.mlir").exists()


def test_split_output_splits_again(run) -> None:
    once = run(CHUNKS.replace("@b( {\n", "@b() {\n  return\n}\n"), "--split-input-file").out
    assert run(once, "--split-input-file").out == once


EXPECTING = """\
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{no private implementation}}
  %0 = stablehlo.cbrt %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""


def verify(run, text: str) -> Result:
    return run(text, "--ditto-check-supported", "--verify-diagnostics")


def test_expected_errors_are_a_success(run) -> None:
    result = verify(run, EXPECTING)
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (
            "stablehlo.cbrt",
            "stablehlo.sqrt",
            ['input.mlir:2:1: error: expected error "no private implementation" was not produced'],
        ),
        (
            "@+1",
            "@+2",
            [
                "input.mlir:3:8: error: unexpected error: [ditto-check-supported] 'stablehlo.cbrt' op: ",
                'input.mlir:2:1: error: expected error "no private implementation" was not produced',
            ],
        ),
        (
            "{{no private",
            "{{a private",
            ["input.mlir:3:8: error: unexpected error: ", 'input.mlir:2:1: error: expected error "a private'],
        ),
        (
            "expected-error",
            "expected-warning",
            ["input.mlir:3:8: error: unexpected error: ", "input.mlir:2:1: error: expected warning"],
        ),
        (
            "  // expected-error @+1 {{no private implementation}}\n",
            "",
            ["input.mlir:2:8: error: unexpected error: [ditto-check-supported]"],
        ),
        ("{{no private implementation}}", "no private", ["input.mlir:2:1: error: malformed expectation"]),
    ],
)
def test_diagnostics_that_differ_are_a_failure(run, old: str, new: str, messages: list[str]) -> None:
    assert old in EXPECTING
    result = verify(run, EXPECTING.replace(old, new))
    assert result.code == 1
    lines = result.err.splitlines()
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert line.startswith(message)


def test_expected_parse_errors(run) -> None:
    assert verify(run, "// expected-error @+1 {{expected}}\nfunc.func @f( {\n").code == 0


def test_expectations_of_each_chunk(run) -> None:
    result = run(
        f"{EXPECTING}// -----\n{EXPECTING.replace('cbrt', 'sqrt')}",
        *("--ditto-check-supported", "--verify-diagnostics", "--split-input-file"),
    )
    assert result.code == 1
    assert (
        result.err == 'input.mlir:8:1: error: expected error "no private implementation" was not produced\n'
    )


def dumps(text: str) -> list[str]:
    return re.findall(r"^// -----// IR Dump (.*) //----- //$", text, re.MULTILINE)


def test_printing_between_passes(run) -> None:
    passes = ("--inline-calls", "--cse")
    assert dumps(run(CALL, *passes, "--mlir-print-ir-after-all").err) == ["After inline-calls", "After cse"]
    assert dumps(run(CALL, *passes, "--mlir-print-ir-before-all").err) == [
        "Before inline-calls",
        "Before cse",
    ]
    assert dumps(run(CALL, *passes, "--mlir-print-ir-after=cse").err) == ["After cse"]
    both = run(CALL, *passes, "--mlir-print-ir-before=cse", "--mlir-print-ir-after=inline-calls").err
    assert dumps(both) == ["After inline-calls", "Before cse"]


def test_printing_what_changed_or_failed(run) -> None:
    changed = run(CALL, "--cse", "--inline-calls", "--cse", "--mlir-print-ir-after-change").err
    assert dumps(changed) == ["After inline-calls"]
    failed = run(CALL, "--cse", "--ditto-insert-casts", "--cse", "--mlir-print-ir-after-failure").err
    assert dumps(failed) == ["After ditto-insert-casts Failed"]
    assert "func.func @main" in failed


REPRODUCER = "--mlir-pass-pipeline-crash-reproducer"


@pytest.mark.parametrize("form", ["text", "bytecode"])
def test_a_failure_leaves_a_file_that_replays_it(run, form: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    module = jax_module()
    module.operation.write_bytecode(buffer)
    content = str(module) if form == "text" else buffer.getvalue()
    (tmp_path / "my policy.toml").write_text('base = "uniform64"\n')
    passes = ("--inline-calls", "--ditto-annotate=policy='my policy.toml'", "--ditto-approximate")
    first = run(content, *passes, f"{REPRODUCER}=again.mlir")
    assert first.code == 1
    *errors, note = first.err.splitlines()
    assert note.startswith("ditto-opt: note: reproducer generated at `again.mlir`; ")
    assert note.endswith("; ditto-opt --run-reproducer again.mlir replays it")
    again = run(None, "again.mlir", "--run-reproducer")
    assert again.code == 1
    assert again.err.replace("again.mlir", "input.mlir").splitlines() == errors
    # It is a program, too, and its reproducer is itself.
    assert run(None, "again.mlir", "--inline-calls").code == 0
    run(None, "again.mlir", "--run-reproducer", f"{REPRODUCER}=third.mlir")
    assert (tmp_path / "third.mlir").read_text() == (tmp_path / "again.mlir").read_text()
    assert sorted(os.listdir(tmp_path)) == ["again.mlir", "input.mlir", "my policy.toml", "third.mlir"]


def test_no_failure_leaves_no_file(run, tmp_path: Path) -> None:
    (tmp_path / "again.mlir").write_text("of another run")
    assert run(CALL, "--inline-calls", f"{REPRODUCER}=again.mlir").code == 0
    assert (tmp_path / "again.mlir").read_text() == "of another run"
    assert sorted(os.listdir(tmp_path)) == ["again.mlir", "input.mlir"]


def test_a_bug_leaves_a_file_that_replays_it(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for error in (InternalError("an invariant does not hold"), ZeroDivisionError()):

        def broken(self: Pass, module: ir.Module, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(PASSES["inline-calls"], "run", broken)
        with contextlib.suppress(ZeroDivisionError):
            assert (
                "reproducer generated at `again.mlir`"
                in run(CALL, "--inline-calls", f"{REPRODUCER}=again.mlir").err
            )
        text = (tmp_path / "again.mlir").read_text()
        assert text.startswith(CALL.rstrip()) and 'pipeline: "builtin.module(inline-calls)"' in text
        (tmp_path / "again.mlir").unlink()


DIES = """
import os, signal
from dataclasses import dataclass
from typing import ClassVar
from ditto_compiler.pass_base import Pass
from ditto_compiler.plugins import Plugin

@dataclass(frozen=True)
class Dies(Pass):
    "End the process, as MLIR may."
    name: ClassVar[str] = "die"
    def run(self, module):
        os.kill(os.getpid(), signal.SIGSEGV)

plugin = Plugin(1, lambda registry: registry.passes(Dies))
"""


def test_the_death_of_the_process_leaves_a_file_that_replays_it(tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    (tmp_path / "input.mlir").write_text(CALL)
    environment = child_environment()
    environment["PYTHONPATH"] = os.pathsep.join([environment.get("PYTHONPATH", ""), str(tmp_path)])

    def go(*arguments: str) -> str:
        command = [sys.executable, "-m", "ditto_compiler.opt", "--load-pass-plugin=dies", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 1 and done.stdout == ""
        return done.stderr

    died = "pass 'die' ends the process (SIGSEGV)"
    first = go("input.mlir", "--inline-calls", "--die", REPRODUCER, "again.mlir")
    assert died in first and "reproducer generated at `again.mlir`" in first
    text = (tmp_path / "again.mlir").read_text()
    assert "// The passes were run with these plugins: dies" in text
    assert died in go("again.mlir", "--run-reproducer")
    # The file itself loads nothing.
    command = [sys.executable, "-m", "ditto_compiler.opt", "again.mlir", "--run-reproducer"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stderr.startswith("ditto-opt: error: 'die' is neither a pass of ditto nor one of MLIR")


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (CALL, ["--run-reproducer"], "'input.mlir' is no reproducer"),
        (CALL, ["--run-reproducer", "--cse"], "--run-reproducer has its pipeline in the input"),
        (CALL, ["--cse", f"{REPRODUCER}=no/such/folder.mlir"], "cannot write 'no/such/folder.mlir'"),
        (CALL, ["--cse", "--ditto-extend=after-casts=cse"], "--ditto-extend is for one of --ditto-precision"),
        (CALL, ["--ditto-pipeline", "--ditto-extend=casts=cse"], "there is no extension point 'casts'"),
        (CALL, ["--load-pass-plugin=no_such_module"], "package 'no_such_module': its plugin"),
    ],
)
def test_bad_flags_about_pipelines(run, content: str, arguments: list[str], message: str) -> None:
    assert message in run(content, *arguments).error()


def test_remarks_by_category_or_text(run) -> None:
    passes = ("--inline-calls", "--ditto-annotate=policy=uniform64")
    line = (
        "input.mlir:6:8: remark: [ditto-annotate] 'stablehlo.add' op: computes in ring 64 with 18 fraction "
        "bits, by the dtype map of policy 'uniform64'\n"
    )
    for wanted in ("--remarks", "--remarks=ring", "--remarks=in ring 6[4]"):
        assert run(CALL, *passes, wanted).err == line
    for wanted in ("--remarks=cast", "--remarks=ring 32"):
        assert run(CALL, *passes, wanted).err == ""
    # The next word is no category, but the input.
    assert run(None, "--remarks", "input.mlir", *passes).err == line
    assert "or a regular expression, got '('" in run(CALL, *passes, "--remarks=(").error()


def test_passes_within_a_pipeline(run) -> None:
    shown = run(
        None, "--ditto-pipeline=uniform64", "--ditto-extend=after-casts=symbol-dce", "--show-pipeline"
    )
    check = "ditto-check-supported{max-public-constant=-1}"
    assert f"ditto-optimize-casts,cse,symbol-dce,{check},ditto-check-domains" in shown.out


def test_listing(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    monkeypatch.syspath_prepend(tmp_path)
    plain = run(None, "--list-passes").out.split()
    assert plain == list(PASSES)
    assert run(None, "--list-passes", "--load-pass-plugin=dies").out.split() == [*plain, "die"]
    assert run(None, "--version", "--load-pass-plugin=dies").out.splitlines()[1:] == ["plugin dies"]


def test_printing_forms(run) -> None:
    generic = run(CALL, "--mlir-print-op-generic").out
    assert '"func.func"()' in generic and '"stablehlo.add"' in generic
    located = run(CALL, "--mlir-print-debuginfo").out
    assert '"input.mlir":6:8' in located and '"-"' not in located
    assert "loc(" not in run(CALL).out


def test_timing(run) -> None:
    result = run(
        f"{CALL}// -----\n{CALL}", "--split-input-file", "--inline-calls", "--cse", "--cse", "--mlir-timing"
    )
    names = re.findall(r"^ +\d+\.\d{4} \( *\d+\.\d%\)  (\S+)$", result.err, re.MULTILINE)
    assert names == ["Parser", "inline-calls", "cse", "cse", "Output", "Rest", "Total"]
    inner = re.findall(r"^ +\d+\.\d{4} \( *\d+\.\d%\)    (\S+)$", result.err, re.MULTILINE)
    assert inner == ["Verifier"] * 3
    assert "func.func @main" in result.out


def test_timing_as_a_list(run) -> None:
    result = run(CALL, "--inline-calls", "--cse", "--cse", "--mlir-timing", "--mlir-timing-display=list")
    rows = re.findall(r"^ +(\d+\.\d{4}) \( *(\d+\.\d)%\)  (\S+)$", result.err, re.MULTILINE)
    assert {row[2] for row in rows[:-1]} == {"Parser", "inline-calls", "cse", "Verifier", "Output", "Rest"}
    times = [float(row[0]) for row in rows[:-1]]
    assert times == sorted(times, reverse=True) and rows[-1][1:] == ("100.0", "Total")
    assert sum(float(row[1]) for row in rows[:-1]) == pytest.approx(100, abs=1)


def test_help_documents_every_pass_and_option(run) -> None:
    result = run(None, "--help")
    assert result.code == 0
    for name, cls in PASSES.items():
        assert f"  --{name}" in result.out
        for line in cls.documentation().splitlines():
            assert line in result.out
        for option, default, _ in option_docs(cls):
            assert f"{option} (default: {default})" in result.out
    for parameter in opt.command.params:
        assert parameter.opts[-1] in result.out or parameter.name == "file"
    assert "policy-object" not in result.out


def test_a_bug_in_a_pass_says_how_to_reproduce_it(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Pass, module: ir.Module) -> None:
        raise InternalError("an invariant does not hold")

    monkeypatch.setattr(PASSES["inline-calls"], "run", broken)
    result = run(CALL, "--cse", "--inline-calls")
    assert result.code == 1
    assert "ditto-opt: error: an invariant does not hold\nThis is a bug in Ditto" in result.err
    assert (
        "To reproduce: ditto-opt --pass-pipeline='builtin.module(cse,inline-calls)' input.mlir" in result.err
    )
