"""What the tests of protocols on shares have in common: shares of numbers and bits, three parties, views."""

import itertools
from collections import deque

import numpy as np
from parties import KEYS, Depths, Tapped
from scipy.stats import chi2

from ditto.runtime.protocols.prf import PairKeys, Stream, agree_keys
from ditto.runtime.protocols.rounds import Party, Seat, run
from ditto.runtime.protocols.shared import Bits, Shared, reduced, signed, word_of
from ditto.runtime.transport.channel import run_in_threads


def random_words(draw, shape, ring):
    """Words of a ring, of which all bits are random, also those above the ring."""
    word = word_of(ring)
    return np.frombuffer(draw.bytes(int(np.prod(shape)) * word.itemsize), word).reshape(shape)


def words(values, ring):
    """Integers, signed or not, of any size as words of a ring."""
    word = word_of(ring)
    mask = (1 << 8 * word.itemsize) - 1
    values = np.asarray(values, object)
    return np.array([int(v) & mask for v in values.reshape(-1)], word).reshape(values.shape)


def numbers(values, ring, seed=1):
    """The three parties' slots of integers: random, with garbage above the ring."""
    draw, secret = np.random.default_rng(seed), words(values, ring)
    x0, x1, garbage = (random_words(draw, secret.shape, ring) for _ in range(3))
    # Arrays of at least one axis, whose sums wrap without a warning.
    x2 = np.atleast_1d(secret) - x0 - x1 + (garbage ^ reduced(garbage, ring))
    return of_slots([x0, x1, x2.reshape(secret.shape)], ring)


def of_slots(x, ring):
    """What each party holds of x_0, x_1, x_2."""
    return [Shared(ring, x[i], x[(i + 1) % 3]) for i in range(3)]


def bits(values, seed=1):
    """The three parties' slots of booleans."""
    secret = np.asarray(values).astype(np.uint8)
    b0, b1 = np.random.default_rng(seed).integers(0, 2, (2, *secret.shape), np.uint8)
    return of_bits([b0, b1, secret ^ b0 ^ b1])


def of_bits(b):
    """What each party holds of b_0, b_1, b_2."""
    return [Bits(b[i], b[(i + 1) % 3]) for i in range(3)]


def opened(results):
    """The signed integers or the booleans that three parties' slots stand for; their copies must agree."""
    first, shape = results[0], results[0].own.shape
    for one, other in zip(results, [*results[1:], first], strict=True):
        assert one.own.shape == one.next.shape == shape
        if isinstance(first, Bits):
            assert one.own.dtype == one.next.dtype == np.uint8
            assert np.array_equal(one.next, other.own)
        else:
            assert one.own.dtype == one.next.dtype == word_of(first.ring)
            assert np.array_equal(reduced(one.next, first.ring), reduced(other.own, first.ring))
    if isinstance(first, Bits):
        value = results[0].own ^ results[1].own ^ results[2].own
        assert value.max(initial=0) <= 1
        return value.astype(bool)
    return signed(sum(np.atleast_1d(one.own) for one in results), first.ring).reshape(shape)


def three(step, *, ahead=False):
    """Runs `step(party)` at three threads: the results by rank, and (bytes, rounds) over all.

    With `ahead`, in the form in which P0 can go ahead, though it does not.
    """
    depths = {pair: deque() for pair in itertools.product(range(3), repeat=2)}

    def party(channel):
        keys = PairKeys(agree_keys(channel.rank, channel))
        channel.bytes_sent = 0
        counted = Depths(channel, depths)
        result = run(counted, step(Party(channel.rank, keys, ahead=ahead)))
        return result, channel.bytes_sent, counted.depth

    results, sent, depth = zip(*run_in_threads(party), strict=True)
    return list(results), (sum(sent), max(depth))


def sent_by(step):
    """Bytes that each party sends."""

    def party(channel):
        keys = PairKeys(agree_keys(channel.rank, channel))
        channel.bytes_sent = 0
        run(channel, step(Party(channel.rank, keys)))
        return channel.bytes_sent

    return run_in_threads(party)


