"""The pass `ditto-choose-functions`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from ditto_compiler import building
from ditto_compiler.analyses.ranges import TOLERANCE, Known, RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.beside.functions import evaluator, largest_value, why_not
from ditto_compiler.calibration import wider
from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError
from ditto_compiler.intervals import Interval, Range
from ditto_compiler.ir import (
    attributes_of,
    defining_op,
    drop_unused_functions,
    element_type,
    entry_function,
    func,
    insert_op,
    ir,
    nested_ops,
    ops_of,
)
from ditto_compiler.options import did_you_mean
from ditto_compiler.pass_base import Pass
from ditto_compiler.policy import BESIDES
from ditto_compiler.private_functions import callee, inline
from ditto_compiler.remarks import Category
from ditto_compiler.structure import constant
from ditto_compiler.supported import op_problem


@dataclass(frozen=True)
class DittoChooseFunctions(Pass):
    """Decide which functions the parties compute in one go, and for which arguments.

    A `ditto.oneshot` is right in one interval and any number outside of it, so something must guarantee its
    arguments. It stays, with that interval as `low` and `high`, if

    - the user stated the range; if more is known to be possible, a `clamp` goes first;
    - range analysis proves it of whatever inputs, as under a clip;
    - calibration measured it: then both ends are further out by `margin` - 1 times the larger magnitude; for
      a function that is not defined there, such as 1/x, ends keep their sign, and the least number is divided
      by `margin`.

    Where arguments of a relative function are far from 1, so that they or its values would have few bits
    left, it is computed near 1 if powers of two say how: 1/x = 2^-s (1 / (2^-s x)), and likewise for roots.

    Of proof and measurement it is what both allow. A clip of an argument that so is known to be idle goes.
    What else there is falls back: its `otherwise` is put in its place; so is, for all, where the policy runs
    nothing `beside` the engine, in loops and branches, and in double precision. A function of what is public
    is put in its place itself. A remark says of each what was decided.

    Requires: ranges applied, no encodings yet. Ensures: a `ditto.oneshot` has `low` and `high`. Keeps:
    everything else.

    Before, with |%x| measured below 3:

        %0 = "ditto.oneshot"(%x) {function = @f, otherwise = @g, error = 1.0e-3 : f64}
          : (tensor<4xf32>) -> tensor<4xf32>

    After:

        %0 = "ditto.oneshot"(%x) {function = @f, otherwise = @g, error = 1.0e-3 : f64, low = -6.0 : f64,
          high = 6.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>

    Errors: a function that has to be computed otherwise, and holds an op that cannot be run privately; an
    annotated module.
    """

    name: ClassVar[str] = "ditto-choose-functions"
    margin: float = 2.0
    """How much larger than measured arguments may be; 1 or more."""
    beside: str = "shares"
    """What the policy runs beside the engine: none, shares."""

    def __post_init__(self) -> None:
        if self.beside not in BESIDES:
            close = did_you_mean(self.beside, BESIDES)
            raise DittoError(f"beside must be one of {', '.join(BESIDES)}, got '{self.beside}'{close}")
        if not 1 <= self.margin < math.inf:
            raise DittoError(f"margin must be a number from 1 on, got {self.margin}")

    def run(self, module: ir.Module) -> None:
        self.remarks.clear()
        self.check_before("ditto-annotate", module, has_run=names.has_reached(module, "annotated"))
        entry = entry_function(module)
        if entry is None:
            return
        pending = [op for op in nested_ops(entry.operation) if op.name == names.ONESHOT]
        if not pending:
            return
        # What a function falls back on may have others in it.
        while pending:
            pending = self._decide(module, entry, pending)
        drop_unused_functions(module)

    def _decide(self, module: ir.Module, entry: func.FuncOp, ops: list[ir.Operation]) -> list[ir.Operation]:
        """Decides on some, and gives those that took their place."""
        visibility, known = VisibilityAnalysis(module), _Vouched(entry, self.margin)
        choices = [self._choice(op, visibility, known) for op in ops]
        errors = self.errors()
        made: list[ir.Operation] = []
        for op, choice in zip(ops, choices, strict=True):
            self.note("remark", op, choice.remark, Category.FORM)
            if choice.instead is None:
                choice.apply(op)
                continue
            put = [inner for one in inline(op, choice.instead) for inner in (one, *nested_ops(one))]
            for inner in put:
                problem = op_problem(inner)
                if problem is not None:
                    errors.add(inner, f"{problem}; a one-shot function {choice.remark}")
            made += [inner for inner in put if inner.name == names.ONESHOT]
        errors.raise_if_any()
        for op, choice in zip(ops, choices, strict=True):
            if choice.instead is not None:
                op.erase()
        return made

    def _choice(self, op: ir.Operation, visibility: VisibilityAnalysis, known: _Vouched) -> _Choice:
        x = op.operands[0]
        if not visibility.is_secret(x):
            return _Choice("is computed as it is: its argument is public", names.FUNCTION)
        if self.beside == "none":
            return _fallback(op, "the policy runs nothing beside the engine")
        if op.parent is None or op.parent.name != "func.func":
            return _fallback(op, "a loop or a branch runs in the engine as a whole")
        if element_type(x) == "f64":
            reason = "double precision asks for more than rings of 64 bits hold"
            if all(op_problem(inner) is None for inner in ops_of(callee(op).entry_block)[:-1]):
                return _Choice(f"is computed as it is: {reason}", names.FUNCTION)
            return _fallback(op, reason)
        stated = _stated(op)
        if stated is not None and _why_not(op, stated) is None:
            return self._on_stated(op, stated, known)
        found = known.interval(op, x)
        if found is None:
            return _fallback(op, "the range of its argument is not known; calibrate (ditto.calibrate)")
        if not known.has_image(op, found.interval):
            why = f"it has no bounded values on {_text(found.interval)}"
            return _fallback(op, f"{why}, or none that range analysis can tell; state the range")
        idle = _idle_clip(op, x, known)
        if idle is not None and _why_not(op, idle[1].interval) is None:
            inner, free = idle
            return _stays(free.interval, f"as {free.by}, without the clip", x=inner)
        problem = _why_not(op, found.interval)
        if problem is not None:
            return _fallback(op, f"on {_text(found.interval)}, {problem}")
        return _stays(found.interval, f"as {found.by}")

    def _on_stated(self, op: ir.Operation, stated: Interval, known: _Vouched) -> _Choice:
        """What becomes of a function whose range the program states."""
        x = op.operands[0]
        idle = _idle_clip(op, x, known)
        if idle is not None:
            inner, free = idle
            return _stays(stated, f"as the program states, without the clip, as {free.by}", x=inner)
        exceeds = known.may_leave(x, stated)
        clipped = ", behind a clip, for more is possible" if exceeds else ""
        return _stays(stated, f"as the program states{clipped}", clip=exceeds)


class _Shift(NamedTuple):
    """A function of x is that of 2^`before` x, times 2^`after`."""

    before: int
    after: int


STAY = _Shift(0, 0)

FAR = (-8, 16)
"""Binary logarithms of what is far from 1: what is smaller than the first, and larger than the second."""

MOST = 22
"""Largest exponent of a factor: what is larger is taken for infinity."""

SAME = 1e-6
"""By how much, relatively, a function may differ from its multiple by a power of two."""


def _shift(op: ir.Operation, low: float, high: float) -> _Shift:
    """The powers of two that bring arguments in an interval near 1 from far away, if there are any."""
    exponent = math.frexp(high)[1] if low > 0 else 0
    if names.RELATIVE not in op.attributes or FAR[0] <= exponent <= FAR[1]:
        return STAY
    # Even, so that a square root has a power of two, too.
    before = 2 * round(max(-MOST, min(-exponent, MOST)) / 2)
    function, x = evaluator(callee(op)), np.geomspace(low, high, 65)
    with np.errstate(all="ignore"):
        ratio = function(x) / function(np.ldexp(x, before))
    after = math.log2(ratio[0]) if 0 < ratio[0] < math.inf else math.nan
    if not np.allclose(ratio, ratio[0], rtol=SAME, atol=0) or abs(after - round(after)) > SAME:
        return STAY
    return _Shift(before, round(after))


def _why_not(op: ir.Operation, interval: Interval) -> str | None:
    """Why a one-shot function cannot be fitted on an interval."""
    shift = _shift(op, *interval)
    return why_not(op, *(math.ldexp(end, shift.before) for end in interval))


@dataclass(frozen=True)
class _Choice:
    """What becomes of a one-shot function.

    Attributes:
        remark: says it.
        instead: which of its functions takes its place; None if it stays.
        interval: of its arguments, if it stays.
        clip: whether arguments are clipped to the interval.
        x: another argument.
    """

    remark: str
    instead: str | None = None
    interval: Interval = (0.0, 0.0)
    clip: bool = False
    x: ir.Value | None = None

    def apply(self, op: ir.Operation) -> None:
        """Has an op stay."""
        old = defining_op(op.operands[0])
        shift = _shift(op, *self.interval)
        for name, end in zip((names.LOW, names.HIGH), self.interval, strict=True):
            op.attributes[name] = ir.FloatAttr.get_f64(math.ldexp(end, shift.before))
        if self.x is not None:
            op.operands[0] = self.x
            if old is not None and not list(old.results[0].uses):
                old.erase()
        if self.clip:
            type_ = op.operands[0].type
            low, high = (building.splat(end, type_, before=op) for end in self.interval)
            op.operands[0] = insert_op("clamp", type_, low, op.operands[0], high, before=op)
        if shift != STAY:
            _bring_near(op, shift)


def _bring_near(op: ir.Operation, shift: _Shift) -> None:
    """Puts powers of two around a function, and what was measured of its result behind them."""
    op.operands[0] = _scaled(op.operands[0], shift.before, op)
    users = [(use.owner.operation, use.operand_number) for use in op.results[0].uses]
    scaled = _scaled(op.results[0], shift.after, op)
    op.move_before(scaled.owner)
    for user, number in users:
        user.operands[number] = scaled
    bound = math.ldexp(largest_value(op), shift.after)
    scaled.owner.attributes[names.MAX_ABS] = ir.FloatAttr.get_f64(bound)
    measured = attributes_of(op).get(names.RANGE)
    if measured is not None:
        scaled.owner.attributes[names.RANGE] = measured
        ends = [math.ldexp(end, -shift.after) for end in ir.DenseF64ArrayAttr(measured)]
        op.attributes[names.RANGE] = ir.DenseF64ArrayAttr.get(ends)


def _scaled(value: ir.Value, exponent: int, op: ir.Operation) -> ir.Value:
    """A value times a power of two, before an op."""
    factor = building.splat(2.0**exponent, value.type, before=op)
    return insert_op("multiply", value.type, value, factor, before=op)


def _stays(interval: Interval, reason: str, *, clip: bool = False, x: ir.Value | None = None) -> _Choice:
    return _Choice(f"is computed in one go on {_text(interval)}, {reason}", None, interval, clip, x)


def _fallback(op: ir.Operation, reason: str) -> _Choice:
    name = ir.FlatSymbolRefAttr(op.attributes[names.OTHERWISE]).value
    return _Choice(f"is computed as @{name}: {reason}", names.OTHERWISE)


def _text(interval: Interval) -> str:
    return f"[{interval[0]:.6g}, {interval[1]:.6g}]"


def _stated(op: ir.Operation) -> Interval | None:
    low, high = names.get_float(op, names.LOW), names.get_float(op, names.HIGH)
    return None if low is None or high is None else (low, high)


def _idle_clip(op: ir.Operation, x: ir.Value, known: _Vouched) -> tuple[ir.Value, _Interval] | None:
    """What `x` clips, and its interval, if that shows that the clip does nothing."""
    inner, bounds = _without_clip(x)
    free = None if inner is None else known.interval(op, inner)
    if inner is None or free is None:
        return None
    return (inner, free) if bounds[0] <= free.interval[0] and free.interval[1] <= bounds[1] else None


def _without_clip(x: ir.Value) -> tuple[ir.Value | None, Interval]:
    """What `x` clips for one-shot functions only, and to which constants."""
    everything = (-math.inf, math.inf)
    clip = defining_op(x)
    if clip is None or any(use.owner.operation.name != names.ONESHOT for use in x.uses):
        return None, everything
    if clip.name == "stablehlo.clamp":
        low, high = (constant(clip.operands[index]) for index in (0, 2))
        return (None, everything) if low is None or high is None else (clip.operands[1], (low, high))
    if clip.name in ("stablehlo.maximum", "stablehlo.minimum"):
        for index in (0, 1):
            bound = constant(clip.operands[index])
            if bound is not None:
                is_low = clip.name == "stablehlo.maximum"
                return clip.operands[1 - index], (bound, math.inf) if is_low else (-math.inf, bound)
    return None, everything


class _Proof(RangeAnalysis):
    """What is known whatever the inputs: nothing measured counts."""

    def _sharpened(self, op: ir.Operation, value: ir.Value, proved: Range, known: Known) -> Range:
        return super()._sharpened(op, value, proved, known._replace(measured=None))


class _Interval(NamedTuple):
    """An interval that something guarantees, and what."""

    interval: Interval
    by: str


LEAST_WIDTH = 2.0**-10
"""Of an interval, relative to its numbers where they are below 1: numbers are rounded."""


class _Vouched:
    """What intervals values are known to be in."""

    def __init__(self, entry: func.FuncOp, margin: float) -> None:
        self._margin = margin
        self._proof, self._seen = _Proof(entry), RangeAnalysis(entry)

    def interval(self, op: ir.Operation, value: ir.Value) -> _Interval | None:
        """Where an argument is, with a margin if that was measured; None if it may be anywhere."""
        proof, seen = self._proof.of(value), self._seen.of(value)
        # That something might be no number, as a difference of infinities is, says nothing of numbers.
        if not replace(seen, nan=seen.nan and not replace(proof, nan=False).is_bounded).is_bounded:
            return None
        low, high = self._with_margin(op, (seen.low, seen.high))
        by = f"calibration measured, with a margin of {self._margin:g}"
        if not (proof.below or proof.above) and max(proof.low, low) <= min(proof.high, high):
            low, high = max(proof.low, low), min(proof.high, high)
            if (low, high) == (proof.low, proof.high):
                by = "range analysis proves"
        width = LEAST_WIDTH * min(1.0, max(-low, high) or 1.0)
        if high - low < width:
            low, high = low - width, high + width
        return _Interval((low, high), by)

    def _with_margin(self, op: ir.Operation, measured: Interval) -> Interval:
        """Both ends further out by so much of the larger magnitude; where a function needs it, signs stay."""
        low, high = measured
        reach = (self._margin - 1) * max(-low, high)
        if self.has_image(op, (low - reach, high + reach)):
            return low - reach, high + reach
        return wider(measured, self._margin - 1)

    def may_leave(self, value: ir.Value, interval: Interval) -> bool:
        """Whether more than an interval is known to be possible."""
        seen = self._seen.of(value)
        slack = TOLERANCE * (interval[1] - interval[0])
        beyond = seen.low < interval[0] - slack or seen.high > interval[1] + slack
        return seen.below or seen.above or (seen.is_bounded and beyond)

    def has_image(self, op: ir.Operation, interval: Interval) -> bool:
        """Whether a one-shot function has bounded values on an interval."""
        name = ir.FlatSymbolRefAttr(op.attributes[names.FUNCTION]).value
        found = self._proof.call(name, [Range(*interval)])
        return found is not None and found[0].is_bounded
