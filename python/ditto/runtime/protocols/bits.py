"""Shared bits: joined with each other, made into numbers, multiplied with numbers.

Proofs: docs/explanation/protocols.md.
A bit is b = b_0 ^ b_1 ^ b_2. P0 knows beta = b_0 ^ b_1, P1 and P2 both know gamma = b_2; as a number, b is
gamma + (1 - 2 gamma) beta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ditto import _native
from ditto.runtime.protocols import local
from ditto.runtime.protocols.less import (
    Rows,
    add_polynomial,
    answer_masks,
    compare,
    draw_rows,
    evaluate,
    flat_slots,
    swap,
)
from ditto.runtime.protocols.rounds import Message, Party, Seat, Step, together
from ditto.runtime.protocols.shared import Bits, Shared, Words, as_words, word_of
from ditto_compiler.protocols.comparison_tree import comparison_tree, conjoin, product_levels
from ditto_compiler.protocols.costs import packed_bytes

Booleans = NDArray[np.uint8]
"""Public bits, a byte of 0 or 1 for each element."""

Slots = tuple[Words, Words]
"""Of one part: x_i and x_{i+1}, flat."""

Factor = Shared | int
"""A number, or the ring of a 1."""

S = TypeVar("S")
T = TypeVar("T")


def conjunction(party: Party, x: Bits, y: Bits) -> Step[Bits]:
    """x & y, in one round, three bits for each element."""
    if not x.size:
        return x
    seat, shape = party.seat(), x.shape
    row = packed_bytes(x.size, 1)
    x0, x1, y0, y1 = (_gathered(slot)[0] for slot in (x.own, x.next, y.own, y.next))
    product = (x0 & (y0 ^ y1)) ^ (x1 & y0)
    if party.ahead:
        own, following = yield from _dealt_product(seat, product)
        return Bits(_scattered(own, shape), _scattered(following, shape))
    # Each stream masks the products of its two parties, so all masks together cancel.
    product ^= seat.draw(seat.role + 1, row)
    product ^= seat.draw(seat.role - 1, row)
    before, after = (seat.role - 1) % 3, (seat.role + 1) % 3
    received = yield seat.round({before: product}, {after: row})
    return Bits(_scattered(product, shape), _scattered(seat.of(received, after), shape))


def _dealt_product(seat: Seat, product: Rows) -> Step[tuple[Rows, Rows]]:
    """The slots of the sum of all products, in two rounds: P0 has the first, and receives nothing."""
    row = product.size
    if seat.role == 0:
        hidden, first, second = seat.draw(2, row), seat.draw(2, row), seat.draw(1, row)
        yield seat.round({1: product ^ hidden})
        yield seat.round()
        return first, second
    if seat.role == 1:
        mask = seat.draw(0, row)
        product ^= seat.of((yield seat.round(expect={0: row})), 0)
    else:
        product ^= seat.draw(0, row)
        mask = seat.draw(0, row)
        yield seat.round()
    last = yield from swap(seat, product ^ mask)
    return (mask, last) if seat.role == 1 else (last, mask)


def disjunction(party: Party, x: Bits, y: Bits) -> Step[Bits]:
    """x | y, at the cost of `conjunction`."""
    neither = yield from conjunction(party, _negation(party, x), _negation(party, y))
    return _negation(party, neither)


def any_along(party: Party, x: Bits, axis: int) -> Step[Bits]:
    """Whether any bit along an axis is 1; the axis goes. Of an empty axis, 0.

    Bytes and rounds are those of `ditto_compiler.protocols.costs_bits.any_along_cost`: 6 bits are joined in
    two rounds, 36 in three, 216 in four.
    """
    none = _negation(party, x).each(lambda slot: np.moveaxis(slot, axis, 0))
    count, shape = none.shape[0], none.shape[1:]
    if not count:
        return Bits(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    if count <= 2:
        neither = none.each(lambda slot: slot[0])
        if count == 2:
            neither = yield from conjunction(party, neither, none.each(lambda slot: slot[1]))
        return _negation(party, neither)
    size = math.prod(shape)
    own, following = none.own.reshape(count, size), none.next.reshape(count, size)
    seats = party.seats(size)
    answers = yield from together(
        [_all_part(seat, own[:, part], following[:, part], product_levels(count)) for seat, part in seats]
    )
    made = Bits(np.empty(size, np.uint8), np.empty(size, np.uint8))
    for (_, part), (mine, theirs) in zip(seats, answers, strict=True):
        _native.scatter_bits(mine, made.own[part])
        _native.scatter_bits(theirs, made.next[part])
    return _negation(party, made.each(lambda slot: slot.reshape(shape)))


def _all_part(
    seat: Seat, own: Booleans, following: Booleans, levels: Sequence[Sequence[int]]
) -> Step[tuple[Rows, Rows]]:
    """The products of columns of bits: gamma is masked by beta, of which P1 and P2 have shares."""
    count, elements = own.shape
    row = packed_bytes(elements, 1)
    sizes = [[len(conjoin(runs).dealt) for runs in groups] for groups in levels]
    if seat.role == 0:
        first, second = _gathered(own, count), _gathered(following, count)
        message = np.empty((sum(map(sum, sizes)), row), np.uint8)
        at = 0
        for groups in levels:
            hidden, start = first ^ second, 0
            for runs in groups:
                join = conjoin(runs)
                bits = {bit: hidden[start + bit[1]] for bit in join.opened}
                dealt = draw_rows(seat, 2, (len(join.dealt), row))
                for polynomial, total in zip(join.dealt, dealt, strict=True):
                    add_polynomial(total, polynomial, bits)
                message[at : at + len(dealt)] = dealt
                at, start = at + len(dealt), start + runs
            first = draw_rows(seat, 2, (len(groups), row))
            second = draw_rows(seat, 1, (len(groups), row))
        yield seat.round({1: message.reshape(-1)})
        for _ in levels:
            yield seat.round()
        return first[0], second[0]
    is_first = seat.role == 1
    if is_first:
        shape = sum(map(sum, sizes)), row
        message = seat.of((yield seat.round(expect={0: math.prod(shape)})), 0).reshape(shape)
    else:
        yield seat.round()
    known = _gathered(following if is_first else own, count)
    hidden = _gathered(own if is_first else following, count)
    at = 0
    for groups, dealt_sizes in zip(levels, sizes, strict=True):
        shares = np.empty((len(groups), row), np.uint8)
        start = 0
        for share, runs, size in zip(shares, groups, dealt_sizes, strict=True):
            join = conjoin(runs)
            dealt = message[at : at + size] if is_first else draw_rows(seat, 0, (size, row))
            share[:] = evaluate(
                join.equals,
                {bit: known[start + bit[1]] for bit in join.opened},
                {bit: hidden[start + bit[1]] for bit in join.opened},
                dealt,
                is_first,
            )
            at, start = at + size, start + runs
        hidden = draw_rows(seat, 0, shares.shape)
        shares ^= hidden
        known = yield from swap(seat, shares)
    return (hidden[0], known[0]) if is_first else (known[0], hidden[0])


def to_number(party: Party, b: Bits, ring: int) -> Step[Shared]:
    """A bit as a number of a ring: two rounds, three words."""
    (number,) = yield from _times(party, b, [None], [ring])
    return number


def times_public(party: Party, b: Bits, words: Words | int, ring: int) -> Step[Shared]:
    """A bit times a public number of a ring, of b's shape or a scalar: two rounds, three words."""
    number = yield from to_number(party, b, ring)
    public = as_words(np.asarray(words), ring)
    return number.each(lambda slot: np.multiply(slot, public, out=np.empty_like(slot)))


