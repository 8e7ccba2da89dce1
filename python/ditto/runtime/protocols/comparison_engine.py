"""Comparisons of replicated shares with public thresholds, by message passing among the parties.

Party P_i holds the slots (x_i, x_{i+1}) of every x = x_0 + x_1 + x_2 mod 2^k. The protocol, why it
leaks nothing and what it costs are in docs/explanation/protocols.md; names here are the ones used there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ditto import _native
from ditto.runtime.protocols.prf import Stream
from ditto.runtime.protocols.roles import Roles
from ditto.runtime.protocols.sharing import Ring, raw_shape, word_dtype
from ditto.runtime.transport.channel import Channel
from ditto_compiler.encoding import RINGS
from ditto_compiler.errors import DittoError
from ditto_compiler.protocols.chunks import WINDOW
from ditto_compiler.protocols.comparison_batches import Group, chunks, digits, query_bytes, row_bytes, rows

Bits = NDArray[np.uint8]

_NOTHING: Bits = np.empty(0, np.uint8)


class ComparisonError(DittoError):
    """Slots that do not fit their comparison."""


@dataclass(frozen=True)
class Comparison:
    """What a secret tensor is compared with.

    Attributes:
        ring: 32, 64 or 128.
        slots: this party's, of shape (n..., 2), for ring 128 (n..., 2, 2).
        thresholds: public, in units of the ring; one answer for each. (0,) gives the sign.
    """

    ring: int
    slots: Ring
    thresholds: tuple[int, ...]


@dataclass(frozen=True)
class _Piece:
    """Consecutive elements of one tensor, and where they are in a chunk."""

    ring: int
    slots: Ring
    query: slice
    thresholds: list[Bits]
    """Each as one ring element."""
    columns: list[slice]
    """For each threshold, where its bytes are in a row."""
    outs: list[Bits]
    """For each threshold, where the answers go: one byte for each element and slot."""


@dataclass
class _Chunk:
    """Comparisons that share messages.

    `slot0` and `slot1` are this party's slots of the boolean shares of G and P, for as many `digits` as
    are left: rows of one bit for each element and threshold, as in python/native/comparisons.cpp.
    """

    number: int
    digits: int
    pieces: list[_Piece] = field(default_factory=list)
    query: int = 0
    """Bytes of the queries of all elements."""
    row: int = 0
    """Bytes of a row."""
    slot0: Bits = field(default_factory=lambda: _NOTHING)
    slot1: Bits = field(default_factory=lambda: _NOTHING)
    mine: Bits = field(default_factory=lambda: _NOTHING)
    """What this party, as P1 or P2, adds to s_2."""


class ComparisonEngine:
    """One party's side of the comparisons. All parties make the same calls in the same order.

    Args:
        rank: this party's rank among 0, 1, 2.
        channel: to the two others; nothing else may use it.
        streams: by peer rank, from `agree_streams`; nothing else may draw from them.
    """

    def __init__(self, rank: int, channel: Channel, streams: Mapping[int, Stream]) -> None:
        self._roles = Roles(
            rank, channel, streams, "all parties must compare the same tensors with the same thresholds"
        )
        self._chunks_made = 0

    def less_many(self, batch: list[Comparison]) -> list[list[Bits]]:
        """For each comparison and each of its thresholds c, this party's boolean slots of [x < c].

        The slots (b_i, b_{i+1}) are 0 or 1 in an array of shape (n..., 2), and b_0 ^ b_1 ^ b_2 = [x < c]
        with x signed. That is exact wherever -2^(k-1) <= x - c < 2^(k-1); where the difference wraps, the
        answer is the opposite.

        Costs are those of `ditto_compiler.cost.batches.comparisons_cost`. All comparisons share messages; a
        large batch is streamed, as those of casts are.

        Raises:
            ComparisonError: no such ring, or an array's dtype or shape is not that of slots in it.
            ChannelError: a peer failed, or sent a message of another size than these comparisons have; the
                streams may be out of step then, and the engine is of no more use.
        """
        slots = [_flat_slots(comparison) for comparison in batch]
        outs = [
            [np.empty((*_shape(comparison), 2), np.uint8) for _ in comparison.thresholds]
            for comparison in batch
        ]
        made = self._chunks(batch, slots, outs)
        # Between two parties, messages of a stage are read before those of the next, each in order of chunks.
        while window := list(islice(made, WINDOW)):
            for chunk in window:
                self._start(chunk)
            for chunk in window:
                self._answer(chunk)
            for chunk in window:
                self._combine(chunk)
            while wide := [chunk for chunk in window if chunk.digits > 1]:
                products = [self._multiply(chunk) for chunk in wide]
                for chunk, product in zip(wide, products, strict=True):
                    self._halve(chunk, product)
            for chunk in window:
                self._write(chunk)
        return outs

    def _chunks(self, batch: list[Comparison], slots: list[Ring], outs: list[list[Bits]]) -> Iterator[_Chunk]:
        """Cut the comparisons into chunks: the same cuts at all parties, since shapes are public."""
        thresholds = [
            [_ring_element(c, comparison.ring) for c in comparison.thresholds] for comparison in batch
        ]
        groups = [
            Group(comparison.ring, len(elements), len(comparison.thresholds))
            for comparison, elements in zip(batch, slots, strict=True)
        ]
        for ring, slices in chunks(groups):
            chunk = _Chunk(self._chunks_made, digits(ring))
            self._chunks_made += 1
            for part in slices:
                row = row_bytes(part.stop - part.start)
                end = chunk.query + query_bytes(ring) * (part.stop - part.start)
                columns = [
                    slice(chunk.row + i * row, chunk.row + (i + 1) * row)
                    for i in range(len(outs[part.tensor]))
                ]
                chunk.pieces.append(
                    _Piece(
                        ring,
                        slots[part.tensor][part.start : part.stop],
                        slice(chunk.query, end),
                        thresholds[part.tensor],
                        columns,
                        [out.reshape(-1, 2)[part.start : part.stop] for out in outs[part.tensor]],
                    )
                )
                chunk.query, chunk.row = end, columns[-1].stop
            yield chunk

    def _start(self, chunk: _Chunk) -> None:
        """All that needs no message: P0 sends its queries, P2 its shares of what they answer."""
        role, size = self._roles.own(chunk.number), rows(chunk.digits) * chunk.row
        if role == 0:
            mask = self._roles.draw(chunk.number, 2, chunk.query)
            chunk.slot0 = self._roles.draw(chunk.number, 2, size)
            chunk.slot1 = self._roles.draw(chunk.number, 1, size)
            query = np.empty(chunk.query, np.uint8)
            for piece in chunk.pieces:
                _native.compare_query(piece.slots, piece.ring, mask[piece.query], query[piece.query])
            self._roles.send(chunk.number, 1, query)
        elif role == 1:
            chunk.slot0 = self._roles.draw(chunk.number, 0, size)
        else:
            # P2's share of the words is their mask.
            mask = self._roles.draw(chunk.number, 0, chunk.query)
            chunk.slot1 = self._roles.draw(chunk.number, 0, size)
            chunk.mine = self._pick(chunk, mask, chunk.slot1)
            self._roles.send(chunk.number, 1, chunk.mine)

    def _answer(self, chunk: _Chunk) -> None:
        """P1: its shares of what P0's queries answer, to P2."""
        if self._roles.own(chunk.number) == 1:
            query = self._roles.receive(chunk.number, 0, chunk.query)
            chunk.mine = self._pick(chunk, query, chunk.slot0)
            self._roles.send(chunk.number, 2, chunk.mine)

    def _pick(self, chunk: _Chunk, words: Bits, mask: Bits) -> Bits:
        """P1 and P2 know x_2, hence the digits to compare with: the bits there, masked for the other."""
        pick = _native.compare_pick_p1 if self._roles.own(chunk.number) == 1 else _native.compare_pick_p2
        bits = mask.copy()
        for piece in chunk.pieces:
            for threshold, column in zip(piece.thresholds, piece.columns, strict=True):
                pick(piece.slots, piece.ring, threshold, words[piece.query], column.start, bits)
        return bits

    def _combine(self, chunk: _Chunk) -> None:
        """P1 and P2: s_2, the slot that P0 does not get."""
        role = self._roles.own(chunk.number)
        if role == 0:
            return
        theirs = self._roles.receive(chunk.number, 3 - role, chunk.mine.size)
        np.bitwise_xor(chunk.mine, theirs, out=chunk.mine)
        if role == 1:
            chunk.slot1 = chunk.mine
        else:
            chunk.slot0 = chunk.mine
        chunk.mine = _NOTHING

    def _multiply(self, chunk: _Chunk) -> Bits:
        """One level of the tree: this party's slot of its products, for itself and for the party before."""
        role, size = self._roles.own(chunk.number), (chunk.digits - 1) * chunk.row
        product = np.empty(size, np.uint8)
        # Each stream masks the products of its two parties, so all masks together cancel.
        after = self._roles.draw(chunk.number, role + 1, size)
        before = self._roles.draw(chunk.number, role - 1, size)
        _native.compare_level(chunk.slot0, chunk.slot1, chunk.digits, after, before, product)
        self._roles.send(chunk.number, role - 1, product)
        return product

    def _halve(self, chunk: _Chunk, product: Bits) -> None:
        """G = G_hi ^ P_hi G_lo and P = P_hi P_lo of each pair of digits."""
        following = self._roles.receive(chunk.number, self._roles.own(chunk.number) + 1, product.size).copy()
        half, whole = chunk.digits // 2 * chunk.row, chunk.digits * chunk.row
        product[:half] ^= chunk.slot0[half:whole]
        following[:half] ^= chunk.slot1[half:whole]
        chunk.slot0, chunk.slot1, chunk.digits = product, following, chunk.digits // 2

    def _write(self, chunk: _Chunk) -> None:
        for piece in chunk.pieces:
            for column, out in zip(piece.columns, piece.outs, strict=True):
                _native.unpack_bits(chunk.slot0[column], chunk.slot1[column], out)


def _shape(comparison: Comparison) -> tuple[int, ...]:
    """The shape of the tensor, of whose slots this checks the type."""
    ring, slots = comparison.ring, comparison.slots
    if ring not in RINGS:
        raise ComparisonError(f"no ring of {ring} bits: expected one of {', '.join(map(str, RINGS))}")
    pair = raw_shape((2,), ring)
    if slots.dtype != word_dtype(ring) or slots.shape[-len(pair) :] != pair:
        raise ComparisonError(
            f"comparison in ring {ring}: expected slots of dtype {word_dtype(ring)} with last axes {pair}, "
            f"got dtype {slots.dtype} with shape {slots.shape}"
        )
    return slots.shape[: -len(pair)]


def _flat_slots(comparison: Comparison) -> Ring:
    """The slots with one axis for all elements."""
    size = int(np.prod(_shape(comparison)))
    pair = raw_shape((2,), comparison.ring)
    return np.ascontiguousarray(comparison.slots).reshape(size, *pair)


def _ring_element(value: int, ring: int) -> Bits:
    """A signed integer modulo 2^ring, as bytes."""
    return np.frombuffer((value % (1 << ring)).to_bytes(ring // 8, "little"), np.uint8)
