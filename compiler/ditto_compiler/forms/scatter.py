"""Writing at places that indices say, in the order in which XLA does: index vectors one after the other.

A window of updates that does not fit is left out, all of it, as XLA and JAX's mode "drop" have it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ditto_compiler.folds import identity
from ditto_compiler.forms.builder import Tensor
from ditto_compiler.forms.places import (
    Known,
    Places,
    as_numbers,
    inverse,
    is_one_hot,
    take,
)
from ditto_compiler.intervals import INFINITE
from ditto_compiler.ir import ir
from ditto_compiler.ops.base import Ranges
from ditto_compiler.structure import constant

Combine = Callable[[Tensor, Tensor], Tensor]
"""What becomes of an element and an update."""

COMBINERS: dict[str, Combine] = {
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y,
    "maximum": Tensor.larger,
    "minimum": Tensor.smaller,
    "and": Tensor.both,
    "or": Tensor.either,
}
"""How updates may be combined at places that are computed; there is also setting, without a name here."""


def at_known_places(
    x: Tensor, updates: Tensor, places: Places, combine: Combine | None, *, associative: bool
) -> Tensor:
    """Moves elements and combines those that meet; nothing is compared. `combine` is None for setting.

    Updates of one place are combined in pairs, neighbours first, so that only the logarithm of their number
    depends on each other; or one after the other, if `combine` is not associative.
    """
    known, whole = places.known, places.whole
    columns = math.prod(places.extents(whole))
    rank = len(places.shape)
    axes = list(range(rank))
    rows = places.rows(axes)
    new = updates.transposed([*axes, *(rank + d for d in (*known, *whole))])
    new = new.reshaped((rows.size, columns))
    old = x.transposed([*known, *whole]).reshaped((math.prod(places.extents(known)), columns))
    targets = rows.reshape(-1)
    kept = np.flatnonzero(targets >= 0)
    if combine is None:
        found = _replaced(old, new, targets[kept], kept)
    elif associative:
        found = _combined(old, new, targets[kept], kept, combine)
    else:
        found = old
        for turn in _turns(targets[kept]):
            which = kept[turn]
            before = take([found], targets[which].tolist())
            after = combine(before, take([new], which.tolist()))
            found = _replaced(found, after, targets[which], np.arange(which.size))
    extents = [*places.extents(known), *places.extents(whole)]
    return found.reshaped(extents).transposed(inverse([*known, *whole]))


def _replaced(old: Tensor, new: Tensor, targets: Known, which: Known) -> Tensor:
    """Rows of `old` with some rows of `new` at targets; the last one of several counts."""
    source = np.arange(old.shape[0])
    source[targets] = old.shape[0] + which
    if (source == np.arange(old.shape[0])).all():
        return old
    if (source >= old.shape[0]).all():
        return take([new], (source - old.shape[0]).tolist())
    return take([old, new], source.tolist())


def _combined(old: Tensor, new: Tensor, targets: Known, which: Known, combine: Combine) -> Tensor:
    order = np.argsort(targets, kind="stable")
    targets = targets[order]
    if not targets.size:
        return old
    rows = take([new], which[order].tolist())
    while (targets[1:] == targets[:-1]).any():
        starts = np.flatnonzero(np.diff(targets, prepend=targets[0] - 1))
        place = np.arange(targets.size) - np.repeat(starts, np.diff(starts, append=targets.size))
        left = np.flatnonzero((place[:-1] % 2 == 0) & (targets[1:] == targets[:-1]))
        single = np.setdiff1d(np.arange(targets.size), np.concatenate([left, left + 1]))
        pairs = combine(take([rows], left.tolist()), take([rows], (left + 1).tolist()))
        sources = np.argsort(np.concatenate([left, single]), kind="stable")
        joined = [pairs, rows] if single.size else [pairs]
        numbers = np.concatenate([np.arange(left.size), left.size + single])[sources]
        rows = take(joined, numbers.tolist())
        targets = np.concatenate([targets[left], targets[single]])[sources]
    after = combine(take([old], targets.tolist()), rows)
    return _replaced(old, after, targets, np.arange(targets.size))


def _turns(targets: Known) -> list[Known]:
    """Positions of the first update of each place, of the second, and so on."""
    seen: Counter[int] = Counter()
    turns: list[list[int]] = []
    for position, target in enumerate(targets.tolist()):
        if seen[target] == len(turns):
            turns.append([])
        turns[seen[target]].append(position)
        seen[target] += 1
    return [np.array(turn) for turn in turns]


def at_computed_places(
    x: Tensor,
    updates: Tensor,
    places: Places,
    name: str | None,
    ranges: Ranges,
    *,
    unique: bool,
    clamps: bool,
) -> Tensor:
    """Combines updates with what stands at places that are known only when the program runs.

    Args:
        x: what is written to.
        updates: [*shape of the index vectors, *sizes of a window].
        places: where.
        name: of `COMBINERS`; None for setting, where the last of several updates counts.
        ranges: of the program.
        unique: whether no two windows overlap.
        clamps: whether a window that does not fit goes to the nearest place; otherwise it is left out.

    With n index vectors, m places in the dimensions that are computed and r elements at each, that costs n m
    equalities of log2(m) bits, and

    - to add, m r sums of n products of a bit and a number;
    - to set, the same and as many selections; and where several updates may meet, n^2 sums of m products and
      n equalities, which find the updates that a later one undoes, and n m conjunctions; one selection for
      each element where all updates are one constant;
    - else, n m r selections, and a tournament over n.

    Where starts in other dimensions are known and no two are the same, each has updates of its own.
    """
    over = places.varying()
    rows = places.rows(over)
    if len(set(rows.reshape(-1).tolist())) < rows.size or (rows < 0).any():
        places, over = _all_computed(places, x), []
        rows = places.rows(over)
    known, computed, whole = places.known, places.computed, places.whole
    free = [axis for axis in range(len(places.shape)) if axis not in over]
    batch, vectors = (math.prod(places.shape[axis] for axis in axes) for axes in (over, free))
    sizes, spans = math.prod(places.sizes(known)), math.prod(places.extents(whole))
    moving = math.prod(places.sizes(computed))
    depth = math.prod(places.extents(computed))

    every = x.transposed([*known, *computed, *whole])
    every = every.reshaped((math.prod(places.extents(known)), depth * spans))
    old = take([every], rows.reshape(-1).tolist())
    old = old.reshaped((batch, sizes, depth, spans)).transposed([0, 2, 1, 3])
    old = old.reshaped((batch, depth, sizes * spans))
    rank = len(places.shape)
    new = updates.transposed([*over, *free, *(rank + d for d in (*computed, *known, *whole))])
    new = new.reshaped((batch, vectors * moving, sizes * spans))
    hot = _covers(places, [*over, *free], ranges, clamps=clamps).reshaped((batch, vectors * moving, depth))

    unique = unique or vectors == 1
    if name is None:
        found = _set(old, new, hot, ranges, unique=unique)
    elif name == "add" and str(x.type.element_type) != "i1":
        found = old + _product(as_numbers(hot.transposed([0, 2, 1]), x.type.element_type), new)
    else:
        found = _tournament(old, new, hot, name)

    found = found.reshaped((batch, depth, sizes, spans)).transposed([0, 2, 1, 3])
    found = found.reshaped((batch * sizes, depth * spans))
    found = _replaced(every, found, rows.reshape(-1), np.arange(rows.size))
    extents = [places.axes[d].extent for d in (*known, *computed, *whole)]
    return found.reshaped(extents).transposed(inverse([*known, *computed, *whole]))


def _all_computed(places: Places, x: Tensor) -> Places:
    """The same with known starts as constants."""
    axes = list(places.axes)
    for d in places.known:
        numbers = np.clip(places.starts(d), -1, axes[d].count).astype(np.int32)
        axes[d] = replace(axes[d], start=x.builder.array(numbers, ir.IntegerType.get_signless(32)))
    return replace(places, axes=tuple(axes))


def _covers(places: Places, order: Sequence[int], ranges: Ranges, *, clamps: bool) -> Tensor:
    """[index vectors and elements of a window, places]: whether an element is written there."""
    hots = []
    for d in places.computed:
        axis = places.axes[d]
        hot = is_one_hot(axis, order, ranges, clamps=clamps)
        shape = (hot.shape[0], 1, axis.extent)
        shifted = [hot.padded(1, by, axis.size - 1 - by, 0).reshaped(shape) for by in range(axis.size)]
        hots.append(hot.builder.joined(shifted, 1))
    found = hots[0]
    for hot in hots[1:]:
        (n, *one), (_, *two) = found.shape, hot.shape
        all_sizes = (n, one[0], two[0], one[1], two[1])
        found = found.spread(all_sizes, (0, 1, 3)).both(hot.spread(all_sizes, (0, 2, 4)))
        found = found.reshaped((n, one[0] * two[0], one[1] * two[1]))
    return found


def _set(old: Tensor, new: Tensor, hot: Tensor, ranges: Ranges, *, unique: bool) -> Tensor:
    batch, count, depth = hot.shape
    width = old.shape[2]
    number = constant(new.value)
    written = _written(hot).spread(old.shape, (0, 1))
    if number is not None:
        value = old.builder.full(number, old.shape, old.type.element_type)
    elif count == 1:
        value = new.reshaped((batch, width)).spread(old.shape, (0, 2))
    else:
        last = hot if unique else hot.both(_alive(hot).spread(hot.shape, (0, 1)))
        if str(old.type.element_type) == "i1":
            shape = (batch, count, depth, width)
            chosen = last.spread(shape, (0, 1, 2)).both(new.spread(shape, (0, 1, 3)))
            (value,) = hot.builder.reduction([chosen], [0], [1], lambda x, y: [x[0].either(y[0])])
        else:
            bound = ranges.of(new.value).bound
            value = _product(as_numbers(last.transposed([0, 2, 1]), old.type.element_type), new)
            value = value.within(bound) if bound < INFINITE else value
    return value.where(written, old)


def _alive(hot: Tensor) -> Tensor:
    """[batch, n]: whether no later update is written to the same place."""
    batch, count, _ = hot.shape
    element = ir.IntegerType.get_signless(32)
    numbers = as_numbers(hot, element)
    meet = _product(numbers, numbers.transposed([0, 2, 1])).within(1)
    after = np.triu(np.ones((count, count), np.int32), 1)
    later = hot.builder.array(after, element).spread((batch, count, count), (1, 2))
    (undone,) = hot.builder.reduction([meet * later], [0], [2], lambda x, y: [x[0] + y[0]])
    return undone.compare("EQ", 0)


def _tournament(old: Tensor, new: Tensor, hot: Tensor, name: str) -> Tensor:
    """Every place with all updates, of which those for other places change nothing."""
    batch, count, depth = hot.shape
    dtype = str(old.type.element_type)
    shape = (batch, count, depth, old.shape[2])
    combine = COMBINERS[name]
    neutral: Tensor | float = old.spread(shape, (0, 2, 3))
    start = identity(name, dtype)
    if name in ("add", "multiply"):
        neutral = start
    chosen = new.spread(shape, (0, 1, 3)).where(hot.spread(shape, (0, 1, 2)), neutral)
    if count == 1:
        found = chosen.reshaped(old.shape)
    else:
        (found,) = old.builder.reduction([chosen], [start], [1], lambda x, y: [combine(x[0], y[0])])
    number = constant(old.value)
    if number is not None and (
        (name == "maximum" and number <= -INFINITE) or (name == "minimum" and number >= INFINITE)
    ):
        # What stands for infinity stays only where nothing was chosen, and must be seen to stay there.
        return found
    combined = combine(old, found)
    if name != "multiply":
        return combined
    # Times 1 is not exact in fixed point.
    return combined.where(_written(hot).spread(old.shape, (0, 1)), old)


def _written(hot: Tensor) -> Tensor:
    """[batch, places]: whether anything is written there."""
    batch, count, depth = hot.shape
    if count == 1:
        return hot.reshaped((batch, depth))
    (written,) = hot.builder.reduction([hot], [0], [1], lambda x, y: [x[0].either(y[0])])
    return written


def _product(left: Tensor, right: Tensor) -> Tensor:
    """[batch, m, n] of [batch, m, k] and [batch, k, n]."""
    (batch, rows, inner), columns = left.shape, right.shape[2]
    if batch > 1:
        return left.batched_dot(right)
    flat = left.reshaped((rows, inner)).dot(right.reshaped((inner, columns)))
    return flat.reshaped((1, rows, columns))
