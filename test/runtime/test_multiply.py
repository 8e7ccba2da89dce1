"""Products of shares: within their bound for any slots, at the stated cost, and telling nobody anything."""

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seats import (
    least_uniform_sum,
    numbers,
    of_slots,
    opened,
    random_words,
    sent_by,
    three,
    views,
    words,
)

from ditto import _native
from ditto.runtime.protocols.multiply import (
    Window,
    convolution,
    convolution_public,
    dot_general,
    dot_public,
    multiply,
    multiply_public,
    square,
)
from ditto.runtime.protocols.rounds import together
from ditto.runtime.protocols.shared import reduced, word_of
from ditto_compiler.errors import InternalError
from ditto_compiler.protocols.costs import FREE, ProtocolCost, multiply_cost, packed_bytes
from ditto_compiler.protocols.parts import ALONE, parts

RINGS = (1, 2, 8, 13, 16, 24, 31, 32, 33, 48, 52, 53, 63, 64)


def drops(ring):
    return sorted({t for t in (0, 1, 2, 8, ring // 3, ring - 2, ring - 1) if 0 <= t < ring})


def run_at_cost(step, elements, ring, drop):
    """What a product gives, after a check of bytes and rounds."""
    results, cost = three(step)
    stated = multiply_cost(elements, ring, drop)
    assert cost == (stated.bytes, stated.rounds)
    assert all(result.ring == ring - drop for result in results)
    return opened(results)


def assert_within(product, results, ring, drop):
    """The documented bound, modulo 2^ring: exact without a drop, else less than 3/2 units of the result."""
    low, high = (-3 * 2 ** (drop - 1) + 2, 3 * 2 ** (drop - 1) - 1) if drop else (0, 0)
    half = 1 << (ring - 1)
    assert np.shape(product) == results.shape
    for z, y in zip(np.asarray(product, object).reshape(-1), results.reshape(-1).tolist(), strict=True):
        error = ((y << drop) - int(z) + half) % (2 * half) - half
        # Where the ring has no room for an error of 3/2 units, the error is known only modulo the ring.
        assert low <= error <= high or high - low >= 2 * half - 1, f"ring {ring}, drop {drop}: {z} became {y}"


def integers(draw, shape, ring):
    """Random numbers of a ring with its ends, as Python's integers."""
    half = 1 << (ring - 1)
    size = int(np.prod(shape))
    flat = [int.from_bytes(draw.bytes(9), "little") % (2 * half) - half for _ in range(size)]
    flat[:4] = [-half, half - 1, 0, -1][:size]
    out = np.empty(size, object)
    out[:] = flat
    return out.reshape(shape)


@pytest.mark.parametrize("ring", RINGS)
def test_products_by_element_are_within_the_bound_in_the_whole_ring(ring):
    draw = np.random.default_rng(ring)
    x, y = integers(draw, 300, ring), integers(draw, 300, ring)[::-1]
    half = 1 << (ring - 1)
    x[:16], y[:16] = zip(*itertools.product([-half, half - 1, 0, -1], repeat=2), strict=True)
    slots = numbers(x, ring, 1), numbers(y, ring, 2)
    for drop in drops(ring):
        results = run_at_cost(
            lambda party, t=drop: multiply(party, slots[0][party.rank], slots[1][party.rank], t),
            300,
            ring,
            drop,
        )
        assert_within(x * y, results, ring, drop)


@pytest.mark.parametrize("ring", RINGS)
def test_squares(ring):
    x = integers(np.random.default_rng(ring), 100, ring)
    slots = numbers(x, ring)
    for drop in drops(ring):
        results = run_at_cost(lambda party, t=drop: square(party, slots[party.rank], t), 100, ring, drop)
        assert_within(x * x, results, ring, drop)


@st.composite
def slots_of_any_kind(draw):
    ring = draw(st.integers(1, 64))
    top = (1 << 8 * word_of(ring).itemsize) - 1
    size = draw(st.integers(0, 9))
    some = st.integers(0, top) | st.sampled_from([0, 1, top, top >> 1, (1 << ring) - 1, 1 << (ring - 1)])
    slots = [draw(st.lists(some, min_size=size, max_size=size)) for _ in range(6)]
    return ring, draw(st.integers(0, ring - 1)), slots


@given(slots_of_any_kind())
@settings(max_examples=150, deadline=None)
def test_any_slots_keep_the_bound(case):
    ring, drop, slots = case
    x, y = slots[:3], slots[3:]
    held = [of_slots([words(slot, ring) for slot in three_slots], ring) for three_slots in (x, y)]
    results = run_at_cost(
        lambda party: multiply(party, held[0][party.rank], held[1][party.rank], drop), len(x[0]), ring, drop
    )
    product = [sum(a) * sum(b) for a, b in zip(zip(*x, strict=True), zip(*y, strict=True), strict=True)]
    assert_within(np.array(product, object), results, ring, drop)


def interleaved(array):
    out = np.empty((*array.shape, 2), array.dtype)[..., 0]
    out[...] = array
    return out


def column_major(array):
    return np.array(array, order="F")


def backwards(array):
    return np.flip(np.array(np.flip(array), order="C"))


def unaligned(array):
    return np.frombuffer(b"12345" + array.tobytes(), array.dtype, offset=5).reshape(array.shape)


LAYOUTS = (np.array, column_major, interleaved, backwards, unaligned)


@pytest.mark.parametrize("ring", [24, 40])
@pytest.mark.parametrize(
    "shape", [(), (0,), (3, 0, 2), (1,), (5,), (8,), (255,), (256,), (257,), (4, 3, 50)], ids=str
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_shapes_and_layouts(ring, shape, layout):
    draw = np.random.default_rng(3)
    x, y = integers(draw, shape, ring), integers(draw, shape, ring)
    slots = [[s.each(layout) for s in numbers(v, ring)] for v in (x, y)]
    for drop in (0, 9):
        results = run_at_cost(
            lambda party, t=drop: multiply(party, slots[0][party.rank], slots[1][party.rank], t),
            x.size,
            ring,
            drop,
        )
        assert_within(x * y, results, ring, drop)


def test_broadcast_views():
    x, y = integers(np.random.default_rng(4), (6, 7), 32), integers(np.random.default_rng(5), (7,), 32)
    scale = [s.each(lambda slot: np.broadcast_to(slot, (6, 7))) for s in numbers(y, 32)]
    one = [s.each(lambda slot: np.broadcast_to(slot[0], (6, 7))) for s in numbers(y, 32)]
    slots = numbers(x, 32)
    for factor, expected in ((scale, x * y), (one, x * y[0])):
        results = run_at_cost(
            lambda party, f=factor: multiply(party, slots[party.rank], f[party.rank], 12), 42, 32, 12
        )
        assert_within(expected, results, 32, 12)


def test_operands_are_not_written_to():
    slots = numbers(integers(np.random.default_rng(6), 50, 20), 20)
    before = [(s.own.copy(), s.next.copy()) for s in slots]
    three(lambda party: multiply(party, slots[party.rank], slots[party.rank], 3))
    for s, (own, following) in zip(slots, before, strict=True):
        assert np.array_equal(s.own, own) and np.array_equal(s.next, following)


def dot(x, y, batch, contract):
    """Products of matrices of Python's integers, with StableHLO's order of dimensions."""
    letters = iter("abcdefghijklmnop")
    left, right = [next(letters) for _ in range(x.ndim)], [next(letters) for _ in range(y.ndim)]
    for pairs in (batch, contract):
        for i, j in zip(*pairs, strict=True):
            right[j] = left[i]
    inside = {left[i] for pairs in (batch, contract) for i in pairs[0]}
    shared = [left[i] for i in batch[0]]
    free = [a for a in left if a not in inside] + [b for b in right if b not in inside]
    return np.asarray(
        np.einsum(f"{''.join(left)},{''.join(right)}->{''.join(shared + free)}", x, y, optimize=False), object
    )


NO = ((), ())
DOTS = [
    ((4, 5), (5, 6), NO, ((1,), (0,))),
    ((4, 5), (6, 5), NO, ((1,), (1,))),
    ((5, 4), (5, 6), NO, ((0,), (0,))),
    ((2, 3, 4, 5), (2, 6, 3, 5), ((0, 1), (0, 2)), ((3,), (3,))),
    ((2, 4, 3, 5), (3, 2, 5), ((2, 0), (0, 1)), ((3,), (2,))),
    ((4, 3, 5), (5, 3, 2), NO, ((1, 2), (1, 0))),
    ((4, 3, 5), (5, 3, 2), NO, ((2, 1), (0, 1))),
    ((7, 20), (7, 20), ((0,), (0,)), ((1,), (1,))),
    ((3,), (4,), NO, NO),
    ((5,), (5,), NO, ((0,), (0,))),
    ((), (3,), NO, NO),
    ((2, 0), (0, 3), NO, ((1,), (0,))),
    ((0, 2), (2, 3), NO, ((1,), (0,))),
    ((3, 4, 0), (3, 0, 5), ((0,), (0,)), ((2,), (1,))),
    ((33, 70), (70, 45), NO, ((1,), (0,))),
    ((17, 70), (41, 70), NO, ((1,), (1,))),
]


@pytest.mark.parametrize(("left", "right", "batch", "contract"), DOTS, ids=str)
@pytest.mark.parametrize("ring", [13, 32, 48, 64])
def test_matrix_products(ring, left, right, batch, contract):
    draw = np.random.default_rng(7)
    x, y = integers(draw, left, ring), integers(draw, right, ring)
    expected = dot(x, y, batch, contract)
    slots = numbers(x, ring, 1), numbers(y, ring, 2)
    for drop in (0, 5):
        results = run_at_cost(
            lambda party, t=drop: dot_general(
                party, slots[0][party.rank], slots[1][party.rank], t, batch=batch, contract=contract
            ),
            expected.size,
            ring,
            drop,
        )
        assert_within(expected, results, ring, drop)
    public = [dot_public(s, words(y, ring), batch=batch, contract=contract) for s in slots[0]]
    assert_within(expected, opened(public), ring, 0)
    public = [dot_public(words(x, ring), s, batch=batch, contract=contract) for s in slots[1]]
    assert_within(expected, opened(public), ring, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_matrices_of_any_layout(layout):
    names = {"batch": ((0,), (0,)), "contract": ((2,), (2,))}
    draw = np.random.default_rng(13)
    for ring, rows in ((20, 3), (20, 30), (40, 3), (40, 30)):
        x, y = integers(draw, (2, rows, 21), ring), integers(draw, (2, 19, 21), ring)
        slots = [[s.each(layout) for s in numbers(v, ring)] for v in (x, y)]
        expected = dot(x, y, **names)
        results = run_at_cost(
            lambda party, s=slots: dot_general(party, s[0][party.rank], s[1][party.rank], 4, **names),
            expected.size,
            ring,
            4,
        )
        assert_within(expected, results, ring, 4)


def test_all_products_of_a_batch_are_one_message():
    slots = numbers(integers(np.random.default_rng(8), (12, 4, 4), 20), 20)
    names = {"batch": ((0,), (0,)), "contract": ((2,), (1,))}
    sent = sent_by(lambda party: dot_general(party, slots[party.rank], slots[party.rank], 4, **names))
    assert sent == [packed_bytes(12 * 16, 16)] * 3


CONVOLUTIONS = [
    {},
    {"strides": (2, 3), "padding": ((1, 0), (2, 3))},
    {"padding": ((-1, 2), (0, -2))},
    {"lhs_dilation": (2, 1), "rhs_dilation": (1, 2), "padding": ((1, 1), (3, 0))},
    {"lhs_dilation": (3, 2), "padding": ((-2, 1), (1, -3))},
    {"feature_group_count": 2},
    {"batch_group_count": 2},
    {"layouts": ("NCHW", "OIHW", "NCHW"), "strides": (1, 2)},
    {"layouts": ("HNWC", "IOWH", "WCHN")},
]


@pytest.mark.parametrize("attributes", CONVOLUTIONS, ids=str)
def test_convolutions_are_those_of_jax(attributes):
    attributes = dict(attributes)
    layouts = attributes.pop("layouts", ("NHWC", "HWIO", "NHWC"))
    features, batches = (attributes.get(f"{name}_group_count", 1) for name in ("feature", "batch"))
    sizes = {"N": 2, "H": 9, "W": 8, "C": 4}
    kernel = {"H": 3, "W": 2, "I": 4 // features, "O": 6}
    draw = np.random.default_rng(9)
    x = draw.integers(-99, 99, [sizes[d] for d in layouts[0]])
    y = draw.integers(-99, 99, [kernel[d] for d in layouts[1]])
    window = {
        "strides": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "lhs_dilation": (1, 1),
        "rhs_dilation": (1, 1),
        **attributes,
    }
    expected = jax.lax.conv_general_dilated(
        x.astype(np.int32),
        y.astype(np.int32),
        window["strides"],
        window["padding"],
        window["lhs_dilation"],
        window["rhs_dilation"],
        layouts,
        features,
        batches,
    )
    # The kernel's features are i and o, those of input and output f.
    spatial, names = {"H": "0", "W": "1"}, ({"N": "b", "C": "f"}, {"I": "i", "O": "o"}, {"N": "b", "C": "f"})
    window["layout"] = tuple([{**spatial, **n}[d] for d in of] for n, of in zip(names, layouts, strict=True))
    expected = np.asarray(expected).astype(object)
    slots = numbers(x, 32, 1), numbers(y, 32, 2)
    for drop in (0, 6):
        results = run_at_cost(
            lambda party, t=drop: convolution(
                party, slots[0][party.rank], slots[1][party.rank], t, window=Window(**window)
            ),
            expected.size,
            32,
            drop,
        )
        assert_within(expected, results, 32, drop)
    public = [convolution_public(s, words(y, 32), window=Window(**window)) for s in slots[0]]
    assert_within(expected, opened(public), 32, 0)
    public = [convolution_public(words(x, 32), s, window=Window(**window)) for s in slots[1]]
    assert_within(expected, opened(public), 32, 0)
    mirror = Window(reverse=(True, False), **window)
    mirrored = [s.each(lambda slot: np.flip(slot, layouts[1].index("H"))) for s in slots[1]]
    public = [convolution_public(words(x, 32), s, window=mirror) for s in mirrored]
    assert_within(expected, opened(public), 32, 0)


def test_a_convolution_in_one_dimension_and_with_nothing_to_see():
    layout = (("b", "0", "f"), ("0", "i", "o"), ("b", "0", "f"))
    window = Window((1,), ((0, 0),), (1,), (1,), layout)
    for size, places in ((5, 3), (2, 0), (0, 0)):
        x, y = np.ones((1, size, 2), int), np.ones((3, 2, 4), int)
        slots = numbers(x, 16), numbers(y, 16)
        results, _ = three(
            lambda party, s=slots: convolution(party, s[0][party.rank], s[1][party.rank], 0, window=window)
        )
        assert np.array_equal(opened(results), np.full((1, places, 4), 6))


def test_products_by_public_numbers():
    x, y = integers(np.random.default_rng(10), (3, 4), 20), integers(np.random.default_rng(11), (3, 4), 20)
    made = [multiply_public(s, words(y, 20)) for s in numbers(x, 20)]
    assert_within(x * y, opened(made), 20, 0)
    scalar = [multiply_public(s, words(3, 40)) for s in numbers(-5, 40)]
    assert opened(scalar) == -15
    with pytest.raises(InternalError, match="one shared operand"):
        dot_public(made[0], made[0], batch=NO, contract=NO)


def test_operands_that_do_not_fit_are_errors():
    x, y = numbers([1, 2], 20)[0], numbers([1, 2], 21)[0]
    with pytest.raises(InternalError, match="rings 20 and 21"):
        next(multiply(None, x, y, 0))
    with pytest.raises(InternalError, match="cannot drop 20 bits"):
        next(multiply(None, x, x, 20))
    with pytest.raises(InternalError, match="shapes"):
        next(multiply(None, x, numbers([1], 20)[0], 0))
    with pytest.raises(InternalError, match="shapes"):
        next(dot_general(None, x, numbers([1], 20)[0], 0, batch=NO, contract=((0,), (0,))))


def test_products_share_a_round():
    slots = numbers([3, -4, 5], 24)
    results, cost = three(
        lambda party: together([multiply(party, slots[party.rank], slots[party.rank], t) for t in (0, 3, 9)])
    )
    stated = [multiply_cost(3, 24, t) for t in (0, 3, 9)]
    assert cost == (sum(c.bytes for c in stated), 1)
    assert opened([made[0] for made in results]).tolist() == [9, 16, 25]


# Bias. The slots are uniform and those of x and y independent: what is dropped then has a distribution that
# does not depend on x and y.


def mean_error(x, y, ring, drop, samples, both=None):
    """Of a product, in units of the operands' grid."""
    slots = numbers(np.full(samples, x, object), ring, 1)
    others = slots if both else numbers(np.full(samples, y, object), ring, 2)
    results, _ = three(lambda party: multiply(party, slots[party.rank], others[party.rank], drop))
    return float(np.mean(opened(results) * 2.0**drop - x * y))


@pytest.mark.parametrize("drop", [1, 2, 3, 6])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 1), (64, -128), (-1000, 77)])
def test_the_bias_of_a_product_is_the_documented_one_whatever_the_numbers(x, y, drop):
    samples = 1 << 18
    deviation = 0.55 * 2**drop / np.sqrt(samples)
    assert abs(mean_error(x, y, 24, drop, samples) - (0.75 + 2.0 ** -(drop + 2))) < 6 * deviation


@pytest.mark.parametrize("drop", [1, 2, 3, 6])
@pytest.mark.parametrize("x", [0, 1, -1000])
def test_the_bias_of_a_square_is_the_documented_one(x, drop):
    samples = 1 << 18
    deviation = 0.8 * 2**drop / np.sqrt(samples)
    expected = 0.5 if drop == 1 else 1 + drop / 2
    assert abs(mean_error(x, x, 24, drop, samples, both=True) - expected) < 6 * deviation


def test_who_centres_does_not_matter():
    """Roles rotate from one product to the next: the sums of three in a row are within the bound alike."""
    samples, drop = 1 << 16, 6
    slots, others = (numbers(np.full(samples, v, object), 24, seed) for v, seed in ((300, 1), (-70, 2)))
    results, _ = three(
        lambda party: together(
            [multiply(party, slots[party.rank], others[party.rank], drop) for _ in range(3)]
        )
    )
    for i in range(3):
        errors = opened([made[i] for made in results]) * 2.0**drop + 300 * 70
        assert abs(errors).max() < 1.5 * 2**drop
        assert abs(errors.mean() - 0.75) < 6 * 0.55 * 2**drop / np.sqrt(samples)


# What each party sees. All elements have the same slots, so that they repeat one experiment in which only
# the masks are random: what a party receives must be uniform, and independent of all that it knows.

SAMPLES = 1 << 15
INPUTS = [
    # Slots of x, then of y.
    ((0, 0, 0), (0, 0, 0)),
    ((1, 2, -3), (5, 5, -9)),
    ((0x123456, 0x777777, 0xFFFFFF), (1, 0, 0)),
    ((1 << 23, 0, 0), (1 << 23, 1, 0)),
]


def least(x, y, faults=None, *, twice=False, ahead=False):
    """The least p-value over the bytes of all signed sums of what a party received and knows."""
    held = [of_slots([np.full(SAMPLES, v % 2**32, np.uint32) for v in s], 24) for s in (x, y)]

    def step(party):
        once = [
            multiply(party, held[0][party.rank], held[1][party.rank], 8) for _ in range(2 if twice else 1)
        ]
        return together(once)

    worst = 1.0
    for received, known in views(step, faults, ahead=ahead):
        if ahead and not received:
            continue
        # Elements of 16 bits; both products' come in one message.
        elements = np.concatenate([*received, *known]).view("<u2").reshape(-1, SAMPLES)
        for shift in (0, 8):
            worst = min(worst, least_uniform_sum(list((elements >> np.uint16(shift)).astype(np.uint8))))
    return worst


@pytest.mark.parametrize(("x", "y"), INPUTS, ids=str)
def test_what_a_party_receives_is_uniform_given_all_it_knows(x, y):
    assert least(x, y) > 1e-6


def test_the_same_holds_for_two_products_of_the_same_tensors():
    assert least(*INPUTS[1], twice=True) > 1e-6


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (0, 2)])
def test_a_dropped_mask_is_noticed(pair):
    assert min(least(x, y, {(*pair, None): "dropped"}) for x, y in INPUTS) < 1e-12


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (0, 2)])
def test_a_mask_that_serves_twice_is_noticed(pair):
    assert min(least(x, y, {(*pair, 1): "reused"}, twice=True) for x, y in INPUTS) < 1e-12


