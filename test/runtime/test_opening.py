"""Outputs: what the three parties send adds up to the value, and says nothing else."""

import dataclasses
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from test.support.parties import KEYS, to_integers, to_raw

import ditto
from ditto.runtime.protocols.opening import (
    CHUNK,
    TAG_KEY_BYTES,
    Part,
    combine,
    mask,
    mask_booleans,
    publish,
)
from ditto.runtime.protocols.prf import Stream
from ditto.runtime.protocols.sharing import SharingError, share, word_dtype
from ditto_compiler.encoding import RINGS


class Counting(Stream):
    """A stream that counts what is taken."""

    taken = 0

    def take(self, size):
        self.taken += size
        return super().take(size)


class Zeros(Stream):
    """No mask at all."""

    def take(self, size):
        return np.zeros(size, np.uint8)


class Repeating(Stream):
    """The same masks in each opening."""

    def __init__(self, key):
        self.key = key

    def take(self, size):
        return Stream(self.key).take(size)


def streams(make=Stream, keys=KEYS):
    """Of each party, by peer rank."""
    return [
        {other: make(keys[frozenset((rank, other))]) for other in {0, 1, 2} - {rank}} for rank in range(3)
    ]


def masked(slots, ring, made=None):
    made = streams() if made is None else made
    return [mask(slots[rank], ring, made[rank], rank) for rank in range(3)]


def masked_booleans(words, bits, made=None):
    made = streams() if made is None else made
    return [mask_booleans(words[rank], bits, made[rank], rank) for rank in range(3)]


def boolean_slots(values, dtype, seed=3):
    """Boolean slots of words, uniform in all bits of `dtype`."""
    draw = np.random.default_rng(seed)
    x0, x1 = (draw.integers(0, np.iinfo(dtype).max, len(values), dtype, endpoint=True) for _ in range(2))
    x2 = values.astype(dtype) ^ x0 ^ x1
    return [np.stack(pair, axis=-1) for pair in ((x0, x1), (x1, x2), (x2, x0))]


