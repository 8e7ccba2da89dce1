"""The pass `ditto-apply-ranges`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ditto_compiler.calibration import Ranges, RangesError, argument_key, result_keys
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import entry_function, ir, ops_of
from ditto_compiler.options import NO_TEXT
from ditto_compiler.pass_base import Pass


@dataclass(frozen=True)
class DittoApplyRanges(Pass):
    """Attach calibrated magnitudes to the ops and arguments they were measured on.

    `ditto calibrate` writes, for each float value, the largest magnitude it saw, under a name made of the
    op's scope and its number among equal ops there. This pass finds the ops by the same names and sets
    `ditto.max_abs`, which range analysis reads.

    Requires: the pipeline that calibration ran, up to here. Keeps: everything else.

    Before, with a file that says `"layer0/mlp:stablehlo.tanh#0" = 0.93`:

        %0 = stablehlo.tanh %x : tensor<4xf32>

    After:

        %0 = stablehlo.tanh %x {ditto.max_abs = 9.300000e-01 : f64} : tensor<4xf32>

    Errors: a file that cannot be read; a file of another program, none of whose names are here.
    """

    name: ClassVar[str] = "ditto-apply-ranges"
    ranges: str = ""
    """The file that calibration wrote."""
    ranges_object: Ranges | None = field(default=None, metadata=NO_TEXT)
    """Ranges held in Python, instead of `ranges`."""

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
        found = 0
        attributes = names.argument_attributes(entry)
        for index, entries in enumerate(attributes):
            bound = ranges.values.get(argument_key(index))
            if bound is not None:
                entries[names.MAX_ABS] = _magnitude(bound)
                found += 1
        names.set_argument_attributes(entry, attributes)
        keys = result_keys(entry)
        for op in ops_of(entry.entry_block):
            bounds = [ranges.values.get(keys.get(result, "")) for result in op.results]
            if len(bounds) == 1 and bounds[0] is not None:
                op.attributes[names.MAX_ABS] = _magnitude(bounds[0])
                found += 1
        if ranges.values and not found:
            errors.add(
                module.operation,
                f"none of the {len(ranges.values)} calibrated ranges belongs to this program; "
                "calibrate it again",
            )
        errors.raise_if_any()


def _magnitude(bound: float) -> ir.FloatAttr:
    return ir.FloatAttr.get_f64(bound)
