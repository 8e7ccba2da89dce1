"""Writing decided rings down: encodings, casts, thresholds and fitted functions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ditto_compiler.beside.placement import Effect
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import constant_at, insert_casts
from ditto_compiler.encoding import Fxp
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.ir import (
    attributes_of,
    defining_op,
    encoding_of,
    ir,
    is_tensor,
    nested_ops,
    ops_of,
    set_encoding,
    top_level_ancestor,
)
from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.op_attributes import first_index
from ditto_compiler.ops.scales import (
    is_constant,
)
from ditto_compiler.rings.numbers import Numbers


class Writer:
    """Writes what was decided into the module, from the first op to the last."""

    def __init__(
        self, known: Numbers, scales: Mapping[ir.Value, tuple[int, int]], terms: Mapping[ir.Value, Terms]
    ) -> None:
        self._known = known
        self._numbers = known.of
        self._scales = scales
        self._terms = terms
        self._cast: dict[tuple[ir.Value, Fxp], ir.Value] = {}

    def run(self) -> None:
        """Writes all of it."""
        for argument in self._known.entry.arguments:
            self._write_argument(argument)
        unit = ir.UnitAttr.get(self._known.module.context)
        for op in self._known.ops:
            effect = self._known.effect(op)
            if effect is None:
                self._write_engine(op)
                continue
            if is_constant(op.results[0]):
                continue
            self._write_operands(op, effect)
            op.attributes[names.BESIDE] = unit
            for result in op.results:
                self._write_result(op, result)
        last = self._known.ops[-1]
        for index, value in enumerate(last.operands):
            donated, encoding = self._known.donated.get(value), encoding_of(value)
            if donated is not None:
                target = encoding_of(donated)
                assert isinstance(target, Fxp)
                last.operands[index] = self._at(value, target, last)
            elif isinstance(encoding, Fxp) and encoding.ring not in (32, 64, 128):
                ring = 32 if encoding.ring <= 32 else 64
                last.operands[index] = self._at(value, Fxp(ring, encoding.frac + ring - encoding.ring), last)

    def _write_argument(self, argument: ir.Value) -> None:
        """An argument is supplied in a ring of whole words, at the scale that it is read at.

        So it is exact where it is compared: bits that were dropped on shares would be off by one at times.
        """
        number = self._numbers.get(argument)
        if number is None or not any(self._known.effect(use.owner.operation) for use in argument.uses):
            return
        whole = max(number.least, number.wanted)
        ring = 32 if whole + number.frac <= 32 else 64
        set_encoding(argument, Fxp(ring, number.frac))

    def _write_operands(self, op: ir.Operation, effect: Effect) -> None:
        if effect in (Effect.LOCAL, Effect.SELECT) and op.results[0] in self._numbers:
            result = self._numbers[op.results[0]]
            for index, value in enumerate(op.operands):
                if value in self._numbers:
                    op.operands[index] = self._at(value, Fxp(result.made + result.frac, result.frac), op)
            _write_blocks(op, Fxp(result.made + result.frac, result.frac))
        elif effect is Effect.PRODUCT and op.results[0] in self._scales:
            made, fracs = self._numbers[op.results[0]].made, self._scales[op.results[0]]
            ring = made + sum(fracs)
            last = len(op.operands) - 1
            for index, frac in ((0, fracs[0]), (last, fracs[1])):
                op.operands[index] = self._at(op.operands[index], Fxp(ring, frac), op)
        elif effect is Effect.FUNCTION:
            terms = self._terms[op.results[0]]
            op.operands[0] = self._at(op.operands[0], Fxp(terms.ring, terms.frac), op)
            of = ir.FlatSymbolRefAttr(op.attributes[names.FUNCTION]).value
            for name in attributes_of(op):
                if not name.startswith("ditto."):
                    del op.attributes[name]
            op.attributes[names.MAX_ABS] = ir.FloatAttr.get_f64(self._numbers[op.results[0]].bound)
            op.attributes[names.OF] = ir.StringAttr.get(of)
            op.attributes[names.TERMS] = ir.DictAttr.get(terms_attributes(terms))
        elif effect is Effect.LESS:
            self._write_comparison(op)

    def _write_comparison(self, op: ir.Operation) -> None:
        value = op.operands[0]
        number = self._numbers[value]
        thresholds = list(ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS]))
        largest = max(abs(t) for t in thresholds) * 2.0**-number.home.frac
        whole = self._known.comparable(number, largest)
        frac = number.frac
        if names.SLACK in op.attributes:
            slack = ir.FloatAttr(op.attributes[names.SLACK]).value
            # Dropping bits is off by 3/2 of the last place, and the threshold by half of it.
            frac = min(frac, max(0, 1 - math.floor(math.log2(slack))))
        op.operands[0] = self._at(value, Fxp(whole + frac, frac), op)
        shift = frac - number.home.frac
        rescale = _nearest if names.SLACK in op.attributes else _next
        scaled = [rescale(t, shift) for t in thresholds]
        op.attributes[names.THRESHOLDS] = ir.DenseI64ArrayAttr.get(scaled)

    def _write_result(self, op: ir.Operation, result: ir.Value) -> None:
        number = self._numbers.get(result)
        if number is not None:
            set_encoding(result, Fxp(number.made + number.frac, number.frac))

    def _write_engine(self, op: ir.Operation) -> None:
        if op is self._known.ops[-1]:
            return
        for user in (op, *nested_ops(op)):
            scale = self._known.home(user)
            for index, value in enumerate(user.operands):
                if scale is None or not is_tensor(value.type) or index >= first_index(user):
                    continue
                if isinstance(encoding_of(value), Fxp) and encoding_of(value) != scale:
                    user.operands[index] = self._at(value, scale, top_level_ancestor(user))

    def _at(self, value: ir.Value, target: Fxp, before: ir.Operation) -> ir.Value:
        """`value` in another ring or scale, made right before `before` unless it was made earlier."""
        if encoding_of(value) == target:
            return value
        key = (value, target)
        if key not in self._cast:
            if is_constant(value):
                self._cast[key] = made = constant_at(value, target, before=before)
                if self._known.effect(before) is not None:
                    _mark(made)
            else:
                source = value
                number = self._numbers.get(value)
                if target.ring > WIDEST and number is not None and self._known.is_secret(value):
                    # The engine casts from a ring of its own.
                    source = self._at(value, number.home, before)
                self._cast[key] = insert_casts(self._widened(source, target, before), target, before=before)
        return self._cast[key]

    def _widened(self, value: ir.Value, target: Fxp, before: ir.Operation) -> ir.Value:
        """`value` with the integer bits of its most demanding use, if the target needs more than it has."""
        number, held = self._numbers.get(value), encoding_of(value)
        assert isinstance(held, Fxp)
        if (
            number is None
            or target.ring - target.frac <= held.ring - held.frac
            or not self._known.is_secret(value)
        ):
            return value
        whole = max(number.wanted, target.ring - target.frac)
        if whole + held.frac > WIDEST:
            # Which only fits without some of the fraction.
            return value
        wide = Fxp(whole + held.frac, held.frac)
        key = (value, wide)
        if key not in self._cast:
            self._cast[key] = insert_casts(value, wide, before=before)
        return self._cast[key]


def _mark(value: ir.Value) -> None:
    """Says that a constant, written for an op beside the engine, is there."""
    op = defining_op(value)
    if op is not None and names.BESIDE not in op.attributes:
        op.attributes[names.BESIDE] = ir.UnitAttr.get(op.context)
        for operand in op.operands:
            _mark(operand)


def _next(threshold: int, shift: int) -> int:
    """A threshold on another grid: there x < t just where x < ceil(t), so ties stay what they are."""
    return threshold << shift if shift >= 0 else -(-threshold >> -shift)


def _nearest(threshold: int, shift: int) -> int:
    """A threshold on another grid, off by half of its last place at most."""
    return threshold << shift if shift >= 0 else (threshold + (1 << (-shift - 1))) >> -shift


def _write_blocks(op: ir.Operation, encoding: Fxp) -> None:
    """The regions of a reduction, which say what it does to two elements."""
    for region in op.regions:
        for block in region.blocks:
            for inner in (*block.arguments, *(r for o in ops_of(block) for r in o.results)):
                set_encoding(inner, encoding)


def terms_attributes(terms: Terms) -> dict[str, ir.Attribute]:
    """A fitted function as attributes of its op."""
    made: dict[str, ir.Attribute] = {}
    for name, value in terms.to_attributes().items():
        if isinstance(value, str):
            made[name] = ir.StringAttr.get(value)
        elif isinstance(value, int):
            made[name] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)
        else:
            made[name] = ir.DenseI64ArrayAttr.get(list(value))
    return made