class WatchedSeat(Seat):
    """A seat that keeps the masks it drew, as (role of the peer, number, bytes); some may be faulty.

    Args:
        rank: of the party, and its role.
        faults: by the two roles and the number of the mask among theirs, or None for all: "dropped" for
            zeros, "reused" for the start of the stream.
    """

    def __init__(self, rank, faults):
        keys = {peer: KEYS[frozenset((rank, peer))] for peer in {0, 1, 2} - {rank}}
        super().__init__(rank, 0, PairKeys(keys), 1)
        self.keys, self.faults, self.taken = keys, faults, []

    def draw(self, role, size):
        role %= 3
        data = super().draw(role, size)
        number = sum(peer == role for peer, _, _ in self.taken)
        pair = tuple(sorted((self.role, role)))
        fault = self.faults.get((*pair, number), self.faults.get((*pair, None)))
        if fault == "dropped":
            data = np.zeros(size, np.uint8)
        elif fault == "reused":
            data = Stream(self.keys[role], 1).take(size)
        self.taken.append((role, number, data.copy()))
        return data


class WatchedParty(Party):
    """Hands out one watched seat, for tensors of any size."""

    def __init__(self, rank, faults, ahead):
        super().__init__(rank, PairKeys({}), ahead=ahead)
        self.watched = WatchedSeat(rank, faults)

    def seat(self):
        return self.watched

    def seats(self, elements):
        return [(self.watched, slice(0, elements))]


def views(step, faults=None, *, ahead=False):
    """By role: the messages that it received, and the masks that it knows and that are not faulty.

    Streams have fixed keys: each test always does the same. If P0 goes `ahead`, it receives nothing.
    """
    faults = faults or {}

    def party(channel):
        tapped, watched = Tapped(channel), WatchedParty(channel.rank, faults, ahead)
        run(tapped, step(watched))
        role = channel.rank
        known = [
            data
            for peer, number, data in watched.watched.taken
            if not {(*sorted((role, peer)), number), (*sorted((role, peer)), None)} & faults.keys()
        ]
        assert not (ahead and role == 0 and tapped.received)
        return tapped.received, known

    return run_in_threads(party)


def rows_of(messages, elements):
    """Messages of rows of bits, as one array of 0 and 1: a row each, a column for each element."""
    whole = [np.asarray(message).reshape(-1, elements // 8) for message in messages if len(message)]
    return np.unpackbits(np.concatenate(whole), axis=1) if whole else np.empty((0, elements), np.uint8)


def least_unbiased(rows):
    """The least p-value over the exclusive ors of all subsets of the rows, each tested for bias.

    Rows that are uniform together have none that is biased, and the converse. All of them at once: the
    Walsh-Hadamard transform of the histogram of the columns.
    """
    count, samples = rows.shape
    assert count <= 20
    index = (rows.astype(np.int64) << np.arange(count)[:, None]).sum(axis=0)
    sums = np.bincount(index, minlength=1 << count).astype(np.float64)
    for bit in range(count):
        pairs = sums.reshape(-1, 2, 1 << bit)
        sums = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
    return float(chi2.sf(np.square(sums[1:]).max(initial=0) / samples, 1))


def least_unbiased_pair(rows):
    """As `least_unbiased`, over single rows and pairs of rows only, of any number of rows."""
    signs = 1 - 2 * rows.astype(np.float32)
    sums = signs @ signs.T
    samples = rows.shape[1]
    alone = signs.sum(axis=1)
    both = sums[np.triu_indices(len(rows), 1)]
    worst = max(np.square(alone).max(initial=0), np.square(both).max(initial=0))
    return float(chi2.sf(worst / samples, 1))


def least_uniform_sum(columns, scalars=(-1, 0, 1)):
    """The least p-value over all sums, with such scalars, of arrays of bytes, by tests of uniformity."""
    least = 1.0
    for factors in itertools.product(scalars, repeat=len(columns)):
        if any(factor % 2 for factor in factors):
            total = sum(np.uint8(f % 256) * column for f, column in zip(factors, columns, strict=True))
            counts = np.bincount(total, minlength=256)
            expected = len(total) / 256
            least = min(least, float(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255)))
    return least
