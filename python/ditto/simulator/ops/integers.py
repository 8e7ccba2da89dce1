"""Division of integers, and what makes their ring elements canonical."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from ditto.simulator import ring as rings
from ditto.simulator.exact import Exact, Tensor, integers_of, result_encoding
from ditto.simulator.fast import Fast
from ditto.simulator.ops.base import register
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import ir
from ditto_compiler.ops.integers import unsigned_value


def divided(op: ir.Operation, x: Sequence[Tensor]) -> Tensor:
    """`divide` and `remainder` of integers."""
    left, right = integers_of(op, x)
    quotient, rest = _quotient(left, right)
    return _integers(op, quotient if op.name == "stablehlo.divide" else rest, x)


def _quotient(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Toward zero, and what remains; as XLA has it, x / 0 = -1 and x % 0 = x."""
    by_zero = y == 0
    divisor = np.where(by_zero, x.dtype.type(1), y)
    down = np.floor_divide(x, divisor)
    inexact = down * divisor != x
    # No number of Python's, which would make a float of an unsigned scalar.
    toward_zero = down + (inexact & ((x < 0) != (divisor < 0))).astype(x.dtype)
    quotient = np.where(by_zero, np.invert(np.zeros_like(x)), toward_zero).astype(x.dtype)
    return quotient, np.asarray(x - quotient * y)


def _integers(op: ir.Operation, found: NDArray[Any], x: Sequence[Tensor]) -> Tensor:
    raw = rings.of_integers(found, result_encoding(op).ring)
    unsure = np.sum([np.broadcast_to(tensor.error, raw.shape) for tensor in x], axis=0) > 0
    return Tensor(raw, np.where(unsure, np.inf, 0.0))


def _drop(op: ir.Operation) -> int:
    return names.get_int(op, names.DROP) or 0


def _exact_wrap(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    (integers,) = integers_of(op, x)
    return [_integers(op, np.right_shift(integers, integers.dtype.type(_drop(op))), x)]


def _fast_wrap(f: Fast, op: ir.Operation, x: list[Array]) -> list[Array]:
    return [jnp.right_shift(x[0], _drop(op))]


def _exact_quotient(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    x_, *rest = integers_of(op, x)
    divisor = names.get_attribute(op, names.DIVISOR)
    y = x_.dtype.type(unsigned_value(divisor)) if divisor is not None else rest[0]
    # Every multiple of 0 fits.
    most = (1 << (names.get_int(op, names.BITS) or 0)) - 1
    found = np.where(np.asarray(y) == 0, most, _quotient(x_, np.asarray(y))[0].astype(object))
    return [_integers(op, found, x)]


def _fast_quotient(f: Fast, op: ir.Operation, x: list[Array]) -> list[Array]:
    divisor = names.get_attribute(op, names.DIVISOR)
    y = jnp.full_like(x[0], unsigned_value(divisor)) if divisor is not None else x[1]
    most = (1 << (names.get_int(op, names.BITS) or 0)) - 1
    return [jnp.where(y == 0, jnp.full_like(y, most), lax.div(x[0], y))]


register(names.WRAP, exact=_exact_wrap, fast=_fast_wrap)
register(names.QUOTIENT, exact=_exact_quotient, fast=_fast_quotient)
