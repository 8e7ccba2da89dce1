"""Which part of a tensor each index vector of a gather, a scatter or a dynamic slice means.

All of these ops are read as one thing: index vectors in a tensor of some shape, each of which says for every
dimension of the operand where a window starts. A start may be known when the program is compiled, as those
of `x[jnp.arange(n), i]` along the first dimension are, or only when it runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.dtypes import integer_limits, numpy_dtype
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.intervals import Range
from ditto_compiler.ir import defining_op, ir
from ditto_compiler.op_attributes import dimension_field, get_i64, get_i64s, shape_of
from ditto_compiler.ops.base import Ranges
from ditto_compiler.structure import integers_of

Known = NDArray[np.int64]

MOST_SLICES = 8
"""Rows that so many slices find are cut out by these, which run anywhere; others by the engine's gather."""

DIGITS = 64
"""Numbers of places from which on an index is compared digit by digit."""


@dataclass(frozen=True)
class Axis:
    """A dimension of the operand.

    Attributes:
        extent: of the operand.
        size: of a window.
        start: where each window starts: numbers or a tensor of integers, in the shape of the index vectors;
            None for 0.
    """

    extent: int
    size: int
    start: Known | Tensor | None

    @property
    def count(self) -> int:
        """How many starts there are at which a window fits."""
        return self.extent - self.size + 1


@dataclass(frozen=True)
class Places:
    """Where windows are, for a tensor of index vectors of this shape."""

    shape: tuple[int, ...]
    axes: tuple[Axis, ...]

    @property
    def known(self) -> list[int]:
        """Dimensions of which all starts are known, and in which a window is not all there is."""
        return [
            d
            for d, axis in enumerate(self.axes)
            if not isinstance(axis.start, Tensor) and (axis.start is not None or axis.size < axis.extent)
        ]

    @property
    def computed(self) -> list[int]:
        """Dimensions of which starts are computed when the program runs."""
        return [d for d, axis in enumerate(self.axes) if isinstance(axis.start, Tensor)]

    @property
    def whole(self) -> list[int]:
        """Dimensions that every window spans."""
        return [d for d in range(len(self.axes)) if d not in (*self.known, *self.computed)]

    def extents(self, dims: Sequence[int]) -> list[int]:
        """Of the operand, in some dimensions."""
        return [self.axes[d].extent for d in dims]

    def sizes(self, dims: Sequence[int]) -> list[int]:
        """Of a window, in some dimensions."""
        return [self.axes[d].size for d in dims]

    def starts(self, dim: int) -> Known:
        """The starts along a known dimension."""
        start = self.axes[dim].start
        assert not isinstance(start, Tensor)
        return np.zeros(self.shape, np.int64) if start is None else start

    def limited(self) -> Places:
        """With each window moved to the nearest place where it fits, as far as starts are known.

        Where a window fits at one place only, that is where it is.
        """
        axes = []
        for axis in self.axes:
            start = axis.start
            if axis.count == 1:
                start = None
            elif start is not None and not isinstance(start, Tensor):
                start = np.clip(start, 0, axis.count - 1)
            axes.append(replace(axis, start=start))
        return replace(self, axes=tuple(axes))

    def varying(self) -> list[int]:
        """Dimensions of the index vectors along which known starts differ."""
        every = [self.starts(d) for d in self.known]
        return [
            a
            for a in range(len(self.shape))
            if any((s != s.take([0], axis=a)).any() for s in every if s.size)
        ]

    def rows(self, over: Sequence[int]) -> Known:
        """The operand's element that each element of each window is, counted along known dimensions alone.

        The shape is that of the index vectors along `over`, with what is known the same along the others,
        and of the windows in known dimensions. -1 where a window does not fit.
        """
        first = tuple(slice(None) if a in over else 0 for a in range(len(self.shape)))
        sizes = self.sizes(self.known)
        shape = [self.shape[a] for a in over]
        rows = np.zeros([*shape, *sizes], np.int64)
        fits = np.ones(shape, np.bool_)
        for position, d in enumerate(self.known):
            starts = self.starts(d)[first]
            fits &= (starts >= 0) & (starts < self.axes[d].count)
            offsets = np.arange(sizes[position]).reshape([-1, *(1 for _ in sizes[position + 1 :])])
            rows = rows * self.axes[d].extent + starts.reshape([*shape, *(1 for _ in sizes)]) + offsets
        return np.where(fits.reshape([*shape, *(1 for _ in sizes)]), rows, -1)


def of_gather(op: ir.Operation, builder: Builder) -> Places:
    """Of a `stablehlo.gather`."""
    fields = ("start_index_map", "operand_batching_dims", "start_indices_batching_dims")
    return _places(op, builder, get_i64s(op, "slice_sizes"), op.attributes["dimension_numbers"], fields)


