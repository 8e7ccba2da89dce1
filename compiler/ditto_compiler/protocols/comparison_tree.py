"""How a comparison is cut into digits, and how the digits' answers are joined: docs/explanation/protocols.md.

A *run* is one digit or several neighbours. Of a run, G tells whether the one number is greater there than the
other, P whether they are equal there. Joining runs 0 (the lowest) to a - 1 (the highest) into one,

    G = G_{a-1} ^ P_{a-1} G_{a-2} ^ ... ^ P_{a-1} ... P_1 G_0,    P = P_{a-1} ... P_0

are polynomials in bits that are masked with bits M = bit ^ L, M known to two parties and L to the third. With
D_T f the sum of what is left of the terms of f that contain the bits T, f(M ^ L) is the sum over all T of
M^T D_T f(L). Where D_T f is a sum of single bits, the shares of L are shares of it; where it has products,
the third party deals it.

Everything here is known to all: it depends on rings, shapes and numbers of thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product

Bit = tuple[str, int]
"""("G" or "P", run): a bit of one of the runs that are joined."""

Polynomial = frozenset[frozenset[Bit]]
"""A sum of products of bits."""

MAX_DIGIT = 6
"""Bits of the widest digit: its query has a bit for each value but one."""

MAX_JOIN = 5
"""Most runs joined at a time: what is dealt doubles with each."""

MAX_PRODUCT = 6
"""Most bits multiplied at a time, likewise."""


@dataclass(frozen=True)
class Term:
    """One T of a polynomial: M^T times what is left, of which a share is the sum of these.

    Attributes:
        bits: T.
        dealt: which of the dealt bits, or none.
        masks: bits whose masks are added.
        one: whether 1 is added.
    """

    bits: tuple[Bit, ...]
    dealt: int | None
    masks: tuple[Bit, ...]
    one: bool


@dataclass(frozen=True)
class Join:
    """Runs that become one.

    Attributes:
        runs: how many.
        opened: the bits that are masked for the two parties.
        dealt: the polynomials in masks that the third party deals.
        greater: G without the highest run's G, which is added unmasked; or nothing.
        equals: P, or nothing.
    """

    runs: int
    opened: tuple[Bit, ...]
    dealt: tuple[Polynomial, ...]
    greater: tuple[Term, ...]
    equals: tuple[Term, ...]


def _left(f: Polynomial, bits: frozenset[Bit]) -> Polynomial:
    """D_T f."""
    return frozenset(term - bits for term in f if bits <= term)


def _subsets(f: Polynomial) -> list[frozenset[Bit]]:
    """All T for which D_T f is not 0, small ones first."""
    found = {frozenset(s) for term in f for n in range(len(term) + 1) for s in combinations(term, n)}
    return sorted(found | {frozenset()}, key=lambda s: (len(s), sorted(s)))


@cache
def join(runs: int, equal: bool, last: bool) -> Join:
    """What joining so many runs takes.

    Args:
        runs: how many.
        equal: whether P of the result is needed: not for the lowest run, as nobody asks for it.
        last: whether nothing is left to join; then the constant term of G is dealt in any case.
    """
    upper = [frozenset(("P", i) for i in range(j + 1, runs)) for j in range(runs)]
    greater = frozenset(upper[j] | {("G", j)} for j in range(runs - 1))
    return _join(runs, greater, _all(runs) if equal and runs > 1 else frozenset(), last)


@cache
def conjoin(runs: int) -> Join:
    """What the product of so many bits takes: a join of which only P is asked."""
    return _join(runs, frozenset(), _all(runs), False)


def _all(runs: int) -> Polynomial:
    return frozenset({frozenset(("P", i) for i in range(runs))})


def _join(runs: int, greater: Polynomial, equals: Polynomial, last: bool) -> Join:
    dealt: list[Polynomial] = []

    def terms(f: Polynomial, constant: bool) -> tuple[Term, ...]:
        made = []
        for bits in _subsets(f):
            left = _left(f, bits)
            is_dealt = any(len(term) > 1 for term in left) or (constant and not bits)
            if is_dealt and left not in dealt:
                dealt.append(left)
            masks = () if is_dealt else tuple(sorted(bit for term in left for bit in term))
            made.append(
                Term(
                    tuple(sorted(bits)),
                    dealt.index(left) if is_dealt else None,
                    masks,
                    not is_dealt and frozenset() in left,
                )
            )
        return tuple(made)

    of_greater = terms(greater, last) if greater or last else ()
    of_equals = terms(equals, False) if equals else ()
    opened = {bit for f in (greater, equals) for term in f for bit in term}
    return Join(runs, tuple(sorted(opened)), tuple(dealt), of_greater, of_equals)


@dataclass(frozen=True)
class Tree:
    """A comparison's digits, and the levels of joins above them.

    Attributes:
        sizes: bits of each digit, the lowest first; together the ring's, without its top bit.
        levels: for each level the joins, the lowest first.
    """

    sizes: tuple[int, ...]
    levels: tuple[tuple[Join, ...], ...]

    @property
    def query(self) -> int:
        """Bits of the words of all digits."""
        return sum((1 << size) - 1 for size in self.sizes)

    @property
    def rows(self) -> int:
        """Bits that stand for one answer at first: G of each digit, P of each but the lowest."""
        return 2 * len(self.sizes) - 1

    @property
    def opened(self) -> int:
        """Bits that two parties open to each other, for one threshold."""
        return sum(len(j.opened) for level in self.levels for j in level)

    @property
    def dealt(self) -> int:
        """Bits that the third party deals, for one threshold."""
        return sum(len(j.dealt) for level in self.levels for j in level)

    @property
    def rounds(self) -> int:
        """Of the whole comparison."""
        return 1 + sum(any(j.opened for j in level) for level in self.levels) + 1

    def bits(self, thresholds: int) -> int:
        """Bits of all messages, for each element."""
        return self.first(thresholds) + thresholds * 2 * (self.opened + 1)

    def first(self, thresholds: int) -> int:
        """Those of the first, the third party's."""
        return self.query + thresholds * self.dealt


