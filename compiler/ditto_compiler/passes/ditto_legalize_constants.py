"""The pass `ditto-legalize-constants`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import ml_dtypes
import numpy as np

from ditto_compiler import building
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.diagnostics import ErrorCollector, source_location
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import Fxp
from ditto_compiler.intervals import INFINITE
from ditto_compiler.ir import (
    clone_op,
    defining_op,
    element_type,
    encoding_of,
    ir,
    nested_ops,
    numel,
)
from ditto_compiler.matcher import row_statistic
from ditto_compiler.op_attributes import MIRRORED, direction_of, shape_of
from ditto_compiler.ops import OPS, Kind, is_layout
from ditto_compiler.ops.scales import is_product
from ditto_compiler.pass_base import Pass
from ditto_compiler.spu.domains import largest_product
from ditto_compiler.spu.literals import fits
from ditto_compiler.structure import constant, constant_numbers, constant_of_array, reducer, through_repeating

ROOM = 5
"""Bits between what stands for infinity and the end of a ring's range: several of them can be added."""

LARGEST = 2.0**20
"""What stands for infinity where wider rings would hold more: products of it must fit, too."""

LEAST = 2.0**12
"""What stands for infinity at least, where there is room: far below any score that counts."""


@dataclass(frozen=True)
class DittoLegalizeConstants(Pass):
    """Let fixed-point numbers stand for infinities and for the huge numbers of masks, or reject them.

    A constant that its encoding cannot hold, or from 2^24 on, is not a number to calculate with, but stands
    for infinity: -inf, -1e9 or the least float in front of a softmax, the start of a maximum. Where the
    program uses it so, it becomes a number that fixed point holds and that is further out than every number
    it meets. It may be compared, mixed with numbers by a selection (or padding, or a product with 0 and 1),
    moved and shifted, and must end in an extremum, a comparison, exp, or another function that levels off.

    - only compared and selected, or the start of a reduction: infinity itself, which is held beyond every
      number, at any scale
    - added to, scaled or cast as well: 2^(ring - 5 - frac) of the narrowest encoding on the way, at most
      2^20; where the numbers beside it have a known bound, a power of two from four times that on, at least
      2^12. If they have none, `ditto.range` says of them what is assumed: at most half of it, unless they
      are products, which must be smaller to be truncated

    With `beside`, `ditto.infinity` marks every op whose result has elements that stand for infinity, and
    `ditto.reach` an extremum that leaves none: how large its result gets, if that is known.

    Requires: casts inserted. Keeps: c2.

    Before:

        %0 = stablehlo.constant dense<-1.0e9> : tensor<4xf32, #ditto.fxp<32, 10>>
        %1 = stablehlo.select %mask, %x, %0 : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
        %2 = stablehlo.subtract %1, %max : tensor<4xf32, #ditto.fxp<32, 10>>
        %3 = stablehlo.exponential %2 : tensor<4xf32, #ditto.fxp<32, 10>>

    After:

        %0 = stablehlo.constant dense<-1.310720e+05> : tensor<4xf32, #ditto.fxp<32, 10>>
        (the same otherwise)

    Errors: a NaN; a constant that does not fit, or from 2^24 on if ranges were measured, and is used as a
    number; infinity among the results; a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-legalize-constants"
    beside: bool = False
    """Whether ditto-assign-rings follows, which has to know what stands for infinity where."""

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-insert-casts")
        analysis = RangeAnalysis(entry)
        flows: list[_Flow] = []
        constants = [
            op
            for op in nested_ops(entry.operation)
            if op.name == "stablehlo.constant" and isinstance(encoding_of(op.results[0]), Fxp)
        ]
        measured = any(names.RANGE in op.attributes for op in nested_ops(entry.operation))
        uses = [op for constant_op in constants for op in _one_per_use(constant_op)]
        elsewhere: dict[ir.Value, frozenset[float]] = {}
        met = True
        while met:
            found = [_flow_of(op, analysis, errors, elsewhere, measured=measured) for op in uses]
            errors.raise_if_any()
            flows = [flow for flow in found if flow is not None]
            # Pattern: max(x, y), where elements of both stand for infinity, each from a constant of its own
            before = elsewhere
            elsewhere = _union(flows)
            met = any(flow.meets(elsewhere, before) for flow in flows)
        for flow in flows:
            flow.settle(errors)
        errors.raise_if_any()
        for flow in flows:
            flow.write(flows, beside=self.beside)
        for flow in flows:
            flow.decide(flows)


def _one_per_use(op: ir.Operation) -> list[ir.Operation]:
    """A constant with huge elements, once for each use: where a maximum starts is not what a mask adds."""
    if not _huge(op):
        return [op]
    clones = [op]
    for use in list(op.results[0].uses)[1:]:
        clone = clone_op(op, {}, ir.InsertionPoint(op))
        use.owner.operation.operands[use.operand_number] = clone.results[0]
        clones.append(clone)
    return clones


def _huge(op: ir.Operation) -> list[float]:
    """The elements of a constant that may stand for infinity."""
    encoding = encoding_of(op.results[0])
    assert isinstance(encoding, Fxp)
    numbers = [float(x) for x in constant_numbers(op)]
    return [x for x in numbers if not math.isnan(x) and (abs(x) >= INFINITE or not fits(x, encoding))]


def _union(flows: Iterable[_Flow]) -> dict[ir.Value, frozenset[float]]:
    """The signs of what stands for infinity in each value, from whatever constant."""
    signs: dict[ir.Value, frozenset[float]] = {}
    for flow in flows:
        for value, found in flow.signs():
            signs[value] = signs.get(value, frozenset()) | found
    return signs


def _flow_of(
    op: ir.Operation,
    analysis: RangeAnalysis,
    errors: ErrorCollector,
    elsewhere: Mapping[ir.Value, frozenset[float]],
    *,
    measured: bool,
) -> _Flow | None:
    """Where the huge elements of a constant go; None if there are none, or if it is an ordinary number.

    Where ranges were measured it may not be one: calibration leaves what may stand for infinity out.
    """
    encoding = encoding_of(op.results[0])
    assert isinstance(encoding, Fxp)
    numbers = [float(x) for x in constant_numbers(op)]
    if any(map(math.isnan, numbers)):
        errors.add(
            _first_known(op),
            "it uses NaN, which cannot be shared: fixed point holds numbers; select one instead",
        )
        return None
    if _is_divisor(op.results[0]):
        if 0.0 in numbers:
            errors.add(_first_known(op), "it divides by a constant that is 0, at least in places")
        return None
    huge = _huge(op)
    if not huge:
        return None
    signs = {math.copysign(1.0, x) for x in huge}
    flow = _Flow(op, signs, len(huge) == len(numbers), analysis, elsewhere)
    flow.follow()
    if flow.problem is None:
        return flow
    where, text = flow.problem
    if not all(fits(x, encoding) for x in huge):
        worst = max(huge, key=abs)
        errors.add(
            _first_known(op),
            f"it uses the constant {worst:.6g}, which does not fit {encoding} with its magnitudes below "
            f"{2.0 ** (encoding.ring - 2 - encoding.frac):.6g} and does not stand for infinity: {text}. Give "
            "the op a rule with a wider ring or fewer frac bits, or write a mask as "
            "jnp.where(mask, x, -jnp.inf)",
            *(() if where == op else ((where, "where it is used as a number"),)),
        )
    elif measured:
        worst = max(huge, key=abs)
        errors.add(
            _first_known(op),
            f"it uses the constant {worst:.6g}, which does not stand for infinity: {text}. Calibration "
            f"leaves out numbers from {INFINITE:.0f} on where such a constant went in, so nobody knows how "
            "large they get; scale the numbers, or compile without ranges",
            *(() if where == op else ((where, "where it is used as a number"),)),
        )
    return None


class _Flow:
    """Where what stands for infinity goes from a constant.

    Args:
        constant: the constant.
        signs: -1 for minus infinity, 1 for infinity.
        whole: whether no element of the constant is an ordinary number.
        analysis: ranges of the function.
        elsewhere: signs of what else stands for infinity in values, as far as it is known.

    Attributes:
        problem: an op that calculates with it, and how.
    """

    def __init__(
        self,
        constant: ir.Operation,
        signs: set[float],
        whole: bool,
        analysis: RangeAnalysis,
        elsewhere: Mapping[ir.Value, frozenset[float]],
    ) -> None:
        self.problem: tuple[ir.Operation, str] | None = None
        self._constant = constant
        self._analysis = analysis
        self._elsewhere = elsewhere
        self._state: dict[ir.Value, tuple[frozenset[float], bool]] = {}
        self._pending: list[ir.Value] = []
        self._shifted = False
        self._beside: dict[ir.Value, None] = {}
        """Values whose numbers it meets."""
        self._compared: list[tuple[ir.Operation, int]] = []
        """Comparisons that it is on one side of: 0 or 1."""
        self._ended: list[ir.Operation] = []
        """Extrema with a number on the other side of which it never is."""
        self._reduced: set[ir.Value] = set()
        """First results of reductions of which it is among the operands, not only where they start."""
        self._size = 0.0
        self._reach(constant.results[0], frozenset(signs), whole)

    def _reach(self, value: ir.Value, signs: frozenset[float], whole: bool) -> None:
        """Notes that elements of a value stand for infinity; `whole` if all do."""
        old_signs, old_whole = self._state.get(value, (frozenset(), True))
        new = (old_signs | signs, old_whole and whole)
        if value not in self._state or new != (old_signs, old_whole):
            self._state[value] = new
            self._pending.append(value)

    def follow(self) -> None:
        """Follows all uses, until they end or one is a problem."""
        while self._pending and self.problem is None:
            value = self._pending.pop()
            for use in value.uses:
                self._visit(use.owner.operation, use.operand_number, value)
                if self.problem is not None:
                    return

    def _visit(self, op: ir.Operation, index: int, value: ir.Value) -> None:
        signs, whole = self._state[value]
        if names.MAX_ABS in op.attributes and not is_layout(op):
            return  # a form sees to it that only numbers get here
        name = op.name.partition(".")[2]
        if op.name in names.CASTS:
            self._shifted = True
            self._reach(op.results[0], signs, whole)
        elif op.name in OPS and OPS[op.name].kind is Kind.TERMINATOR:
            self._returned(op, index, signs, whole)
        elif op.name in ("stablehlo.while", "stablehlo.reduce", "stablehlo.reduce_window", "stablehlo.sort"):
            self._entered(op, index, signs, whole)
        elif is_layout(op) or name == "convert":
            others = [v for v in op.operands if v != value and isinstance(encoding_of(v), Fxp)]
            self._mix(op, signs, whole and not others, others)
        elif name == "select" and index:
            other = op.operands[3 - index]
            self._mix(op, signs, False, [other])
        elif name in ("add", "subtract"):
            other = op.operands[1 - index]
            # Pattern: x - max(x), which is not positive; where all of a row stand for infinity, it is 0
            if name == "subtract" and index == 1 and row_statistic(op.results[0], *op.operands) is not None:
                return
            flipped = frozenset(-s for s in signs) if name == "subtract" and index == 1 else signs
            if whole and other not in self._state:
                self.problem = op, "it is added to numbers"
                return
            self._shifted = True
            self._mix(op, flipped, whole and self._state.get(other, (signs, False))[1], [other])
        elif name == "multiply":
            self._multiplied(op, op.operands[1 - index], signs, whole)
        elif name == "divide" and index == 0 and (divisor := constant(op.operands[1])):
            self._scaled(op, signs, whole, divisor)
        elif name == "negate":
            self._mix(op, frozenset(-s for s in signs), whole, [])
        elif name == "abs":
            self._mix(op, frozenset({1.0}), whole, [])
        elif name in ("maximum", "minimum"):
            self._extremum(op, op.operands[1 - index], name, signs, whole)
        elif name == "clamp":
            self._clamped(op, index, signs)
        elif name == "compare":
            self._beside[op.operands[1 - index]] = None
            self._compared.append((op, index))
        elif not _ends(name, signs):
            self.problem = op, f"'{op.name}' calculates with it"

    def _mix(self, op: ir.Operation, signs: frozenset[float], whole: bool, others: list[ir.Value]) -> None:
        for other in others:
            if other not in self._state:
                self._beside[other] = None
        for result in op.results:
            if isinstance(encoding_of(result), Fxp):
                self._reach(result, signs, whole)

    def _multiplied(self, op: ir.Operation, other: ir.Value, signs: frozenset[float], whole: bool) -> None:
        if _is_bit_valued(other):
            # Pattern: bit * -1e9, a mask's other spelling
            self._reach(op.results[0], signs, False)
            return
        factor = constant(other)
        if factor is None or not factor or whole:
            self.problem = op, "it is multiplied"
            return
        self._scaled(op, signs, whole, 1 / factor)

    def _scaled(self, op: ir.Operation, signs: frozenset[float], whole: bool, divisor: float) -> None:
        self._shifted = True
        self._mix(op, frozenset(s * math.copysign(1.0, divisor) for s in signs), whole, [])

    def _extremum(
        self, op: ir.Operation, other: ir.Value, name: str, signs: frozenset[float], whole: bool
    ) -> None:
        losing = -1.0 if name == "maximum" else 1.0
        self._beside[other] = None
        left = signs - {losing}
        also = self._state[other][0] if other in self._state else self._also_in(other, self._elsewhere)
        if losing in signs & also:
            left |= {losing}
        if left:
            self._mix(op, left, False, [other])
        else:
            self._ended.append(op)

    @staticmethod
    def _also_in(value: ir.Value, elsewhere: Mapping[ir.Value, frozenset[float]]) -> frozenset[float]:
        """What stands for infinity in a value, from other constants.

        What a reduction starts from ends with the first element; what elements are is followed from theirs.
        """
        owner = value.owner
        if isinstance(owner, ir.Block) and owner.owner.operation.name.startswith("stablehlo.reduce"):
            return frozenset()
        return elsewhere.get(value, frozenset())

    def signs(self) -> Iterator[tuple[ir.Value, frozenset[float]]]:
        """What it reaches, with the signs of infinity there."""
        return ((value, signs) for value, (signs, _) in self._state.items())

    def meets(
        self, now: Mapping[ir.Value, frozenset[float]], before: Mapping[ir.Value, frozenset[float]]
    ) -> bool:
        """Whether an extremum that ended it has infinity on its other side, too, as was not known before."""
        for op in self._ended:
            if op.name in ("stablehlo.maximum", "stablehlo.minimum"):
                losing = -1.0 if op.name == "stablehlo.maximum" else 1.0
                for value in op.operands:
                    also = self._also_in(value, now) - self._also_in(value, before)
                    if value not in self._state and losing in also:
                        return True
        return False

    def _clamped(self, op: ir.Operation, index: int, signs: frozenset[float]) -> None:
        # As a bound it is one that nothing reaches, or that everything does.
        useless = {0: {-1.0}, 2: {1.0}}.get(index, set())
        self._beside[op.operands[1]] = None
        self._ended.append(op)
        if index != 1 and signs != useless:
            self.problem = op, "it is a bound that no number keeps"

    def _entered(self, op: ir.Operation, index: int, signs: frozenset[float], whole: bool) -> None:
        """Reaches what the operand becomes in the op's regions, and the result where that follows from it."""
        if op.name == "stablehlo.while":
            for region in op.regions:
                self._reach(region.blocks[0].arguments[index], signs, False)
            self._reach(op.results[index], signs, False)
            return
        half = len(op.operands) // 2
        if op.name == "stablehlo.sort":
            self._reach(op.results[index], signs, whole)
            return
        kind = reducer(op)
        if kind in ("maximum", "minimum"):
            losing = -1.0 if kind == "maximum" else 1.0
            # The start of an extremum meets numbers; where whole rows are masked, what stands there wins.
            left = signs if index < half else signs - {losing}
            if left:
                self._mix(op, left, False, [])
            if index >= half:
                self._beside[op.operands[index - half]] = None
        elif kind is not None:
            self.problem = op, f"it is reduced by {kind}"
        else:
            if index < half:
                self._reduced.add(op.results[0])
            else:
                self._beside[op.operands[index - half]] = None
            body = op.regions[0].blocks[0]
            for position in (index % half, index % half + half):
                self._reach(body.arguments[position], signs, False)

    def _returned(self, op: ir.Operation, index: int, signs: frozenset[float], whole: bool) -> None:
        holder = op.parent
        assert holder is not None
        if op.name == "func.return":
            self.problem = op, "it is among the results, which are numbers"
        elif holder.name == "stablehlo.while":
            self._entered(holder.operation, index, signs, whole)
        elif holder.name.startswith("stablehlo.reduce"):
            arguments = holder.operation.regions[0].blocks[0].arguments
            half = len(arguments) // 2
            for position in (index, index + half):
                self._reach(arguments[position], signs, False)
            # A reduction that only starts from it ends with a number.
            if holder.operation.results[0] in self._reduced:
                self._reach(holder.operation.results[index], signs, False)
        else:
            self._reach(holder.operation.results[index], signs, False)

    def _encodings(self) -> Iterator[Fxp]:
        for value in self._state:
            encoding = encoding_of(value)
            if isinstance(encoding, Fxp):
                yield encoding

    def settle(self, errors: ErrorCollector) -> None:
        """Chooses the magnitude of the number that is to stand for infinity."""
        most = float(ml_dtypes.finfo(numpy_dtype(element_type(self._constant.results[0]))).max)
        if not self._shifted:
            self._size = math.inf
            return
        limit = min(LARGEST, 2.0 ** math.floor(math.log2(most / 2)))
        limit = min(limit, *(math.ldexp(1.0, e.ring - ROOM - e.frac) for e in self._encodings()))
        numbers = [value for value in self._beside if value not in self._state]
        bound = max((self._analysis.of(value).largest for value in numbers), default=0.0)
        if math.isinf(bound):
            self._size = limit
        elif 2 * bound + 64 > limit:
            errors.add(
                _first_known(self._constant),
                f"numbers up to {bound:.3g} stand beside infinity, or a huge constant of a mask, and nothing "
                "that the ring holds is far enough from them to stand for it; give the op a rule with a "
                "wider ring or fewer frac bits",
            )
        else:
            self._size = min(limit, max(LEAST, 2.0 ** math.ceil(math.log2(4 * bound or 1))))

    def write(self, flows: Sequence[_Flow], *, beside: bool) -> None:
        """Puts the number in the constant's place, and says what is assumed of those beside it."""
        size = self._size
        for other in flows:
            # Pattern: x > -inf, where x holds what stands for it, changed perhaps
            meets = any(op.operands[1 - index] in other._state for op, index in self._compared)
            if other is not self and other._shifted and meets:
                size = min(size, other._size / 2)
        result = self._constant.results[0]
        encoding = encoding_of(result)
        assert isinstance(encoding, Fxp)
        numbers = np.array([float(x) for x in constant_numbers(self._constant)])
        huge = [abs(x) >= INFINITE or not fits(x, encoding) for x in numbers]
        replaced = np.where(huge, np.copysign(size, numbers), numbers)
        held = replaced.astype(numpy_dtype(element_type(result)))
        shape = shape_of(result)
        filled = np.broadcast_to(held.reshape(()), shape) if held.size == 1 else held.reshape(shape)
        self._constant.attributes["value"] = constant_of_array(filled, result.type)
        if self._shifted:
            for op in filter(None, map(defining_op, self._state)):
                if names.RANGE in op.attributes or (beside and op.name != "stablehlo.constant"):
                    before = names.get_attribute(op, names.INFINITY)
                    least = size / 2 if before is None else min(size / 2, ir.FloatAttr(before).value)
                    op.attributes[names.INFINITY] = ir.FloatAttr.get_f64(least)
            for op in self._ended if beside else ():
                bound = self._analysis.bound(op.results[0])
                if bound < math.inf and not any(op.results[0] in flow._state for flow in flows):
                    op.attributes[names.REACH] = ir.FloatAttr.get_f64(bound)
            for value in self._beside:
                is_unknown = math.isinf(self._analysis.of(value).largest)
                if is_unknown and not _carries(value, flows) and not _must_be_below(value, size / 2):
                    _set_bound(value, size / 2)

    def decide(self, flows: Iterable[_Flow]) -> None:
        """Drops comparisons with it: all numbers that the ring holds are on one side."""
        for op, index in self._compared:
            signs, whole = self._state[op.operands[index]]
            other = op.operands[1 - index]
            if self._shifted or not whole or len(signs) > 1 or any(other in flow._state for flow in flows):
                continue
            # [other < this], for a comparison of the two in any order.
            less = signs == {1.0}
            direction = direction_of(op) if index == 1 else MIRRORED[direction_of(op)]
            holds = {"LT": less, "LE": less, "GT": not less, "GE": not less, "EQ": False, "NE": True}[
                direction
            ]
            _replace_predicate(op, holds)


