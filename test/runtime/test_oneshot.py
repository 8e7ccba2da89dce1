"""One-shot functions: right for every argument, at the stated cost, and telling nobody anything."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parties import KEYS, Tapped
from scipy.stats import chi2

from ditto import _native
from ditto.runtime.protocols import oneshot as module
from ditto.runtime.protocols.oneshot import OneshotError, oneshot
from ditto.runtime.protocols.prf import PairKeys, Stream, agree_keys
from ditto.runtime.protocols.rounds import Party, Seat, exchange, run
from ditto.runtime.protocols.shared import Shared, reduced, signed, word_of
from ditto.runtime.transport.channel import run_in_threads
from ditto_compiler.oneshot import terms as terms_module
from ditto_compiler.oneshot.terms import EXPONENT_FRAC, Term, Terms, evaluate, phases, power, rounding, turn
from ditto_compiler.protocols.costs_oneshot import oneshot_cost


def series(ring, result_ring, result_frac=8, drop=18, spare=0, rates=(1, 2, 5)):
    """Some sum of waves of a ring, each word in `spare` bits less than the one before."""
    return Terms(
        kind="fourier",
        ring=ring,
        frac=4,
        low=-(1 << (ring - 1)),
        high=(1 << (ring - 1)) - 1,
        result_ring=result_ring,
        result_frac=result_frac,
        drop=drop,
        coefficient_frac=24,
        constant=12345,
        terms=tuple(
            Term(rate, (3 << 24) // (i + 2), -(1 << 24) // (i + 1), 14 - i * spare, i * spare)
            for i, rate in enumerate(rates)
        ),
    )


def exponential(ring, result_ring=14, low=-20, bits=9.5, sign=1, drop=24, shift=0):
    """A power of two that grows by so many bits, or shrinks, in half the ring from `low` on."""
    rate = bits / 2 ** (ring - 1)
    return Terms(
        kind="exponential",
        ring=ring,
        frac=3,
        low=low,
        high=low + (1 << (ring - 1)) - 1,
        result_ring=result_ring,
        result_frac=8,
        drop=drop,
        coefficient_frac=0,
        constant=-777,
        terms=(
            Term(round(rate * 2**EXPONENT_FRAC), round(-min(bits, 0.5) * 2**EXPONENT_FRAC), sign, 12, shift),
        ),
    )


def exact(terms, x):
    """The function in floating point, by its definition."""
    x = np.asarray(x, np.float64)
    total = np.full(x.shape, math.ldexp(terms.constant, -terms.sum_frac))
    for term in terms.terms:
        if terms.kind == "fourier":
            angle = 2 * np.pi * term.rate * x / 2.0**terms.ring
            waves = term.first * np.cos(angle) + term.second * np.sin(angle)
            total += np.ldexp(waves, -terms.coefficient_frac)
        else:
            exponent = (term.first + term.rate * (x - terms.low)) / 2**EXPONENT_FRAC
            total += term.second * np.exp2(exponent)
    return total


def distance(words, numbers, ring):
    """Between ring elements and real numbers, on the circle, in units of the last place."""
    off = (words.astype(np.float64) - numbers) % 2.0**ring
    return np.minimum(off, 2.0**ring - off)


def shared(x, ring, seed=1):
    """Slots of the parties whose words have any bits above the ring."""
    draw, word = np.random.default_rng(seed), word_of(ring)
    x = np.asarray(x)
    slots = [draw.integers(0, 1 << 64, x.shape, np.uint64).astype(word) for _ in range(2)]
    slots.append(x.astype(np.uint64).astype(word) - slots[0] - slots[1])
    above = 0 if ring in (32, 64) else (1 << 8 * word.itemsize) - (1 << ring)
    slots = [
        s ^ (draw.integers(0, 1 << 64, x.shape, np.uint64).astype(word) & word.type(above)) for s in slots
    ]
    return [Shared(ring, slots[i], slots[(i + 1) % 3]) for i in range(3)]


class Counted:
    """A channel, and the rounds in which something was waited for."""

    def __init__(self, channel):
        self.channel, self.sent = channel, 0

    def send(self, peer, message):
        self.sent += len(message)
        self.channel.send(peer, message)

    def recv(self, peer):
        return self.channel.recv(peer)


def computed(terms, x, ring=None):
    """What three threads compute: ring elements, after a check that copies agree; bytes and rounds."""
    slots = shared(x, ring or terms.ring)

    def party(channel):
        counted = Counted(channel)
        party = Party(channel.rank, PairKeys(agree_keys(channel.rank, channel)))
        step, rounds, received = oneshot(party, slots[channel.rank], terms), 0, None
        while True:
            try:
                what = next(step) if received is None else step.send(received)
            except StopIteration as finished:
                return finished.value, counted.sent, rounds
            received, rounds = exchange(counted, what), rounds + 1

    results, sent, rounds = zip(*run_in_threads(party), strict=True)
    for first, second in zip(results, [*results[1:], results[0]], strict=True):
        assert first.ring == terms.result_ring
        assert first.own.dtype == first.next.dtype == word_of(terms.result_ring)
        assert first.shape == np.shape(x)
        assert np.array_equal(reduced(first.next, first.ring), reduced(second.own, first.ring))
    total = results[0].own + results[1].own + results[2].own
    return reduced(total, terms.result_ring), sum(sent), max(rounds)


def assert_right(terms, x, ring=None):
    result, sent, _ = computed(terms, x, ring)
    near = distance(result, np.ldexp(exact(terms, x), terms.result_frac), terms.result_ring)
    assert near.max(initial=0) <= rounding(terms) + 0.5
    assert sent == oneshot_cost(terms, np.size(x)).bytes
    apart = signed(result - evaluate(terms, x).astype(result.dtype), terms.result_ring)
    assert np.abs(apart).max(initial=0) <= rounding(terms)


EVERY = [
    series(10, 14),
    series(10, 20, spare=3),
    # Words of 32 and of 33 bits, results of 32, 33 and of as many bits as the words, arguments of 2 bits.
    series(9, 14, drop=18),
    series(9, 15, drop=18),
    series(9, 32, drop=20, spare=1),
    series(9, 33, drop=31),
    series(9, 40, result_frac=20, drop=0),
    series(2, 14),
    # A result of fewer bits than the function's values have: it wraps.
    series(10, 3, drop=20),
    exponential(10),
    exponential(10, sign=-1, shift=2),
    exponential(10, bits=-9.5),
    exponential(9, low=100, bits=12),
    exponential(9, result_ring=40, drop=24),
    exponential(2, low=-1),
]


@pytest.mark.parametrize("terms", EVERY, ids=lambda t: f"{t.kind}-{t.ring}-{t.result_ring}-{t.drop}")
def test_every_argument_is_right_in_any_ring(terms):
    x = np.tile(np.arange(terms.low, terms.high + 1), 5)
    assert_right(terms, x)
    assert_right(terms, x, ring=terms.ring + 7)


@pytest.mark.parametrize("ring", [31, 32, 33, 47, 63, 64])
@pytest.mark.parametrize("make", [series, exponential])
def test_wide_rings(ring, make):
    terms = make(ring, 14)
    draw = np.random.default_rng(3)
    edges = [terms.low, terms.low + 1, -1, 0, 1, terms.high - 1, terms.high]
    wide = draw.integers(max(terms.low, -(2**62)), min(terms.high, 2**62), 500)
    assert_right(
        terms, np.append(np.array([x for x in edges if terms.low <= x <= terms.high], np.int64), wide)
    )


def test_the_result_is_rounded_up_or_down_without_bias():
    terms = series(6, 20, result_frac=4, drop=22)
    x = np.full(1 << 16, 5)
    result, *_ = computed(terms, x)
    off = signed(result, 20) - np.ldexp(exact(terms, 5), 4)
    # Floor or ceiling, each as often as the value is near.
    assert len(np.unique(result)) == 2
    assert abs(off.mean()) < 5 * 0.5 / math.sqrt(len(x)) + 0.01


@pytest.mark.parametrize(
    "shape", [(), (0,), (3, 0, 2), (1,), (7,), (2, 3, 5), (3071,), (3072,), (5000,)], ids=str
)
@pytest.mark.parametrize("terms", [series(10, 21, spare=2), exponential(10)], ids=["fourier", "exponential"])
def test_shapes_and_costs(shape, terms):
    x = np.resize(np.arange(terms.low, terms.high + 1), shape)
    result, sent, rounds = computed(terms, x)
    assert result.shape == shape
    near = distance(result, np.ldexp(exact(terms, x), 8), terms.result_ring)
    assert near.max(initial=0) <= rounding(terms) + 0.5
    cost = oneshot_cost(terms, x.size)
    assert (sent, rounds) == (cost.bytes, cost.rounds if x.size else rounds)
    assert cost.rounds == (2 if x.size else 0)


def test_the_cost_is_that_of_the_words_and_two_results():
    assert oneshot_cost(series(10, 21, spare=2), 8).bytes == 2 * (39 + 37 + 35) + 2 * 21
    assert oneshot_cost(exponential(10), 8).bytes == 2 * 38 + 2 * 14
    third = 1024 * 1000
    assert oneshot_cost(exponential(10), 3 * third).bytes == 3 * third // 8 * (2 * 38 + 2 * 14)


def test_layouts():
    terms = series(10, 21)
    x = np.arange(-150, 150).reshape(30, 10)
    slots = shared(x, 10)
    for layout in (np.transpose, lambda words: words[::-2, ::3]):

        def party(channel, layout=layout):
            keys = PairKeys(agree_keys(channel.rank, channel))
            return run(channel, oneshot(Party(channel.rank, keys), slots[channel.rank].each(layout), terms))

        results = run_in_threads(party)
        total = reduced(sum(r.own for r in results), 21)
        assert distance(total, np.ldexp(exact(terms, layout(x)), 8), 21).max() <= rounding(terms) + 0.5


def test_an_argument_in_a_narrower_ring_is_an_error():
    x = Shared(9, *np.zeros((2, 3), np.uint32))
    with pytest.raises(OneshotError, match="of ring 10 cannot take numbers of ring 9"):
        next(oneshot(Party(0, PairKeys({1: b"1" * 16, 2: b"2" * 16})), x, series(10, 14)))


# The kernels.


def python_turn(phase):
    """`turn` in Python's integers, which never overflow, each intermediate value checked to fit its word."""

    def word(number, bits=32):
        assert -(1 << (bits - 1)) <= number < 1 << (bits - 1)
        return number

    quadrant = ((phase + (1 << 29)) >> 30) & 3
    y = ((phase << 2) + (1 << 31)) % (1 << 32) - (1 << 31)
    w = word(y * y >> 32)
    sin, cos = 0, 0
    for number in reversed(terms_module._SIN):
        sin = word(number + word(sin * w >> 30))
    sin = word(word(sin * y + (1 << 31), 64) >> 32)
    for number in reversed(terms_module._COS):
        cos = word(number + word(cos * w >> 30))
    cos = word((1 << 30) + word(cos * w + (1 << 30) >> 31))
    return [(cos, sin), (-sin, cos), (-cos, -sin), (sin, -cos)][quadrant]


