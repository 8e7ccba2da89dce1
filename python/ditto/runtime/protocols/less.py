"""Comparison of a shared number with public ones, in any ring.

The protocol is in docs/explanation/protocols.md, "Comparison in any ring".
P0 knows u = x_0 + x_1; P1 and P2 both know v = x_2 - c. P0 sends digits of u as masked words, of which P1 and
P2 take the bits that v tells, and deals what it takes to join them. From then on only P1 and P2 speak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ditto import _native
from ditto.runtime.protocols.rounds import Party, Seat, Step, together
from ditto.runtime.protocols.shared import Bits, Shared, Words, as_words
from ditto_compiler.protocols.comparison_tree import Bit, Polynomial, Term, Tree, comparison_tree
from ditto_compiler.protocols.costs import packed_bytes

Rows = NDArray[np.uint8]
"""Bits of elements, eight to a byte, as in python/native/bits.cpp; the last axis goes over bytes."""


def less(party: Party, x: Shared, thresholds: Sequence[int], rounds: int | None = None) -> Step[list[Bits]]:
    """For each public threshold c, a signed integer, [x < c].

    That is exact wherever -2^(ring-1) <= x - c < 2^(ring-1), with x signed; where the difference wraps, the
    answer is the opposite. All thresholds share a query and the rounds. Bytes and rounds are those of
    `ditto_compiler.protocols.costs_bits.less_cost`.

    Args:
        party: this one.
        x: in a ring of 2 to 64 bits.
        thresholds: any number of them.
        rounds: at most so many, for more or fewer bytes; `default_rounds` of the ring if not given.

    Raises:
        ValueError: no comparison in that ring, or none in so few rounds.
    """
    if not thresholds:
        return []
    tree = comparison_tree(x.ring, len(thresholds), rounds)
    own, following = flat_slots(x)
    made = [Bits(np.empty(x.size, np.uint8), np.empty(x.size, np.uint8)) for _ in thresholds]
    seats = party.seats(x.size)
    answers = yield from together(
        [
            compare(
                seat,
                x.ring,
                own[part],
                following[part],
                thresholds,
                tree,
                answer_masks(seat, len(thresholds), part.stop - part.start),
            )
            for seat, part in seats
        ]
    )
    for (_, part), (first, second) in zip(seats, answers, strict=True):
        for i, bits in enumerate(made):
            _native.scatter_bits(first[i], bits.own[part])
            _native.scatter_bits(second[i], bits.next[part])
    return [bits.each(lambda slot: slot.reshape(x.shape)) for bits in made]


def flat_slots(x: Shared) -> tuple[Words, Words]:
    """Both slots of a number, with one axis for all elements."""
    own, following = (np.ascontiguousarray(as_words(slot, x.ring)).reshape(-1) for slot in (x.own, x.next))
    return own, following


class Answers(NamedTuple):
    """The slots of one row for each threshold, by role: (b_0, b_1), (b_1, b_2), (b_2, b_0).

    Before the comparison is over, b_2 is empty.
    """

    own: Rows
    next: Rows


def answer_masks(seat: Seat, thresholds: int, elements: int) -> Answers:
    """The slots b_0 and b_1 that the answers will have: known before the comparison begins."""
    shape = (thresholds, packed_bytes(elements, 1))
    nothing = np.empty((0, 0), np.uint8)
    if seat.role == 0:
        first = draw_rows(seat, 2, shape)
        return Answers(first, draw_rows(seat, 1, shape))
    if seat.role == 1:
        return Answers(draw_rows(seat, 0, shape), nothing)
    return Answers(nothing, draw_rows(seat, 0, shape))


def draw_rows(seat: Seat, role: int, shape: tuple[int, ...]) -> Rows:
    """Masks shared with the party that plays `role`."""
    return seat.draw(role, int(np.prod(shape))).reshape(shape)


def compare(
    seat: Seat,
    ring: int,
    own: Words,
    following: Words,
    thresholds: Sequence[int],
    tree: Tree,
    masks: Answers,
) -> Step[Answers]:
    """The comparison of one part, by its role; every party takes the same number of rounds."""
    count, row = len(thresholds), packed_bytes(len(own), 1)
    query, opened, dealt = (tree.query, row), (tree.opened, count, row), (tree.dealt, count, row)
    if seat.role == 0:
        words, hidden = draw_rows(seat, 2, query), draw_rows(seat, 2, opened)
        hidden ^= draw_rows(seat, 1, opened)
        corrections = draw_rows(seat, 2, dealt)
        top = np.empty(row, np.uint8)
        _native.less_query(own + following, ring, np.array(tree.sizes, np.uint8), words, top)
        _deal(tree, hidden, top, corrections)
        yield seat.round({1: np.concatenate([words.reshape(-1), corrections.reshape(-1)])})
        for _ in range(tree.rounds - 1):
            yield seat.round()
        return masks
    first = seat.role == 1
    if first:
        hidden = draw_rows(seat, 0, opened)
        size = (tree.query + tree.dealt * count) * row
        received = seat.of((yield seat.round(expect={0: size})), 0)
        words = received[: tree.query * row].reshape(query)
        corrections = received[tree.query * row :].reshape(dealt)
    else:
        words, hidden = draw_rows(seat, 0, query), draw_rows(seat, 0, opened)
        corrections = draw_rows(seat, 0, dealt)
        yield seat.round()
    answer = yield from _join_digits(
        seat, ring, following if first else own, thresholds, tree, words, hidden, corrections
    )
    answer ^= masks.own if first else masks.next
    last = yield from swap(seat, answer)
    return Answers(masks.own, last) if first else Answers(last, masks.next)


def _join_digits(
    seat: Seat,
    ring: int,
    x2: Words,
    thresholds: Sequence[int],
    tree: Tree,
    words: Rows,
    masks: Rows,
    dealt: Rows,
) -> Step[Rows]:
    """P1 and P2: a share of each answer."""
    first, digits = seat.role == 1, len(tree.sizes)
    sizes = np.array(tree.sizes, np.uint8)
    bits = np.empty((len(thresholds), tree.rows, words.shape[-1]), np.uint8)
    for threshold, rows in zip(thresholds, bits, strict=True):
        _native.less_pick(x2, ring, sizes, threshold % (1 << 64), words, first, rows)
    greater = [bits[:, i] for i in range(digits)]
    # Nobody asks whether the lowest digits are equal.
    equal = [bits[:, 0], *(bits[:, digits - 1 + i] for i in range(1, digits))]
    masks_used = dealt_used = 0
    for level in tree.levels:
        runs = [0]
        for join in level:
            runs.append(runs[-1] + join.runs)
        asked = [
            (kind, start + run) for join, start in zip(level, runs, strict=False) for kind, run in join.opened
        ]
        mask = masks[masks_used : masks_used + len(asked)]
        masks_used += len(asked)
        mine = np.empty_like(mask)
        for i, (kind, run) in enumerate(asked):
            np.bitwise_xor((greater if kind == "G" else equal)[run], mask[i], out=mine[i])
        if asked:
            mine = yield from swap(seat, mine)
        opened_used = 0
        above_greater, above_equal = [], []
        for join, start in zip(level, runs, strict=False):
            count = len(join.opened)
            known = dict(zip(join.opened, mine[opened_used : opened_used + count], strict=True))
            hidden = dict(zip(join.opened, mask[opened_used : opened_used + count], strict=True))
            shares = dealt[dealt_used : dealt_used + len(join.dealt)]
            opened_used += count
            dealt_used += len(join.dealt)
            above = greater[start + join.runs - 1]
            if join.greater:
                above = above ^ evaluate(join.greater, known, hidden, shares, first)
            above_greater.append(above)
            above_equal.append(
                evaluate(join.equals, known, hidden, shares, first) if join.equals else equal[start]
            )
        greater, equal = above_greater, above_equal
    return greater[0]


def swap(seat: Seat, mine: Rows) -> Step[Rows]:
    """P1 and P2 open to each other what they share: the sum of both parts."""
    other = 3 - seat.role
    received = yield seat.round({other: mine.reshape(-1)}, {other: mine.size})
    return mine ^ seat.of(received, other).reshape(mine.shape)


def evaluate(
    terms: Sequence[Term], known: Mapping[Bit, Rows], hidden: Mapping[Bit, Rows], dealt: Rows, first: bool
) -> Rows:
    """A share of a polynomial in bits: `known` are masked, `hidden` the shares of their masks."""
    total: Rows | None = None
    products: dict[tuple[Bit, ...], Rows] = {}
    for term in terms:
        bits = term.bits
        if bits:
            last = known[bits[-1]]
            products[bits] = products[bits[:-1]] & last if len(bits) > 1 else last
        share = None if term.dealt is None else dealt[term.dealt]
        for bit in term.masks:
            share = hidden[bit] if share is None else share ^ hidden[bit]
        if term.one and first:
            added = products[bits]
        elif share is None:
            continue
        else:
            added = products[bits] & share if bits else share
        if total is None:
            total = added.copy()
        else:
            total ^= added
    assert total is not None
    return total


def _deal(tree: Tree, masks: Rows, top: Rows, dealt: Rows) -> None:
    """P0: what the masks make of the polynomials that P1 and P2 cannot evaluate, added to `dealt`."""
    at = place = 0
    for level in tree.levels:
        for join in level:
            hidden = dict(zip(join.opened, masks[at : at + len(join.opened)], strict=True))
            at += len(join.opened)
            for polynomial in join.dealt:
                add_polynomial(dealt[place], polynomial, hidden)
                place += 1
    # The answer's part that P0 alone has goes with the last join's constant term, which comes first.
    (last,) = tree.levels[-1]
    dealt[tree.dealt - len(last.dealt)] ^= top


def add_polynomial(total: Rows, polynomial: Polynomial, bits: Mapping[Bit, Rows]) -> None:
    """Add what a polynomial makes of bits to `total`."""
    for term in polynomial:
        factors = [bits[bit] for bit in term]
        product = factors[0]
        for factor in factors[1:]:
            product = product & factor
        total ^= product
