"""The pass `ditto-expand-ops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.ir import ir, nested_ops
from ditto_compiler.pass_base import Pass
from ditto_compiler.supported import type_problem
from ditto_compiler.written import TABLE
from ditto_compiler.written.base import write
from ditto_compiler.written.functions import makes_random_float

PUBLIC_KEY = (
    "make the key of jax.random public (visibility), or draw the numbers outside of the program and "
    "pass them in"
)


@dataclass(frozen=True)
class DittoExpandOps(Pass):
    """Write ops that neither the engine nor the executor on shares has as JAX functions of other ops.

    The functions are those of `ditto_compiler.written`:

    - convolutions by groups (`feature_group_count`, `batch_group_count`), or along other than one or two
      axes, are one product of matrices, of patches and kernels;
    - `select_and_scatter`, the gradient of max pooling, compares all pairs of a window at once;
    - `tan`, `cbrt` and `erf_inv` are formulas of functions that the engine has (docs/reference/functions.md);
    - of the bits of a float (`bitcast_convert`), the sign can be read, as in `jnp.signbit`; and public random
      bits can become floats, as in `jax.random.uniform`: of 18 bits, in f64 of 30.

    What cannot be written so stays, for ditto-check-supported to report.

    Requires: calls inlined, no encodings yet. Keeps: everything else.

    Before:

        %0 = stablehlo.convolution(%x, %k) ... {feature_group_count = 2 : i64, batch_group_count = 1 : i64}
          : (tensor<1x8x4xf32>, tensor<3x2x6xf32>) -> tensor<1x6x6xf32>

    After (patches are slices of %x):

        %0 = stablehlo.dot_general %patches, %kernels, batching_dims = [1] x [2],
          contracting_dims = [0, 4] x [0, 1]
          : (tensor<3x2x1x6x2xf32>, tensor<3x2x2x3xf32>) -> tensor<2x1x6x3xf32>

    Errors: floats of random bits that are secret, for so is the key then.
    """

    name: ClassVar[str] = "ditto-expand-ops"

    def run(self, module: ir.Module) -> None:
        errors, visibility = self.errors(), VisibilityAnalysis(module)
        for op in nested_ops(module.operation, skip=TABLE):
            writing = TABLE.get(op.name)
            if writing is None or not _is_plain(op):
                continue
            is_random = op.name == "stablehlo.bitcast_convert" and makes_random_float(op)
            if is_random and visibility.is_secret(op.operands[0]):
                errors.add(op, f"it makes random numbers of secret bits; {PUBLIC_KEY}")
                continue
            function = writing(op)
            if function is not None:
                write(op, function)
        errors.raise_if_any()


def _is_plain(op: ir.Operation) -> bool:
    types = [value.type for value in (*op.operands, *op.results)]
    return all(type_problem(type_) is None and type_.encoding is None for type_ in types)
