"""The pass `ditto-expand-reductions`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import building, folds
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.dtypes import INT_TYPES, integer_limits
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import (
    attributes_of,
    clone_op,
    element_type,
    encoding_of,
    insert_op,
    ir,
    nested_ops,
    numel,
    ops_of,
)
from ditto_compiler.op_attributes import comparison_attributes, get_i64s, shape_of
from ditto_compiler.ops.scales import is_product
from ditto_compiler.pass_base import Pass
from ditto_compiler.recognizers.argmax import ARGMAX, ARGMIN
from ditto_compiler.structure import constant, is_float, reducer


@dataclass(frozen=True)
class DittoExpandReductions(Pass):
    """Write reductions so that the engine computes them as StableHLO has them.

    - The engine leaves the initial value out unless dimension 0 is reduced. So a reduction by one op starts
      from what changes nothing, and another initial value is combined with the result.
    - One of booleans by arithmetic is one by `or` or `and`.
    - One of no element is the initial value, and one without results a constant without elements.
    - One by several ops is written as rounds of them on neighbours, with the initial value at last, unless it
      starts from infinity, as JAX's search for the index of a float does, or truncates products. That for
      the index of an integer, and a form's, keeps the left one of neighbours, by one comparison, unless the
      other is better: the first of equals, as in JAX.
    - A secret fixed-point one by `maximum` or `minimum` is written as rounds of a tournament: each round
      compares one half of what is left with the other: ceil(log2(n)) rounds, as in the engine. It
      goes along the first axis, where halves are contiguous, which takes the engine a fifth less time; and
      each round is a `maximum` or `minimum`, which ditto-expand-comparisons knows.

    Requires: casts inserted. Keeps: c2, c3.

    Before:

        %0 = stablehlo.reduce(%x init: %least) applies stablehlo.maximum across dimensions = [1]
          : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>

    After (encodings left out in both; they stay):

        %0 = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x4xf32>) -> tensor<4x2xf32>
        %1 = stablehlo.slice %0 [0:2, 0:2] : (tensor<4x2xf32>) -> tensor<2x2xf32>
        %2 = stablehlo.slice %0 [2:4, 0:2] : (tensor<4x2xf32>) -> tensor<2x2xf32>
        %3 = stablehlo.maximum %1, %2 : tensor<2x2xf32>
        %4 = stablehlo.slice %3 [0:1, 0:2] : (tensor<2x2xf32>) -> tensor<1x2xf32>
        %5 = stablehlo.slice %3 [1:2, 0:2] : (tensor<2x2xf32>) -> tensor<1x2xf32>
        %6 = stablehlo.maximum %4, %5 : tensor<1x2xf32>
        %7 = stablehlo.reshape %6 : (tensor<1x2xf32>) -> tensor<2xf32>

    Errors: a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-expand-reductions"

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        visibility = VisibilityAnalysis(module)
        reductions = [op for op in nested_ops(entry.operation) if op.name in _REDUCTIONS]
        secret = [visibility.is_secret(op.operands[0]) for op in reductions]
        replaced = []
        for op, is_secret in zip(reductions, secret, strict=True):
            results = _expanded(op, is_secret)
            if results is not None:
                for old, new in zip(op.results, results, strict=True):
                    old.replace_all_uses_with(new)
                replaced.append(op)
        for op in replaced:
            op.erase()


_REDUCTIONS = ("stablehlo.reduce", "stablehlo.reduce_window")


def _expanded(op: ir.Operation, is_secret: bool) -> list[ir.Value] | None:
    """What to put in the place of a reduction's results; None to leave it as it is."""
    starts = list(op.operands)[len(op.results) :]
    if not numel(op.results[0]):
        return [building.splat(0, result.type, before=op) for result in op.results]
    if op.name == "stablehlo.reduce" and not numel(op.operands[0]):
        return [building.spread(v, r.type, before=op) for v, r in zip(starts, op.results, strict=True)]
    if reducer(op) is None or len(op.results) > 1:
        return _by_several_ops(op, starts)
    (x, start), name = op.operands, str(reducer(op))
    if element_type(x) == "i1":
        name = folds.BOOLEAN_NAMES.get(name, name)
    plain = folds.starts_from_identity(op, name)
    is_fxp = isinstance(encoding_of(x), Fxp)
    if op.name == "stablehlo.reduce" and name in ("maximum", "minimum") and is_fxp and is_secret:
        (row,) = folds.tournament(folds.rows_of(op), folds.by(name, op), op, in_order=False)
        result = building.reshaped(row, shape_of(op.results[0]), before=op)
    elif not plain or name != reducer(op):
        identity = building.splat(folds.identity(name, element_type(x)), start.type, before=op)
        result = _reduction(op, op.name, [x, identity], op.results[0].type, attributes_of(op), name)
    else:
        return None
    return [result if plain else _combined(name, result, op)]


