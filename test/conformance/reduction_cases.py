"""Folds over axes, folds over windows, and folds of several operands at once."""

import operator
from functools import reduce

import numpy as np
from case_builders import (
    BOOL,
    BOTH,
    F32,
    F64,
    FLOATS,
    I32,
    I64,
    INTS,
    array,
    case,
    code,
    compare,
    i64s,
    is_float,
    literal,
    numbers,
    tensor,
    wide,
    wrap,
)

FOLDS = {
    "add": (operator.add, 0),
    "multiply": (operator.mul, 1),
    "maximum": (max, None),
    "minimum": (min, None),
    "and": (operator.and_, -1),
    "or": (operator.or_, 0),
    "xor": (operator.xor, 0),
}

LOGICAL = {
    "and": (operator.and_, True),
    "or": (operator.or_, False),
    "xor": (operator.xor, False),
    "maximum": (max, False),
    "minimum": (min, True),
}


def identity(name, dtype):
    """The value that the fold ignores; floats have it for maximum and minimum only at infinity."""
    if dtype == BOOL:
        return LOGICAL[name][1]
    if name in ("maximum", "minimum"):
        limits = np.iinfo(dtype)
        return limits.min if name == "maximum" else limits.max
    return wrap(FOLDS[name][1], dtype) if dtype.kind in "iu" else FOLDS[name][1]


def folded(function, initial, values, dtype):
    """The fold in unbounded integers or float64."""
    result = reduce(function, values, initial)
    return wrap(result, dtype) if dtype.kind in "iu" else result


def plain(x):
    """The elements as Python's numbers, in an array of objects."""
    return (x.astype(F64) if is_float(x.dtype) else x).astype(object)


def reduced(name, x, initial, dims):
    function = (LOGICAL if x.dtype == BOOL else FOLDS)[name][0]
    kept = [d for d in range(x.ndim) if d not in dims]
    result = np.zeros([x.shape[d] for d in kept], object)
    lanes = np.transpose(plain(x), [*kept, *dims])
    for place in np.ndindex(*result.shape):
        lane = lanes[place]
        values = lane.ravel().tolist() if isinstance(lane, np.ndarray) else [lane]
        result[place] = folded(function, plain(initial).item(), values, x.dtype)
    return np.array(result.tolist(), x.dtype).reshape(result.shape)


def reduce_text(name, dims):
    return (
        f'%r = "stablehlo.reduce"(%a, %b) <{{dimensions = {i64s(*dims)}}}> ({{\n^bb0(%x: $a0, %y: $a0):\n'
        f'%z = stablehlo.{name} %x, %y : $a0\n"stablehlo.return"(%z) : ($a0) -> ()\n}}) : ($a, $b) -> $r'
    )


def fold(label, name, x, initial, dims, **options):
    initial = array(initial, x.dtype)
    return case(
        f"reduce_{name}_{code(x.dtype)}{label}",
        "stablehlo.reduce",
        reduce_text(name, dims),
        (x, initial),
        reduced(name, x, initial, dims),
        **({"exact": True} if name in ("maximum", "minimum") else {}),
        **options,
    )


def trusted(x, dims):
    """XLA forgets the initial value where there is one element to fold; StableHLO lets it."""
    return ("interpreter",) if x.size and all(x.shape[d] == 1 for d in dims) else BOTH


def over_axes():
    for dtype in INTS:
        for name in FOLDS:
            # Full-range values wrap around; an identity as the initial value must change nothing.
            yield fold("", name, wide(dtype, 3, 4, seed=1), identity(name, dtype), (1,))
            yield fold("_from_3", name, wide(dtype, 3, 4, seed=2), 3, (0,))
    for dtype in FLOATS:
        x = numbers(dtype, 3, 4, seed=3)
        for name, initials in {
            "add": (0, 1.5),
            "multiply": (1, -0.5),
            "maximum": (-100, 2),
            "minimum": (100, -2),
        }.items():
            for label, initial, dims in zip(("", "_from_another"), initials, ((1,), (0,)), strict=True):
                values = np.sign(x) + x / dtype.type(16) if name == "multiply" else x
                yield fold(label, name, values, initial, dims)
    for name in LOGICAL:
        for initial in (False, True):
            x = np.array(
                [[True, True, True], [True, False, True], [False, False, False], [False, True, False]]
            )
            yield fold(f"_from_{str(initial).lower()}", name, x, initial, (1,))