def times_bit(party: Party, b: Bits, x: Shared) -> Step[Shared]:
    """b x, both of the same shape: two rounds, four words."""
    (product,) = yield from _times(party, b, [x], [x.ring])
    return product


def times_bit_each(party: Party, b: Bits, xs: Sequence[Shared]) -> Step[list[Shared]]:
    """b x for each x: two rounds, three words of each ring, and one of the widest."""
    if not xs:
        return []
    products = yield from _times(party, b, xs, [x.ring for x in xs])
    return products


def select(party: Party, b: Bits, x: Shared, y: Shared) -> Step[Shared]:
    """x where b is 1, y where it is 0: two rounds, four words of the ring of both.

    Raises:
        ValueError: x and y are of different rings.
    """
    if x.ring != y.ring:
        raise ValueError(f"selection between a number in ring {x.ring} and one in ring {y.ring}")
    chosen = yield from times_bit(party, b, _added(x, y, np.subtract))
    return _added(chosen, y, np.add)


def _added(x: Shared, y: Shared, add: np.ufunc) -> Shared:
    # Into arrays, as sums of arrays without axes are scalars, which warn when they wrap.
    own = add(x.own, y.own, out=np.empty(x.shape, word_of(x.ring)))
    return Shared(x.ring, own, add(x.next, y.next, out=np.empty(x.shape, word_of(x.ring))))


