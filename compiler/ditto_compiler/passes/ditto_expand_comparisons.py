"""The pass `ditto-expand-comparisons`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import building
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import defining_op, encoding_of, insert_op, ir, numel, ops_of
from ditto_compiler.op_attributes import MIRRORED, direction_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.spu.literals import fits, held
from ditto_compiler.structure import constant

MAX_THRESHOLD = 2**63
"""Of the attribute, in units of the last place; constants that are not below it are subtracted."""

_ORDERED = ("LT", "LE", "GT", "GE")

_EQUAL = ("EQ", "NE")


@dataclass(frozen=True)
class DittoExpandComparisons(Pass):
    """Compare secret fixed-point numbers outside of the engine.

    The engine compares at 60 bytes per element in 7 rounds (ring 32; 108 in 8 in ring 64), and takes most
    of a Transformer's time for it. `ditto.less` takes 23 bytes in 5 rounds (49 in 6) and a tenth of the
    processor time. It tells where a value is below public thresholds; each one more is 8 bytes (18) and no
    round ([protocols](../explanation/protocols.md#comparison)). So

    - `x < c` for a constant c, and `|x| < c`, become thresholds of x; all those of one x are one op
    - `x < y` -> `x - y < 0`
    - with `equality`, `x == y` -> `x - y < 0` is not what `x - y < 1` is, in units of the last place
    - `maximum`, `minimum`, `clamp` and `abs` -> a comparison and a selection

    What loops and branches compare, and tensors of fewer than `min_elements`, are left to the engine.

    Requires: casts inserted. Keeps: c2, c3.

    Before:

        %c = stablehlo.constant dense<3.5> : tensor<4xf32, #ditto.fxp<32, 10>>
        %0 = stablehlo.minimum %x, %c : tensor<4xf32, #ditto.fxp<32, 10>>

    After:

        %c = stablehlo.constant dense<3.5> : tensor<4xf32, #ditto.fxp<32, 10>>
        %0 = "ditto.less"(%x) {thresholds = array<i64: 3584>}
          : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
        %1 = stablehlo.select %0, %x, %c : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>

    Errors: a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-expand-comparisons"
    min_elements: int = 1
    """Comparisons of fewer elements stay the engine's."""
    equality: bool = False
    """Take `x == y` and `x != y` too: beside the engine, both numbers have all their bits there."""

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        visibility = VisibilityAnalysis(module)
        ops = [op for op in ops_of(entry.entry_block) if self._is_wanted(op, visibility)]
        comparisons = _Comparisons()
        for op in ops:
            write = _EXPANSIONS.get(op.name)
            if write is None:
                comparisons.add(op)
            else:
                result = write(_Emitter(op, comparisons), op)
                _keep_reach(op, result)
                op.results[0].replace_all_uses_with(result)
        comparisons.finish()
        for op in reversed(ops):
            op.erase()

    def _is_wanted(self, op: ir.Operation, visibility: VisibilityAnalysis) -> bool:
        if op.name not in _EXPANSIONS and op.name != "stablehlo.compare":
            return False
        if not isinstance(encoding_of(op.operands[0]), Fxp) or not visibility.is_secret(op.results[0]):
            return False
        if op.name == "stablehlo.compare" and direction_of(op) not in _ORDERED:
            numbers = all(constant(value) is None for value in op.operands)
            if not (self.equality and numbers and direction_of(op) in _EQUAL):
                return False
        return numel(op.results[0]) >= max(self.min_elements, 1)


class _Emitter:
    """Places ops before another one, at its location."""

    def __init__(self, before: ir.Operation, comparisons: _Comparisons) -> None:
        self._before = before
        self.comparisons = comparisons

    def op(self, name: str, type_: ir.Type, *operands: ir.Value, **attributes: ir.Attribute) -> ir.Value:
        """A StableHLO op with one result."""
        return insert_op(name, type_, *operands, before=self._before, **attributes)

    def less(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """[x < y], to become a `ditto.less`."""
        predicate = building.comparison("LT", x, y, before=self._before)
        op = defining_op(predicate)
        assert op is not None
        self.comparisons.add(op, ours=True)
        return predicate

    def select(self, predicate: ir.Value, yes: ir.Value, no: ir.Value) -> ir.Value:
        """`yes` where the predicate holds, else `no`."""
        return self.op("select", yes.type, predicate, yes, no)

    def spread(self, bound: ir.Value, like: ir.Value) -> ir.Value:
        """A bound of a clamp, which may be a scalar, in the shape of another value."""
        return building.spread(bound, like.type, before=self._before)

    def zero(self, like: ir.Value) -> ir.Value:
        """0 in the shape and encoding of another value."""
        return building.splat(0, like.type, before=self._before)


class _Comparisons:
    """The comparisons that are to become `ditto.less`, in program order."""

    def __init__(self) -> None:
        self._terms: list[tuple[ir.Operation, _Terms]] = []
        self._magnitudes: dict[ir.Value, ir.Value] = {}
        self._idle: list[ir.Operation] = []

    def is_magnitude(self, value: ir.Value, of: ir.Value) -> None:
        """Notes that `value` is the absolute value of another."""
        self._magnitudes[value] = of

    def add(self, op: ir.Operation, *, ours: bool = False) -> None:
        """Takes a `stablehlo.compare`; it is erased in the end if it is `ours`."""
        self._terms.append((op, self._terms_of(op)))
        if ours:
            self._idle.append(op)

    def _terms_of(self, op: ir.Operation) -> _Terms:
        left, right = op.operands
        direction = direction_of(op)
        if constant(left) is not None and constant(right) is None:
            left, right, direction = right, left, MIRRORED[direction]
        threshold = _threshold(right, direction)
        if threshold is not None:
            negated = direction in ("GE", "GT")
            inner = self._magnitudes.get(left, _folded(left))
            if inner is not None and threshold > 0:
                # |x| < t where x < t, but not x < 1 - t.
                return _Terms(inner, (threshold, 1 - threshold), negated)
            return _Terms(left, (threshold,), negated)
        if direction in ("GE", "GT"):
            left, right, direction = right, left, MIRRORED[direction]
        difference = insert_op("subtract", left.type, left, right, before=op)
        if direction in _EQUAL:
            return _Terms(difference, (0, 1), direction == "NE")
        return _Terms(difference, (1 if direction == "LE" else 0,), False)

    def finish(self) -> None:
        """Emits one `ditto.less` for each value that is compared, and how exactly, where it is first."""
        thresholds: dict[tuple[ir.Value, float | None], dict[int, None]] = {}
        for op, terms in self._terms:
            key = terms.value, names.get_float(op, names.SLACK)
            thresholds.setdefault(key, {}).update(dict.fromkeys(terms.thresholds))
        made: dict[tuple[ir.Value, float | None], dict[int, ir.Value]] = {}
        for op, terms in self._terms:
            key = terms.value, names.get_float(op, names.SLACK)
            if key not in made:
                made[key] = _less(*key, sorted(thresholds[key]), op)
            parts = [made[key][threshold] for threshold in terms.thresholds]
            op.results[0].replace_all_uses_with(_predicate_of(op, parts, terms.negated))
        for op in reversed(self._idle):
            op.erase()


@dataclass(frozen=True)
class _Terms:
    """[value < t] of each threshold t, combined by exclusive or."""

    value: ir.Value
    thresholds: tuple[int, ...]
    negated: bool


def _threshold(value: ir.Value, direction: str) -> int | None:
    """The t for which `x < t`, or its negation, is the comparison of x with a constant, as it is held."""
    number, encoding = constant(value), encoding_of(value)
    assert isinstance(encoding, Fxp)
    if number is None or not fits(number, encoding):
        return None
    threshold = held(number, encoding) + (direction in ("LE", "GT"))
    return threshold if abs(threshold) < MAX_THRESHOLD else None


def _folded(value: ir.Value) -> ir.Value | None:
    """The x of (x - b) - b with b = select(x < 0, x, 0), so of |x|."""
    outer = defining_op(value)
    if outer is None or outer.name != "stablehlo.subtract":
        return None
    inner, below = defining_op(outer.operands[0]), defining_op(outer.operands[1])
    if inner is None or below is None or inner.name != "stablehlo.subtract":
        return None
    if below.name != "stablehlo.select" or inner.operands[1] != outer.operands[1]:
        return None
    x, sign = inner.operands[0], defining_op(below.operands[0])
    if below.operands[1] != x or constant(below.operands[2]) != 0.0 or sign is None:
        return None
    is_sign = sign.name == "stablehlo.compare" and direction_of(sign) == "LT"
    return x if is_sign and sign.operands[0] == x and constant(sign.operands[1]) == 0.0 else None


def _less(
    value: ir.Value, slack: float | None, thresholds: list[int], before: ir.Operation
) -> dict[int, ir.Value]:
    loose = {} if slack is None else {names.SLACK: ir.FloatAttr.get_f64(slack)}
    op = ir.Operation.create(
        names.LESS,
        results=[building.booleans(value)] * len(thresholds),
        operands=[value],
        attributes={names.THRESHOLDS: ir.DenseI64ArrayAttr.get(thresholds), **loose},
        loc=before.location,
        ip=ir.InsertionPoint(before),
    )
    return dict(zip(thresholds, op.results, strict=True))


def _predicate_of(op: ir.Operation, parts: list[ir.Value], negated: bool) -> ir.Value:
    """What stands for the comparison `op`: local steps on the bits of its parts."""
    type_ = parts[0].type
    result = parts[0] if len(parts) == 1 else insert_op("xor", type_, *parts, before=op)
    return insert_op("not", type_, result, before=op) if negated else result


def _maximum(e: _Emitter, op: ir.Operation) -> ir.Value:
    x, y = op.operands
    return e.select(e.less(x, y), y, x)


def _minimum(e: _Emitter, op: ir.Operation) -> ir.Value:
    x, y = op.operands
    return e.select(e.less(x, y), x, y)


def _clamp(e: _Emitter, op: ir.Operation) -> ir.Value:
    x = op.operands[1]
    low, high = (e.spread(bound, x) for bound in (op.operands[0], op.operands[2]))
    least, most = constant(low), constant(high)
    if least is not None and most is not None and least <= most:
        return e.select(e.less(x, low), low, e.select(e.less(x, high), x, high))
    above = e.select(e.less(x, low), low, x)
    return e.select(e.less(above, high), above, high)


def _abs(e: _Emitter, op: ir.Operation) -> ir.Value:
    x = op.operands[0]
    size = e.select(e.less(x, e.zero(x)), e.op("negate", x.type, x), x)
    e.comparisons.is_magnitude(size, x)
    return size


def _keep_reach(op: ir.Operation, result: ir.Value) -> None:
    """What is known of how large the result of an op gets is known of what takes its place."""
    made = defining_op(result)
    for name in (names.INFINITY, names.REACH):
        if name in op.attributes and made is not None:
            made.attributes[name] = op.attributes[name]


_EXPANSIONS: dict[str, Callable[[_Emitter, ir.Operation], ir.Value]] = {
    "stablehlo.maximum": _maximum,
    "stablehlo.minimum": _minimum,
    "stablehlo.clamp": _clamp,
    "stablehlo.abs": _abs,
}
"""What is written in terms of comparisons, and how."""