def over_any_axes():
    x = wide(I32, 2, 3, 4, seed=4)
    y = numbers(F32, 2, 3, 4, seed=5)
    for dims in ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
        label = "_over_" + ("".join(map(str, dims)) or "nothing")
        yield fold(label, "add", x, 7, dims, references=trusted(x, dims))
        yield fold(label, "maximum", x, identity("maximum", I32), dims)
        yield fold(label, "add", y, 0.5, dims, references=trusted(y, dims))
        yield fold(label, "minimum", y, 1000, dims)
    for label, shape, dims in (
        ("_of_extent_0", (3, 0), (1,)),
        ("_beside_extent_0", (0, 3), (1,)),
        ("_of_all_of_nothing", (0, 2), (0, 1)),
        ("_of_one_element", (1,), (0,)),
        ("_of_extent_1", (4, 1), (1,)),
        ("_of_scalar", (), ()),
        ("_square", (3, 3), (0,)),
    ):
        x, y = wide(I32, *shape, seed=6), numbers(F32, *shape, seed=7)
        for name in ("add", "maximum"):
            yield fold(f"{label}_from_another", name, x, -3, dims, references=trusted(x, dims))
            yield fold(f"{label}_from_another", name, y, -2.5, dims, references=trusted(y, dims))
            yield fold(label, name, x, identity(name, I32), dims)
            yield fold(label, name, y, -1000 if name == "maximum" else 0, dims)
    x, dims = wide(I32, 3, 4, seed=8), (1,)
    swapped = reduce_text("maximum", dims).replace("%x, %y :", "%y, %x :")
    yield case(
        "reduce_maximum_i32_of_swapped_operands",
        "stablehlo.reduce",
        swapped,
        (x, array(0, I32)),
        reduced("maximum", x, array(0, I32), dims),
    )


def first_index_body(direction, scalar, index):
    """Keeps the larger (or smaller) value; of equal ones, the one with the smaller index."""
    return (
        f"^bb0(%x: {scalar}, %i: {index}, %y: {scalar}, %j: {index}):\n"
        + compare("%better", "%x", "%y", direction, scalar)
        + compare("%equal", "%x", "%y", "EQ", scalar)
        + compare("%before", "%i", "%j", "LT", index)
        + "%tie = stablehlo.and %equal, %before : tensor<i1>\n"
        "%left = stablehlo.or %better, %tie : tensor<i1>\n"
        f"%value = stablehlo.select %left, %x, %y : tensor<i1>, {scalar}\n"
        f"%at = stablehlo.select %left, %i, %j : tensor<i1>, {index}\n"
        f'"stablehlo.return"(%value, %at) : ({scalar}, {index}) -> ()'
    )


def extreme(label, direction, x, axis, start, index_type=I32):
    """The greatest (GT) or least (LT) element along an axis beside its index."""
    chosen = (np.argmax if direction == "GT" else np.argmin)(plain(x), axis).astype(index_type)
    values = np.take_along_axis(x, np.expand_dims(chosen, axis), axis).squeeze(axis)
    counts, count = tensor(index_type, x.shape), tensor(index_type)
    body = (
        f'%counts = "stablehlo.iota"() <{{iota_dimension = {axis} : i64}}> : () -> {counts}\n'
        f'%zero = "stablehlo.constant"() <{{value = dense<0> : {count}}}> : () -> {count}\n'
        f'%r:2 = "stablehlo.reduce"(%a, %counts, %b, %zero) <{{dimensions = {i64s(axis)}}}> ({{\n'
        f"{first_index_body(direction, '$a0', count)}\n}}) : ($a, {counts}, $b, {count}) -> ($r, $s)"
    )
    return case(
        f"reduce_{'argmax' if direction == 'GT' else 'argmin'}_{code(x.dtype)}{label}",
        "stablehlo.reduce",
        body,
        (x, array(start, x.dtype)),
        (values, chosen),
        exact=True,
    )