def times_less(
    party: Party,
    x: Shared,
    thresholds: Sequence[int],
    factors: Sequence[Sequence[Factor]],
    rounds: int | None = None,
) -> Step[list[list[Shared]]]:
    """For each threshold c, [x < c] y for each of its factors y, which are of x's shape.

    As `less` and `times_bit_each`, but in one round more than `less`: what P0 deals for the products does not
    wait for the comparison. `rounds` are those of the comparison.

    Raises:
        ValueError: see `less`.
    """
    if not thresholds:
        return []
    tree = comparison_tree(x.ring, len(thresholds), rounds)
    slots = flat_slots(x)
    rings = [[y if isinstance(y, int) else y.ring for y in ys] for ys in factors]
    numbers = [[None if isinstance(y, int) else flat_slots(y) for y in ys] for ys in factors]

    def part_of(seat: Seat, part: slice) -> Step[list[list[Slots]]]:
        elements = part.stop - part.start
        xs = [[_cut(y, part) for y in ys] for ys in numbers]
        masks = answer_masks(seat, len(thresholds), elements)
        betas = [_scattered(row, (elements,)) for row in masks.own ^ masks.next] if seat.role == 0 else None
        deals = [
            deal(seat, betas[i] if betas else None, xs[i], rings[i], elements) for i in range(len(thresholds))
        ]
        compared = compare(seat, x.ring, slots[0][part], slots[1][part], thresholds, tree, masks)
        dealt, answers = yield from both(together(deals), compared)
        gammas = answers.next if seat.role == 1 else answers.own
        products = yield from together(
            [
                finish(seat, _scattered(gammas[i], (elements,)), xs[i], rings[i], dealt[i], elements)
                for i in range(len(thresholds))
            ]
        )
        return products

    results = yield from together([part_of(seat, part) for seat, part in party.seats(x.size)])
    return [
        [_whole(ring, [result[i][j] for result in results], x.shape) for j, ring in enumerate(of_one)]
        for i, of_one in enumerate(rings)
    ]


def both(first: Step[S], second: Step[T]) -> Step[tuple[S, T]]:
    """Two steps whose rounds share messages."""

    def one() -> Step[S | T]:
        return (yield from first)

    def other() -> Step[S | T]:
        return (yield from second)

    results = yield from together([one(), other()])
    return cast(S, results[0]), cast(T, results[1])


def _cut(x: Slots | None, part: slice) -> Slots | None:
    return None if x is None else (x[0][part], x[1][part])


def _whole(ring: int, parts: Sequence[Slots], shape: tuple[int, ...]) -> Shared:
    own, following = (np.concatenate([part[i] for part in parts]).reshape(shape) for i in (0, 1))
    return Shared(ring, own, following)


def _times(party: Party, b: Bits, xs: Sequence[Shared | None], rings: Sequence[int]) -> Step[list[Shared]]:
    """b x for each x, and b itself in the ring for None."""
    seats = party.seats(b.size)
    own, following = (np.ascontiguousarray(slot).reshape(-1) for slot in (b.own, b.next))
    numbers = [None if x is None else flat_slots(x) for x in xs]
    results = yield from together(
        [
            _times_part(seat, own[part], following[part], [_cut(x, part) for x in numbers], rings)
            for seat, part in seats
        ]
    )
    return [_whole(ring, [result[i] for result in results], b.shape) for i, ring in enumerate(rings)]


def _times_part(
    seat: Seat, own: Booleans, following: Booleans, xs: Sequence[Slots | None], rings: Sequence[int]
) -> Step[list[Slots]]:
    dealt = yield from deal(seat, own ^ following if seat.role == 0 else None, xs, rings, len(own))
    products = yield from finish(seat, following if seat.role == 1 else own, xs, rings, dealt, len(own))
    return products


