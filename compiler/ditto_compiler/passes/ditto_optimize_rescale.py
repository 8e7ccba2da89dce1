"""The pass `ditto-optimize-rescale`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.headroom import Headroom
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import constant_at, insert_casts
from ditto_compiler.encoding import Fxp, plan_casts
from ditto_compiler.ir import (
    block_values,
    clone_op,
    defining_op,
    encoding_of,
    func,
    ir,
    nested_ops,
    numel,
    ops_of,
    set_encoding,
    set_function_type,
)
from ditto_compiler.ops import OPS, Kind, Scale, is_layout, is_source
from ditto_compiler.ops.scales import from_integer, home_scale, is_constant, is_free, is_product, scale_of
from ditto_compiler.pass_base import Pass


@dataclass(frozen=True)
class DittoOptimizeRescale(Pass):
    """Rescale as late as the ring allows, as seldom as the ops allow, and for free where a cast follows.

    Every rescale that drops bits is taken out, and values stay as wide as they are computed. In program
    order, a rescale is then put in only where an op cannot take the wide value:

    - `add(rescale(x), rescale(y))` -> `rescale(add(x, y))`: sums, maxima, selections, comparisons and
      moves take any scale, if their values fit the ring at it     [one truncation instead of two]
    - `reduce(add, rescale(x))` -> `rescale(reduce(add, x))`       [one per sum instead of one per term]
    - `downcast(rescale(x))` -> `downcast(x)`                      [a downcast drops bits for free]
    - `upcast(rescale(x))` -> `upcast(x)`, which drops the bits if a fixed-point function follows
    - `rescale(rescale(x))` -> `rescale(x)`; equal rescales are one
    - `return rescale(x)` -> `return x`                            [the caller decodes any scale]
    - two operands of a product keep their bits when the product has room for them; otherwise the policy's,
      or what leaves a small one `significant_bits` (10 bits would leave attention weights near 1/128 just 3)
    - `rescale(f(x))` -> `f(rescale(x))` where f moves or negates elements and x is no larger
    - operands of a fixed-point function (exp, rsqrt, ...) get the runtime's fraction bits

    Adding bits is a local shift, so of two operands the narrower is widened.

    Requires: rescaling explicit. Keeps: c2, c3.

    Before (40 bytes per element: two products and two truncations in ring 32):

        %2 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<32, 20>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
        %3 = "ditto.rescale"(%1) : (tensor<4xf32, #ditto.fxp<32, 20>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
        %4 = stablehlo.add %2, %3 : tensor<4xf32, #ditto.fxp<32, 10>>

    After (32):

        %4 = stablehlo.add %0, %1 : tensor<4xf32, #ditto.fxp<32, 20>>
        %5 = "ditto.rescale"(%4) : (tensor<4xf32, #ditto.fxp<32, 20>>) -> tensor<4xf32, #ditto.fxp<32, 10>>

    Errors: a value that does not fit its ring at any useful scale (names op, range and what to do); a module
    with comparisons of ours.
    """

    name: ClassVar[str] = "ditto-optimize-rescale"
    margin_bits: int = 1
    """Bits kept free above the known magnitude of every value."""
    min_bits: int = 4
    """Fewest fraction bits that a value may be left with; less is an error."""
    significant_bits: int = 14
    """Leading bits of a product's operand that are worth keeping, if the product has room for them."""

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-expand-rescale")
        compares = any(op.name == names.LESS for op in ops_of(entry.entry_block))
        self.check_before("ditto-expand-comparisons", module, has_run=compares)
        _Placer(entry, Headroom(RangeAnalysis(entry), self.margin_bits), self, errors).run()
        errors.raise_if_any()
        set_function_type(entry)


class _Placer:
    def __init__(
        self, entry: func.FuncOp, headroom: Headroom, options: DittoOptimizeRescale, errors: ErrorCollector
    ) -> None:
        self._block = entry.entry_block
        self._headroom = headroom
        self._min_bits = options.min_bits
        self._significant_bits = options.significant_bits
        self._errors = errors
        ops = [op for op in ops_of(self._block) if len(op.results)]
        # By first result: newer bindings hash an op by its content, which changes here.
        self._home = {op.results[0]: home_scale(op) for op in ops}
        self._working = {op.results[0]: _working_bits(op) for op in ops if is_product(op)}
        self._made: dict[tuple[ir.Value, int], ir.Value] = {}

    def run(self) -> None:
        for op in ops_of(self._block):
            # Inputs and constants keep theirs: they are supplied at that scale.
            if op.name == "ditto.rescale" and not is_free(op.operands[0]):
                op.results[0].replace_all_uses_with(op.operands[0])
                self._headroom.ranges.erase(op)
        for op in ops_of(self._block):
            home = self._home.get(op.results[0]) if len(op.results) else None
            if home is None or op.name == "ditto.rescale" or from_integer(op):
                continue
            if op.name in names.CASTS:
                self._place_cast(op, home)
            elif is_source(op):
                continue
            elif is_product(op):
                self._place_product(op, home)
            elif scale_of(op) is Scale.ANY:
                self._place_any(op, home)
            else:
                self._align(op, home.frac)
        for op in reversed(ops_of(self._block)):
            if len(op.results) and not any(list(result.uses) for result in op.results):
                op.erase()

    def _at(self, value: ir.Value, frac: int, before: ir.Operation) -> ir.Value:
        """`value` with `frac` fraction bits, made right before `before` unless it was made earlier."""
        encoding = encoding_of(value)
        if not isinstance(encoding, Fxp) or encoding.frac == frac:
            return value
        key = (value, frac)
        if key not in self._made:
            target = Fxp(encoding.ring, frac)
            if is_constant(value):
                self._made[key] = constant_at(value, target, before=before)
            elif (moved := self._moved(value)) is not None:
                mapping = {moved.operands[0]: self._at(moved.operands[0], frac, before)}
                clone = clone_op(moved, mapping, ir.InsertionPoint(before))
                set_encoding(clone.results[0], target)
                self._made[key] = clone.results[0]
            else:
                self._made[key] = insert_casts(value, target, before=before)
        return self._made[key]

    def _moved(self, value: ir.Value) -> ir.Operation | None:
        """The op that only moves or negates elements of a computed tensor that is no larger.

        Pattern: rescale(f(x)) -> f(rescale(x)), so that equal rescales of x are found to be equal.
        """
        op = defining_op(value)
        if op is None or is_free(value) or len(op.operands) != 1 or len(op.regions):
            return None
        moves = op.name == "stablehlo.negate" or (is_layout(op))
        return op if moves and numel(op.operands[0]) <= numel(value) else None

    def _align(self, op: ir.Operation, frac: int) -> None:
        """Gives all fixed-point operands of `op`, and what its regions use from outside, `frac` bits."""
        inside = set(block_values(op))
        for user in (op, *(nested_ops(op) if len(op.regions) else ())):
            for index, operand in enumerate(user.operands):
                if operand not in inside:
                    user.operands[index] = self._at(operand, frac, op)

    def _place_any(self, op: ir.Operation, home: Fxp) -> None:
        fxp = [v for v in op.operands if isinstance(encoding_of(v), Fxp)]
        layout = is_layout(op)
        # An input or constant asks for the ring's usual bits, unless it is only moved.
        wanted = max(_frac(v) if layout or not is_free(v) else home.frac for v in fxp)
        values = [*fxp, *(v for v in op.results if isinstance(encoding_of(v), Fxp))]
        room = min(self._headroom.value(v, home.frac) for v in values)
        frac = min(wanted, room)
        if frac < min(self._min_bits, wanted):
            self._too_large(op, room, home)
            return
        self._align(op, frac)
        for value in (*op.results, *block_values(op)):
            if isinstance(encoding_of(value), Fxp):
                set_encoding(value, Fxp(home.ring, frac))

    def _place_product(self, op: ir.Operation, home: Fxp) -> None:
        working = self._working[op.results[0]]
        operands = list(op.operands)
        both = operands if len(operands) == 2 else operands * 2
        room = self._headroom.product(op, working)
        fracs = [_frac(v) for v in both]
        worth = [max(working, self._worth(v)) for v in both]
        widest_first = sorted((0, 1), key=lambda i: -fracs[i])
        for index in widest_first:
            if sum(fracs) > room and not is_free(both[index]):
                fracs[index] = min(fracs[index], worth[index])
                if both[0] == both[1]:
                    fracs = [fracs[index]] * 2
        if both[0] != both[1]:
            fracs = _shortened(fracs, worth, [working if not is_free(v) else math.inf for v in both], room)
        for index in sorted((0, 1), key=lambda i: is_free(both[i]), reverse=True):
            excess = sum(fracs) - room
            if excess > 0:
                least = min(self._min_bits, fracs[index])
                if both[0] == both[1]:
                    fracs = [max(least, fracs[0] - -(-excess // 2))] * 2
                else:
                    fracs[index] = max(least, fracs[index] - excess)
        if sum(fracs) > room:
            self._too_large(op, room, home)
            return
        for index in range(len(operands)):
            op.operands[index] = self._at(operands[index], fracs[index], op)
        set_encoding(op.results[0], Fxp(home.ring, sum(fracs)))

    def _worth(self, value: ir.Value) -> int:
        """Fraction bits that leave a value `significant_bits`; 0 if its magnitude is unknown."""
        bound = self._headroom.ranges.bound(value)
        return self._significant_bits - math.ceil(math.log2(bound)) if 0 < bound < math.inf else 0

    def _place_cast(self, op: ir.Operation, home: Fxp) -> None:
        """Moves a cast's source scale to what its operand now has, and lets it drop bits where that pays."""
        source, target = op.operands[0], op.results[0]
        encoding = encoding_of(source)
        assert isinstance(encoding, Fxp)
        if op.name == "ditto.downcast":
            room = self._headroom.value(target, home.frac)
            aim = min(home.frac, encoding.frac, max(self._min_bits, room))
        elif encoding.frac <= home.frac or all(_is_fixed(use.owner.operation) for use in target.uses):
            aim = home.frac
        else:
            aim = encoding.frac
        wanted = Fxp(home.ring, aim)
        if wanted == home and len(plan_casts(encoding, wanted)) == 1:
            return
        target.replace_all_uses_with(insert_casts(source, wanted, before=op))
        self._headroom.ranges.erase(op)

    def _too_large(self, op: ir.Operation, room: int, home: Fxp) -> None:
        bound = max(self._headroom.ranges.bound(v) for v in (*op.operands, *op.results))
        self._errors.add(
            op,
            f"values reach {bound:.3g}, which leaves {max(room, 0)} fraction bits in ring {home.ring}, "
            f"fewer than {self._min_bits}; give the op a rule with a wider ring, or recalibrate",
        )


def _shortened(fracs: list[int], worth: list[int], least: list[float], room: int) -> list[int]:
    """`fracs` less bits until they fit: from what has given up fewest, and from none below `least`."""
    fracs = list(fracs)
    while sum(fracs) > room and (able := [i for i in (0, 1) if fracs[i] > least[i]]):
        fracs[max(able, key=lambda i: fracs[i] - worth[i])] -= 1
    return fracs


def _frac(value: ir.Value) -> int:
    encoding = encoding_of(value)
    assert encoding is not None
    return encoding.frac


def _working_bits(op: ir.Operation) -> int:
    """Fraction bits of a product's computed operands before values are left wide."""
    return max((_frac(v) for v in op.operands if not is_free(v)), default=_frac(op.operands[0]))


def _is_fixed(op: ir.Operation) -> bool:
    return op.name in OPS and OPS[op.name].kind is not Kind.TERMINATOR and scale_of(op) is Scale.FIXED