# The same where P0 goes ahead. The masks of P0 and P2 are, of each product, that of what P0 deals, and y_0.


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(("x", "y"), INPUTS, ids=str)
def test_what_a_party_sees_of_a_dealt_product_is_uniform_given_all_it_knows(x, y, twice):
    assert least(x, y, twice=twice, ahead=True) > 1e-6


@pytest.mark.parametrize("mask", [(0, 1, 0), (0, 2, 0), (0, 2, 1)])
def test_a_dropped_mask_of_a_dealt_product_is_noticed(mask):
    assert min(least(x, y, {mask: "dropped"}, ahead=True) for x, y in INPUTS) < 1e-12


@pytest.mark.parametrize("mask", [(0, 1, 1), (0, 2, 1), (0, 2, 2), (0, 2, 3)])
def test_a_mask_of_a_dealt_product_that_serves_twice_is_noticed(mask):
    assert min(least(x, y, {mask: "reused"}, twice=True, ahead=True) for x, y in INPUTS) < 1e-12


@pytest.mark.parametrize("ring", RINGS)
def test_dealt_products_are_within_the_bound_and_cost_what_others_do(ring):
    draw = np.random.default_rng(ring)
    x, y = integers(draw, (7, 9), ring), integers(draw, (9, 5), ring)
    names = {"batch": NO, "contract": ((1,), (0,))}
    slots = [numbers(v, ring) for v in (x, y)]
    for drop in drops(ring):
        for step, expected in (
            (lambda party, t=drop: square(party, slots[0][party.rank], t), x * x),
            (
                lambda party, t=drop: dot_general(
                    party, slots[0][party.rank], slots[1][party.rank], t, **names
                ),
                dot(x, y, **names),
            ),
        ):
            results, cost = three(step, ahead=True)
            stated = multiply_cost(expected.size, ring, drop)
            assert cost == (stated.bytes, 2)
            assert stated.online == ProtocolCost(stated.bytes * 2 // 3, 1, 0)
            assert_within(expected, opened(results), ring, drop)


# The kernels.


def exact_matmul(a, b):
    return np.einsum("bmk,bkn->bmn", a, b, dtype=np.uint64, casting="unsafe").astype(a.dtype)


@pytest.mark.parametrize("word", [np.uint32, np.uint64])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 8, 9, 13, 16, 17, 40, 200])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (3, 5), (64, 8), (65, 33), (300, 40), (520, 7)])
def test_matrix_kernels_of_any_shape_and_standing(word, m, k, n):
    draw = np.random.default_rng(m * k * n)
    ring = 8 * word().itemsize

    def both(shape):
        return random_words(draw, (*shape, 2), ring)

    a, b, transposed = both((2, m, k)), both((2, k, n)), both((2, n, k))
    standings = {
        "interleaved": (b[..., 0], b[..., 1]),
        "apart": tuple(np.ascontiguousarray(b[..., i]) for i in range(2)),
        "columns interleaved": tuple(transposed[..., i].transpose(0, 2, 1) for i in range(2)),
        "columns apart": tuple(np.ascontiguousarray(transposed[..., i]).transpose(0, 2, 1) for i in range(2)),
        "mixed": (np.ascontiguousarray(b[..., 0]), b[..., 1]),
        "backwards": tuple(np.ascontiguousarray(b[:, ::-1, ::-1, i])[:, ::-1, ::-1] for i in range(2)),
        "one for all": tuple(np.broadcast_to(b[:1, ..., i], (2, k, n)) for i in range(2)),
    }
    lefts = [
        (a[..., 0], a[..., 1]),
        tuple(np.ascontiguousarray(a[..., i]) for i in range(2)),
        tuple(np.ascontiguousarray(a[..., i].transpose(0, 2, 1)).transpose(0, 2, 1) for i in range(2)),
    ]
    for number, (name, (b0, b1)) in enumerate(standings.items()):
        a0, a1 = lefts[number % 3]
        expected = exact_matmul(a0, b0 + b1) + exact_matmul(a1, b0)
        for bits in (ring, 48) if ring == 64 else (ring,):
            c = np.full((2, m, n), 99, word)
            _native.matmul_shares(a0, a1, b0, b1, c, bits)
            assert np.array_equal(reduced(c, bits), reduced(expected, bits)), (name, bits)
            _native.matmul_shares(a0, a1, b0, b1, c, bits, True, 3)
            assert np.array_equal(reduced(c, bits), reduced(expected + expected, bits)), (name, bits)
            _native.matmul(a0, b1, c, bits, False, 2)
            assert np.array_equal(reduced(c, bits), reduced(exact_matmul(a0, b1), bits)), (name, bits)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_large_matrices_in_many_panels(threads):
    draw = np.random.default_rng(12)
    for word, bits in ((np.uint32, 32), (np.uint64, 50), (np.uint64, 64)):
        a0, a1 = random_words(draw, (2, 1, 401, 419), 8 * word().itemsize)
        b0, b1 = random_words(draw, (2, 1, 419, 801), 8 * word().itemsize)
        c = np.empty((1, 401, 801), word)
        _native.matmul_shares(a0, a1, b0, b1, c, bits, threads=threads)
        expected = exact_matmul(a0, b0 + b1) + exact_matmul(a1, b0)
        assert np.array_equal(reduced(c, bits), reduced(expected, bits))