def of_scatter(op: ir.Operation, builder: Builder) -> Places:
    """Of a `stablehlo.scatter`."""
    numbers = op.attributes["scatter_dimension_numbers"]
    windows = iter(dimension_field(numbers, "update_window_dims"))
    update = shape_of(op.operands[2])
    dropped = scatter_dropped(op)
    rank = len(shape_of(op.operands[0]))
    sizes = [1 if d in dropped else update[next(windows)] for d in range(rank)]
    fields = ("scatter_dims_to_operand_dims", "input_batching_dims", "scatter_indices_batching_dims")
    return _places(op, builder, sizes, numbers, fields)


def gather_dropped(op: ir.Operation) -> list[int]:
    """Dimensions of the operand that windows of a gather do not have."""
    numbers = op.attributes["dimension_numbers"]
    return [
        d
        for name in ("collapsed_slice_dims", "operand_batching_dims")
        for d in dimension_field(numbers, name)
    ]


def scatter_dropped(op: ir.Operation) -> list[int]:
    """Dimensions of the operand that windows of a scatter do not have."""
    numbers = op.attributes["scatter_dimension_numbers"]
    return [
        d for name in ("inserted_window_dims", "input_batching_dims") for d in dimension_field(numbers, name)
    ]


def of_slice(op: ir.Operation, builder: Builder, sizes: Sequence[int], first: int) -> Places:
    """Of a dynamic slice or its update, whose operands are starts from number `first` on."""
    axes = []
    for extent, size, value in zip(shape_of(op.operands[0]), sizes, list(op.operands)[first:], strict=True):
        number = integers_of(value)
        axes.append(Axis(extent, size, builder.tensor(value) if number is None else number))
    return Places((), tuple(axes))


def _places(
    op: ir.Operation,
    builder: Builder,
    sizes: Sequence[int],
    numbers: ir.Attribute,
    fields: tuple[str, str, str],
) -> Places:
    mapped, batching, index_batching = (dimension_field(numbers, name) for name in fields)
    indices = op.operands[1]
    (depth,) = dimension_field(numbers, "index_vector_dim") or [0]
    extents = shape_of(indices)
    shape = tuple(extent for axis, extent in enumerate(extents) if axis != depth)
    starts: dict[int, Known | Tensor] = {}
    for component, dim in enumerate(mapped):
        starts[dim] = _column(indices, depth, component, shape, builder)
    for dim, along in zip(batching, index_batching, strict=True):
        axis = along - (along > depth)
        starts[dim] = np.broadcast_to(
            np.arange(shape[axis]).reshape([-1, *(1 for _ in shape[axis + 1 :])]), shape
        )
    operand = shape_of(op.operands[0])
    axes = (Axis(n, size, starts.get(d)) for d, (n, size) in enumerate(zip(operand, sizes, strict=True)))
    return Places(shape, tuple(axes))


def _column(
    indices: ir.Value, depth: int, component: int, shape: tuple[int, ...], builder: Builder
) -> Known | Tensor:
    """One component of all index vectors."""
    if depth < len(shape_of(indices)):
        indices, component = _part(indices, depth, component)
    known = integers_of(indices)
    if known is not None:
        return (known if depth == known.ndim else known.take(component, axis=depth)).reshape(shape)
    tensor = builder.tensor(indices)
    if depth < len(tensor.shape):
        tensor = tensor.along_axis(depth, component, component + 1)
    return tensor.reshaped(shape)


def _part(value: ir.Value, axis: int, index: int) -> tuple[ir.Value, int]:
    """What a value that is put together has at a place along an axis: the part, and where in it."""
    op = defining_op(value)
    if op is None or op.name != "stablehlo.concatenate" or get_i64(op, "dimension") != axis:
        return value, index
    for part in op.operands:
        extent = shape_of(part)[axis]
        if index < extent:
            return _part(part, axis, index)
        index -= extent
    return value, index


def is_one_hot(axis: Axis, order: Sequence[int], ranges: Ranges, *, clamps: bool) -> Tensor:
    """[index vectors, places]: whether a window starts there along a dimension.

    All comparisons can run at once; from `DIGITS` places on, two digits of the index are compared instead, so
    that there are fewer.

    Args:
        axis: the dimension, with computed starts.
        order: of the index vectors' dimensions.
        ranges: of the program.
        clamps: whether a start that is out of range means the nearest one; otherwise it means none.
    """
    ids, count = axis.start, axis.count
    assert isinstance(ids, Tensor)
    known = ranges.of(ids.value)
    ids = ids.transposed(order).reshaped((math.prod(ids.shape),))
    if integer_limits(str(ids.type.element_type))[1] < count:
        ids = ids.converted(ir.IntegerType.get_signless(32))
    if count >= DIGITS:
        return _by_digits(ids, count, known, clamps=clamps)
    below, above = clamps and known.low < 0, clamps and known.high >= count
    inner = _equal(ids, int(below), count - above)
    column = (ids.shape[0], 1)
    first = [ids.compare("LE", 0).reshaped(column)] if below else []
    last = [ids.compare("GE", count - 1).reshaped(column)] if above else []
    return ids.builder.joined([*first, *inner, *last], 1)


