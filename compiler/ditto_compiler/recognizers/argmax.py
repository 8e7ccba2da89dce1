"""Argmax and argmin along an axis, as JAX gives them: a reduction of (value, index) pairs.

JAX's reducer also compares values with themselves, which finds NaN, and the indices of equal values, so that
the first of them wins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ditto_compiler.ir import ir, ops_of
from ditto_compiler.matcher import Match, Pattern, Var, View, either, op
from ditto_compiler.op_attributes import direction_of, get_i64, get_i64s
from ditto_compiler.recognizers.base import Found
from ditto_compiler.structure import constant


def _compare(direction: str, left: Pattern, right: Pattern) -> Pattern:
    def is_that(found: ir.Operation) -> bool:
        return direction_of(found) == direction

    return op("compare", left, right, where=is_that)


_VALUES = (Var("left"), Var("right"))
_INDICES = (Var("left index"), Var("right index"))


def _reducer(direction: str) -> tuple[Pattern, Pattern]:
    """What the reducer returns: the better value, and its index."""
    better = _compare(direction, *_VALUES)
    wins = either(op("or", better, _compare("NE", _VALUES[0], _VALUES[0])), better)
    first = op("and", _compare("EQ", *_VALUES), _compare("LT", *_INDICES))
    return op("select", wins, *_VALUES), op("select", either(op("or", wins, first), wins), *_INDICES)


@dataclass(frozen=True)
class ArgmaxRecognizer:
    """Finds `argmax` or `argmin` of the input `x` along the one axis in `axes`."""

    function: str
    direction: str
    """Which comparison makes the left value win."""
    worst: float
    """Where the reduction starts."""

    def find(self, root: ir.Operation) -> Found | None:
        """The argmax that `root` computes, or None."""
        if not self.fits(root, self.worst):
            return None
        match = Match({"x": View.of(root.operands[0])}, axes=tuple(get_i64s(root, "dimensions")))
        return Found(self.function, root, match, frozenset({root}))

    def fits(self, root: ir.Operation, worst: float) -> bool:
        """Whether `root` computes it, starting from the worst number of the type."""
        if root.name != "stablehlo.reduce" or len(root.results) != 2:
            return False
        axes = tuple(get_i64s(root, "dimensions"))
        starts = [constant(operand) for operand in list(root.operands)[2:]]
        if len(axes) != 1 or starts != [float(worst), 0.0] or not _counts(root.operands[1], axes[0]):
            return False
        return self._chooses(root.regions[0].blocks[0])

    def _chooses(self, block: ir.Block) -> bool:
        returned = [View.of(value) for value in ops_of(block)[-1].operands]
        arguments = [View.of(argument) for argument in block.arguments]
        names = ("left", "left index", "right", "right index")
        pairs = zip(returned, _reducer(self.direction), strict=True)
        return any(
            all(match.views[name] == argument for name, argument in zip(names, arguments, strict=True))
            for match in _match_all(list(pairs), Match())
        )


def _match_all(pairs: list[tuple[View, Pattern]], found: Match) -> Iterator[Match]:
    if not pairs:
        yield found
        return
    (view, pattern), *rest = pairs
    for bound in pattern.match(view, found):
        yield from _match_all(rest, bound)


def _counts(indices: ir.Value, axis: int) -> bool:
    """Whether each element of `indices` is its own position along `axis`."""
    view = View.of(indices)
    iota = view.op
    if iota is None or iota.name != "stablehlo.iota":
        return False
    along = get_i64(iota, "iota_dimension")
    return view.dims[axis] == along or view.shape[axis] == 1


ARGMAX = ArgmaxRecognizer("argmax", "GT", -math.inf)
ARGMIN = ArgmaxRecognizer("argmin", "LT", math.inf)
