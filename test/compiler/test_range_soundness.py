"""What range analysis says holds for what XLA computes: of arithmetic on ranges, and of whole programs."""

import math
import operator

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from case_builders import is_float
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax import lax
from random_modules import random_modules
from random_programs import random_programs

from ditto_compiler import intervals
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.intervals import INFINITE, Range
from ditto_compiler.ir import (
    copy_module,
    element_type,
    entry_function,
    func,
    ir,
    numel,
    ops_of,
    parse_module,
    set_function_type,
)
from ditto_compiler.pass_manager import PassManager, parse_pipeline
from ditto_compiler.xla import XlaFunction

BINARY = {
    intervals.add: operator.add,
    intervals.subtract: operator.sub,
    intervals.multiply: operator.mul,
    intervals.maximum: max,
    intervals.minimum: min,
}
UNARY = {
    intervals.negate: operator.neg,
    intervals.square: lambda x: x * x,
    intervals.magnitude: abs,
    intervals.monotone(math.tanh, -1.0, 1.0): math.tanh,
    intervals.monotone(lambda x: math.exp(min(x, 700)), 0.0, math.inf): lambda x: math.exp(min(x, 700)),
}

numbers = st.floats(-100, 100) | st.sampled_from([0.0, -1.0, 1.0])
huge = st.sampled_from([-math.inf, math.inf, -1e9, 1e9, -3.4e38])
elements = st.lists(numbers | huge, min_size=1, max_size=4)


def allows(range_, x):
    """Whether an element may be x."""
    if math.isnan(x):
        return range_.nan
    slack = 1e-9 * max(1.0, abs(x)) if math.isfinite(x) else 0.0
    if range_.low - slack <= x <= range_.high + slack:
        return True
    return abs(x) > INFINITE / 1000 and (range_.below if x < 0 else range_.above)


@given(elements, elements)
def test_arithmetic_on_ranges_allows_every_result(xs, ys):
    a, b = Range.of_constants(xs), Range.of_constants(ys)
    for on_ranges, on_numbers in BINARY.items():
        found = on_ranges(a, b)
        for x in xs:
            for y in ys:
                # What stands for infinity is, for a mask, a large number: times 0 it is 0.
                both_zero = on_numbers is operator.mul and 0.0 in (x, y)
                assert allows(found, 0.0 if both_zero else on_numbers(x, y)), (on_ranges.__name__, x, y)
    for on_range, on_number in UNARY.items():
        assert all(allows(on_range(a), on_number(x)) for x in xs)


@given(elements, elements)
def test_the_join_allows_what_either_allows(xs, ys):
    joined = intervals.join(Range.of_constants(xs), Range.of_constants(ys))
    assert all(allows(joined, x) for x in (*xs, *ys))
    assert joined == Range.of_constants([*xs, *ys])


def with_all_values(module):
    """Makes `@main` return every value of its block; gives them."""
    entry = entry_function(module)
    end = ops_of(entry.entry_block)[-1]
    values = [*entry.arguments, *(r for op in ops_of(entry.entry_block)[:-1] for r in op.results)]
    with module.context, ir.Location.unknown():
        func.ReturnOp(values, ip=ir.InsertionPoint(end))
        end.erase()
        if "res_attrs" in entry.attributes:
            del entry.attributes["res_attrs"]
        set_function_type(entry)
    return values


def measure(entry, arguments):
    """Says of each argument what lies between its least and its largest element."""
    attributes = names.argument_attributes(entry)
    for entries, argument in zip(attributes, arguments, strict=True):
        if argument.size and argument.dtype != np.bool_:
            ends = [float(argument.min()), float(argument.max())]
            entries[names.RANGE] = ir.DenseF64ArrayAttr.get(ends)
    names.set_argument_attributes(entry, attributes)