def _spread(total: int, parts: int) -> tuple[int, ...]:
    """A number as a sum of almost equal ones, the largest first."""
    return tuple(total // parts + (i < total % parts) for i in range(parts))


def _levels(digits: int, joins: tuple[int, ...]) -> tuple[tuple[Join, ...], ...] | None:
    """Levels that join at most so many runs each; nothing if they do not end in one run."""
    levels = []
    for at_most in joins:
        groups = _spread(digits, -(-digits // at_most))
        digits = len(groups)
        levels.append(tuple(join(runs, i > 0, digits == 1) for i, runs in enumerate(groups)))
    return tuple(levels) if digits == 1 else None


def _trees(bits: int, levels: int) -> Iterator[Tree]:
    if bits <= MAX_DIGIT:
        yield Tree((bits,), ((join(1, False, True),),))
    for count in range(1, levels + 1):
        for joins in product(range(2, MAX_JOIN + 1), repeat=count):
            most = 1
            for runs in joins:
                most *= runs
            for digits in range(max(2, -(-bits // MAX_DIGIT)), min(bits, most) + 1):
                made = _levels(digits, joins)
                # One run is left before the last level: fewer levels do the same.
                if made and sum(len(level) == 1 for level in made) == 1:
                    yield Tree(_spread(bits, digits), made)


def product_bits(groups: Sequence[int]) -> int:
    """Bits of all messages of one level of products, for each element: what is dealt, and a bit each way."""
    return dealt_bits(groups) + 2 * len(groups)


def dealt_bits(groups: Sequence[int]) -> int:
    """Those that are dealt."""
    return sum(len(conjoin(runs).dealt) for runs in groups)


def product_levels(count: int) -> tuple[tuple[int, ...], ...]:
    """Levels of products that end in one bit: as few as can be, and then with the fewest bytes.

    Of each level, how many bits are multiplied in each of its groups.
    """
    depth = 0
    while MAX_PRODUCT**depth < count:
        depth += 1
    return _product_levels(count, depth)


@cache
def _product_levels(count: int, depth: int) -> tuple[tuple[int, ...], ...]:
    if count == 1:
        return ()
    ways = []
    for at_most in range(2, MAX_PRODUCT + 1):
        groups = _spread(count, -(-count // at_most))
        if len(groups) <= MAX_PRODUCT ** (depth - 1):
            ways.append((groups, *_product_levels(len(groups), depth - 1)))
    return min(ways, key=lambda levels: sum(map(product_bits, levels)))


def default_rounds(ring: int) -> int:
    """Two for a single digit, three up to 16 bits, else four."""
    return 2 if ring <= 4 else 3 if ring <= 16 else 4


@cache
def comparison_tree(ring: int, thresholds: int = 1, rounds: int | None = None) -> Tree:
    """The tree with the fewest bytes.

    Args:
        ring: width in bits, 2 to 64.
        thresholds: how many are compared with.
        rounds: not more than these; `default_rounds` if not given.

    Raises:
        ValueError: no ring of that width, or too few rounds for it.
    """
    if not 2 <= ring <= 64:
        raise ValueError(f"no comparison in a ring of {ring} bits: 2 to 64 are supported")
    limit = default_rounds(ring) if rounds is None else rounds
    trees = [tree for tree in _trees(ring - 1, min(limit, 5) - 2) if tree.rounds <= limit]
    if not trees:
        raise ValueError(f"a comparison in a ring of {ring} bits takes more than {limit} rounds")
    return min(trees, key=lambda tree: (tree.bits(thresholds), tree.rounds, len(tree.sizes)))
