"""Casts between rings and fractions on replicated shares, by message passing among the parties.

Party P_i holds the slots (x_i, x_{i+1}) of every x = x_0 + x_1 + x_2 mod 2^k. The protocols, why
they leak nothing and what they cost are in docs/explanation/protocols.md; names here are the ones used there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from ditto import _native
from ditto.runtime.protocols.prf import Stream
from ditto.runtime.protocols.roles import Roles
from ditto.runtime.protocols.sharing import Ring, raw_shape, word_dtype
from ditto.runtime.transport.channel import Channel
from ditto_compiler.encoding import Cast
from ditto_compiler.errors import DittoError
from ditto_compiler.network import Network
from ditto_compiler.protocols.cast_batches import Mode, choose_mode
from ditto_compiler.protocols.chunks import WINDOW, cut

_NOTHING: NDArray[np.uint8] = np.empty(0, np.uint8)


class CastError(DittoError):
    """Slots that do not fit their cast."""


@dataclass(frozen=True)
class _Piece:
    """Consecutive elements of one tensor, and where their words are among those of a chunk."""

    cast: Cast
    slots: Ring
    out: Ring
    word_bytes: int
    words: slice

    @property
    def rings(self) -> tuple[int, int, int, int]:
        return self.cast.source.ring, self.cast.target.ring, self.cast.shift_right, self.cast.shift_left


@dataclass
class _Chunk:
    """Casts that share messages."""

    number: int
    one_round: bool
    pieces: list[_Piece] = field(default_factory=list)
    section: int = 0
    """Bytes of one word of every element; messages and draws of masks are one to three of these."""
    mine: NDArray[np.uint8] = field(default_factory=lambda: _NOTHING)
    """What this party adds to W_2."""
    other: NDArray[np.uint8] = field(default_factory=lambda: _NOTHING)
    """The wrap share (W_0 or W_1) of the slot that is not x_2."""


class CastEngine:
    """One party's side of the casts. All parties make the same calls in the same order.

    Args:
        rank: this party's rank among 0, 1, 2.
        channel: to the two others; nothing else may use it.
        streams: by peer rank, from `agree_streams`; nothing else may draw from them.
        mode: `two-round` (fewer bytes) or `one-round`; by default what `choose_mode` says of each batch.
        network: between the parties, which `choose_mode` asks for; the same at all parties, as is `mode`.
    """

    def __init__(
        self,
        rank: int,
        channel: Channel,
        streams: Mapping[int, Stream],
        *,
        mode: Mode | None = None,
        network: Network | None = None,
    ) -> None:
        if mode is not None and mode not in get_args(Mode):
            raise CastError(f"unknown cast mode {mode!r}: expected one of {', '.join(get_args(Mode))}")
        self._rank = rank
        self._roles = Roles(rank, channel, streams, "all parties must cast the same tensors in the same mode")
        self._mode = mode
        self._network = network
        self._chunks_made = 0

    def cast_many(self, batch: list[tuple[Cast, Ring]]) -> list[Ring]:
        """This party's slots after each cast; shapes stay, ring 128 has a last axis of two words.

        Costs, over all parties: `Cast.bytes_per_element` per element in `Cast.rounds` rounds; in
        one-round mode 5/4 of the bytes in 1 round. All casts share messages. A batch of more than
        `SINGLE_CHUNK` elements is streamed, in a multiple of three chunks so that each party plays
        P0 equally often; the messages of a window of chunks are under way at a time.

        Raises:
            CastError: an array's dtype or shape is not that of slots in the cast's source ring.
            ChannelError: a peer failed, or casts something else; the streams may be out of step then, and
                the engine is of no more use.
        """
        outs = [np.empty(self._check(cast, slots), word_dtype(cast.target.ring)) for cast, slots in batch]
        pending: list[tuple[Cast, Ring, Ring]] = []
        for (cast, slots), out in zip(batch, outs, strict=True):
            contiguous = np.ascontiguousarray(slots)
            if cast.wrap_bits:
                pending.append((cast, contiguous, out))
            else:
                self._shift(cast, contiguous, out)
        # Whatever needs no message comes first, so that nobody waits twice for one window. Between two
        # parties, messages of the first stage are read before those of the second, each in order of chunks.
        chunks = self._chunks(pending)
        while window := list(islice(chunks, WINDOW)):
            for chunk in window:
                self._start(chunk)
            for chunk in window:
                self._answer(chunk)
            for chunk in window:
                self._finish(chunk)
        return outs

    def _check(self, cast: Cast, slots: Ring) -> tuple[int, ...]:
        """The shape of the result."""
        ring = cast.source.ring
        pair = raw_shape((2,), ring)
        if slots.dtype != word_dtype(ring) or slots.shape[-len(pair) :] != pair:
            raise CastError(
                f"{cast.op} from {cast.source}: expected slots of dtype {word_dtype(ring)} with last axes "
                f"{pair}, got dtype {slots.dtype} with shape {slots.shape}"
            )
        return raw_shape((*slots.shape[: -len(pair)], 2), cast.target.ring)

    def _shift(self, cast: Cast, slots: Ring, out: Ring) -> None:
        shift = (_native.shift_p0, _native.shift_p1, _native.shift_p2)[self._rank]
        shift(slots, cast.source.ring, cast.target.ring, cast.shift_right, cast.shift_left, out)

    def _chunks(self, jobs: list[tuple[Cast, Ring, Ring]]) -> Iterator[_Chunk]:
        """Cut the casts into chunks: the same cuts at all parties, since shapes are public."""
        tensors = []
        for cast, slots, out in jobs:
            source = slots.reshape(-1, *raw_shape((2,), cast.source.ring))
            tensors.append((cast, source, out.reshape(-1, *raw_shape((2,), cast.target.ring))))
        cast_bytes = sum(len(source) * cast.bytes_per_element for cast, source, _ in tensors)
        one_round = (self._mode or choose_mode(cast_bytes, self._network)) == "one-round"
        for slices in cut([len(source) for _, source, _ in tensors]):
            chunk = _Chunk(self._chunks_made, one_round)
            self._chunks_made += 1
            for part in slices:
                cast, source, out = tensors[part.tensor]
                word_bytes = (cast.wrap_bits + 7) // 8
                stop = chunk.section + (part.stop - part.start) * word_bytes
                at = slice(part.start, part.stop)
                chunk.pieces.append(_Piece(cast, source[at], out[at], word_bytes, slice(chunk.section, stop)))
                chunk.section = stop
            yield chunk

    def _draw(self, chunk: _Chunk, role: int, words: int) -> list[NDArray[np.uint8]]:
        """`words` sections of masks shared with the party that plays `role`."""
        return _sections(self._roles.draw(chunk.number, role, words * chunk.section), chunk.section)

    def _receive(self, chunk: _Chunk, role: int, words: int) -> list[NDArray[np.uint8]]:
        return _sections(self._roles.receive(chunk.number, role, words * chunk.section), chunk.section)

    def _start(self, chunk: _Chunk) -> None:
        """All that needs no message: P0 does its whole part, P2 its first, P1 draws its masks."""
        role = self._roles.own(chunk.number)
        if role == 0:
            self._play_sender(chunk)
        elif chunk.one_round:
            zero, one, *rest = self._draw(chunk, 0, 2 if role == 1 else 3)
            chunk.other = rest[0] if rest else _NOTHING
            self._choose(chunk, role, zero, one, _NOTHING)
        elif role == 2:
            q0, q1, chunk.other = self._draw(chunk, 0, 3)
            self._choose(chunk, role, q0, q1, chunk.other)
        else:
            (chunk.other,) = self._draw(chunk, 0, 1)

    def _answer(self, chunk: _Chunk) -> None:
        """Two-round mode, P1: p_b - W_1 to P2, out of P0's message."""
        if self._roles.own(chunk.number) == 1 and not chunk.one_round:
            p0, p1 = self._receive(chunk, 0, 2)
            self._choose(chunk, 1, p0, p1, chunk.other)

    def _finish(self, chunk: _Chunk) -> None:
        """P1 and P2: add up W_2 and write the result. P0 has no part in it and learns nothing."""
        role = self._roles.own(chunk.number)
        if role == 0:
            return
        correction = _NOTHING
        if chunk.one_round and role == 1:
            correction, chunk.other = self._receive(chunk, 0, 2)
        elif chunk.one_round:
            (correction,) = self._receive(chunk, 0, 1)
        (theirs,) = self._receive(chunk, 3 - role, 1)
        finish = _native.finish_p1 if role == 1 else _native.finish_p2
        for piece in chunk.pieces:
            at = piece.words
            words = (chunk.mine[at], theirs[at], correction[at], chunk.other[at])
            finish(piece.slots, *piece.rings, piece.word_bytes, *words, piece.out)

    def _play_sender(self, chunk: _Chunk) -> None:
        """P0 knows x_0 and x_1, hence both values W can have; it sends them masked, and is done."""
        message = np.empty(2 * chunk.section, np.uint8)
        a0, a1, w0 = self._draw(chunk, 2, 3)
        b0, *more = self._draw(chunk, 1, 2 if chunk.one_round else 1)
        first, second = _sections(message, chunk.section)
        for piece in chunk.pieces:
            at = piece.words
            shared = (piece.slots, *piece.rings, piece.word_bytes, a0[at], a1[at], w0[at], b0[at])
            if more:
                _native.send_one_round(*shared, more[0][at], piece.out, first[at], second[at])
            else:
                _native.send_two_rounds(*shared, piece.out, first[at], second[at])
        self._roles.send(chunk.number, 1, message)
        if chunk.one_round:
            self._roles.send(chunk.number, 2, message[: chunk.section])

    def _choose(
        self,
        chunk: _Chunk,
        role: int,
        zero: NDArray[np.uint8],
        one: NDArray[np.uint8],
        mask: NDArray[np.uint8],
    ) -> None:
        """P1 and P2 know b = msb(x_2): each takes its word for b, less the mask, for the other."""
        chunk.mine = np.empty(chunk.section, np.uint8)
        choose = _native.choose_p1 if role == 1 else _native.choose_p2
        for piece in chunk.pieces:
            at = piece.words
            words = (zero[at], one[at], mask[at], chunk.mine[at])
            choose(piece.slots, piece.cast.source.ring, piece.word_bytes, *words)
        self._roles.send(chunk.number, 3 - role, chunk.mine)


def _sections(buffer: NDArray[np.uint8], size: int) -> list[NDArray[np.uint8]]:
    return [buffer[at : at + size] for at in range(0, len(buffer), size)]
