"""Functions of each element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import ml_dtypes
from jax import Array, lax

from ditto_compiler.dtypes import FLOAT_TYPES, is_unsigned, numpy_dtype, width
from ditto_compiler.ir import defining_op, element_type, ir
from ditto_compiler.op_attributes import direction_of
from ditto_compiler.structure import constant
from ditto_compiler.written.base import Function


@dataclass(frozen=True)
class Accuracy:
    """Where a function is right in ring 64 with 18 fraction bits, for docs/reference/functions.md.

    Attributes:
        formula: what it is computed as.
        domain: for which arguments.
        error: how far the parties' result y can be from the true one there.
        outside: what comes out elsewhere.
    """

    formula: str
    domain: str
    error: str
    outside: str


ACCURACY: dict[str, Accuracy] = {
    "stablehlo.tan": Accuracy(
        "sin x / cos x",
        "between -100 and 100, y between -100 and 100",
        "0.0006 (1 + y²)",
        "the quotient by a cosine that is off by 0.0003",
    ),
    "stablehlo.cbrt": Accuracy(
        "sign x max(abs x, 2^-17)^(1/3)",
        "between -5.24e+05 and 5.24e+05",
        "0.0001 + 0.0003 y, and below 2^-17 up to 0.02",
        "as the power",
    ),
    "chlo.erf_inv": Accuracy(
        "x p(sqrt(1.5 - log(1 - x²))), p of degree 7",
        "between -1 and 1",
        "0.0003 + 2e-06/(1 - x²), at most 0.7",
        "any number",
    ),
    "chlo.atanh": Accuracy(
        "(log(1 + x) - log(1 - x)) / 2",
        "between -1 and 1",
        "0.0002 + 2e-06/(1 - x²), at most 0.7",
        "any number",
    ),
    "signbit, copysign": Accuracy("x < 0", "any number", "0", "-0 counts as 0"),
}


def _in_single(function: Callable[[Array], Array]) -> Function:
    """Half precision is too coarse for what a formula computes on its way."""

    def write(x: Array) -> Array:
        return function(x.astype(jnp.float32)).astype(x.dtype) if x.dtype.itemsize == 2 else function(x)

    return write


def tangent(_: ir.Operation) -> Function:
    """sin/cos."""
    return _in_single(lambda x: lax.sin(x) / lax.cos(x))


LEAST_CUBE = 2.0**-17
"""Smaller numbers are for the engine's power as good as 0, which it cannot take."""


def cube_root(_: ir.Operation) -> Function:
    """The root of the magnitude, with the sign."""
    return _in_single(
        lambda x: lax.sign(x) * lax.max(lax.abs(x), x.dtype.type(LEAST_CUBE)) ** x.dtype.type(1 / 3)
    )


ERF_INV = (
    *(2.025859898065692, 1.7389399742721234, 0.09049902227871981, -0.2674557004200859),
    *(0.22697699929830628, 0.002432098681585431, -0.11129966878083127, 0.04578217317992692),
)
"""c0 + c1 z + ... of erf_inv(x) / x, z = (sqrt(1.5 - log(1 - x^2)) - 2.5) / 1.6, by least squares that weigh
the largest error until no other is larger: 7.2e-5 of erf_inv, up to 1 - x^2 = e^-15.6.

After Winitzki, and Giles (Approximating the erfinv function, 2012): the root takes the logarithm's growth
away.
"""


def inverse_error_function(_: ir.Operation) -> Function:
    """A polynomial of a root of a logarithm, and so without the infinities of MLIR's expansion."""

    def write(x: Array) -> Array:
        z = (lax.sqrt(1.5 - lax.log((1 - x) * (1 + x))) - 2.5) * (1 / 1.6)
        total = jnp.full_like(x, ERF_INV[-1])
        for coefficient in ERF_INV[-2::-1]:
            total = total * z + coefficient
        return x * total

    return _in_single(write)


def inverse_hyperbolic_tangent(_: ir.Operation) -> Function:
    """Logarithms, without the NaN of MLIR's expansion for arguments beyond 1."""
    return _in_single(lambda x: (lax.log1p(x) - lax.log1p(-x)) / 2)


def bitcast(op: ir.Operation) -> Function | None:
    """The bits of a float where only that of the sign is read, or a float made of random bits; else None."""
    source, target = element_type(op.operands[0]), element_type(op.results[0])
    if width(source) != width(target):
        return None
    dtype = numpy_dtype(target)
    if source in FLOAT_TYPES and target not in FLOAT_TYPES:
        if not all(_reads_the_sign(use.owner.operation, op.results[0]) for use in op.results[0].uses):
            return None
        ones = (1 << width(target)) - 1 if is_unsigned(target) else -1
        return lambda x: jnp.where(x < 0, dtype.type(ones), dtype.type(0))
    if makes_random_float(op):
        digits = ml_dtypes.finfo(dtype).nmant
        kept = min(digits, UNIFORM_BITS["f64" if target == "f64" else "f32"])
        mask = (1 << digits) - 1

        def write(bits: Array) -> Array:
            number = lax.shift_right_logical(bits & bits.dtype.type(mask), bits.dtype.type(digits - kept))
            return number.astype(dtype) * dtype.type(2.0**-kept) + dtype.type(1)

        return write
    return None


UNIFORM_BITS = {"f32": 18, "f64": 30}
"""Bits of a random float: the fraction bits of the engine's encodings have no room for more."""


def makes_random_float(op: ir.Operation) -> bool:
    """Whether a bitcast makes a float in [1, 2) of random digits, as `jax.random.uniform` does.

    Pattern: bitcast((bits >> n) | bits of 1.0)   [n at least the bits of sign and exponent]
    """
    target, made = element_type(op.results[0]), defining_op(op.operands[0])
    if target not in FLOAT_TYPES or made is None or made.name != "stablehlo.or":
        return False
    dtype = numpy_dtype(target)
    one = int(dtype.type(1).view(f"u{dtype.itemsize}"))
    spare = width(target) - ml_dtypes.finfo(dtype).nmant
    for index in (0, 1):
        digits = defining_op(made.operands[1 - index])
        if constant(made.operands[index]) == one and digits is not None:
            amount = constant(digits.operands[1]) if len(digits.operands) == 2 else None
            if digits.name == "stablehlo.shift_right_logical" and amount is not None and amount >= spare:
                return True
    return False


def _reads_the_sign(user: ir.Operation, bits: ir.Value) -> bool:
    """Whether an op reads nothing but the top bit: a shift by all others, or a comparison of signs."""
    if user.name in ("stablehlo.shift_right_arithmetic", "stablehlo.shift_right_logical"):
        return bool(user.operands[0] == bits and constant(user.operands[1]) == width(element_type(bits)) - 1)
    if user.name == "stablehlo.compare" and not is_unsigned(element_type(bits)):
        is_first = user.operands[0] == bits
        return is_first and constant(user.operands[1]) == 0 and direction_of(user) in ("LT", "GE")
    return False
