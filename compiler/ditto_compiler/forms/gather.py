"""Windows of a tensor at secret places: products with one-hot matrices.

Every window that could be meant is read, so that nothing depends on which one is.
"""

from __future__ import annotations

import math

from ditto_compiler.forms.builder import Tensor
from ditto_compiler.forms.places import Places, as_numbers, inverse, is_one_hot, outer_and, take
from ditto_compiler.intervals import INFINITE
from ditto_compiler.ops.base import Ranges


def windows(x: Tensor, places: Places, ranges: Ranges) -> Tensor:
    """The window at each place: [*shape of the index vectors, *sizes of a window].

    A window that would not fit is the nearest one that does. Along dimensions with known starts elements are
    only moved; where these differ, products are batched. For n index vectors, c places where a window may
    start and w elements of a window that costs n c equalities, and then n w sums of c products of a bit and a
    number, without truncation. With several secret dimensions, c is the product of theirs, the equalities are
    n times their sum, and n c conjunctions join them.
    """
    places = places.limited()
    known, computed, whole = places.known, places.computed, places.whole
    over = places.varying()
    free = [axis for axis in range(len(places.shape)) if axis not in over]
    batch, vectors = ([places.shape[axis] for axis in axes] for axes in (over, free))
    sizes, spans = places.sizes(known), places.extents(whole)
    bound = ranges.of(x.value).bound

    table = x.transposed([*known, *computed, *whole])
    inner = places.extents(computed)
    table = table.reshaped((math.prod(places.extents(known)), math.prod(inner) * math.prod(spans)))
    table = take([table], places.rows(over).reshape(-1).tolist())
    table = table.reshaped((math.prod(batch), math.prod(sizes), *inner, math.prod(spans)))
    for number, d in enumerate(computed):
        table = _unfolded(table, 2 + 2 * number, places.axes[d].count, places.axes[d].size)
    counts = [2 + 2 * number for number in range(len(computed))]
    table = table.transposed([0, *counts, 1, *(axis + 1 for axis in counts), len(table.shape) - 1])
    starts = math.prod(places.axes[d].count for d in computed)
    width = math.prod([*sizes, *places.sizes(computed), *spans])
    table = table.reshaped((math.prod(batch), starts, width))

    shape = (math.prod(batch), math.prod(vectors))
    if computed:
        hots = [is_one_hot(places.axes[d], [*over, *free], ranges, clamps=True) for d in computed]
        found = _selected(outer_and(hots).reshaped((*shape, starts)), table, bound)
    else:
        found = table.reshaped((shape[0], width)).spread((*shape, width), (0, 2))
    found = found.reshaped((*batch, *vectors, *sizes, *places.sizes(computed), *spans))
    rank = len(places.shape)
    return found.transposed(inverse([*over, *free, *(rank + d for d in (*known, *computed, *whole))]))


def _selected(hot: Tensor, table: Tensor, bound: float) -> Tensor:
    """[batch, n, width]: the rows of [batch, places, width] that bits [batch, n, places] choose."""
    batch, vectors, starts = hot.shape
    element, width = table.type.element_type, table.shape[2]
    if str(element) == "i1":
        shape = (batch, vectors, starts, width)
        chosen = hot.spread(shape, (0, 1, 2)).both(table.spread(shape, (0, 2, 3)))
        (found,) = hot.builder.reduction([chosen], [0], [2], lambda x, y: [x[0].either(y[0])])
        return found
    numbers = as_numbers(hot, element)
    if batch == 1:
        flat = numbers.reshaped((vectors, starts)).dot(table.reshaped((starts, width)))
        found = _bounded(flat, bound).reshaped((1, vectors, width))
    else:
        found = _bounded(numbers.batched_dot(table), bound)
    return found


def _bounded(x: Tensor, bound: float) -> Tensor:
    """What is known of one that was chosen among others."""
    return x.within(bound) if bound < INFINITE else x


def _unfolded(x: Tensor, axis: int, count: int, size: int) -> Tensor:
    """All windows of a size along an axis: a dimension of `count` starts, and one of a window's elements."""
    shape = x.shape
    before, after = shape[:axis], shape[axis + 1 :]
    if size <= count:
        parts = [
            x.along_axis(axis, first, first + count).reshaped((*before, count, 1, *after))
            for first in range(size)
        ]
        return x.builder.joined(parts, axis + 1)
    parts = [
        x.along_axis(axis, first, first + size).reshaped((*before, 1, size, *after)) for first in range(count)
    ]
    return x.builder.joined(parts, axis)