def assert_sound(module, *arguments):
    """Compares the range of each value with what XLA computes, when the arguments' ranges are known."""
    PassManager(parse_pipeline("inline-calls,legalize-chlo")).run(module)
    entry = entry_function(module)
    with module.context:
        measure(entry, arguments)
        values = with_all_values(module)
        analysis = RangeAnalysis(entry)
        assert not analysis.contradictions
    for value, array in zip(values, XlaFunction(module)(*arguments), strict=True):
        known = analysis.of(value)
        if not numel(value):
            continue
        dtype, found = element_type(value), array.astype(np.float64)
        # Rounding of XLA's own floats is not part of a range, nor is that of `found`.
        if is_float(array.dtype):
            precision = max(1e-4, 16 * float(ml_dtypes.finfo(array.dtype).eps))
            slack = precision * (1 + np.abs(found[np.isfinite(found)]).max(initial=0))
        else:
            slack = 2.0**10 if array.dtype.itemsize == 8 and np.abs(found).max() > 2.0**53 else 0.0
        ordinary = np.isfinite(found) & ~(
            (known.below & (found <= -INFINITE * 0.999)) | (known.above & (found >= INFINITE * 0.999))
        )
        inside = (known.low - slack <= found) & (found <= known.high + slack)
        wrong = ordinary & ~inside
        wrong |= (found == -np.inf) & (not (known.below or known.nan))
        wrong |= (found == np.inf) & (not (known.above or known.nan))
        wrong |= np.isnan(found) & (not known.nan)
        assert not wrong.any(), f"{value.owner}: {known} ({dtype}) excludes {found[wrong][:3]}"


def module_of(function, *arguments):
    return copy_module(jax.jit(function, keep_unused=True).lower(*arguments).compiler_ir("stablehlo"))


@settings(max_examples=60, deadline=None)
@given(random_programs(most_steps=12))
def test_ranges_of_random_programs(program):
    assert_sound(module_of(program, *program.arguments), *program.arguments)


@settings(max_examples=40, deadline=None)
@given(random_modules())
def test_ranges_of_random_programs_over_all_types(program):
    assert_sound(parse_module(program.text), *program.arguments)


BODIES = {
    "halve": lambda i, a: a * 0.5 + 1,
    "grow": lambda i, a: a * 1.5,
    "flip": lambda i, a: -a,
    "clip": lambda i, a: jnp.clip(a + i, -4.0, 4.0),
    "counter": lambda i, a: a + i.astype(jnp.float32),
    "tanh": lambda i, a: jnp.tanh(a) * 3,
    "transpose": lambda i, a: a.T @ a * 0.1 if a.shape[0] == a.shape[1] else a,
    "rows": lambda i, a: a - a.max(axis=1, keepdims=True),
    "slice": lambda i, a: (
        a.at[i % a.shape[0]].set(2.5) if False else a + lax.dynamic_slice(a, (i, 0), (1, a.shape[1]))
    ),
    "nested": lambda i, a: lax.fori_loop(0, i + 1, lambda j, b: b * 0.5 + j, a),
    "branch": lambda i, a: lax.cond(i > 1, lambda b: b + 1, lambda b: b * 2, a),
    "integers": lambda i, a: a + ((i * 7 - 3) % 5).astype(jnp.float32),
}


@st.composite
def loops(draw):
    """A loop with a fixed number of rounds of some steps, one after the other."""
    start, rounds = draw(st.integers(-3, 3)), draw(st.integers(0, 5))
    steps = draw(st.lists(st.sampled_from(sorted(BODIES)), min_size=1, max_size=3))

    def run(x):
        def body(i, a):
            for step in steps:
                a = BODIES[step](i, a)
            return a

        return lax.fori_loop(start, start + rounds, body, x)

    return run, steps


@settings(max_examples=40, deadline=None)
@given(loops(), st.sampled_from([(3, 3), (2, 4), (1, 1), (4, 1)]), st.integers(0, 2**32 - 1))
def test_ranges_of_random_loops(loop, shape, seed):
    run, _ = loop
    x = np.random.default_rng(seed).uniform(-3, 3, shape).astype(np.float32)
    assume(np.isfinite(run(x)).all())  # what overflows floats is of unknown magnitude, not infinite
    assert_sound(module_of(run, x), x)


