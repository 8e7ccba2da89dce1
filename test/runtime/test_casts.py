"""The cast protocols: right, within the stated error, at the stated cost, and telling nobody anything."""

import itertools
import tracemalloc
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import spu
from hypothesis import given, settings
from hypothesis import strategies as st
from parties import KEYS, Depths, Tapped, spu_product, spu_share, to_integers, to_raw
from scipy.stats import chi2
from spu import libspu

from ditto.bench.protocol_speed import bench_casts, cost_table
from ditto.runtime.party.engine_shares import FIELDS, from_share
from ditto.runtime.protocols.cast_engine import CastEngine, CastError
from ditto.runtime.protocols.prf import Stream, agree_streams
from ditto.runtime.protocols.sharing import reconstruct, share
from ditto.runtime.transport.channel import ChannelError, LinkChannel, run_in_threads
from ditto_compiler.cost.batches import casts_cost
from ditto_compiler.encoding import RINGS, Cast, EncodingError, Fxp, Int
from ditto_compiler.network import Network
from ditto_compiler.protocols.cast_batches import choose_mode
from ditto_compiler.protocols.chunks import MAX_CHUNK, SINGLE_CHUNK, WINDOW

MODES = ("two-round", "one-round")


def cast_many(batch, mode="two-round"):
    """Cast (cast, values) pairs among three threads; the resulting integers, and the channels."""
    shares = [(cast, share(to_raw(values, cast.source.ring), cast.source.ring)) for cast, values in batch]

    def party(channel):
        engine = CastEngine(channel.rank, channel, agree_streams(channel.rank, channel), mode=mode)
        channel.bytes_sent = channel.messages_sent = 0
        return engine.cast_many([(cast, slots[channel.rank]) for cast, slots in shares]), channel

    results = run_in_threads(party)
    outputs = []
    for index, (cast, _) in enumerate(batch):
        ring = cast.target.ring
        outputs.append(to_integers(reconstruct([slots[index] for slots, _ in results], ring), ring))
    return outputs, [channel for _, channel in results]


def bounds(cast):
    """The values that a cast takes: |x| <= 2^(k-2), and results that fit the target likewise."""
    high = 1 << (cast.source.ring - 2)
    room = cast.target.ring - 2 + cast.shift_right - cast.shift_left
    return (-min(high, 1 << room), min(high, 1 << room) - 1) if room >= 0 else (0, 0)


def edges(cast, extra=200):
    low, high = bounds(cast)
    half = (1 << cast.shift_right) >> 1
    values = [low, low + 1, -half - 1, -half, -1, 0, 1, half, half + 1, high - 1, high]
    draw = np.random.default_rng(7)
    wide = [int.from_bytes(draw.bytes(20), "little") % (high - low + 1) + low for _ in range(extra)]
    narrow = [int(v) for v in draw.integers(-1000, 1000, extra)]
    return [v for v in values * 8 + wide + narrow if low <= v <= high]


def assert_close(cast, values, results):
    """The documented bound: exact if nothing is dropped, else less than 3/2 units in the last place."""
    t = cast.shift_right
    for x, y in zip(values, results, strict=True):
        error = (y << t) - (x << cast.shift_left)
        low, high = (-3 * 2 ** (t - 1) + 2, 3 * 2 ** (t - 1) - 1) if t else (0, 0)
        assert low <= error <= high, f"{cast}: {x} became {y}"


def offered_casts():
    fractions = {32: (0, 1, 8, 14, 30), 64: (0, 1, 8, 18, 36, 62), 128: (0, 1, 18, 40, 80, 126)}
    for source, target in itertools.product(RINGS, RINGS):
        for f, g in itertools.product(fractions[source], fractions[target]):
            try:
                yield Cast(Fxp(source, f), Fxp(target, g))
            except EncodingError:
                continue
        yield Cast(Int(source), Int(target))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", RINGS)
def test_every_cast_is_right_on_edges_and_at_random(source, mode):
    batch = [(cast, edges(cast)) for cast in offered_casts() if cast.source.ring == source]
    assert len(batch) > 50
    outputs, channels = cast_many(batch, mode)
    for (cast, values), results in zip(batch, outputs, strict=True):
        assert_close(cast, values, results)
    words = 5 if mode == "one-round" else 4
    formula = sum(cast.bytes_per_element * len(values) for cast, values in batch) * words // 4
    assert sum(channel.bytes_sent for channel in channels) == formula


