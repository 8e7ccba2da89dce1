"""The exact domain against the protocols beside the engine, op by op: no further apart than it says."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.runtime.party.executor import Executor
from ditto.runtime.protocols.local import Public
from ditto.runtime.protocols.shared import Bits, Shared, signed, word_of
from ditto.runtime.transport.channel import run_in_threads
from ditto.simulator import ring as rings
from ditto.simulator.exact import Exact, Tensor, exactly
from ditto.simulator.ops import EXACT
from ditto_compiler.beside.translate import translate
from ditto_compiler.encoding import Int
from ditto_compiler.executor.instruction import Instruction, check
from ditto_compiler.executor.instruction import Tensor as About
from ditto_compiler.ir import element_type, encoding_of, entry_function, ops_of, parse_module
from ditto_compiler.oneshot.fit import fit
from ditto_compiler.oneshot.terms import evaluate
from ditto_compiler.op_attributes import shape_of

COUNT = 64


def function(arguments, results, body):
    """A module of one function; types of arguments and results, and ops with results %0, %1, ..."""
    names = ", ".join(f"%arg{i}: {type_}" for i, type_ in enumerate(arguments))
    last = len(body) - 1
    lines = "\n".join(f"%{i} = {line}" for i, line in enumerate(body))
    return parse_module(
        f"""module {{ func.func @main({names}) -> ({results}) {{
        {lines}
        return %{last} : {results}
        }} }}"""
    )


def fxp(ring, frac, shape=(COUNT,)):
    return f"tensor<{'x'.join(map(str, (*shape, 'f32')))}, #ditto.fxp<{ring}, {frac}>>"


def bits(shape=(COUNT,)):
    return f"tensor<{'x'.join(map(str, (*shape, 'i1')))}, #ditto.int<32>>"


def shared(rng, integers, ring):
    """The parties' slots of ring elements, with arbitrary bits above the ring."""
    word = word_of(ring)
    parts = [rng.integers(0, 1 << 64, integers.shape, np.uint64).astype(word) for _ in range(2)]
    parts.append(integers.astype(np.int64).view(np.uint64).astype(word) - parts[0] - parts[1])
    return [Shared(ring, parts[i], parts[(i + 1) % 3]) for i in range(3)]


def shared_bits(rng, integers):
    parts = [rng.integers(0, 2, integers.shape).astype(np.uint8) for _ in range(2)]
    parts.append(integers.astype(np.uint8) ^ parts[0] ^ parts[1])
    return [Bits(parts[i], parts[(i + 1) % 3]) for i in range(3)]


def opened(values):
    """What a value is, given what each party has of it."""
    first = values[0]
    if isinstance(first, Public):
        return signed(first.words, first.ring)
    if isinstance(first, Bits):
        return (values[0].own ^ values[1].own ^ values[2].own).astype(np.int64)
    return signed(sum(value.own for value in values), first.ring)


def run_parties(module, arrays, seed=0):
    """Runs the ops of a function as instructions, on shares of ring elements."""
    rng = np.random.default_rng(seed)
    entry = entry_function(module)
    numbers, about, instructions = {}, {}, []

    def add(value, secret):
        numbers[value] = len(numbers)
        is_bit = element_type(value) == "i1"
        about[numbers[value]] = About(tuple(shape_of(value)), is_bit, encoding_of(value), secret)
        return numbers[value]

    inputs = [add(value, True) for value in entry.arguments]
    *body, end = ops_of(entry.entry_block)
    for op in body:
        name, count, attributes = translate(op)
        operands = tuple(numbers[value] for value in list(op.operands)[:count])
        secret = any(about[number].secret for number in operands)
        made = Instruction(name, operands, tuple(add(v, secret) for v in op.results), attributes)
        check(made, [about[n] for n in operands], [about[n] for n in made.results])
        instructions.append(made)
    slots = [
        shared_bits(rng, array) if about[n].is_bit else shared(rng, array, about[n].ring)
        for n, array in zip(inputs, arrays, strict=True)
    ]
    wanted = [numbers[value] for value in end.operands]

    def party(channel):
        held = {n: slot[channel.rank] for n, slot in zip(inputs, slots, strict=True)}
        Executor(channel.rank, channel).run(instructions, about.__getitem__, held, wanted.__contains__)
        return [held[n] for n in wanted]

    return [opened(found) for found in zip(*run_in_threads(party), strict=True)]


