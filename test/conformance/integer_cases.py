"""Element-wise ops on integers and booleans, on the ends of every type's range."""

import operator

import numpy as np
from case_builders import (
    BOOL,
    BOTH,
    I32,
    I64,
    INTS,
    SIGNED,
    UNSIGNED,
    array,
    booleans,
    code,
    ends,
    integers,
    one_op,
    pairs,
    wide,
)

COMPARISONS = {
    "EQ": operator.eq,
    "NE": operator.ne,
    "GE": operator.ge,
    "GT": operator.gt,
    "LE": operator.le,
    "LT": operator.lt,
}

BINARY = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "maximum": max,
    "minimum": min,
}

UNARY = {"negate": operator.neg, "not": operator.invert}
SIGNED_UNARY = {"abs": abs, "sign": lambda x: (x > 0) - (x < 0)}


def comparison(direction, kind=""):
    attribute = f"comparison_direction = #stablehlo<comparison_direction {direction}>"
    return attribute + (f", compare_type = #stablehlo<comparison_type {kind}>" if kind else "")


def truncated_quotient(x, y):
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def remainder(x, y):
    return x - y * truncated_quotient(x, y)


def integer_power(x, y):
    """Zero for the reciprocal of an integer that is no unit, as StableHLO rounds it."""
    if y >= 0:
        return x**y
    return x ** (y % 2) if abs(x) == 1 else 0


def shifted(kind, dtype):
    """A shift as StableHLO defines it for every amount: the bits fall out, the fill moves in."""
    bits = 8 * dtype.itemsize
    ones = (1 << bits) - 1

    def shift(x, amount):
        amount &= ones  # a negative amount is a large one
        amount = min(amount, bits)
        if kind == "shift_left":
            return x << amount
        if kind == "shift_right_logical":
            return (x & ones) >> amount
        sign = x & ones
        return (sign - (1 << bits) if sign >> (bits - 1) else sign) >> amount

    return shift


def shift_amounts(dtype):
    bits = 8 * dtype.itemsize
    amounts = [0, 1, 3, bits - 1, bits, bits + 1, 2 * bits]
    amounts += [np.iinfo(dtype).max] + ([-1, -bits, np.iinfo(dtype).min] if dtype.kind == "i" else [])
    return array(amounts, dtype)


def arithmetic():
    for dtype in INTS:
        left, right = pairs(ends(dtype))
        for name, function in BINARY.items():
            yield one_op(
                f"{name}_{code(dtype)}_ends",
                f"stablehlo.{name}",
                (left, right),
                integers(function, dtype, left, right),
            )
        values = ends(dtype)
        unary = UNARY | (SIGNED_UNARY if dtype in SIGNED else {}) | {"popcnt": popcount(dtype)}
        for name, function in unary.items():
            yield one_op(
                f"{name}_{code(dtype)}_ends",
                f"stablehlo.{name}",
                (values,),
                integers(function, dtype, values),
            )


def popcount(dtype):
    return lambda x: (x & ((1 << 8 * dtype.itemsize) - 1)).bit_count()


def comparisons():
    for dtype in INTS:
        kind = "SIGNED" if dtype in SIGNED else "UNSIGNED"
        left, right = pairs(ends(dtype))
        for direction, function in COMPARISONS.items():
            yield one_op(
                f"compare_{direction.lower()}_{code(dtype)}_ends",
                "stablehlo.compare",
                (left, right),
                booleans(function, left, right),
                comparison(direction, kind),
            )
        left, right = wide(dtype, 4, 5, seed=1), wide(dtype, 4, 5, seed=2)
        yield one_op(
            f"compare_lt_{code(dtype)}_without_a_type",
            "stablehlo.compare",
            (left, right),
            booleans(operator.lt, left, right),
            comparison("LT"),
        )
    # The difference of these leaves the type, so a comparison by the sign of a difference is wrong.
    for dtype, far in ((I32, 2_000_000_000), (I64, 9_000_000_000_000_000_000)):
        left, right = array([far, -far, far, -far], dtype), array([-far, far, far - 1, 1 - far], dtype)
        for direction in ("LT", "GT"):
            yield one_op(
                f"compare_{direction.lower()}_{code(dtype)}_far_apart",
                "stablehlo.compare",
                (left, right),
                booleans(COMPARISONS[direction], left, right),
                comparison(direction, "SIGNED"),
            )


