"""Patterns: what they look through, and what they must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ditto.frontend import trace
from ditto_compiler.ir import entry_function, ir, ops_of
from ditto_compiler.matcher import (
    Match,
    Number,
    Pattern,
    Reduced,
    Var,
    View,
    either,
    matched_ops,
    mean,
    op,
    product,
    square,
    total,
)
from ditto_compiler.pass_manager import PassManager, parse_pipeline
from ditto_compiler.source import parse_source
from ditto_compiler.structure import constant

X, Y = Var("x"), Var("y")
VECTOR = np.zeros(6, np.float32)
MATRIX = np.zeros((4, 4), np.float32)


def matches(pattern: Pattern, fn: Callable[..., Any], *args: Any) -> list[Match]:
    """Every match of the pattern with the value that `fn` returns."""
    module = trace(fn, args).module
    PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(module)
    # Views hold values, which live as long as the module.
    KEPT.append(module)
    entry = entry_function(module)
    assert entry is not None
    return list(pattern.match(View.of(returned(entry)), Match()))


KEPT: list[ir.Module] = []


def returned(entry: Any) -> ir.Value:
    value: ir.Value = ops_of(entry.entry_block)[-1].operands[0]
    return value


def args_of(match: Match) -> dict[str, int]:
    """The number of the argument that each variable is bound to."""
    return {name: ir.BlockArgument(view.value).arg_number for name, view in match.views.items()}


@pytest.mark.parametrize(
    ("fn", "fits"),
    [
        (lambda x, y: 0.5 * (x * y), True),
        (lambda x, y: (y * 0.5) * x, True),
        (lambda x, y: x * (y / 2.0), True),
        (lambda x, y: -x * (-0.25 * y) * 2.0, True),
        (lambda x, y: -0.5 * x * y, False),
        (lambda x, y: 0.51 * x * y, False),
        (lambda x, y: 0.5 * x * x, False),
        (lambda x, y: 0.5 * x * y * y, False),
        (lambda x, y: 0.5 * x + y, False),
        (lambda x, y: 0.5 * x / y, False),
    ],
)
def test_products_in_any_order(fn: Callable[..., Any], fits: bool) -> None:
    found = matches(product(0.5, X, Y), fn, VECTOR, VECTOR)
    distinct = [match for match in found if match.views["x"] != match.views["y"]]
    assert (
        bool([match for match in distinct if all(view.op is None for view in match.views.values())]) == fits
    )


@pytest.mark.parametrize(
    ("fn", "fits"),
    [
        (lambda x: x + 0.1 * x * x * x, True),
        (lambda x: 0.1 * x**3 + x, True),
        (lambda x: x - (-0.1) * (x * (x * x)), True),
        (lambda x: (10.0 * x + x * x * x) / 10.0, True),
        (lambda x: x + 0.1 * x * x, False),
        (lambda x: x + 0.1 * x * x * x + 1.0, False),
        (lambda x: x - 0.1 * x * x * x, False),
        (lambda x: x + x + 0.1 * x * x * x, False),
    ],
)
def test_sums_of_scaled_powers(fn: Callable[..., Any], fits: bool) -> None:
    pattern = total(0.0, X, product(0.1, X, X, X))
    assert bool(matches(pattern, fn, VECTOR)) == fits


def test_the_same_variable_is_the_same_value() -> None:
    assert matches(op("subtract", X, X), lambda x, y: x - x + 0.0, VECTOR, VECTOR)
    assert not matches(op("subtract", X, X), lambda x, y: x - y, VECTOR, VECTOR)


def test_commuting_operands_are_tried_both_ways() -> None:
    pattern = op("add", op("tanh", X), Y)
    for fn in (lambda x, y: jnp.tanh(x) + y, lambda x, y: y + jnp.tanh(x)):
        assert args_of(matches(pattern, fn, VECTOR, VECTOR)[0]) == {"x": 0, "y": 1}
    assert not matches(op("subtract", op("tanh", X), Y), lambda x, y: y - jnp.tanh(x), VECTOR, VECTOR)


def test_names_bind_numbers() -> None:
    found = matches(total("eps", product("scale", X)), lambda x: 3.0 * x - 0.25, VECTOR)
    of_the_argument = [match.numbers for match in found if match.views["x"].op is None]
    assert of_the_argument and all(n == pytest.approx({"eps": -0.25, "scale": 3.0}) for n in of_the_argument)


@pytest.mark.parametrize(
    ("dtype", "error", "fits"),
    [("float32", 1e-4, True), ("float32", 1e-3, False), ("bfloat16", 3e-3, True), ("bfloat16", 3e-2, False)],
)
def test_constants_may_be_rounded_to_their_dtype(dtype: str, error: float, fits: bool) -> None:
    x = jnp.zeros(4, dtype)
    wanted = 0.7978845608
    assert bool(matches(product(wanted, X), lambda x: x * (wanted * (1 + error)), x)) == fits


def test_rows_are_compared_dimension_by_dimension() -> None:
    rows = op("divide", X, Reduced("add", X))

    def along(axis: int, spread: int) -> Callable[[Any], Any]:
        def fn(x: Any) -> Any:
            return x / lax.broadcast_in_dim(x.sum(axis), x.shape, (spread,))

        return fn

    assert matches(rows, along(1, 0), MATRIX)[0].axes == (1,)
    assert matches(rows, along(0, 1), MATRIX)[0].axes == (0,)
    assert not matches(rows, along(1, 1), MATRIX)
    assert not matches(rows, along(0, 0), MATRIX)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x / x.sum(1, keepdims=True),
        lambda x: x / x.sum(1)[:, None],
        lambda x: x / (x.sum(1).reshape(4, 1, 1) + 0.0).reshape(4, 1),
        lambda x: x / jnp.broadcast_to(x.sum(1)[:, None], x.shape),
    ],
)
def test_broadcasts_and_reshapes_are_looked_through(fn: Callable[..., Any]) -> None:
    assert matches(op("divide", X, Reduced("add", X)), fn, MATRIX)


def test_transposed_statistics_are_others() -> None:
    def fn(x: Any) -> Any:
        return x / x.sum(2).T[..., None]

    assert not matches(op("divide", X, Reduced("add", X)), fn, np.zeros((2, 2, 4), np.float32))


def test_all_reductions_are_over_the_same_axes() -> None:
    pattern = op("add", mean(X), mean(square(X)))
    assert (
        matches(pattern, lambda x: x.mean(0) + (x * x).mean(0), MATRIX) == []
    )  # no tensor of the root's shape
    spread = op("multiply", X, op("add", mean(X), mean(square(X))))
    keep = {"keepdims": True}
    assert matches(spread, lambda x: x * (x.mean(0, **keep) + (x * x).mean(0, **keep)), MATRIX)
    assert not matches(spread, lambda x: x * (x.mean(0, **keep) + (x * x).mean(1, **keep)), MATRIX)


def test_a_mean_is_divided_by_its_count() -> None:
    pattern = op("subtract", X, mean(X))
    assert matches(pattern, lambda x: x - x.sum(1, keepdims=True) / 4.0, MATRIX)
    assert not matches(pattern, lambda x: x - x.sum(1, keepdims=True) / 3.0, MATRIX)


def test_either_prefers_the_first() -> None:
    pattern = either(op("tanh", X), Y)
    first, second = matches(pattern, lambda x: jnp.tanh(x), VECTOR)
    assert (set(first.views), set(second.views)) == ({"x"}, {"y"})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("%a", 4.0),
        ("stablehlo.sqrt %a : tensor<2xf32>", 2.0),
        ("stablehlo.subtract %a, %b : tensor<2xf32>", 3.5),
        ("stablehlo.divide %b, %a : tensor<2xf32>", 0.125),
        ("stablehlo.divide %b, %z : tensor<2xf32>", None),
        ("stablehlo.multiply %a, %x : tensor<2xf32>", None),
        ("stablehlo.add %x, %x : tensor<2xf32>", None),
    ],
)
def test_constants_are_computed(expression: str, value: float | None) -> None:
    line = "" if expression == "%a" else f"%r = {expression}"
    result = "%a" if expression == "%a" else "%r"
    module = parse_source(
        f"""func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {{
          %a = stablehlo.constant dense<4.0> : tensor<2xf32>
          %b = stablehlo.constant dense<0.5> : tensor<2xf32>
          %z = stablehlo.constant dense<0.0> : tensor<2xf32>
          {line}
          return {result} : tensor<2xf32> }}""",
        "test",
    )
    assert constant(returned(entry_function(module))) == value


def test_a_number_is_the_same_in_every_element() -> None:
    pattern = op("add", X, Number("n"))
    assert matches(pattern, lambda x: x + np.full(6, 2.0, np.float32), VECTOR)[0].numbers == {"n": 2.0}
    assert not matches(pattern, lambda x: x + np.arange(6, dtype=np.float32), VECTOR)


def test_matched_ops_end_at_the_variables() -> None:
    (match,) = matches(product(0.5, op("tanh", X)), lambda x: jnp.tanh(jnp.exp(x)) * 0.5, VECTOR)
    entry = entry_function(KEPT[-1])
    assert entry is not None and match.views["x"].op is not None
    names = {found.name for found in matched_ops(returned(entry), match)}
    assert names >= {"stablehlo.multiply", "stablehlo.tanh", "stablehlo.constant"}
    assert "stablehlo.exponential" not in names
