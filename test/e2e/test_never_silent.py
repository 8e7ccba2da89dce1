"""What once came back wrong without a word, against plaintext JAX, from three parties."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import ditto

I32 = np.array([3, -1, 7, 2], np.int32)
FAR = np.array([2_000_000_000, -2_000_000_000, -1_500_000_000, 1_500_000_000, 0], np.int32)
AGAIN = np.array([-2_000_000_000, 2_000_000_000, 1_500_000_000, -1_500_000_000, 0], np.int32)
U8 = np.array([3, 5, 200, 255, 0], np.uint8)
V8 = np.array([5, 3, 200, 1, 0], np.uint8)
I8 = np.array([100, -128, 127, -1], np.int8)
U32 = np.array([2**31, 2**32 - 1, 0, 7], np.uint32)
MILLIONS = np.array([10**6, 10**7, -(10**6), 2**31 - 1, -(2**31), 0], np.int32)
DIVISORS = np.array([3, 3, 7, -1, -1, 5], np.int32)
AMOUNTS = np.array([0, 31, 32, 33, -1, 2**31 - 1], np.int32)
SHIFTED = np.array([-8, -8, -8, 5, 5, 2**31 - 1], np.int32)
MATRIX = np.array([[3, -1, 7], [5, 5, -9], [0, 2**31 - 1, -(2**31)]], np.int32)
FLOATS = np.array([-3.5, 0.25, 700.0, -0.125], np.float32)


def reduction(start: Any, combine: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: lax.reduce(x, jnp.asarray(start, x.dtype), combine, (0,))


INTEGERS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "max": (jnp.max, (I32,)),
    "min": (jnp.min, (I32,)),
    "argmax": (jnp.argmax, (I32,)),
    "argmin": (jnp.argmin, (I32,)),
    "max of a matrix": (lambda x: (x.max(0), x.min(1), x.argmax(0), x.argmin(1)), (MATRIX,)),
    "far apart": (lambda x, y: (x > y, x <= y, jnp.maximum(x, y), jnp.minimum(x, y), x == y), (FAR, AGAIN)),
    "uint32 from 2^31": (
        lambda x: (x, x > jnp.uint32(7), x.max(), x.min(), x >> 1, jnp.argmax(x)),
        (U32,),
    ),
    "uint8 below zero": (lambda x, y: (x - y, x + y, x * y, x - y > 200), (U8, V8)),
    "int8 wraps": (lambda x: (x + x > 0, x + x, jnp.abs(x), -x, x * x), (I8,)),
    "logical shift of negatives": (lambda x: lax.shift_right_logical(x, jnp.int32(3)), (SHIFTED,)),
    "shifts by any amount": (
        lambda x, n: (
            lax.shift_left(x, n),
            lax.shift_right_logical(x, n),
            lax.shift_right_arithmetic(x, n),
        ),
        (SHIFTED, AMOUNTS),
    ),
    "quotients": (lambda x, y: (x // y, x % y, lax.div(x, y), lax.rem(x, y)), (MILLIONS, DIVISORS)),
    "quotients by a constant": (lambda x: (x // 3, x % 3, x // -7, x % 10), (MILLIONS,)),
    "reduce from 5": (reduction(5, lax.max), (np.array([1, 2, 3], np.int32),)),
    "reduce by and": (reduction(-1, lax.bitwise_and), (MATRIX,)),
    "reduce by or": (reduction(8, lax.bitwise_or), (MATRIX,)),
    "reduce by xor": (reduction(1, lax.bitwise_xor), (MATRIX,)),
    "any and all": (lambda x: ((x > 0).any(0), (x > 0).all(1)), (MATRIX,)),
    "rotate": (lambda x: (x << 13) | (x >> 19), (U32,)),
    "cumulative": (lambda x: (lax.cummax(x, axis=1), lax.cummin(x), jnp.cumsum(x, axis=0)), (MATRIX,)),
    "int8 products in int32": (
        lambda x, y: lax.dot(x, y, preferred_element_type=jnp.int32),
        (np.array([[100, -128], [127, 1]], np.int8), np.array([[-128, 127], [127, 100]], np.int8)),
    ),
    "sort": (lambda x: (jnp.sort(x, axis=1), jnp.argsort(x, axis=0)), (MATRIX,)),
    "clipped ids": (
        lambda x, i: jnp.take(x, i, axis=0, mode="clip"),
        (MATRIX, np.array([0, 2, 3, -1, 2**31 - 1, -(2**31)], np.int32)),
    ),
    "one element": (lambda x: (x.max(), x.argmin(), x // 2, jnp.sort(x)), (np.array([-7], np.int32),)),
    "is finite": (lambda x: (jnp.isfinite(x), jnp.isnan(x), jnp.isinf(x)), (FLOATS,)),
}


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_as_in_jax(cluster: ditto.LocalCluster, name: str, policy: str) -> None:
    function, arguments = INTEGERS[name]
    program = ditto.compile(function, *arguments, policy=policy)
    expected = jax.tree.leaves(jax.jit(function)(*arguments))
    for found in (cluster.run(program, *arguments), ditto.simulate(program, *arguments).outputs):
        for ours, jaxs in zip(jax.tree.leaves(found), expected, strict=True):
            assert (ours.dtype, ours.shape) == (jaxs.dtype, jaxs.shape)
            np.testing.assert_array_equal(ours, jaxs)


def test_64_bit_integers(cluster: ditto.LocalCluster) -> None:
    x = np.array([2**63 - 1, -(2**63), -1, 0, 10**18], np.int64)
    y = np.array([-(2**63), 2**63 - 1, 3, 7, 3], np.int64)

    def both(x: Any, y: Any) -> Any:
        return x.max(), x.argmin(), x > y, x + y, x * y, lax.shift_right_logical(x, jnp.int64(60)), x ^ y

    with jax.experimental.enable_x64():
        program = ditto.compile(both, x, y)
        expected = jax.tree.leaves(jax.jit(both)(x, y))
    for ours, jaxs in zip(jax.tree.leaves(cluster.run(program, x, y)), expected, strict=True):
        np.testing.assert_array_equal(ours, jaxs)


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
def test_random_bits(cluster: ditto.LocalCluster, policy: str) -> None:
    key = np.asarray(jax.random.PRNGKey(7))

    def draw(key: Any) -> Any:
        return jax.random.bits(key, (5,)), jax.random.bits(key, (3,), np.uint8)

    program = ditto.compile(draw, key, policy=policy, visibility="public")
    for ours, jaxs in zip(cluster.run(program, key), draw(key), strict=True):
        np.testing.assert_array_equal(ours, jaxs)


X = np.array([0.7, -1.3, 0.0, 2.0], np.float32)
SQUARE = np.array([[4.0, 1.0, -2.0], [1.0, 1.0, 1.5], [3.0, -4.0, 0.5]], np.float32)
MASK = np.array([True, False, True, True])


def two_masks(x: Any, m: Any) -> Any:
    lowest = jnp.finfo(jnp.float32).min
    return jax.nn.softmax(x + jnp.where(m, 0.0, lowest) + jnp.where(m, 0.0, lowest))


FLOAT_CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], float]] = {
    "a huge constant added": (lambda x: x + 1e9, (X,), 64.0),
    "minimum with a huge number": (lambda x: jnp.minimum(x, 3e38), (np.float32([6e5, -2.0, 1.0]),), 0.0),
    "softmax of what is scaled": (lambda x: jax.nn.softmax(x * -10000.0), (X / 1000,), 0.02),
    "two masks": (two_masks, (X, MASK), 2e-3),
    "exp of half precision": (jnp.exp, (np.float16([0.7, -1.5, 2.0]),), 0.03),
    "arcsinh": (jnp.arcsinh, (np.float32([0.3, -2.0, 5.0]),), 5e-3),
    "exp far below zero": (jnp.exp, (np.float32([-1000.0, -20.0, 0.0, 4.0]),), 0.05),
    "constants of half precision": (
        lambda x: x * np.float16([0.5, 2.0, -1.25, 3.0]),
        (X.astype(np.float16),),
        0.03,
    ),
    "cumulative": (lambda x: (lax.cummax(x, axis=1), lax.cummin(x)), (SQUARE,), 2e-3),
    "softmax of masked scores": (
        lambda x, m: jax.nn.softmax(jnp.where(m, x, jnp.finfo(x.dtype).min)),
        (X, MASK),
        2e-3,
    ),
}


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
@pytest.mark.parametrize("name", FLOAT_CASES)
def test_floats_are_as_in_jax(cluster: ditto.LocalCluster, name: str, policy: str) -> None:
    function, arguments, tolerance = FLOAT_CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ditto.DittoWarning)
        ranges = ditto.calibrate(function, [arguments], policy=policy)
        program = ditto.compile(function, *arguments, policy=policy, ranges=ranges)
    found = jax.tree.leaves(cluster.run(program, *arguments))
    for ours, jaxs in zip(found, jax.tree.leaves(jax.jit(function)(*arguments)), strict=True):
        difference = np.abs(np.asarray(ours, np.float64) - np.asarray(jaxs, np.float64))
        assert (difference <= tolerance + 2e-2 * tolerance * np.abs(np.asarray(jaxs, np.float64))).all()


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
def test_a_maximum_along_the_other_axis_bounds_nothing(cluster: ditto.LocalCluster, policy: str) -> None:
    """x - x.max(axis=1) of a square x, without keepdims, is not below zero."""
    w = np.float32([[1.0], [2.0], [0.5]])

    def weighted(x: Any, w: Any) -> Any:
        return jnp.exp(x - x.max(axis=1)) @ w

    ranges = ditto.calibrate(weighted, [(SQUARE, w)], policy=policy)
    program = ditto.compile(weighted, SQUARE, w, policy=policy, ranges=ranges)
    np.testing.assert_allclose(cluster.run(program, SQUARE, w), weighted(SQUARE, w), rtol=2e-3, atol=2e-2)


REFUSED: dict[str, tuple[Callable[..., Any], tuple[Any, ...], str]] = {
    "powers of integers by integers": (lax.pow, (I32, I32), "power of integers|pow"),
    "NaN among the results": (lambda x: jnp.where(x > 0, x, jnp.nan), (X,), "NaN"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused(name: str) -> None:
    function, arguments, message = REFUSED[name]
    with pytest.raises(ditto.DittoError, match=message):
        ditto.compile(function, *arguments)


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
@pytest.mark.parametrize(
    "fn", [lambda x: x @ x.T, lambda x: x * x, lambda x: jnp.max(x * x, axis=1)], ids=["dot", "square", "max"]
)
def test_calibrated_numbers_of_any_size_get_the_ring_that_they_need(
    cluster: ditto.LocalCluster, fn: Callable[..., Any], scale: float
) -> None:
    """By default; numbers in ring 32 end at some 1e5."""
    x = (np.random.default_rng(1).normal(size=(4, 8)) * 100 * scale).astype(np.float32)
    program = ditto.compile(fn, x, ranges=ditto.calibrate(fn, [(x,)]))
    expected = np.asarray(fn(x), np.float64)
    assert np.abs(cluster.run(program, x) - expected).max() < 1e-6 * np.abs(expected).max()


def shares(x: Any) -> Any:
    return x * x / jnp.sum(x * x, axis=1, keepdims=True)


def standard(x: Any) -> Any:
    return (x - x.mean(0)) / x.std(0)


SIZES: dict[str, tuple[Callable[..., Any], float]] = {
    "tiny shares": (shares, 1e-3),
    "large shares": (shares, 1e3),
    "huge shares": (shares, 1e4),
    "tiny parts of a mean": (lambda x: x / jnp.mean(jnp.abs(x)), 1e-4),
    "huge parts of a root": (lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True), 3e4),
    "huge parts of a mean": (lambda x: x / jnp.mean(jnp.abs(x)), 1e5),
    "tiny standard scores": (standard, 1e-4),
    "large standard scores": (standard, 1e3),
    "a large integer times tiny numbers": (lambda x: x * 1e-6 * 1e6, 1.0),
    "a large integer times tiny sums": (lambda x: x @ x.T * 1e3, 1e-4),
    "tiny squares": (lambda x: x * x, 1e-5),
    "a logarithm of little": (lambda x: jnp.log(x * x + 1e-3), 1.0),
    "a root of little": (lambda x: jnp.sqrt(x * x), 1.0),
}


@pytest.mark.parametrize("name", SIZES)
def test_calibrated_numbers_of_any_size_keep_their_digits(cluster: ditto.LocalCluster, name: str) -> None:
    """One-shot reciprocals err by 1e-3 of themselves, all else by less."""
    fn, scale = SIZES[name]
    x = (np.random.default_rng(0).normal(size=(8, 8)) * scale).astype(np.float32)
    ranges = ditto.calibrate(fn, [(x,)])
    program, guarded = (ditto.compile(fn, x, ranges=ranges, guard=guard) for guard in (False, True))
    expected = np.asarray(fn(x), np.float64)
    for found in (cluster.run(program, x), *(ditto.simulate(p, x).outputs for p in (program, guarded))):
        assert np.abs(found - expected).max() < 2e-3 * np.abs(expected).max()


def test_a_root_of_less_than_the_engine_sees_is_refused() -> None:
    """Also where a sum is repeated before the root is taken: what was measured is known of it."""

    def fn(x: Any) -> Any:
        return x * lax.rsqrt(jnp.sum(x * x, -1, keepdims=True))

    x = (np.random.default_rng(0).normal(size=(8, 8)) * 1e-3).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ditto.DittoWarning)
        ranges = ditto.calibrate(fn, [(x,)])
    with pytest.raises(ditto.DittoError, match=r"rsqrt.*measured to be as small as 3\.47e-06"):
        ditto.compile(fn, x, ranges=ranges)


@pytest.mark.parametrize("text", ["[1.5, -2.0]", ""], ids=["two", "none"])
def test_constants_of_ring_128_beside_integers(cluster: ditto.LocalCluster, text: str) -> None:
    """What is returned as it is, is returned by the engine: beside it, no ring is as wide."""
    size = 2 if text else 0
    module = f"""func.func public @main(%x: tensor<i8>) -> (tensor<i8>, tensor<{size}xf64>) {{
      %c = stablehlo.constant dense<-128> : tensor<i8>
      %sum = stablehlo.add %x, %c : tensor<i8>
      %returned = stablehlo.constant dense<{text}> : tensor<{size}xf64>
      return %sum, %returned : tensor<i8>, tensor<{size}xf64>
    }}"""
    program = ditto.compile(module)
    total, returned = cluster.run(program, np.int8(3))
    assert total == -125
    np.testing.assert_array_equal(returned, [1.5, -2.0][:size])


def test_a_divisor_that_leaves_nothing_is_said() -> None:
    """1/3e6 is below the grid's step, and the quotient of what ring 32 holds would be 0."""
    x = np.array([2e3, 3.0], np.float32)
    with pytest.raises(ditto.DittoError, match=r"3e\+06|3\.33"), warnings.catch_warnings():
        warnings.simplefilter("error", ditto.DittoWarning)
        try:
            ditto.compile(lambda x: x / np.float32([3e6, 1.0]), x, policy="uniform32")
        except ditto.DittoWarning as warning:
            raise ditto.DittoError(str(warning)) from warning


