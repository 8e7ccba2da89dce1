"""Ops that are written out as JAX functions of others, having no home in `ditto_compiler.ops`.

`TABLE` says of each how; `ditto-expand-ops` puts what JAX makes of it in the place of the op.
"""

from collections.abc import Mapping

from ditto_compiler.written.base import Writing
from ditto_compiler.written.convolutions import convolution
from ditto_compiler.written.functions import (
    bitcast,
    cube_root,
    inverse_error_function,
    inverse_hyperbolic_tangent,
    tangent,
)
from ditto_compiler.written.pooling import select_and_scatter

__all__ = ["TABLE", "Writing"]

TABLE: Mapping[str, Writing] = {
    "chlo.atanh": inverse_hyperbolic_tangent,
    "chlo.erf_inv": inverse_error_function,
    "chlo.tan": tangent,
    "stablehlo.bitcast_convert": bitcast,
    "stablehlo.cbrt": cube_root,
    "stablehlo.convolution": convolution,
    "stablehlo.select_and_scatter": select_and_scatter,
    "stablehlo.tan": tangent,
}
"""The JAX function that an op is, by the op's name; None for an instance that stays as it is."""
