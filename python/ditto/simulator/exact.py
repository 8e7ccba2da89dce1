"""The exact domain: ring elements as the parties' shares add up to, but for the parties' rounding.

Where the protocols round at random, the simulator rounds to nearest. Each element carries a bound on how
far the parties' result can be from it, in units of its last place (ulp):

| operation                         | the parties' - the real result   | the parties' - the simulated |
|-----------------------------------|----------------------------------|------------------------------|
| sum, move, integer product        | 0                                | what the operands have       |
| cast that drops bits              | below 3/2 ulp (protocols.md)     | below 2 ulp                  |
| product that the engine truncates | below 1 ulp                      | below 3/2 ulp                |
| product beside it that drops bits | below 3/2 ulp (protocols.md)     | below 2 ulp                  |
| one-shot function                 | `Terms.error`, and `rounding`    | `rounding`                   |
| 1/x, log, other approximations    | `ditto_compiler.spu.domains`     | `engine_functions.ULPS`      |
| the same, out of their domain     | any number                       | infinite                     |
| comparison of x and y             | 0 or 1                           | 1 if |x - y| is within error |

The engine asks of every number that |x| * 2^frac < 2^(ring-2). Beside it (`ditto.beside`) rings are as narrow
as numbers allow, and each op asks for what its protocol needs: the result fits the ring, |x| < 2^(ring-1);
what is widened is below 2^(ring-2); the difference of what is compared fits the ring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jax import Array
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ditto.simulator import ring as rings
from ditto.simulator.choices import CAST_ULPS
from ditto.simulator.interpreter import (
    Interpreter,
    Rule,
    dropped_bits,
    is_beside,
    moved,
    spare_bits,
    value_encoding,
)
from ditto.simulator.overflow import Finding, OutOfDomain, Overflow
from ditto.simulator.ring import Floats, Raw
from ditto_compiler.diagnostics import SourceLocation, source_location
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import Encoding, Fxp, Int
from ditto_compiler.ir import element_type, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.spu.literals import held

Functions = Literal["ideal", "engine"]

STATED_SLACK = 1.02
"""What rounding may add to a bound that a form states."""

MEASURED_SLACK = 1.0
"""How far a value may leave the range that was measured, in parts of its larger end: the compiler's."""

GUARD_SLACK = 2.0**-7
"""Likewise in a guarded program, see ditto-insert-guards."""