def packed(values, bits):
    """Elements one behind another, as Python says it."""
    whole = sum((int(v) & ((1 << bits) - 1)) << (i * bits) for i, v in enumerate(values))
    return np.frombuffer(whole.to_bytes((len(values) * bits + 7) // 8, "little"), np.uint8)


@pytest.mark.parametrize("bits", range(1, 65))
def test_packed_elements(bits):
    draw = np.random.default_rng(bits)
    for size in (*range(20), 255, 256, 257, 700):
        for word in (np.uint32, np.uint64):
            if bits > 8 * word().itemsize:
                continue
            values = random_words(draw, (size,), 8 * word().itemsize)
            room = np.full(packed_bytes(size, bits) + 16, 0xAB, np.uint8)
            out = room[: len(room) - 16]
            _native.pack(values, bits, out)
            assert np.array_equal(out, packed(values, bits))
            assert (room[len(out) :] == 0xAB).all()
            again = np.empty(size, word)
            _native.unpack(out, bits, again)
            assert np.array_equal(again, values & word((1 << bits) - 1))
            _native.pack(np.repeat(values, 3)[::3], bits, out)
            assert np.array_equal(out, packed(values, bits))


def test_kernels_check_what_they_are_given():
    word, byte = np.zeros(8, np.uint32), np.zeros(8, np.uint8)
    for call in (
        lambda: _native.pack(word, 7, byte),
        lambda: _native.pack(word, 33, np.zeros(33, np.uint8)),
        lambda: _native.pack(word.astype(np.int32), 8, byte),
        lambda: _native.pack(word.reshape(2, 4), 8, byte),
        lambda: _native.unpack(byte, 9, word),
        lambda: _native.unpack(byte, 0, word),
        lambda: _native.reshare(word, 8, 8, True, byte, byte, word, byte),
        lambda: _native.reshare(word.astype(np.uint64), 9, 1, True, byte, byte, word.copy(), byte.copy()),
        lambda: _native.multiply(
            word, word[:7], word, word, 9, 1, True, byte, byte, word.copy(), byte.copy()
        ),
        lambda: _native.matmul(word.reshape(1, 2, 4), word.reshape(1, 2, 4), word.reshape(1, 2, 4)),
        lambda: _native.matmul(word.reshape(1, 2, 4), word.reshape(1, 4, 2), np.zeros((1, 2, 3), np.uint32)),
        lambda: _native.matmul(
            word.reshape(1, 2, 4), word.reshape(1, 4, 2).astype(np.uint64), np.zeros((1, 2, 2), np.uint32)
        ),
        lambda: _native.matmul(word.reshape(2, 4), word.reshape(4, 2), np.zeros((2, 2), np.uint32)),
        lambda: _native.matmul(
            unaligned(word.reshape(1, 2, 4)), word.reshape(1, 4, 2), np.zeros((1, 2, 2), np.uint32)
        ),
    ):
        with pytest.raises(ValueError, match=r"elements|bits|words|drop|matrices"):
            call()


# Costs.


def test_costs():
    assert multiply_cost(1000, 32, 10) == ProtocolCost(3 * 2750, 1, 2750)
    assert multiply_cost(3, 13, 0) == ProtocolCost(3 * 5, 1, 5)
    assert multiply_cost(0, 32, 10) == FREE == FREE.online


@pytest.mark.parametrize("elements", [0, 1, ALONE - 1, ALONE, ALONE + 1, 10**6, 10**6 + 63])
def test_parts_are_all_of_a_tensor_and_end_where_bytes_do(elements):
    cut = parts(elements)
    assert [part.start for part in cut] == [0, *(part.stop for part in cut[:-1])]
    assert cut[-1].stop == elements
    assert len(cut) == (1 if elements < ALONE else 3)
    assert all(part.stop % 64 == 0 and part.stop > part.start for part in cut[:-1])
    assert max(part.stop - part.start for part in cut) - elements / len(cut) <= 64