def simulate(module, arrays, errors=None):
    """The same in plaintext; the results, and the exact domain with what it found."""
    entry = entry_function(module)
    exact = Exact(EXACT)
    inputs = [exactly(np.asarray(array, np.int64)) for array in arrays]
    if errors is not None:
        inputs = [Tensor(x.raw, np.broadcast_to(e, x.raw.shape)) for x, e in zip(inputs, errors, strict=True)]
    with np.errstate(all="ignore"):
        return exact.run(entry.entry_block, inputs), exact


def apart(found, tensor, encoding):
    """How far the parties' elements are from the simulated ones, around the ring."""
    if isinstance(encoding, Int):
        return np.abs(found - tensor.raw)
    return np.abs(rings.to_float(rings.wrap(found - tensor.raw, encoding.ring)))


def assert_alike(module, arrays, *, ulps, wraps=False):
    """The parties' results are within the bounds, and around the ring within `ulps` where they wrapped."""
    results, exact = simulate(module, arrays)
    found = run_parties(module, arrays)
    values = ops_of(entry_function(module).entry_block)[-1].operands
    for mine, tensor, value in zip(found, results, values, strict=True):
        np.testing.assert_array_less(apart(mine, tensor, encoding_of(value)), ulps + 1e-9)
        # Not around the ring: a bound that is finite is one of numbers.
        assert (np.abs(rings.to_float(mine) - rings.to_float(tensor.raw)) <= tensor.error).all()
        if not exact.overflows:
            assert np.isfinite(tensor.error).mean() > 0.5
    assert bool(exact.overflows) == wraps, exact.overflows
    return results, exact


def spread(rng, limit, shape=(COUNT,)):
    """Integers in [-limit, limit): random, small ones, and those at the ends."""
    numbers = rng.integers(-limit, limit, shape)
    flat = numbers.reshape(-1)
    ends = np.array([-limit, limit - 1, 1 - limit, 0, -1, 1])
    flat[: ends.size] = ends
    return flat.reshape(shape)


WIDTHS = (8, 13, 20, 32, 33, 47, 64)


@pytest.mark.parametrize("ring", WIDTHS)
@pytest.mark.parametrize("name", ["add", "subtract"])
def test_sums(name, ring):
    rng = np.random.default_rng(ring)
    type_ = fxp(ring, 3)
    module = function([type_] * 2, type_, [f"stablehlo.{name} %arg0, %arg1 {{ditto.beside}} : {type_}"])
    quarter = 1 << (ring - 2)
    x, y = spread(rng, quarter), rng.permutation(spread(rng, quarter))
    assert_alike(module, [x, y], ulps=0)
    # Twice as large, some leave the ring: they are found, and wrap around as the parties' do.
    _, exact = assert_alike(module, [2 * x, 2 * y], ulps=0, wraps=True)
    (finding,) = exact.overflows.values()
    sums = 2.0 * x + 2.0 * y if name == "add" else 2.0 * x - 2.0 * y
    outside = (sums < -(2.0 ** (ring - 1))) | (sums >= 2.0 ** (ring - 1))
    if ring <= 47:  # floats are exact
        assert finding.elements == outside.sum()
        assert abs(finding.value) == np.abs(sums).max() / 8


@pytest.mark.parametrize("ring", WIDTHS)
def test_reductions(ring):
    rng = np.random.default_rng(ring)
    scalar, rows, result = fxp(ring, 3, ()), fxp(ring, 3, (4, 16)), fxp(ring, 3, (4,))
    module = function(
        [rows],
        result,
        [
            f"stablehlo.constant {{ditto.beside}} dense<0.0> : {scalar}",
            f"""stablehlo.reduce(%arg0 init: %0) applies stablehlo.add across dimensions = [1]
            {{ditto.beside}} : ({rows}, {scalar}) -> {result}""",
        ],
    )
    assert_alike(module, [spread(rng, 1 << (ring - 5), (4, 16))], ulps=0)
    assert_alike(module, [np.full((4, 16), 1 << (ring - 5))], ulps=0, wraps=True)


