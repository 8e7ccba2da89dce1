"""The exact domain: ring elements as the parties' shares add up to, but for the parties' rounding.

Where the protocols round at random, the simulator rounds to nearest. Each element carries a bound on how
far the parties' result can be from it, in units of its last place (ulp):

| operation                             | parties' result - exact real      | so, parties' - simulated |
|---------------------------------------|-----------------------------------|--------------------------|
| sum, move, comparison, integer product | 0                                | what the operands have   |
| cast that drops t bits                | below 3/2 ulp, docs/protocols.md  | below 2 ulp              |
| product that the engine truncates     | below 1 ulp                       | below 3/2 ulp            |
| exp, 1/x and other approximations     | no bound is promised              | infinite                 |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ditto.simulator import ring as rings
from ditto.simulator.functions import FUNCTIONS, INTEGER_FUNCTIONS
from ditto.simulator.interpreter import (
    Interpreter,
    Rule,
    call_target,
    constant_numbers,
    divides_by_constant,
    dropped_bits,
    tiny_operand,
)
from ditto.simulator.layout import MOVED_OPERANDS, MOVES
from ditto.simulator.overflow import Overflow
from ditto.simulator.ring import Floats, Raw
from ditto_compiler.diagnostics import SourceLocation, source_location
from ditto_compiler.dialect.encoding import Cast, Encoding, Fxp, Int
from ditto_compiler.ir import element_type, encoding_of, ir
from ditto_compiler.op_attributes import (
    convolution_layout,
    direction_of,
    dot_dimensions,
    get_i64,
    get_i64s,
    get_padding,
    shape_of,
)
from ditto_compiler.spu.op_table import reducer, sort_key

Functions = Literal["ideal", "engine"]

CAST_ULPS = 2.0
"""A cast that drops bits: 3/2 ulp by the protocol, 1/2 by rounding to nearest here."""

TRUNCATION_ULPS = 1.5
"""The engine's truncation rounds up or down: 1 ulp, and 1/2 here."""

EXP_STEPS = 8
"""The engine takes (1 + x / 2^8)^(2^8) for exp(x)."""


@dataclass(frozen=True)
class Tensor:
    """Ring elements.

    Attributes:
        raw: the elements, see `ditto.simulator.ring`.
        error: how far the parties' elements can be from them; inf where that is not known.
    """

    raw: Raw
    error: Floats

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Tensor:
        """The tensor with its elements in other places."""
        return Tensor(change(self.raw), change(self.error))


