"""The fast domain: real numbers under XLA, rounded to the grids of their encodings.

Differentiable: rounding and saturation pass gradients on as they are (straight-through estimation).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from ditto.simulator.interpreter import (
    Interpreter,
    spare_bits,
)
from ditto_compiler.dtypes import FLOAT_TYPES, numpy_dtype
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import defining_op, element_type, encoding_of, ir
from ditto_compiler.op_attributes import (
    shape_of,
)


def working_dtype(dtype: str) -> Any:
    """What a tensor of a front-end dtype is computed in: floats in JAX's widest, double if it is enabled."""
    wide = jnp.float64 if dtype in FLOAT_TYPES else numpy_dtype(dtype)
    return jax.dtypes.canonicalize_dtype(wide)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def fake_quantize(x: Array, encoding: Fxp, spare: int = 2) -> Array:
    """`x` rounded to multiples of 2^-frac and saturated at 2^(ring-spare-frac); its derivative is 1."""
    limit = 2.0 ** (encoding.ring - spare - encoding.frac)
    scaled = x * 2.0**encoding.frac
    # Larger floats are integers already; scaling them back might be infinite.
    fraction_bits = jnp.finfo(x.dtype).nmant
    rounded = jnp.where(jnp.abs(scaled) < 2.0**fraction_bits, jnp.round(scaled) * 2.0**-encoding.frac, x)
    return jnp.clip(rounded, -limit, limit)


@fake_quantize.defjvp  # type: ignore[untyped-decorator]
def _straight_through(
    encoding: Fxp, spare: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    return fake_quantize(primals[0], encoding, spare), tangents[0]


class Fast(Interpreter[Array]):
    """Runs programs in the fast domain, under `jax.jit` too."""

    def hold(self, value: ir.Value, array: ArrayLike) -> Array:
        """`array` as the encoding of `value` holds it."""
        array = jnp.asarray(array, working_dtype(element_type(value)))
        encoding, op = encoding_of(value), defining_op(value)
        if not isinstance(encoding, Fxp):
            return array
        return fake_quantize(array, encoding, 2 if op is None else spare_bits(op))

    def literal(self, op: ir.Operation, numbers: Sequence[float]) -> Array:
        """As in the base class."""
        shape = shape_of(op.results[0])
        array = np.asarray(numbers, numpy_dtype(element_type(op.results[0])))
        return self.hold(
            op.results[0],
            np.broadcast_to(array.reshape(()), shape) if array.size == 1 else array.reshape(shape),
        )
