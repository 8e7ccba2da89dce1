"""Ops that are written out as JAX functions, against plaintext JAX, from three parties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import ditto

RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return np.asarray(RNG.normal(size=shape) * 0.5, np.float32)


def sixteenths(*shape: int) -> np.ndarray[Any, Any]:
    """Every encoding holds them, and many are equal."""
    return np.asarray(RNG.integers(-8, 8, shape) / 16, np.float32)


def check(
    cluster: ditto.LocalCluster,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    tolerance: float,
    policy: str,
    **options: Any,
) -> None:
    program = ditto.compile(function, *arguments, policy=policy, **options)
    expected = jax.tree.leaves(jax.jit(function)(*arguments))
    simulation = ditto.simulate(program, *arguments)
    assert not simulation.overflows
    for found in (cluster.run(program, *arguments), simulation.outputs):
        for ours, jaxs in zip(jax.tree.leaves(found), expected, strict=True):
            assert (ours.dtype, ours.shape) == (jaxs.dtype, jaxs.shape)
            np.testing.assert_allclose(
                np.asarray(ours, float), np.asarray(jaxs, float), atol=tolerance, rtol=0
            )


def conv(x: Any, k: Any, **options: Any) -> Any:
    given = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    return lax.conv_general_dilated(x, k, **(given | options))


def of_gradient(**options: Any) -> Callable[..., Any]:
    return jax.grad(lambda x, k: (conv(x, k, **options) ** 2).sum(), (0, 1))


IMAGES = normal(2, 6, 6, 4)

CONVOLUTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "two groups": (lambda x, k: conv(x, k, feature_group_count=2), (IMAGES, normal(3, 3, 2, 8))),
    "each channel": (
        lambda x, k: conv(x, k, feature_group_count=4, window_strides=(2, 2)),
        (IMAGES, normal(3, 3, 1, 8)),
    ),
    "dilated": (
        lambda x, k: conv(
            x,
            k,
            feature_group_count=2,
            window_strides=(2, 1),
            padding=[(1, 2), (0, 3)],
            lhs_dilation=(2, 1),
            rhs_dilation=(1, 2),
        ),
        (IMAGES, normal(3, 2, 2, 2)),
    ),
    "negative padding": (
        lambda x, k: conv(x, k, feature_group_count=4, padding=[(-1, 0), (2, -2)]),
        (IMAGES, normal(2, 3, 1, 4)),
    ),
    "groups of the batch": (
        lambda x, k: conv(x, k, batch_group_count=2),
        (IMAGES, normal(3, 3, 4, 6)),
    ),
    "gradients by groups": (of_gradient(feature_group_count=2), (IMAGES, normal(3, 3, 2, 8))),
    "gradients of each channel": (
        of_gradient(feature_group_count=4, window_strides=(2, 2)),
        (IMAGES, normal(3, 3, 1, 4)),
    ),
    "three axes": (
        lambda x, k: lax.conv_general_dilated(x, k, (1, 2, 1), "SAME"),
        (normal(1, 2, 3, 4, 3), normal(4, 2, 2, 3, 2)),
    ),
    "one axis": (
        lambda x, k: lax.conv_general_dilated(x, k, (1,), "VALID", feature_group_count=3),
        (normal(2, 6, 7), normal(3, 2, 3)),
    ),
    "no place": (
        lambda x, k: lax.conv_general_dilated(x, k, (1,), "VALID", feature_group_count=3),
        (normal(2, 6, 2), normal(3, 2, 3)),
    ),
}


@pytest.mark.parametrize(("policy", "tolerance"), [("ditto", 0.05), ("uniform64", 4e-4)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(cluster: ditto.LocalCluster, name: str, policy: str, tolerance: float) -> None:
    function, arguments = CONVOLUTIONS[name]
    check(cluster, function, arguments, tolerance, policy)


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
def test_convolutions_of_integers(cluster: ditto.LocalCluster, policy: str) -> None:
    x, k = RNG.integers(-128, 128, (2, 4, 7)), RNG.integers(-128, 128, (4, 2, 3))

    def of(x: Any, k: Any) -> Any:
        return lax.conv_general_dilated(
            x, k, (1,), "VALID", feature_group_count=2, preferred_element_type=jnp.int32
        )

    check(cluster, of, (x.astype(np.int8), k.astype(np.int8)), 0, policy)


def pooled(kind: str, window: int, stride: int, padding: str) -> Callable[..., Any]:
    start, combine = {"max": (-jnp.inf, lax.max), "min": (jnp.inf, lax.min)}[kind]
    sizes, strides = (1, window, window, 1), (1, stride, stride, 1)
    return jax.grad(lambda x: (lax.reduce_window(x, start, combine, sizes, strides, padding) ** 2).sum())


POOLS = {
    "max": pooled("max", 2, 2, "VALID"),
    "of windows that overlap, padded": pooled("max", 3, 2, "SAME"),
    "min": pooled("min", 2, 1, "SAME"),
    "of one element": pooled("max", 1, 2, "VALID"),
}


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
@pytest.mark.parametrize("name", POOLS)
def test_gradients_of_pools(cluster: ditto.LocalCluster, name: str, policy: str) -> None:
    """Of equals the first one gets all, as in JAX."""
    check(cluster, POOLS[name], (sixteenths(2, 5, 6, 3),), 1e-4, policy)


def by_sixteenths(low: float, high: float) -> np.ndarray[Any, Any]:
    return np.arange(low, high, 1 / 16, np.float32)


def tan_error(x: Any, y: Any) -> Any:
    return 6e-4 * (1 + y**2)


def cbrt_error(x: Any, y: Any) -> Any:
    return np.where(np.abs(x) < 2**-17, 0.02, 1e-4 + 3e-4 * np.abs(y))


def erf_inv_error(x: Any, y: Any) -> Any:
    return np.minimum(3e-4 + 2e-6 / (1 - x.astype(np.float64) ** 2), 0.7)


def atanh_error(x: Any, y: Any) -> Any:
    return np.minimum(2e-4 + 2e-6 / (1 - x.astype(np.float64) ** 2), 0.7)


ULP = 2.0**-18
NEAR_ONE = np.float32([1 - 2**-k for k in range(4, 18)])
CUBES = np.float32([0, ULP, 2 * ULP, 8 * ULP, 2**-8, 0.125, 1, 27, 1000, 2**18, 524000])

FUNCTIONS: dict[str, tuple[Callable[..., Any], np.ndarray[Any, Any], Callable[..., Any]]] = {
    "tan": (jnp.tan, np.concatenate([by_sixteenths(-1.56, 1.56), by_sixteenths(98, 100)]), tan_error),
    "cbrt": (jnp.cbrt, np.concatenate([CUBES, -CUBES]), cbrt_error),
    "erf_inv": (
        jax.scipy.special.erfinv,
        np.concatenate([by_sixteenths(-15 / 16, 1), NEAR_ONE, -NEAR_ONE]),
        erf_inv_error,
    ),
    "atanh": (jnp.arctanh, np.concatenate([by_sixteenths(-15 / 16, 1), NEAR_ONE, -NEAR_ONE]), atanh_error),
}


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_as_right_as_is_stated(cluster: ditto.LocalCluster, name: str, policy: str) -> None:
    function, x, error = FUNCTIONS[name]
    program = ditto.compile(function, x, policy=policy)
    expected = np.asarray(function(x), np.float64)
    off = np.abs(cluster.run(program, x) - expected)
    assert (off <= error(x, expected)).all(), x[off > error(x, expected)]


def test_where_an_inverse_is_infinite_is_a_finding() -> None:
    """The parties' logarithm of 0 is finite."""
    x = np.float32([-1, 0.5, 1])
    program = ditto.compile(jax.scipy.special.erfinv, x)
    assert "log" in str(ditto.simulate(program, x).overflows)


SIGNED = np.float32([-3.5, -(2.0**-6), 0, 2.0**-6, 3.5, -1e3])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
def test_signs(cluster: ditto.LocalCluster, policy: str, dtype: Any) -> None:
    check(cluster, jnp.signbit, (SIGNED.astype(dtype),), 0, policy)
    check(cluster, jnp.copysign, (SIGNED.astype(dtype), SIGNED[::-1].astype(dtype)), 1e-3, policy)


def test_other_bits_of_floats_are_refused() -> None:
    with pytest.raises(ditto.DittoError, match=r"bitcast_convert.*no bits to look at but its sign"):
        ditto.compile(lambda x: lax.bitcast_convert_type(x, jnp.int32) >> 23, SIGNED)
    with pytest.raises(ditto.DittoError, match=r"bitcast_convert.*no bits to look at but its sign"):
        ditto.compile(lambda x: lax.bitcast_convert_type(x, jnp.float32), np.int32([1, 2]))