class Exact(Interpreter[Tensor]):
    """Runs programs in the exact domain.

    Args:
        functions: "ideal" evaluates fixed-point functions in float64 and rounds; "engine" computes
            exponentials as the engine does, which is far off below -16 and above a few units.

    Attributes:
        overflows: what left its range, by the op that made it, in order.
    """

    def __init__(self, functions: Functions = "ideal") -> None:
        super().__init__()
        self.functions = functions
        self.overflows: dict[object, Overflow] = {}

    def input(self, index: int, array: NDArray[Any], encoding: Encoding) -> Tensor:
        """The caller's input number `index`, as the caller encodes it."""
        if isinstance(encoding, Int):
            integers = array.astype(object) if encoding.ring == 128 else array.astype(np.int64)
            return _exactly(rings.wrap(integers, encoding.ring))
        raw, wide = rings.quantize(array.astype(np.float64), encoding.ring, encoding.frac)
        error = self._check(("input", index), f"input {index}", SourceLocation(), raw, wide, encoding, 0)
        return Tensor(raw, error)

    def literal(self, op: ir.Operation, numbers: Sequence[float]) -> Tensor:
        """As in the base class."""
        encoding, shape = _result(op), shape_of(op.results[0])
        if isinstance(encoding, Fxp):
            raw, _ = rings.quantize(numbers, encoding.ring, encoding.frac)
        else:
            raw = rings.wrap([int(number) for number in numbers], encoding.ring)
        return _exactly(np.broadcast_to(raw.reshape(()), shape) if raw.size == 1 else raw.reshape(shape))

    def hold(
        self,
        op: ir.Operation,
        integers: ArrayLike,
        wide: ArrayLike,
        error: ArrayLike,
        *,
        dropped: int = 0,
    ) -> Tensor:
        """The first result of `op`, out of integers that may have left the ring.

        Args:
            op: what computes it.
            integers: the result, mod 2^ring or not reduced.
            wide: the same as floats, never reduced: says whether the result left its range.
            error: bound on the parties' error, in units of `integers`.
            dropped: bits that the engine truncates.
        """
        encoding = encoding_of(op.results[0])
        assert encoding is not None
        raw = rings.wrap(integers, encoding.ring)
        bound = np.broadcast_to(np.asarray(error, np.float64), raw.shape)
        if isinstance(encoding, Fxp):
            wide = np.broadcast_to(np.asarray(wide, np.float64), raw.shape)
            unsafe = self._check(op, op.name, source_location(op.location), raw, wide, encoding, dropped)
            bound = np.where(rings.to_float(np.abs(raw)) + bound < 2.0 ** (encoding.ring - 2), bound, np.inf)
            bound = np.maximum(bound, unsafe)
        if dropped:
            raw = rings.as_raw(rings.shift_right(raw, dropped), encoding.ring)
            bound = np.asarray(np.ldexp(bound, -dropped) + TRUNCATION_ULPS)
        return Tensor(raw, bound)

    def _check(
        self,
        key: object,
        name: str,
        location: SourceLocation,
        raw: Raw,
        wide: Floats,
        encoding: Fxp,
        truncated: int,
    ) -> Floats:
        """Reports elements that do not fit; gives the error that follows: infinite for them, else 0."""
        limit = 1 << (encoding.ring - 2)
        # Below 3/4 of the ring, rounding of `wide` cannot hide that the ring elements wrapped around.
        wrapped = ~(np.abs(wide) < 1.5 * limit)
        unsafe = np.asarray(wrapped | (raw >= limit) | (raw <= -limit), np.bool_)
        if unsafe.any():
            found = np.where(wrapped, wide, rings.to_float(raw))[unsafe]
            numbers = found[~np.isnan(found)]
            worst = numbers[np.argmax(np.abs(numbers))] if numbers.size else np.nan
            value = float(np.ldexp(worst, -(encoding.frac + truncated)))
            overflow = Overflow(name, location, value, encoding, truncated, int(unsafe.sum()))
            before = self.overflows.get(key)
            # In a loop the same op overflows again and again: one report, of the largest.
            if before is None or not abs(value) <= abs(before.value):
                self.overflows[key] = overflow
        return np.where(unsafe, np.inf, 0.0)


def _exactly(raw: Raw) -> Tensor:
    return Tensor(raw, np.broadcast_to(0.0, raw.shape))


def _result(op: ir.Operation) -> Encoding:
    encoding = encoding_of(op.results[0])
    assert encoding is not None
    return encoding


def _operand(op: ir.Operation, index: int = 0) -> Encoding:
    encoding = encoding_of(op.operands[index])
    assert encoding is not None
    return encoding


# Constants


