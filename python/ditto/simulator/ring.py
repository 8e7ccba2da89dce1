"""Ring elements in numpy, exactly.

An element of Z_2^ring is held as the signed integer in [-2^(ring-1), 2^(ring-1)) that is congruent to it: in
int64 for rings of up to 64 bits, as Python integers for ring 128. int64 wraps around by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Raw = NDArray[Any]
"""Ring elements: int64, or object for ring 128."""

Floats = NDArray[np.float64]

_MANTISSA_BITS = 53
"""Integers up to 2^53 are exact in float64."""


def as_raw(integers: ArrayLike, ring: int) -> Raw:
    """Integers, as arrays that hold elements of `ring`; the operators of numpy give scalars for shape ()."""
    if isinstance(integers, np.generic):
        # An array of objects would keep it as it is, and wrap around with it.
        integers = integers.item()
    return np.asarray(integers, object if ring == 128 else np.int64)


def wrap(integers: ArrayLike, ring: int) -> Raw:
    """Integers mod 2^ring."""
    raw = as_raw(integers, ring)
    if ring == 128:
        half = 1 << 127
        return as_raw((raw + half) % (1 << 128) - half, ring)
    if ring == 64:
        return raw
    unused = 64 - ring
    return as_raw(raw << unused >> unused, ring)


def of_integers(integers: ArrayLike, ring: int) -> Raw:
    """Integers of any numpy type, or Python's, as ring elements."""
    # Of Python's integers, some below 0 or small and some from 2^63 on, numpy would make floats.
    is_numpys = isinstance(integers, (np.ndarray, np.generic))
    values = np.asarray(integers, None if is_numpys else object)
    if values.dtype != object:
        values = values.astype(object if ring == 128 else np.int64)
    half = 1 << (ring - 1)
    return wrap((values + half) % (2 * half) - half if values.dtype == object else values, ring)


def to_float(raw: Raw) -> Floats:
    """Ring elements as floats: exact up to 2^53."""
    return np.asarray(raw, np.float64)


def from_float(values: ArrayLike, ring: int) -> Raw:
    """Integral floats, within the ring, as ring elements."""
    values = np.asarray(values, np.float64)
    if ring < 128:
        return values.astype(np.int64)
    return as_raw([int(x) for x in values.reshape(-1)], ring).reshape(values.shape)


def quantize(values: ArrayLike, ring: int, frac: int) -> tuple[Raw, Floats]:
    """round(x * 2^frac), ties to even, as ring elements and, unlimited, as floats.

    What does not fit is held at 2^(ring-3), and NaN as 0: see `ditto_compiler.spu.literals`.
    """
    wide = np.rint(np.ldexp(np.asarray(values, np.float64), frac))
    fits = np.abs(wide) < 2.0 ** (ring - 2)
    held = np.where(fits, wide, np.copysign(2.0 ** (ring - 3), wide))
    return from_float(np.where(np.isnan(wide), 0.0, held), ring), wide


def read(raw: Raw, frac: int) -> Floats:
    """The numbers that ring elements hold: x * 2^-frac."""
    return np.ldexp(to_float(raw), -frac)


def to_integers(raw: Raw, dtype: DTypeLike) -> NDArray[Any]:
    """The low bits of ring elements as integers of `dtype`; as booleans, whether they are not 0."""
    if np.dtype(dtype).kind == "b":
        return np.asarray(raw != 0)
    if raw.dtype == object:
        half = 1 << 63
        raw = np.asarray((raw + half) % (1 << 64) - half, np.int64)
    return raw.astype(dtype)


def shift_right(raw: Raw, bits: int) -> Raw:
    """x / 2^bits, rounded to nearest, ties up."""
    if not bits:
        return raw
    return (raw >> bits) + ((raw >> (bits - 1)) & 1)


def shift_right_on_shares(raw: Raw, bits: int, lost: Raw) -> Raw:
    """x / 2^bits, as parties truncate it: off by 3/2 at most (docs/explanation/protocols.md, downcast).

    Two slots lose their low bits, together `lost`; the third makes up for what all three lose in the mean.
    """
    return (raw - lost + (1 << (bits - 1)) - 1 >> bits) + 1


def matmul(left: Raw, right: Raw, ring: int) -> tuple[Raw, Floats]:
    """[..., m, k] x [..., k, n], mod 2^ring and, unlimited, as floats.

    numpy multiplies matrices of integers slowly. So both are cut into limbs of so few bits that sums of k
    products of limbs are exact in float64, which BLAS multiplies.
    """
    bits = (_MANTISSA_BITS - left.shape[-1].bit_length()) // 2
    shape = (*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1])
    total, wide = as_raw(np.zeros(shape, np.int64), ring), np.zeros(shape)
    rights = _limbs(right, bits)
    for i, x in enumerate(_limbs(left, bits)):
        for j, y in enumerate(rights):
            product, weight = x @ y, bits * (i + j)
            wide += np.ldexp(product, weight)
            if weight < ring:
                total = total + (as_raw(product.astype(np.int64), ring) << weight)
    return total, wide


def _limbs(raw: Raw, bits: int) -> Sequence[Floats]:
    """Digits of `bits` bits, lowest first, all but the last non-negative."""
    limbs = []
    while raw.size and max(int(raw.max()), -int(raw.min())) >= 1 << bits:
        limbs.append(to_float(raw & ((1 << bits) - 1)))
        raw = raw >> bits
    return [*limbs, to_float(raw)]
