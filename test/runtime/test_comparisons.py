"""The comparison: right on every edge, at the stated cost, and telling nobody anything."""

import itertools
import tracemalloc
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parties import KEYS, Depths, Tapped, spu_product, to_raw
from scipy.stats import chi2
from spu import libspu

from ditto.bench.protocol_speed import bench_comparisons, comparison_table
from ditto.runtime.party.engine_shares import from_share
from ditto.runtime.protocols.comparison_engine import Comparison, ComparisonEngine, ComparisonError
from ditto.runtime.protocols.prf import Stream, agree_streams
from ditto.runtime.protocols.sharing import raw_shape, share, word_dtype
from ditto.runtime.transport.channel import ChannelError, LinkChannel, run_in_threads
from ditto_compiler.cost.batches import comparisons_cost
from ditto_compiler.cost.measured import FREE
from ditto_compiler.encoding import RINGS
from ditto_compiler.protocols.chunks import MAX_CHUNK, SINGLE_CHUNK, WINDOW
from ditto_compiler.protocols.comparison_batches import Group, comparison_rounds


def less_many(batch):
    """Compare (ring, slots of three parties, thresholds) among three threads.

    The answers as booleans, after a check that the copies of each slot agree; and the cost, counted at the
    channels.
    """
    depths = {pair: deque() for pair in itertools.product(range(3), repeat=2)}

    def party(channel):
        streams = agree_streams(channel.rank, channel)
        channel.bytes_sent = channel.messages_sent = 0
        counted = Depths(channel, depths)
        engine = ComparisonEngine(channel.rank, counted, streams)
        answers = engine.less_many([Comparison(ring, slots[channel.rank], c) for ring, slots, c in batch])
        return answers, channel.bytes_sent, channel.messages_sent, counted.depth

    results = run_in_threads(party)
    answers = [
        [reveal([answers[i][j] for answers, *_ in results]) for j in range(len(thresholds))]
        for i, (_, _, thresholds) in enumerate(batch)
    ]
    _, sent, messages, rounds = zip(*results, strict=True)
    return answers, (sum(sent), sum(messages), max(rounds))


def reveal(slots):
    """The booleans of three parties' slots."""
    for first, second in zip(slots, [*slots[1:], slots[0]], strict=True):
        assert first.dtype == np.uint8
        assert np.array_equal(first[..., 1], second[..., 0])
    value = slots[0][..., 0] ^ slots[1][..., 0] ^ slots[2][..., 0]
    assert value.max(initial=0) <= 1
    return value.astype(bool)


def shared(values, ring):
    return share(to_raw(values, ring), ring)


def cost_of(*groups):
    cost = comparisons_cost([Group(*group) for group in groups])
    return cost.bytes, cost.messages, cost.rounds


def assert_right(ring, values, thresholds):
    (answers,), cost = less_many([(ring, shared(values, ring), tuple(thresholds))])
    for c, answer in zip(thresholds, answers, strict=True):
        assert answer.tolist() == [x < c for x in values], f"ring {ring}, threshold {c}"
    assert cost == cost_of((ring, len(values), len(thresholds)))