@st.composite
def a_cast_with_values(draw):
    source = draw(st.sampled_from(RINGS))
    target = draw(st.sampled_from(RINGS))
    f = draw(st.integers(0, source - 2))
    least = max(0, f - (source - target)) if target < source else 0
    most = min(f, target - 2) if target < source else target - 2
    if least > most:
        source, target, f, least, most = 64, 32, 30, 0, 30
    cast = Cast(Fxp(source, f), Fxp(target, draw(st.integers(least, most))))
    low, high = bounds(cast)
    return cast, draw(st.lists(st.integers(low, high) | st.sampled_from([low, high]), max_size=20))


@given(a_cast_with_values(), st.sampled_from(MODES))
@settings(max_examples=150, deadline=None)
def test_any_cast_of_any_values_keeps_the_bound(cast_and_values, mode):
    cast, values = cast_and_values
    (results,), _ = cast_many([(cast, values)], mode)
    assert_close(cast, values, results)


@pytest.mark.parametrize(
    "cast", [Cast(Fxp(64, 36), Fxp(32, 18)), Cast(Fxp(64, 36), Fxp(64, 18)), Cast(Fxp(32, 12), Fxp(64, 4))]
)
@pytest.mark.parametrize("low_bits", [0.0, 0.25, 0.5, 0.9])
def test_truncation_is_unbiased_whatever_the_dropped_bits(cast, low_bits):
    t, n = cast.shift_right, 1 << 16
    x = (12345 << t) + int(low_bits * 2**t)
    (results,), _ = cast_many([(cast, [x] * n)])
    errors = (np.array(results, np.float64) * 2.0**t - x) / 2.0**t
    # The deviation of one error is at most 0.5 ulp; six standard deviations of the mean.
    assert abs(errors.mean() - 2.0 ** -(t + 1)) < 6 * 0.5 / np.sqrt(n)
    if low_bits == 0.0:
        share_of = [np.mean(errors == e) for e in (-1, 0, 1)]
        assert np.allclose(share_of, [1 / 8, 3 / 4, 1 / 8], atol=0.02)


def test_undoing_a_shift_left_adds_one_unit():
    """The documented limit of the centring: slots that are multiples of 2^t leave nothing to round."""
    up, down = Cast(Fxp(32, 8), Fxp(64, 18)), Cast(Fxp(64, 18), Fxp(32, 8))
    slots = share(to_raw(range(100), 32), 32)

    def party(channel):
        engine = CastEngine(channel.rank, channel, agree_streams(channel.rank, channel))
        (wide,) = engine.cast_many([(up, slots[channel.rank])])
        return engine.cast_many([(down, wide)])[0]

    assert to_integers(reconstruct(run_in_threads(party), 32), 32) == list(range(1, 101))


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (Fxp(64, 18), Fxp(32, 19), "cannot add fraction bits"),
        (Fxp(64, 36), Fxp(32, 3), "dropping 33 bits"),
        (Fxp(128, 100), Fxp(64, 35), "dropping 65 bits"),
        (Fxp(128, 100), Fxp(32, 3), "dropping 97 bits"),
        (Fxp(64, 18), Int(64), "do not mix"),
    ],
)
def test_casts_that_no_protocol_offers_are_errors(source, target, why):
    with pytest.raises(EncodingError, match=why):
        Cast(source, target)


def test_casts_of_a_batch_share_messages():
    casts = [Cast(Fxp(32, 8), Fxp(64, 8)), Cast(Fxp(64, 36), Fxp(64, 18)), Cast(Int(64), Int(32))]
    _, channels = cast_many([(cast, list(range(100))) for cast in casts])
    assert [c.messages_sent for c in channels] == [1, 1, 1]  # P0 to P1, P1 to P2, P2 to P1
    assert [c.bytes_sent for c in channels] == [100 * 2 * 7, 100 * 7, 100 * 7]
    _, channels = cast_many([(cast, list(range(100))) for cast in casts], "one-round")
    assert [c.messages_sent for c in channels] == [2, 1, 1]
    assert [c.bytes_sent for c in channels] == [100 * 3 * 7, 100 * 7, 100 * 7]


