"""The pass `ditto-print-ranges`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import entry_function, functions, ir, nested_ops
from ditto_compiler.pass_base import Pass


@dataclass(frozen=True)
class DittoPrintRanges(Pass):
    """Write down what range analysis knows of each value, for people and tests to read.

    It sets `ditto.known_range` on every op with results, in regions and in called functions too, and on
    arguments: the interval of the numbers, and `below`, `above` and `nan` where elements may stand for minus
    infinity, for infinity, or be no number. No pass reads it: facts are computed anew.

    Requires: nothing. Keeps: everything else.

    Before:

        %0 = stablehlo.tanh %x : tensor<4xf32>
        %1 = stablehlo.subtract %0, %one : tensor<4xf32>

    After:

        %0 = stablehlo.tanh %x {ditto.known_range = "[-1, 1]"} : tensor<4xf32>
        %1 = stablehlo.subtract %0, %one {ditto.known_range = "[-2, 0]"} : tensor<4xf32>

    Errors: none.
    """

    name: ClassVar[str] = "ditto-print-ranges"

    def run(self, module: ir.Module) -> None:
        entry = entry_function(module)
        if entry is None:
            return
        analysis = RangeAnalysis(entry)
        for function in functions(module):
            if function.is_external or (function != entry and not analysis.has_seen(function)):
                continue
            attributes = names.argument_attributes(function)
            for argument, entries in zip(function.arguments, attributes, strict=True):
                entries[names.KNOWN_RANGE] = _text(analysis, argument)
            names.set_argument_attributes(function, attributes)
            for op in nested_ops(function.operation):
                if len(op.results):
                    texts = [_text(analysis, result) for result in op.results]
                    op.attributes[names.KNOWN_RANGE] = (
                        texts[0] if len(texts) == 1 else ir.ArrayAttr.get(texts)
                    )


def _text(analysis: RangeAnalysis, value: ir.Value) -> ir.StringAttr:
    return ir.StringAttr.get(str(analysis.of(value)))
