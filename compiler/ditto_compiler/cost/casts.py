"""How the casts of a batch share messages: as the runtime sends them and the cost model counts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ditto_compiler.cost.network import Network
from ditto_compiler.cost.table import FREE, Cost

Mode = Literal["two-round", "one-round"]
"""Of the protocols in docs/protocols.md."""

SINGLE_CHUNK = 1 << 15
"""Elements up to which a batch is one chunk: one message per peer and round."""

MAX_CHUNK = 1 << 16
"""Most elements in a chunk of a larger batch."""

WINDOW = 15
"""Most chunks under way at a time.

Their messages travel together, so a window takes as long as one chunk where waiting is all that counts; and
what is under way is all that casts hold in memory beside their results.
"""


def chunk_count(elements: int) -> int:
    """Chunks of a batch; a multiple of three if there are several, so that roles rotate evenly."""
    return 1 if elements <= SINGLE_CHUNK else 3 * -(-elements // (3 * MAX_CHUNK))


@dataclass(frozen=True)
class Slice:
    """Consecutive elements of one tensor of a batch."""

    tensor: int
    start: int
    stop: int


def cut(sizes: Sequence[int]) -> Iterator[list[Slice]]:
    """A batch of tensors of so many elements, cut into chunks; none if there are no elements."""
    total = sum(sizes)
    room = most = -(-total // chunk_count(total))
    slices: list[Slice] = []
    for tensor, size in enumerate(sizes):
        at = 0
        while at < size:
            if not room:
                yield slices
                slices, room = [], most
            count = min(room, size - at)
            slices.append(Slice(tensor, at, at + count))
            at, room = at + count, room - count
    if slices:
        yield slices


def choose_mode(cast_bytes: int, network: Network | None) -> Mode:
    """The faster mode for a batch whose casts send `cast_bytes` in two rounds, over all parties.

    One round saves half a round trip and sends a quarter more bytes. Roles rotate, so each party sends a
    third of them over its own uplink. Without a network, fewer bytes are better.
    """
    if network is None:
        return "two-round"
    more_seconds = cast_bytes / 4 / 3 / network.bandwidth_bytes_per_s
    return "one-round" if more_seconds < network.rtt_s / 2 else "two-round"


def batch_cost(elements: int, cast_bytes: int, network: Network | None) -> Cost:
    """Bytes, messages and rounds of a batch of `elements` that need messages; no seconds."""
    if elements == 0:
        return FREE
    chunks = chunk_count(elements)
    windows = -(-chunks // WINDOW)
    if choose_mode(cast_bytes, network) == "one-round":
        return Cost(bytes=cast_bytes * 5 / 4, messages=4 * chunks, rounds=windows)
    return Cost(bytes=cast_bytes, messages=3 * chunks, rounds=2 * windows)
