"""What counts as data in a large constant."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import ditto
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.recurrences import numbers_in

T = np.arange(2048.0)
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(64, 64))
SMOOTH = np.convolve(np.cumsum(RNG.normal(size=4096)), np.hanning(200) / 100, "valid")


def angles(positions: int, width: int) -> Any:
    """Sines and cosines of rotary embeddings, each frequency twice."""
    turns = np.arange(positions)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    return np.concatenate([np.sin(turns), np.sin(turns), np.cos(turns), np.cos(turns)], 1)


def count(table: Any, dtype: Any = np.float32) -> int:
    return numbers_in(np.asarray(table.astype(dtype), np.float64), float(ml_dtypes.finfo(dtype).eps))


DETERMINED = {
    "rotary angles": (angles(2048, 64), 3 * 64),
    "along the last axis": (angles(512, 64).T, 3 * 64),
    "line": (T, 3),
    "parabola": (T**2, 3),
    "window": (np.hanning(2048), 3),
    "exponential": (np.exp(-T / 100), 3),
    "repeated rows": (np.ones((64, 1)) * NOISE[0], 3 * 64),
}
DATA = {
    "noise": NOISE,
    "transposed": NOISE.T,
    "one axis is short": RNG.normal(size=(15, 100)),
    "bits": RNG.integers(0, 2, (64, 64)),
    "low rank": NOISE[:, :2] @ NOISE[:2],
    "random walk": np.cumsum(NOISE.ravel()),
    "smooth": SMOOTH,
    "one column of noise among angles": np.concatenate([angles(64, 64), NOISE[:, :1]], 1),
    "one number off": angles(64, 64) + np.eye(64, 128, 5) * 1e-2,
    "infinite": np.full(2048, -np.inf),
    "NaN": np.full(2048, np.nan),
}


@pytest.mark.parametrize("shape", [(0,), (0, 64), (64, 0), (2, 0, 64)])
def test_nothing_is_no_number(shape: tuple[int, ...]) -> None:
    assert count(np.zeros(shape)) == 0


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
def test_polynomials_run(policy: str) -> None:
    """JAX begins their coefficients with none of 16 or more columns."""
    p, x = np.float32([1, -2, 0.5]), np.linspace(-1, 1, 20, dtype=np.float32)
    program = ditto.compile(jnp.polyval, p, x, policy=policy)
    np.testing.assert_allclose(ditto.simulate(program, p, x).outputs, np.polyval(p, x), atol=1e-2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", DATA)
def test_data(name: str, dtype: Any) -> None:
    assert count(DATA[name], dtype) == DATA[name].size


@pytest.mark.parametrize("name", DETERMINED)
def test_tables_that_few_numbers_determine(name: str) -> None:
    table, numbers = DETERMINED[name]
    assert count(table) == numbers


@pytest.mark.filterwarnings("ignore:.*ditto-check-constants")
def test_a_table_of_shapes_alone_needs_no_leave(cluster: ditto.LocalCluster) -> None:
    """As Hugging Face's Flax models make it; what is closed over still does."""
    x = RNG.normal(size=(64, 32)).astype(np.float32)

    def turned(x: Any) -> Any:
        table = angles(64, 32).astype(np.float32)
        sin, cos = table[:, :32], table[:, 32:]
        return x * cos + jnp.concatenate([-x[:, 16:], x[:, :16]], 1) * sin

    found = cluster.run(ditto.compile(turned, x), x)
    np.testing.assert_allclose(found, turned(x), atol=2e-3)
    weights = NOISE.astype(np.float32)
    with pytest.raises(CompileError, match="a constant of 4096 floats would be public to all parties"):
        ditto.compile(lambda x: x @ weights, np.ones((2, 64), np.float32))


def test_an_error_about_a_constant_of_unknown_origin_says_where_it_is_used() -> None:
    numbers = ", ".join(map(str, NOISE.ravel()[:1500]))
    text = f"""func.func @main(%x: tensor<1500xf32>) -> tensor<1500xf32> {{
      %0 = stablehlo.constant dense<[{numbers}]> : tensor<1500xf32> loc(unknown)
      %1 = stablehlo.add %x, %0 : tensor<1500xf32> loc("model.py":3:7)
      return %1 : tensor<1500xf32>
    }}"""
    with pytest.raises(CompileError) as caught:
        ditto.compile(text)
    assert "model.py:3:7: note: it is used here" in str(caught.value)