def division():
    for dtype in INTS:
        left, right = pairs(ends(dtype))
        # StableHLO leaves the quotient by zero and the one quotient that overflows to the implementation.
        overflows = (left == np.iinfo(dtype).min) & (right.astype(object) == -1)
        defined = (right != 0) & ~overflows
        for name, function in (("divide", truncated_quotient), ("remainder", remainder)):
            arguments = left[defined], right[defined]
            yield one_op(
                f"{name}_{code(dtype)}_ends",
                f"stablehlo.{name}",
                arguments,
                integers(function, dtype, *arguments),
            )
            small = pairs(array([17, 16, 4, 3, 0], dtype), array([3, 4, 5, 17], dtype))
            if dtype in SIGNED:
                small = (
                    np.concatenate([small[0], -small[0]] * 2),
                    np.concatenate([small[1]] * 2 + [-small[1]] * 2),
                )
            yield one_op(
                f"{name}_{code(dtype)}_small",
                f"stablehlo.{name}",
                small,
                integers(function, dtype, *small),
            )


def undefined_division():
    """What XLA does where StableHLO leaves it open, and the interpreter dies by SIGFPE or returns junk."""
    for dtype in (I32, UNSIGNED[2]):
        values = ends(dtype)
        zero = np.zeros_like(values)
        yield one_op(
            f"divide_{code(dtype)}_by_zero",
            "stablehlo.divide",
            (values, zero),
            integers(lambda x, y: -1, dtype, values, zero),
            references=("xla",),
        )
        yield one_op(
            f"remainder_{code(dtype)}_by_zero",
            "stablehlo.remainder",
            (values, zero),
            values,
            references=("xla",),
        )
    for dtype in SIGNED:
        lowest, minus_one = array([np.iinfo(dtype).min], dtype), array([-1], dtype)
        yield one_op(f"divide_{code(dtype)}_overflows", "stablehlo.divide", (lowest, minus_one), lowest)
        yield one_op(
            f"remainder_{code(dtype)}_overflows", "stablehlo.remainder", (lowest, minus_one), lowest * 0
        )


def powers():
    for dtype in INTS:
        base = array([0, 1, 2, 3, 7] + ([-1, -2, -3] if dtype in SIGNED else [10]), dtype)
        exponent = array([0, 1, 2, 3, 5, 8, 33, 63], dtype)
        arguments = pairs(base, exponent)
        yield one_op(
            f"power_{code(dtype)}_wraps",
            "stablehlo.power",
            arguments,
            integers(integer_power, dtype, *arguments),
        )
        if dtype in SIGNED:
            for name, bases, references in (
                ("", [1, 2, 3, 7, -2, -3], BOTH),
                ("_of_minus_one", [-1], ("interpreter",)),  # XLA says 0
            ):
                arguments = pairs(array(bases, dtype), array([-1, -2, -3], dtype))
                yield one_op(
                    f"power_{code(dtype)}_to_negative_powers{name}",
                    "stablehlo.power",
                    arguments,
                    integers(integer_power, dtype, *arguments),
                    references=references,
                )


def shifts():
    for dtype in INTS:
        arguments = pairs(ends(dtype), shift_amounts(dtype))
        for name in ("shift_left", "shift_right_arithmetic", "shift_right_logical"):
            yield one_op(
                f"{name}_{code(dtype)}_by_any_amount",
                f"stablehlo.{name}",
                arguments,
                integers(shifted(name, dtype), dtype, *arguments),
            )


