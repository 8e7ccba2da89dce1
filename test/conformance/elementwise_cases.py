"""Element-wise ops on floats, of modest numbers that every type represents exactly."""

import math
import operator

import numpy as np
import scipy.special
from case_builders import (
    F16,
    F32,
    F64,
    FLOATS,
    I32,
    array,
    booleans,
    case,
    code,
    integers,
    numbers,
    one_op,
    pairs,
    reals,
)
from integer_cases import COMPARISONS, clamps, comparison

MIXED = [-8, -2.5, -1.5, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 1.5, 2.5, 3.75, 7.5]
POSITIVE = [0.125, 0.5, 0.75, 1, 1.25, 2, 3, 10, 100]
SMALL = [-0.75, -0.5, -0.0625, 0, 0.0625, 0.5, 0.875]


def away_from_zero(x):
    return math.copysign(math.floor(abs(x) + 0.5), x)


def logistic(x):
    return 1 / (1 + math.exp(-x))


def sign(x):
    return (x > 0) - (x < 0)


def power(x, y):
    return x ** int(y) if y == int(y) else x**y


def inverse_hyperbolic_sine(x):
    return math.copysign(math.log(abs(x) + math.sqrt(x * x + 1)), x)


UNARY = {
    "stablehlo.abs": (abs, MIXED),
    "stablehlo.ceil": (math.ceil, MIXED),
    "stablehlo.cosine": (math.cos, [*MIXED, 3.125, -6.25, 30, -100]),
    "stablehlo.exponential": (math.exp, [-16, -8, -2.5, -1, -0.0625, 0, 0.0625, 1, 2.5, 4]),
    "stablehlo.exponential_minus_one": (math.expm1, [-16, -2.5, -1, -0.0625, 0, 0.0625, 1, 4]),
    "stablehlo.floor": (math.floor, MIXED),
    "stablehlo.log": (math.log, POSITIVE),
    "stablehlo.log_plus_one": (math.log1p, [*SMALL, 1, 3, 10, 100]),
    "stablehlo.logistic": (logistic, [-16, *MIXED, 16]),
    "stablehlo.negate": (operator.neg, MIXED),
    "stablehlo.round_nearest_afz": (away_from_zero, MIXED),
    "stablehlo.round_nearest_even": (round, MIXED),
    "stablehlo.rsqrt": (lambda x: 1 / math.sqrt(x), POSITIVE),
    "stablehlo.sign": (sign, MIXED),
    "stablehlo.sine": (math.sin, [*MIXED, 3.125, -6.25, 30, -100]),
    "stablehlo.sqrt": (math.sqrt, [0, *POSITIVE, 900]),
    "stablehlo.tanh": (math.tanh, [-16, *MIXED, 16]),
    "chlo.acos": (math.acos, [-1, *SMALL, 1]),
    "chlo.acosh": (math.acosh, [1, 1.25, 2, 10, 100]),
    "chlo.asin": (math.asin, [-1, *SMALL, 1]),
    "chlo.asinh": (inverse_hyperbolic_sine, MIXED),
    "chlo.atan": (math.atan, [*MIXED, 100, -100]),
    "chlo.atanh": (math.atanh, SMALL),
    "chlo.bessel_i1e": (scipy.special.i1e, MIXED),
    "chlo.cosh": (math.cosh, [-4, -1, -0.0625, 0, 0.0625, 1, 2.5, 4]),
    "chlo.digamma": (scipy.special.digamma, [0.5, 1, 1.5, 3, 10, 100, -0.5, -2.25]),
    "chlo.erf": (math.erf, MIXED),
    "chlo.erf_inv": (scipy.special.erfinv, SMALL),
    "chlo.erfc": (math.erfc, [-8, *MIXED[1:-1]]),
    "chlo.lgamma": (math.lgamma, [0.5, 1, 1.5, 2, 3, 10, 100, -0.5, -2.25]),
    "chlo.sinh": (math.sinh, [-4, -1, -0.0625, 0, 0.0625, 1, 2.5, 4]),
    "chlo.tan": (math.tan, [-1.25, -0.5, 0, 0.0625, 1, 1.25]),
}

SELDOM = ("chlo.acosh", "chlo.bessel_i1e", "chlo.digamma", "chlo.erf_inv", "chlo.lgamma")
"""Ops that models do not use: f32 and f64 suffice."""

BINARY = {
    "add": (operator.add, MIXED, MIXED),
    "subtract": (operator.sub, MIXED, MIXED),
    "multiply": (operator.mul, MIXED, MIXED),
    "divide": (operator.truediv, MIXED, [-8, -1, -0.25, 0.25, 0.5, 1, 3, 7.5]),
    "maximum": (max, MIXED, MIXED),
    "minimum": (min, MIXED, MIXED),
    "remainder": (math.fmod, MIXED, [-8, -3, -0.75, 0.5, 1, 2.5]),
    "atan2": (math.atan2, [-8, -1, -0.25, 0.25, 1, 7.5], [-8, -1, -0.25, 0, 0.25, 1, 7.5]),
    "power": (power, POSITIVE[:-1], [-2, -0.5, 0, 0.5, 1, 1.5, 2]),
}

