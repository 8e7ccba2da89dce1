"""Opening an output to its receiver, who learns its value and nothing else of its shares.

Each party sends one additive share of every element, re-randomised by a sharing of zero, and a tag of
either of its slots, by which the receiver notices slots whose two copies contradict each other. Protocol,
who knows what, and proof: docs/explanation/protocols.md, "Outputs".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ditto.runtime.protocols.prf import Stream
from ditto.runtime.protocols.sharing import Ring, SharingError, raw_shape, word_dtype

TAG_BYTES = 16
TAG_KEY_BYTES = 32
CHUNK = 1 << 16
"""Elements that are masked at a time, to keep memory at the shares themselves."""

_CONTRADICTION = "the parties' shares contradict each other"


@dataclass(frozen=True)
class Part:
    """What one party sends of an output.

    Attributes:
        kind: `arithmetic` (a share that adds up), `boolean` (one that is xored) or `public`.
        element_bytes: of each element.
        bits: how many low bits of an element count.
        data: the elements, little-endian.
        tags: of both slots, hexadecimal; none for `public`.
    """

    kind: str
    element_bytes: int
    bits: int
    data: Any
    tags: tuple[str, ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        """All but the data, as JSON."""
        layout = {"kind": self.kind, "element_bytes": self.element_bytes, "bits": self.bits}
        return {**layout, "tags": list(self.tags)}

    @classmethod
    def read(cls, rank: int, about: object, data: Any) -> Self:
        """What party `rank` sent.

        Raises:
            SharingError: it does not describe a part.
        """
        match about:
            case {"kind": "public", "element_bytes": int(size), "bits": int(bits), "tags": []}:
                part = cls("public", size, bits, data)
            case {
                "kind": "arithmetic" | "boolean" as kind,
                "element_bytes": int(size),
                "bits": int(bits),
                "tags": [str(first), str(second)],
            }:
                part = cls(kind, size, bits, data, (first, second))
            case _:
                raise SharingError(f"party P{rank} sent something else than its part of an output: {about}")
        sizes = (1, 2, 4, 8) if part.kind == "boolean" else (4, 8, 16)
        if part.element_bytes not in sizes or not 0 < bits <= 8 * part.element_bytes:
            raise SharingError(f"party P{rank} sent elements of {size} bytes, {bits} bits, as {part.kind}")
        return part


def publish(raw: Ring, ring: int) -> Part:
    """A party's part of a public output, given as ring elements: a copy."""
    return Part("public", ring // 8, ring, np.ascontiguousarray(raw))


def mask(slots: Ring, ring: int, streams: Mapping[int, Stream], rank: int) -> Part:
    """A party's part of an output that is shared in a ring.

    Args:
        slots: its (x_i, x_{i+1}), shape (n, 2), or (n, 2, 2) in ring 128.
        ring: its bits.
        streams: by peer rank, from `agree_streams`; nothing else may draw from them.
        rank: this party's.

    Returns:
        x_i + F_{i,i+1} - F_{i-1,i}, with F drawn from the streams, and tags of x_i and x_{i+1}.
    """
    data, tags = _mask(slots, streams, rank, _add, _subtract)
    return Part("arithmetic", ring // 8, ring, data, tags)


def mask_booleans(words: Ring, bits: int, streams: Mapping[int, Stream], rank: int) -> Part:
    """A party's part of booleans: as `mask`, of words (n, 2) whose `bits` low bits count, by exclusive or."""
    counting = words & words.dtype.type((1 << bits) - 1)
    data, tags = _mask(counting, streams, rank, np.bitwise_xor, np.bitwise_xor)
    return Part("boolean", words.itemsize, bits, data, tags)


def combine(parts: Sequence[Part], ring: int, count: int) -> Ring:
    """The receiver's side: an output out of what the three parties sent of it, by rank.

    Tags are compared as any strings: they are no secrets from whoever receives them, and nobody who sends
    them learns how long the comparison took.

    Args:
        parts: of P0, P1, P2.
        ring: bits of the ring that the output is in.
        count: its elements.

    Returns:
        ring elements, shape (n,), or (n, 2) in ring 128; for booleans, words of any unsigned type.

    Raises:
        SharingError: the parts do not belong together: they are of different kinds or sizes than each other
            or than the output, or their tags or public values differ.
    """
    _check(parts, ring, count)
    kind, size = parts[0].kind, parts[0].element_bytes
    if kind == "boolean":
        words = [np.frombuffer(part.data, f"<u{size}") for part in parts]
        opened: Ring = words[0] ^ words[1] ^ words[2]
        opened &= opened.dtype.type((1 << parts[0].bits) - 1)
        return opened
    shares = [np.frombuffer(part.data, word_dtype(ring)).reshape(raw_shape((-1,), ring)) for part in parts]
    if kind == "public":
        if not all(np.array_equal(shares[0], other) for other in shares[1:]):
            raise SharingError(f"{_CONTRADICTION}: a public output is not the same at all; a party is faulty")
        return shares[0]
    total = shares[0].copy()
    for share in shares[1:]:
        _add(total, share, out=total)
    return total


def _check(parts: Sequence[Part], ring: int, count: int) -> None:
    if len(parts) != 3:
        raise SharingError(f"expected the parts of three parties, got {len(parts)}")
    layouts = [(part.kind, part.element_bytes, part.bits) for part in parts]
    if len(set(layouts)) != 1:
        told = "; ".join(
            f"P{i}: {kind}, {size} bytes, {bits} bits" for i, (kind, size, bits) in enumerate(layouts)
        )
        raise SharingError(f"{_CONTRADICTION}: they are of different kinds ({told}); a party is faulty")
    kind, element_bytes, bits = layouts[0]
    if kind != "boolean" and not 8 * element_bytes == bits == ring:
        raise SharingError(f"expected shares in ring {ring}, got {bits} bits in {element_bytes} bytes")
    sizes = [memoryview(part.data).nbytes for part in parts]
    if sizes != [count * element_bytes] * 3:
        raise SharingError(
            f"expected the shares of three parties, of one size, {count * element_bytes} bytes; got {sizes}"
        )
    for rank, part in enumerate(parts):
        # x_i is the first slot of P_i and the second of the party before.
        if part.tags[:1] != parts[rank - 1].tags[1:]:
            raise SharingError(
                f"{_CONTRADICTION}: the two copies of a slot differ, those of x_{rank} at P{(rank - 1) % 3} "
                f"and P{rank}; they are of different values, or a party is faulty"
            )


def _mask(
    slots: Ring,
    streams: Mapping[int, Stream],
    rank: int,
    add: Callable[..., Any],
    subtract: Callable[..., Any],
) -> tuple[Ring, tuple[str, str]]:
    after, before = streams[(rank + 1) % 3], streams[(rank + 2) % 3]
    # x_i is known to this party and the one before, x_{i+1} to this one and the one after.
    tags = [
        hashlib.blake2b(key=stream.take(TAG_KEY_BYTES).tobytes(), digest_size=TAG_BYTES)
        for stream in (before, after)
    ]
    share = np.empty_like(slots[:, 0], order="C")
    for start in range(0, len(slots), CHUNK):
        columns = [np.ascontiguousarray(slots[start : start + CHUNK, column]) for column in (0, 1)]
        for tag, column in zip(tags, columns, strict=True):
            tag.update(column.reshape(-1).data)
        part = share[start : start + CHUNK]
        add(columns[0], _draw(after, part), out=part)
        subtract(part, _draw(before, part), out=part)
    return share, (tags[0].hexdigest(), tags[1].hexdigest())


def _draw(stream: Stream, like: Ring) -> Ring:
    drawn: NDArray[Any] = stream.take(like.nbytes).view(like.dtype).reshape(like.shape)
    return drawn


def _add(a: Ring, b: Ring, out: Ring) -> None:
    """The sums of ring elements; `out` may be `a`."""
    np.add(a, b, out=out)
    if out.ndim == 2:
        out[:, 1] += out[:, 0] < b[:, 0]


def _subtract(a: Ring, b: Ring, out: Ring) -> None:
    """The differences of ring elements; `out` may be `a`."""
    borrow = a[:, 0] < b[:, 0] if a.ndim == 2 else None
    np.subtract(a, b, out=out)
    if borrow is not None:
        out[:, 1] -= borrow
