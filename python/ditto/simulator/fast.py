"""The fast domain: real numbers under XLA, rounded to the grids of their encodings.

Differentiable: rounding and saturation pass gradients on as they are (straight-through estimation).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import ArrayLike

from ditto.simulator.interpreter import (
    Interpreter,
    Rule,
    dropped_bits,
    spare_bits,
    value_encoding,
)
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import FLOAT_TYPES, numpy_dtype
from ditto_compiler.encoding import Cast, Fxp
from ditto_compiler.ir import defining_op, element_type, encoding_of, ir
from ditto_compiler.op_attributes import (
    shape_of,
)
from ditto_compiler.ops.scales import is_product

ADDITIVE = frozenset(
    f"stablehlo.{name}"
    for name in ("abs", "add", "clamp", "maximum", "minimum", "negate", "reduce", "select", "subtract")
)
"""Ops whose results are on the finest grid of their operands, or on a finer one."""


def working_dtype(dtype: str) -> Any:
    """What a tensor of a front-end dtype is computed in: floats in JAX's widest, double if it is enabled."""
    wide = jnp.float64 if dtype in FLOAT_TYPES else numpy_dtype(dtype)
    return jax.dtypes.canonicalize_dtype(wide)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def fake_quantize(x: Array, encoding: Fxp, spare: int = 2, rounds: bool = True) -> Array:
    """`x` saturated at 2^(ring-spare-frac), and rounded to multiples of 2^-frac; its derivative is 1.

    What is on the grid already need not be rounded.
    """
    x = saturated(x, encoding, spare)
    return _scaled_back(lax.round(_scaled(x, encoding), _NEAREST), encoding) if rounds else x


@fake_quantize.defjvp  # type: ignore[untyped-decorator]
def _straight_through(
    encoding: Fxp, spare: int, rounds: bool, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    return fake_quantize(primals[0], encoding, spare, rounds), tangents[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def truncate_on_shares(x: Array, bits: Array, encoding: Fxp, spare: int) -> Array:
    """`x` rounded as parties truncate it, with random `bits` of 32 for each element; its derivative is 1.

    Two slots lose what they have below the grid, the third makes up for the mean: see
    `ditto.simulator.ring.shift_right_on_shares`.
    """
    lost = ((bits & 0xFFFF) + (bits >> 16)).astype(x.dtype) * 2.0**-16 + 2.0**-16
    rounded = jnp.floor(_scaled(saturated(x, encoding, spare), encoding) - lost + 0.5) + 1.0
    return _scaled_back(rounded, encoding)


@truncate_on_shares.defjvp  # type: ignore[untyped-decorator]
def _straight_through_noise(
    encoding: Fxp, spare: int, primals: tuple[Array, Array], tangents: tuple[Array, Any]
) -> tuple[Array, Array]:
    return truncate_on_shares(*primals, encoding, spare), tangents[0]


_NEAREST = lax.RoundingMethod.TO_NEAREST_EVEN


def saturated(x: Array, encoding: Fxp, spare: int) -> Array:
    """Numbers within a ring, of which `spare` bits are left free."""
    limit = 2.0 ** (encoding.ring - spare - encoding.frac)
    return lax.clamp(jnp.asarray(-limit, x.dtype), x, jnp.asarray(limit, x.dtype))


def _scaled(x: Array, encoding: Fxp) -> Array:
    return x * 2.0**encoding.frac


def _scaled_back(x: Array, encoding: Fxp) -> Array:
    return x * 2.0**-encoding.frac


class Fast(Interpreter[Array]):
    """Runs programs in the fast domain, under `jax.jit` too.

    Args:
        rules: `FAST`.
        key: of random shares, with which is truncated what parties truncate; without one, all is rounded to
            nearest.
        is_secret: whether a value of the program is: only these are truncated on shares.
    """

    def __init__(
        self,
        rules: Mapping[str, Rule[Array]],
        key: Array | None = None,
        is_secret: Callable[[ir.Value], bool] = lambda value: True,
    ) -> None:
        super().__init__(rules)
        self._seeds = None if key is None else jax.random.bits(key, (2,), jnp.uint32)
        self._is_secret = is_secret
        self._drawn = 0

    def hold(self, value: ir.Value, array: ArrayLike) -> Array:
        """`array` as the encoding of `value` holds it."""
        numbers: Array = jnp.asarray(array, working_dtype(element_type(value)))
        encoding, op = encoding_of(value), defining_op(value)
        if not isinstance(encoding, Fxp):
            return numbers
        if op is None:
            return fake_quantize(numbers, encoding)
        spare = spare_bits(op)
        if self._seeds is not None and _truncates(op) and self._is_secret(value):
            return truncate_on_shares(numbers, self._draw(numbers.shape), encoding, spare)
        return fake_quantize(numbers, encoding, spare, not _is_on_grid(op, encoding))

    def noisy(self, array: Array, deviation: float) -> Array:
        """With normal noise, as parties add it by rounding in a protocol; as it is without random shares."""
        if self._seeds is None:
            return array
        halves = (self._draw(array.shape) >> 9).astype(array.dtype) * 2.0**-22 - (1.0 - 2.0**-23)
        return array + deviation * np.sqrt(2.0) * lax.erf_inv(halves)

    def _draw(self, shape: Sequence[int]) -> Array:
        """32 random bits for each element, and others for each op."""
        assert self._seeds is not None
        self._drawn += 1
        start, change = self._seeds + np.uint32(self._drawn * _ODD % 2**32)
        return _mixed(
            lax.iota(jnp.uint32, math.prod(shape)).reshape(shape) + _mixed(start, np.uint32(0)), change
        )

    def literal(self, op: ir.Operation, numbers: Sequence[float]) -> Array:
        """As in the base class."""
        shape = shape_of(op.results[0])
        array = np.asarray(numbers, numpy_dtype(element_type(op.results[0])))
        return self.hold(
            op.results[0],
            np.broadcast_to(array.reshape(()), shape) if array.size == 1 else array.reshape(shape),
        )


_ODD = 0x9E3779B1
"""2^32 by the golden ratio: multiples of it, modulo 2^32, do not repeat and lie far apart (Knuth 6.4)."""


def _mixed(x: Array, change: Array | np.uint32) -> Array:
    """A permutation of the 32-bit words, one for each `change`: the finalizer of MurmurHash3 (Appleby).

    Noise of a simulation hides nothing, and XLA takes minutes for as many draws of `jax.random` as programs
    have truncations.
    """
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B) + change
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _is_on_grid(op: ir.Operation, encoding: Fxp) -> bool:
    """Whether the result of an op needs no rounding, since its operands are on their grids."""
    if op.name in names.CASTS or op.name in ADDITIVE:
        operands = map(encoding_of, op.operands)
        return all(each.frac <= encoding.frac for each in operands if isinstance(each, Fxp))
    return is_product(op) and dropped_bits(op) <= 0


def _truncates(op: ir.Operation) -> bool:
    """Whether the parties drop bits of the result of an op on shares."""
    if op.name in names.CASTS:
        cast = Cast(value_encoding(op.operands[0]), value_encoding(op.results[0]))
        return cast.shift_right > 0
    return is_product(op) and dropped_bits(op) > 0
