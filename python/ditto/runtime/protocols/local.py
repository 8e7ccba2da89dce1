"""What parties do alone, beside the engine: ops that are linear in the secret, on each slot.

A value is `Shared` numbers, shared `Bits`, or `Public`. An op on a secret and something public is done such
that the sum (or the exclusive or) of the slots is right: what is added goes to slot 0, which parties 0 and 2
hold; what is multiplied, to every slot.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditto.runtime.protocols.shared import Bits, Shared, Words, as_words, low_bit, word_of

Plain = NDArray[Any]


@dataclass(frozen=True)
class Public:
    """What every party has of a public value.

    Attributes:
        ring: ring width in bits; 1 for booleans.
        words: ring elements in words of the ring (bytes of 0 or 1 for booleans), with the tensor's shape.
    """

    ring: int
    words: Plain

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return self.words.shape

    def each(self, change: Callable[[Plain], Plain]) -> Public:
        """The same with a change of its words."""
        return Public(self.ring, change(self.words))


Value = Shared | Bits | Public


def spread(value: Public, rank: int, like: Shared | Bits) -> Shared | Bits:
    """A public value as slots: all of it in slot 0."""
    zero = np.zeros_like(value.words)
    own = value.words if rank == 0 else zero
    following = value.words if rank == 2 else zero
    if isinstance(like, Bits):
        return Bits(own.astype(np.uint8), following.astype(np.uint8))
    return Shared(like.ring, as_words(own, like.ring), as_words(following, like.ring))


def move(values: Sequence[Value], change: Callable[..., Plain], rank: int) -> Value:
    """Moves elements of several values into one tensor.

    Args:
        values: of one ring, or all booleans.
        change: the move, of as many arrays.
        rank: of this party.
    """
    secret = next((value for value in values if not isinstance(value, Public)), None)
    if secret is None:
        publics = [value for value in values if isinstance(value, Public)]
        return Public(publics[0].ring, change(*(value.words for value in publics)))
    slots = [spread(value, rank, secret) if isinstance(value, Public) else value for value in values]
    own, following = change(*(s.own for s in slots)), change(*(s.next for s in slots))
    return Shared(secret.ring, own, following) if isinstance(secret, Shared) else Bits(own, following)


def add(x: Value, y: Value, rank: int, *, minus: bool = False) -> Value:
    """x + y, or x - y."""
    combine = operator.sub if minus else operator.add
    if isinstance(x, Public) and isinstance(y, Public):
        return Public(x.ring, combine(x.words, y.words))
    if isinstance(x, Public):
        assert isinstance(y, Shared)
        x = spread(x, rank, y)
    assert isinstance(x, Shared)
    if isinstance(y, Public):
        own = combine(x.own, y.words) if rank == 0 else x.own
        following = combine(x.next, y.words) if rank == 2 else x.next
        return Shared(x.ring, own, following)
    assert isinstance(y, Shared)
    return Shared(x.ring, combine(x.own, y.own), combine(x.next, y.next))


def exclusive_or(x: Value, y: Value, rank: int) -> Value:
    """x ^ y of booleans."""
    if isinstance(x, Public) and isinstance(y, Public):
        return Public(1, x.words ^ y.words)
    if isinstance(x, Public):
        x, y = y, x
    assert isinstance(x, Bits)
    if isinstance(y, Public):
        own = x.own ^ y.words if rank == 0 else x.own
        following = x.next ^ y.words if rank == 2 else x.next
        return Bits(own, following)
    assert isinstance(y, Bits)
    return Bits(x.own ^ y.own, x.next ^ y.next)


def negation(x: Value, rank: int) -> Value:
    """not x, of booleans."""
    return exclusive_or(x, Public(1, np.ones((), np.uint8)), rank)


def total(words: Words, axes: tuple[int, ...]) -> Words:
    """The sum over axes, in the words' own type."""
    summed: Words = words.sum(axis=axes, dtype=words.dtype)
    return np.asarray(summed)


def broadcast(words: Plain, shape: tuple[int, ...], dims: tuple[int, ...]) -> Plain:
    """`stablehlo.broadcast_in_dim`, as a view."""
    order = sorted(range(len(dims)), key=dims.__getitem__)
    extents = [1] * len(shape)
    for position in order:
        extents[dims[position]] = words.shape[position]
    return np.broadcast_to(words.transpose(order).reshape(extents), shape)


def padded(
    words: Plain, value: Plain, low: Sequence[int], high: Sequence[int], interior: Sequence[int]
) -> Plain:
    """`stablehlo.pad`: negative padding cuts."""
    spaced = [n + max(n - 1, 0) * i for n, i in zip(words.shape, interior, strict=True)]
    shape = [a + n + b for a, n, b in zip(low, spaced, high, strict=True)]
    result = np.empty([max(n, 0) for n in shape], words.dtype)
    result[...] = value
    source, target = [], []
    for extent, n, a, i in zip(result.shape, words.shape, low, interior, strict=True):
        step = i + 1
        first = -(a // step) if a < 0 else 0
        start = a + first * step
        count = max(0, min(n - first, -(-(extent - start) // step)))
        source.append(slice(first, first + count))
        target.append(slice(start, start + count * step, step))
    result[tuple(target)] = words[tuple(source)]
    return result


def shifted_left(x: Shared, ring: int, bits: int) -> Shared:
    """x 2^bits in another ring, of at most `bits` bits more: exact."""
    word = word_of(ring)
    return Shared(
        ring,
        as_words(x.own, ring) << word.type(bits),
        as_words(x.next, ring) << word.type(bits),
    )


def within(x: Shared, ring: int) -> Shared:
    """x in a ring that is no wider: its low bits."""
    return x if ring == x.ring else Shared(ring, as_words(x.own, ring), as_words(x.next, ring))


def low_bits(x: Shared) -> Bits:
    """Booleans that are shared as numbers: the lowest bit of a sum is the exclusive or of the lowest bits."""
    return Bits(low_bit(x.own), low_bit(x.next))