def of_two_operands():
    ties = [[2, 7, 7, 1, 7], [3, 3, 3, 3, 3], [0, 1, 2, 3, 4], [9, 8, 9, 1, 0]]
    for dtype in (*INTS, *FLOATS):
        x = array(ties, dtype)
        low, high = (-1000, 1000) if is_float(dtype) else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        yield extreme("", "GT", x, 1, low)
        yield extreme("", "LT", x, 1, high)
        if dtype.kind != "u":
            yield extreme("_of_negatives", "GT", -x, 0, low)
    yield extreme("_by_i64", "GT", array(ties, F32), 1, -1000, I64)
    yield extreme("_of_one_element", "LT", array([[4.5]], F32), 0, 1000)
    yield extreme("_of_range_ends", "GT", array([[-(2**31), 2**31 - 1, 0, 2**31 - 1]], I32), 1, -(2**31))
    yield extreme("_of_range_ends", "LT", array([[2**31 - 1, -(2**31), 0, -(2**31)]], I32), 1, 2**31 - 1)

    x, y = wide(I32, 3, 4, seed=9), numbers(F32, 3, 4, seed=9)
    start = array(5, I32), array(-0.5, F32)
    yield case(
        "reduce_sum_and_maximum_at_once",
        "stablehlo.reduce",
        f'%r:2 = "stablehlo.reduce"(%a, %b, %c, %d) <{{dimensions = {i64s(0)}}}> ({{\n'
        "^bb0(%p: $a0, %q: $b0, %v: $a0, %w: $b0):\n%m = stablehlo.add %p, %v : $a0\n"
        '%n = stablehlo.maximum %q, %w : $b0\n"stablehlo.return"(%m, %n) : ($a0, $b0) -> ()\n'
        "}) : ($a, $b, $c, $d) -> ($r, $s)",
        (x, y, *start),
        (reduced("add", x, start[0], (0,)), reduced("maximum", y, start[1], (0,))),
        exact=True,
    )
    x, y = numbers(F32, 4, 3, seed=10), numbers(F32, 4, 3, seed=11)
    yield case(
        "reduce_two_sums_that_cross",
        "stablehlo.reduce",
        f'%r:2 = "stablehlo.reduce"(%a, %b, %c, %c) <{{dimensions = {i64s(0, 1)}}}> ({{\n'
        "^bb0(%p: $a0, %q: $a0, %v: $a0, %w: $a0):\n%m = stablehlo.add %p, %v : $a0\n"
        '%n = stablehlo.minimum %q, %w : $a0\n"stablehlo.return"(%m, %n) : ($a0, $a0) -> ()\n'
        "}) : ($a, $b, $c, $c) -> ($r, $s)",
        (x, y, array(0, F32)),
        (reduced("add", x, array(0, F32), (0, 1)), reduced("minimum", y, array(0, F32), (0, 1))),
    )


def dilated(x, fill, low, high, base):
    """`x` with holes between its elements and edges around them; holes and edges hold `fill`."""
    extents = [(n - 1) * b + 1 if n else 0 for n, b in zip(x.shape, base, strict=True)]
    edged = np.full(
        [n + max(p, 0) + max(q, 0) for n, p, q in zip(extents, low, high, strict=True)], fill, object
    )
    starts = [max(p, 0) for p in low]
    edged[tuple(slice(p, p + n, b) for p, n, b in zip(starts, extents, base, strict=True))] = plain(x)
    return edged[
        tuple(slice(max(-p, 0), n - max(-q, 0)) for p, q, n in zip(low, high, edged.shape, strict=True))
    ]


