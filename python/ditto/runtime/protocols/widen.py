"""Casts between rings of any width: local where the ring narrows, in two rounds where it widens.

The protocol, its proofs and the names are those of docs/explanation/protocols.md, "Upcast and truncation",
with wrap words of exactly as many bits as reach the result.
"""

from __future__ import annotations

import numpy as np

from ditto import _native
from ditto.runtime.protocols.rounds import Party, Seat, Step, together
from ditto.runtime.protocols.shared import Shared, Words, word_of
from ditto_compiler.errors import InternalError
from ditto_compiler.protocols.costs import packed_bytes, wrap_bits

_CENTRED = 2
"""The slot that makes up for three floors: x_2."""


def narrow(party: Party, x: Shared, ring: int, drop: int = 0) -> Shared:
    """x / 2^drop in a ring of at least `drop` bits less, without a message.

    Errors are below 3/2 units of the result, and 0 without a drop.

    Raises:
        InternalError: `ring` has more bits than are left.
    """
    return _local(party.rank, x, ring, drop, 0)


def shift_left(x: Shared, bits: int, ring: int) -> Shared:
    """x * 2^bits in `ring`, of at most `bits` bits more than x has; exact, without a message.

    Raises:
        InternalError: `ring` has more.
    """
    return _local(0, x, ring, 0, bits)


def widen(party: Party, x: Shared, ring: int, drop: int = 0, left: int = 0) -> Step[Shared]:
    """x / 2^drop, or x * 2^left, in `ring`: local where that is possible, else in two rounds.

    Asks for -2^(k-2) <= x < 2^(k-2) in the k bits of x's ring, unless it is local. Errors are below 3/2 units
    of the result, and 0 without a drop. Costs: `widen_cost`.

    Raises:
        InternalError: bits are dropped and added, or k - 2 are not as many as dropped.
    """
    if not wrap_bits(x.ring, ring, drop, left):
        return _local(party.rank, x, ring, drop, left)
    if (drop and left) or drop > x.ring - 2 or not 0 < ring <= 64:
        raise InternalError(f"cast from ring {x.ring} to {ring}, dropping {drop} bits, adding {left}")
    slots = x.own.reshape(-1), x.next.reshape(-1)
    out = Shared(ring, np.empty(x.shape, word_of(ring)), np.empty(x.shape, word_of(ring)))
    out_slots = out.own.reshape(-1), out.next.reshape(-1)
    cast = (x.ring, ring, drop, left)
    if x.size:
        yield from together(
            [
                _PARTS[seat.role](
                    seat, slots[0][part], slots[1][part], cast, out_slots[0][part], out_slots[1][part]
                )
                for seat, part in party.seats(x.size)
            ]
        )
    return out


def _local(rank: int, x: Shared, ring: int, drop: int, left: int) -> Shared:
    if not 0 <= drop < x.ring or left < 0 or not 0 < ring <= 64 or wrap_bits(x.ring, ring, drop, left):
        raise InternalError(
            f"no local cast from ring {x.ring} to {ring}, dropping {drop} bits, adding {left}"
        )

    def change(slot: Words, number: int) -> Words:
        out = np.empty(slot.shape, word_of(ring))
        if left >= ring:
            out[...] = 0
        else:
            _native.shift(slot.reshape(-1), x.ring, ring, drop, left, number % 3 == _CENTRED, out)
        return out

    return Shared(ring, change(x.own, rank), change(x.next, rank + 1))


_Cast = tuple[int, int, int, int]


def _deal(seat: Seat, x0: Words, x1: Words, cast: _Cast, y0: Words, y1: Words) -> Step[None]:
    """P0: knows x_0 and x_1, hence both numbers that the wrap count can be."""
    size = packed_bytes(x0.size, wrap_bits(*cast))
    masks, w1 = seat.draw(2, 3 * size), seat.draw(1, size)
    message = np.empty(2 * size, np.uint8)
    _native.widen_deal(x0, x1, *cast, masks, w1, y0, y1, message)
    yield seat.round({1: message})
    # P1 and P2 are not done before: what needs the result starts at all parties in the same round.
    yield seat.round()


def _first(seat: Seat, x1: Words, x2: Words, cast: _Cast, y1: Words, y2: Words) -> Step[None]:
    """P1: takes P0's word for msb(x_2), and adds P2's."""
    size = packed_bytes(x1.size, wrap_bits(*cast))
    w1, mine = seat.draw(0, size), np.empty(size, np.uint8)
    dealt = seat.of((yield seat.round(expect={0: 2 * size})), 0)
    _native.widen_choose(x2, *cast, dealt, w1, mine)
    received = yield seat.round({2: mine}, {2: size})
    _native.widen_finish(x2, x1, *cast, True, mine, seat.of(received, 2), w1, y2, y1)


def _second(seat: Seat, x2: Words, x0: Words, cast: _Cast, y2: Words, y0: Words) -> Step[None]:
    """P2: takes the mask for msb(x_2), and adds P1's word."""
    size = packed_bytes(x2.size, wrap_bits(*cast))
    masks, mine = seat.draw(0, 3 * size), np.empty(size, np.uint8)
    choices, w0 = masks[: 2 * size], masks[2 * size :]
    yield seat.round()
    _native.widen_choose(x2, *cast, choices, w0, mine)
    received = yield seat.round({1: mine}, {1: size})
    _native.widen_finish(x2, x0, *cast, False, mine, seat.of(received, 1), w0, y2, y0)


_PARTS = (_deal, _first, _second)
