"""Programs over which MLIR ends its process, beside those of test_reading.py: errors like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

import ditto
from ditto_compiler.diagnostics import CompileError

COMPLEX = "tensor<2xcomplex<f32>>"

CRASHERS = {
    "unranked halves": "func.func @main(%x: tensor<*xbf16>) -> tensor<*xbf16> {\n"
    "%0 = chlo.erf %x : tensor<*xbf16> -> tensor<*xbf16>\nreturn %0 : tensor<*xbf16>\n}",
    "polygamma of complex numbers": f"func.func @main(%x: {COMPLEX}) -> {COMPLEX} {{\n"
    f'%0 = "chlo.broadcast_polygamma"(%x, %x) : ({COMPLEX}, {COMPLEX}) -> {COMPLEX}\n'
    f"return %0 : {COMPLEX}\n}}",
    "a dimension below zero": "func.func @main(%x: tensor<1xi32>, %y: tensor<1x2xi32>) -> tensor<1x2xi32> {\n"
    '%0 = "chlo.broadcast_add"(%x, %y) <{broadcast_dimensions = array<i64: -2>}> '
    ": (tensor<1xi32>, tensor<1x2xi32>) -> tensor<1x2xi32>\nreturn %0 : tensor<1x2xi32>\n}",
    "a reduction of nothing": 'func.func @main() {\n"stablehlo.reduce"() <{dimensions = array<i64: 0>}> ({\n'
    "stablehlo.return\n}) : () -> ()\nreturn\n}",
    "a start from the region": "func.func @main(%x: tensor<4xf32>) {\n"
    "%0 = stablehlo.reduce(%x init: %inner) across dimensions = [0] : (tensor<4xf32>, tensor<f32>) "
    "-> tensor<f32>\nreducer(%y: tensor<f32>, %z: tensor<f32>) {\n"
    "%inner = stablehlo.add %y, %z : tensor<f32>\n"
    "stablehlo.return %inner : tensor<f32>\n}\nreturn\n}",
    "an error after a use before its definition": 'func.func @main() {\n"foo"(%v) : (i32) -> ()\n'
    '"bar"() ({\n%v = "baz"() : () -> i32\noops\n}) : () -> ()\n}',
    "deep types": f"func.func private @f(tensor<{'complex<' * 10**5}f32{'>' * 10**5}>)",
    "deep regions": "func.func @main() {\n"
    + '"foo"() ({\n' * 10**4
    + "}) : () -> ()\n" * 10**4
    + "return\n}",
}


@pytest.mark.parametrize("name", CRASHERS)
def test_what_ends_mlir_is_a_compile_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.mlir").write_text(CRASHERS[name])
    with pytest.raises(CompileError, match=r"/model\.mlir:\d+:\d+: error: "):
        ditto.compile(tmp_path / "model.mlir")