def windows(extents, window, strides, dilation):
    """How many windows fit along each axis."""
    spans = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    return [
        (n - span) // s + 1 if n >= span else 0 for n, span, s in zip(extents, spans, strides, strict=True)
    ]


def window_case(
    label, name, x, initial, window, strides=None, pads=None, base=None, dilation=None, **options
):
    ones = (1,) * x.ndim
    strides, base, dilation = strides or ones, base or ones, dilation or ones
    pads = pads or ((0, 0),) * x.ndim
    initial = array(initial, x.dtype)
    fill = plain(initial).item()
    spread = dilated(x, fill, [p for p, _ in pads], [q for _, q in pads], base)
    shape = windows(spread.shape, window, strides, dilation)
    result = np.zeros(shape, object)
    function = (LOGICAL if x.dtype == BOOL else FOLDS)[name][0]
    for place in np.ndindex(*shape):
        at = [p * s for p, s in zip(place, strides, strict=True)]
        view = spread[
            tuple(slice(a, a + (w - 1) * d + 1, d) for a, w, d in zip(at, window, dilation, strict=True))
        ]
        result[place] = folded(function, fill, view.ravel().tolist(), x.dtype)
    pairs = str([list(pair) for pair in pads])
    body = (
        f'%r = "stablehlo.reduce_window"(%a, %b) <{{window_dimensions = {i64s(*window)}, '
        f"window_strides = {i64s(*strides)}, base_dilations = {i64s(*base)}, "
        f"window_dilations = {i64s(*dilation)}, padding = dense<{pairs}> : tensor<{x.ndim}x2xi64>}}> ({{\n"
        f'^bb0(%x: $a0, %y: $a0):\n%z = stablehlo.{name} %x, %y : $a0\n"stablehlo.return"(%z) : ($a0) -> ()\n'
        "}) : ($a, $b) -> $r"
    )
    arguments = (x, initial)
    if name == "add" and fill == 0:
        # Over padding and gaps, sums start from the constant.
        body = body.replace("%b", "%zero").replace("$b", "$a0")
        body = f"%zero = stablehlo.constant {literal(initial)}\n{body}"
        arguments = (x,)
    return case(
        f"reduce_window_{name}_{code(x.dtype)}_{label}",
        "stablehlo.reduce_window",
        body,
        arguments,
        np.array(result.tolist(), x.dtype).reshape(shape),
        **({"exact": True} if name in ("maximum", "minimum") else {}),
        **options,
    )


GEOMETRIES = {
    "plain": ((5, 6), dict(window=(2, 3))),
    "strided": ((5, 6), dict(window=(2, 2), strides=(2, 3))),
    "of_single_elements": ((3, 4), dict(window=(1, 1), strides=(2, 2))),
    "padded": ((4, 4), dict(window=(3, 2), pads=((1, 1), (0, 2)))),
    "cropped": ((6, 6), dict(window=(2, 2), pads=((-1, -2), (-2, 0)))),
    "cropped_and_padded": ((5, 5), dict(window=(2, 3), pads=((-1, 2), (1, -1)))),
    "with_window_holes": ((7, 6), dict(window=(3, 2), dilation=(2, 3))),
    "with_base_holes": ((3, 4), dict(window=(2, 3), base=(2, 3))),
    "with_everything": (
        (4, 5),
        dict(window=(2, 3), strides=(2, 1), pads=((1, 2), (-1, 3)), base=(2, 1), dilation=(3, 2)),
    ),
    "that_fits_nowhere": ((2, 3), dict(window=(3, 1))),
    "of_everything": ((3, 3), dict(window=(3, 3))),
}


