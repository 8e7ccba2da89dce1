"""The pass `ditto-check-domains`."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.forms.range_reduction import SLACK, scaling
from ditto_compiler.intervals import Interval, Range
from ditto_compiler.ir import defining_op, encoding_of, ir, nested_ops
from ditto_compiler.ops import OPS
from ditto_compiler.ops.functions import is_approximated
from ditto_compiler.pass_base import Pass
from ditto_compiler.spu.domains import Domain
from ditto_compiler.structure import REPEATING

SCALED = ("divide", "log", "log_plus_one", "rsqrt", "sqrt")
"""Functions whose known arguments ditto-expand-functions brings into the domain."""


_MOVES = REPEATING | {"stablehlo.transpose"}
"""Ops whose result has all elements of their operand, and no other."""


@dataclass(frozen=True)
class DittoCheckDomains(Pass):
    """Check the arguments of functions that are right for some arguments only.

    Secret exponentials, roots, quotients and so on are approximated, and beyond some argument their results
    are 0, saturated, or any number: [functions](functions.md) lists the domains, which follow from ring and
    fraction bits. Where range analysis proves that arguments stay inside, or calibration or a form says so,
    nothing is said; one remark lists the functions of whose arguments too little is known.

    Changes nothing.

    Requires: casts inserted, functions not expanded yet.

    Errors: a function whose arguments are known to leave the domain, by proof or measurement, and cannot be
    brought into it by a power of two; one that has no domain with these fraction bits (each names the op, the
    range, the domain, and what would do).

    Example, with |%x| <= 40:

        %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
        // error: [ditto-check-domains] 'stablehlo.exponential' op: its argument is in [-40, 40], but ...
    """

    name: ClassVar[str] = "ditto-check-domains"

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-insert-casts")
        visibility, ranges = VisibilityAnalysis(module), RangeAnalysis(entry)
        about_arguments = zip(entry.arguments, names.argument_attributes(entry), strict=True)
        measured = frozenset(argument for argument, known in about_arguments if names.RANGE in known)
        unknown: Counter[tuple[str, str]] = Counter()
        for op in nested_ops(entry.operation):
            self._check_form(op, errors)
            encoding = encoding_of(op.results[0]) if len(op.results) else None
            if not isinstance(encoding, Fxp) or not is_approximated(op):
                continue
            domain_of = OPS[op.name].domain
            if domain_of is None or not visibility.is_secret(op.results[0]):
                continue
            found = domain_of(encoding.ring, encoding.frac)
            arguments = _Arguments(op, encoding, ranges, measured)
            if found.is_empty:
                errors.add(op, f"it has no domain in {encoding}: {_remedy(arguments)}")
            elif (outside := arguments.outside(found)) is not None:
                errors.add(op, f"{outside}, but in {encoding} it is right for {found}: {_remedy(arguments)}")
            elif not arguments.are_inside(found):
                unknown[op.name, str(found)] += 1
        errors.raise_if_any()
        if unknown:
            listed = "; ".join(f"{count} x {name}: {where}" for (name, where), count in unknown.items())
            self.note(
                "remark",
                entry.operation,
                "functions that are right for some arguments only, of which too little is known "
                f"({listed}): calibrate (ditto.calibrate) to have them checked on samples, or simulate "
                "(ditto.simulate)",
            )

    def _check_form(self, op: ir.Operation, errors: ErrorCollector) -> None:
        """What a form says of its values must be true of those that were measured."""
        stated = names.get_attribute(op, names.MAX_ABS)
        if not isinstance(stated, ir.FloatAttr):
            return
        _, source = _source(op.results[0])
        measured = None if source is None else names.get_attribute(source, names.RANGE)
        if measured is None:
            return
        low, high = ir.DenseF64ArrayAttr(measured)
        if max(-low, high) > stated.value * SLACK:
            errors.add(
                op,
                f"it was measured in {_text((low, high))}, but the form that it belongs to is right for "
                f"magnitudes up to {stated.value:.4g}; choose another form (docs/reference/forms.md says "
                "where each is right)",
            )
        least = names.get_float(op, names.LEAST)
        if least is not None and 0 < low < least / SLACK:
            self.note(
                "warning",
                op,
                f"it was measured in {_text((low, high))}, but the form that it belongs to takes what is "
                f"below {least:.4g} for more; choose another form (docs/reference/forms.md says "
                "where each is right), or scale what it is computed from",
            )


def _source(value: ir.Value) -> tuple[ir.Value, ir.Operation | None]:
    """What a value has the numbers of, and the op that it comes from."""
    op = defining_op(value)
    while (
        op is not None and names.RANGE not in op.attributes and (op.name in names.CASTS or op.name in _MOVES)
    ):
        value = op.operands[0]
        op = defining_op(value)
    return value, op


@dataclass(frozen=True)
class _Arguments:
    """What is known of an op's arguments."""

    op: ir.Operation
    encoding: Fxp
    ranges: RangeAnalysis
    measured: frozenset[ir.Value]
    """Arguments of the program that were measured."""

    def _range(self, index: int) -> Range:
        return self.ranges.of(self.op.operands[index])

    @property
    def _function(self) -> str:
        return str(self.op.name).partition(".")[2]

    def outside(self, domain: Domain) -> str | None:
        """What is known to leave the domain, or None."""
        for index, (low, high) in enumerate(self._limits(domain)):
            known = self._range(index)
            least, most = known.ends
            # Where the function itself has no value, nothing can be wrong.
            if (low < 0 and -math.inf < least <= low) or high <= most < math.inf:
                if self._can_be_scaled(index):
                    continue
                return f"its {self._name(index)} is in {_text(known.ends)}"
        index = self._index_of_smallest(domain)
        least = self._measured_least(index)
        if 0 < least < domain.smallest:
            return f"its {self._name(index)} was measured to be as small as {least:.3g}"
        largest = self._largest_result()
        if domain.result < largest < math.inf:
            what = "quotient" if domain.divisor < math.inf else "result"
            return f"its {what} reaches {largest:.3g}"
        return None

    def are_inside(self, domain: Domain) -> bool:
        """Whether all arguments are known to be in the domain, given that none is known not to be."""
        room = 2.0 ** (self.encoding.ring - 2 - self.encoding.frac)
        for index, (low, high) in enumerate(self._limits(domain)):
            least, most = self._range(index).ends
            is_inside = (low >= 0 or low <= -room or low < least) and (high >= room or most < high)
            if not is_inside and not self._can_be_scaled(index):
                return False
        if domain.smallest > 2.0**-self.encoding.frac:
            known = self._range(self._index_of_smallest(domain))
            if 0 in known or min(abs(known.low), abs(known.high)) < domain.smallest:
                return False
        return math.isinf(domain.result) or self._largest_result() < domain.result

    @staticmethod
    def _index_of_smallest(domain: Domain) -> int:
        return 1 if domain.divisor < math.inf else 0

    def _limits(self, domain: Domain) -> list[Interval]:
        """Of each operand."""
        first = (domain.low, domain.high)
        if self._function == "atan2":
            return [first, first]
        if domain.divisor < math.inf:
            return [first, (-domain.divisor, domain.divisor)]
        return [first]

    def _name(self, index: int) -> str:
        if len(self.op.operands) == 1:
            return "argument"
        if self._function == "power":
            return "base"
        return "divisor" if index else "dividend"

    def _can_be_scaled(self, index: int) -> bool:
        if self._function not in SCALED or index != len(self.op.operands) - 1:
            return False
        function, known = self._function, self._range(index)
        if function == "log_plus_one":
            function, known = "log", known.numbers(known.low + 1, known.high + 1)
        return scaling(function, self.encoding, known) is not None

    def _measured_least(self, index: int) -> float:
        """The least number seen in calibration; inf if there was none."""
        value, op = _source(self.op.operands[index])
        measured = value in self.measured if op is None else names.RANGE in op.attributes
        return self.ranges.of(value).low if measured else math.inf

    def _largest_result(self) -> float:
        """The largest quotient or power that the ranges allow; inf where they leave it open."""
        if len(self.op.operands) == 1 or self._function == "atan2":
            return 0.0
        first, second = self._range(0), self._range(1)
        if self._function == "power":
            if not (first.is_bounded and second.is_bounded and first.low > 0):
                return math.inf
            logs = [abs(math.log2(base) * second.largest) for base in (first.low, first.high)]
            return float(2.0 ** min(max(logs), 1000.0))
        if 0 in second or not (first.is_bounded and second.is_bounded):
            return math.inf
        return first.largest / min(abs(second.low), abs(second.high))


def _text(ends: Interval) -> str:
    return f"[{ends[0]:.4g}, {ends[1]:.4g}]"


_TRIED = ((64, 18), (64, 20), (64, 16), (64, 14), (64, 24), (128, 26), (128, 40))
"""Encodings to recommend, the nearest first."""


def _remedy(arguments: _Arguments) -> str:
    domain_of = OPS[arguments.op.name].domain
    assert domain_of is not None
    for ring, frac in _TRIED:
        other = replace(arguments, encoding=Fxp(ring, frac))
        found = domain_of(ring, frac)
        if not found.is_empty and other.outside(found) is None:
            return f"give it a rule with ring = {ring} and frac = {frac}, or scale the argument"
    return "scale the argument, or choose a form of the function"
