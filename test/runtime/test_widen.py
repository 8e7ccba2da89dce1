"""Casts between rings of any width: right, within their bound, at its cost, and telling nobody a thing."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seats import least_uniform_sum, numbers, of_slots, opened, sent_by, three, views, words

from ditto import _native
from ditto.runtime.protocols.rounds import Party, together
from ditto.runtime.protocols.shared import reduced, word_of
from ditto.runtime.protocols.widen import narrow, shift_left, widen
from ditto_compiler.errors import InternalError
from ditto_compiler.protocols.costs import FREE, ProtocolCost, widen_cost, wrap_bits
from ditto_compiler.protocols.parts import ALONE

RINGS = (2, 3, 8, 13, 16, 24, 31, 32, 33, 48, 63, 64)


def casts(source):
    """(target, drop, left): to wider rings, the same, and narrower ones; with and without messages."""
    for target in RINGS:
        yield target, 0, 0
        for drop in {1, 5, source - 2}:
            if 0 < drop <= source - 2:
                yield target, drop, 0
        for left in (1, 7, target - 1):
            if 0 < left < target:
                yield target, 0, left


def run_at_cost(slots, target, drop=0, left=0):
    results, cost = three(lambda party: widen(party, slots[party.rank], target, drop, left))
    stated = widen_cost(slots[0].size, slots[0].ring, target, drop, left)
    assert cost == (stated.bytes, stated.rounds)
    assert all(result.ring == target for result in results)
    return opened(results)


def assert_cast(values, results, target, drop, left):
    """Exact modulo 2^target without a drop, else within the documented bound."""
    low, high = (-3 * 2 ** (drop - 1) + 2, 3 * 2 ** (drop - 1) - 1) if drop else (0, 0)
    half = 1 << (target + drop - 1)
    flat = np.asarray(values, object).reshape(-1)
    assert np.shape(values) == results.shape
    for x, y in zip(flat, results.reshape(-1).tolist(), strict=True):
        error = ((y << drop) - (int(x) << left) + half) % (2 * half) - half
        assert low <= error <= high or high - low >= 2 * half - 1, f"{x} became {y}"


def allowed(ring, seed=0, size=100):
    """Numbers in [-2^(k-2), 2^(k-2)), their ends first."""
    quarter = 1 << (ring - 2)
    draw = np.random.default_rng(seed)
    ends = [-quarter, -quarter + 1, -1, 0, 1, quarter - 2, quarter - 1]
    some = [int.from_bytes(draw.bytes(9), "little") % (2 * quarter) - quarter for _ in range(size)]
    return [x for x in ends * 4 + some if -quarter <= x < quarter]


@pytest.mark.parametrize("source", RINGS)
def test_every_cast_is_right_on_its_ends_and_at_random(source):
    values = allowed(source)
    slots = numbers(values, source)
    batch = list(casts(source))
    results, _ = three(lambda party: together([widen(party, slots[party.rank], *cast) for cast in batch]))
    for i, (target, drop, left) in enumerate(batch):
        assert_cast(values, opened([made[i] for made in results]), target, drop, left)


@pytest.mark.parametrize("ring", [2, 3, 4, 5])
@pytest.mark.parametrize(("wider", "drop"), [(4, 0), (3, 1), (0, 1), (0, 2), (28, 0), (59, 3)])
def test_every_slot_of_every_value_of_small_rings(ring, wider, drop):
    if drop > ring - 2:
        drop = ring - 2
    every = [axis.reshape(-1).astype(np.uint32) for axis in np.indices((1 << ring,) * 3)]
    half, quarter = 1 << (ring - 1), 1 << (ring - 2)
    values = (sum(every).astype(np.int64) + half) % (2 * half) - half
    right = (values >= -quarter) & (values < quarter)
    slots = of_slots([axis[right] for axis in every], ring)
    assert_cast(values[right], run_at_cost(slots, ring + wider, drop), ring + wider, drop, 0)


@st.composite
def a_cast(draw):
    source, target = draw(st.integers(2, 64)), draw(st.integers(1, 64))
    drop, left = draw(st.integers(0, source - 2)), 0
    if draw(st.booleans()):
        drop, left = 0, draw(st.integers(0, target - 1))
    quarter = 1 << (source - 2)
    value = st.integers(-quarter, quarter - 1) | st.sampled_from([-quarter, quarter - 1])
    top = (1 << 8 * word_of(source).itemsize) - 1
    some = st.integers(0, top) | st.sampled_from([0, top, 1 << (source - 1), (1 << source) - 1])
    return source, target, drop, left, draw(st.lists(st.tuples(value, some, some, some), max_size=20))


@given(a_cast())
@settings(max_examples=200, deadline=None)
def test_any_slots_keep_the_bound(case):
    source, target, drop, left, elements = case
    values = [x for x, *_ in elements]
    x2 = [x - a - b + (c >> source << source) for x, a, b, c in elements]
    slots = of_slots(
        [words(s, source) for s in ([e[1] for e in elements], [e[2] for e in elements], x2)], source
    )
    assert_cast(values, run_at_cost(slots, target, drop, left), target, drop, left)


def interleaved(array):
    out = np.empty((*array.shape, 2), array.dtype)[..., 1]
    out[...] = array
    return out


def column_major(array):
    return np.array(array, order="F")


def unaligned(array):
    return np.frombuffer(b"12345" + array.tobytes(), array.dtype, offset=5).reshape(array.shape)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (255,), (256,), (257,), (4, 3, 50)], ids=str)
@pytest.mark.parametrize("layout", [np.array, column_major, interleaved, unaligned, np.flip])
@pytest.mark.parametrize(
    ("source", "target", "drop"), [(20, 31, 0), (20, 40, 0), (40, 50, 7), (40, 30, 20), (20, 9, 3)]
)
def test_shapes_and_layouts(shape, layout, source, target, drop):
    size = int(np.prod(shape))
    values = np.array((allowed(source) * 5)[:size], object).reshape(shape)
    slots = [s.each(layout) for s in numbers(values, source)]
    values = np.flip(values) if layout is np.flip else values
    assert_cast(values, run_at_cost(slots, target, drop), target, drop, 0)


def test_broadcast_views():
    slots = [s.each(lambda slot: np.broadcast_to(slot, (5, 3))) for s in numbers([1, -2, 3], 12)]
    assert run_at_cost(slots, 40).tolist() == [[1, -2, 3]] * 5


@pytest.mark.parametrize("size", [ALONE - 1, ALONE, ALONE + 1, 10000])
def test_large_tensors_are_cut_and_load_all_parties_alike(size):
    values = (np.arange(size) - size // 2).astype(object)
    slots = numbers(values, 20)
    assert_cast(values, run_at_cost(slots, 33), 33, 0, 0)
    sent = sent_by(lambda party: widen(party, slots[party.rank], 33))
    if size < ALONE:
        assert sorted(sent) == [sum(sent) // 4, sum(sent) // 4, sum(sent) // 2]
    else:
        assert max(sent) < 1.1 * min(sent)


def test_local_casts():
    values = [-(1 << 19), (1 << 19) - 1, 0, 1, -1, 1234, -4321]
    slots = numbers(values, 20)
    for ring, drop in ((20, 0), (8, 0), (1, 0), (12, 8), (5, 8), (1, 19)):
        made = [narrow(Party(rank, None), slots[rank], ring, drop) for rank in range(3)]
        assert_cast(values, opened(made), ring, drop, 0)
    for ring, bits in ((20, 0), (20, 3), (29, 9), (40, 20), (64, 44), (12, 11), (12, 12), (5, 30)):
        made = [shift_left(slots[rank], bits, ring) for rank in range(3)]
        assert_cast(values, opened(made), ring, 0, bits)


def test_local_casts_leave_their_operands_alone():
    slots = numbers([1, 2, 3], 20)
    for made in (narrow(Party(0, None), slots[0], 20), shift_left(slots[0], 2, 20)):
        assert not np.shares_memory(made.own, slots[0].own)
        assert not np.shares_memory(made.next, slots[0].next)


def test_truncation_is_unbiased_whatever_the_dropped_bits():
    drop, samples = 6, 1 << 16
    for low in (0, 16, 32, 57):
        x = (12345 << drop) + low
        slots = numbers(np.full(samples, x, object), 24)
        for cast in ((24, drop), (40, drop), (18, drop), (10, drop)):
            errors = (run_at_cost(slots, *cast) - (x >> drop) % (1 << 9)) % 512 * 2.0**drop - low
            errors = np.where(errors > 256 * 2.0**drop, errors - 512 * 2.0**drop, errors)
            # Half a unit of the source, six standard deviations of the mean.
            assert abs(errors.mean() - 0.5) < 6 * 0.5 * 2**drop / np.sqrt(samples)


def test_casts_that_cannot_be_are_errors():
    x = numbers([1], 20)[0]
    for cast in ((30, 19), (30, 3, 3), (65,), (0, 19)):
        with pytest.raises(InternalError, match="cast from ring 20"):
            next(widen(Party(0, None), x, *cast))
    with pytest.raises(InternalError, match="no local cast from ring 20 to 21"):
        narrow(Party(0, None), x, 21)
    with pytest.raises(InternalError, match="no local cast from ring 20 to 13"):
        narrow(Party(0, None), x, 13, 8)
    with pytest.raises(InternalError, match="no local cast from ring 20 to 24"):
        shift_left(x, 3, 24)


def test_costs():
    assert widen_cost(1000, 32, 64) == ProtocolCost(4 * 4000, 2, 2 * 4000)
    assert widen_cost(1000, 22, 32) == ProtocolCost(4 * 1250, 2, 2 * 1250)
    assert widen_cost(1000, 32, 32, drop=8) == ProtocolCost(4 * 1000, 2, 2 * 1000)
    assert widen_cost(3, 22, 32) == ProtocolCost(4 * 4, 2, 2 * 4)
    assert (
        widen_cost(1000, 22, 32, left=10) == widen_cost(0, 22, 32) == widen_cost(9, 32, 22, drop=10) == FREE
    )
    assert wrap_bits(40, 32, drop=20) == 12


def test_kernels_check_what_they_are_given():
    word, byte = np.zeros(8, np.uint32), np.zeros(8, np.uint8)
    out = word.copy(), word.copy(), np.zeros(16, np.uint8)
    masks = np.zeros(24, np.uint8)
    _native.widen_deal(word, word, 20, 28, 0, 0, masks, byte, *out)
    for source, target, drop, left in (
        (20, 20, 0, 0),
        (20, 28, 0, 8),
        (20, 28, 19, 0),
        (20, 70, 0, 0),
        (1, 9, 0, 0),
    ):
        with pytest.raises(ValueError, match=r"ring|drop|local"):
            _native.widen_deal(word, word, source, target, drop, left, masks, byte, *out)
    with pytest.raises(ValueError, match="packed"):
        _native.widen_deal(word, word, 20, 29, 0, 0, masks, byte, *out)
    with pytest.raises(ValueError, match="words"):
        _native.widen_choose(word.astype(np.uint64), 20, 28, 0, 0, out[2], byte, byte.copy())
    with pytest.raises(ValueError, match="drop, left"):
        _native.shift(word, 20, 20, 20, 0, False, word.copy())


# What each party sees. All elements have the same slots, so that they repeat one experiment in which only
# the masks are random: what a party receives must be uniform, and independent of all that it knows.

SAMPLES = 1 << 15
INPUTS = [(0, 0, 0), (0, 0, -1), (0x23456, 0x0F0F0, 5), (-0x23456, 0x12345, 0x7FFFF), (0xFFFFF, 1, 0x80000)]


def step_of(slots, target=28, drop=0):
    """A cast whose words are bytes, so that their whole distribution can be tested."""
    held = of_slots([np.full(SAMPLES, v % 2**32, np.uint32) for v in slots], 20)
    return lambda party: widen(party, held[party.rank], target, drop)


def columns(messages):
    return [part for message in messages for part in message.reshape(-1, SAMPLES)]


def least(slots, faults=None, **cast):
    """The least p-value over all signed sums of what P1 and P2 receive and know."""
    (nothing, _), *others = views(step_of(slots, **cast), faults)
    assert nothing == []
    return min(least_uniform_sum(columns([*received, *known])) for received, known in others)


@pytest.mark.parametrize("slots", INPUTS, ids=str)
@pytest.mark.parametrize("cast", [{}, {"target": 20, "drop": 8}], ids=str)
def test_what_a_party_receives_is_uniform_given_all_it_knows(slots, cast):
    assert least(slots, **cast) > 1e-6


@pytest.mark.parametrize("pair", [(0, 1), (0, 2)])
def test_a_dropped_mask_is_noticed(pair):
    assert min(least(slots, {(*pair, None): "dropped"}) for slots in INPUTS) < 1e-12


@pytest.mark.parametrize("pair", [(0, 1), (0, 2)])
def test_a_mask_that_serves_twice_is_noticed(pair):
    def worst(faults):
        step = step_of(INPUTS[2])
        _, *others = views(lambda party: together([step(party), step(party)]), faults)
        seen = [columns([*received, *known]) for received, known in others]
        # Of both casts' words any four: with W_1 used twice, r + q_b is.
        return min(least_uniform_sum(some) for of_one in seen for some in itertools.combinations(of_one, 4))

    assert worst({}) > 1e-7
    assert worst({(*pair, 1): "reused"}) < 1e-12


def test_results_are_shared_afresh():
    """Given the slots of x, the slots of the result are uniform in the bits that were added, two and two."""
    for slots in INPUTS:
        results, _ = three(step_of(slots))
        added = [(reduced(r.own, 28) >> np.uint32(20)).astype(np.uint8) for r in results]
        for i in range(3):
            assert least_uniform_sum([added[i], added[(i + 1) % 3]]) > 1e-6


def test_words_of_a_few_bits_are_uniform_too():
    (_, _), *others = views(step_of(INPUTS[2], target=24))
    for received, known in others:
        nibbles = []
        for message in (*received, *known):
            for part in np.split(message, len(message) * 2 // SAMPLES):
                out = np.empty(SAMPLES, np.uint32)
                _native.unpack(part, 4, out)
                nibbles.append(out.astype(np.uint8))
        # Sums of 4 bits, two elements side by side.
        assert least_uniform_sum([n[::2] % 16 * 16 + n[1::2] % 16 for n in nibbles[:1]]) > 1e-6
        for i in range(len(nibbles)):
            for j in range(i):
                total = (nibbles[i] + nibbles[j]) % 16
                assert least_uniform_sum([(total[::2] * 16 + total[1::2]).astype(np.uint8)]) > 1e-6