def _carries(value: ir.Value, flows: Iterable[_Flow]) -> bool:
    """Whether elements of a value stand for infinity, or do where all of a row is masked."""
    if any(value in flow._state for flow in flows):
        return True
    op = defining_op(value)
    if op is None or not (is_layout(op) or op.name in names.CASTS or op.name == "stablehlo.reduce"):
        return False
    sources = list(op.operands)
    if op.name == "stablehlo.reduce":
        sources = sources[: len(sources) // 2]
    return any(_carries(source, flows) for source in sources)


def _must_be_below(value: ir.Value, bound: float) -> bool:
    """Whether a value is a product, which is truncated only if it is smaller than that anyhow."""
    op, encoding = defining_op(value), encoding_of(value)
    assert isinstance(encoding, Fxp)
    return op is not None and is_product(op) and largest_product(encoding.ring, encoding.frac) <= bound


def _replace_predicate(op: ir.Operation, holds: bool) -> None:
    """Puts a known boolean in the place of a comparison, and what they select in that of its selections."""
    result = op.results[0]
    for use in list(result.uses):
        user = use.owner.operation
        if user.name == "stablehlo.select" and use.operand_number == 0:
            user.results[0].replace_all_uses_with(user.operands[1 if holds else 2])
    result.replace_all_uses_with(building.splat(holds, result.type, before=op))


def _first_known(op: ir.Operation) -> ir.Operation:
    """The constant, or its first user with a place in a file: folding leaves constants without one."""
    users = [use.owner.operation for use in op.results[0].uses]
    return next((o for o in (op, *users) if source_location(o.location).file is not None), op)


def _ends(name: str, signs: frozenset[float]) -> bool:
    """Whether an op gives the right number for infinity."""
    if name in ("exponential", "exponential_minus_one"):
        return signs == {-1.0}
    return name in ("tanh", "logistic", "sign", "erf", "erfc", "is_finite")


def _is_divisor(value: ir.Value) -> bool:
    """Whether a constant only divides: then only its reciprocal is held."""
    pending, divides = [value], False
    while pending:
        for use in pending.pop().uses:
            op = use.owner.operation
            if op.name in ("stablehlo.broadcast_in_dim", "stablehlo.reshape"):
                pending.append(op.results[0])
            elif op.name == "stablehlo.divide" and use.operand_number == 1:
                divides = True
            else:
                return False
    return divides


def _is_bit_valued(value: ir.Value) -> bool:
    """Whether every element is 0 or 1: booleans as numbers, and what is made of them."""
    op = defining_op(through_repeating(value))
    if op is None:
        return False
    if op.name == "stablehlo.convert":
        return element_type(op.operands[0]) == "i1" or _is_bit_valued(op.operands[0])
    if op.name == "stablehlo.constant":
        return set(constant_numbers(op)) <= {0, 1}
    if op.name == "stablehlo.subtract":
        # Pattern: 1 - bit
        return constant(op.operands[0]) == 1.0 and _is_bit_valued(op.operands[1])
    if op.name == "stablehlo.select":
        return _is_bit_valued(op.operands[1]) and _is_bit_valued(op.operands[2])
    return (op.name == "stablehlo.multiply" or is_layout(op) or op.name in names.CASTS) and all(
        map(_is_bit_valued, op.operands)
    )


def _set_bound(value: ir.Value, bound: float) -> None:
    """States what is assumed of a value's magnitude."""
    op = defining_op(value)
    attribute = ir.DenseF64ArrayAttr.get([-bound, bound])
    if op is not None:
        if len(op.results) == 1:
            op.attributes[names.RANGE] = attribute
        return
    holder = value.owner.owner
    if holder.operation.name == "func.func" and numel(value):
        attributes = names.argument_attributes(holder)
        attributes[ir.BlockArgument(value).arg_number][names.RANGE] = attribute
        names.set_argument_attributes(holder, attributes)
