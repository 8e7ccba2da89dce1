"""What selections by comparisons are: maxima, minima and clips, whose results differ less than their parts.

`ditto-expand-comparisons` writes them as `ditto.less` and a selection. An error may turn the comparison, but
only of numbers that are about equal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ditto.simulator.interpreter import value_encoding
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Cast, Fxp
from ditto_compiler.intervals import Interval
from ditto_compiler.ir import defining_op, ir
from ditto_compiler.spu.literals import held
from ditto_compiler.structure import constant_through_layout, splat_of, through_repeating

EVERYTHING: Interval = (-math.inf, math.inf)

DEPTH = 4
"""Selections in selections that are looked at."""


def ends(value: ir.Value, depth: int = DEPTH) -> Interval:
    """Between which numbers the parties have a value, however far off, as it is clipped to constants."""
    value = _exact_origin(value)
    constant, encoding = constant_through_layout(value), value_encoding(value)
    if constant is not None:
        splat = splat_of(constant)
        if splat is None or not isinstance(encoding, Fxp) or math.isinf(splat):
            return EVERYTHING
        number = math.ldexp(held(float(splat), encoding), -encoding.frac)
        return number, number
    op = defining_op(through_repeating(value))
    if op is None or op.name != "stablehlo.select" or not depth:
        return EVERYTHING
    compared, branches = _comparison(op.operands[0]), []
    for index, branch in enumerate(list(op.operands)[1:]):
        low, high = ends(branch, depth - 1)
        if compared is not None and _exact_origin(branch) == compared.value:
            low, high = (low, min(high, compared.below)) if index == 0 else (max(low, compared.least), high)
        branches.append((low, high))
    return min(low for low, _ in branches), max(high for _, high in branches)


def extremum_rounding(op: ir.Operation) -> float | None:
    """Of a selection that is a maximum or minimum: by how much casts round what is compared or selected.

    Such a result is off by no more than that and the larger error of the two. None if it is neither.
    """
    compared = _comparison(op.operands[0])
    if compared is None:
        return None
    branches = list(op.operands)[1:]
    difference = defining_op(compared.value)
    if difference is not None and difference.name == "stablehlo.subtract" and compared.least == 0.0:
        of, numbers = (
            [_origin(value) for value in values] for values in (list(difference.operands), branches)
        )
        origins = [value for value, _ in of]
        selected = [value for value, _ in numbers]
        if origins in (selected, selected[::-1]):
            return sum(rounding for _, rounding in (*of, *numbers))
    for index in (0, 1):
        low, high = ends(branches[1 - index], 0)
        if low == high and _exact_origin(branches[index]) == compared.value:
            # A clip, if it is to where the threshold is.
            return abs(low - compared.least)
    return None


class _Comparison(NamedTuple):
    """A number that is compared with a threshold.

    Attributes:
        value: as it was before any cast that is exact.
        below: the largest number that is below the threshold.
        least: the least that is not.
    """

    value: ir.Value
    below: float
    least: float


def _comparison(predicate: ir.Value) -> _Comparison | None:
    """What makes a boolean, seen through layout ops, if that is one comparison."""
    predicate = through_repeating(predicate)
    op = defining_op(predicate)
    if op is None or op.name != names.LESS:
        return None
    threshold = list(ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS]))[list(op.results).index(predicate)]
    frac = value_encoding(op.operands[0]).frac
    below, least = (math.ldexp(number, -frac) for number in (threshold - 1, threshold))
    return _Comparison(_exact_origin(op.operands[0]), below, least)


CAST_ULPS = 2.0
"""A cast that drops bits: 3/2 ulp by the protocol, 1/2 by rounding to nearest here."""


def _exact_origin(value: ir.Value) -> ir.Value:
    """What a value was before casts that round nothing."""
    while (op := _cast(value)) is not None and not _shift_right(op):
        value = op.operands[0]
    return value


def _origin(value: ir.Value) -> tuple[ir.Value, float]:
    """What a value was before any casts, and by how much they may have rounded it."""
    rounding = 0.0
    while (op := _cast(value)) is not None:
        if _shift_right(op):
            rounding += math.ldexp(CAST_ULPS, -value_encoding(value).frac)
        value = op.operands[0]
    return value, rounding


def _cast(value: ir.Value) -> ir.Operation | None:
    op = defining_op(value)
    return op if op is not None and op.name in names.CASTS else None


def _shift_right(op: ir.Operation) -> int:
    return Cast(value_encoding(op.operands[0]), value_encoding(op.results[0])).shift_right
