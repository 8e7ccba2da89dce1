"""The pass `ditto-expand-ops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.ir import ir, nested_ops
from ditto_compiler.pass_base import Pass
from ditto_compiler.supported import type_problem
from ditto_compiler.written import TABLE
from ditto_compiler.written.base import write


@dataclass(frozen=True)
class DittoExpandOps(Pass):
    """Write ops that neither the engine nor the executor on shares has as JAX functions of other ops.

    The functions are those of `ditto_compiler.written`:

    - convolutions by groups (`feature_group_count`, `batch_group_count`), or along other than one or two
      axes, are one product of matrices, of patches and kernels;
    - `select_and_scatter`, the gradient of max pooling, compares all pairs of a window at once.

    What cannot be written so stays, for ditto-check-supported to report.

    Requires: calls inlined, no encodings yet. Keeps: everything else.

    Before:

        %0 = stablehlo.convolution(%x, %k) ... {feature_group_count = 2 : i64, batch_group_count = 1 : i64}
          : (tensor<1x8x4xf32>, tensor<3x2x6xf32>) -> tensor<1x6x6xf32>

    After (patches are slices of %x):

        %0 = stablehlo.dot_general %patches, %kernels, batching_dims = [1] x [2],
          contracting_dims = [0, 4] x [0, 1] : (tensor<3x2x1x6x2xf32>, tensor<3x2x2x3xf32>) -> tensor<2x1x6x3xf32>

    Errors: none.
    """

    name: ClassVar[str] = "ditto-expand-ops"

    def run(self, module: ir.Module) -> None:
        for op in nested_ops(module.operation, skip=TABLE):
            writing = TABLE.get(op.name)
            if writing is None or not _is_plain(op):
                continue
            function = writing(op)
            if function is not None:
                write(op, function)


def _is_plain(op: ir.Operation) -> bool:
    types = [value.type for value in (*op.operands, *op.results)]
    return all(type_problem(type_) is None and type_.encoding is None for type_ in types)