def _by_digits(ids: Tensor, count: int, known: Range, *, clamps: bool) -> Tensor:
    low, high = (0, count - 1) if clamps else (-1, count)
    nearest = ids
    # Not clamp, which would compare twice, one after the other.
    if known.high > high:
        nearest = nearest.unless(ids > high, high)
    if known.low < low:
        nearest = nearest.unless(ids < low, low)
    bits = math.ceil(math.log2(count) / 2)
    highs, lows = math.ceil(count / 2**bits), 2**bits
    digit = nearest.shifted_right(bits)
    shape = (ids.shape[0], highs, lows)
    (left,) = _equal(digit, 0, highs)
    (right,) = _equal(nearest - digit * lows, 0, lows)
    pairs = left.spread(shape, (0, 1)).both(right.spread(shape, (0, 2)))
    return pairs.reshaped((shape[0], highs * lows)).along_axis(1, 0, count)


def _equal(ids: Tensor, first: int, limit: int) -> list[Tensor]:
    """[n, limit - first]: whether an index is one of these numbers; nothing for no numbers."""
    if limit <= first:
        return []
    shape = (ids.shape[0], limit - first)
    element = ids.type.element_type
    numbers = ids.builder.array(np.arange(first, limit).astype(numpy_dtype(str(element))), element)
    return [ids.spread(shape, (0,)).compare("EQ", numbers.spread(shape, (1,)))]


def outer_and(hots: Sequence[Tensor]) -> Tensor:
    """[n, product of counts] of [n, count] each: whether all dimensions' starts are the ones counted."""
    found = hots[0]
    for hot in hots[1:]:
        shape = (found.shape[0], found.shape[1], hot.shape[1])
        found = found.spread(shape, (0, 1)).both(hot.spread(shape, (0, 2)))
        found = found.reshaped((shape[0], shape[1] * shape[2]))
    return found


def inverse(order: Sequence[int]) -> list[int]:
    """The permutation that undoes another."""
    return [list(order).index(axis) for axis in range(len(order))]


def as_numbers(bits: Tensor, element: ir.Type) -> Tensor:
    """1 where booleans are true, 0 elsewhere."""
    return bits.builder.full(1, bits.shape, element).where(bits, 0)


def take(parts: Sequence[Tensor], numbers: Sequence[int]) -> Tensor:
    """Some rows of matrices, which are counted as if they stood one below the other."""
    bounds = np.cumsum([0, *(part.shape[0] for part in parts)]).tolist()
    runs = _runs(numbers, bounds)
    columns = parts[0].shape[1]
    if runs is not None:
        found = []
        for start, count, step in runs:
            which = int(np.searchsorted(bounds, start, "right")) - 1
            first = start - bounds[which]
            found.append(parts[which].along_axis(0, first, first + (count - 1) * step + 1, step))
        return parts[0].builder.joined(found, 0)
    table = parts[0].builder.joined(parts, 0)
    builder = table.builder
    indices = builder.array(np.array(numbers, np.int32).reshape(-1, 1), ir.IntegerType.get_signless(32))
    layout = "offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1"
    attributes = {
        "dimension_numbers": ir.Attribute.parse(f"#stablehlo.gather<{layout}>"),
        "slice_sizes": ir.DenseI64ArrayAttr.get([1, columns]),
    }
    type_ = ir.RankedTensorType.get([len(numbers), columns], table.type.element_type)
    return builder.tensor(builder.op("gather", [type_], [table.value, indices.value], attributes).results[0])


def _runs(numbers: Sequence[int], bounds: Sequence[int]) -> list[tuple[int, int, int]] | None:
    """Numbers as few runs (start, count, step), each between two bounds; None if there are too many."""
    runs: list[tuple[int, int, int]] = []
    position = 0
    while position < len(numbers):
        if len(runs) == MOST_SLICES:
            return None
        start = numbers[position]
        limit = next(bound for bound in bounds if bound > start)
        rest = np.asarray(numbers[position + 1 :], np.int64)
        step = max(1, int(rest[0]) - start) if rest.size else 1
        expected = start + step * np.arange(1, rest.size + 1)
        differs = (rest != expected) | (expected >= limit)
        count = 1 + (int(differs.argmax()) if differs.any() else rest.size)
        runs.append((start, count, step if count > 1 else 1))
        position += count
    return runs