def clamps(dtype, applied, arguments_by_name, **options):
    """Clamps of (low, x, high); `applied` is `integers` or `reals`."""

    def bounded(low, x, high):
        return min(max(x, low), high)

    for name, arguments in arguments_by_name.items():
        expected = applied(bounded, dtype, *arguments)
        yield one_op(f"clamp_{code(dtype)}_{name}", "stablehlo.clamp", arguments, expected, **options)


def choices():
    for dtype in INTS:
        values, info = ends(dtype), np.iinfo(dtype)
        low, high = array(2, dtype), array(info.max - 1, dtype)
        other = np.roll(values, 3)
        pred = np.arange(values.size) % 3 == 0
        bounds = {
            "by_scalars": (low, values, high),
            "by_tensors": (np.minimum(values, other), np.flip(values), np.maximum(values, other)),
            "by_scalar_and_tensor": (low, values, np.full_like(values, info.max)),
            "with_bounds_in_wrong_order": (high, values, low),
        }
        yield from clamps(dtype, integers, bounds)
        yield one_op(
            f"select_{code(dtype)}",
            "stablehlo.select",
            (pred, values, other),
            np.array([t if p else f for p, t, f in zip(pred, values, other, strict=True)], dtype),
        )
        for choice in (True, False):
            yield one_op(
                f"select_{code(dtype)}_by_scalar_{str(choice).lower()}",
                "stablehlo.select",
                (np.array(choice), values, other),
                values if choice else other,
            )


def on_booleans():
    left, right = pairs(np.array([False, True]))
    functions = {
        "and": operator.and_,
        "or": operator.or_,
        "xor": operator.xor,
        "maximum": max,
        "minimum": min,
    }
    # Addition of booleans is a logical or, multiplication a logical and.
    functions |= {"add": operator.or_, "multiply": operator.and_}
    for name, function in functions.items():
        yield one_op(
            f"{name}_i1",
            f"stablehlo.{name}",
            (left, right),
            booleans(function, left, right),
            references=("interpreter",) if name == "add" else BOTH,  # XLA wraps around to false
        )
    yield one_op("not_i1", "stablehlo.not", (left,), ~left)
    for direction, function in COMPARISONS.items():
        yield one_op(
            f"compare_{direction.lower()}_i1",
            "stablehlo.compare",
            (left, right),
            booleans(function, left, right),
            comparison(direction, "UNSIGNED"),
        )
    pred = np.array([True, True, False, False])
    yield one_op("select_i1", "stablehlo.select", (pred, left, right), np.array([False, False, False, True]))
    yield one_op("select_i1_by_scalar", "stablehlo.select", (np.array(False), left, right), right)
    assert left.dtype == BOOL


def shapes():
    for shape in ((), (1,), (1, 1), (0,), (0, 3), (3, 3), (2, 3, 4)):
        label = "x".join(map(str, shape)) or "scalar"
        left, right = wide(I32, *shape, seed=3), wide(I32, *shape, seed=4)
        for name in ("add", "multiply", "maximum", "xor"):
            yield one_op(
                f"{name}_i32_{label}",
                f"stablehlo.{name}",
                (left, right),
                integers(BINARY[name], I32, left, right),
            )
        yield one_op(
            f"compare_lt_i32_{label}",
            "stablehlo.compare",
            (left, right),
            booleans(operator.lt, left, right),
            comparison("LT", "SIGNED"),
        )
        pred = booleans(lambda x: x % 2, left)
        chosen = integers(lambda p, x, y: x if p else y, I32, pred, left, right)
        yield one_op(f"select_i32_{label}", "stablehlo.select", (pred, left, right), chosen)


INTEGER_CASES = (
    *arithmetic(),
    *comparisons(),
    *division(),
    *undefined_division(),
    *powers(),
    *shifts(),
    *choices(),
    *on_booleans(),
    *shapes(),
)