LARGE: dict[str, tuple[Callable[..., Any], np.ndarray[Any, Any]]] = {
    "sqrt": (jnp.sqrt, np.float32([4.0, 4e5])),
    "rsqrt": (lax.rsqrt, np.float32([4.0, 4e5])),
    "log": (jnp.log, np.float32([4.0, 1e6])),
    "a quotient": (lambda x: 1.0 / x, np.float32([4.0, 9e5])),
    "exp": (jnp.exp, np.float32([0.0, 40.0])),
}


@pytest.mark.parametrize("name", LARGE)
def test_functions_of_large_numbers(cluster: ditto.LocalCluster, name: str) -> None:
    """Where nothing is known they are a finding; where it is known, they are right or refused."""
    function, x = LARGE[name]
    unknown = ditto.compile(function, x, policy="uniform64")
    assert ditto.simulate(unknown, x).overflows
    assert any("[ditto-check-domains]" in str(remark) for remark in unknown.remarks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ditto.DittoWarning)
        ranges = ditto.calibrate(function, [(x,)], policy="uniform64")
    try:
        known = ditto.compile(function, x, policy="uniform64", ranges=ranges)
    except ditto.DittoError as error:
        assert "reaches" in str(error), error
        return
    assert not ditto.simulate(known, x).overflows
    np.testing.assert_allclose(cluster.run(known, x), function(x), rtol=1e-2, atol=2**-14)


