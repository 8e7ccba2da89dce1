"""What the package adds, against plain JAX on three parties."""

from __future__ import annotations

import re
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto_compiler.plugins import installed, using


@pytest.fixture(scope="session")
def cluster() -> Iterator[ditto.LocalCluster]:
    with ditto.LocalCluster(timeout=120) as running:
        yield running


def edges(dtype: type) -> np.ndarray:
    """The ends of a type, zero, and a number of every bit length."""
    info = np.iinfo(dtype)
    powers = [1 << bit for bit in range(info.bits - 1)]
    return np.array([0, info.min, info.max, *powers, *(power - 1 for power in powers)], dtype)


def test_it_is_installed() -> None:
    assert "ditto_example:plugin" in installed()


@pytest.mark.parametrize("policy", ["uniform64", "ditto", "example"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32])
def test_the_op_is_exact(cluster: ditto.LocalCluster, dtype: type, policy: str) -> None:
    x = edges(dtype)
    program = ditto.compile(jax.lax.clz, x, policy=policy)
    expected = np.asarray(jax.lax.clz(x))
    np.testing.assert_array_equal(cluster.run(program, x), expected)
    for mode in ("exact", "fast"):
        np.testing.assert_array_equal(ditto.simulate(program, x, mode=mode).outputs, expected)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 3)])
def test_the_op_in_every_shape(cluster: ditto.LocalCluster, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    program = ditto.compile(jax.lax.clz, x)
    np.testing.assert_array_equal(cluster.run(program, x), np.asarray(jax.lax.clz(x)))


def test_the_op_is_nothing_without_the_package() -> None:
    x = np.int32([1, 2])
    program = ditto.compile(jax.lax.clz, x)
    with using():
        with pytest.raises(ditto.DittoError, match="count_leading_zeros' op: the engine has no"):
            ditto.compile(jax.lax.clz, x)
        with pytest.raises(ditto.DittoError, match="if a plugin gives one, install it here, too"):
            ditto.simulate(program, x)


def test_parties_run_its_programs_without_it(cluster: ditto.LocalCluster) -> None:
    x = np.int32([5, 0])
    program = ditto.Program.from_bytes(ditto.compile(jax.lax.clz, x).to_bytes())
    with using():
        np.testing.assert_array_equal(cluster.run(program, x), np.asarray(jax.lax.clz(x)))


def test_the_form_is_as_close_as_it_says(cluster: ditto.LocalCluster) -> None:
    x = np.linspace(-20, 20, 401, dtype=np.float32)
    program = ditto.compile(jax.nn.softplus, x, policy="example")
    exact = np.logaddexp(x.astype(np.float64), 0)
    assert np.abs(cluster.run(program, x) - exact).max() < 0.0026 + 2**-13
    assert not re.search(r"stablehlo\.(exponential|log)", program.annotated)
    with_engine = ditto.compile(jax.nn.softplus, x, policy="uniform64")
    assert re.search(r"stablehlo\.(exponential|log)", with_engine.annotated)


def test_nothing_changes_that_does_not_ask_for_it() -> None:
    x = np.linspace(-2, 2, 8, dtype=np.float32)

    def f(x: jax.Array) -> jax.Array:
        return jax.nn.softplus(x) + x * jnp.tanh(x) + x * 3

    for policy in ("uniform64", "ditto"):
        program = ditto.compile(f, x, policy=policy)
        with using():
            assert ditto.compile(f, x, policy=policy).digest == program.digest


def test_the_pass_saves_a_product(cluster: ditto.LocalCluster) -> None:
    def f(x: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
        return x * a + x * b

    arguments = [np.float32([1.5, -2]), np.float32([3, 0.25]), np.float32([-1, 4])]
    for policy in ("uniform64", "ditto"):
        plain = ditto.compile(f, *arguments, policy=policy)
        passes = {"before-annotation": "example-factor-products"}
        program = ditto.compile(f, *arguments, policy=policy, passes=passes)
        assert "stablehlo.multiply" in program.annotated
        assert (
            program.annotated.count("stablehlo.multiply") == plain.annotated.count("stablehlo.multiply") - 1
        )
        np.testing.assert_allclose(cluster.run(program, *arguments), f(*arguments), atol=2e-3)


def test_the_report() -> None:
    x = np.ones((2, 2), np.float32)
    text = ditto.compile(jnp.matmul, x, x).report("markdown")
    assert text.startswith("**matmul** under `ditto`") and "| op | times | bytes |" in text