def dealt_rings(xs: Sequence[object | None], rings: Sequence[int]) -> list[int]:
    """The rings of the words that are dealt: beta in the widest, and beta X for each x that is a number."""
    if not rings:
        return []
    return [max(rings), *(ring for x, ring in zip(xs, rings, strict=True) if x is not None)]


def deal(
    seat: Seat, beta: Booleans | None, xs: Sequence[Slots | None], rings: Sequence[int], elements: int
) -> Step[list[Words]]:
    """One round: P0 shares beta and beta X, X = x_0 + x_1, between P1 and P2, who get their parts."""
    widths = dealt_rings(xs, rings)
    if seat.role == 1:
        size = sum(packed_bytes(elements, ring) for ring in widths)
        received = seat.of((yield seat.round(expect={0: size})), 0)
        return unpacked(received, elements, widths)
    parts = [draw_words(seat, 2 - seat.role, elements, ring) for ring in widths]
    if seat.role == 2:
        yield seat.round()
        return parts
    assert beta is not None
    known = [None, *(x for x in xs if x is not None)]
    for x, ring, part in zip(known, widths, parts, strict=bool(widths)):
        x0, x1 = (part[:0], part[:0]) if x is None else x
        _native.bit_deal(beta, x0, x1, ring, part)
    yield seat.round({1: packed(parts, widths)})
    return []


def finish(
    seat: Seat,
    gamma: Booleans,
    xs: Sequence[Slots | None],
    rings: Sequence[int],
    dealt: Sequence[Words],
    elements: int,
) -> Step[list[Slots]]:
    """One round: P1 and P2, who know gamma, make the products of what was dealt, and share them with all."""
    masks = [
        [draw_words(seat, role, elements, ring) for role in (2, 1)]
        if seat.role == 0
        else [draw_words(seat, 0, elements, ring)]
        for ring in rings
    ]
    if seat.role == 0:
        yield seat.round()
        return [(first, second) for first, second in masks]
    products, mine = iter(dealt[1:]), []
    for x, ring, (mask,) in zip(xs, rings, masks, strict=True):
        part, nothing = mask.copy(), mask[:0]
        product, x2, known = nothing, nothing, nothing
        if x is not None:
            product, (known, x2) = next(products), (x if seat.role == 1 else x[::-1])
        beta = as_words(dealt[0], ring)
        _native.bit_share(gamma, beta, product, x2, known, ring, seat.role == 1, part)
        mine.append(part)
    other = 3 - seat.role
    message = packed(mine, rings)
    received = seat.of((yield seat.round({other: message}, {other: message.size})), other)
    results = []
    for part, theirs, (mask,) in zip(mine, unpacked(received, elements, rings), masks, strict=True):
        part += theirs
        results.append((mask, part) if seat.role == 1 else (part, mask))
    return results


def packed(values: Sequence[Words], rings: Sequence[int]) -> Message:
    """Elements of rings, each in as many bits as it has, as a message."""
    sizes = [packed_bytes(value.size, ring) for value, ring in zip(values, rings, strict=True)]
    message, at = np.empty(sum(sizes), np.uint8), 0
    for value, ring, size in zip(values, rings, sizes, strict=True):
        _native.pack(value, ring, message[at : at + size])
        at += size
    return message


def unpacked(message: Message, elements: int, rings: Sequence[int]) -> list[Words]:
    """What `packed` packed."""
    values, at = [], 0
    for ring in rings:
        size = packed_bytes(elements, ring)
        values.append(np.empty(elements, word_of(ring)))
        _native.unpack(message[at : at + size], ring, values[-1])
        at += size
    return values


def draw_words(seat: Seat, role: int, elements: int, ring: int) -> Words:
    """Masks that are elements of a ring; the bits above it are masks' as well."""
    word = word_of(ring)
    return seat.draw(role, elements * word.itemsize).view(word)


def _negation(party: Party, x: Bits) -> Bits:
    return cast(Bits, local.negation(x, party.rank))


def _gathered(bits: Booleans, rows: int = 1) -> Rows:
    out = np.empty((rows, packed_bytes(bits.size // rows, 1)), np.uint8)
    _native.gather_bits(np.ascontiguousarray(bits), rows, out)
    return out


def _scattered(row: Rows, shape: tuple[int, ...]) -> Booleans:
    bits = np.empty(shape, np.uint8)
    _native.scatter_bits(row, bits)
    return bits
