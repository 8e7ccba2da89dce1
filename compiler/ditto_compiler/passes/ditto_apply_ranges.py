"""The pass `ditto-apply-ranges`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ditto_compiler.analyses.ranges import Known, RangeAnalysis
from ditto_compiler.calibration import Ranges, RangesError, value_keys
from ditto_compiler.dialect import attributes as names
from ditto_compiler.intervals import Interval, Range
from ditto_compiler.ir import defining_op, entry_function, ir, ops_of
from ditto_compiler.ops import OPS
from ditto_compiler.options import NO_TEXT
from ditto_compiler.pass_base import Pass
from ditto_compiler.remarks import Category
from ditto_compiler.structure import is_float


@dataclass(frozen=True)
class DittoApplyRanges(Pass):
    """Attach calibrated magnitudes to the ops and arguments they were measured on.

    `ditto calibrate` writes, for each value, the least and the largest number it saw, under a name made of
    the op's scope and its number among equal ops there. This pass finds the ops by the same names and sets
    `ditto.range`, which range analysis reads (`ditto.max_abs` where a file has magnitudes only). Where range
    analysis proves that what was measured cannot be, it warns, and the measurement is believed.

    Requires: the pipeline that calibration ran, up to here. Keeps: everything else.

    Before, with a file that says `"layer0/mlp:stablehlo.tanh#0": [-0.5, 0.93]`:

        %0 = stablehlo.tanh %x : tensor<4xf32>

    After:

        %0 = stablehlo.tanh %x {ditto.range = array<f64: -5.000000e-01, 9.300000e-01>} : tensor<4xf32>

    With `needed_only`, a range is left out if a form states a bound, or if range analysis proves nearly as
    much from the others: twice its magnitude, or for arguments of functions, ends a quarter further out. Each
    range that is left has to be guarded (ditto-insert-guards).

    Ranges of integers are those of their dtypes, whatever was measured: what samples decided, an input may
    decide otherwise. What was computed to be 0 in all samples, as by a gate that none opened, is taken for
    unknown.

    Errors: a file that cannot be read; a file of another program, none of whose names are here.
    """

    name: ClassVar[str] = "ditto-apply-ranges"
    ranges: str = ""
    """The file that calibration wrote."""
    ranges_object: Ranges | None = field(default=None, metadata=NO_TEXT)
    """Ranges held in Python, instead of `ranges`."""
    needed_only: bool = False
    """Leave out what is nearly proved."""
    margin: float = 0.0
    """Part of the larger end by which ends are further out than measured."""

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = entry_function(module)
        try:
            ranges = self.ranges_object or Ranges.load(self.ranges)
        except RangesError as error:
            errors.add(module.operation, str(error))
            errors.raise_if_any()
            return
        if entry is None:
            return
        keys = value_keys(entry)
        if ranges.values and not any(key in ranges.values for key in keys.values()):
            errors.add(
                module.operation,
                f"none of the {len(ranges.values)} calibrated ranges belongs to this program; "
                "calibrate it again",
            )
        errors.raise_if_any()
        said = {value: key for value, key in keys.items() if _says_something(ranges, key, value)}
        if self.needed_only or self.margin:
            # Guards compare with intervals.
            ranges = ranges.widened(self.margin)
        attributes = names.argument_attributes(entry)
        for argument, entries in zip(entry.arguments, attributes, strict=True):
            entries.update(_attributes(ranges, said.get(argument, "")))
        names.set_argument_attributes(entry, attributes)
        for op in ops_of(entry.entry_block):
            if len(op.results) == 1 and op.results[0] in said:
                for name, value in _attributes(ranges, said[op.results[0]]).items():
                    op.attributes[name] = value
        analysis = _Needed(entry) if self.needed_only else RangeAnalysis(entry)
        for contradiction in analysis.contradictions:
            self.note(
                "warning",
                contradiction.op,
                f"it was measured in {contradiction.measured}, but whatever the inputs it is in "
                f"{contradiction.proved}; the measurement is believed. Are the ranges of another version of "
                "the program? Calibrate it again",
                Category.RANGE,
            )


class _Needed(RangeAnalysis):
    """Range analysis that drops measurements which it nearly proves."""

    def _sharpened(self, op: ir.Operation, value: ir.Value, proved: Range, known: Known) -> Range:
        if known.measured is not None and op.name != "func.func":
            for_function = any(_has_domain(use.owner.operation) for use in value.uses)
            near = (_ends_are_near if for_function else _is_near)(proved, known.measured)
            # Bounds that forms state are not assumptions.
            if near or known.bound is not None or not proved.is_numeric:
                del op.attributes[names.RANGE]
                known = known._replace(measured=None)
        return super()._sharpened(op, value, proved, known)


def _is_near(proved: Range, measured: Interval) -> bool:
    """Whether the proved magnitude is at most twice the measured one: a bit."""
    return proved.largest <= 2 * max(-measured[0], measured[1])


def _ends_are_near(proved: Range, measured: Interval) -> bool:
    """Whether each proved end is at most a quarter further out than the measured one."""
    (low, high), out, into = measured, 1.25, 0.8
    least, most = low * (out if low < 0 else into), high * (out if high > 0 else into)
    return proved.low >= least and proved.high <= most


def _has_domain(op: ir.Operation) -> bool:
    return op.name == names.ONESHOT or (op.name in OPS and OPS[op.name].domain is not None)


def _says_something(ranges: Ranges, key: str, value: ir.Value) -> bool:
    """Whether what was measured of a value holds for other inputs, about.

    Of an integer it does not: an input decides it. Nor does it of what was computed to be 0 everywhere, as by
    gates that no sample opened.
    """
    if not is_float(value):
        return False
    if defining_op(value) is None:
        return key in ranges.values
    return ranges.values.get(key, 0.0) > 0


def _attributes(ranges: Ranges, key: str) -> dict[str, ir.Attribute]:
    """What was seen of a value, as an attribute of its op; nothing if nothing was."""
    if key in ranges.intervals:
        return {names.RANGE: ir.DenseF64ArrayAttr.get(list(ranges.intervals[key]))}
    if key in ranges.values:
        return {names.MAX_ABS: ir.FloatAttr.get_f64(ranges.values[key])}
    return {}