@pytest.mark.parametrize("policy", ["ditto", "uniform64", "puma"])
def test_of_equals_the_first_is_found(cluster: ditto.LocalCluster, policy: str) -> None:
    x = np.random.default_rng(0).integers(0, 2, (20, 37)).astype(np.float32)

    def both(x: Any) -> Any:
        return jnp.argmax(x, axis=1), jnp.argmin(x, axis=0), jnp.argmax(x), jnp.argsort(x[:2, :7], axis=1)

    program = ditto.compile(both, x, policy=policy)
    for found in (cluster.run(program, x), ditto.simulate(program, x).outputs):
        for ours, jaxs in zip(found, both(x), strict=True):
            np.testing.assert_array_equal(ours, jaxs)


@pytest.mark.parametrize("visibility", ["secret", "public"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32])
def test_sorts_of_integers_at_the_ends_of_their_range(
    cluster: ditto.LocalCluster, dtype: Any, visibility: str
) -> None:
    """The engine orders public keys by the signs of their differences, which wrap around in a ring of 32."""
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = np.array([most, 1, least, least + 1, most // 2, 0, most - 1, least, 3], dtype)

    def both(x: Any) -> Any:
        return jnp.sort(x), jnp.argsort(x), jnp.sort(-x)

    program = ditto.compile(both, x, visibility=visibility)
    for ours, jaxs in zip(cluster.run(program, x), both(x), strict=True):
        np.testing.assert_array_equal(ours, jaxs)


DRAWN = np.random.default_rng(5).normal(size=(3, 6)).astype(np.float32)
DRAWN[0, 4] = DRAWN[0, 1]
KEYS = np.random.default_rng(6).integers(0, 3, (3, 6)).astype(np.int32)

SORTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "two keys": (lambda k, x: lax.sort((k, x, k + 1), num_keys=2), (KEYS, DRAWN)),
    "lexsort": (lambda x, k: jnp.lexsort((x, k)), (DRAWN, KEYS)),
    "one key of two": (lambda k, x: lax.sort((k, x), num_keys=1), (KEYS, DRAWN)),
    "every axis": (lambda x: (jnp.sort(x, 0), jnp.sort(x, 1), jnp.sort(x, None)), (DRAWN,)),
    "descending": (lambda k: (jnp.sort(k, descending=True), jnp.argsort(k, 1, descending=True)), (KEYS,)),
    "ties": (lambda k: (jnp.argsort(k, 0), jnp.argsort(k, 1), jnp.argsort(k < 1, 1)), (KEYS,)),
    "top_k": (lambda x, k: (lax.top_k(x, 2), lax.top_k(k, 6)), (DRAWN, KEYS)),
    "medians": (lambda x: (jnp.median(x, 1), jnp.median(x), jnp.percentile(x, 30, axis=0)), (DRAWN,)),
    "half precision": (lambda x: jnp.sort(x, 1), (DRAWN.astype(np.float16),)),
    "64 bits": (jnp.sort, (np.array([[2**31 - 1, -(2**31), 0, -1]], np.int32),)),
    "rows of one": (lambda x: (jnp.sort(x[:, :1], 1), jnp.argsort(x[:1], 0)), (DRAWN,)),
    "none": (lambda x: jnp.sort(x[:, :0]), (DRAWN,)),
    "used twice": (lambda x: (jnp.sort(x, 1)[:, 1:3], jnp.sort(x, 1)[:, 4:]), (DRAWN,)),
}


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
@pytest.mark.parametrize("name", SORTS)
def test_sorts(cluster: ditto.LocalCluster, name: str, policy: str) -> None:
    """Equal keys keep their order, so indices are JAX's; of numbers, medians alone are calculated with."""
    function, arguments = SORTS[name]
    program = ditto.compile(function, *arguments, policy=policy)
    expected = jax.tree.leaves(jax.jit(function)(*arguments))
    for found in (cluster.run(program, *arguments), ditto.simulate(program, *arguments).outputs):
        for ours, jaxs in zip(jax.tree.leaves(found), expected, strict=True):
            assert (ours.dtype, ours.shape) == (jaxs.dtype, jaxs.shape)
            off = (2e-3 if ours.dtype == np.float16 else 2e-4) if ours.dtype.kind == "f" else 0
            np.testing.assert_allclose(ours.astype(float), np.asarray(jaxs, float), atol=off, rtol=0)


def test_rows_are_sorted_together(cluster: ditto.LocalCluster) -> None:
    """In the rounds that one row takes."""
    x = np.random.default_rng(7).normal(size=(8, 16)).astype(np.float32)
    rounds = []
    for rows in (x[:1], x):
        program = ditto.compile(lambda x: jnp.sort(x, 1), rows)
        np.testing.assert_allclose(cluster.run(program, rows), np.sort(rows, 1), atol=2e-5)
        rounds.append(cluster.stats.beside_rounds)
    assert rounds[0] == rounds[1] > 0


def test_a_softmax_in_a_loop(cluster: ditto.LocalCluster) -> None:
    """What its form asks for does not hold there: the loop is in one ring and scale."""
    mask = np.array([True, True, False])

    def rows(x: Any, mask: Any) -> Any:
        return lax.scan(lambda c, row: (c, jax.nn.softmax(jnp.where(mask, row, -1e9))), 0.0, x)[1]

    for policy in ("ditto", "puma", "uniform64"):
        program = ditto.compile(rows, SQUARE, mask, policy=policy)
        assert not ditto.simulate(program, SQUARE, mask).overflows
        np.testing.assert_allclose(cluster.run(program, SQUARE, mask), rows(SQUARE, mask), atol=1e-2)


def test_a_reducer_that_calls_functions_is_refused() -> None:
    with pytest.raises(ditto.DittoError, match=r"its reducer calls 'stablehlo\.exponential'"):
        ditto.compile(lambda x: lax.cumlogsumexp(x, axis=1), SQUARE)


TIES = np.float32([0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 0.25, 1.5, 0.0, 1.0, -3.0])


@pytest.mark.parametrize("measured", [False, True])
def test_ties_are_on_the_side_that_jax_has_them(cluster: ditto.LocalCluster, measured: bool) -> None:
    def compared(x: Any, y: Any) -> Any:
        others = (0.0, 1.0, -1.0, 0.5, -3.0, y)
        orders = (jnp.greater, jnp.greater_equal, jnp.less, jnp.less_equal, jnp.equal)
        return [order(x, other) for other in others for order in orders] + [jnp.where(x > 0, 1, 5)]

    y = TIES[::-1].copy()
    ranges = ditto.calibrate(compared, [(TIES, y)]) if measured else None
    program = ditto.compile(compared, TIES, y, ranges=ranges)
    for _ in range(3):
        for ours, jaxs in zip(cluster.run(program, TIES, y), compared(TIES, y), strict=True):
            np.testing.assert_array_equal(ours, jaxs)


@pytest.mark.parametrize("dtype", [np.float32, np.bool_, np.uint8])
@pytest.mark.parametrize("index", [np.int8, np.uint32])
def test_slices_at_public_places(cluster: ditto.LocalCluster, index: Any, dtype: Any) -> None:
    """StableHLO moves into the tensor what would reach beyond it. Integers of places are single words."""
    x = (np.arange(12).reshape(4, 3) % 5).astype(dtype)
    new = (np.arange(6).reshape(2, 3) % 2).astype(dtype)

    def both(x: Any, new: Any, i: Any, j: Any) -> Any:
        return lax.dynamic_slice(x, (i, j), (2, 1)), lax.dynamic_update_slice(x, new, (i, j))

    places = [index(i) for i in (0, 1, 3, np.iinfo(index).max, np.iinfo(index).min)]
    samples = [(x, new, i, j) for i in places for j in places[:2]]
    visibility = ("secret", "secret", "public", "public")
    ranges = ditto.calibrate(both, samples, visibility=visibility)
    for known in (None, ranges):
        program = ditto.compile(both, *samples[0], visibility=visibility, ranges=known)
        for sample in samples:
            for ours, jaxs in zip(cluster.run(program, *sample), jax.jit(both)(*sample), strict=True):
                np.testing.assert_array_equal(ours, jaxs)


def test_single_booleans_of_the_engine(cluster: ditto.LocalCluster) -> None:
    def chosen(x: Any, n: Any, m: Any) -> Any:
        return jnp.where(n * m < m, x, -x), (n < m) & (m < 9)

    for visibility in ("secret", ("secret", "public", "secret"), ("secret", "public", "public")):
        x = np.float32(1.5)
        program = ditto.compile(chosen, x, np.int32(0), np.int32(0), visibility=visibility)
        for n, m in ((2, 3), (-2, 3), (3, 3)):
            found = cluster.run(program, x, np.int32(n), np.int32(m))
            assert [np.asarray(f).item() for f in found] == [1.5 if n * m < m else -1.5, n < m < 9]


HUGE = np.float32([1e5, 2e5, -2.5e5])


@pytest.mark.parametrize("policy", ["ditto", "ditto-engine", "uniform64"])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.sum(x * 1e4) * 1e-6,
        lambda x: x**3 * 1e-9,
        lambda x: jnp.cumsum(x * 1e5) * 1e-6,
        lambda x: jnp.exp(jnp.where(x > 0, x * 1e5, -jnp.inf) * 1e-10),
        lambda x: jnp.max(x * x + jnp.where(x > 0, 0.0, -1e9)) * 1e-6,
        lambda x: jnp.maximum(x * x * 1e-3 - 1e9 * (x < 0), -5.0) * 1e-6,
        lambda x: x / 1e-6 * 1e-9,
        lambda x: (x + 1e9) * 1e-6,
        lambda x: x * 3e8 * 1e-10,
    ],
)
@pytest.mark.filterwarnings("ignore::ditto.DittoWarning")
def test_measured_numbers_that_others_take_for_infinity(
    cluster: ditto.LocalCluster, function: Any, policy: str
) -> None:
    try:
        ranges = ditto.calibrate(function, [(HUGE,)], policy=policy)
        program = ditto.compile(function, HUGE, policy=policy, ranges=ranges)
    except ditto.DittoError:
        return
    # The engine rounds small factors.
    exact = np.asarray(function(HUGE))
    np.testing.assert_allclose(cluster.run(program, HUGE), exact, atol=0.02 * np.abs(exact).max())


