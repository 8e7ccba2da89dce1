"""Gains are what outputs change by: by algebra, and by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.planning.gains import measure
from ditto.planning.sampled import Sampled
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import entry_function, ir
from ditto_compiler.passes.ditto_assign_rings import DittoAssignRings
from ditto_compiler.pipelines import precision_pipeline
from ditto_compiler.rings.numbers import divisions_to_products, ops_with_results

RNG = np.random.default_rng(3)


def gains(fn: Callable[..., Any], *args: Any, samples: int = 1) -> dict[str, list[list[float]]]:
    """Of each op, by name, with as many draws of signs as samples."""
    program = Sampled(
        fn, [args], visibility="secret", static_argnums=(), donate_argnums=(), max_public_constant=1024
    )
    ranges = program.calibrate(ditto.load_policy("ditto"))
    module = program.before(DittoAssignRings, precision_pipeline("ditto", ranges=ranges))
    entry = entry_function(module)
    assert entry is not None
    divisions_to_products(entry)
    measure(module, [list(args)] * samples)
    found: dict[str, list[list[float]]] = {}
    for op in ops_with_results(entry):
        if names.GAIN in op.attributes:
            found.setdefault(op.name, []).append(list(ir.DenseF64ArrayAttr(op.attributes[names.GAIN])))
    return found


def floats(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def test_gains_of_a_product_by_element_are_the_other_factor() -> None:
    x, y = floats(4, 5), floats(4, 5)
    ((result, left, right),) = gains(lambda x, y: x * y, x, y)["stablehlo.multiply"]
    # The Jacobian is diagonal, so the estimate is exact.
    assert result == pytest.approx(20)
    assert left == pytest.approx(float((y**2).sum()), rel=1e-5)
    assert right == pytest.approx(float((x**2).sum()), rel=1e-5)


def test_gains_of_a_matrix_product_are_norms() -> None:
    x, w = floats(8, 16), floats(16, 12)
    ((result, left, right),) = gains(lambda x, w: x @ w, x, w, samples=40)["stablehlo.dot_general"]
    assert result == pytest.approx(8 * 12)
    assert left == pytest.approx(8 * float((w**2).sum()), rel=0.1)
    assert right == pytest.approx(12 * float((x**2).sum()), rel=0.1)


def test_what_is_cut_off_a_number_is_cut_off_its_copies_alike() -> None:
    """So the copies' noise adds up, or cancels, as that of the number does."""
    x, scale = floats(6, 10), floats(6)
    found = gains(lambda x, s: x * (s[:, None] * s[:, None]), x, scale, samples=40)["stablehlo.multiply"]
    by_row = float((x**2).sum())
    *_, (_, _, second) = found
    assert second == pytest.approx(by_row, rel=0.15)


def test_noise_that_is_normalised_away_does_not_count() -> None:
    """A layer norm's outputs do not change with the scale of its rows."""

    def twice(x: Any) -> Any:
        for _ in range(2):
            x = x - jnp.mean(x, -1, keepdims=True)
            x = x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5)
        return x

    found = gains(twice, floats(8, 32), samples=4)["ditto.oneshot"]
    assert found[0][0] < 1e-3 * found[1][0]


@pytest.mark.parametrize("shape", [(), (1,), (3, 1)])
def test_functions_have_their_slopes(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 0.7, np.float32)
    ((result, read, together),) = gains(lambda x: jnp.tanh(x), x)["ditto.oneshot"]
    slope = 1 - np.tanh(0.7) ** 2
    assert result == pytest.approx(x.size)
    assert read == pytest.approx(x.size * slope**2, rel=1e-2)
    assert together >= 0


def test_an_argument_that_only_products_read_is_rounded_once() -> None:
    """What that adds to both products is the same, so it adds up, or cancels."""
    x, w = floats(6, 8), floats(8, 8)
    by_row = 6 * float((w**2).sum())
    twice = gains(lambda x, w, v: x @ w + x @ v, x, w, w, samples=40)["stablehlo.dot_general"]
    assert sum(left for _, left, _ in twice) == pytest.approx(4 * by_row, rel=0.15)
    none = gains(lambda x, w, v: x @ w + x @ v, x, w, -w, samples=4)["stablehlo.dot_general"]
    assert sum(left for _, left, _ in none) == pytest.approx(0, abs=1e-6 * by_row)


def test_what_others_read_as_well_is_cut_on_shares() -> None:
    """Zeros too: a first step of gradient descent from zero has noise in its products."""
    x, w = floats(6, 8), np.zeros(8, np.float32)
    ((_, _, right), *_) = gains(lambda x, w: w - x.T @ (x @ w), x, w, samples=4)["stablehlo.dot_general"]
    assert right > 0


def test_masks_of_zeros_and_ones_are_exact() -> None:
    x, mask = floats(4, 4), np.eye(4, dtype=np.float32)
    ((_, left, right),) = gains(lambda x, m: x * m, x, mask)["stablehlo.multiply"]
    assert left == pytest.approx(4)
    assert right == 0


def test_where_no_output_is_a_float_what_decides_counts() -> None:
    found = gains(lambda x, w: jnp.argmax(x @ w, -1), floats(4, 8), floats(8, 3))
    assert found["stablehlo.dot_general"][0][0] > 0
