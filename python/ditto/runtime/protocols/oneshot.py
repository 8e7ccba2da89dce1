"""One-shot functions of shared numbers: any function that is a short sum of products, in two rounds.

The protocol, and why it leaks nothing, is in docs/explanation/protocols.md; names here are those of it.
"""

from __future__ import annotations

import numpy as np

from ditto import _native
from ditto.runtime.protocols.rounds import Party, Seat, Step, together
from ditto.runtime.protocols.shared import Shared, Words, as_words, word_of
from ditto_compiler.errors import DittoError
from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.protocols.costs import packed_bytes
from ditto_compiler.protocols.costs_oneshot import words_bytes


class OneshotError(DittoError):
    """Slots that do not fit their function."""


def oneshot(party: Party, x: Shared, terms: Terms) -> Step[Shared]:
    """f(x) for each element, for x from `terms.low` to `terms.high`, in `terms.result_ring`; two rounds.

    Args:
        party: this party.
        x: in a ring of at least `terms.ring` bits, with `terms.frac` fraction bits.
        terms: f.

    Raises:
        OneshotError: x is in a narrower ring.
    """
    if x.ring < terms.ring:
        raise OneshotError(f"a function of ring {terms.ring} cannot take numbers of ring {x.ring}")
    own, following = (as_words(slot, terms.ring).reshape(-1) for slot in (x.own, x.next))
    result = [np.empty(x.size, word_of(terms.result_ring)) for _ in range(2)]
    steps = [
        _part(seat, own[at], following[at], terms, result[0][at], result[1][at])
        for seat, at in party.seats(x.size)
    ]
    yield from together(steps)
    return Shared(terms.result_ring, result[0].reshape(x.shape), result[1].reshape(x.shape))


def _part(seat: Seat, own: Words, following: Words, terms: Terms, y_own: Words, y_next: Words) -> Step[None]:
    """One part, in which both slots of the result are written."""
    function = terms.kind == "exponential", terms.ring, terms.table(), terms.word_ring
    word, ring = word_of(terms.result_ring), terms.result_ring
    dealt, shared = words_bytes(terms, own.size), packed_bytes(own.size, ring)
    # Of a mask of words the bits above the ring take part like all others above it: they mean nothing.
    masks = own.size * word.itemsize
    if seat.role == 0:
        u = own + following
        if terms.kind == "exponential":
            u -= u.dtype.type(terms.low % (1 << terms.ring))
        words = np.empty(dealt, np.uint8)
        _native.oneshot_deal(*function, u, seat.draw(2, dealt), words)
        y_own[...] = seat.draw(2, masks).view(word)
        y_next[...] = seat.draw(1, masks).view(word)
        yield seat.round({1: words})
        yield seat.round()
        return
    if seat.role == 1:
        words = seat.of((yield seat.round({}, {0: dealt})), 0)
        v, constant, carry = following, terms.constant % (1 << 64), terms.drop > 0
        known, y_2, peer = y_own, y_next, 2
    else:
        words = seat.draw(0, dealt)
        yield seat.round()
        v, constant, carry = own, 0, False
        known, y_2, peer = y_next, y_own, 1
    known[...] = mask = seat.draw(0, masks).view(word)
    part = np.empty(shared, np.uint8)
    v = np.ascontiguousarray(v)
    _native.oneshot_combine(*function, terms.drop, v, words, constant, carry, mask, part)
    theirs = seat.of((yield seat.round({peer: part}, {peer: shared})), peer)
    _native.oneshot_add(part, theirs, ring, y_2)