def clustered(points: Any, centres: Any) -> Any:
    distances = jnp.sum(centres**2, axis=1) - 2 * points @ centres.T
    mine = (distances <= distances.min(axis=1, keepdims=True)).astype(points.dtype)
    count, total = jnp.sum(mine, axis=0), mine.T @ points
    furthest = distances == distances.max(axis=1, keepdims=True)
    return furthest, mine, count, total, total / count[:, None]


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_least_is_one_of_those_that_it_is_the_least_of(calibrated: bool) -> None:
    """x == x.max() holds where plaintext says so; and whole numbers with other uses are not cut to none."""
    rng = np.random.default_rng(4)
    centres = rng.uniform(-1, 1, (4, 8)).astype(np.float32)
    points = (centres[rng.integers(0, 4, 300)] + rng.normal(size=(300, 8)) / 5).astype(np.float32)
    # Without those at about the same distance of two, which rounding decides.
    distances = np.sort(((points[:, None] - centres) ** 2).sum(axis=2))
    points = points[(np.diff(distances)[:, [0, -1]] > 0.05).all(axis=1)]
    assert len(points) > 200
    ranges = ditto.calibrate(clustered, [(points, centres)]) if calibrated else None
    program = ditto.compile(clustered, points, centres, ranges=ranges)
    exact = jax.jit(clustered)(points, centres)
    with ditto.LocalCluster() as cluster:
        found = cluster.run(program, points, centres)
    for mine, other in zip(found[:2], exact[:2], strict=True):
        assert np.abs(np.asarray(mine, np.float64) - np.asarray(other, np.float64)).max() < 1e-3
    for mine, other, bound in zip(found[2:], exact[2:], (0.05, 0.3, 0.02), strict=True):
        assert np.abs(mine - np.asarray(other)).max() < bound


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
def test_products_of_public_numbers_beside_secret_ones(cluster: ditto.LocalCluster, policy: str) -> None:
    def fn(x: Any, image: Any, y: Any) -> Any:
        batched = jnp.einsum("bij,bjk->bik", x, x)
        window = jax.lax.conv_general_dilated(image, image[:2, :, :2, :2], (1, 1), "SAME")
        return (x[0].T @ x[0]) @ y, batched @ y, window * y.sum()

    rng = np.random.default_rng(3)
    x, image, y = (rng.normal(size=s).astype(np.float32) for s in [(2, 3, 3), (2, 2, 5, 5), (3, 3)])
    program = ditto.compile(fn, x, image, y, policy=policy, visibility=("public", "public", "secret"))
    for found, expected in zip(cluster.run(program, x, image, y), fn(x, image, y), strict=True):
        assert np.abs(found - expected).max() < 2e-2


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, jnp.bfloat16])
@pytest.mark.parametrize("test", [jnp.isfinite, jnp.isnan, jnp.isinf, jnp.isposinf, lambda x: x != x])
def test_inputs_that_are_no_numbers_are_refused_by_their_tests(cluster, test, dtype, policy):
    """No answer is shared for: inputs are numbers, so the compiler has it, and must not be wrong about it."""
    x = np.array([0.5, -1, 2], dtype)
    program = ditto.compile(test, x, policy=policy)
    np.testing.assert_array_equal(cluster.run(program, x), test(x))
    for wrong in (np.nan, np.inf, -np.inf):
        bad = np.array([0.5, wrong, 2], dtype)
        for use in (cluster.run, ditto.simulate):
            with pytest.raises(ditto.DittoError, match=rf"input 0: {wrong} is no number"):
                use(program, bad)
        with pytest.raises(ditto.DittoError, match="is no number"):
            cluster.share(program, 0, bad)


