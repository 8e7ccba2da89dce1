"""Reductions written as rounds of element-wise ops.

The engine applies a reducer to whole tensors, in which no constant can stand, and leaves the initial value
out unless dimension 0 is reduced. Written out, a reduction has neither limit, and its ops are like any other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from ditto_compiler.building import joined, reshaped, sliced, spread, typed
from ditto_compiler.dtypes import FLOAT_TYPES, integer_limits, is_unsigned
from ditto_compiler.ir import attributes_of, element_type, insert_op, ir, numel, ops_of
from ditto_compiler.op_attributes import get_i64s, get_padding, shape_of
from ditto_compiler.structure import constant_through_layout, splat_of

Values = list[ir.Value]
Combine = Callable[[Values, Values], Values]
"""Combines the elements of some tensors with those of as many others."""

IDEMPOTENT = frozenset(("maximum", "minimum", "and", "or"))
"""Reducers for which an element that counts twice counts once."""

ASSOCIATIVE = IDEMPOTENT | {"add", "multiply", "xor"}

BOOLEAN_NAMES = {"add": "or", "maximum": "or", "multiply": "and", "minimum": "and"}
"""What arithmetic on booleans is, as StableHLO has it."""


def identity(name: str, dtype: str) -> float:
    """What a reduction by one op may start from without changing its result."""
    if name in ("maximum", "minimum"):
        if dtype in FLOAT_TYPES:
            return -math.inf if name == "maximum" else math.inf
        return integer_limits(dtype)[name == "minimum"]
    if name == "and":
        return integer_limits(dtype)[1] if is_unsigned(dtype) else -1
    return 1 if name == "multiply" else 0


def starts_from_identity(op: ir.Operation, name: str) -> bool:
    """Whether a reduction of one tensor by one op starts from a constant that changes nothing."""
    found = constant_through_layout(op.operands[1])
    number = None if found is None else splat_of(found)
    if number is None:
        return False
    dtype = element_type(op.operands[1])
    return bool((float if dtype in FLOAT_TYPES else int)(number) == identity(name, dtype))


def is_elementwise(block: ir.Block) -> bool:
    """Whether a reducer can be applied to tensors element by element."""
    return all(
        not len(op.regions)
        and op.name not in ("stablehlo.iota", "stablehlo.rng")
        and all(not shape_of(value) for value in (*op.operands, *op.results))
        for op in ops_of(block)[:-1]
    )


def lifted(block: ir.Block, before: ir.Operation) -> Combine:
    """A reducer as a function of tensors, written before an op."""

    def combine(left: Values, right: Values) -> Values:
        shape = shape_of(left[0])
        mapping = dict(zip(block.arguments, [*left, *right], strict=True))
        *ops, returned = ops_of(block)

        def at_shape(value: ir.Value) -> ir.Value:
            return mapping[value] if value in mapping else spread(value, typed(value, shape), before=before)

        for op in ops:
            types = [typed(result, shape) for result in op.results]
            attributes = attributes_of(op)
            if op.name == "stablehlo.constant":
                (type_,) = types
                number = ir.DenseElementsAttr(attributes["value"]).get_splat_value()
                attributes["value"] = ir.DenseElementsAttr.get_splat(type_, number)
            clone = ir.Operation.create(
                op.name,
                results=types,
                operands=[at_shape(operand) for operand in op.operands],
                attributes=attributes,
                loc=before.location,
                ip=ir.InsertionPoint(before),
            )
            mapping.update(zip(op.results, clone.results, strict=True))
        return [at_shape(value) for value in returned.operands]

    return combine


def by(name: str, before: ir.Operation) -> Combine:
    """One op of StableHLO as a function of two tensors, written before an op."""
    return lambda left, right: [insert_op(name, left[0].type, left[0], right[0], before=before)]


def rows_of(op: ir.Operation) -> Values:
    """The tensors that a `reduce` reduces, as matrices whose rows are to be combined."""
    found = []
    for x in list(op.operands)[: len(op.results)]:
        shape, dimensions = shape_of(x), get_i64s(op, "dimensions")
        kept = [axis for axis in range(len(shape)) if axis not in dimensions]
        order = [*dimensions, *kept]
        if order != sorted(order):
            moved = typed(x, [shape[axis] for axis in order])
            x = insert_op("transpose", moved, x, before=op, permutation=ir.DenseI64ArrayAttr.get(order))
        count, columns = math.prod(shape[d] for d in dimensions), math.prod(shape[d] for d in kept)
        found.append(reshaped(x, [count, columns], before=op))
    return found


def tournament(rows: Values, combine: Combine, before: ir.Operation, *, in_order: bool) -> Values:
    """The rows of matrices, combined in pairs until one is left.

    Args:
        rows: matrices with equally many rows, one or more.
        combine: of two rows.
        before: where ops are put.
        in_order: whether neighbours are to be combined, for what is associative only; otherwise halves of
            all rows are, which are contiguous.
    """
    count, columns = shape_of(rows[0])

    def part(x: ir.Value, start: int, stop: int, step: int = 1) -> ir.Value:
        return sliced(x, [start, 0], [stop, columns], [step, 1], before=before)

    while count > 1:
        half, odd = divmod(count, 2)
        even = 2 * half
        if in_order:
            left, right = ([part(x, at, even, 2) for x in rows] for at in (0, 1))
        else:
            left, right = [part(x, 0, half) for x in rows], [part(x, half, even) for x in rows]
        winners = combine(left, right)
        if odd:
            winners = [
                joined([winner, part(x, even, count)], before=before)
                for winner, x in zip(winners, rows, strict=True)
            ]
        rows, count = winners, half + odd
    return rows


def padded(op: ir.Operation, index: int, fill: ir.Value) -> ir.Value:
    """An operand of a `reduce_window` with its padding and the gaps between its elements."""
    x = op.operands[index]
    rank = len(shape_of(x))
    low, high = get_padding(op, rank)
    gaps = [step - 1 for step in get_i64s(op, "base_dilations", [1] * rank)]
    if not any((*low, *high, *gaps)):
        return x
    shape = [
        n + max(n - 1, 0) * gap + a + b for n, gap, a, b in zip(shape_of(x), gaps, low, high, strict=True)
    ]
    amounts = {"edge_padding_low": low, "edge_padding_high": high, "interior_padding": gaps}
    attributes = {key: ir.DenseI64ArrayAttr.get(value) for key, value in amounts.items()}
    return insert_op("pad", typed(x, shape), x, fill, before=op, **attributes)


def windows(op: ir.Operation) -> Values:
    """The operands of a `reduce_window` as matrices: row i holds the i-th element of every window."""
    count = len(op.results)
    result = op.results[0]
    places, rank = shape_of(result), len(shape_of(result))
    extents, steps, holes = _window(op, rank)
    found = []
    for index in range(count):
        x = padded(op, index, op.operands[count + index])
        rows = []
        for offset in itertools.product(*map(range, extents)):
            start = [o * hole for o, hole in zip(offset, holes, strict=True)]
            limit = [a + (n - 1) * step + 1 for a, n, step in zip(start, places, steps, strict=True)]
            row = sliced(x, start, limit, steps, before=op)
            rows.append(reshaped(row, [1, numel(result)], before=op))
        found.append(joined(rows, before=op) if len(rows) > 1 else rows[0])
    return found


def doubled(op: ir.Operation, x: ir.Value, combine: Combine) -> ir.Value:
    """A `reduce_window` by an idempotent op over padded `x`: windows out of windows half as long."""
    rank = len(shape_of(x))
    places = shape_of(op.results[0])
    extents, steps, holes = _window(op, rank)

    def shifted(x: ir.Value, axis: int, start: int, length: int) -> ir.Value:
        first, last = [0] * rank, shape_of(x)
        first[axis], last[axis] = start, start + length
        return sliced(x, first, last, [1] * rank, before=op)

    for axis, (extent, hole) in enumerate(zip(extents, holes, strict=True)):
        covered = 1
        while covered < extent:
            more = min(covered, extent - covered)
            length = shape_of(x)[axis] - more * hole
            left, right = (shifted(x, axis, start, length) for start in (0, more * hole))
            (x,) = combine([left], [right])
            covered += more
    limit = [(n - 1) * step + 1 for n, step in zip(places, steps, strict=True)]
    return sliced(x, [0] * rank, limit, steps, before=op)


def every_window_has_an_element(op: ir.Operation) -> bool:
    """Whether no window of a `reduce_window` lies on padding and gaps alone."""
    shape = shape_of(op.operands[0])
    rank = len(shape)
    low, _ = get_padding(op, rank)
    base = get_i64s(op, "base_dilations", [1] * rank)
    for axis, (extent, step, hole) in enumerate(zip(*_window(op, rank), strict=True)):
        for place in range(shape_of(op.results[0])[axis]):
            positions = (place * step + i * hole - low[axis] for i in range(extent))
            if not any(p % base[axis] == 0 and 0 <= p // base[axis] < shape[axis] for p in positions):
                return False
    return True


def _window(op: ir.Operation, rank: int) -> tuple[list[int], list[int], list[int]]:
    """Extents of a window, the steps between windows, and between the elements of one."""
    ones = [1] * rank
    return (
        get_i64s(op, "window_dimensions"),
        get_i64s(op, "window_strides", ones),
        get_i64s(op, "window_dilations", ones),
    )