def test_a_loop_that_stops_by_its_values():
    def collatz(n):
        return lax.while_loop(
            lambda s: (s[0] != 1) & (s[1] < 50),
            lambda s: (jnp.where(s[0] % 2 == 0, s[0] // 2, 3 * s[0] + 1), s[1] + 1),
            (n, jnp.int32(0)),
        )

    assert_sound(module_of(collatz, np.int32(27)), np.array(27, np.int32))


SQUARE = np.array([[1.0, -2.0, 3.0], [0.5, 2.0, -1.0], [4.0, 0.0, 1.5]], np.float32)

STATISTICS = {
    "a row's maximum": lambda x: jnp.exp(x - x.max(axis=1, keepdims=True)),
    "another row's maximum": lambda x: jnp.exp(x - x.max(axis=1)),
    "a column's maximum": lambda x: jnp.exp(x - x.max(axis=0)),
    "another column's maximum": lambda x: jnp.exp(x - x.max(axis=0)[:, None]),
    "the maximum": lambda x: jnp.exp(x - x.max()),
    "a row's minimum": lambda x: x - x.min(axis=1, keepdims=True),
    "another row's minimum": lambda x: x - x.min(axis=1),
    "shares of a row": lambda x: jnp.abs(x) / jnp.abs(x).sum(axis=1, keepdims=True),
    "shares of another row": lambda x: jnp.abs(x) / jnp.abs(x).sum(axis=1),
    "the maximum of something else": lambda x: jnp.exp(x - (x * 0.5).max(axis=1, keepdims=True)),
    "a maximum with a start": lambda x: x - lax.reduce(x, np.float32(-5), lax.max, (1,))[:, None],
    "sums of another axis": lambda x: jnp.exp(x - x.max(axis=1, keepdims=True)).sum(axis=0),
    "softmax": jax.nn.softmax,
    "masked softmax": lambda x: jax.nn.softmax(jnp.where(x > 0, x, -1e9)),
    "softmax over rows": lambda x: jax.nn.softmax(x, axis=0),
    "log-softmax": jax.nn.log_softmax,
    "logsumexp": jax.nn.logsumexp,
    "padded windows": lambda x: lax.reduce_window(x + 5, 0.0, lax.add, (2, 2), (1, 1), "SAME"),
    "dilated windows": lambda x: lax.reduce_window(
        x + 5, 0.0, lax.add, (2, 2), (1, 1), [(1, 1), (0, 0)], (2, 1), (1, 2)
    ),
    "pooled maxima": lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), "SAME"),
    "products": lambda x: x.prod(axis=0),
    "argmax": lambda x: jnp.argmax(x, axis=1),
    "cumulative maxima": lambda x: lax.cummax(x, 1),
    "sorted": lambda x: jnp.sort(x, axis=0),
    "convolution": lambda x: lax.conv(x[None, None] + 4, x[None, None, :2, :2] + 4, (1, 1), "SAME"),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_ranges_of_statistics_respect_axes(name):
    """On square shapes, a statistic of one axis that is spread along another fits as well."""
    assert_sound(module_of(STATISTICS[name], SQUARE), SQUARE)


INTEGERS = {
    "wrap": lambda i: (i + i, i - 100, i * i, -i, jnp.abs(i)),
    "shifts": lambda i: (i << 1, i >> 2, lax.shift_right_logical(i, jnp.full_like(i, 3)), i << 40, i >> 40),
    "bits": lambda i: (i & 12, i | 5, i ^ 3, ~i, lax.population_count(i)),
    "division": lambda i: (
        i // 3,
        i % 3,
        lax.div(i, jnp.full_like(i, 7)),
        lax.rem(i, jnp.full_like(i, -7 if i.dtype.kind == "i" else 7)),
    ),
    "conversions": lambda i: [
        i.astype(d) for d in (np.int8, np.uint8, np.int32, np.uint32, np.float32, np.bool_)
    ],
    "reductions": lambda i: (
        i.max(),
        i.min(),
        i.sum(),
        i.prod(),
        lax.reduce(i, np.array(3, i.dtype), lax.bitwise_or, (0,)),
    ),
    "comparisons": lambda i: (i > 0, i == i, i < 300, jnp.sign(i)),
}


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint32])
def test_ranges_of_integers_wrap_as_their_dtype_does(name, dtype):
    limits = np.iinfo(dtype)
    i = np.array([0, 1, 2, 3, 100, limits.max, limits.min, limits.max - 1, limits.min + 1], dtype)
    assert_sound(module_of(INTEGERS[name], i), i)
    assert_sound(module_of(INTEGERS[name], i[:5]), i[:5])