@pytest.mark.parametrize("ring", RINGS)
def test_signs_are_right_in_the_whole_ring(ring):
    half = 1 << (ring - 1)
    digits = [d << 4 * j for j in range(ring // 4 - 1) for d in (1, 8, 15)]
    edges = [0, -half, half - 1, -half + 1, *digits, *(-d for d in digits), *(d - 1 for d in digits)]
    draw = np.random.default_rng(5)
    wide = [int.from_bytes(draw.bytes(16), "little") % (2 * half) - half for _ in range(1000)]
    assert_right(ring, edges * 4 + wide, [0])


@pytest.mark.parametrize("ring", RINGS)
def test_thresholds_are_right_wherever_the_difference_fits(ring):
    quarter = 1 << (ring - 2)
    draw = np.random.default_rng(6)
    wide = [int.from_bytes(draw.bytes(16), "little") % (2 * quarter) - quarter for _ in range(300)]
    thresholds = [0, 1, -1, quarter, -quarter, 12345, *wide[:4]]
    near = [c + e for c in thresholds for e in (-1, 0, 1)]
    values = [x for x in near * 4 + wide if -quarter <= x < quarter]
    assert_right(ring, values, thresholds)


@pytest.mark.parametrize("ring", RINGS)
def test_a_threshold_may_be_as_far_away_as_the_difference_fits(ring):
    half = 1 << (ring - 1)
    assert_right(ring, [0, 1, half - 1], [half])
    assert_right(ring, [-1, -half], [-half])
    # The difference wraps: the opposite.
    ((answer,),), _ = less_many([(ring, shared([-1], ring), (half,))])
    assert answer.tolist() == [False]


@pytest.mark.parametrize("shares", [(0, 0), (-1, -1), (0, -1), (1 << 31, 1 << 31), (0x0FFFFFFF, 1)])
def test_any_slots_of_a_value_will_do(shares):
    values = [0, 1, -1, 15, 16, -16, -(2**31), 2**31 - 1]
    x0, x1 = (to_raw([s] * len(values), 32) for s in shares)
    x2 = to_raw([v - sum(shares) for v in values], 32)
    slots = [np.stack(pair, axis=-1) for pair in ((x0, x1), (x1, x2), (x2, x0))]
    ((answer,),), _ = less_many([(32, slots, (0,))])
    assert answer.tolist() == [v < 0 for v in values]


@st.composite
def a_comparison(draw):
    ring = draw(st.sampled_from(RINGS))
    quarter = 1 << (ring - 2)
    numbers = st.integers(-quarter, quarter - 1) | st.integers(-20, 20)
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
    size = int(np.prod(shape))
    values = draw(st.lists(numbers, min_size=size, max_size=size))
    return ring, shape, values, tuple(draw(st.lists(numbers, max_size=3)))


@given(st.lists(a_comparison(), max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_batch_of_any_shapes_is_right_at_the_stated_cost(batch):
    jobs = []
    for ring, shape, values, thresholds in batch:
        slots = [s.reshape(raw_shape((*shape, 2), ring)) for s in shared(values, ring)]
        jobs.append((ring, slots, thresholds))
    answers, cost = less_many(jobs)
    for (_, shape, values, thresholds), of_one in zip(batch, answers, strict=True):
        for c, answer in zip(thresholds, of_one, strict=True):
            assert answer.shape == shape
            assert answer.reshape(-1).tolist() == [x < c for x in values]
    assert cost == cost_of(*((ring, len(values), len(c)) for ring, _, values, c in batch))


def strided(array):
    return np.repeat(array, 2, axis=0)[::2]


def column_major(array):
    return np.asfortranarray(array)


def unaligned_read_only(array):
    return np.frombuffer(b"12345" + array.tobytes(), array.dtype, offset=5).reshape(array.shape)


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("layout", [strided, column_major, unaligned_read_only])
def test_layouts(ring, layout):
    values = np.arange(41 * 7) - 100
    slots = [s.reshape(raw_shape((41, 7, 2), ring)) for s in shared(values.tolist(), ring)]
    ((answer,),), _ = less_many([(ring, [layout(s) for s in slots], (3,))])
    assert np.array_equal(answer, values.reshape(41, 7) < 3)


@pytest.mark.parametrize(
    ("ring", "one", "three"), [(32, 22.875, 38.625), (64, 48.5, 83.5), (128, 100.125, 174.375)]
)
def test_costs_are_those_promised(ring, one, three):
    assert comparisons_cost([Group(ring, 8000, 1)]).bytes == one * 8000
    assert comparisons_cost([Group(ring, 8000, 3)]).bytes == three * 8000
    assert comparison_rounds(ring) == {32: 5, 64: 6, 128: 7}[ring]


def test_the_table_of_costs_in_the_docs_is_fresh():
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "protocols.md").read_text()
    assert comparison_table() in page, f"put this into docs/explanation/protocols.md:\n\n{comparison_table()}"


def test_the_benchmark_counts_what_the_formulas_say():
    (cost,) = bench_comparisons(1000, [(32, 2)])
    assert (cost.bytes_per_element, cost.rounds) == (comparisons_cost([Group(32, 1000, 2)]).bytes / 1000, 5)
    assert cost.spu_bytes_per_element == pytest.approx(2 * 60, rel=0.01)


def test_comparisons_of_a_batch_share_messages():
    values = [-1, 0, 1]
    batch = [(ring, shared(values, ring), (0, 1)) for ring in (64, 32, 64)]
    answers, cost = less_many(batch)
    for below_zero, below_one in answers:
        assert below_zero.tolist() == [True, False, False]
        assert below_one.tolist() == [True, True, False]
    assert cost == cost_of((64, 3, 2), (32, 3, 2), (64, 3, 2))
    assert cost[1:] == (12 + 15, 6)


@pytest.mark.parametrize("batch", [[], [(32, (), 0)], [(64, (3, 0), 1), (32, (5,), 0)]], ids=str)
def test_nothing_is_sent_for_nothing(batch):
    jobs = [
        (ring, [np.zeros((*shape, 2), word_dtype(ring))] * 3, (0,) * thresholds)
        for ring, shape, thresholds in batch
    ]
    answers, cost = less_many(jobs)
    assert [len(a) for a in answers] == [thresholds for _, _, thresholds in batch]
    assert cost == (0, 0, 0)
    assert comparisons_cost([Group(ring, int(np.prod(shape)), c) for ring, shape, c in batch]) == FREE


@pytest.mark.parametrize("total", [SINGLE_CHUNK, SINGLE_CHUNK + 1, 3 * MAX_CHUNK + 1, WINDOW * MAX_CHUNK + 1])
def test_large_batches_are_streamed(total):
    values = np.arange(total) - total // 2
    parts = values[: total // 3], values[total // 3 :]
    first, second = (share(part.astype(np.uint32), 32) for part in parts)
    batch = [(32, first, (0, -1000)), (64, shared([5, -5], 64), (0,)), (32, second, (7,))]
    ((below_0, below_1000), (sign,), (below_7,)), cost = less_many(batch)
    assert np.array_equal(below_0, parts[0] < 0)
    assert np.array_equal(below_1000, parts[0] < -1000)
    assert np.array_equal(below_7, parts[1] < 7)
    assert sign.tolist() == [False, True]
    assert cost == cost_of((32, len(parts[0]), 2), (64, 2, 1), (32, len(parts[1]), 1))


def test_p0_rotates_from_batch_to_batch():
    slots = shared(range(-4, 4), 32)

    def party(channel):
        engine = ComparisonEngine(channel.rank, channel, agree_streams(channel.rank, channel))
        sent, answers = [], []
        for _ in range(6):
            before = channel.bytes_sent
            answers += engine.less_many([Comparison(32, slots[channel.rank], (0,))])[0]
            sent.append(channel.bytes_sent - before)
        return sent, answers

    parties = run_in_threads(party)
    p0, other = 8 * 15 + 11, 15 + 11
    assert [sent for sent, _ in parties] == [
        [p0, other, other] * 2,
        [other, p0, other] * 2,
        [other, other, p0] * 2,
    ]
    for answers in zip(*(answers for _, answers in parties), strict=True):
        assert reveal(answers).tolist() == [True] * 4 + [False] * 4


def test_memory_stays_at_the_results_and_a_window_of_chunks():
    elements = 1 << 22
    slots = share(np.zeros(elements, np.uint32), 32)

    def party(channel):
        engine = ComparisonEngine(channel.rank, channel, agree_streams(channel.rank, channel))
        return engine.less_many([Comparison(32, slots[channel.rank], (0,))])[0][0].nbytes

    tracemalloc.start()
    results = sum(run_in_threads(party))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A query has 15 bytes; beside the messages, a party holds two slots of two bytes, and one of each more.
    assert peak < results + 3 * 24 * MAX_CHUNK * WINDOW < results + elements * 24


def test_slots_of_another_ring_are_an_error():
    engine = ComparisonEngine(0, None, {})
    with pytest.raises(ComparisonError, match=r"ring 32: expected slots of dtype uint32 .* got dtype uint64"):
        engine.less_many([Comparison(32, np.zeros((4, 2), np.uint64), (0,))])
    with pytest.raises(ComparisonError, match=r"last axes \(2, 2\), got dtype uint64 with shape \(4, 2\)"):
        engine.less_many([Comparison(128, np.zeros((4, 2), np.uint64), (0,))])
    with pytest.raises(ComparisonError, match=r"last axes \(2,\), got dtype uint32 with shape \(\)"):
        engine.less_many([Comparison(32, np.zeros((), np.uint32), (0,))])
    with pytest.raises(ComparisonError, match="no ring of 16 bits: expected one of 32, 64, 128"):
        engine.less_many([Comparison(16, np.zeros((4, 2), np.uint16), (0,))])


@pytest.mark.parametrize("odd_one_out", range(3))
@pytest.mark.parametrize("thresholds", [(0,), (0, 1)])
def test_parties_that_compare_different_things_are_told(odd_one_out, thresholds):
    def party(channel):
        engine = ComparisonEngine(channel.rank, channel, agree_streams(channel.rank, channel))
        other = channel.rank == odd_one_out
        size = 20 if other and len(thresholds) == 1 else 4
        slots = np.zeros((size, 2), np.uint32)
        with pytest.raises(ChannelError) as error:
            engine.less_many([Comparison(32, slots, (0,) if other else thresholds)])
        return str(error.value)

    errors = run_in_threads(party)
    assert any("all parties must compare the same tensors" in error for error in errors)


@pytest.mark.parametrize("ring", RINGS)
def test_comparisons_work_on_shares_that_spu_makes_and_over_its_links(ring):
    values = [0, 1, -1, 15, 16, -16, 2**30, -(2**30), *range(-50, 50)]
    slots, ones = shared(values, ring), shared([1] * len(values), ring)
    desc = libspu.link.Desc()
    for rank in range(3):
        desc.add_party(f"party{rank}", f"thread{rank}")

    def party(channel):
        rank = channel.rank
        link = libspu.link.create_mem(desc, rank)
        made = from_share(spu_product(link, ring, slots[rank], ones[rank]), ring).data
        wire = LinkChannel(link.spawn())
        engine = ComparisonEngine(rank, wire, agree_streams(rank, wire))
        wire.bytes_sent = 0
        return engine.less_many([Comparison(ring, made, (0, 7))])[0], wire.bytes_sent

    results = run_in_threads(party)
    for i, c in enumerate((0, 7)):
        assert reveal([answers[i] for answers, _ in results]).tolist() == [x < c for x in values]
    assert sum(sent for _, sent in results) == cost_of((ring, len(values), 2))[0]


# What each party sees. All elements have the same slots, so that they repeat one experiment in which only
# the masks are random: whatever a party receives must be uniform, and independent of all that it knows.
# Streams have fixed keys: each test always does the same.

SAMPLES = SINGLE_CHUNK
INPUTS = [
    # x_0, x_1, x_2: secrets of either sign, digits below, above and equal to those compared with.
    (0, 0, 0),
    (0, 0, -1),
    (0x12345678, 0x0F0F0F0F, 5),
    (-0x12345678, 0x12345678, 0x7FFFFFFF),
    (0x0FFFFFFF, 1, -0x10000001),
]


class Faulty(Stream):
    """A stream that may be made faulty, and keeps what it gave."""

    def __init__(self, key, fault=None):
        super().__init__(key)
        self.key, self.fault, self.taken = key, fault, []

    def take(self, size):
        data = super().take(size)
        if self.fault == "dropped":
            data = np.zeros(size, np.uint8)
        elif self.fault == "reused":
            data = Stream(self.key).take(size)
        self.taken.append(data)
        return data


def views(inputs, faults):
    """By role: the messages received and sent in order, and the masks taken, by peer."""
    x = [np.full(SAMPLES, v % 2**32, np.uint32) for v in inputs]

    def party(channel):
        rank = channel.rank
        streams = {}
        for other in {0, 1, 2} - {rank}:
            pair = frozenset((rank, other))
            streams[other] = Faulty(KEYS[pair], faults.get(tuple(sorted(pair))))
        tapped = Tapped(channel)
        slots = np.stack([x[rank], x[(rank + 1) % 3]], axis=-1)
        ComparisonEngine(rank, tapped, streams).less_many([Comparison(32, slots, (0,))])
        return tapped, {other: stream.taken for other, stream in streams.items()}

    return run_in_threads(party)


def joint_bits(role, view):
    """What a party receives after the query, and what it knows, one bit each for every element.

    Of messages and masks of all digits, two rows: the lowest digit's G and the top one's. What P1 makes of
    the query, and P2 of the mask of it, is in what they send to each other.
    """
    (tapped, taken), row = view, SAMPLES // 8
    if role == 0:
        digits, products = [taken[2][1], taken[1][0]], tapped.received
    elif role == 1:
        (_, theirs, *products), own = tapped.received, tapped.sent[0]
        digits = [theirs, own, taken[0][0]]
    else:
        (theirs, *products), own = tapped.received, tapped.sent[0]
        digits = [theirs, own, taken[0][1]]
    masks = [draw for draws in taken.values() for draw in draws[-3:]]
    lowest = [message[:row] for message in [*digits, *products, *masks]]
    top = [message[7 * row : 8 * row] for message in digits]
    return np.array([np.unpackbits(message) for message in [*lowest, *top]])


def least_unbiased(bits):
    """The least p-value over the exclusive ors of all subsets of the rows, each tested for bias.

    A leak in this protocol is a mask that cancels out of such a sum. All of them at once: the Walsh-Hadamard
    transform of the histogram of the columns.
    """
    count, samples = bits.shape
    index = (bits.astype(np.int64) << np.arange(count)[:, None]).sum(axis=0)
    sums = np.bincount(index, minlength=1 << count).astype(np.float64)
    for bit in range(count):
        pairs = sums.reshape(-1, 2, 1 << bit)
        sums = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
    return float(chi2.sf(sums[1:] ** 2 / samples, 1).min())


def least_uniform(message, parts):
    """The least p-value of chi-square tests of the bytes of `parts` equal parts against the uniform one."""
    p = []
    for part in np.split(message, parts):
        counts = np.bincount(part, minlength=256)
        expected = len(part) / 256
        p.append(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255))
    return min(p)


def least(inputs, faults):
    parties = views(inputs, faults)
    query, *_ = parties[1][0].received
    received = [message for tapped, _ in parties for message in tapped.received]
    return min(
        least_uniform(query, 15),
        *(least_uniform(message, 1) for message in received),
        *(least_unbiased(joint_bits(role, view)) for role, view in enumerate(parties)),
    )


@pytest.mark.parametrize("inputs", INPUTS, ids=str)
def test_what_a_party_receives_is_uniform_given_all_it_knows(inputs):
    assert least(inputs, {}) > 1e-9


@pytest.mark.parametrize("fault", ["dropped", "reused"])
@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_a_dropped_or_reused_mask_is_noticed(pair, fault):
    assert min(least(inputs, {pair: fault}) for inputs in INPUTS) < 1e-12


def test_what_each_pair_draws_is_what_the_counter_discipline_says():
    parties = views(INPUTS[0], {})
    row = SAMPLES // 8
    levels = [7 * row, 3 * row, row]
    drawn = {
        frozenset((rank, other)): [draw.size for draw in draws]
        for rank, (_, taken) in enumerate(parties)
        for other, draws in taken.items()
    }
    assert drawn == {
        frozenset((0, 2)): [15 * SAMPLES, 15 * row, *levels],
        frozenset((0, 1)): [15 * row, *levels],
        frozenset((1, 2)): levels,
    }


def test_masks_are_fresh_from_batch_to_batch():
    def party(channel):
        streams = {o: Faulty(KEYS[frozenset((channel.rank, o))]) for o in {0, 1, 2} - {channel.rank}}
        engine = ComparisonEngine(channel.rank, channel, streams)
        for _ in range(4):
            engine.less_many([Comparison(32, np.zeros((64, 2), np.uint32), (0, 1))])
        return streams

    for rank, streams in enumerate(run_in_threads(party)):
        for other, stream in streams.items():
            whole = Stream(KEYS[frozenset((rank, other))]).take(sum(map(len, stream.taken)))
            assert np.array_equal(np.concatenate(stream.taken), whole)
