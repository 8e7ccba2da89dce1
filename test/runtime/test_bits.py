"""Shared bits, joined and made into numbers: right, at the stated cost, and telling nobody anything."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seats import (
    bits,
    least_unbiased,
    least_uniform_sum,
    numbers,
    of_bits,
    of_slots,
    opened,
    rows_of,
    sent_by,
    three,
    views,
    words,
)

from ditto import _native
from ditto.runtime.protocols.bits import (
    any_along,
    conjunction,
    disjunction,
    select,
    times_bit,
    times_bit_each,
    times_less,
    times_public,
    to_number,
)
from ditto.runtime.protocols.rounds import together
from ditto.runtime.protocols.shared import Bits, Shared, reduced, signed
from ditto_compiler.protocols.costs_bits import (
    any_along_cost,
    conjunction_cost,
    times_bit_cost,
    times_less_cost,
    to_number_cost,
)

RINGS = (1, 2, 7, 8, 12, 16, 17, 22, 24, 31, 32, 33, 40, 48, 63, 64)
SHAPES = [(), (0,), (1,), (7,), (8,), (9,), (3, 0, 2), (2, 3, 5)]
SIZES = [255, 2047, 2048, 2049, 3071, 3072, 3073, 6149, 20001]


def values_of(ring, shape, seed=3):
    """Numbers of a whole ring, with its ends."""
    size = int(np.prod(shape))
    low = -1 << (ring - 1)
    ends = [low, -low - 1, 0, -1][:size]
    draw = np.random.default_rng(seed)
    some = [int.from_bytes(draw.bytes(8), "little") % (1 << ring) + low for _ in range(size - len(ends))]
    return np.array([*ends, *some], np.int64).reshape(shape)


def booleans(shape, seed=4, share=0.5):
    return np.random.default_rng(seed).random(shape) < share


def wrapped(values, ring):
    """Integers as the signed numbers that they are in a ring."""
    return signed(np.asarray(values).astype(np.int64).view(np.uint64), ring)


def stated(cost):
    return cost.bytes, cost.rounds


@pytest.mark.parametrize("shape", [*SHAPES, *((size,) for size in SIZES)], ids=str)
def test_bits_are_joined(shape):
    x, y = booleans(shape, 1), booleans(shape, 2)
    a, b = bits(x, 5), bits(y, 6)
    for protocol, expected in ((conjunction, x & y), (disjunction, x | y)):
        results, cost = three(lambda party, protocol=protocol: protocol(party, a[party.rank], b[party.rank]))
        assert np.array_equal(opened(results), expected)
        assert cost == stated(conjunction_cost(x.size))


def test_every_slot_of_every_pair_of_bits():
    slots = np.indices((2,) * 6).reshape(6, -1).astype(np.uint8)
    x, y = of_bits(slots[:3]), of_bits(slots[3:])
    results, _ = three(lambda party: conjunction(party, x[party.rank], y[party.rank]))
    assert np.array_equal(opened(results), (opened(x) & opened(y)))


@pytest.mark.parametrize("count", [*range(8), 12, 36, 37, 128, 217])
@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_any_along_an_axis(count, share):
    x = booleans((count, 11), count, share)
    if count:
        # A single 1 in each place.
        x[:, 0] = np.arange(count) == count // 3
    a = bits(x)
    results, cost = three(lambda party: any_along(party, a[party.rank], 0))
    assert np.array_equal(opened(results), x.any(axis=0))
    assert cost == stated(any_along_cost(count, 11))


@pytest.mark.parametrize("count", range(1, 8))
def test_any_of_every_combination(count):
    x = np.indices((2,) * count).reshape(count, -1)
    a = bits(x)
    results, _ = three(lambda party: any_along(party, a[party.rank], 0))
    assert np.array_equal(opened(results), x.any(axis=0))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((5,), 0), ((2, 3, 5), 1), ((2, 3, 5), -1), ((3, 0), 1), ((0, 3), 1), ((4, 5000), 0), ((5000, 4), 1)],
)
def test_any_along_axes_of_any_shape(shape, axis):
    x = booleans(shape, 1, 0.2)
    a = bits(x)
    results, cost = three(lambda party: any_along(party, a[party.rank], axis))
    assert np.array_equal(opened(results), x.any(axis=axis))
    assert cost == stated(any_along_cost(shape[axis], x.any(axis=axis).size))


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bits_to_numbers_and_times_numbers(ring, shape):
    b, x, y = booleans(shape), values_of(ring, shape, 1), values_of(ring, shape, 2)
    public = words(y, ring)
    shares, of_x, of_y = bits(b), numbers(x, ring), numbers(y, ring, 8)

    def results_of(protocol):
        results, cost = three(protocol)
        return opened(results), cost

    number, cost = results_of(lambda party: to_number(party, shares[party.rank], ring))
    assert np.array_equal(reduced(number.view(np.uint64), ring), b)
    assert cost == stated(to_number_cost(ring, b.size))
    product, cost = results_of(lambda party: times_public(party, shares[party.rank], public, ring))
    assert np.array_equal(product, y * b)
    assert cost == stated(to_number_cost(ring, b.size))
    product, cost = results_of(lambda party: times_bit(party, shares[party.rank], of_x[party.rank]))
    assert np.array_equal(product, x * b)
    assert cost == stated(times_bit_cost([ring], b.size))
    chosen, cost = results_of(
        lambda party: select(party, shares[party.rank], of_x[party.rank], of_y[party.rank])
    )
    assert np.array_equal(chosen, np.where(b, x, y))
    assert cost == stated(times_bit_cost([ring], b.size))


@pytest.mark.parametrize("ring", [1, 2, 3])
def test_every_slot_of_every_bit_and_number(ring):
    b = [axis.reshape(-1).astype(np.uint8) for axis in np.indices((2, 2, 2, *((1 << ring,) * 3)))[:3]]
    x = [axis.reshape(-1).astype(np.uint32) for axis in np.indices((2, 2, 2, *((1 << ring,) * 3)))[3:]]
    shares, of_x = of_bits(b), of_slots(x, ring)
    results, _ = three(lambda party: times_bit(party, shares[party.rank], of_x[party.rank]))
    assert np.array_equal(opened(results), opened(of_x) * opened(shares))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ring", [9, 22, 40])
def test_sizes(size, ring):
    b, x = booleans(size), values_of(ring, size)
    shares, of_x = bits(b), numbers(x, ring)
    results, cost = three(lambda party: times_bit(party, shares[party.rank], of_x[party.rank]))
    assert np.array_equal(opened(results), x * b)
    assert cost == stated(times_bit_cost([ring], size))


@pytest.mark.parametrize("rings", [[], [8], [8, 40, 22], [64, 1]], ids=str)
def test_many_numbers_share_the_bit(rings):
    b = booleans((4, 5))
    shares = bits(b)
    xs = [values_of(ring, (4, 5), ring) for ring in rings]
    of_xs = [numbers(x, ring) for x, ring in zip(xs, rings, strict=True)]
    results, cost = three(
        lambda party: times_bit_each(party, shares[party.rank], [x[party.rank] for x in of_xs])
    )
    for i, x in enumerate(xs):
        assert np.array_equal(opened([of_party[i] for of_party in results]), x * b)
    assert cost == stated(times_bit_cost(rings, 20))


def test_selection_between_rings_is_refused():
    x = Shared(8, np.zeros(1, np.uint32), np.zeros(1, np.uint32))
    y = Shared(9, x.own, x.next)
    with pytest.raises(ValueError, match="a number in ring 8 and one in ring 9"):
        next(select(None, Bits(np.zeros(1, np.uint8), np.zeros(1, np.uint8)), x, y))


@st.composite
def a_product(draw):
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
    ring, seed = draw(st.integers(2, 64)), draw(st.integers(0, 2**32))
    factors = draw(st.lists(st.lists(st.integers(1, 64) | st.integers(-64, -1), max_size=3), max_size=3))
    return shape, ring, seed, factors


@given(st.lists(a_product(), max_size=2))
@settings(max_examples=60, deadline=None)
def test_comparisons_times_numbers(batch):
    # A factor is a ring, and that of a 1 if it is negative.
    jobs = []
    for shape, ring, seed, factors in batch:
        half = 1 << (ring - 1)
        compared = np.array([int(v) // 2 for v in values_of(ring, shape, seed).reshape(-1)]).reshape(shape)
        thresholds = [min(c, half // 2) for c in (0, -1, 3)][: len(factors)]
        ys = [[None if r < 0 else values_of(r, shape, seed + r) for r in of_one] for of_one in factors]
        shares = [
            [-r if r < 0 else numbers(y, r, seed) for r, y in zip(of_one, of_ys, strict=True)]
            for of_one, of_ys in zip(factors, ys, strict=True)
        ]
        jobs.append((compared, numbers(compared, ring, seed), thresholds, factors, ys, shares))

    def step(party):
        return together(
            [
                times_less(
                    party,
                    x[party.rank],
                    thresholds,
                    [[y if isinstance(y, int) else y[party.rank] for y in of_one] for of_one in shares],
                )
                for _, x, thresholds, _, _, shares in jobs
            ]
        )

    results, cost = three(step)
    costs = [
        times_less_cost(x[0].ring, compared.size, [[(abs(r), r > 0) for r in of_one] for of_one in factors])
        for compared, x, _, factors, _, _ in jobs
    ]
    assert cost == (sum(c.bytes for c in costs), max((c.rounds for c in costs), default=0))
    for i, (compared, _, thresholds, factors, ys, _) in enumerate(jobs):
        for j, c in enumerate(thresholds):
            for k, (r, y) in enumerate(zip(factors[j], ys[j], strict=True)):
                product = opened([of_party[i][j][k] for of_party in results])
                one = np.ones(compared.shape, np.int64) if y is None else y
                assert np.array_equal(product, wrapped(one * (compared < c), abs(r)))


def test_a_product_with_a_comparison_takes_one_more_round():
    numbers_of = [[(22, True)]]
    assert times_less_cost(16, 8000, numbers_of).rounds == 4
    assert times_less_cost(16, 8000, numbers_of).bytes == 8000 * (9.625 + 11)


@pytest.mark.parametrize(
    "layout", [lambda a: np.repeat(a, 2, axis=0)[::2], np.asfortranarray, lambda a: a[::-1]]
)
def test_layouts(layout):
    b, x = booleans((41, 7)), values_of(20, (41, 7))
    shares = [s.each(layout) for s in bits(b)]
    of_x = [s.each(layout) for s in numbers(x, 20)]
    results, _ = three(lambda party: times_bit(party, shares[party.rank], of_x[party.rank]))
    assert np.array_equal(opened(results), layout(x) * layout(b))
    results, _ = three(lambda party: conjunction(party, shares[party.rank], shares[party.rank]))
    assert np.array_equal(opened(results), layout(b))
    results, _ = three(lambda party: any_along(party, shares[party.rank], 1))
    assert np.array_equal(opened(results), layout(b).any(axis=1))


def test_large_tensors_load_all_parties_alike():
    shares, x = bits(booleans(30000)), numbers(values_of(22, 30000), 22)
    for protocol in (
        lambda party: times_bit(party, shares[party.rank], x[party.rank]),
        lambda party: conjunction(party, shares[party.rank], shares[party.rank]),
        lambda party: any_along(party, shares[party.rank].each(lambda s: np.stack([s] * 3)), 0),
    ):
        sent = sent_by(protocol)
        assert max(sent) < 1.02 * min(sent)


def test_kernels_refuse_what_does_not_fit():
    row, ten = np.zeros(2, np.uint8), np.zeros(10, np.uint32)
    with pytest.raises(ValueError, match=r"ring width must be 1 to 64"):
        _native.less_query(ten, 65, np.array([4], np.uint8), np.zeros(30, np.uint8), row)
    with pytest.raises(ValueError, match=r"sizes: not digits of 1 to 6 bits, together the ring"):
        _native.less_query(ten, 12, np.array([4, 4, 4], np.uint8), np.zeros(90, np.uint8), row)
    with pytest.raises(ValueError, match=r"query: not a row"):
        _native.less_query(ten, 9, np.array([4, 4], np.uint8), np.zeros(59, np.uint8), row)
    with pytest.raises(ValueError, match=r"bits: not two rows for each digit"):
        query, answers = np.zeros(60, np.uint8), np.zeros(5, np.uint8)
        _native.less_pick(ten, 9, np.array([4, 4], np.uint8), 0, query, True, answers)
    with pytest.raises(ValueError, match=r"row: not one byte"):
        _native.scatter_bits(row, np.zeros(17, np.uint8))
    with pytest.raises(ValueError, match=r"bits, rows: not as many"):
        _native.gather_bits(np.zeros(17, np.uint8), 1, row)


# What each party sees; see test_less.py. Of numbers, every sum of words of 8 bits is tested.

SAMPLES = 1 << 15


def low_bytes(masks):
    return [mask.reshape(-1, 4)[:, 0] for mask in masks]


def constant_bits(b):
    return [np.full(SAMPLES, v, np.uint8) for v in b]


PAIRS_OF_BITS = list(itertools.product([0, 1], repeat=6))[::7]


def least_of_conjunction(slots, faults=None):
    x, y = of_bits(constant_bits(slots[:3])), of_bits(constant_bits(slots[3:]))
    parties = views(lambda party: conjunction(party, x[party.rank], y[party.rank]), faults)
    return min(least_unbiased(rows_of([*received, *known], SAMPLES)) for received, known in parties)


def test_a_conjunction_shows_nothing():
    assert min(map(least_of_conjunction, PAIRS_OF_BITS)) > 1e-9


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_a_dropped_mask_of_a_conjunction_is_noticed(pair):
    assert min(least_of_conjunction(s, {(*pair, 0): "dropped"}) for s in PAIRS_OF_BITS) < 1e-12


def least_of_dealt_conjunction(slots, faults=None):
    x, y = of_bits(constant_bits(slots[:3])), of_bits(constant_bits(slots[3:]))
    parties = views(lambda party: conjunction(party, x[party.rank], y[party.rank]), faults, ahead=True)
    return min(least_unbiased(rows_of([*received, *known], SAMPLES)) for received, known in parties)


def test_a_dealt_conjunction_shows_nothing():
    assert min(map(least_of_dealt_conjunction, PAIRS_OF_BITS)) > 1e-9


@pytest.mark.parametrize(
    ("mask", "fault"),
    [((0, 1, 0), "dropped"), ((0, 2, 0), "dropped"), ((0, 2, 1), "dropped"), ((0, 2, 1), "reused")],
)
def test_a_faulty_mask_of_a_dealt_conjunction_is_noticed(mask, fault):
    assert min(least_of_dealt_conjunction(s, {mask: fault}) for s in PAIRS_OF_BITS) < 1e-12


def test_every_slot_of_every_pair_of_bits_that_are_joined_when_p0_goes_ahead():
    slots = np.indices((2,) * 6).reshape(6, -1).astype(np.uint8)
    x, y = of_bits(slots[:3]), of_bits(slots[3:])
    for protocol, expected in ((conjunction, opened(x) & opened(y)), (disjunction, opened(x) | opened(y))):
        results, cost = three(lambda party, p=protocol: p(party, x[party.rank], y[party.rank]), ahead=True)
        assert np.array_equal(opened(results), expected)
        assert cost == (conjunction_cost(64).bytes, 2)


def least_of_any(slots, faults=None):
    x = of_bits([np.repeat(np.array(s, np.uint8)[:, None], SAMPLES, axis=1) for s in slots])
    parties = views(lambda party: any_along(party, x[party.rank], 0), faults)
    return min(least_unbiased(rows_of([*received, *known], SAMPLES)) for received, known in parties)


# Three bits are one product, seven are two levels of them.
COLUMNS = [
    ([0, 0, 0], [0, 0, 0], [0, 0, 0]),
    ([1, 0, 1], [0, 0, 1], [1, 1, 0]),
    ([1, 0, 1, 1, 0, 0, 1], [0, 1, 1, 0, 0, 1, 0], [1, 1, 0, 1, 0, 1, 1]),
]


@pytest.mark.parametrize("slots", COLUMNS, ids=["three", "other three", "seven"])
def test_any_along_shows_nothing(slots):
    assert least_of_any(slots) > 1e-9


@pytest.mark.parametrize("mask", [(0, 1, 0), (0, 2, 0), (0, 2, 1)])
def test_a_dropped_mask_of_any_along_is_noticed(mask):
    assert min(least_of_any(slots, {mask: "dropped"}) for slots in COLUMNS[:2]) < 1e-12


@pytest.mark.parametrize("pair", [(0, 1), (0, 2)])
def test_reused_masks_of_any_along_are_noticed(pair):
    assert least_of_any(COLUMNS[2], {(*pair, None): "reused"}) < 1e-12


# b_0, b_1, b_2 and x_0, x_1, x_2. P1 and P2 multiply by x_2: the sums that are tested have such scalars.
PRODUCTS = [
    (bits_, (x0, x1, x2))
    for bits_ in ((0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1))
    for x0, x1, x2 in ((0, 0, 0), (200, 17, 1), (3, 90, 255))
]


def product_of(case, number):
    b, x = case
    shares = of_bits(constant_bits(b))
    of_x = of_slots([np.full(SAMPLES, v, np.uint32) for v in x], 8)
    if number:
        return lambda party: to_number(party, shares[party.rank], 8)
    return lambda party: times_bit(party, shares[party.rank], of_x[party.rank])


def least_of_product(case, number, faults=None):
    least = 1.0
    for received, known in views(product_of(case, number), faults):
        messages = [part for message in received for part in message.reshape(-1, SAMPLES)]
        least = min(least, least_uniform_sum([*messages, *low_bytes(known)]))
    return least


@pytest.mark.parametrize("number", [True, False], ids=["to_number", "times_bit"])
@pytest.mark.parametrize("case", PRODUCTS, ids=str)
def test_a_product_shows_nothing(case, number):
    assert least_of_product(case, number) > 1e-9


@pytest.mark.parametrize(
    ("number", "mask"),
    [
        *((True, mask) for mask in [(0, 1, 0), (0, 2, 0), (0, 2, 1)]),
        *((False, mask) for mask in [(0, 1, 0), (0, 2, 0), (0, 2, 1), (0, 2, 2)]),
    ],
)
def test_a_dropped_mask_of_a_product_is_noticed(number, mask):
    assert min(least_of_product(case, number, {mask: "dropped"}) for case in PRODUCTS) < 1e-12


@pytest.mark.parametrize("number", [True, False], ids=["to_number", "times_bit"])
def test_reused_masks_of_a_product_are_noticed(number):
    cases = PRODUCTS[3:6]
    assert min(least_of_product(case, number, {(0, 2, None): "reused"}) for case in cases) < 1e-12


def least_of_times_less(inputs, faults=None):
    """The comparison's rows, and the lowest bit of each word of the product, together."""
    x = of_slots([np.full(SAMPLES, v, np.uint32) for v in inputs], 5)
    y = of_slots([np.full(SAMPLES, v, np.uint32) for v in (7, 20, 1)], 8)
    least = 1.0

    def step(party):
        return times_less(party, x[party.rank], [0], [[y[party.rank]]])

    for received, known in views(step, faults):
        rows, lowest = [], []
        for message in [*received, *known]:
            # Of words: two that are dealt, or one that comes at the end, or a mask in a word of 32 bits.
            if message.size in (SAMPLES, 4 * SAMPLES):
                lowest.append(message.reshape(SAMPLES, -1)[:, 0] if message.size > SAMPLES else message)
            else:
                dealt = 2 * SAMPLES if message.size > 2 * SAMPLES else 0
                lowest.extend(message[:dealt].reshape(-1, SAMPLES))
                rows.append(message[dealt:])
        unpacked = [rows_of(rows, SAMPLES), *(word[None] & 1 for word in lowest)]
        # Words are of elements in order; rows have element i in bit i / row of byte i mod row.
        order = np.arange(SAMPLES).reshape(8, -1)[::-1].T.reshape(-1)
        least = min(
            least, least_unbiased(np.concatenate([unpacked[0], *(w[:, order] for w in unpacked[1:])]))
        )
    return least


COMPARED = [(0, 0, 0), (5, 14, 9), (21, 3, 7)]


@pytest.mark.parametrize("inputs", COMPARED, ids=str)
def test_a_product_with_a_comparison_shows_nothing(inputs):
    assert least_of_times_less(inputs) > 1e-9


@pytest.mark.parametrize("pair", [(0, 1), (0, 2)])
@pytest.mark.parametrize("fault", ["dropped", "reused"])
def test_faulty_masks_of_a_product_with_a_comparison_are_noticed(pair, fault):
    assert min(least_of_times_less(inputs, {(*pair, None): fault}) for inputs in COMPARED) < 1e-12
