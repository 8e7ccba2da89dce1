"""Values just inside and just outside of the range in which the protocols are right."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ditto
from ditto.simulator.overflow import Overflow
from ditto_compiler.diagnostics import SourceLocation
from ditto_compiler.encoding import Fxp

LIMIT = 2.0**22
"""Of a value with 8 fraction bits in ring 32: 2^(32-2-8)."""


def overflows(function, *arguments, policy="uniform32", rescale="engine", **options):
    policy = dataclasses.replace(ditto.load_policy(policy), rescale=rescale)
    return ditto.simulate(ditto.compile(function, *arguments, policy=policy), *arguments, **options).overflows


# function of x, and the least x whose result does not fit
EDGES = {
    "add": (lambda x: x + x, LIMIT / 2),
    "subtract": (lambda x: -x - x, LIMIT / 2),
    "add_that_wraps_around": (lambda x: x + x + x + x, LIMIT / 4),
    "reduce": (lambda x: jnp.concatenate([x, x, x, x]).sum(0, keepdims=True), LIMIT / 4),
    # The engine truncates after it has multiplied: 2^(32-2-16).
    "multiply": (lambda x: x * 4.0, 2.0**12),
    "dot": (lambda x: jnp.stack([x, x]).T @ jnp.full((2, 1), 4.0), 2.0**11),
    # The engine multiplies by 2^-1 first: 2^(32-2-15).
    "tiny_factor": (lambda x: x * 2.0**-7, 2.0**15),
    "loop": (lambda x: jax.lax.fori_loop(0, 3, lambda _, a: a + a, x), LIMIT / 8),
}


@pytest.mark.parametrize("name", EDGES)
def test_the_largest_value_that_fits_and_the_next(name):
    function, edge = EDGES[name]
    step = max(2.0**-8, float(np.spacing(np.float32(edge / 2))))
    assert not overflows(function, np.float32([edge - step]))
    assert overflows(function, np.float32([edge]))
    assert overflows(function, np.float32([-edge]))


def test_the_largest_integer_that_fits_fixed_point():
    def function(i):
        return i.astype(jnp.float32)

    assert not overflows(function, np.int32([LIMIT - 1]))
    assert overflows(function, np.int32([LIMIT]))


def test_an_exact_product_has_the_fraction_bits_of_both():
    def square(x):
        return x * x

    (overflow,) = overflows(square, np.float32([128.0]), rescale="explicit")
    assert not overflows(square, np.float32([127.99]), rescale="explicit")
    assert overflow.encoding == Fxp(32, 16) and overflow.truncated == 0


def test_the_message_says_where_what_and_what_would_fit():
    def model(x):
        with jax.named_scope("layer0"):
            return x + x

    x = np.float32([[1.0, -3e6, 2.5e6]])
    (overflow,) = overflows(model, x)
    line = model.__code__.co_firstlineno + 2
    assert str(overflow) == (
        f"{__file__}:{line}:19: stablehlo.add: value -6e+06 does not fit #ditto.fxp<32, 8>, "
        "whose magnitudes stay below 4.1943e+06; at most 7 fraction bits fit (2 elements do not fit)"
    )
    assert overflow.scope == "jit(model)/jit(main)/layer0/add"
    assert overflow.value == -6e6 and overflow.elements == 2 and overflow.max_frac == 7


def test_the_message_about_a_product_that_is_truncated():
    (overflow,) = overflows(lambda x: x * x, np.float32([300.0]))
    assert "value 90000 does not fit #ditto.fxp<32, 8> with 16 fraction bits before it is truncated" in str(
        overflow
    )
    assert "below 16384; at most 6 fraction bits fit" in str(overflow)


def test_a_cast_into_a_narrower_ring():
    policy = ditto.Policy(
        "product in ring 32",
        ditto.load_policy("uniform64").dtypes,
        (ditto.Rule("product", op=("stablehlo.dot_general",), ring=32, frac=10),),
    )
    x = np.float32([[2000.0]])
    program = ditto.compile(lambda x: jnp.abs(x) * 1000.0 @ jnp.ones((1, 1)), x, policy=policy)
    overflow = ditto.simulate(program, x).overflows[0]
    assert overflow.op == "ditto.downcast" and overflow.value == 2e6
    assert not ditto.simulate(program, np.float32([[1.0]])).overflows


def test_integers_wrap_around_as_in_jax_and_change_ring_then():
    def function(i):
        return (i * i).astype(jnp.float32)

    i = np.int32([2**15 - 1, 2**15, 46341, 2**16 + 3, -(2**31)])
    program = ditto.compile(function, i, policy="dtype")
    assert {cast.op for _, cast in program.casts()} == {"upcast"}
    simulation = ditto.simulate(program, i)
    assert not simulation.overflows
    # Fixed point holds 24 bits of them, as single precision does.
    np.testing.assert_allclose(simulation.outputs, jax.jit(function)(i), rtol=2.0**-24)


def test_floats_that_do_not_fit_an_integer_type():
    def function(x):
        return x.astype(jnp.int8)

    assert not overflows(function, np.float32([127.0, -128.0]))
    (overflow,) = overflows(function, np.float32([128.0]))
    assert "value 128 does not fit i8, and may become any integer" in str(overflow)


def test_an_input_that_the_parties_would_refuse():
    (overflow,) = overflows(lambda x: x, np.float32([1e9]))
    assert str(overflow).startswith("input 0: value 1e+09 does not fit #ditto.fxp<32, 8>")
    (overflow,) = overflows(lambda x: x, np.float32([2e9]))
    assert "no fraction fits, use a wider ring" in str(overflow)


def test_functions_report_infinities_and_what_is_no_number():
    def function(x):
        return 1 / x, jnp.log(x - 1)

    x = np.float32([0.0])
    infinite, undefined = overflows(function, x, policy="uniform64", functions="ideal")
    assert infinite.value == math.inf and infinite.max_frac is None
    assert "value inf does not fit" in str(infinite)
    assert "a value is not a number" in str(undefined)
    by_zero, negative = overflows(function, x, policy="uniform64", functions="engine")
    assert "stablehlo.divide: 0 is out of its domain" in str(by_zero)
    assert "stablehlo.log: -1 is out of its domain" in str(negative)


def test_exponentials_report_results_that_do_not_fit():
    """e^x < 2^(64-2-36) = R, and the last square is what is too large for x = 20."""
    assert not overflows(jnp.exp, np.float32([17.9]), policy="uniform64")
    for x in (20.0, 800.0):
        assert overflows(jnp.exp, np.float32([x]), policy="uniform64")
    assert not overflows(jnp.exp, np.float32([-800.0]), policy="uniform64")


def test_a_loop_reports_an_op_once_with_its_largest_value():
    (overflow,) = overflows(
        lambda x: jax.lax.fori_loop(0, 4, lambda _, a: a * 2.0, x), np.float32([4000.0]), policy="uniform32"
    )
    assert overflow.op == "stablehlo.multiply" and overflow.value >= 8 * 4000


def test_masks_are_infinities_that_fit():
    def attention(x, mask):
        scores = jnp.where(mask, x @ x.T, -jnp.inf)
        return jax.nn.softmax(scores)

    x, mask = np.eye(3, 4, dtype=np.float32), np.tri(3, dtype=bool)
    for name, error in {"uniform64": 2**-14, "ditto": 2**-10}.items():
        for rescale in ("engine", "explicit"):
            policy = dataclasses.replace(ditto.load_policy(name), rescale=rescale)
            simulation = ditto.simulate(ditto.compile(attention, x, mask, policy=policy), x, mask)
            assert not simulation.overflows and np.isfinite(simulation.error_bounds).all()
            np.testing.assert_allclose(simulation.outputs, attention(x, mask), atol=error)


def test_bounds_are_infinite_after_an_overflow():
    program = ditto.compile(lambda x: (x + x, x), np.zeros(2, np.float32), policy="uniform32")
    doubled, same = ditto.simulate(program, np.float32([1.0, LIMIT / 2])).error_bounds
    assert doubled.tolist() == [0, math.inf] and same.tolist() == [0, 0]


@given(st.floats(1e-6, 1e30), st.sampled_from([32, 64, 128]))
def test_max_frac_is_the_largest_that_fits(value, ring):
    overflow = Overflow("op", SourceLocation(), value, Fxp(ring, ring - 2), 0, 1)
    frac = overflow.max_frac
    limit = 2 ** (ring - 2)
    if frac is None:
        assert value >= limit
    else:
        assert value * 2.0**frac < limit <= value * 2.0 ** (frac + 1)
