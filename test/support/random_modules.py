"""Random small StableHLO programs over all element types, as hypothesis draws them, with edge values.

How large a float can be, and how far from the true number any implementation may find it, is kept track of:
what is discontinuous is only done to floats that every float type and fixed point holds exactly.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
from case_builders import (
    ALL,
    BOOL,
    INTS,
    i64s,
    is_float,
    literal,
    tensor,
    type_of,
)
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]
Draw = st.DrawFn

SHAPES = ((), (1,), (0,), (3,), (3, 3), (2, 3))

LARGEST = 2000.0
"""Of floats."""

FUNCTIONS: dict[str, tuple[float, float, float, float]] = {
    "stablehlo.cosine": (-6, 6, 1, 0.03),
    "stablehlo.exponential": (-8, 2, 8, 0.01),
    "stablehlo.exponential_minus_one": (-8, 2, 8, 0.01),
    "stablehlo.log": (0.125, 30, 4, 0.01),
    "stablehlo.log_plus_one": (0, 30, 4, 0.01),
    "stablehlo.logistic": (-8, 8, 1, 0.01),
    "stablehlo.rsqrt": (0.125, 30, 3, 0.01),
    "stablehlo.sine": (-6, 6, 1, 0.03),
    "stablehlo.sqrt": (0, 30, 6, 0.01),
    "stablehlo.tanh": (-30, 30, 1, 0.02),
    "chlo.erf": (-8, 8, 1, 0.01),
    "chlo.erfc": (-8, 8, 2, 0.01),
}
"""Of one float: from where to where, how large the result gets, and what an implementation may be off by."""


@dataclass(frozen=True)
class Value:
    """A value of a program.

    Attributes:
        name: in the text.
        dtype: of the elements.
        shape: extents.
        bound: on the magnitude of floats.
        grain: floats are multiples of 2^-grain.
        off: how far floats may be off.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    bound: float = 0.0
    grain: int = 0
    off: float = 0.0

    @property
    def type(self) -> str:
        return tensor(self.dtype, self.shape)

    @property
    def is_exact(self) -> bool:
        return not is_float(self.dtype) or not self.off


@dataclass(frozen=True)
class RandomModule:
    """A program's text, with arguments; `off` says of each result how far floats may be off."""

    text: str
    arguments: tuple[Array, ...]
    off: tuple[float, ...]

    def __repr__(self) -> str:
        return f"{self.text}\n{self.arguments}"


