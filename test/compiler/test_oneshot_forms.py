"""Forms of one-shot functions: their errors, what they fall back on, and the functions themselves."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit

from ditto.calibrating import add_slack
from ditto.frontend import trace
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.dialect import attributes as names
from ditto_compiler.forms.builder import Builder
from ditto_compiler.forms.table import FORMS, ONESHOT
from ditto_compiler.ir import entry_function, functions, ir, nested_ops, parse_module
from ditto_compiler.pass_manager import PassManager, parse_pipeline
from ditto_compiler.passes.ditto_approximate import DittoApproximate
from ditto_compiler.passes.ditto_choose_functions import DittoChooseFunctions
from ditto_compiler.passes.ditto_normalize_late import DittoNormalizeLate
from ditto_compiler.policy import FormRule, load_policy
from ditto_compiler.private_functions import Mark, callee, evaluate
from ditto_compiler.xla import XlaFunction

RNG = np.random.default_rng(5)
GRID = np.linspace(-20, 20, 40_001, dtype=np.float32)
X = RNG.normal(size=(6, 5, 8)).astype(np.float32)
SCALE = RNG.normal(size=8).astype(np.float32)
POSITIVE = np.exp(RNG.normal(size=(6, 5, 1))).astype(np.float32)


def layer_norm(x: Any, scale: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * scale


def rms_norm(x: Any, scale: Any) -> Any:
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * scale


SITES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "gelu": (lambda x: jax.nn.gelu(x, approximate=False), (GRID,)),
    "silu": (jax.nn.silu, (GRID,)),
    "tanh": (jnp.tanh, (GRID,)),
    "logistic": (jax.nn.sigmoid, (GRID,)),
    "softmax": (jax.nn.softmax, (6 * X,)),
    "log_softmax": (jax.nn.log_softmax, (3 * X,)),
    "layer_norm": (layer_norm, (X, SCALE)),
    "rms_norm": (rms_norm, (X, SCALE)),
    "division": (lambda x, y: x / y, (X, POSITIVE)),
}


def rewritten(function: str) -> ir.Module:
    fn, args = SITES[function]
    module = trace(fn, args).module
    PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(module)
    PassManager((DittoApproximate(**{function: ONESHOT}), *parse_pipeline("cse"))).run(module)
    assert oneshots(module)
    return module


def oneshots(module: ir.Module) -> list[ir.Operation]:
    """Of the program; what they fall back on may have others."""
    entry = entry_function(module)
    assert entry is not None
    return [op for op in nested_ops(entry.operation) if op.name == names.ONESHOT]


def run(module: ir.Module, args: Sequence[np.ndarray]) -> np.ndarray:
    return XlaFunction(module)(*args)[0].astype(np.float64)


def disturb(module: ir.Module, signs: Sequence[float]) -> None:
    """Has each one-shot function err as much as it may."""
    for op, sign in zip(oneshots(module), signs, strict=True):
        error = sign * (names.get_float(op, names.ERROR) or 0.0)
        with module.context, op.location:
            builder = Builder.before(op)
            right = builder.op(names.ONESHOT, [op.results[0].type], list(op.operands))
            for entry in (names.FUNCTION, names.OTHERWISE, names.ERROR):
                right.attributes[entry] = op.attributes[entry]
            y = builder.tensor(right.results[0])
            wrong = y * (1 + error) if names.RELATIVE in op.attributes else y + error
            op.results[0].replace_all_uses_with(wrong.value)
            op.erase()


def test_every_function_that_has_the_form_is_tested() -> None:
    assert set(SITES) == {function for function, forms in FORMS.items() if ONESHOT in forms}


LEVEL = {"tanh": 1 - np.tanh(4.5), "logistic": 1 / (1 + np.exp(8.5))}
"""How far from their limits the functions are where their arguments are clipped."""


@pytest.mark.parametrize("function", SITES)
def test_the_form_is_the_function(function: str) -> None:
    fn, args = SITES[function]
    np.testing.assert_allclose(run(rewritten(function), args), fn(*args), atol=2e-5 + LEVEL.get(function, 0))


@pytest.mark.parametrize("function", SITES)
def test_a_row_bound_may_be_larger_than_the_maximum(function: str) -> None:
    fn, args = SITES[function]
    module = rewritten(function)
    assert add_slack(module) == function.endswith("softmax")
    # Weights that are clipped are e^2 larger than they would be, relative to the others.
    more = 5e-5 if "softmax" in function else LEVEL.get(function, 0)
    np.testing.assert_allclose(run(module, args), fn(*args), atol=2e-5 + more)


@pytest.mark.parametrize("function", SITES)
def test_the_error_of_the_form_follows_from_those_of_the_fits(function: str) -> None:
    fn, args = SITES[function]
    stated = FORMS[function][ONESHOT].max_error
    assert stated is not None
    found = []
    for signs in itertools.product((-1.0, 1.0), repeat=len(oneshots(rewritten(function)))):
        module = rewritten(function)
        disturb(module, signs)
        add_slack(module)
        error = np.abs(run(module, args) - np.asarray(fn(*args)))
        if function == "division":
            error /= np.maximum(np.abs(np.asarray(fn(*args))), 1e-3)
        found.append(error.max())
    assert stated / 8 < max(found) <= stated * 1.02


@pytest.mark.parametrize("function", SITES)
def test_what_falls_back_is_as_good_as_the_engines_form(function: str) -> None:
    fn, args = SITES[function]
    module = rewritten(function)
    PassManager((DittoChooseFunctions(beside="none"),)).run(module)
    assert not oneshots(module) and len(functions(module)) == 1
    form = FORMS[function][ONESHOT]
    assert form.engine is not None
    stated = FORMS[function][form.engine].max_error or 0.0
    error = np.abs(run(module, args) - np.asarray(fn(*args))).max()
    assert error <= stated * 1.02 + 1e-4


@pytest.mark.parametrize("function", ["gelu", "silu", "tanh", "logistic"])
def test_what_falls_back_is_todays_form(function: str) -> None:
    _, args = SITES[function]
    module = rewritten(function)
    PassManager((DittoChooseFunctions(beside="none"),)).run(module)
    today = trace(SITES[function][0], args).module
    PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(today)
    form = FORMS[function][ONESHOT].engine
    PassManager((DittoApproximate(**{function: form}),)).run(today)
    np.testing.assert_allclose(run(module, args), run(today, args), atol=1e-5)


@pytest.mark.parametrize("function", SITES)
def test_with_the_engine_alone_the_program_is_that_of_its_form(function: str) -> None:
    fn, args = SITES[function]
    texts = []
    for form in (ONESHOT, FORMS[function][ONESHOT].engine):
        policy = dataclasses.replace(load_policy("ditto-engine"), forms=(FormRule("test", {function: form}),))
        module = trace(fn, args).module
        PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(module)
        PassManager((DittoApproximate(policy_object=policy),)).run(module)
        texts.append(str(module))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_masked_rows_may_have_nothing_to_see(function: str) -> None:
    mask = RNG.random(X.shape) < 0.5
    mask[0, 0] = False
    fn: Any = {"softmax": jax.nn.softmax, "log_softmax": jax.nn.log_softmax}[function]
    module = trace(lambda x, mask: fn(x, where=mask), (X, mask)).module
    PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(module)
    PassManager((DittoApproximate(**{function: ONESHOT}),)).run(module)
    assert oneshots(module)
    found, expected = run(module, (X, mask)), np.asarray(fn(X, where=mask))
    seen = mask.any(-1)
    np.testing.assert_allclose(found[seen], expected[seen], atol=2e-5)


def test_layers_share_their_functions() -> None:
    def layers(x: Any) -> Any:
        for _ in range(3):
            x = jax.nn.gelu(jax.nn.softmax(x), approximate=False)
        return x

    module = trace(layers, (X,)).module
    PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(module)
    PassManager((DittoApproximate(gelu=ONESHOT, softmax=ONESHOT),)).run(module)
    assert len(oneshots(module)) == 9
    # GeLU falls back on a window, which may fall back itself.
    assert len(functions(module)) == 1 + 2 * 4


def test_late_normalisation_computes_the_same() -> None:
    def attention(query: Any, key: Any, value: Any) -> Any:
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", query, key))
        return jnp.einsum("bhqk,bkhd->bqhd", weights, value)

    args = tuple(RNG.normal(size=(2, 16, 3, 4)).astype(np.float32) for _ in range(3))
    module = trace(attention, args).module
    PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(module)
    PassManager((DittoApproximate(softmax=ONESHOT),)).run(module)
    before = str(module)
    PassManager((DittoNormalizeLate(),)).run(module)
    assert str(module) != before
    entry = str(entry_function(module))
    assert not re.search(r"multiply .*tensor<2x3x16x16xf32>", entry)
    np.testing.assert_allclose(run(module, args), attention(*args), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("gelu", lambda x: x / 2 * erf(x / np.sqrt(2))),
        ("silu", lambda x: x * (expit(x) - 0.5)),
        ("tanh", np.tanh),
        ("logistic", expit),
    ],
)
@pytest.mark.parametrize("count", [0, 1, 1000, 50_000])
def test_functions_can_be_evaluated(name: str, exact: Callable[[Any], Any], count: int) -> None:
    """On more points and fewer than their tensors have elements."""
    module = rewritten(name)
    (op,) = oneshots(module)
    points = np.linspace(-9, 9, count)
    np.testing.assert_allclose(evaluate(callee(op), points), exact(points), atol=2e-6)


@pytest.mark.parametrize("interval", [None, (-2.5, 1e30), (1e-7, 3.0)])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("error", [1e-3, 5.0, 1e-12])
def test_marks_survive_as_names(error: float, relative: bool, interval: tuple[float, float] | None) -> None:
    mark = Mark("f_1", error, relative, interval)
    assert re.fullmatch(r"\w+", mark.text)
    # Front ends number functions of one name.
    assert Mark.parse(mark.text) == Mark.parse(f"{mark.text}_12") == mark


@pytest.mark.parametrize(
    "name", ["main", "ditto_oneshot_of_f", "ditto_oneshot_of_f_within_p1m", "f_within_1p0"]
)
def test_other_names_are_no_marks(name: str) -> None:
    assert Mark.parse(name) is None


def test_the_engine_says_that_it_cannot_run_them() -> None:
    module = parse_module(
        """
        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %0 = stablehlo.sine %x : tensor<4xf32>
          %1 = "ditto.oneshot"(%0) {function = @f, otherwise = @f, error = 1.0e-3 : f64}
            : (tensor<4xf32>) -> tensor<4xf32>
          return %1 : tensor<4xf32>
        }
        func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
          %0 = stablehlo.tanh %x : tensor<4xf32>
          return %0 : tensor<4xf32>
        }
        """
    )
    pipeline = "ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo"
    with pytest.raises(CompileError, match=r"'ditto\.oneshot' op: the engine cannot run it"):
        PassManager(parse_pipeline(pipeline)).run(module)