def _reduction(
    before: ir.Operation,
    kind: str,
    operands: Sequence[ir.Value],
    type_: ir.Type,
    attributes: dict[str, ir.Attribute],
    name: str,
) -> ir.Value:
    """A reduction by one op."""
    loc = before.location
    made = ir.Operation.create(
        kind, [type_], operands, attributes, regions=1, loc=loc, ip=ir.InsertionPoint(before)
    )
    scalar = operands[1].type
    block = made.regions[0].blocks.append(scalar, scalar, arg_locs=[loc, loc])
    ip = ir.InsertionPoint(block)
    inner = ir.Operation.create(f"stablehlo.{name}", [scalar], list(block.arguments), loc=loc, ip=ip)
    ir.Operation.create("stablehlo.return", operands=[inner.results[0]], loc=loc, ip=ip)
    return made.results[0]


def _combined(name: str, result: ir.Value, op: ir.Operation) -> ir.Value:
    """The result of a reduction that started from its identity, with the initial value of `op`."""
    start = building.spread(op.operands[1], result.type, before=op)
    if name != "multiply" or not isinstance(encoding_of(result), Fxp):
        return insert_op(name, result.type, result, start, before=op)
    # Inside of reductions the engine truncates products, whatever is done with others.
    pair = building.joined(
        [building.reshaped(value, [1, *shape_of(result)], before=op) for value in (result, start)], before=op
    )
    one = building.splat(1, op.operands[1].type, before=op)
    along = {"dimensions": ir.DenseI64ArrayAttr.get([0])}
    return _reduction(op, "stablehlo.reduce", [pair, one], result.type, along, name)


def _by_several_ops(op: ir.Operation, starts: list[ir.Value]) -> list[ir.Value] | None:
    """A reduction of several tensors, or by several ops, as rounds of them."""
    block = op.regions[0].blocks[0]
    combine = folds.lifted(block, op)
    direction = _index_of(op)
    if direction is not None:
        combine, starts = _first_of(direction, op), []
    elif _starts_from_infinity(op):
        if [inner.name for inner in ops_of(block)[:-1]] != _BETTER_PAIR:
            return None
        starts = []
    elif _multiplies(block) or not folds.is_elementwise(block):
        return _over_rows(op)
    rows = folds.rows_of(op) if op.name == "stablehlo.reduce" else folds.windows(op)
    rows = folds.tournament(rows, combine, op, in_order=True)
    found = [
        building.reshaped(row, shape_of(result), before=op)
        for row, result in zip(rows, op.results, strict=True)
    ]
    if not starts:
        return found
    return combine([building.spread(v, x.type, before=op) for v, x in zip(starts, found, strict=True)], found)


_BETTER_PAIR = ["stablehlo.compare", "stablehlo.select", "stablehlo.select"]
"""What a form of argmax does: of equals, the left one wins, so it must be the first."""


def _over_rows(op: ir.Operation) -> list[ir.Value] | None:
    """The same along dimension 0, with which the engine takes the initial value in."""
    if op.name != "stablehlo.reduce" or 0 in get_i64s(op, "dimensions"):
        return None
    mapping = dict(zip(op.operands, folds.rows_of(op), strict=False))
    clone = clone_op(op, mapping, ir.InsertionPoint(op))
    clone.attributes["dimensions"] = ir.DenseI64ArrayAttr.get([0])
    for result in clone.results:
        result.set_type(building.typed(result, [numel(result)]))
    return [
        building.reshaped(new, shape_of(old), before=op)
        for new, old in zip(clone.results, op.results, strict=True)
    ]


def _index_of(op: ir.Operation) -> str | None:
    """GT or LT if `op` finds the first of the largest or least integers along an axis, and its index."""
    dtype = element_type(op.operands[0])
    if dtype not in INT_TYPES:
        return None
    least, most = integer_limits(dtype)
    for recognizer, worst in ((ARGMAX, least), (ARGMIN, most)):
        if recognizer.fits(op, worst):
            return recognizer.direction
    return None


def _first_of(direction: str, op: ir.Operation) -> folds.Combine:
    """Of neighbours, the left one unless the right one is better: one comparison, and indices need none."""
    kept = comparison_attributes(_AS_GOOD[direction])

    def combine(left: folds.Values, right: folds.Values) -> folds.Values:
        type_ = building.booleans(left[0])
        wins = insert_op("compare", type_, left[0], right[0], before=op, **kept)
        return [
            insert_op("select", mine.type, wins, mine, other, before=op)
            for mine, other in zip(left, right, strict=True)
        ]

    return combine


_AS_GOOD = {"GT": "GE", "LT": "LE"}


def _starts_from_infinity(op: ir.Operation) -> bool:
    """Whether a reduction starts where JAX starts to look for an index: no element is worse."""
    if op.name != "stablehlo.reduce" or not is_float(op.operands[0]):
        return False
    start = constant(op.operands[len(op.results)])
    return start is not None and math.isinf(start)


def _multiplies(block: ir.Block) -> bool:
    """Whether a reducer has products of fixed-point numbers, which the engine truncates inside of it."""
    return any(is_product(op) and isinstance(encoding_of(op.results[0]), Fxp) for op in ops_of(block))