MOVES = {
    "abs",
    "ceil",
    "floor",
    "negate",
    "round_nearest_afz",
    "round_nearest_even",
    "sign",
    "maximum",
    "minimum",
}
"""Ops whose results are exact wherever their operands are."""


def unary():
    for op, (function, values) in UNARY.items():
        short = op.partition(".")[2]
        for dtype in FLOATS[2:] if op in SELDOM else FLOATS:
            x = array(values, dtype)
            yield one_op(f"{short}_{code(dtype)}", op, (x,), reals(function, dtype, x), exact=short in MOVES)
    for dtype in FLOATS[2:]:
        x = array(MIXED, dtype)
        yield case(
            f"custom_call_erf_{code(dtype)}",
            "stablehlo.custom_call",
            "%r = stablehlo.custom_call @mhlo.erf(%a) {mhlo.attributes = {}, mhlo.version = 1 : i64} "
            ": ($a) -> $r",
            (x,),
            reals(math.erf, dtype, x),
            references=("xla",),
        )


def binary():
    for name, (function, left, right) in BINARY.items():
        for dtype in FLOATS:
            x, y = pairs(array(left, dtype), array(right, dtype))
            yield one_op(
                f"{name}_{code(dtype)}",
                f"stablehlo.{name}",
                (x, y),
                reals(function, dtype, x, y),
                exact=name in MOVES,
            )
    for dtype in (F32, F64):
        x, y = pairs(array([-3, -1, -0.5, 0.5, 2], dtype), array([-3, -2, -1, 0, 1, 2, 3, 4], dtype))
        yield one_op(
            f"power_{code(dtype)}_of_negative_bases",
            "stablehlo.power",
            (x, y),
            reals(power, dtype, x, y),
        )
        x, y = pairs(array([0, -0.5, 0.5, 900], dtype), array([64, -64, 0.125], dtype))
        yield one_op(
            f"atan2_{code(dtype)}_far_from_the_diagonal",
            "stablehlo.atan2",
            (x, y),
            reals(math.atan2, dtype, x, y),
        )


def comparisons():
    for dtype in FLOATS:
        # -0.0 equals 0.0, and 1/16 is the closest that small fixed points tell apart.
        x, y = pairs(array([*MIXED, -0.0, 0.0625, 1.0625, -900], dtype))
        for direction, function in COMPARISONS.items():
            yield one_op(
                f"compare_{direction.lower()}_{code(dtype)}",
                "stablehlo.compare",
                (x, y),
                booleans(function, x.astype(F64), y.astype(F64)),
                comparison(direction, "FLOAT"),
            )
        x, y = numbers(dtype, 3, 4, seed=1), numbers(dtype, 3, 4, seed=2)
        for kind in ("", "TOTALORDER"):
            yield one_op(
                f"compare_gt_{code(dtype)}_{kind.lower() or 'without_a_type'}",
                "stablehlo.compare",
                (x, y),
                booleans(operator.gt, x.astype(F64), y.astype(F64)),
                comparison("GT", kind),
            )
        yield one_op(
            f"is_finite_{code(dtype)}_of_numbers", "stablehlo.is_finite", (x,), np.ones(x.shape, bool)
        )


def choices():
    for dtype in FLOATS:
        values = array(MIXED, dtype)
        low, high = array(-1.25, dtype), array(2.25, dtype)
        lows, highs = array(np.sort(MIXED)[::-1] / 2 - 2, dtype), array(np.abs(MIXED), dtype)
        bounds = {
            "by_scalars": (low, values, high),
            "by_tensors": (lows, values, np.maximum(lows, highs)),
            "by_scalar_and_tensor": (low, values, highs),
            "by_tensor_and_scalar": (np.minimum(lows, high), values, high),
            "with_bounds_in_wrong_order": (high, values, low),
        }
        yield from clamps(dtype, reals, bounds, exact=True)
        pred, other = np.arange(values.size) % 3 != 0, np.flip(values)
        chosen = reals(lambda p, x, y: x if p else y, dtype, pred, values, other)
        yield one_op(f"select_{code(dtype)}", "stablehlo.select", (pred, values, other), chosen, exact=True)
        yield one_op(
            f"select_{code(dtype)}_by_scalar",
            "stablehlo.select",
            (np.array(False), values, other),
            other,
            exact=True,
        )


def rounded_to(exponent, mantissa):
    """What a float64 of modest size is in a format: its mantissa rounded to even, tiny numbers zero."""

    def rounded(x):
        if x == 0 or abs(x) < 2.0 ** (2 - 2 ** (exponent - 1)):
            return math.copysign(0, x)
        scale = 2.0 ** (math.frexp(x)[1] - 1 - mantissa)
        return round(x / scale) * scale

    return rounded