def edges(dtype: np.dtype[Any]) -> list[Any]:
    """Ends of the range, zeros, ties."""
    if dtype == BOOL:
        return [False, True]
    if is_float(dtype):
        return [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -2.5, 2.5, 0.125, -0.125, 7.0, -30.0, 31.875]
    ends = np.iinfo(dtype)
    low = [-7, -2, -1] if dtype.kind == "i" else [ends.max // 2, ends.max // 2 + 1]
    width = 8 * dtype.itemsize
    return [ends.min, ends.min + 1, *low, 0, 1, 2, 3, 5, width - 1, width, ends.max - 1, ends.max]


class _Writer:
    """Writes a program op by op."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.values: list[Value] = []
        self.lines: list[str] = []

    def fresh(self) -> str:
        return f"%v{len(self.lines)}"

    def array(self, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
        count = int(np.prod(shape))
        numbers = self.draw(st.lists(st.sampled_from(edges(dtype)), min_size=count, max_size=count))
        return np.array(numbers, dtype).reshape(shape)

    def constant(self, array: Array) -> Value:
        name = self.fresh()
        self.lines.append(f"{name} = stablehlo.constant {literal(array)}")
        return Value(name, array.dtype, array.shape, 32.0, 3)

    def partner(self, x: Value) -> Value:
        """Another value of the same type: one of the program's, or a constant."""
        same = [v for v in self.values if (v.dtype, v.shape) == (x.dtype, x.shape)]
        if self.draw(st.integers(0, 2)):
            return self.draw(st.sampled_from(same))
        return self.constant(self.array(x.dtype, x.shape))

    def op(
        self,
        name: str,
        operands: Sequence[Value],
        dtype: np.dtype[Any],
        shape: Sequence[int],
        attributes: str = "",
        region: str = "",
        *,
        bound: float | None = None,
        grain: int | None = None,
        off: float | None = None,
    ) -> Value:
        """Adds an op; by default its floats are those of the operands."""
        floats = [v for v in operands if is_float(v.dtype)]
        made = Value(
            self.fresh(),
            np.dtype(dtype),
            tuple(shape),
            max((v.bound for v in floats), default=1.0) if bound is None else bound,
            max((v.grain for v in floats), default=0) if grain is None else grain,
            max((v.off for v in floats), default=0.0) if off is None else off,
        )
        if is_float(made.dtype):
            info = ml_dtypes.finfo(made.dtype)
            if made.off or made.grain > 6 or made.bound * 2.0**made.grain > 2.0 ** (info.nmant + 1):
                made = replace(made, off=made.off + 2 * made.bound * float(info.eps) + 2.0**-6)
        properties = f"<{{{attributes}}}> " if attributes else ""
        self.lines.append(
            f'{made.name} = "{name}"({", ".join(v.name for v in operands)}) {properties}{region}'
            f": ({', '.join(v.type for v in operands)}) -> {made.type}"
        )
        return made

    def clamped(self, x: Value, low: float, high: float) -> Value:
        ends = [self.constant(np.array(end, x.dtype)) for end in (low, high)]
        return self.op(
            "stablehlo.clamp",
            [ends[0], x, ends[1]],
            x.dtype,
            x.shape,
            bound=max(abs(low), abs(high)),
            grain=max(x.grain, 3),
            off=x.off,
        )


Step = Callable[[_Writer, Value], Value | None]
"""Applies an op to a value; None if it does not apply."""


def _binary(name: str) -> Step:
    def step(w: _Writer, x: Value) -> Value | None:
        if x.dtype == BOOL and name in ("add", "subtract", "divide", "remainder"):
            return None
        y = w.partner(x)
        change: dict[str, Any] = {}
        if is_float(x.dtype):
            if name in ("and", "or", "xor") or name.startswith("shift"):
                return None
            if name == "divide":
                y = w.clamped(w.op("stablehlo.abs", [y], x.dtype, x.shape), 0.5, 16)
                change = {"bound": 2 * x.bound, "off": 2 * x.off + 2 * x.bound * (y.off + 0.01) + 0.01}
            elif name == "remainder":
                if not (x.is_exact and y.is_exact):
                    return None
                y = w.clamped(w.op("stablehlo.abs", [y], x.dtype, x.shape), 0.5, 16)
                change = {"bound": 16}
            elif name in ("add", "subtract"):
                change = {"bound": x.bound + y.bound, "off": x.off + y.off}
            elif name == "multiply":
                off = x.bound * y.off + y.bound * x.off + x.off * y.off
                change = {"bound": x.bound * y.bound, "grain": x.grain + y.grain, "off": off}
        elif x.dtype == BOOL and name.startswith("shift"):
            return None
        return w.op(f"stablehlo.{name}", [x, y], x.dtype, x.shape, **change)

    return step


def _unary(name: str, *, floats: bool = True, ints: str = "iu", bools: bool = False) -> Step:
    def step(w: _Writer, x: Value) -> Value | None:
        applies = floats if is_float(x.dtype) else bools if x.dtype == BOOL else x.dtype.kind in ints
        continuous = name in ("negate", "abs")
        if not applies or not (continuous or x.is_exact):
            return None
        change = {} if continuous else {"bound": x.bound + 1}
        return w.op(f"stablehlo.{name}", [x], x.dtype, x.shape, **change)

    return step


def _function(name: str) -> Step:
    low, high, bound, off = FUNCTIONS[name]

    def step(w: _Writer, x: Value) -> Value | None:
        if not is_float(x.dtype) or not x.is_exact:
            return None
        return w.op(name, [w.clamped(x, low, high)], x.dtype, x.shape, bound=bound, off=off)

    return step


def _compare(w: _Writer, x: Value) -> Value | None:
    y = w.partner(x)
    if not (x.is_exact and y.is_exact):
        return None
    direction = w.draw(st.sampled_from(["EQ", "NE", "LT", "LE", "GT", "GE"]))
    kind = "FLOAT" if is_float(x.dtype) else "SIGNED" if x.dtype.kind == "i" else "UNSIGNED"
    attributes = (
        f"comparison_direction = #stablehlo<comparison_direction {direction}>, "
        f"compare_type = #stablehlo<comparison_type {kind}>"
    )
    return w.op("stablehlo.compare", [x, y], BOOL, x.shape, attributes)


def _select(w: _Writer, x: Value) -> Value | None:
    fitting = [v for v in w.values if v.dtype == BOOL and v.shape in ((), x.shape)]
    choice = w.draw(st.sampled_from(fitting)) if fitting else w.constant(w.array(BOOL, x.shape))
    y = w.partner(x)
    return w.op("stablehlo.select", [choice, x, y], x.dtype, x.shape, bound=max(x.bound, y.bound))


def _clamp(w: _Writer, x: Value) -> Value | None:
    if x.dtype == BOOL:
        return None
    if w.draw(st.booleans()):
        return w.op("stablehlo.clamp", [w.partner(x), x, w.partner(x)], x.dtype, x.shape)
    low, high = (w.constant(w.array(x.dtype, ())) for _ in range(2))
    return w.op("stablehlo.clamp", [low, x, high], x.dtype, x.shape, bound=32, grain=max(3, x.grain))


def _convert(w: _Writer, x: Value) -> Value | None:
    target = w.draw(st.sampled_from(ALL))
    change: dict[str, Any] = {}
    if is_float(target) and not is_float(x.dtype):
        if x.dtype.itemsize > 1:
            return None
        change = {"bound": 256.0, "grain": 0}
    if is_float(x.dtype) and not is_float(target):
        fits = target == BOOL or (target.kind == "i" and x.bound <= np.iinfo(target).max)
        if not fits or not x.is_exact:
            return None
    return w.op("stablehlo.convert", [x], target, x.shape, **change)


def _transpose(w: _Writer, x: Value) -> Value | None:
    order = w.draw(st.permutations(range(len(x.shape))))
    shape = [x.shape[d] for d in order]
    return w.op("stablehlo.transpose", [x], x.dtype, shape, f"permutation = {i64s(*order)}")


def _reverse(w: _Writer, x: Value) -> Value | None:
    dims = [d for d in range(len(x.shape)) if w.draw(st.booleans())]
    return w.op("stablehlo.reverse", [x], x.dtype, x.shape, f"dimensions = {i64s(*dims)}")


def _reshape(w: _Writer, x: Value) -> Value | None:
    count = int(np.prod(x.shape))
    shapes = [s for s in (*SHAPES, (3, 1), (1, 3), (9,), (6,), (0, 3)) if int(np.prod(s)) == count]
    if not shapes:
        return None
    return w.op("stablehlo.reshape", [x], x.dtype, w.draw(st.sampled_from(shapes)))


def _broadcast(w: _Writer, x: Value) -> Value | None:
    shape = w.draw(st.sampled_from([s for s in SHAPES if len(s) >= len(x.shape)] or [x.shape]))
    fits = [
        dims
        for dims in itertools.permutations(range(len(shape)), len(x.shape))
        if all(n in (1, shape[d]) for n, d in zip(x.shape, dims, strict=True))
    ]
    if not fits:
        return None
    dims = w.draw(st.sampled_from(fits))
    return w.op("stablehlo.broadcast_in_dim", [x], x.dtype, shape, f"broadcast_dimensions = {i64s(*dims)}")


def _slice(w: _Writer, x: Value) -> Value | None:
    start = [w.draw(st.integers(0, n)) for n in x.shape]
    limit = [w.draw(st.integers(a, n)) for a, n in zip(start, x.shape, strict=True)]
    step = [w.draw(st.integers(1, 2)) for _ in x.shape]
    shape = [-(-(b - a) // s) for a, b, s in zip(start, limit, step, strict=True)]
    attributes = f"start_indices = {i64s(*start)}, limit_indices = {i64s(*limit)}, strides = {i64s(*step)}"
    return w.op("stablehlo.slice", [x], x.dtype, shape, attributes)


def _pad(w: _Writer, x: Value) -> Value | None:
    low, high = ([w.draw(st.integers(-1, 2)) for _ in x.shape] for _ in range(2))
    inner = [w.draw(st.integers(0, 1)) for _ in x.shape]
    grown = [n + max(n - 1, 0) * i for n, i in zip(x.shape, inner, strict=True)]
    shape = [n + a + b for n, a, b in zip(grown, low, high, strict=True)]
    if min(shape, default=0) < 0 or any(n + min(a, b) < 0 for n, a, b in zip(grown, low, high, strict=True)):
        return None
    fill = w.constant(w.array(x.dtype, ()))
    amounts = {"edge_padding_low": low, "edge_padding_high": high, "interior_padding": inner}
    attributes = ", ".join(f"{name} = {i64s(*amount)}" for name, amount in amounts.items())
    return w.op("stablehlo.pad", [x, fill], x.dtype, shape, attributes)


def _concatenate(w: _Writer, x: Value) -> Value | None:
    if not x.shape:
        return None
    axis = w.draw(st.integers(0, len(x.shape) - 1))
    shape = list(x.shape)
    shape[axis] *= 2
    return w.op("stablehlo.concatenate", [x, w.partner(x)], x.dtype, shape, f"dimension = {axis} : i64")


def _body(name: str, dtype: np.dtype[Any]) -> str:
    t = tensor(dtype)
    return (
        f'({{\n^bb0(%x: {t}, %y: {t}):\n%z = "stablehlo.{name}"(%x, %y) : ({t}, {t}) -> {t}\n'
        f'"stablehlo.return"(%z) : ({t}) -> ()\n}}) '
    )


def _reducer(w: _Writer, x: Value) -> str:
    if x.dtype == BOOL:
        return w.draw(st.sampled_from(["and", "or", "maximum", "minimum", "xor"]))
    of_integers = [] if is_float(x.dtype) else ["multiply", "and", "or", "xor"]
    return w.draw(st.sampled_from(["add", "maximum", "minimum", *of_integers]))


def _reduce(w: _Writer, x: Value) -> Value | None:
    dims = [d for d in range(len(x.shape)) if w.draw(st.booleans())]
    # XLA forgets where a reduction of one element starts.
    if all(x.shape[d] == 1 for d in dims):
        return None
    name = _reducer(w, x)
    count = int(np.prod([x.shape[d] for d in dims])) if name == "add" else 1
    start = w.constant(w.array(x.dtype, ()))
    return w.op(
        "stablehlo.reduce",
        [x, start],
        x.dtype,
        [n for d, n in enumerate(x.shape) if d not in dims],
        f"dimensions = {i64s(*dims)}",
        _body(name, x.dtype),
        bound=x.bound * count + 32,
        off=x.off * max(count, 1),
    )


def _reduce_window(w: _Writer, x: Value) -> Value | None:
    if not x.shape or 0 in x.shape:
        return None
    name = _reducer(w, x)
    window = [w.draw(st.integers(1, 2)) for _ in x.shape]
    if max(window) == 1 or name == "xor":
        return None
    low = [w.draw(st.integers(0, 1)) if name in ("maximum", "minimum") else 0 for _ in x.shape]
    shape = [n + a - k + 1 for n, a, k in zip(x.shape, low, window, strict=True)]
    if min(shape) < 1:
        return None
    start = w.constant(w.array(x.dtype, ()))
    pads = str([[a, 0] for a in low])
    return w.op(
        "stablehlo.reduce_window",
        [x, start],
        x.dtype,
        shape,
        f"window_dimensions = {i64s(*window)}, padding = dense<{pads}> : tensor<{len(low)}x2xi64>",
        _body(name, x.dtype),
        bound=4 * x.bound + 32 if name == "add" else max(x.bound, 32),
        off=4 * x.off,
    )


def _sort(w: _Writer, x: Value) -> Value | None:
    if not x.shape:
        return None
    axis, t = w.draw(st.integers(0, len(x.shape) - 1)), tensor(x.dtype)
    direction = w.draw(st.sampled_from(["LT", "GT"]))
    region = (
        f"({{\n^bb0(%x: {t}, %y: {t}):\n"
        f"%z = stablehlo.compare {direction}, %x, %y : ({t}, {t}) -> tensor<i1>\n"
        '"stablehlo.return"(%z) : (tensor<i1>) -> ()\n}) '
    )
    return w.op(
        "stablehlo.sort", [x], x.dtype, x.shape, f"dimension = {axis} : i64, is_stable = true", region
    )


def _dot(w: _Writer, x: Value) -> Value | None:
    if len(x.shape) != 2 or x.dtype == BOOL:
        return None
    y, (rows, depth) = w.partner(x), x.shape
    numbers = "#stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>"
    return w.op(
        "stablehlo.dot_general",
        [x, y],
        x.dtype,
        (rows, rows),
        f"dot_dimension_numbers = {numbers}",
        bound=x.bound * y.bound * max(depth, 1),
        grain=x.grain + y.grain,
        off=(x.bound * y.off + y.bound * x.off + x.off * y.off) * max(depth, 1),
    )


def _starts(w: _Writer, x: Value) -> list[Value]:
    dtype = w.draw(st.sampled_from([t for t in INTS if t.kind == "i"]))
    return [w.constant(w.array(dtype, ())) for _ in x.shape]


def _dynamic_slice(w: _Writer, x: Value) -> Value | None:
    if not x.shape:
        return None
    sizes = [w.draw(st.integers(0, n)) for n in x.shape]
    return w.op(
        "stablehlo.dynamic_slice", [x, *_starts(w, x)], x.dtype, sizes, f"slice_sizes = {i64s(*sizes)}"
    )


def _dynamic_update_slice(w: _Writer, x: Value) -> Value | None:
    if not x.shape:
        return None
    update = w.constant(w.array(x.dtype, [w.draw(st.integers(0, n)) for n in x.shape]))
    return w.op("stablehlo.dynamic_update_slice", [x, update, *_starts(w, x)], x.dtype, x.shape)


def _iota(w: _Writer, x: Value) -> Value | None:
    if not x.shape or x.dtype == BOOL:
        return None
    return w.op("stablehlo.iota", [], x.dtype, x.shape, "iota_dimension = 0 : i64", bound=9)


def _barrier(w: _Writer, x: Value) -> Value | None:
    return w.op("stablehlo.optimization_barrier", [x], x.dtype, x.shape)


def _is_finite(w: _Writer, x: Value) -> Value | None:
    return w.op("stablehlo.is_finite", [x], BOOL, x.shape) if is_float(x.dtype) else None


_BINARY = (
    "add subtract multiply maximum minimum divide remainder and or xor "
    "shift_left shift_right_arithmetic shift_right_logical"
)

STEPS: dict[str, Step] = {
    **{name: _binary(name) for name in _BINARY.split()},
    **{name: _function(name) for name in FUNCTIONS},
    **{name: _unary(name, ints="") for name in ("floor", "ceil", "round_nearest_even", "round_nearest_afz")},
    "abs": _unary("abs", ints="i"),
    "negate": _unary("negate"),
    "not": _unary("not", floats=False, bools=True),
    "popcnt": _unary("popcnt", floats=False),
    "sign": _unary("sign", ints="i"),
    "broadcast_in_dim": _broadcast,
    "clamp": _clamp,
    "compare": _compare,
    "concatenate": _concatenate,
    "convert": _convert,
    "dot_general": _dot,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "iota": _iota,
    "is_finite": _is_finite,
    "optimization_barrier": _barrier,
    "pad": _pad,
    "reduce": _reduce,
    "reduce_window": _reduce_window,
    "reshape": _reshape,
    "reverse": _reverse,
    "select": _select,
    "slice": _slice,
    "sort": _sort,
    "transpose": _transpose,
}


@st.composite
def random_modules(draw: Draw, most_steps: int = 8) -> RandomModule:
    """Programs of three ops or more on one or two arguments; every value is a result."""
    w = _Writer(draw)
    arguments = []
    dtypes = draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=2))
    for number, dtype in enumerate(dtypes):
        array = w.array(dtype, draw(st.sampled_from(SHAPES)))
        arguments.append(array)
        w.values.append(Value(f"%arg{number}", dtype, array.shape, 32.0, 3))
    for _ in range(draw(st.integers(3, most_steps))):
        before = list(w.lines)
        found = STEPS[draw(st.sampled_from(sorted(STEPS)))](w, draw(st.sampled_from(w.values)))
        if found is None or found.bound > LARGEST or np.prod(found.shape) > 40:
            w.lines = before
        else:
            w.values.append(found)
    results = w.values[len(arguments) :] or w.values
    types = ", ".join(v.type for v in results)
    parameters = ", ".join(f"%arg{n}: {type_of(array)}" for n, array in enumerate(arguments))
    body = "\n".join(w.lines)
    text = (
        f"func.func public @main({parameters}) -> ({types}) {{\n{body}\n"
        f"return {', '.join(v.name for v in results)} : {types}\n}}\n"
    )
    return RandomModule(text, tuple(arguments), tuple(v.off for v in results))