TRUNCATION_ULPS = 1.5
"""The engine's truncation rounds up or down: 1 ulp, and 1/2 here."""


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
        rules: `EXACT`.
        functions: "engine" computes fixed-point functions as the engine does; "ideal" evaluates them in
            float64 and rounds.
        is_secret: whether a value of the program is; the engine computes some functions of public ones
            otherwise.
        generator: of the shares by which what is truncated is off, rather than rounded to nearest.

    Attributes:
        overflows: what left its range or domain, by the op that made it, in order.
    """

    def __init__(
        self,
        rules: Mapping[str, Rule[Tensor]],
        functions: Functions = "engine",
        is_secret: Callable[[ir.Value], bool] = lambda value: True,
        slack: float = MEASURED_SLACK,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__(rules)
        self._generator = generator
        self._slack = slack
        self.functions = functions
        self.is_secret = is_secret
        self.overflows: dict[object, Finding] = {}

    def input(self, argument: ir.Value, index: int, array: NDArray[Any]) -> Tensor:
        """An argument of the entry function: the caller's input number `index`, as the caller encodes it."""
        encoding = value_encoding(argument)
        if isinstance(encoding, Int):
            return exactly(rings.of_integers(array, encoding.ring))
        raw, wide = rings.quantize(array.astype(np.float64), encoding.ring, encoding.frac)
        origin = f"input {index}"
        exact = exactly(raw)
        return Tensor(raw, self.check(origin, origin, SourceLocation(), raw, wide, encoding, exact.error))

    def literal(self, op: ir.Operation, numbers: Sequence[float]) -> Tensor:
        """As in the base class."""
        encoding, shape = result_encoding(op), shape_of(op.results[0])
        if isinstance(encoding, Fxp):
            # Beside the engine a constant may wrap around, as all that is only added or multiplied.
            modular = is_beside(op) and all(map(math.isfinite, numbers))
            whole = [
                round(math.ldexp(number, encoding.frac)) if modular else held(float(number), encoding)
                for number in map(float, numbers)
            ]
            raw = rings.as_raw(whole, encoding.ring) if modular else rings.wrap(whole, encoding.ring)
        else:
            # As objects: of integers on both sides of 2^63 numpy makes floats.
            raw = rings.of_integers(np.array([int(number) for number in numbers], object), encoding.ring)
        return exactly(np.broadcast_to(raw.reshape(()), shape) if raw.size == 1 else raw.reshape(shape))

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
            dropped: bits that a product has below the result's, to be truncated.
        """
        encoding = result_encoding(op)
        if dropped and is_beside(op):
            # The ring of the product is wider by these bits, and loses them at its lower end.
            exact = rings.wrap(integers, encoding.ring + dropped)
            integers, wide = self.truncated(exact, dropped), np.ldexp(wide, -dropped)
            error, dropped = np.ldexp(error, -dropped) + CAST_ULPS, 0
        raw = rings.wrap(integers, encoding.ring)
        if isinstance(encoding, Int):
            # The parties' may have more bits than the type, which nobody reads.
            raw = rings.of_integers(rings.to_integers(raw, result_dtype(op)), encoding.ring)
        bound = np.broadcast_to(np.asarray(error, np.float64), raw.shape)
        if isinstance(encoding, Fxp):
            wide = np.broadcast_to(np.asarray(wide, np.float64), raw.shape)
            bound = self.check(
                op,
                op.name,
                source_location(op.location),
                raw,
                wide,
                encoding,
                bound,
                truncated=dropped,
                spare=spare_bits(op),
            )
        if dropped:
            raw = rings.as_raw(self.truncated(raw, dropped), encoding.ring)
            bound = np.asarray(np.ldexp(bound, -dropped) + TRUNCATION_ULPS)
        return Tensor(raw, bound)

    def truncated(self, raw: Raw, bits: int, of: ir.Value | None = None) -> Raw:
        """raw / 2^bits, rounded to nearest, or as by parties with random shares.

        Args:
            raw: ring elements.
            bits: to be dropped.
            of: the value that has them, if its slots are what they were made as: copies of a number have the
                same, and are truncated alike.
        """
        if self._generator is None or not bits:
            return rings.shift_right(raw, bits)
        source, chain = (None, []) if of is None else moved(of)
        shape = raw.shape if source is None else tuple(shape_of(source))
        slots = self._generator.integers(0, 1 << min(bits, 62), (2, *shape), np.int64)
        lost = exactly(rings.as_raw(slots.sum(axis=0), 128 if raw.dtype == object else 64))
        for op in chain:
            (lost,) = self.rules[op.name](self, op, [lost])
        return rings.shift_right_on_shares(raw, bits, lost.raw)

    def noisy(self, raw: Raw, deviation: float) -> Raw:
        """With noise, rounded, in units of the last place, as parties with random shares add it."""
        if self._generator is None:
            return raw
        noise = np.rint(self._generator.normal(0.0, deviation, raw.shape)).astype(np.int64)
        return np.asarray(raw + noise)

    def check(
        self,
        key: object,
        name: str,
        location: SourceLocation,
        raw: Raw,
        wide: Floats,
        encoding: Encoding,
        error: Floats,
        *,
        truncated: int = 0,
        spare: int = 2,
    ) -> Floats:
        """Reports elements that do not fit; gives the error, infinite where the parties' may not fit.

        There is one report for each `key`. The other arguments are as for `hold` and `Overflow`.
        """
        limit = 1 << (encoding.ring - spare)
        least = -limit if spare == 1 else 1 - limit
        # What is so far inside that no rounding matters is soon seen to be.
        inside = limit * (1 - 2.0**-40) - 1
        reach = max(float(wide.max()), -float(wide.min())) if wide.size else 0.0
        if wide.size and reach + float(error.max()) < inside:
            return error
        held = rings.to_float(raw)
        # Far more than `wide` is rounded by, and less than what wrapped around or was put elsewhere is off.
        moved = ~(np.abs(wide - held) < max(1.0, 2.0 ** (encoding.ring - 3)))
        unsafe = np.asarray(moved | (raw >= limit) | (raw < least), np.bool_)
        if unsafe.any():
            found = np.where(moved, wide, held)[unsafe]
            worst = largest(np.ldexp(found, -(encoding.frac + truncated)))
            self.report(key, Overflow(name, location, worst, encoding, truncated, found.size, spare=spare))
        stays = (held + error < limit) & (held - error >= least)
        return np.where(unsafe | ~stays, np.inf, error)

    def report(self, key: object, finding: Finding) -> None:
        """Notes a finding; of several of one op, as in a loop, that of the largest value."""
        before = self.overflows.get(key)
        if before is None or not abs(finding.value) <= abs(before.value):
            self.overflows[key] = finding

    def check_domain(
        self, op: ir.Operation, numbers: Floats, inside: NDArray[np.bool_], domain: str, outside: str
    ) -> None:
        """Reports `numbers`, arguments of `op`, that are not inside of its domain."""
        found = np.broadcast_to(numbers, inside.shape)[~inside]
        if found.size:
            location = source_location(op.location)
            # Beside what leaves its range, which goes by the op alone.
            finding = OutOfDomain(op.name, location, largest(found), domain, outside, found.size)
            self.report((op, domain), finding)

    def finished(self, op: ir.Operation, results: list[Tensor]) -> list[Tensor]:
        """As in the base class: what forms say of their values, and calibration, must be true of them."""
        measured = names.get_attribute(op, names.RANGE)
        # Of a one-shot function, that is what its ring was made for, which may have been measured.
        stated = None if op.name == names.ONESHOT else names.get_attribute(op, names.MAX_ABS)
        if not isinstance(result_encoding(op), Fxp) or (measured is None and stated is None):
            return results
        (result,), frac = results, result_encoding(op).frac
        numbers = rings.read(result.raw, frac)
        rounding = np.ldexp(16.0, -frac)
        inside = np.ones(numbers.shape, np.bool_)
        if isinstance(stated, ir.FloatAttr):
            bound = ir.FloatAttr(stated).value
            inside = np.asarray(np.abs(numbers) <= bound * STATED_SLACK + rounding)
            self.check_domain(op, numbers, inside, f"magnitudes up to {bound:.4g}, as its form says", "")
        if measured is not None:
            low, high = ir.DenseF64ArrayAttr(measured)
            margin = self._slack * max(-low, high) + rounding
            within = np.asarray((numbers >= low - margin) & (numbers <= high + margin))
            infinity = names.get_attribute(op, names.INFINITY)
            if infinity is not None:
                within |= np.abs(numbers) >= ir.FloatAttr(infinity).value
            self.check_domain(
                op, numbers, within, f"[{low:.4g}, {high:.4g}], as calibrated or as a mask assumes", ""
            )
            inside &= within
        return results if inside.all() else [Tensor(result.raw, np.where(inside, result.error, np.inf))]


def largest(numbers: Floats) -> float:
    """The one of largest magnitude; NaN when none is a number."""
    known = numbers[~np.isnan(numbers)]
    return float(known[np.argmax(np.abs(known))]) if known.size else float("nan")


def exactly(raw: Raw) -> Tensor:
    """Elements that the parties hold just so."""
    return Tensor(raw, np.broadcast_to(0.0, raw.shape))


def product_ring(op: ir.Operation) -> int:
    """The ring in which a product is exact: beside the engine its result has lost bits."""
    ring = result_encoding(op).ring
    return ring + dropped_bits(op) if is_beside(op) else ring


def result_encoding(op: ir.Operation) -> Encoding:
    """What the first result of `op` is held in."""
    return value_encoding(op.results[0])


def result_dtype(op: ir.Operation) -> np.dtype[Any]:
    """The numpy type of the elements of the first result of `op`."""
    return numpy_dtype(element_type(op.results[0]))


def integers_of(op: ir.Operation, x: Sequence[Tensor]) -> list[NDArray[Any]]:
    """The integers or booleans that the operands of `op` are, in numpy types of their own."""
    pairs = zip(x, op.operands, strict=True)
    return [rings.to_integers(tensor.raw, numpy_dtype(element_type(operand))) for tensor, operand in pairs]


def is_integral(op: ir.Operation) -> bool:
    """Whether the first operand of `op` holds integers or booleans."""
    return isinstance(operand_encoding(op), Int)


def operand_encoding(op: ir.Operation, index: int = 0) -> Encoding:
    """What an operand of `op` is held in."""
    return value_encoding(op.operands[index])


def rearrange(
    tensors: Sequence[Tensor], arrange: Callable[[list[NDArray[np.int32]]], Array | NDArray[np.int32]]
) -> Tensor:
    """Moves elements: `arrange` does so to arrays with the number of each element."""
    ends = np.cumsum([0, *(tensor.raw.size for tensor in tensors)])
    numbers = [
        np.arange(start, start + tensor.raw.size, dtype=np.int32).reshape(tensor.raw.shape)
        for start, tensor in zip(ends[:-1], tensors, strict=True)
    ]
    index = np.asarray(arrange(numbers))
    raw = np.concatenate([tensor.raw.reshape(-1) for tensor in tensors])
    moved = np.asarray(raw[index], raw.dtype)
    if not any(tensor.error.any() for tensor in tensors):
        return exactly(moved)
    return Tensor(moved, np.asarray(np.concatenate([t.error.reshape(-1) for t in tensors])[index]))


def window_numbers(
    numbers: NDArray[np.int32], extents: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> NDArray[np.int32]:
    """The elements in each place of a window: [places..., window...]."""
    reach = [(n - 1) * d + 1 for n, d in zip(extents, dilations, strict=True)]
    steps = [slice(None, None, step) for step in (*strides, *dilations)]
    return sliding_window_view(numbers, reach)[tuple(steps)]