def precisions():
    values = [1, 1.0625, 1.1875, -1.3125, 3.1875, -100.625, 255.5, 0.0625, 0, 1000]
    for dtype, exponent, mantissa in (
        (F32, 8, 23),
        (F32, 8, 7),
        (F32, 5, 10),
        (F32, 8, 3),
        (F64, 11, 52),
        (F64, 8, 23),
        (F16, 5, 2),
    ):
        x = array(values, dtype)
        yield one_op(
            f"reduce_precision_{code(dtype)}_e{exponent}m{mantissa}",
            "stablehlo.reduce_precision",
            (x,),
            reals(rounded_to(exponent, mantissa), dtype, x),
            f"exponent_bits = {exponent} : i32, mantissa_bits = {mantissa} : i32",
            exact=True,
        )


def special_functions():
    order, x = pairs(array([1, 2, 3], F32), array([0.5, 1, 2.5, 10], F32))
    yield one_op(
        "polygamma_f32",
        "chlo.polygamma",
        (order, x),
        reals(lambda n, z: scipy.special.polygamma(int(n), z), F32, order, x),
    )
    s, q = pairs(array([1.5, 2, 4], F32), array([0.5, 1, 2.5, 10], F32))
    yield one_op("zeta_f32", "chlo.zeta", (s, q), reals(scipy.special.zeta, F32, s, q))
    x, y = pairs(array([-1.5, 0.25, 1, 8], F32), array([-1, 1, 2], F32))
    yield one_op("next_after_f32", "chlo.next_after", (x, y), np.nextafter(x, y), exact=True)
    x = array([-3, 0, 8], F32)
    yield one_op("constant_like_f32", "chlo.constant_like", (x,), x * 0 + F32.type(2.5), "value = 2.5 : f32")


def broadcasting():
    """CHLO's binary ops align shapes as numpy does."""
    shapes = {
        "same": ((2, 3), (2, 3)),
        "row": ((2, 3), (3,)),
    }
    for label, (left, right) in shapes.items():
        x, y = numbers(F32, *left, seed=1), numbers(F32, *right, seed=2)
        y = np.where(y == 0, F32.type(1.5), y)
        for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "remainder"):
            yield one_op(
                f"broadcast_{name}_f32_{label}",
                f"chlo.broadcast_{name}",
                (x, y),
                reals(BINARY[name][0], F32, x, y),
                exact=name in MOVES,
            )
        yield one_op(
            f"broadcast_compare_f32_{label}",
            "chlo.broadcast_compare",
            (x, y),
            booleans(operator.lt, x, y),
            "comparison_direction = #chlo<comparison_direction LT>",
        )
        yield one_op(
            f"broadcast_select_f32_{label}",
            "chlo.broadcast_select",
            (np.array(True), x, y),
            np.broadcast_to(x, np.broadcast_shapes(left, right)).copy(),
            exact=True,
        )
        x, y = numbers(I32, *left, seed=3), numbers(I32, *right, seed=4)
        for name, function in {"and": operator.and_, "or": operator.or_, "xor": operator.xor}.items():
            yield one_op(
                f"broadcast_{name}_i32_{label}",
                f"chlo.broadcast_{name}",
                (x, y),
                integers(function, I32, x, y),
            )
    x, y = array([[1, 2.5], [3, 0.5]], F32), array([2, 0.5], F32)
    for name, function in {"power": power, "atan2": math.atan2}.items():
        yield one_op(
            f"broadcast_{name}_f32_row", f"chlo.broadcast_{name}", (x, y), reals(function, F32, x, y)
        )
    x, amount = numbers(I32, 2, 3, seed=5), array([0, 1, 5], I32)
    shifts = {
        "shift_left": operator.lshift,
        "shift_right_arithmetic": operator.rshift,
        "shift_right_logical": lambda v, k: (v & 0xFFFFFFFF) >> k,
    }
    for name, function in shifts.items():
        yield one_op(
            f"broadcast_{name}_i32_row",
            f"chlo.broadcast_{name}",
            (x, amount),
            integers(function, I32, x, amount),
        )


def shapes():
    for shape in ((), (1,), (1, 1), (0,), (0, 3), (3, 3), (2, 3, 4)):
        label = "x".join(map(str, shape)) or "scalar"
        x, y = numbers(F32, *shape, seed=5), numbers(F32, *shape, seed=6)
        for name in ("add", "multiply", "maximum"):
            yield one_op(
                f"{name}_f32_{label}",
                f"stablehlo.{name}",
                (x, y),
                reals(BINARY[name][0], F32, x, y),
                exact=name in MOVES,
            )
        for name in ("tanh", "logistic", "floor"):
            yield one_op(
                f"{name}_f32_{label}",
                f"stablehlo.{name}",
                (x,),
                reals(UNARY[f"stablehlo.{name}"][0], F32, x),
                exact=name in MOVES,
            )
        yield one_op(
            f"compare_le_f32_{label}",
            "stablehlo.compare",
            (x, y),
            booleans(operator.le, x, y),
            comparison("LE", "FLOAT"),
        )


ELEMENTWISE_CASES = (
    *unary(),
    *binary(),
    *comparisons(),
    *choices(),
    *precisions(),
    *special_functions(),
    *broadcasting(),
    *shapes(),
)