def over_windows():
    for label, (shape, geometry) in GEOMETRIES.items():
        for dtype in (I32, F32):
            x = numbers(dtype, *shape, seed=12)
            for name, initial in (("add", 0), ("maximum", -1000), ("minimum", 1000)):
                yield window_case(label, name, x, initial, **geometry)
            # Where a window covers edges or holes, XLA leaves them out while the interpreter folds them in,
            # as StableHLO defines it: that shows in sums from anything but zero.
            covers = any(key in geometry for key in ("base",)) or any(
                p > 0 for pair in geometry.get("pads", ()) for p in pair
            )
            yield window_case(
                f"{label}_from_2", "add", x, 2, **geometry, references=("interpreter",) if covers else BOTH
            )
            yield window_case(f"{label}_from_2", "maximum", x, 2, **geometry)
    for dtype in (*INTS, *FLOATS):
        if dtype in (I32, F32):
            continue
        x = numbers(dtype, 4, 4, seed=13)
        low = 0 if dtype.kind == "u" else -100
        for name, initial in (("add", 0), ("maximum", low), ("minimum", 100)):
            yield window_case(
                "padded", name, x, initial, window=(2, 2), strides=(2, 2), pads=((1, 1), (1, 1))
            )
    x = numbers(BOOL, 4, 4, seed=14)
    yield window_case("padded", "or", x, False, window=(2, 2), pads=((1, 0), (0, 1)))
    yield window_case("padded", "and", x, True, window=(2, 2), pads=((1, 0), (0, 1)))
    x = array([100, 100, 50, -128, -1, 3], np.dtype("int8"))
    yield window_case("wraps", "add", x, 0, window=(2,))
    yield window_case("wraps", "multiply", x, 1, window=(3,))
    x = numbers(F32, 6, seed=15)
    yield window_case("cumulative", "add", x, 0, window=(6,), pads=((5, 0),))
    yield window_case("cumulative", "maximum", x, -1000, window=(6,), pads=((5, 0),))
    yield window_case("cumulative_from_the_end", "add", x, 0, window=(6,), pads=((0, 5),))
    yield window_case("cumulative", "add", wide(I64, 6, seed=16), 0, window=(6,), pads=((5, 0),))
    pooled = numbers(F32, 1, 4, 6, 2, seed=17)
    yield window_case("pooling", "maximum", pooled, -1000, window=(1, 2, 3, 1), strides=(1, 2, 3, 1))
    yield window_case("pooling", "add", pooled, 0, window=(1, 2, 2, 1), pads=((0, 0), (0, 1), (1, 1), (0, 0)))
    yield window_case("empty", "add", np.zeros((0, 3), F32), 0, window=(1, 2))
    yield window_case(
        "empty_but_for_padding", "add", np.zeros((0, 3), F32), 0, window=(2, 2), pads=((1, 2), (0, 0))
    )

    x, y = numbers(F32, 6, seed=18), numbers(I32, 6, seed=19)
    sums = np.array([sum(x[i : i + 3].tolist()) for i in (0, 2)], F32)
    most = np.array([max(y[i : i + 3].tolist()) for i in (0, 2)], I32)
    yield case(
        "reduce_window_of_two_operands",
        "stablehlo.reduce_window",
        f'%r:2 = "stablehlo.reduce_window"(%a, %b, %c, %d) <{{window_dimensions = {i64s(3)}, '
        f"window_strides = {i64s(2)}}}> ({{\n"
        "^bb0(%p: $a0, %q: $b0, %v: $a0, %w: $b0):\n%m = stablehlo.add %p, %v : $a0\n"
        '%n = stablehlo.maximum %q, %w : $b0\n"stablehlo.return"(%m, %n) : ($a0, $b0) -> ()\n'
        "}) : ($a, $b, $c, $d) -> ($r, $s)",
        (x, y, array(0, F32), array(-100, I32)),
        (sums, most),
    )


REDUCTION_CASES = (*over_axes(), *over_any_axes(), *of_two_operands(), *over_windows())