@pytest.mark.parametrize("mode", MODES)
def test_p0_rotates_from_batch_to_batch(mode):
    cast, (x0, x1, x2) = Cast(Fxp(32, 8), Fxp(64, 8)), share(to_raw(range(9), 32), 32)

    def party(channel):
        engine = CastEngine(channel.rank, channel, agree_streams(channel.rank, channel), mode=mode)
        sent, results = [], []
        for _ in range(6):
            before = channel.bytes_sent
            results += engine.cast_many([(cast, (x0, x1, x2)[channel.rank])])
            sent.append((channel.bytes_sent - before) // 36)
        return sent, results

    parties = run_in_threads(party)
    p0 = 2 if mode == "two-round" else 3
    assert [sent for sent, _ in parties] == [[p0, 1, 1] * 2, [1, p0, 1] * 2, [1, 1, p0] * 2]
    for results in zip(*(results for _, results in parties), strict=True):
        assert to_integers(reconstruct(results, 64), 64) == list(range(9))


@pytest.mark.parametrize(
    "cast",
    [
        Cast(Fxp(32, 8), Fxp(64, 8)),
        Cast(Fxp(32, 8), Fxp(64, 18)),
        Cast(Fxp(64, 36), Fxp(64, 18)),
        Cast(Fxp(64, 34), Fxp(64, 18)),
        Cast(Fxp(128, 80), Fxp(128, 40)),
        Cast(Fxp(32, 8), Fxp(64, 40)),
        Cast(Fxp(64, 36), Fxp(32, 8)),
        Cast(Fxp(32, 8), Fxp(32, 12)),
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", MODES)
def test_bytes_and_rounds_are_those_of_the_formulas(cast, mode):
    n = 1000
    slots = share(to_raw(range(n), cast.source.ring), cast.source.ring)
    depths = {pair: deque() for pair in itertools.product(range(3), repeat=2)}

    def party(channel):
        streams = agree_streams(channel.rank, channel)
        channel.bytes_sent = 0
        counted = Depths(channel, depths)
        CastEngine(channel.rank, counted, streams, mode=mode).cast_many([(cast, slots[channel.rank])])
        return channel.bytes_sent, counted.depth

    results = run_in_threads(party)
    words = 5 if mode == "one-round" else 4
    assert sum(sent for sent, _ in results) == cast.bytes_per_element * words // 4 * n
    assert max(depth for _, depth in results) == min(cast.rounds, 1 if mode == "one-round" else 2)


def test_costs_are_those_promised():
    assert Cast(Fxp(32, 8), Fxp(64, 8)).bytes_per_element == 16
    assert Cast(Fxp(64, 36), Fxp(64, 18)).bytes_per_element == 12
    assert Cast(Fxp(64, 34), Fxp(64, 18)).bytes_per_element == 8
    assert Cast(Fxp(64, 36), Fxp(32, 8)).bytes_per_element == 0


def test_the_table_of_costs_in_the_docs_is_fresh():
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "protocols.md").read_text()
    assert cost_table() in page, f"put this into docs/explanation/protocols.md:\n\n{cost_table()}"


def test_the_benchmark_counts_what_the_formulas_say():
    casts = [Cast(Fxp(64, 36), Fxp(64, 18)), Cast(Fxp(64, 18), Fxp(32, 8))]
    truncation, one_round, downcast = bench_casts(1000, casts)
    assert (truncation.bytes_per_element, truncation.rounds) == (12, 2)
    assert (one_round.bytes_per_element, one_round.rounds) == (15, 1)
    assert (downcast.bytes_per_element, downcast.rounds) == (0, 0)
    assert truncation.spu_bytes_per_element == pytest.approx(28, rel=0.01)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("total", [SINGLE_CHUNK, SINGLE_CHUNK + 1, 3 * MAX_CHUNK, 3 * MAX_CHUNK + 1, 500_000])
def test_large_batches_are_streamed_evenly(total, mode):
    first, second = Cast(Fxp(64, 36), Fxp(64, 18)), Cast(Int(32), Int(64))
    sizes = total // 3, total - total // 3
    values = [np.arange(sizes[0], dtype=np.int64) << 18, np.arange(sizes[1], dtype=np.int64) - 1000]
    shares = [share(values[0].view(np.uint64), 64), share(values[1].astype(np.uint32), 32)]

    def party(channel):
        rank = channel.rank
        engine = CastEngine(rank, channel, agree_streams(rank, channel), mode=mode)
        channel.bytes_sent = channel.messages_sent = 0
        batch = [(first, shares[0][rank]), (second, shares[1][rank])]
        return engine.cast_many(batch), channel

    results = run_in_threads(party)
    truncated, widened = (reconstruct([r[0][i] for r in results], 64).view(np.int64) for i in range(2))
    assert np.array_equal(widened, values[1])
    assert np.abs(truncated - np.arange(sizes[0])).max() <= 1
    sent = [r[1].bytes_sent for r in results]
    assert sum(sent) == (sizes[0] * 12 + sizes[1] * 16) * (5 if mode == "one-round" else 4) // 4
    if total > SINGLE_CHUNK:
        assert max(sent) < 1.2 * min(sent)
    else:
        assert sum(r[1].messages_sent for r in results) == (4 if mode == "one-round" else 3)


def test_memory_stays_at_the_results_and_a_window_of_chunks():
    elements, cast = 1 << 22, Cast(Fxp(32, 8), Fxp(64, 8))
    slots = share(np.zeros(elements, np.uint32), 32)

    def party(channel):
        engine = CastEngine(channel.rank, channel, agree_streams(channel.rank, channel))
        return engine.cast_many([(cast, slots[channel.rank])])[0].nbytes

    tracemalloc.start()
    results = sum(run_in_threads(party))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    words_of_a_window = 4 * MAX_CHUNK * WINDOW
    assert peak < results + 3 * 3 * words_of_a_window < results + elements * 4 * 3


def test_nothing_is_sent_for_local_or_empty_casts():
    batch = [
        (Cast(Fxp(64, 18), Fxp(32, 8)), [1, 2]),
        (Cast(Fxp(32, 8), Fxp(32, 9)), [3]),
        (Cast(Int(32), Int(32)), [4]),
        (Cast(Fxp(32, 8), Fxp(64, 8)), []),
    ]
    _, channels = cast_many(batch)
    assert [c.messages_sent for c in channels] == [0, 0, 0]


def test_slots_of_another_ring_are_an_error():
    engine = CastEngine(0, None, {})
    with pytest.raises(CastError, match=r"expected slots of dtype uint32 .* got dtype uint64"):
        engine.cast_many([(Cast(Fxp(32, 8), Fxp(64, 8)), np.zeros((4, 2), np.uint64))])
    with pytest.raises(CastError, match=r"last axes \(2,\), got dtype uint32 with shape \(4, 3\)"):
        engine.cast_many([(Cast(Fxp(32, 8), Fxp(64, 8)), np.zeros((4, 3), np.uint32))])


def test_an_unknown_mode_is_an_error():
    with pytest.raises(
        CastError, match="unknown cast mode 'three-round': expected one of two-round, one-round"
    ):
        CastEngine(0, None, {}, mode="three-round")


def test_parties_that_cast_different_tensors_are_told():
    def party(channel):
        engine = CastEngine(channel.rank, channel, agree_streams(channel.rank, channel))
        size = 5 if channel.rank == 1 else 4
        engine.cast_many([(Cast(Fxp(32, 8), Fxp(64, 8)), np.zeros((size, 2), np.uint32))])

    with pytest.raises(ChannelError, match="all parties must cast the same tensors"):
        run_in_threads(party)


def test_mode_follows_the_network():
    upcast_of_a_bert_layer = 128 * 768 * 16
    assert choose_mode(upcast_of_a_bert_layer, Network("near", 1e9, 0.3e-3)) == "two-round"
    assert choose_mode(upcast_of_a_bert_layer, Network("far", 100e6, 80e-3)) == "one-round"
    assert choose_mode(upcast_of_a_bert_layer, None) == "two-round"


@pytest.mark.parametrize("total", [1000, SINGLE_CHUNK + 1, WINDOW * MAX_CHUNK, WINDOW * MAX_CHUNK + 1])
@pytest.mark.parametrize("rtt_s", [0.0, 10.0])
def test_a_batch_waits_once_per_window_in_the_mode_of_its_network(total, rtt_s):
    """Bytes, messages and the longest chain of messages are what the cost model says."""
    cast = Cast(Int(32), Int(64))
    slots = share(np.arange(total, dtype=np.uint32), 32)
    depths = {pair: deque() for pair in itertools.product(range(3), repeat=2)}
    network = Network("any", 1e9, rtt_s)

    def party(channel):
        streams = agree_streams(channel.rank, channel)
        channel.bytes_sent = channel.messages_sent = 0
        counted = Depths(channel, depths)
        engine = CastEngine(channel.rank, counted, streams, network=network)
        (out,) = engine.cast_many([(cast, slots[channel.rank])])
        return out, channel.bytes_sent, channel.messages_sent, counted.depth

    results = run_in_threads(party)
    assert np.array_equal(reconstruct([out for out, *_ in results], 64), np.arange(total))
    cost = casts_cost(total, total * cast.bytes_per_element, network)
    assert sum(sent for _, sent, _, _ in results) == cost.bytes
    assert sum(messages for _, _, messages, _ in results) == cost.messages
    assert max(depth for *_, depth in results) == cost.rounds


def spu_reconstruct(shares, ring):
    config = libspu.RuntimeConfig(protocol=libspu.ABY3, field=FIELDS[ring])
    return [int(v) for v in spu.Io(3, config).reconstruct(list(shares))]


@pytest.mark.parametrize("mode", MODES)
def test_casts_work_on_shares_that_spu_makes_and_reads(mode):
    fractions = {32: (0, 8), 64: (0, 18, 36), 128: (0, 40, 80)}
    casts = [
        Cast(Fxp(source, f), Fxp(target, g))
        for source, target in itertools.product(RINGS, RINGS)
        for f, g in itertools.product(fractions[source], fractions[target])
        if g - f <= 60 and (target >= source or 0 <= f - g <= source - target)
    ]
    jobs = []
    for cast in casts:
        # SPU's integers have 64 bits: what it reads back of a ring-128 result has to fit them.
        low, high = bounds(cast)
        limit = 1 << (62 + cast.shift_right - cast.shift_left)
        values = [v for v in edges(cast, extra=20) if low <= v <= high and -limit <= v < limit]
        ring = cast.source.ring
        jobs.append(
            (cast, values, share(to_raw(values, ring), ring), share(to_raw([1] * len(values), ring), ring))
        )
    desc = libspu.link.Desc()
    for rank in range(3):
        desc.add_party(f"party{rank}", f"thread{rank}")

    def party(channel):
        rank = channel.rank
        link = libspu.link.create_mem(desc, rank)
        wire = LinkChannel(link.spawn())
        engine = CastEngine(rank, wire, agree_streams(rank, wire), mode=mode)
        wire.bytes_sent = 0
        batch = []
        for cast, _, slots, ones in jobs:
            made = spu_product(link, cast.source.ring, slots[rank], ones[rank])
            batch.append((cast, from_share(made, cast.source.ring).data))
        results = zip(jobs, engine.cast_many(batch), strict=True)
        outputs = [spu_share(slots, cast.target.ring) for (cast, *_), slots in results]
        return outputs, wire.bytes_sent

    results = run_in_threads(party)
    for index, (cast, values, _, _) in enumerate(jobs):
        shares = [outputs[index] for outputs, _ in results]
        assert_close(cast, values, spu_reconstruct(shares, cast.target.ring))
    words = 5 if mode == "one-round" else 4
    formula = sum(cast.bytes_per_element * len(values) for cast, values, _, _ in jobs) * words // 4
    assert sum(sent for _, sent in results) == formula


# What each party sees. The cast drops 8 bits in ring 32, so that every word is one byte and its whole
# distribution can be tested. Streams have fixed keys and shares a fixed seed: each test always does the same.

BYTE_CAST = Cast(Fxp(32, 8), Fxp(32, 0))
SECRETS = (0, -1, 1, 2**30 - 1, -(2**30), 0x12345678 >> 2, -0x0F0F0F0F)
SAMPLES = 1 << 14


class Recorded(Stream):
    """A stream that keeps what it gave, and may be made faulty."""

    def __init__(self, key, fault=None):
        super().__init__(key)
        self.fault, self.taken = fault, []

    def take(self, size):
        data = super().take(size)
        if self.fault == "dropped":
            data = np.zeros(size, np.uint8)
        elif self.fault == "reused":
            data = np.resize(data[:SAMPLES], size)
        self.taken.append(data)
        return data


def views(secret, mode, faults):
    """What P1 and P2 see: their slots, the words that they received, and the masks that they know.

    The two words of a pair come as (the one for b, the other one), since a party knows b.
    """
    random = np.random.default_rng(abs(secret) + 3)
    x0, x1 = (random.integers(0, 2**32, SAMPLES, np.uint32) for _ in range(2))
    x2 = (np.uint32(secret % 2**32) - x0 - x1).astype(np.uint32)
    held = [np.stack(pair, axis=-1) for pair in ((x0, x1), (x1, x2), (x2, x0))]

    def party(channel):
        rank = channel.rank
        streams = {}
        for other in {0, 1, 2} - {rank}:
            pair = frozenset((rank, other))
            fault = faults.get(tuple(sorted(pair)))
            key = KEYS[frozenset((0, 2))] if fault == "same key" else KEYS[pair]
            streams[other] = Recorded(key, fault)
        tapped = Tapped(channel)
        CastEngine(rank, tapped, streams, mode=mode).cast_many([(BYTE_CAST, held[rank])])
        return tapped.received, streams

    (nothing, _), (received1, streams1), (received2, streams2) = run_in_threads(party)
    assert nothing == []
    b = (x2 >> 31).astype(bool)

    def chosen(pair):
        zero, one = pair.reshape(-1, SAMPLES)[:2]
        return [np.where(b, one, zero), np.where(b, zero, one)]

    (masks1,), (masks2,) = streams1[0].taken, streams2[0].taken
    if mode == "two-round":
        (p, answer), (reply,) = received1, received2
        seen1, known1 = [*chosen(p), answer], [masks1]
        seen2, known2 = [reply], [*chosen(masks2), masks2[2 * SAMPLES :]]
    else:
        (corrections, kappa), (correction, lam) = received1, received2
        seen1, known1 = [*corrections.reshape(2, SAMPLES), kappa], chosen(masks1)
        seen2, known2 = [correction, lam], [*chosen(masks2), masks2[2 * SAMPLES :]]
    return [(seen1, [*known1, x1.astype(np.uint8)], b), (seen2, [*known2, x0.astype(np.uint8)], b)]


def smallest_p(histograms):
    """The least p-value of chi-square tests of rows of 256 counts against the uniform distribution."""
    histograms = np.array(histograms, np.float64)
    expected = histograms.sum(axis=-1, keepdims=True) / 256
    statistics = ((histograms - expected) ** 2 / expected).sum(axis=-1)
    return float(chi2.sf(statistics, 255).min())


def least_uniform(view):
    """The least p-value over all sums of the words seen with signs -1, 0, 1, plus such sums of those known.

    A leak in these protocols is a mask that cancels out of such a sum. Each is tested for either value
    of the bit b that the party knows.
    """
    seen, known, b = view
    histograms = []
    for signs in itertools.product((0, 1, -1), repeat=len(seen) + len(known)):
        if any(signs[: len(seen)]):
            total = sum(
                sign * word.astype(np.int16) for sign, word in zip(signs, [*seen, *known], strict=True)
            )
            total = np.asarray(total).astype(np.uint8)
            histograms += [np.bincount(total[b], minlength=256), np.bincount(total[~b], minlength=256)]
    return smallest_p(histograms)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("secret", SECRETS)
def test_what_a_party_receives_is_uniform_given_all_it_knows(secret, mode):
    for view in views(secret, mode, {}):
        assert least_uniform(view) > 1e-7


@pytest.mark.parametrize("mode", MODES)
def test_what_a_party_receives_is_independent_of_the_secret(mode):
    samples = [views(secret, mode, {}) for secret in SECRETS]
    for party in range(2):
        for word in range(len(samples[0][party][0])):
            counts = np.array([np.bincount(view[party][0][word], minlength=256) for view in samples])
            expected = counts.sum(axis=0) / len(SECRETS)
            statistic = ((counts - expected) ** 2 / expected).sum()
            assert chi2.sf(statistic, 255 * (len(SECRETS) - 1)) > 1e-6


@pytest.mark.parametrize(
    ("mode", "faults"),
    [
        *itertools.product(
            MODES, [{(0, 2): "dropped"}, {(0, 1): "dropped"}, {(0, 2): "reused"}, {(0, 1): "same key"}]
        ),
        # In two rounds P0 and P1 share one word, which cannot be reused within a cast.
        ("one-round", {(0, 1): "reused"}),
    ],
    ids=str,
)
def test_a_dropped_or_reused_mask_is_noticed(mode, faults):
    assert min(least_uniform(view) for secret in SECRETS for view in views(secret, mode, faults)) < 1e-12


def test_masks_are_fresh_from_batch_to_batch():
    def party(channel):
        streams = {o: Recorded(KEYS[frozenset((channel.rank, o))]) for o in {0, 1, 2} - {channel.rank}}
        engine = CastEngine(channel.rank, channel, streams)
        for _ in range(4):
            engine.cast_many([(BYTE_CAST, np.zeros((64, 2), np.uint32))])
        return streams

    for rank, streams in enumerate(run_in_threads(party)):
        for other, stream in streams.items():
            whole = Stream(KEYS[frozenset((rank, other))]).take(sum(map(len, stream.taken)))
            assert np.array_equal(np.concatenate(stream.taken), whole)
