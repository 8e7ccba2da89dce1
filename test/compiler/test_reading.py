"""Programs over which MLIR ends its process, or never ends, are errors like any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test.support.processes import child_environment

import ditto
from ditto_compiler import reading
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.ir import parse_module
from ditto_compiler.reading import read_program
from ditto_compiler.source import parse_source

IDENTITY = "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> { return %x : tensor<2xf32> }"

# The same, as MLIR 20 writes it.
BYTECODE = bytes.fromhex(
    "4d4cef520d4d4c495232302e302e306769740001170501050701030b0305070f03210f07010f0b130b0b131313010713170702"
    "410509170101010d03050b17010303170103231701036f1b03090505030103010b043d050150030107042d0301050350090307"
    "041903030703030b0005040d0301060301050100530d0b050f0f0b116275696c74696e0066756e63006d6f64756c6500726574"
    "75726e002d006d61696e000815050501010b0105010701"
)


def damaged(*changes: tuple[int, int]) -> bytes:
    data = bytearray(BYTECODE)
    for position, value in changes:
        data[position] = value
    return bytes(data)


def main_of(body: str) -> bytes:
    return f"func.func @main(%x: tensor<4xf32>) {{\n{body}\nreturn }}".encode()


DEADLY = {
    "a string that is not UTF-8 in bytecode": damaged((18, 255)),
    "damaged bytecode": damaged((51, 81)),
    "bytecode that never ends": damaged((79, 250), (94, 104)),
    "a message about what is not UTF-8": main_of(r'call @"\FE\FF"() : () -> ()'),
    "a division by zero": main_of(
        '%0 = "stablehlo.all_to_all"(%x) {split_dimension = 0 : i64, concat_dimension = 0 : i64, '
        "split_count = 2 : i64, replica_groups = dense<> : tensor<0x3xi64>} "
        ": (tensor<4xf32>) -> tensor<4xf32>"
    ),
    "an integer without bits": main_of("%0 = stablehlo.constant dense<0> : tensor<i0>"),
    "deep brackets": b"module attributes {other.a = " + b"[" * 20_000 + b"]" * 20_000 + b"} {}",
}


def ditto_opt(file: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ditto_compiler.opt", str(file), *arguments],
        capture_output=True,
        text=True,
        env=child_environment(),
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_bytecode_is_a_program() -> None:
    assert str(parse_module(BYTECODE)) == str(parse_module(IDENTITY))


@pytest.mark.parametrize("name", DEADLY)
def test_programs_that_end_mlir(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.mlir").write_bytes(DEADLY[name])
    how = r"(ends the process \(SIG[A-Z]+\)|takes far longer than other programs of this size)"
    with pytest.raises(
        CompileError, match=rf"/model\.mlir:1:1: error: reading it {how}: the program is damaged"
    ):
        ditto.compile(tmp_path / "model.mlir")
    code, out, err = ditto_opt(tmp_path / "model.mlir", "--ditto-pipeline")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert f"{tmp_path}/model.mlir:1:1: error: " in err.splitlines()[-1]


def test_what_ends_mlir_at_times(tmp_path: Path) -> None:
    """MLIR reads a number for complex ones beyond its end, which it may survive."""
    file = tmp_path / "model.mlir"
    file.write_bytes(main_of("%0 = stablehlo.constant dense<2.5> : tensor<3xcomplex<f32>>"))
    with pytest.raises(CompileError, match=r"/model\.mlir:\d:\d: error: (reading it|.* complex<f32> cannot)"):
        ditto.compile(file)
    code, out, err = ditto_opt(file, "--ditto-pipeline")
    assert (code, out) == (1, "") and "Traceback" not in err


def test_a_pass_that_ends_mlir_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.mlir"
    file.write_bytes(
        main_of("%0, %1 = chlo.top_k(%x, k = -1) : tensor<4xf32> -> (tensor<?xf32>, tensor<?xi32>)")
    )
    code, out, err = ditto_opt(
        file, "--pass-pipeline=builtin.module(inline-calls,func.func(chlo-legalize-to-stablehlo))"
    )
    assert (code, out) == (1, "")
    expected = f"{file}:1:1: error: pass 'func.func(chlo-legalize-to-stablehlo)' ends the process (SIGABRT): "
    assert err.splitlines()[-1].startswith(expected)
    # Ours leaves it to be reported.
    code, out, err = ditto_opt(file, "--legalize-chlo", "--ditto-check-supported")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "'chlo.top_k' op: shapes must be static, found 'tensor<?xf32>'" in err


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "func.func @f(",
        IDENTITY.replace("return %x : tensor<2xf32>", "return %x : tensor<3xf32>"),
        "func.func @f() {\n  %0 = stablehlo.add %1, %1 : tensor<f32>\n  return\n}",
        "module attributes {ditto.stage = 3} {}",
        'func.func private @"\\FF"()',
    ],
)
def test_other_errors_are_those_of_this_process(text: str) -> None:
    with pytest.raises(CompileError) as guarded:
        read_program(text, "model.mlir")
    with pytest.raises(CompileError) as unguarded:
        reading.verify_module(parse_source(text, "model.mlir"))
    assert guarded.value.diagnostics == unguarded.value.in_file("model.mlir").diagnostics


def test_a_program_is_read_by_a_child_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"// Nobody else's.\n{IDENTITY}"
    read_program(text, "model.mlir")
    monkeypatch.setattr(subprocess, "run", None)
    read_program(text, "model.mlir")
    with pytest.raises(TypeError):
        read_program(f"{text}\n", "model.mlir")


def test_what_we_made_ourselves_is_not_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any) -> Any:
        return jax.nn.softmax(x)

    monkeypatch.setattr(subprocess, "run", None)
    x = np.ones((2, 3), np.float32)
    program = ditto.compile(f, x)
    ditto.simulate(program, x)
    ditto.compile(jax.jit(jnp.tanh).lower(x).compiler_ir("stablehlo"))
    ditto.calibrate(f, [(x,)])
    program.report()