def _constant(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    return [e.literal(op, constant_numbers(op))]


def _iota(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    encoding, shape, dimension = _result(op), shape_of(op.results[0]), get_i64(op, "iota_dimension")
    line = np.arange(shape[dimension]).reshape([-1 if d == dimension else 1 for d in range(len(shape))])
    numbers = np.broadcast_to(line, shape)
    return [_scaled(e, op, _exactly(rings.as_raw(numbers, encoding.ring)), encoding.frac)]


# Moves


def _move(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    count = MOVED_OPERANDS.get(op.name, len(x))
    where = [jnp.asarray(tensor.raw.astype(np.int32)) for tensor in x[count:]]
    return [_rearrange(x[:count], lambda numbers: MOVES[op.name](op, [*numbers, *where]))]


def _rearrange(
    tensors: Sequence[Tensor], arrange: Callable[[list[Array]], Array | NDArray[np.int32]]
) -> Tensor:
    """Moves elements: `arrange` does so to arrays with the number of each element."""
    ends = np.cumsum([0, *(tensor.raw.size for tensor in tensors)])
    numbers = [
        jnp.arange(start, start + tensor.raw.size, dtype=jnp.int32).reshape(tensor.raw.shape)
        for start, tensor in zip(ends[:-1], tensors, strict=True)
    ]
    index = np.asarray(arrange(numbers))
    raw = np.concatenate([tensor.raw.reshape(-1) for tensor in tensors])
    moved = np.asarray(raw[index], raw.dtype)
    if not any(tensor.error.any() for tensor in tensors):
        return _exactly(moved)
    return Tensor(moved, np.asarray(np.concatenate([t.error.reshape(-1) for t in tensors])[index]))


def _forward(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    return x


# Sums and selections


def _add(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    a, b = x
    wide = rings.to_float(a.raw) + rings.to_float(b.raw)
    return [e.hold(op, a.raw + b.raw, wide, a.error + b.error)]


def _negate(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    return [e.hold(op, -x[0].raw, -rings.to_float(x[0].raw), x[0].error)]


def _subtract(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    a, b = x
    return _add(e, op, [a, Tensor(-b.raw, b.error)])


def _abs(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    return [e.hold(op, np.abs(x[0].raw), np.abs(rings.to_float(x[0].raw)), x[0].error)]


def _extremum(choose: np.ufunc) -> Rule[Tensor]:
    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        a, b = x
        raw = rings.as_raw(choose(a.raw, b.raw), _result(op).ring)
        return [Tensor(raw, np.maximum(a.error, b.error))]

    return rule


def _clamp(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    low, middle, high = x
    raw = np.minimum(np.maximum(middle.raw, low.raw), high.raw)
    return [
        Tensor(
            rings.as_raw(raw, _result(op).ring),
            np.maximum(np.maximum(low.error, middle.error), high.error),
        )
    ]


_COMPARISONS: Mapping[str, np.ufunc] = {
    "EQ": np.equal,
    "NE": np.not_equal,
    "LT": np.less,
    "LE": np.less_equal,
    "GT": np.greater,
    "GE": np.greater_equal,
}


def _compare(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    a, b = x
    holds = np.asarray(_COMPARISONS[direction_of(op)](a.raw, b.raw), np.bool_)
    error = a.error + b.error
    gap = np.abs(rings.to_float(a.raw) - rings.to_float(b.raw))
    return [_boolean(op, holds, (error > 0) & (gap <= error))]


def _boolean(op: ir.Operation, holds: NDArray[np.bool_], uncertain: NDArray[np.bool_]) -> Tensor:
    """Booleans, and whether the parties may find the opposite."""
    raw = rings.as_raw(np.asarray(holds, np.int64), _result(op).ring)
    return Tensor(raw, np.broadcast_to(np.asarray(uncertain, np.float64), raw.shape))


def _is_finite(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    ones = np.ones(x[0].raw.shape, np.bool_)
    return [_boolean(op, ones, ~ones)]


def _select(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    choice, a, b = x
    chosen = choice.raw != 0
    either = np.maximum(a.error, b.error) + np.abs(rings.to_float(a.raw) - rings.to_float(b.raw))
    error = np.where(choice.error > 0, either, np.where(chosen, a.error, b.error))
    return [Tensor(rings.as_raw(np.where(chosen, a.raw, b.raw), _result(op).ring), error)]


def _sign(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    raw, error, one = x[0].raw, x[0].error, 1 << _result(op).frac
    sign = np.asarray(raw > 0, np.int64) - np.asarray(raw < 0, np.int64)
    uncertain = (error > 0) & (np.abs(rings.to_float(raw)) <= error)
    return [e.hold(op, sign * one, sign * float(one), np.where(uncertain, 2.0 * one, 0.0))]


# Products


def _times(left: Floats, right: Floats, product: Callable[[Floats, Floats], Floats]) -> Floats:
    """A product of error bounds: what is unknown times 0 is unknown still."""
    return np.nan_to_num(product(left, right), nan=np.inf, posinf=np.inf)


def _product_error(a: Tensor, b: Tensor, product: Callable[[Floats, Floats], Floats]) -> Floats:
    """|xy - x'y'| <= |x| dy + |y| dx + dx dy, where dx and dy bound the errors of x and y."""
    x, y = np.abs(rings.to_float(a.raw)), np.abs(rings.to_float(b.raw))
    error: Floats = np.zeros(())
    if b.error.any():
        error = error + _times(x, b.error, product)
    if a.error.any():
        error = error + _times(a.error, y + b.error, product)
    return error


def _multiply(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    factor = tiny_operand(op)
    if factor is not None:
        return [_times_tiny(e, op, x[1 - factor.position], factor.number)]
    return [_product(e, op, x[0], x[-1])]


def _product(e: Exact, op: ir.Operation, a: Tensor, b: Tensor) -> Tensor:
    wide = rings.to_float(a.raw) * rings.to_float(b.raw)
    error = _product_error(a, b, np.multiply)
    return e.hold(op, a.raw * b.raw, wide, error, dropped=dropped_bits(op))


def _times_tiny(e: Exact, op: ir.Operation, x: Tensor, factor: float) -> Tensor:
    """As the engine does: x * (factor * 2^k), and k bits more to truncate, for the largest 2^k < 1/factor."""
    encoding = _result(op)
    k = -math.floor(math.log2(abs(factor))) - 1
    scaled = int(math.copysign(math.ldexp(abs(factor), k + encoding.frac), factor))
    wide = rings.to_float(x.raw) * scaled
    return e.hold(op, x.raw * scaled, wide, x.error * abs(scaled), dropped=encoding.frac + k)


def _divide(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    if not divides_by_constant(op):
        return _function(e, op, x)
    factor = tiny_operand(op)
    if factor is not None:
        return [_times_tiny(e, op, x[0], factor.number)]
    return [_product(e, op, x[0], e.reciprocal(op.operands[1]))]


def _dot(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    lb, rb, lc, rc = dot_dimensions(op)
    left, right = (shape_of(operand) for operand in op.operands)
    lm = [d for d in range(len(left)) if d not in (*lb, *lc)]
    rn = [d for d in range(len(right)) if d not in (*rb, *rc)]
    m, k, n = (
        math.prod(extents)
        for extents in ([left[d] for d in lm], [left[d] for d in lc], [right[d] for d in rn])
    )
    batch = [left[d] for d in lb]
    a = x[0].each(lambda v: v.transpose([*lb, *lm, *lc]).reshape([*batch, m, k]))
    b = x[1].each(lambda v: v.transpose([*rb, *rc, *rn]).reshape([*batch, k, n]))
    return [_matrix_product(e, op, a, b).each(lambda v: v.reshape(shape_of(op.results[0])))]


def _matrix_product(e: Exact, op: ir.Operation, a: Tensor, b: Tensor) -> Tensor:
    integers, wide = rings.matmul(a.raw, b.raw, _result(op).ring)
    return e.hold(op, integers, wide, _product_error(a, b, np.matmul), dropped=dropped_bits(op))


def _convolution(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """As a product of the matrices [places, window] and [window, features]."""
    layout = convolution_layout(op)
    rank = len(layout.input)
    spatial = [str(d) for d in range(rank - 2)]
    ones = [1] * (rank - 2)
    low, high = get_padding(op, rank - 2)
    lhs_dilation, rhs_dilation = get_i64s(op, "lhs_dilation", ones), get_i64s(op, "rhs_dilation", ones)
    strides = get_i64s(op, "window_strides", ones)
    image = x[0].each(lambda v: v.transpose([layout.input.index(d) for d in ("b", *spatial, "f")]))
    kernel = x[1].each(lambda v: v.transpose([layout.kernel.index(d) for d in (*spatial, "i", "o")]))
    if "window_reversal" in op.attributes:
        flags = list(ir.DenseBoolArrayAttr(op.attributes["window_reversal"]))
        kernel = kernel.each(lambda v: np.flip(v, [d for d, flag in enumerate(flags) if flag]))
    *extents, features, outputs = kernel.raw.shape
    gaps = [d - 1 for d in lhs_dilation]
    padding = [(0, 0, 0), *zip(low, high, gaps, strict=True), (0, 0, 0)]

    def patches(numbers: list[Array]) -> NDArray[np.int32]:
        padded = np.asarray(lax.pad(numbers[0], numbers[1], padding))
        return _windows(padded, [1, *extents, features], [1, *strides, 1], [1, *rhs_dilation, 1])

    zero = _exactly(rings.as_raw(0, _result(op).ring))
    windows = _rearrange([image, zero], patches)
    places = windows.raw.shape[: rank - 1]
    columns = math.prod(extents) * features
    a = windows.each(lambda v: v.reshape(math.prod(places), columns))
    b = kernel.each(lambda v: v.reshape(columns, outputs))
    order = [layout.output.index(d) for d in ("b", *spatial, "f")]
    back = [order.index(d) for d in range(rank)]
    return [_matrix_product(e, op, a, b).each(lambda v: v.reshape([*places, outputs]).transpose(back))]


def _windows(
    numbers: NDArray[np.int32], extents: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> NDArray[np.int32]:
    """[places of the window..., elements of the window...]"""
    reach = [(n - 1) * d + 1 for n, d in zip(extents, dilations, strict=True)]
    steps = [slice(None, None, step) for step in (*strides, *dilations)]
    return sliding_window_view(numbers, reach)[tuple(steps)]


# Reductions

_UFUNCS: Mapping[str, np.ufunc] = {
    "add": np.add,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
}


def _reduce(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    dimensions = get_i64s(op, "dimensions")
    kept = [d for d in range(x[0].raw.ndim) if d not in dimensions]
    inner = [x[0].raw.shape[d] for d in kept]
    count = math.prod(x[0].raw.shape[d] for d in dimensions)
    half = len(x) // 2
    lines = [t.each(lambda v: v.transpose([*kept, *dimensions]).reshape([*inner, count])) for t in x[:half]]
    return _reduce_lines(e, op, lines, x[half:])


def _reduce_window(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    rank = x[0].raw.ndim
    ones = [1] * rank
    extents = get_i64s(op, "window_dimensions")
    strides = get_i64s(op, "window_strides", ones)
    dilations = get_i64s(op, "window_dilations", ones)
    gaps = [d - 1 for d in get_i64s(op, "base_dilations", ones)]
    padding = list(zip(*get_padding(op, rank), gaps, strict=True))

    def windows(numbers: list[Array]) -> NDArray[np.int32]:
        padded = np.asarray(lax.pad(numbers[0], numbers[1], padding))
        found = _windows(padded, extents, strides, dilations)
        return found.reshape([*found.shape[:rank], math.prod(extents)])

    half = len(x) // 2
    lines = [_rearrange([x[i], x[half + i]], windows) for i in range(half)]
    return _reduce_lines(e, op, lines, x[half:])


def _reduce_lines(e: Exact, op: ir.Operation, lines: list[Tensor], initial: Sequence[Tensor]) -> list[Tensor]:
    """Reduces the last dimension, and the initial values."""
    name = reducer(op)
    if len(lines) == 1 and name in _UFUNCS:
        return [_reduce_by(e, op, str(name), lines[0], initial[0])]
    block = op.regions[0].blocks[0]
    count = lines[0].raw.shape[-1]
    tails: list[list[Tensor]] = []
    # The engine's order, for the errors of a product depend on it: halves of the line, odd elements at last.
    while count > 1:
        half = count // 2
        if count % 2:
            tails.append(_part(lines, 2 * half, count))
        lines = e.run(block, [*_part(lines, 0, half), *_part(lines, half, 2 * half)])
        count = half
    while tails:
        lines = e.run(block, [*lines, *tails.pop()])
    if not count:
        shape = lines[0].raw.shape[:-1]
        return [start.each(lambda v: np.broadcast_to(v, shape)) for start in initial]
    return e.run(block, [*(line.each(lambda v: v[..., 0]) for line in lines), *initial])


def _part(lines: Sequence[Tensor], start: int, stop: int) -> list[Tensor]:
    return [line.each(lambda v: v[..., start:stop]) for line in lines]


def _reduce_by(e: Exact, op: ir.Operation, name: str, line: Tensor, initial: Tensor) -> Tensor:
    ring = _result(op).ring
    if name == "add":
        raw = line.raw.sum(-1) + initial.raw
        wide = rings.to_float(line.raw).sum(-1) + rings.to_float(initial.raw)
        return e.hold(op, raw, wide, line.error.sum(-1) + initial.error)
    start = initial.each(lambda v: np.broadcast_to(v, (*line.raw.shape[:-1], 1)))
    raw = np.concatenate([line.raw, start.raw], -1)
    error = np.concatenate([line.error, start.error], -1)
    found = rings.as_raw(_UFUNCS[name].reduce(raw, axis=-1), ring)
    return Tensor(found, np.asarray(error.max(-1)))


def _sort(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    key = sort_key(op)
    assert key is not None
    axis = get_i64(op, "dimension", -1)
    keys = x[key[0]]
    order = np.argsort(keys.raw if key[1] == "LT" else ~keys.raw, axis, kind="stable")
    moved = [tensor.each(lambda v: np.take_along_axis(v, order, axis)) for tensor in x]
    # Equal keys, or keys that the parties' errors may reorder, leave the order of all else open.
    error = keys.error.max(axis, keepdims=True, initial=0.0)
    gaps = np.abs(np.diff(rings.to_float(moved[key[0]].raw), axis=axis))
    open_order = (gaps <= 2 * error).any(axis, keepdims=True)
    results = []
    for index, tensor in enumerate(moved):
        unsure = error if index == key[0] else np.where(open_order, np.inf, 0.0)
        results.append(Tensor(tensor.raw, np.maximum(tensor.error, unsure)))
    return results


# Integers and conversions


def _scaled(e: Exact, op: ir.Operation, x: Tensor, bits: int) -> Tensor:
    """x * 2^bits."""
    wide = np.ldexp(rings.to_float(x.raw), bits)
    return e.hold(op, x.raw << bits, wide, np.ldexp(x.error, bits))


def _convert(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    source, target = _operand(op), _result(op)
    if isinstance(target, Fxp):
        # Between floats only the dtype changes: casts change encodings.
        return [_scaled(e, op, x[0], target.frac) if isinstance(source, Int) else x[0]]
    if element_type(op.results[0]) == "i1":
        return [_boolean(op, np.asarray(x[0].raw != 0), x[0].error > 0)]
    if isinstance(source, Int):
        return [x[0]]
    # Toward zero.
    raw = np.where(x[0].raw < 0, -(-x[0].raw >> source.frac), x[0].raw >> source.frac)
    return [Tensor(rings.as_raw(raw, target.ring), _steps(x[0].error, source.frac))]


def _steps(error: Floats, bits: int) -> Floats:
    """How far apart numbers are, in units of 2^bits, after rounding to whole ones."""
    return np.asarray(np.ceil(np.ldexp(error, -bits)), np.float64)


def _rounding(integral: Callable[[Raw, int], Raw]) -> Rule[Tensor]:
    """Rounds to whole numbers: `integral` gives them, from ring elements and fraction bits."""

    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        frac = _result(op).frac
        whole = Tensor(rings.as_raw(integral(x[0].raw, frac), _result(op).ring), _steps(x[0].error, frac))
        return [_scaled(e, op, whole, frac)]

    return rule


def _nearest(raw: Raw, frac: int) -> Raw:
    """Rounded to nearest, ties to even."""
    up = rings.shift_right(raw, frac)
    tie = (raw & ((1 << frac) - 1)) == (1 << frac >> 1)
    return np.where(tie & (frac > 0), up & ~1, up)


def _nearest_away(raw: Raw, frac: int) -> Raw:
    """Rounded to nearest, ties away from zero."""
    return np.where(raw < 0, -rings.shift_right(-raw, frac), rings.shift_right(raw, frac))


def _bitwise(function: Callable[..., ArrayLike]) -> Rule[Tensor]:
    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        raw = rings.wrap(function(*(tensor.raw for tensor in x)), _result(op).ring)
        unsure = np.sum([np.broadcast_to(tensor.error, raw.shape) for tensor in x], axis=0) > 0
        worst = 1.0 if element_type(op.results[0]) == "i1" else np.inf
        return [Tensor(raw, np.where(unsure, worst, 0.0))]

    return rule


def _not(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    return _bitwise((lambda v: 1 - v) if element_type(op.results[0]) == "i1" else np.invert)(e, op, x)


def _shift_right_logical(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    # As unsigned numbers of the ring's width, whatever the dtype's: so does the engine.
    mask = (1 << _result(op).ring) - 1
    return _bitwise(lambda v, bits: (v.astype(object) & mask) >> bits.astype(object))(e, op, x)


def _popcnt(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    width = int(element_type(op.results[0]).lstrip("ui"))
    count = np.vectorize(lambda v: (int(v) & ((1 << width) - 1)).bit_count(), otypes=[np.int64])
    return _bitwise(count)(e, op, x)


# Fixed-point functions


def _function(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    encoding = _result(op)
    if op.name == "stablehlo.custom_call" and len(x) == 1 and call_target(op) != "mhlo.erf":
        return x
    if e.functions == "engine" and op.name in ("stablehlo.exponential", "stablehlo.exponential_minus_one"):
        return [_engine_exponential(e, op, x[0])]
    table = INTEGER_FUNCTIONS if isinstance(encoding, Int) else FUNCTIONS
    numbers = table[op.name](*(rings.read(t.raw, _operand(op, i).frac) for i, t in enumerate(x)))
    raw, wide = rings.quantize(numbers, encoding.ring, encoding.frac)
    exact = isinstance(encoding, Int) and not any(t.error.any() for t in x)
    return [e.hold(op, raw, wide, 0.0 if exact else np.inf)]


def _engine_exponential(e: Exact, op: ir.Operation, x: Tensor) -> Tensor:
    """(1 + x / 2^8)^(2^8), by squarings that the engine truncates."""
    encoding = _result(op)
    one = 1 << encoding.frac
    power = Tensor(rings.shift_right(x.raw, EXP_STEPS) + one, np.ldexp(x.error, -EXP_STEPS) + TRUNCATION_ULPS)
    for _ in range(EXP_STEPS):
        number = rings.to_float(power.raw)
        error = _product_error(power, power, np.multiply)
        power = e.hold(op, power.raw * power.raw, number * number, error, dropped=encoding.frac)
    if op.name == "stablehlo.exponential":
        return power
    return e.hold(op, power.raw - one, rings.to_float(power.raw) - one, power.error)


# Casts and control flow


def _cast(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    cast = Cast(_operand(op), _result(op))
    if not cast.shift_right:
        return [_scaled(e, op, x[0], cast.shift_left)]
    raw = rings.shift_right(x[0].raw, cast.shift_right)
    error = np.ldexp(x[0].error, -cast.shift_right) + CAST_ULPS
    return [e.hold(op, raw, rings.to_float(raw), error)]


def _while(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    condition, body = (region.blocks[0] for region in op.regions)
    while e.run(condition, x)[0].raw != 0:
        x = e.run(body, x)
    return x


def _branch(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """`if` and `case`; an index out of range chooses the last branch."""
    blocks = [region.blocks[0] for region in op.regions]
    index = int(x[0].raw)
    if op.name == "stablehlo.if":
        index = 0 if index else 1
    chosen = e.run(blocks[index if 0 <= index < len(blocks) else -1], [])
    if x[0].error > 0:
        return [Tensor(tensor.raw, np.full(tensor.raw.shape, np.inf)) for tensor in chosen]
    return chosen


EXACT: dict[str, Rule[Tensor]] = {
    "stablehlo.constant": _constant,
    "stablehlo.iota": _iota,
    **dict.fromkeys(MOVES, _move),
    "stablehlo.optimization_barrier": _forward,
    "stablehlo.reduce_precision": _forward,
    "stablehlo.add": _add,
    "stablehlo.subtract": _subtract,
    "stablehlo.negate": _negate,
    "stablehlo.abs": _abs,
    "stablehlo.sign": _sign,
    "stablehlo.maximum": _extremum(np.maximum),
    "stablehlo.minimum": _extremum(np.minimum),
    "stablehlo.clamp": _clamp,
    "stablehlo.compare": _compare,
    "stablehlo.is_finite": _is_finite,
    "stablehlo.select": _select,
    "stablehlo.multiply": _multiply,
    "chlo.square": _multiply,
    "stablehlo.dot": _dot,
    "stablehlo.dot_general": _dot,
    "stablehlo.convolution": _convolution,
    "stablehlo.reduce": _reduce,
    "stablehlo.reduce_window": _reduce_window,
    "stablehlo.sort": _sort,
    "stablehlo.convert": _convert,
    "stablehlo.floor": _rounding(lambda raw, frac: raw >> frac),
    "stablehlo.ceil": _rounding(lambda raw, frac: -(-raw >> frac)),
    "stablehlo.round_nearest_even": _rounding(_nearest),
    "stablehlo.round_nearest_afz": _rounding(_nearest_away),
    "stablehlo.and": _bitwise(np.bitwise_and),
    "stablehlo.or": _bitwise(np.bitwise_or),
    "stablehlo.xor": _bitwise(np.bitwise_xor),
    "stablehlo.not": _not,
    "stablehlo.shift_left": _bitwise(np.left_shift),
    "stablehlo.shift_right_arithmetic": _bitwise(np.right_shift),
    "stablehlo.shift_right_logical": _shift_right_logical,
    "stablehlo.popcnt": _popcnt,
    **dict.fromkeys(FUNCTIONS, _function),
    "stablehlo.divide": _divide,
    **{f"ditto.{name}": _cast for name in ("downcast", "upcast", "rescale")},
    "stablehlo.while": _while,
    "stablehlo.case": _branch,
    "stablehlo.if": _branch,
}
"""How to compute each op of the table of supported ops, and casts."""

Exact.rules = EXACT