@given(st.sampled_from(RINGS), st.data())
@settings(deadline=None)
def test_parts_add_up_in_every_ring(ring, data):
    half = 1 << (ring - 1)
    edges = st.sampled_from([-half, -1, 0, 1, half - 1, (1 << ring // 2) - 1, -(1 << ring // 2)])
    values = data.draw(st.lists(st.integers(-half, half - 1) | edges))
    parts = masked(share(to_raw(values, ring), ring), ring)
    assert to_integers(combine(parts, ring, len(values)), ring) == values


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("slots", [(0, 0, 0), (-1, -1, -1), (1 << 64, (1 << 64) - 1, 1), (-1, 1, 0)])
def test_any_slots_of_a_value_will_do(ring, slots):
    """Those whose sums carry from one word of ring 128 into the other, too."""
    count = 50
    x = [to_raw([value] * count, ring) for value in slots]
    pairs = [np.stack([x[rank], x[(rank + 1) % 3]], axis=1) for rank in range(3)]
    expected = to_integers(to_raw([sum(slots)], ring), ring)
    assert to_integers(combine(masked(pairs, ring), ring, count), ring) == expected * count


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
@pytest.mark.parametrize("bits", [1, 5, 8])
def test_booleans_are_xored_and_only_their_bits_count(dtype, bits):
    values = np.arange(200, dtype=np.uint8)
    parts = masked_booleans(boolean_slots(values, dtype), bits)
    assert combine(parts, 64, 200).tolist() == (values & ((1 << bits) - 1)).tolist()


def test_bits_that_do_not_count_are_neither_sent_nor_compared():
    """They may hold what was computed on the way, and no party keeps them alike."""
    zeros = [np.zeros((1000, 2), np.uint8) for _ in range(3)]
    noise = [np.full((1000, 2), 0xFE & (17 * rank + 2), np.uint8) for rank in range(3)]
    for clean, noisy in zip(masked_booleans(zeros, 1), masked_booleans(noise, 1), strict=True):
        assert np.array_equal(clean.data & 1, noisy.data & 1) and clean.tags == noisy.tags
    opened = np.bitwise_xor.reduce([part.data for part in masked_booleans(noise, 1)])
    silent = np.bitwise_xor.reduce([part.data for part in masked_booleans(zeros, 1)])
    assert np.array_equal(opened, silent)


@pytest.mark.parametrize("ring", RINGS)
def test_public_outputs_are_compared(ring):
    raw = to_raw([1, -2, 3], ring)
    assert to_integers(combine([publish(raw, ring)] * 3, ring, 3), ring) == [1, -2, 3]
    for odd in range(3):
        parts = [publish(to_raw([1, -2, 4], ring) if rank == odd else raw, ring) for rank in range(3)]
        with pytest.raises(SharingError, match="a public output is not the same at all"):
            combine(parts, ring, 3)


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_sizes_around_those_of_chunks(ring, count):
    raw = share(np.zeros_like(to_raw([0] * count, ring)), ring)[0][:, 0].copy()  # uniform
    assert np.array_equal(combine(masked(share(raw, ring), ring), ring, count), raw)


def test_what_is_taken_from_the_streams_is_what_prf_says():
    made = streams(Counting)
    masked(share(to_raw(range(10), 128), 128), 128, made)
    masked_booleans(boolean_slots(np.zeros(7), np.uint8), 1, made)
    [publish(to_raw([1], 32), 32) for _ in range(3)]
    taken = {stream.taken for of_party in made for stream in of_party.values()}
    assert taken == {10 * 16 + TAG_KEY_BYTES + 7 + TAG_KEY_BYTES}


@pytest.mark.parametrize("ring", RINGS)
def test_a_party_sends_half_of_what_it_holds(ring):
    slots = share(to_raw(range(100), ring), ring)
    for part, held in zip(masked(slots, ring), slots, strict=True):
        assert 2 * part.data.nbytes == held.nbytes
        assert sum(len(bytes.fromhex(tag)) for tag in part.tags) == 32


def test_masking_needs_no_more_memory_than_the_share():
    slots = share(np.zeros(1 << 22, np.uint64), 64)[0]
    tracemalloc.start()
    part = mask(slots, 64, streams()[0], 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < part.data.nbytes + 8 * 8 * CHUNK < 2 * part.data.nbytes


# What the receiver sees. All elements have the same slots, so that they repeat one experiment in which only
# the masks are random. Streams have fixed keys: each test always does the same.

SAMPLES = 1 << 15
SLOTS = [(0, 0, 0), (1, 2, 3), (0x12345678, -5, 1 << 31), (-1, -1, 0)]


def least_uniform(words):
    """The least p-value of chi-square tests of each byte of words."""
    p = []
    for column in np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1).T:
        counts = np.bincount(column, minlength=256)
        expected = len(column) / 256
        p.append(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255))
    return min(p)


def least(slots, kind, made):
    """The least p-value over all that must be uniform in two openings of the same shares."""
    x = [to_raw([value] * SAMPLES, 32) for value in slots]
    pairs = [np.stack([x[rank], x[(rank + 1) % 3]], axis=-1) for rank in range(3)]
    opened = []
    for _ in range(2):
        parts = masked(pairs, 32, made) if kind == "arithmetic" else masked_booleans(pairs, 32, made)
        opened.append([part.data for part in parts])
    (a0, a1, a2), (b0, b1, b2) = opened
    if kind == "arithmetic":
        sums = [a0 + a1, a0 - a1, a1 - a2, a2 - a0]
        runs = [a0 - b0, a1 - b1, a2 - b2, a0 + b0, a0 - b1, a0 - a1 - b0 + b1]
    else:
        sums, runs = [a0 ^ a1, a1 ^ a2], [a0 ^ b0, a1 ^ b1, a2 ^ b2, a0 ^ b1, a0 ^ a1 ^ b0 ^ b1]
    return min(least_uniform(words) for words in (a0, a1, a2, *sums, *runs))


@pytest.mark.parametrize("kind", ["arithmetic", "boolean"])
@pytest.mark.parametrize("slots", SLOTS)
def test_what_the_receiver_gets_is_uniform_and_independent_from_run_to_run(kind, slots):
    assert least(slots, kind, streams()) > 1e-6


SAME_KEY = dict.fromkeys(KEYS, b"k" * 16)


@pytest.mark.parametrize("kind", ["arithmetic", "boolean"])
@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("fault", ["no mask", "same mask in each run", "same mask for all pairs"])
def test_the_test_sees_faulty_masks(kind, slots, fault):
    faulty = {
        "no mask": streams(Zeros),
        "same mask in each run": streams(Repeating),
        "same mask for all pairs": streams(keys=SAME_KEY),
    }[fault]
    assert least(slots, kind, faulty) < 1e-9


def test_tags_are_new_in_each_opening_and_those_of_a_slot_agree():
    made, slots = streams(), share(to_raw([7] * 5, 64), 64)
    seen = set()
    for _ in range(3):
        parts = masked(slots, 64, made)
        for rank in range(3):
            assert parts[rank].tags[0] == parts[rank - 1].tags[1]
        seen |= {tag for part in parts for tag in part.tags}
    assert len(seen) == 9


# Parts that do not belong together.


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("party", range(3))
@pytest.mark.parametrize("column", [0, 1])
def test_a_flipped_bit_in_one_slot_at_one_party_is_noticed(ring, party, column):
    slots = [s.copy() for s in share(to_raw(range(10), ring), ring)]
    slots[party][4, column] ^= word_dtype(ring).type(1 << 7)
    which = (party + column) % 3
    message = rf"two copies of a slot differ, those of x_{which} at P{(which - 1) % 3} and P{which};"
    with pytest.raises(SharingError, match=message):
        combine(masked(slots, ring), ring, 10)


def test_a_flipped_bit_of_a_boolean_is_noticed_if_it_counts():
    words = boolean_slots(np.arange(4), np.uint8)
    words[1][2, 0] ^= 0b1000
    assert combine(masked_booleans(words, 3), 32, 4).tolist() == [0, 1, 2, 3]
    with pytest.raises(SharingError, match="two copies of a slot differ"):
        combine(masked_booleans(words, 4), 32, 4)


def test_streams_out_of_step_are_noticed():
    made = streams()
    made[0][1].take(1)
    with pytest.raises(SharingError, match="two copies of a slot differ"):
        combine(masked(share(to_raw(range(10), 64), 64), 64, made), 64, 10)


def test_parts_of_different_sizes_or_kinds_are_noticed():
    parts = masked(share(to_raw(range(10), 64), 64), 64)
    short = dataclasses.replace(parts[1], data=parts[1].data[:9])
    with pytest.raises(SharingError, match=r"of one size, 80 bytes; got \[80, 72, 80\]"):
        combine([parts[0], short, parts[2]], 64, 10)
    with pytest.raises(SharingError, match="of one size, 88 bytes"):
        combine(parts, 64, 11)
    with pytest.raises(SharingError, match="three parties, got 2"):
        combine(parts[:2], 64, 10)
    with pytest.raises(SharingError, match=r"different kinds \(.*P1: public, 8 bytes, 64 bits;"):
        combine([parts[0], publish(parts[1].data, 64), parts[2]], 64, 10)
    with pytest.raises(SharingError, match="expected shares in ring 32, got 64 bits"):
        combine(parts, 32, 10)


GOOD = {"kind": "arithmetic", "element_bytes": 8, "bits": 64, "tags": ["00", "11"]}


@pytest.mark.parametrize(
    "about",
    [
        None,
        [],
        {},
        {**GOOD, "kind": "other"},
        {**GOOD, "kind": "public"},
        {**GOOD, "tags": []},
        {**GOOD, "tags": [1, 2]},
        {**GOOD, "bits": "64"},
        {**GOOD, "bits": 65},
        {**GOOD, "bits": 0},
        {**GOOD, "element_bytes": 3},
        {**GOOD, "kind": "boolean", "element_bytes": 16},
    ],
    ids=str,
)
def test_what_describes_no_part_is_an_error(about):
    with pytest.raises(SharingError, match="party P2 sent"):
        Part.read(2, about, b"")


def test_a_part_survives_the_wire():
    part = Part.read(0, GOOD, b"12345678")
    assert part.about == GOOD and Part.read(0, part.about, part.data) == part


# Among three parties.


@pytest.mark.parametrize("policy", ["uniform32", "uniform64", "uniform128", "ditto"])
def test_outputs_of_all_kinds_and_shapes_come_out_right(cluster, policy):
    def f(x, p, n):
        return x * 0.5, x[0, 0], x[:0], x > 0, x[1, 1] > 0, p + 1.0, n + 1, jnp.concatenate([n, n])

    x = np.float32([[0.5, -1.0], [2.0, 0.25]])
    n = np.int32([-3, 5])
    program = ditto.compile(f, x, x, n, policy=policy, visibility=("secret", "public", "secret"))
    found = cluster.run(program, x, x, n)
    for result, expected in zip(found, f(x, x, n), strict=True):
        assert result.dtype == expected.dtype and result.shape == np.shape(expected)
        np.testing.assert_allclose(result, expected, atol=2**-6)
