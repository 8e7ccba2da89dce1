"""Conversions between every pair of types, where StableHLO says what becomes of every value.

A float that the integer type cannot hold is left out: what it becomes is up to the implementation.
"""

import math

import numpy as np
from case_builders import (
    ALL,
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    I32,
    I64,
    SIGNED,
    UNSIGNED,
    array,
    booleans,
    code,
    ends,
    integers,
    is_float,
    one_op,
    reals,
)


def inputs(source, target):
    if source == BOOL:
        return np.array([False, True, True, False])
    if is_float(source):
        # Fractions of both signs; a negative whole number only for what can hold one.
        values = [0, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 3.875, 100.5, 127, -0.5, -0.75, -0.0]
        if target not in UNSIGNED:
            values += [-1, -1.5, -2.5, -3.875, -100.5, -128]
        return array(values, source)
    if is_float(target):
        # Whole numbers that fit a bfloat16, so that there is one right answer.
        return array([0, 1, 2, 5, 100, 127] + ([-1, -2, -5, -128] if source in SIGNED else [255]), source)
    return ends(source)


def converted(x, target):
    if target == BOOL:
        return booleans(lambda value: value != 0, x.astype(F64) if is_float(x.dtype) else x)
    if is_float(target):
        return reals(float, target, x)
    return integers(math.trunc, target, x.astype(F64) if is_float(x.dtype) else x)


def one(name, x, expected):
    return one_op(f"convert_{name}", "stablehlo.convert", (x,), expected, exact=True)


def every_pair():
    for source in ALL:
        for target in ALL:
            x = inputs(source, target)
            yield one(f"{code(source)}_to_{code(target)}", x, converted(x, target))


def rounded():
    """Numbers with more digits than the target has: rounded to nearest, ties to even."""
    for source, target, values in (
        (I32, F16, [2049, 2051, -2049, 4098]),
        (I32, BF16, [257, 259, -257, 1001]),
        (F32, F16, [1 + 2**-11, 1 + 3 * 2**-11, 0.1, -1000.3]),
        (F32, BF16, [1 + 2**-8, 1 + 3 * 2**-8, 0.1, -1000.3]),
        (F64, F32, [1 + 2**-24, 1 + 3 * 2**-24, 0.1, -1000.3]),
        (F64, F16, [0.1, 33.3, -0.7]),
        (F64, I32, [1e5 - 0.5, 0.5 - 1e5, 99999.75]),
        (F32, np.dtype("uint8"), [255.875, 0.96875]),
        (F32, np.dtype("int8"), [127.875, -128.875]),
    ):
        x = array(values, source)
        yield one(f"{code(source)}_to_{code(target)}_rounds", x, converted(x, target))


def large():
    """Floats near the ends of the integer types, which no fixed point of 64 bits holds."""
    for source, target, values in (
        (I32, F32, [2**24 + 1, 2**24 + 3, -(2**24) - 1, 2**31 - 1, -(2**31)]),
        (I64, F64, [2**53 + 1, 2**53 + 3, -(2**53) - 1, -(2**63)]),
        (np.dtype("uint32"), F32, [2**32 - 1, 2**31, 2**31 + 1]),
        (np.dtype("uint64"), F32, [2**63, 2**40 + 1]),
        (F32, I32, [2**31 - 128, -(2**31), 16777217.0, 8388607.5]),
        (F64, I32, [2**31 - 1, -(2**31), 2**31 - 0.5, 1 - 2**31 - 0.5]),
        (F64, I64, [2**53, -(2**63), 2**62]),
        (F32, np.dtype("uint32"), [2**32 - 256, 2**31]),
    ):
        x = array(values, source)
        yield one(f"{code(source)}_to_{code(target)}_large", x, converted(x, target))


def shapes():
    for shape in ((), (1,), (0, 3), (2, 3, 4)):
        x = (np.arange(np.prod(shape, dtype=int)).reshape(shape) - 11.75).astype(F32)
        label = "x".join(map(str, shape)) or "scalar"
        yield one(f"f32_to_i32_{label}", x, converted(x, I32))
        x = converted(x, I32)
        yield one(f"i32_to_i1_{label}", x, converted(x, BOOL))


CONVERSION_CASES = (*every_pair(), *rounded(), *shapes())

LARGE_CONVERSIONS = tuple(large())
