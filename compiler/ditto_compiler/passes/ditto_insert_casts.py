"""The pass `ditto-insert-casts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import constant_at, insert_casts
from ditto_compiler.encoding import Encoding, Fxp, Int
from ditto_compiler.indices import cast_index
from ditto_compiler.ir import (
    encoding_of,
    ir,
    is_tensor,
    nested_ops,
    top_level_ancestor,
)
from ditto_compiler.op_attributes import first_index
from ditto_compiler.ops import OPS
from ditto_compiler.ops.scales import is_constant, working_scale
from ditto_compiler.pass_base import Pass


@dataclass(frozen=True)
class DittoInsertCasts(Pass):
    """Make every change of ring or scale an explicit secure cast.

    An op works in the encoding of its result. Each operand in another ring or with other fraction
    bits is cast right before the op (before the loop or branch that holds the op, which stays whole in one
    ring). A user's dtype conversion thereby becomes a cast followed by a conversion that costs
    nothing. The pass inserts a cast per use and moves nothing; ditto-optimize-casts makes them few. A
    constant is not cast but written again, so that an op still sees that it is one. An index that may lose
    bits is limited to the extents first, as StableHLO has it.

    Requires: an annotated module. Ensures: c2 (one ring and one scale per op).

    Before:

        %1 = stablehlo.exponential %0
          : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>

    After:

        %1 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
        %2 = stablehlo.exponential %1 : tensor<4xf32, #ditto.fxp<64, 18>>

    Errors: a module that is not annotated, or whose products are exact already.
    """

    name: ClassVar[str] = "ditto-insert-casts"

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-annotate")
        self.check_before("ditto-expand-rescale", module, has_run=names.is_explicit(module))
        for op in list(nested_ops(entry.operation)):
            if op.name not in OPS or op.name == "func.return":
                continue
            scale = working_scale(op)
            for index, operand in enumerate(op.operands):
                if scale is None or not is_tensor(operand.type):
                    continue
                source = encoding_of(operand)
                target: Encoding = scale if isinstance(source, Fxp) else Int(scale.ring)
                if source is None or source == target:
                    continue
                before = top_level_ancestor(op)
                if index >= first_index(op):
                    op.operands[index] = cast_index(operand, op, target.ring, before=before)
                elif is_constant(operand):
                    op.operands[index] = constant_at(operand, target, before=before)
                else:
                    op.operands[index] = insert_casts(operand, target, before=before)
        for op in nested_ops(entry.operation):
            for name in (names.RING, names.FRAC):
                # From here on the types say it.
                if name in op.attributes:
                    del op.attributes[name]
        names.set_stage(module, "cast")