TABLE = np.float32([[1, 2], [3, 4], [5, 6]])

DECIDED: dict[str, tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]] = {
    "index": (jnp.argmax, (FLOATS,), (FLOATS[[0, 1, 3, 2]],)),
    "parity of an index": (
        lambda x: jnp.where(jnp.argmax(x) % 2 == 1, 1.0, -1.0),
        (FLOATS,),
        (FLOATS[[0, 1, 3, 2]],),
    ),
    "half of an index": (lambda x: jnp.argmax(x) // 2, (FLOATS[::-1],), (FLOATS,)),
    "quotient of zeros": (lambda i: i * 3 // 2, (I32 * 0,), (I32,)),
    "mask without padding": (
        lambda x, i: jnp.where(i[:, None] > 0, x, -1.0),
        (TABLE, np.int32([1, 1, 1])),
        (TABLE, np.int32([1, 0, 1])),
    ),
    "one kind of token": (lambda i: jnp.where(i == 1, 5.0, 6.0), (I32 * 0,), (np.int32([1, 0, 1, 2]),)),
    "row of a table": (
        lambda t, i: jnp.take(t, i, axis=0),
        (TABLE, np.int32([0, 2])),
        (TABLE, np.int32([2, 1])),
    ),
    "closed gate": (lambda x: jax.nn.relu(x[:2]) * 3, (np.float32([-1, -2, 2]),), (np.float32([1, 2, 2]),)),
    "branch that none took": (
        lambda x: jnp.where(x[0] > 0, 4.0, 0.0) * jnp.ones(2) * 3,
        (np.float32([-1, 1]),),
        (np.float32([1, 1]),),
    ),
    "threshold": (
        lambda x: (x[:2] > 0).astype(jnp.float32) * 3,
        (np.float32([-1, -2, 2]),),
        (np.float32([1, 2, 2]),),
    ),
}


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("policy", ["ditto", "ditto-engine"])
@pytest.mark.parametrize("name", DECIDED)
def test_what_samples_decided_an_input_may_decide_otherwise(cluster, name, policy, guard):
    """Calibrated on other numbers of the same ranges; integers may be any of their dtypes."""
    function, sample, arguments = DECIDED[name]
    ranges = ditto.calibrate(function, [sample], policy=policy)
    program = ditto.compile(function, *sample, policy=policy, ranges=ranges, guard=guard)
    for inputs in (sample, arguments):
        expected = np.asarray(function(*inputs))
        found = cluster.run(program, *inputs)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, atol=0 if expected.dtype.kind == "i" else 0.01)


def normalized(spread: Callable[[Any], Any], axes: tuple[int, ...]) -> Callable[..., Any]:
    """As Flax and Haiku write it: the scale is multiplied by what each row is divided by."""

    def run(x: Any, gain: Any) -> Any:
        mean = x.mean(axes, keepdims=True)
        variance = ((x - mean) ** 2).mean(axes, keepdims=True)
        return (x - mean) * (lax.rsqrt(variance + 1e-5) * spread(gain))

    return run


NORMS: dict[str, Callable[..., Any]] = {
    "batch": normalized(lambda gain: gain, (0, 1)),
    "batch alone": normalized(lambda gain: gain, (0,)),
    "instance": normalized(lambda gain: jnp.broadcast_to(gain, (4, 1, 3)), (1,)),
    "layer": normalized(lambda gain: gain, (2,)),
    "one gain": normalized(lambda gain: gain[0], (1,)),
    "a gain for each image": normalized(lambda gain: jnp.tile(gain, 2)[:4, None, None], (1, 2)),
    "all": normalized(lambda gain: jnp.broadcast_to(gain, (4, 6, 3)), (0, 1, 2)),
}


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("policy", ["ditto", "ditto-engine", "puma", "uniform64"])
@pytest.mark.parametrize("name", NORMS)
def test_scales_of_norms_may_be_spread_later(cluster, name, policy, calibrated):
    rng = np.random.default_rng(0)
    x, gain = rng.normal(size=(4, 6, 3)).astype(np.float32), np.float32([1, 2, -0.5])
    ranges = ditto.calibrate(NORMS[name], [(x, gain)], policy=policy) if calibrated else None
    program = ditto.compile(NORMS[name], x, gain, policy=policy, ranges=ranges)
    np.testing.assert_allclose(cluster.run(program, x, gain), NORMS[name](x, gain), atol=0.02)


def test_typed_keys_are_arguments(cluster):
    """As modules of Flax hold them in their state, used or not."""
    x, key = np.float32([1, 2]), jax.random.key(3)

    def noisy(x, key, unused):
        return x + jax.random.uniform(key, (2,))

    visibility = ("secret", "public", "secret")
    program = ditto.compile(noisy, x, key, key, visibility=visibility)
    expected = noisy(x, key, key)
    np.testing.assert_allclose(cluster.run(program, x, key, key), expected, atol=1e-3)
    np.testing.assert_allclose(ditto.simulate(program, x, key, key).outputs, expected, atol=1e-3)
