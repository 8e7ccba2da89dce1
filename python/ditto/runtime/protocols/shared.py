"""What a party holds beside the engine: slots of ring elements, and of bits.

Ring elements of k bits stand in words of 32 bits for k <= 32 and of 64 bits beyond. The bits of a word above
the k-th are arbitrary: they take part in local arithmetic and mean nothing, so whoever reads a word as a
number, sends it or shows it reduces it first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.unsignedinteger[Any]]
"""Ring elements in words: uint32, or uint64."""


def word_of(ring: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The numpy type of the words that hold elements of a ring of up to 64 bits."""
    return np.dtype("<u4") if ring <= 32 else np.dtype("<u8")


def as_words(words: Words, ring: int) -> Words:
    """Words of at least `ring` bits as those of a ring, which keep its low bits."""
    return words.astype(word_of(ring), copy=False)


def reduced(words: Words, ring: int) -> Words:
    """Words without the bits above the ring."""
    word = word_of(ring)
    return words if ring == 8 * word.itemsize else words & word.type((1 << ring) - 1)


def low_bit(words: Words) -> NDArray[np.uint8]:
    """The lowest bit of each word."""
    # Of the words' own type: numpy adds an integer of Python to a single word of 64 bits as floats.
    return np.bitwise_and(words, words.dtype.type(1)).astype(np.uint8)


def signed(words: Words, ring: int) -> NDArray[np.int64]:
    """The numbers in [-2^(ring-1), 2^(ring-1)) that words stand for."""
    return (words.astype(np.uint64) << np.uint64(64 - ring)).view(np.int64) >> np.int64(64 - ring)


@dataclass(frozen=True)
class Shared:
    """A party's slots of a tensor: x = x_0 + x_1 + x_2 mod 2^ring, and party i has x_i and x_{i+1}.

    Attributes:
        ring: ring width in bits, up to 64.
        own: x_i, in words of the ring (`word_of`), with the tensor's shape; need not be contiguous.
        next: x_{i+1}, likewise.
    """

    ring: int
    own: Words
    next: Words

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return self.own.shape

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return self.own.size

    def each(self, change: Callable[[Words], Words]) -> Shared:
        """The same change, linear in the secret, of both slots."""
        return Shared(self.ring, change(self.own), change(self.next))


@dataclass(frozen=True)
class Bits:
    """A party's slots of booleans: b = b_0 ^ b_1 ^ b_2, and party i has b_i and b_{i+1}.

    Attributes:
        own: b_i, a byte of 0 or 1 for each element, with the tensor's shape.
        next: b_{i+1}, likewise.
    """

    own: NDArray[np.uint8]
    next: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return self.own.shape

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return self.own.size

    def each(self, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Bits:
        """The same change of places of both slots."""
        return Bits(change(self.own), change(self.next))