PHASES = np.unique(
    np.concatenate(
        [
            np.random.default_rng(1).integers(0, 1 << 32, 20000, np.uint64),
            *(np.arange(k * (1 << 29) - 3, k * (1 << 29) + 4) % (1 << 32) for k in range(9)),
        ]
    ).astype(np.uint32)
)


def test_cosines_and_sines_are_near_and_do_not_overflow():
    cos, sin = turn(PHASES)
    assert [python_turn(int(p)) for p in PHASES] == list(zip(cos.tolist(), sin.tolist(), strict=True))
    angles = PHASES.astype(np.longdouble) * 2 * np.longdouble("3.14159265358979323846264338") / 2**32
    assert max(np.abs(cos - np.cos(angles) * 2**30).max(), np.abs(sin - np.sin(angles) * 2**30).max()) < 3
    assert max(np.abs(cos).max(), np.abs(sin).max()) <= 1 << 30


def test_powers_are_near_and_do_not_overflow():
    exponents = np.random.default_rng(2).integers(-(127 << 56), 63 << 56, 20000)
    exponents = np.append(exponents, [k * (1 << 56) + d for k in range(-126, 62) for d in (-1, 0, 1)])
    found = power(exponents)

    def python_power(exponent):
        y, grown = exponent >> 24 & 0xFFFFFFFF, 0
        for number in reversed(terms_module._POWER[1:]):
            grown = number + (grown * y >> 32)
        grown = terms_module._POWER[0] + (grown * y >> 33)
        assert grown < 1 << 32
        mantissa = (1 << 30) + (grown * y >> 33)
        right = 62 - (exponent >> 56)
        return (mantissa << 32) + (1 << right >> 1) >> right

    assert [python_power(int(e)) for e in exponents] == found.tolist()
    numbers = np.exp2(exponents.astype(np.longdouble) / 2**56)
    assert (np.abs(found.astype(np.longdouble) - numbers) <= 0.5 + numbers * 2.0**-29).all()