PRODUCTS = [(8, 0), (12, 5), (20, 8), (32, 10), (33, 14), (47, 20), (64, 24)]
"""Rings, and how many bits are dropped of the products."""


def product_limit(ring, drop, terms=1):
    """Sums of so many products of numbers up to this fit, however they are rounded."""
    return math.isqrt(((1 << (ring - 1)) - (3 << drop)) // terms)


@pytest.mark.parametrize(("ring", "drop"), PRODUCTS)
def test_products(ring, drop):
    rng = np.random.default_rng(ring)
    x, y = fxp(ring, drop), fxp(ring, 2)
    result = fxp(ring - drop, 2)
    signature = f"{{ditto.beside}} : ({x}, {y}) -> {result}"
    limit = product_limit(ring, drop)
    a, b = spread(rng, limit), rng.permutation(spread(rng, limit))
    module = function([x, y], result, [f"stablehlo.multiply %arg0, %arg1 {signature}"])
    assert_alike(module, [a, b], ulps=2 if drop else 0)
    _, exact = assert_alike(module, [4 * a, b], ulps=2 if drop else 0, wraps=True)
    (finding,) = exact.overflows.values()
    assert abs(finding.value) == pytest.approx(np.abs(4.0 * a * b).max() * 2.0 ** -(drop + 2), rel=1e-6)
    # One factor is public: each party drops the bits of what it has.
    constant = f"stablehlo.constant {{ditto.beside}} dense<1.25> : {y}"
    body = [constant, f"stablehlo.multiply %arg0, %0 {signature}"]
    limit = ((1 << (ring - 1)) - (3 << drop)) // 5
    assert_alike(function([x], result, body), [spread(rng, limit)], ulps=2 if drop else 0)


@pytest.mark.parametrize("drop", [1, 4])
def test_ties_are_rounded_either_way(drop):
    """Halves and what is next to them, where rounding to nearest and the parties' shares part."""
    ring = 20
    x, y, result = fxp(ring, drop), fxp(ring, 0), fxp(ring - drop, 0)
    signature = f"{{ditto.beside}} : ({x}, {y}) -> {result}"
    module = function([x, y], result, [f"stablehlo.multiply %arg0, %arg1 {signature}"])
    numbers = np.arange(-COUNT // 2, COUNT // 2) * (1 << drop) + (1 << drop) // 2
    results, _ = simulate(module, [numbers, np.ones(COUNT, np.int64)])
    # To nearest, ties up.
    np.testing.assert_array_equal(results[0].raw, np.arange(-COUNT // 2, COUNT // 2) + 1)
    off = {
        int(step)
        for seed in range(8)
        for step in run_parties(module, [numbers, np.ones(COUNT, np.int64)], seed)[0] - results[0].raw
    }
    assert off == {-1, 0} or off == {-1, 0, 1} or off == {-2, -1, 0} or off == {-2, -1, 0, 1}


@pytest.mark.parametrize(("ring", "drop"), PRODUCTS)
def test_matrix_products(ring, drop):
    rng = np.random.default_rng(ring)
    x, y, result = fxp(ring, drop, (2, 4, 8)), fxp(ring, 2, (2, 8, 3)), fxp(ring - drop, 2, (2, 4, 3))
    module = function(
        [x, y],
        result,
        [
            f"""stablehlo.dot_general %arg0, %arg1, batching_dims = [0] x [0], contracting_dims = [2] x [1]
            {{ditto.beside}} : ({x}, {y}) -> {result}"""
        ],
    )
    limit = product_limit(ring, drop, terms=8)
    a, b = spread(rng, limit, (2, 4, 8)), spread(rng, limit, (2, 8, 3))
    assert_alike(module, [a, b], ulps=2 if drop else 0)
    assert_alike(module, [8 * a, 8 * b], ulps=2 if drop else 0, wraps=True)


def test_convolutions():
    rng = np.random.default_rng(0)
    x, y, result = fxp(28, 6, (1, 6, 2)), fxp(28, 4, (3, 2, 2)), fxp(22, 4, (1, 4, 2))
    module = function(
        [x, y],
        result,
        [
            f"""stablehlo.convolution(%arg0, %arg1) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f],
            window = {{stride = [1], pad = [[0, 0]]}} {{batch_group_count = 1 : i64,
            feature_group_count = 1 : i64, ditto.beside}} : ({x}, {y}) -> {result}"""
        ],
    )
    limit = product_limit(28, 6, terms=6)
    assert_alike(module, [spread(rng, limit, (1, 6, 2)), spread(rng, limit, (3, 2, 2))], ulps=2)


CASTS = [
    # Local: bits of the ring, of the fraction, or of both are dropped, or zeros come in below.
    ((20, 8), (13, 8), 0),
    ((20, 8), (15, 3), 2),
    ((64, 43), (35, 14), 2),
    ((33, 8), (32, 7), 2),
    ((19, 13), (32, 26), 0),
    ((43, 18), (64, 39), 0),
    # Wider, in two rounds.
    ((8, 3), (9, 3), 0),
    ((13, 4), (32, 4), 0),
    ((32, 10), (64, 10), 0),
    ((32, 10), (47, 12), 0),
    ((47, 12), (64, 20), 0),
    # The same ring, or a wider one, with fewer fraction bits.
    ((20, 8), (20, 3), 2),
    ((32, 16), (33, 10), 2),
    ((64, 30), (64, 20), 2),
]


@pytest.mark.parametrize(("source", "target", "ulps"), CASTS)
def test_casts(source, target, ulps):
    rng = np.random.default_rng(0)
    before, after = fxp(*source), fxp(*target)
    # A maker that asks for no more than its ring.
    negated = f"stablehlo.negate %arg0 {{ditto.beside}} : {before}"
    name = "upcast" if target[0] > source[0] else "downcast" if target[0] < source[0] else "rescale"
    module = function([before], after, [negated, f'"ditto.{name}"(%0) : ({before}) -> {after}'])
    dropped = max(0, source[1] - target[1])
    is_local = target[0] - source[0] + source[1] - target[1] <= 0
    room = target[0] - 1 + source[1] - target[1]
    limit = min(source[0] - 1 if is_local else source[0] - 2, room)
    assert_alike(module, [spread(rng, (1 << limit) - (3 << dropped) // 2)], ulps=ulps)
    if limit == room < source[0] - 1:
        assert_alike(module, [np.full(COUNT, 5 << (limit - 2))], ulps=ulps, wraps=True)


def test_what_is_widened_asks_for_another_bit_and_nothing_else_does():
    """In ring 16: 2^14 is in the ring, and widened it may become anything."""
    x, y = fxp(16, 0, (1,)), fxp(32, 0, (1,))
    negated = f"stablehlo.negate %arg0 {{ditto.beside}} : {x}"
    widened = function([x], y, [negated, f'"ditto.upcast"(%0) : ({x}) -> {y}'])
    assert not simulate(function([x], x, [negated]), [np.array([1 - 2**15])])[1].overflows
    assert not simulate(widened, [np.array([2**14 - 1])])[1].overflows
    (tensor,), exact = simulate(widened, [np.array([2**14])])
    (finding,) = exact.overflows.values()
    assert (finding.op, finding.value, str(finding.encoding)) == (
        "ditto.upcast",
        -(2**14),
        "#ditto.fxp<16, 0>",
    )
    assert "below 16384" in str(finding) and np.isinf(tensor.error).all()
    # What errors may take there is open too.
    (tensor,), _ = simulate(widened, [np.array([2**14 - 2])], [1.0])
    assert (tensor.error == 1).all()
    (tensor,), _ = simulate(widened, [np.array([2**14 - 2])], [2.0])
    assert np.isinf(tensor.error).all()
    found = {int(run_parties(widened, [np.array([2**14 + 2**13])], seed)[0][0]) for seed in range(12)}
    assert len(found) > 1


@pytest.mark.parametrize("ring", WIDTHS)
def test_comparisons(ring):
    rng = np.random.default_rng(ring)
    x, half = fxp(ring, 1), 1 << (ring - 2)
    thresholds = [0, 1, -5, half - 1, -half]
    listed, types = ", ".join(map(str, thresholds)), ", ".join([bits()] * len(thresholds))

    def compared(names, listed, types):
        return parse_module(
            f"""module {{ func.func @main(%arg0: {x}) -> ({types}) {{
            %0:{len(names)} = "ditto.less"(%arg0) {{thresholds = array<i64: {listed}>, ditto.beside}}
              : ({x}) -> ({types})
            return {", ".join(f"%0#{i}" for i in range(len(names)))} : {types} }} }}"""
        )

    module = compared(thresholds, listed, types)
    numbers = np.append(spread(rng, half)[: -len(thresholds)], thresholds)
    results, exact = simulate(module, [numbers])
    assert not exact.overflows
    for mine, tensor, threshold in zip(run_parties(module, [numbers]), results, thresholds, strict=True):
        np.testing.assert_array_equal(mine, tensor.raw)
        np.testing.assert_array_equal(mine, numbers < threshold)
        assert not tensor.error.any()
    # Where the difference wraps around, the parties find the opposite.
    numbers = spread(rng, 2 * half)
    results, exact = simulate(module, [numbers])
    (finding,) = exact.overflows.values()
    assert finding.op == "ditto.less"
    for mine, tensor, threshold in zip(run_parties(module, [numbers]), results, thresholds, strict=True):
        np.testing.assert_array_equal(mine, tensor.raw)
        opposite = mine != (numbers < threshold)
        assert opposite.any() or -half < threshold < half - 1
        assert (tensor.error[opposite] == 1).all()


def test_comparisons_are_open_within_the_error():
    x = fxp(16, 4)
    module = function(
        [x], bits(), [f'"ditto.less"(%arg0) {{thresholds = array<i64: 3>, ditto.beside}} : ({x}) -> {bits()}']
    )
    numbers = np.arange(COUNT) - COUNT // 2
    (tensor,), _ = simulate(module, [numbers], [2.0])
    for off in (-2, -1, 0, 1, 2):
        differs = (numbers + off < 3) != (tensor.raw != 0)
        assert (tensor.error[differs] == 1).all()
    assert tensor.error.sum() <= 5


@pytest.mark.parametrize("ring", WIDTHS)
def test_selections_and_booleans(ring):
    rng = np.random.default_rng(ring)
    x, half = fxp(ring, 3), 1 << (ring - 2)
    p, q = (rng.integers(0, 2, COUNT) for _ in range(2))
    a, b = spread(rng, 2 * half), rng.permutation(spread(rng, 2 * half))
    select = [f"stablehlo.select %arg0, %arg1, %arg2 {{ditto.beside}} : {bits()}, {x}"]
    assert_alike(function([bits(), x, x], x, select), [p, a, b], ulps=0)
    constant = f"stablehlo.constant {{ditto.beside}} dense<1.5> : {x}"
    select = [constant, f"stablehlo.select %arg0, %0, %arg1 {{ditto.beside}} : {bits()}, {x}"]
    assert_alike(function([bits(), x], x, select), [p, a], ulps=0)
    for name in ("and", "or", "xor"):
        body = [f"stablehlo.{name} %arg0, %arg1 {{ditto.beside}} : {bits()}"]
        assert_alike(function([bits()] * 2, bits(), body), [p, q], ulps=0)
    assert_alike(
        function([bits()], bits(), [f"stablehlo.not %arg0 {{ditto.beside}} : {bits()}"]), [p], ulps=0
    )
    convert = [f"stablehlo.convert %arg0 {{ditto.beside}} : ({bits()}) -> {x}"]
    assert_alike(function([bits()], x, convert), [p], ulps=0)


@pytest.mark.parametrize("name", ["and", "or"])
def test_reductions_of_booleans(name):
    rng = np.random.default_rng(0)
    rows, scalar, result = bits((16, 4)), bits(()), bits((16,))
    start = "true" if name == "and" else "false"
    module = function(
        [rows],
        result,
        [
            f"stablehlo.constant {{ditto.beside}} dense<{start}> : {scalar}",
            f"""stablehlo.reduce(%arg0 init: %0) applies stablehlo.{name} across dimensions = [1]
            {{ditto.beside}} : ({rows}, {scalar}) -> {result}""",
        ],
    )
    assert_alike(module, [rng.integers(0, 2, (16, 4))], ulps=0)


def test_maxima_and_clips_are_off_by_no_more_than_their_parts():
    x = fxp(20, 4)
    maximum = [
        f"stablehlo.subtract %arg0, %arg1 {{ditto.beside}} : {x}",
        f'"ditto.less"(%0) {{thresholds = array<i64: 0>, ditto.beside}} : ({x}) -> {bits()}',
        f"stablehlo.select %1, %arg1, %arg0 {{ditto.beside}} : {bits()}, {x}",
    ]
    rng = np.random.default_rng(0)
    a = rng.integers(-50, 50, COUNT)
    b = a + rng.integers(-12, 12, COUNT)
    (tensor,), _ = simulate(function([x, x], x, maximum), [a, b], [4.0, 3.0])
    np.testing.assert_array_equal(tensor.raw, np.maximum(a, b))
    assert tensor.error.max() == 4
    clip = [
        f'"ditto.less"(%arg0) {{thresholds = array<i64: -16>, ditto.beside}} : ({x}) -> {bits()}',
        f"stablehlo.constant {{ditto.beside}} dense<-1.0> : {x}",
        f"stablehlo.select %0, %1, %arg0 {{ditto.beside}} : {bits()}, {x}",
    ]
    (tensor,), _ = simulate(function([x], x, clip), [a], [4.0])
    np.testing.assert_array_equal(tensor.raw, np.maximum(a, -16))
    np.testing.assert_array_equal(tensor.error, np.where(a + 4 < -16, 0, 4))


FUNCTIONS = {
    "gelu": (lambda x: x / (1 + np.exp(-1.7 * x)), -6, 6, False),
    "exp": (np.exp, -14, 0, False),
    "reciprocal": (lambda x: 1 / x, 0.25, 4, True),
    "log": (np.log, 1, 4.5, False),
}


def oneshot(name, ring_frac, result, max_ring=None):
    f, low, high, relative = FUNCTIONS[name]
    return fit(
        f,
        low,
        high,
        ring_frac=ring_frac,
        result=result,
        # So small that all of the fraction bits are of use.
        error=3e-4,
        relative=relative,
        max_ring=max_ring,
    )


def oneshot_module(terms, before=(), argument=None):
    """A one-shot function, of what other ops make of an argument."""
    x, y = fxp(terms.ring, terms.frac), fxp(terms.result_ring, terms.result_frac)
    attributes = ", ".join(
        f'{key} = "{value}"'
        if isinstance(value, str)
        else f"{key} = {value} : i64"
        if isinstance(value, int)
        else f"{key} = array<i64: {', '.join(map(str, value))}>"
        for key, value in terms.to_attributes().items()
    )
    last = f"%{len(before) - 1}" if before else "%arg0"
    return function(
        [argument or x],
        y,
        [*before, f'"ditto.oneshot"({last}) {{terms = {{{attributes}}}, ditto.beside}} : ({x}) -> {y}'],
    )


@pytest.mark.parametrize(("frac", "result"), [(8, (16, 8)), (12, (20, 12)), (14, (40, 16))])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_shot_functions(name, frac, result):
    terms = oneshot(name, frac, result)
    rng = np.random.default_rng(frac)
    module = oneshot_module(terms)
    numbers = rng.integers(terms.low, terms.high + 1, COUNT)
    numbers[:3] = terms.low, terms.high, (terms.low + terms.high) // 2
    (tensor,), exact = simulate(module, [numbers])
    assert not exact.overflows and np.isfinite(tensor.error).all()
    np.testing.assert_array_equal(tensor.raw, evaluate(terms, numbers))
    true = FUNCTIONS[name][0](np.ldexp(numbers.astype(np.float64), -frac))
    for found in (run_parties(module, [numbers])[0], tensor.raw):
        assert (np.abs(found - tensor.raw) <= tensor.error).all()
        assert (np.abs(found - np.ldexp(true, result[1])) <= tensor.error).all()


@pytest.mark.parametrize("error", [1.0, 7.0, 100.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_shot_functions_of_arguments_that_are_off(name, error):
    """As far as the function really changes within the error, and not much more."""
    terms = oneshot(name, 12, (20, 12))
    module = oneshot_module(terms)
    rng = np.random.default_rng(0)
    numbers = rng.integers(terms.low + 101, terms.high - 100, COUNT)
    numbers[:2] = terms.low + 101, terms.high - 101
    (tensor,), _ = simulate(module, [numbers], [error])
    most = np.zeros(COUNT)
    for off in np.linspace(-error, error, 9).astype(int):
        moved = evaluate(terms, numbers + off)
        assert (np.abs(run_parties(module, [numbers + off])[0] - tensor.raw) <= tensor.error).all()
        most = np.maximum(most, np.abs(moved - tensor.raw))
    (alone,), _ = simulate(module, [numbers])
    assert (tensor.error - alone.error <= 2 * most + 3 + 0.1 * error).all()


def test_arguments_outside_of_a_one_shot_function_are_reported():
    terms = oneshot("exp", 12, (20, 12))
    (tensor,), exact = simulate(oneshot_module(terms), [np.array([terms.high + 1, terms.low - 1] * 32)])
    (finding,) = exact.overflows.values()
    assert finding.op == "ditto.oneshot" and finding.elements == COUNT
    assert "for which it was fitted" in str(finding) and np.isinf(tensor.error).all()


def test_results_of_a_one_shot_function_that_do_not_fit_are_reported():
    terms = dataclasses.replace(oneshot("reciprocal", 12, (16, 10)), result_ring=12)
    numbers = np.linspace(terms.low, terms.high, COUNT).astype(np.int64)
    (tensor,), exact = simulate(oneshot_module(terms), [numbers])
    (finding,) = exact.overflows.values()
    assert finding.value == pytest.approx(4096 / numbers[0], abs=1e-2)
    outside = 4096 / numbers * 1024 >= 2048
    assert (np.isinf(tensor.error) >= outside).all() and np.isinf(tensor.error).sum() <= outside.sum() + 1
    (found,) = run_parties(oneshot_module(terms), [numbers])
    assert np.abs(rings.wrap(found - tensor.raw, 12)).max() <= 10


def test_the_ring_of_an_argument_need_not_hold_it():
    """For one-shot functions, numbers from half of the ring on are no others than those below 0."""
    terms = oneshot("log", 14, (24, 14), max_ring=16)
    assert terms.high > 1 << 15 and terms.ring == 16
    x = fxp(20, 14)
    module = oneshot_module(terms, [f'"ditto.downcast"(%arg0) : ({x}) -> {fxp(16, 14)}'], x)
    numbers = np.linspace(terms.low, terms.high, COUNT).astype(np.int64)
    (tensor,), exact = simulate(module, [numbers])
    assert not exact.overflows and np.isfinite(tensor.error).all()
    assert (np.abs(run_parties(module, [numbers])[0] - tensor.raw) <= tensor.error).all()
    # What wraps around into the domain is told.
    (tensor,), exact = simulate(module, [numbers + (1 << 16)])
    assert exact.overflows and np.isinf(tensor.error).all()


def test_a_clip_vouches_for_arguments_however_far_off():
    """A power of two wraps around below its domain; behind a clip nothing is there."""
    terms = oneshot("exp", 12, (20, 12))
    low = terms.low
    assert terms.kind == "exponential"
    x, y = fxp(20, 12), fxp(terms.ring, 12)
    down = f'"ditto.downcast"(%{{}}) : ({x}) -> {y}'
    clip = [
        f'"ditto.less"(%arg0) {{thresholds = array<i64: {low}>, ditto.beside}} : ({x}) -> {bits()}',
        f"stablehlo.constant {{ditto.beside}} dense<{math.ldexp(low, -12)}> : {x}",
        f"stablehlo.select %0, %1, %arg0 {{ditto.beside}} : {bits()}, {x}",
        down.format(2),
    ]
    numbers = low + np.arange(COUNT)
    (tensor,), _ = simulate(oneshot_module(terms, clip, x), [numbers], [20.0])
    assert np.isfinite(tensor.error).all()
    for off in (-20, 20):
        (found,) = run_parties(oneshot_module(terms, clip, x), [numbers + off])
        assert (np.abs(found - tensor.raw) <= tensor.error).all()
    (tensor,), _ = simulate(oneshot_module(terms, [down.format("arg0")], x), [numbers], [20.0])
    np.testing.assert_array_equal(np.isinf(tensor.error), numbers - 20 < low)


RNG = np.random.default_rng(0)
X, Y, SCORES = (RNG.normal(0, k, (4, 16)).astype(np.float32) for k in (1, 1, 3))
WEIGHTS = [RNG.normal(0, 0.25, shape).astype(np.float32) for shape in ((16, 32), (32, 4))]
IMAGES = RNG.normal(0, 1, (2, 8, 3)).astype(np.float32)
KERNELS = RNG.normal(0, 1, (3, 3, 4)).astype(np.float32)


def convolved(x, w):
    return jax.lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))


def normalized(x):
    return (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)


PROGRAMS = {
    "gelu": (lambda x: jax.nn.gelu(x @ WEIGHTS[0]) @ WEIGHTS[1], X),
    "relu": (lambda x, w: jnp.maximum(x @ w, 0) @ WEIGHTS[1], X, WEIGHTS[0]),
    "gates": (lambda x: jnp.tanh(x) * jax.nn.sigmoid(x) + jax.nn.silu(x), X),
    "softmax": (jax.nn.softmax, SCORES),
    "norm": (normalized, X),
    "maximum": (lambda x: x.max(-1), SCORES),
    "convolution": (lambda x, w: jnp.maximum(convolved(x, w), 0), IMAGES, KERNELS),
    "clip": (lambda x: jnp.exp(jnp.clip(x, -4, 0)), SCORES),
    "choice": (lambda x: jnp.abs(x) + jnp.where(x > 0.5, x, x * x), X),
    "division": (lambda x, y: x / (1 + y * y), X, Y),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_stay_within_their_bounds(cluster, name):
    function, *arguments = PROGRAMS[name]
    samples = [[np.float32(scale) * x for x in arguments] for scale in (1, 0.7, -1)]
    ranges = ditto.calibrate(function, samples, policy="ditto")
    program = ditto.compile(function, *arguments, policy="ditto", ranges=ranges)
    assert "ditto.beside" in program.annotated
    simulation = ditto.simulate(program, *arguments)
    assert not simulation.overflows
    exact, bound = simulation.outputs.astype(np.float64), simulation.error_bounds
    assert np.isfinite(bound).mean() > 0.5
    expected = np.asarray(function(*arguments), np.float64)
    # The parties compute with inputs in steps of 2^-14.
    for found, rounding in ((cluster.run(program, *arguments), 0.0), (expected, 2.0**-14)):
        assert (np.abs(found - exact) <= bound + rounding + 1e-6 * np.abs(exact)).all()
    fast = ditto.simulate(program, *arguments, mode="fast").outputs
    assert (np.abs(fast - exact) <= bound + 1e-5).all()
    # A little more than was measured is fine, and much more is reported.
    assert not ditto.simulate(program, *(np.float32(1.3) * x for x in arguments)).overflows
    wild = ditto.simulate(program, *(np.float32(8) * x for x in arguments))
    assert wild.overflows and all(str(finding) for finding in wild.overflows)


def test_gradients_of_one_shot_functions():
    ranges = ditto.calibrate(jax.nn.gelu, [[X]], policy="ditto")
    program = ditto.compile(jax.nn.gelu, X, policy="ditto", ranges=ranges)
    assert "ditto.oneshot" in program.annotated
    found = jax.grad(lambda x: ditto.simulated(program)(x).sum())(X)
    np.testing.assert_allclose(found, jax.grad(lambda x: jax.nn.gelu(x).sum())(X), atol=0.02)
