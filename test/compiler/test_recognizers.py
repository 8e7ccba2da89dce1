"""Each recogniser on what the front ends emit, and on near misses.

The files in test/recognizers hold what JAX, Flax and Hugging Face's Flax models emit; where those
libraries are installed, they are also asked anew.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ditto.frontend import trace
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.forms.table import FORMS
from ditto_compiler.ir import entry_function, ir
from ditto_compiler.pass_manager import PassManager, parse_pipeline
from ditto_compiler.recognizers import Found, recognize
from ditto_compiler.source import parse_source

FOLDER = Path(__file__).resolve().parents[1] / "recognizers"
FILES = sorted(FOLDER.glob("*.mlir"))

KEPT: list[ir.Module] = []
"""What was found refers to ops, which live as long as the module."""


def functions_in(module: ir.Module) -> list[Found]:
    PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(module)
    KEPT.append(module)
    entry = entry_function(module)
    assert entry is not None
    with module.context:
        return recognize(entry)


def found_in(fn: Callable[..., Any], *args: Any) -> list[Found]:
    return functions_in(trace(fn, args).module)


def names_of(fn: Callable[..., Any], *args: Any) -> list[str]:
    """Names of the functions of arguments; JAX also looks constants up in constants."""
    found = [one for one in found_in(fn, *args) if not _is_of_constants(one)]
    return [one.function for one in found]


def _is_of_constants(found: Found) -> bool:
    table = found.match.views.get("table")
    return table is not None and table.op is not None and table.op.name == "stablehlo.concatenate"


def expected_of(text: str) -> list[str]:
    line = re.search(r"^// Functions: (.*)$", text, re.MULTILINE)
    assert line is not None
    return line[1].split()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_captured_programs(path: Path) -> None:
    text = path.read_text()
    found = functions_in(parse_source(text, path.name))
    assert [one.function for one in found] == expected_of(text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_gone_after_the_pass_was_there_before(path: Path) -> None:
    checks, _, program = path.read_text().partition("\nmodule ")
    gone = re.findall(r"// CHECK-NOT: (.*)", checks)
    assert gone and all(op in program for op in gone)


def _capture_module() -> Any:
    spec = importlib.util.spec_from_file_location("capture", FOLDER / "capture.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["capture"] = module
    spec.loader.exec_module(module)
    return module


CAPTURES = _capture_module().CAPTURES


def test_there_is_a_file_for_each_capture() -> None:
    assert {path.stem for path in FILES} == set(CAPTURES)


@pytest.mark.parametrize("name", CAPTURES)
def test_installed_libraries_still_emit_that(name: str) -> None:
    capture = CAPTURES[name]
    found = functions_in(parse_source(capture.lower().as_text(), name))
    assert [one.function for one in found] == list(capture.functions)


X = np.zeros((4, 8), np.float32)
SQUARE = np.zeros((4, 4), np.float32)
MASK = np.zeros((4, 8), np.bool_)
TABLE, IDS = np.zeros((10, 4), np.float32), np.zeros(3, np.int32)
ROOT = float(np.sqrt(0.5))


def softmax(x: Any, axis: int = -1) -> Any:
    e = jnp.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normalized(x: Any, axis: int = -1, eps: float = 1e-5) -> Any:
    centred = x - x.mean(axis, keepdims=True)
    return centred * lax.rsqrt((centred * centred).mean(axis, keepdims=True) + eps)


SPELLINGS: dict[str, list[tuple[Callable[..., Any], tuple[Any, ...]]]] = {
    "gelu": [
        (lambda x: 0.5 * x * (1 + lax.erf(x * ROOT)), (X,)),
        (lambda x: x * (lax.erf(x / 2**0.5) + 1) / 2, (X,)),
        (lambda x: x * (0.5 + 0.5 * lax.erf(x * ROOT)), (X,)),
        (lambda x: 0.5 * x + 0.5 * x * lax.erf(x * ROOT), (X,)),
        (lambda x: x * 0.5 * lax.erfc(-ROOT * x), (X,)),
        (lambda x: 0.5 * x * (1 + jnp.tanh(0.7978845608 * (x + 0.044715 * x**3))), (X,)),
        (lambda x: 0.5 * x * (1 + jnp.tanh(0.7978845608 * x * (1 + 0.044715 * x * x))), (X,)),
        (lambda x: x * jax.nn.sigmoid(1.5957691216 * (x + 0.044715 * x**3)), (X,)),
        (lambda x: jax.nn.gelu(2.0 * x, approximate=False), (X,)),
        (lambda x: jax.nn.gelu(x + 1.0), (X,)),
    ],
    "silu": [
        (lambda x: x / (1 + jnp.exp(-x)), (X,)),
        (lambda x: x * (0.5 * (1 + jnp.tanh(0.5 * x))), (X,)),
        (lambda x: x * lax.logistic(x), (X,)),
    ],
    "logistic": [
        (lambda x: 1 / (1 + jnp.exp(-x)), (X,)),
        (lambda x: jax.nn.sigmoid(1.702 * x) * x, (X,)),
    ],
    "tanh": [(jnp.tanh, (X,))],
    "softmax": [
        (softmax, (X,)),
        (lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True), (X,)),
        (lambda x: jnp.exp(x) * (1.0 / jnp.exp(x).sum(-1, keepdims=True)), (X,)),
        (lambda x: softmax(x, 0), (X,)),
        (lambda x: softmax(x - 0.3 * x.min(-1, keepdims=True)), (X,)),
        (lambda x, m: softmax(jnp.where(m, x, -1e9)), (X, MASK)),
        (lambda x: softmax(x).T, (X,)),
    ],
    "log_softmax": [
        (lambda x: x - jax.nn.logsumexp(x, -1, keepdims=True), (X,)),
        (lambda x: x - jnp.log(jnp.exp(x).sum(-1, keepdims=True)), (X,)),
    ],
    "layer_norm": [
        (normalized, (X,)),
        (lambda x: normalized(x, 0), (X,)),
        (lambda x: (x - x.mean()) / jnp.sqrt(x.var()), (X,)),
        (lambda x: (x - x.mean(-1, keepdims=True)) * (x.var(-1, keepdims=True) + 1e-5) ** -0.5, (X,)),
        (lambda x, g: normalized(x) * g, (X, X[0])),
        (lambda x: 3.0 * normalized(x), (X,)),
    ],
    "rms_norm": [
        (lambda x: x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6), (X,)),
        (lambda x: x / jnp.sqrt((x**2).mean(-1, keepdims=True)), (X,)),
    ],
    "division": [
        (lambda x: x / x.sum(-1, keepdims=True), (X,)),
        (lambda x, y: x / y, (X, X[0])),
        (lambda x, y: x / y, (X, X[0, 0])),
    ],
    "adaptive_step": [
        (lambda x, v: x / (jnp.sqrt(v) + 1e-8), (X, X)),
        (lambda x, v: x / (jnp.sqrt(v + 1e-12) + 1e-3), (X, X)),
        (lambda x, v: x / jnp.sqrt(v + 1e-6), (X, X)),
        (lambda x, v: x * lax.rsqrt(v + 1e-6), (X, X)),
        (lambda x, v: 0.1 * x * lax.rsqrt(1e-6 + v), (X, X)),
        (lambda x: x / (jnp.sqrt(x * x) + 1e-8), (X,)),
    ],
    "argmax": [(lambda x: jnp.argmax(x, 0), (X,))],
    "argmin": [(lambda x: jnp.argmin(x, 1), (X,))],
    "embedding": [
        (lambda t, i: t[i], (TABLE, IDS)),
        (lambda t, i: jnp.take(t, i, axis=0), (TABLE[..., None], IDS.reshape(3, 1))),
    ],
}


@pytest.mark.parametrize(
    ("function", "fn", "args"),
    [(function, *spelling) for function, spellings in SPELLINGS.items() for spelling in spellings],
)
def test_spellings(function: str, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
    names = names_of(fn, *args)
    assert names.count(function) == 1
    if function not in ("logistic", "division"):
        assert set(names) <= {function}


NEAR_MISSES: dict[str, list[tuple[Callable[..., Any], tuple[Any, ...]]]] = {
    "gelu": [
        (lambda x: 0.5 * x * (1 + lax.erf(x / 1.5)), (X,)),
        (lambda x: x * (1 + lax.erf(x * ROOT)), (X,)),
        (lambda x: 0.5 * x * (1 - lax.erf(x * ROOT)), (X,)),
        (lambda x: 0.5 * x * lax.erfc(ROOT * x), (X,)),
        (lambda x, y: 0.5 * y * (1 + lax.erf(x * ROOT)), (X, X)),
        (lambda x: 0.5 * x * (1 + jnp.tanh(0.7978845608 * (x + 0.05 * x**3))), (X,)),
        (lambda x: 0.5 * x * (1 + jnp.tanh(0.8 * (x + 0.044715 * x**3))), (X,)),
        (lambda x: 0.5 * x * (1 + jnp.tanh(0.7978845608 * (x + 0.044715 * x**2))), (X,)),
        (lambda x: x * jax.nn.sigmoid(1.702 * x), (X,)),
        (lambda x: (0.5 * x * (1 + lax.erf(x * ROOT)), lax.erf(x * ROOT)), (X,)),
    ],
    "silu": [
        (lambda x, y: x * jax.nn.sigmoid(y), (X, X)),
        (lambda x: x * jax.nn.sigmoid(2.0 * x), (X,)),
        (lambda x: x / (1 + jnp.exp(x)), (X,)),
        (lambda x: x / (2 + jnp.exp(-x)), (X,)),
    ],
    "logistic": [
        (lambda x: 1 / (2 + jnp.exp(-x)), (X,)),
        (lambda x: 2 / (1 + jnp.exp(-x)), (X,)),
        (lambda x: 0.5 * (1 + jnp.tanh(x) ** 2), (X,)),
    ],
    "softmax": [
        (lambda x: jnp.exp(x) / jnp.exp(x).sum(0)[:, None], (SQUARE,)),
        (lambda x: jnp.exp(x) / (1 + jnp.exp(x).sum(-1, keepdims=True)), (X,)),
        (lambda x, y: jnp.exp(x) / jnp.exp(y).sum(-1, keepdims=True), (X, X)),
        (lambda x: jnp.exp(x) / jnp.exp(2 * x).sum(-1, keepdims=True), (X,)),
        (lambda x: jnp.exp(x) / jnp.exp(x).max(-1, keepdims=True), (X,)),
        (lambda x: 2.0 * (jnp.exp(x) / jnp.exp(x)[:, :4].sum(-1, keepdims=True)), (X,)),
        (lambda x, m: jnp.exp(x) / jnp.where(m, jnp.exp(x), 0).sum(-1, keepdims=True), (X, MASK)),
        (
            lambda x, m, n: jnp.where(
                n, jnp.exp(x) / jnp.where(m, jnp.exp(x), 0.0).sum(-1, keepdims=True), 0.0
            ),
            (X, MASK, MASK),
        ),
        (lambda x: (softmax(x), jnp.exp(x - x.max(-1, keepdims=True))), (X,)),
    ],
    "log_softmax": [
        (lambda x: x - jnp.log(jnp.exp(x).sum(0))[:, None], (SQUARE,)),
        (lambda x: x - jnp.log(1 + jnp.exp(x).sum(-1, keepdims=True)), (X,)),
        (lambda x: 2 * x - jnp.log(jnp.exp(x).sum(-1, keepdims=True)), (X,)),
        (lambda x: x + jnp.log(jnp.exp(x).sum(-1, keepdims=True)), (X,)),
    ],
    "layer_norm": [
        (lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True, ddof=1)), (X,)),
        (lambda x: (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-5), (X,)),
        (lambda x: (x - x.mean(0, keepdims=True)) / jnp.sqrt(x.var(1, keepdims=True)), (X,)),
        (lambda x, y: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(y.var(-1, keepdims=True)), (X, X)),
        (lambda x: x / jnp.sqrt(x.var(-1, keepdims=True)), (X,)),
        (lambda x: (x - x.mean(0)[:, None]) / jnp.sqrt(x.var(0)[:, None]), (SQUARE,)),
    ],
    "rms_norm": [
        (lambda x: x * lax.rsqrt((x * x).sum(-1, keepdims=True)), (X,)),
        (lambda x: x * lax.rsqrt(jnp.abs(x).mean(-1, keepdims=True)), (X,)),
        (lambda x, y: y * lax.rsqrt((x * x).mean(-1, keepdims=True)), (X, X)),
    ],
    "division": [
        (lambda x, y: x / y, (X, X)),
        (lambda x: x / 7.0, (X,)),
        (lambda x: x / np.arange(1, 9, dtype=np.float32), (X,)),
        (lambda x, y: x * y[0], (X, X)),
    ],
    "adaptive_step": [
        (lambda x, v: x / jnp.sqrt(v), (X, X)),
        (lambda x, v: x / (jnp.sqrt(v) + 0.1), (X, X)),
        (lambda x, v: x / (jnp.sqrt(v) - 1e-8), (X, X)),
        (lambda x, v: x / (v + 1e-8), (X, X)),
        (lambda x, v: x / (jnp.sqrt(v) + 1e-8), (X, X[0])),
        (lambda x: x / (jnp.sqrt((x * x).sum(-1, keepdims=True)) + 1e-8), (X,)),
        (lambda x, v: (jnp.sqrt(v) + 1e-8) / x, (X, X)),
    ],
    "argmax": [
        (lambda x: x.max(-1), (X,)),
        (lambda x: jnp.argmin(x, -1), (X,)),
    ],
    "argmin": [(lambda x: jnp.argmax(x, -1), (X,))],
    "embedding": [
        (lambda t, i: jnp.take(t, i, axis=1), (TABLE, IDS)),
        (lambda t, i: t[i, i], (TABLE, IDS)),
        (lambda t, i: lax.dynamic_slice(t, (i[0], i[1]), (2, 2)), (TABLE, IDS)),
    ],
}


@pytest.mark.parametrize(
    ("function", "fn", "args"),
    [(function, *miss) for function, misses in NEAR_MISSES.items() for miss in misses],
)
def test_near_misses(function: str, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
    assert function not in names_of(fn, *args)


def test_every_function_has_spellings_and_near_misses() -> None:
    assert set(SPELLINGS) == set(FORMS)
    assert set(NEAR_MISSES) == set(FORMS) - {"tanh"}


def test_inputs_of_softmax() -> None:
    (found,) = found_in(lambda x, m: jax.nn.softmax(x, axis=0, where=m), X, MASK)
    assert found.match.axes == (0,)
    mask = found.match.views["mask"]
    assert ir.BlockArgument(mask.value).arg_number == 1
    (found,) = found_in(lambda x: softmax(2.0 * x + 1.0), X)
    x = found.match.views["x"]
    assert x.op is not None and x.op.name == "stablehlo.add"


def test_inputs_of_layer_norm() -> None:
    (found,) = found_in(lambda x, g: 3.0 * normalized(x, eps=1e-3) * g, X, X[0])
    assert found.match.numbers == pytest.approx({"eps": 1e-3, "gain": 3.0})
    assert found.match.axes == (1,)
    assert ir.BlockArgument(found.match.views["scale"].value).arg_number == 1


def test_the_outermost_function_wins() -> None:
    assert names_of(lambda x: jax.nn.silu(normalized(softmax(x))), X) == ["softmax", "layer_norm", "silu"]


def test_functions_in_loops_are_found() -> None:
    def fn(x: Any) -> Any:
        return lax.fori_loop(0, 3, lambda i, c: jax.nn.gelu(c), x)

    assert names_of(fn, X) == ["gelu"]


def test_newer_front_ends_square_by_one_op() -> None:
    text = (FOLDER / "flax_rms_norm.mlir").read_text()
    squared = text.replace("stablehlo.multiply %arg1, %arg1", "chlo.square %arg1")
    if "chlo.square" not in squared:
        pytest.fail("the capture no longer multiplies its input with itself")
    squared = squared.replace("chlo.square %arg1 :", "chlo.square %arg1 : tensor<2x8xf32> ->")
    try:
        module = parse_source(squared, "squared.mlir")
    except CompileError:
        pytest.skip("this MLIR has no chlo.square")
    assert [one.function for one in functions_in(module)] == ["rms_norm"]