def unpacked(stream, count, width):
    """The elements of a stream, by its description in python/native/oneshot.cpp."""
    lanes, lane_bits = (16, 32) if width <= 32 else (8, 64)
    bits = np.unpackbits(stream, bitorder="little")
    numbers = []
    for group in range(count // 512):
        vectors = bits[group * 512 * width :][: 512 * width].reshape(-1, lanes, lane_bits)
        rows = vectors.transpose(1, 0, 2).reshape(lanes, -1, width)
        numbers += [rows[i % lanes, i // lanes] for i in range(512)]
    rest = bits[count // 512 * 512 * width :]
    numbers += [rest[i * width : (i + 1) * width] for i in range(count % 512)]
    return [sum(int(bit) << i for i, bit in enumerate(number)) for number in numbers]


@pytest.mark.parametrize("width", [1, 7, 8, 31, 32, 33, 56, 57, 63, 64])
@pytest.mark.parametrize("count", [1, 2, 511, 512, 1100])
def test_streams_hold_every_bit(width, count):
    draw = np.random.default_rng(width)
    stream = np.frombuffer(draw.bytes((count * width + 7) // 8), np.uint8)
    result = np.empty(count, word_of(width))
    _native.oneshot_add(stream, np.zeros_like(stream), width, result)
    assert result.tolist() == unpacked(stream, count, width)


def stream_of(numbers, width):
    """The stream that elements are in: a combination of no words."""
    numbers = np.ascontiguousarray(numbers)
    term = np.array([(0, 0, 0, 1, 0, 0)], np.int64)
    zeros = np.zeros(2 * ((len(numbers) * width + 7) // 8), np.uint8)
    out = np.empty(len(zeros) // 2, np.uint8)
    v = np.zeros(len(numbers), np.uint32)
    minus = (0 - numbers).astype(word_of(width))
    _native.oneshot_combine(False, 2, term, width, 0, v, zeros, 0, 0, minus, out)
    return out


@pytest.mark.parametrize("width", [5, 32, 33, 64])
@pytest.mark.parametrize("count", [3, 512, 1500])
def test_streams_are_written_as_they_are_read(width, count):
    numbers = reduced(
        np.random.default_rng(8).integers(0, 1 << 64, count, np.uint64).astype(word_of(width)), width
    )
    assert unpacked(stream_of(numbers, width), count, width) == numbers.tolist()


@pytest.mark.parametrize("ring", [2, 17, 32, 33, 64])
@pytest.mark.parametrize("word_ring", [32, 64])
def test_kernels_compute_what_the_formulas_say(ring, word_ring):
    """What P0 deals, and what P1 and P2 multiply it with, bit for bit."""
    count = 1500
    draw, word = np.random.default_rng(ring), word_of(word_ring)
    x = draw.integers(0, 1 << 64, count, np.uint64).astype(word_of(ring))
    wide = x.astype(np.uint64)
    half = np.uint64(1 << (ring - 1))

    def run_kernels(exponential, row):
        table = np.array([row], np.int64)
        size = (count * word_ring + 7) // 8
        dealt = np.empty(2 * size, np.uint8)
        _native.oneshot_deal(exponential, ring, table, word_ring, x, np.zeros_like(dealt), dealt)
        words = [np.empty(count, word) for _ in range(2)]
        factors = [np.empty(count, word) for _ in range(2)]
        ones, zeros = (stream_of(np.full(count, n, word), word_ring) for n in (1, 0))
        for i, pair in enumerate([(ones, zeros), (zeros, ones)]):
            _native.oneshot_add(dealt[i * size :][:size], zeros, word_ring, words[i])
            part = np.empty(size, np.uint8)
            pair = np.concatenate(pair)
            minus = np.zeros(count, word)
            _native.oneshot_combine(exponential, ring, table, word_ring, 0, x, pair, 0, 0, minus, part)
            _native.oneshot_add(part, zeros, word_ring, factors[i])
        return words, factors

    for rate in (1, -3, 12345):
        a, b = 2**31 - 1, -(2**30) - 77
        words, factors = run_kernels(False, (rate, a, b, 29, 11, 0))
        cos, sin = turn(phases(wide, rate, ring))
        dealt = [(a * cos + b * sin + (1 << 28)) >> 29, (b * cos - a * sin + (1 << 28)) >> 29]
        for found, numbers in zip(
            [*words, *factors], [*dealt, cos + (1 << 18) >> 19, sin + (1 << 18) >> 19], strict=True
        ):
            assert np.array_equal(found, numbers.astype(word))
    for bits in (20.3, -17.7):
        rate, first = round(bits * 2 ** (EXPONENT_FRAC - ring + 1)), 5 << 55
        words, factors = run_kernels(True, (rate, first, -1, 0, 7, 0))
        numbers = [signed(wide, ring), signed(wide + half, ring)]
        for found, number in zip(words, numbers, strict=True):
            assert np.array_equal(found, (0 - power(rate * number + first)).astype(word))
        factor = power(rate * (wide & (half - np.uint64(1))).view(np.int64) + (7 << 56)).astype(word)
        top = (wide & half) > 0
        assert np.array_equal(factors[0], np.where(top, 0, factor))
        assert np.array_equal(factors[1], np.where(top, factor, 0))


def test_kernels_check_their_arguments():
    u, table = np.zeros(8, np.uint32), np.array([(1, 1, 1, 20, 10, 0)], np.int64)
    good, out, bytes8 = np.zeros(2 * 32, np.uint8), np.zeros(2 * 32, np.uint8), np.zeros(32, np.uint8)

    def deal(exponential=False, ring=10, table=table, word_ring=32, u=u, masks=good, words=out):
        _native.oneshot_deal(exponential, ring, table, word_ring, u, masks, words)

    def combine(drop=0, minus=u, part=bytes8):
        _native.oneshot_combine(False, 10, table, 32, drop, u, good, 0, 0, minus, part)

    deal()
    combine()
    with pytest.raises(ValueError, match="ring"):
        deal(ring=65)
    with pytest.raises(ValueError, match="ring"):
        combine(drop=32)
    with pytest.raises(ValueError, match="masks"):
        deal(masks=good[1:])
    with pytest.raises(ValueError, match="masks"):
        deal(words=out[1:])
    with pytest.raises(ValueError, match="result"):
        combine(minus=u[1:].copy())
    with pytest.raises(ValueError, match="result"):
        combine(part=bytes8[1:].copy())
    for row in [
        (1, 1, 1, 0, 10, 0),
        (1, 1, 1, 63, 10, 0),
        (1, 1, 1, 20, 31, 0),
        (1, 1, 1, 20, 10, 32),
        (1,) * 5,
    ]:
        with pytest.raises(ValueError, match="terms"):
            deal(table=np.array([row], np.int64))
    for row in [
        (1 << 60, 0, 1, 0, 10, 0),
        (1, 63 << 56, 1, 0, 10, 0),
        (1, 0, 1, 0, 65, 0),
        (1, 0, 1, 0, 63, 0),
    ]:
        with pytest.raises(ValueError, match="terms"):
            deal(exponential=True, table=np.array([row], np.int64))


# What each party sees. All elements have the same slots, so that they repeat one experiment in which only
# the masks are random: whatever a party receives must be uniform, and independent of all that it knows.
# Streams have fixed keys: each test always does the same. Words and results have 32 bits, of which eight are
# looked at; a stream of such elements has them in order, so that the same mask meets the same element.

SAMPLES = 1 << 15
WATCHED = {"fourier": series(12, 32, drop=0, rates=(3,)), "exponential": exponential(12, 32, drop=0)}
SECRETS = [(0, 0, 0), (5, 100, -105), (2000, 1500, 77), (-1, -1, 400)]


class FaultyKeys(PairKeys):
    """Keys whose streams may be faulty."""

    def __init__(self, rank, faults):
        self.rank, self.faults = rank, faults

    def stream(self, peer, instance):
        pair = tuple(sorted((self.rank, peer)))
        fault = self.faults.get(pair)
        key = KEYS[frozenset((0, 2) if fault == "same key" else pair)]
        return FaultyStream(key, instance, fault)


class FaultyStream(Stream):
    """A stream that may be dropped, or start again with each draw."""

    def __init__(self, key, instance, fault):
        super().__init__(key, instance)
        self.again, self.fault = (key, instance), fault

    def take(self, size):
        if self.fault == "dropped":
            return np.zeros(size, np.uint8)
        return Stream(*self.again).take(size) if self.fault == "reused" else super().take(size)


def views(terms, secret, faults):
    """By role: what the party received, and what it knows beside its own slots, in low bytes of words."""
    x = [np.full(SAMPLES, s % 2**12, np.uint32) for s in secret]

    def party(channel):
        rank = channel.rank
        tapped, keys = Tapped(channel), FaultyKeys(rank, faults)
        own, following = x[rank], x[(rank + 1) % 3]
        y = np.empty((2, SAMPLES), np.uint32)
        run(tapped, module._part(Seat(rank, 0, keys, 1), own, following, terms, *y))
        sent = [message.view(np.uint32) for message in tapped.sent]
        if rank == 1:
            dealt, theirs = tapped.received
            return [*dealt.view(np.uint32).reshape(2, -1), theirs.view(np.uint32)], [y[0]], sent[0] + y[0]
        if rank == 2:
            masks = keys.stream(0, 1).take(8 * SAMPLES).view(np.uint32).reshape(2, -1)
            return [tapped.received[0].view(np.uint32)], [*masks, y[1]], sent[0] + y[1]
        return [], [*y], None

    return run_in_threads(party)


def least_uniform(view):
    """The least p-value over signed sums of what a party received, drew, and has of the result."""
    received, known, part = view
    p = []
    for signs in itertools.product((0, 1, -1), repeat=len(received)):
        for more in itertools.product((0, 1, -1), repeat=len(known)):
            # Its part is a function of words that it has: only with the other's part does it make a test.
            for times in (0, 1, -1) if signs and signs[-1] else (0,):
                if not any(signs):
                    continue
                total = sum(s * w.astype(np.int64) for s, w in zip(signs, received, strict=True))
                total = total + sum(s * w.astype(np.int64) for s, w in zip(more, known, strict=True))
                total = total + times * part.astype(np.int64)
                counts = np.bincount(total.astype(np.uint8), minlength=256)
                expected = SAMPLES / 256
                p.append(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255))
    return min(p, default=1.0)


@pytest.mark.parametrize("kind", WATCHED)
@pytest.mark.parametrize("secret", SECRETS, ids=str)
def test_what_a_party_receives_is_uniform_given_all_it_knows(kind, secret):
    zero, one, two = views(WATCHED[kind], secret, {})
    assert not zero[0], "P0 receives nothing"
    assert min(least_uniform(one), least_uniform(two)) > 1e-7


@pytest.mark.parametrize("kind", WATCHED)
def test_a_simulator_makes_the_same_views(kind):
    """From a party's slots of x and of the result alone: what it received, and its masks."""
    terms = WATCHED[kind]
    draw = np.random.default_rng(4)
    function = terms.kind == "exponential", terms.ring, terms.table(), terms.word_ring, 0
    for secret in SECRETS:
        x = [np.full(SAMPLES, s % 2**12, np.uint32) for s in secret]
        zero, one, two = views(terms, secret, {})
        y_0, y_1 = zero[1]
        y_2 = one[2] - y_1 + one[0][2]
        for role, (known_y, view) in {1: (y_1, one), 2: (y_0, two)}.items():
            words = draw.integers(0, 1 << 32, 2 * SAMPLES, np.uint64).astype(np.uint32)
            part = np.empty(SAMPLES, np.uint32)
            constant = terms.constant % 2**64 if role == 1 else 0
            nothing = np.zeros(SAMPLES, np.uint32)
            _native.oneshot_combine(
                *function, x[2], words.view(np.uint8), constant, 0, nothing, part.view(np.uint8)
            )
            theirs = y_2 - (part - known_y)
            simulated = [*words.reshape(2, -1), theirs, known_y, y_2]
            real = [*(view[0][:2] if role == 1 else view[1][:2]), view[0][-1], known_y, y_2]
            for made, seen in itertools.product(itertools.combinations(range(5), 2), (0, 8, 24)):
                tables = []
                for rows in (simulated, real):
                    first, second = (rows[i] >> np.uint32(seen) & np.uint32(15) for i in made)
                    tables.append(np.bincount(first * 16 + second, minlength=256))
                both = np.array(tables)
                expected = both.sum(axis=0) / 2
                used = expected > 0
                statistic = ((both - expected)[:, used] ** 2 / expected[used]).sum()
                assert chi2.sf(statistic, used.sum()) > 1e-7


@pytest.mark.parametrize("kind", WATCHED)
@pytest.mark.parametrize(
    "faults",
    [{(0, 2): "dropped"}, {(0, 1): "dropped"}, {(0, 2): "reused"}, {(0, 1): "same key"}],
    ids=str,
)
def test_a_dropped_or_reused_mask_is_noticed(kind, faults):
    found = [view for secret in SECRETS for view in views(WATCHED[kind], secret, faults)]
    assert min(least_uniform(view) for view in found) < 1e-12


def test_instances_have_masks_of_their_own():
    terms, x = WATCHED["fourier"], np.zeros(64, np.uint32)
    slots = Shared(12, x, x)

    def party(channel):
        tapped = Tapped(channel)
        party = Party(channel.rank, FaultyKeys(channel.rank, {}))
        for _ in range(6):
            run(tapped, oneshot(party, slots, terms))
        return [bytes(message) for message in tapped.sent]

    sent = [message for messages in run_in_threads(party) for message in messages]
    assert len(set(sent)) == len(sent) == 6 * 3


@given(st.integers(2, 40), st.integers(1, 30), st.integers(0, 34), st.integers(0, 40), st.data())
@settings(max_examples=60, deadline=None)
def test_any_rings(ring, result_ring, drop, elements, data):
    result_frac = data.draw(st.integers(0, 12))
    drop = max(drop, 12 - result_frac, 7 - result_ring)
    rates = data.draw(st.lists(st.integers(-(1 << ring), 1 << ring), min_size=1, max_size=4))
    terms = Terms(
        kind="fourier",
        ring=ring,
        frac=0,
        low=-(1 << (ring - 1)),
        high=(1 << (ring - 1)) - 1,
        result_ring=result_ring,
        result_frac=result_frac,
        drop=drop,
        coefficient_frac=20,
        constant=data.draw(st.integers(-(1 << 20), 1 << 20)),
        terms=tuple(
            Term(
                rate,
                *(data.draw(st.integers(-(1 << 20), 1 << 20)) for _ in range(2)),
                6,
                data.draw(st.integers(0, 6)),
            )
            for rate in rates
        ),
    )
    x = np.array([data.draw(st.integers(terms.low, terms.high)) for _ in range(elements)], np.int64)
    assert_right(terms, x, data.draw(st.integers(ring, 64)))
