"""Programs that hold infinities, NaNs or numbers beyond any fixed point, as real models do.

Their inputs are modest. Where `expected` is finite, a runtime without infinities can still be right: by
knowing a constant for a mask, a neutral element or a bound. Where it is not, the program must be refused, or
the value stand for "as large as can be held".
"""

import numpy as np
from case_builders import (
    BF16,
    F16,
    F32,
    F64,
    FLOATS,
    I32,
    array,
    booleans,
    case,
    code,
    i64s,
    literal,
    numbers,
    one_op,
    reals,
)
from integer_cases import COMPARISONS
from reduction_cases import extreme, fold, window_case

INF, NAN = np.inf, np.nan


def constant(name, value, dtype=F32):
    attribute = literal(array(value, dtype))
    return (
        f'{name} = "stablehlo.constant"() <{{value = {attribute}}}> : () -> {attribute.partition(" : ")[2]}\n'
    )


def splat(name, value, kind, dtype=F32):
    """A constant tensor like %a: a scalar, broadcast."""
    return constant(f"{name}_scalar", value, dtype) + (
        f'{name} = "stablehlo.broadcast_in_dim"({name}_scalar) <{{broadcast_dimensions = array<i64>}}> : '
        f"(tensor<{code(dtype)}>) -> {kind}\n"
    )


def reduction(result, name, source, start, axis=1, kind="$a", reduced="$r"):
    return (
        f'{result} = "stablehlo.reduce"({source}, {start}) <{{dimensions = {i64s(axis)}}}> ({{\n'
        f"^bb0(%x{result[1:]}: $a0, %y{result[1:]}: $a0):\n"
        f"%z{result[1:]} = stablehlo.{name} %x{result[1:]}, %y{result[1:]} : $a0\n"
        f'"stablehlo.return"(%z{result[1:]}) : ($a0) -> ()\n}}) : ({kind}, $a0) -> {reduced}\n'
    )


def spread(result, source, kind, target):
    return (
        f'{result} = "stablehlo.broadcast_in_dim"({source}) <{{broadcast_dimensions = {i64s(0)}}}> : '
        f"({kind}) -> {target}\n"
    )


def from_infinity():
    """Folds from their true neutral element, which for floats is an infinity."""
    for dtype in FLOATS:
        x = numbers(dtype, 3, 4, seed=1)
        yield fold("_from_minus_infinity", "maximum", x, -INF, (1,))
        yield fold("_from_infinity", "minimum", x, INF, (0,))
        yield extreme("_from_minus_infinity", "GT", x, 1, -INF)
        yield extreme("_from_infinity", "LT", x, 0, INF)
    x = numbers(F32, 4, 6, seed=2)
    for dims in ((0, 1), ()):
        yield fold(f"_from_minus_infinity_over_{len(dims)}", "maximum", x, -INF, dims)
    yield fold("_from_the_least_f32", "maximum", x, float(np.finfo(np.float32).min), (1,))
    yield fold("_from_the_greatest_f32", "minimum", x, float(np.finfo(np.float32).max), (1,))
    yield fold("_from_minus_1e30", "maximum", x, -1e30, (1,))
    yield fold("_of_extent_0_from_minus_infinity", "maximum", np.zeros((2, 0), F32), -INF, (1,))
    yield window_case("pooling_from_minus_infinity", "maximum", x, -INF, (2, 2), (2, 2), ((0, 0), (1, 1)))
    yield window_case("pooling_from_infinity", "minimum", x, INF, (2, 3), (2, 3), ((1, 1), (0, 0)))
    yield window_case("cumulative_from_minus_infinity", "maximum", x, -INF, (1, 6), pads=((0, 0), (5, 0)))


def masks():
    """Scores that a mask pushes out of the softmax, by any of the numbers in use."""
    x = numbers(F32, 3, 4, seed=3)
    keep = np.array([[True, True, True, True], [True, False, False, True], [False, True, False, False]])
    none = np.array([[True, True, False, True], [False, False, False, False], [False, False, False, True]])
    least = float(np.finfo(np.float32).min)
    rows = (
        constant("%low", -INF)
        + constant("%zero", 0)
        + reduction("%m", "maximum", "%masked", "%low", reduced="tensor<3xf32>")
        + spread("%mb", "%m", "tensor<3xf32>", "$a")
        + "%d = stablehlo.subtract %masked, %mb : $a\n%e = stablehlo.exponential %d : $a\n"
        + reduction("%s", "add", "%e", "%zero", reduced="tensor<3xf32>")
        + spread("%sb", "%s", "tensor<3xf32>", "$a")
        + "%r = stablehlo.divide %e, %sb : $a"
    )

    def softmax(scores):
        e = np.exp(scores - scores.max(1, keepdims=True))
        return (e / e.sum(1, keepdims=True)).astype(F32)

    for label, value in {
        "minus_infinity": -INF,
        "least_f32": least,
        "minus_1e9": -1e9,
        "minus_1e30": -1e30,
        "minus_1e4": -1e4,
    }.items():
        selected = splat("%mask", value, "$a") + "%masked = stablehlo.select %b, %a, %mask : $b, $a\n"
        yield case(
            f"softmax_selects_{label}",
            "stablehlo.select",
            selected + rows,
            (x, keep),
            softmax(np.where(keep, x, value).astype(F64)),
        )
        if value == -INF:
            continue  # a row of nothing else is 0/0
        yield case(
            f"softmax_of_masked_rows_{label}",
            "stablehlo.select",
            selected + rows,
            (x, none),
            softmax(np.where(none, x, value).astype(F64)),
        )
        added = splat("%scale", value, "$a") + (
            "%one = stablehlo.not %b : $b\n%p = stablehlo.convert %one : ($b) -> $a\n"
            "%mask = stablehlo.multiply %p, %scale : $a\n%masked = stablehlo.add %a, %mask : $a\n"
        )
        shifted = (x + (np.where(keep, 0, value).astype(F32))).astype(F32)
        yield case(
            f"softmax_adds_{label}", "stablehlo.add", added + rows, (x, keep), softmax(shifted.astype(F64))
        )
    # (1 - mask) * -1e4, as BERT's attention was once written, in halves.
    for dtype, value in ((F16, -65504.0), (BF16, -1e9)):
        y = numbers(dtype, 2, 3, seed=4)
        chosen = np.array([[True, False, True], [False, True, True]])
        yield case(
            f"masked_exponential_{code(dtype)}",
            "stablehlo.exponential",
            splat("%mask", value, "$a", dtype)
            + "%masked = stablehlo.select %b, %a, %mask : $b, $a\n%r = stablehlo.exponential %masked : $a",
            (y, chosen),
            np.where(chosen, np.exp(y.astype(F64)), 0).astype(dtype),
        )
    causal = (
        '%i = "stablehlo.iota"() <{iota_dimension = 0 : i64}> : () -> tensor<3x4xi32>\n'
        '%j = "stablehlo.iota"() <{iota_dimension = 1 : i64}> : () -> tensor<3x4xi32>\n'
        "%seen = stablehlo.compare GE, %i, %j : (tensor<3x4xi32>, tensor<3x4xi32>) -> tensor<3x4xi1>\n"
        + splat("%mask", least, "$a")
        + "%masked = stablehlo.select %seen, %a, %mask : tensor<3x4xi1>, $a\n"
    )
    triangle = np.tril(np.ones((3, 4), bool))
    yield case(
        "softmax_causal",
        "stablehlo.select",
        causal + rows,
        (x,),
        softmax(np.where(triangle, x, least).astype(F64)),
    )


def selections():
    """A branch that is not chosen may hold anything."""
    x = array([-2.25, -1, 0, 0.25, 1, 4], F32)
    zero = splat("%zero", 0, "$a")
    positive = zero + "%p = stablehlo.compare GT, %a, %zero : ($a, $a) -> tensor<6xi1>\n"
    with np.errstate(all="ignore"):
        for name, function in {"log": np.log, "sqrt": np.sqrt, "rsqrt": lambda v: 1 / np.sqrt(v)}.items():
            yield case(
                f"select_drops_{name}_of_negatives",
                "stablehlo.select",
                positive
                + f"%v = stablehlo.{name} %a : $a\n%r = stablehlo.select %p, %v, %zero : tensor<6xi1>, $a",
                (x,),
                np.where(x > 0, function(x.astype(F64)), 0).astype(F32),
            )
    never = "%n = stablehlo.not %p : tensor<6xi1>\n%both = stablehlo.and %p, %n : tensor<6xi1>\n"
    yield case(
        "select_drops_division_by_zero",
        "stablehlo.select",
        positive
        + never
        + "%v = stablehlo.divide %a, %zero : $a\n%r = stablehlo.select %both, %v, %a : tensor<6xi1>, $a",
        (x,),
        x,
        exact=True,
    )
    for name, value in {"nan": NAN, "infinity": INF, "minus_infinity": -INF}.items():
        yield case(
            f"select_drops_constant_{name}",
            "stablehlo.select",
            positive
            + splat("%v", value, "$a")
            + "%c = stablehlo.or %p, %p : tensor<6xi1>\n%n = stablehlo.select %c, %a, %v : tensor<6xi1>, $a\n"
            + "%r = stablehlo.select %p, %n, %zero : tensor<6xi1>, $a",
            (x,),
            np.where(x > 0, x, 0).astype(F32),
        )
        yield case(
            f"select_keeps_constant_{name}",
            "stablehlo.select",
            positive + splat("%v", value, "$a") + "%r = stablehlo.select %p, %a, %v : tensor<6xi1>, $a",
            (x,),
            np.where(x > 0, x, value).astype(F32),
        )
    # The guard that JAX writes around a logarithm: replace first, then choose.
    yield case(
        "guarded_log",
        "stablehlo.log",
        positive
        + splat("%one", 1, "$a")
        + splat("%low", -INF, "$a")
        + "%safe = stablehlo.select %p, %a, %one : tensor<6xi1>, $a\n%l = stablehlo.log %safe : $a\n"
        + "%h = stablehlo.select %p, %l, %low : tensor<6xi1>, $a\n%r = stablehlo.exponential %h : $a",
        (x,),
        np.where(x > 0, x, 0).astype(F32),
    )


def bounds():
    """Clamps and comparisons with what no number reaches."""
    x = array([-900, -1.5, 0, 0.25, 900], F32)
    least, greatest = (float(v) for v in (np.finfo(np.float32).min, np.finfo(np.float32).max))
    for label, low, high in (
        ("to_infinity", 0, INF),
        ("from_minus_infinity", -INF, 1),
        ("between_infinities", -INF, INF),
        ("between_f32s", least, greatest),
        ("between_1e30s", -1e30, 1e30),
        ("to_1e12", 0, 1e12),
    ):
        yield case(
            f"clamp_{label}",
            "stablehlo.clamp",
            constant("%low", low)
            + constant("%high", high)
            + '%r = "stablehlo.clamp"(%low, %a, %high) : (tensor<f32>, $a, tensor<f32>) -> $a',
            (x,),
            np.minimum(np.maximum(x, F32.type(low)), F32.type(high)),
            exact=True,
        )
    for label, value in {
        "infinity": INF,
        "minus_infinity": -INF,
        "f32": greatest,
        "minus_1e12": -1e12,
    }.items():
        for direction, function in COMPARISONS.items():
            yield case(
                f"compare_{direction.lower()}_with_{label}",
                "stablehlo.compare",
                splat("%bound", value, "$a")
                + f"%r = stablehlo.compare {direction}, %a, %bound, FLOAT : ($a, $a) -> $r",
                (x,),
                booleans(function, x, np.full_like(x, value)),
            )
        yield case(
            f"maximum_with_{label}",
            "stablehlo.maximum",
            splat("%bound", value, "$a") + "%r = stablehlo.maximum %a, %bound : $a",
            (x,),
            np.maximum(x, F32.type(value)),
            exact=True,
        )
        yield case(
            f"minimum_with_{label}",
            "stablehlo.minimum",
            splat("%bound", value, "$a") + "%r = stablehlo.minimum %a, %bound : $a",
            (x,),
            np.minimum(x, F32.type(value)),
            exact=True,
        )
    for direction in ("EQ", "NE", "LT", "GE"):
        yield case(
            f"compare_{direction.lower()}_with_nan",
            "stablehlo.compare",
            splat("%bound", NAN, "$a")
            + f"%r = stablehlo.compare {direction}, %a, %bound, FLOAT : ($a, $a) -> $r",
            (x,),
            np.full(x.shape, direction == "NE"),
        )
        yield case(
            f"compare_{direction.lower()}_with_itself",
            "stablehlo.compare",
            f"%r = stablehlo.compare {direction}, %a, %a, FLOAT : ($a, $a) -> $r",
            (x,),
            np.full(x.shape, direction in ("EQ", "GE")),
        )


def questions():
    """Programs that ask whether a value is a number."""
    values = array([1, INF, -INF, NAN, 0, -3e38], F32)
    for name, function in {
        "stablehlo.is_finite": np.isfinite,
        "chlo.is_inf": np.isinf,
        "chlo.is_pos_inf": np.isposinf,
        "chlo.is_neg_inf": np.isneginf,
    }.items():
        yield case(
            f"{name.partition('.')[2]}_of_constants",
            name,
            constant("%v", values.tolist()) + f'%r = "{name}"(%v) : (tensor<6xf32>) -> $r',
            (),
            function(values),
        )
    for dtype in FLOATS:
        x = numbers(dtype, 5, seed=5)
        yield one_op(f"is_inf_{code(dtype)}_of_numbers", "chlo.is_inf", (x,), np.zeros(5, bool))
    x = array([-3, 0.5, 2, 0], F32)
    replaced = (
        "%p = stablehlo.compare NE, %a, %a : ($a, $a) -> tensor<4xi1>\n"
        + splat("%zero", 0, "$a")
        + "%c = stablehlo.select %p, %zero, %a : tensor<4xi1>, $a\n"
        + splat("%inf", INF, "$a")
        + "%q = stablehlo.compare EQ, %c, %inf : ($a, $a) -> tensor<4xi1>\n"
        + splat("%most", float(np.finfo(np.float32).max), "$a")
        + "%r = stablehlo.select %q, %most, %c : tensor<4xi1>, $a"
    )
    yield case("nan_to_num", "stablehlo.compare", replaced, (x,), x, exact=True)
    rows = numbers(F32, 2, 5, seed=6)
    kind = "tensor<2xf32>"
    logsumexp = (
        constant("%low", -INF)
        + constant("%zero", 0)
        + reduction("%m", "maximum", "%a", "%low", reduced=kind)
        + f'%f = "stablehlo.is_finite"(%m) : ({kind}) -> tensor<2xi1>\n'
        + splat("%none", 0, kind)
        + f"%t = stablehlo.select %f, %m, %none : tensor<2xi1>, {kind}\n"
        + spread("%tb", "%t", kind, "$a")
        + "%d = stablehlo.subtract %a, %tb : $a\n%e = stablehlo.exponential %d : $a\n"
        + reduction("%s", "add", "%e", "%zero", reduced=kind)
        + f"%l = stablehlo.log %s : {kind}\n%r = stablehlo.add %l, %t : {kind}"
    )
    yield case(
        "logsumexp",
        "stablehlo.is_finite",
        logsumexp,
        (rows,),
        np.log(np.exp(rows.astype(F64)).sum(1)).astype(F32),
    )
    y = array([-1.25, 0, 2.5], F32)
    yield case(
        "logaddexp",
        "stablehlo.compare",
        "%m = stablehlo.maximum %a, %b : $a\n%d = stablehlo.subtract %a, %b : $a\n"
        "%p = stablehlo.compare NE, %d, %d : ($a, $a) -> tensor<3xi1>\n"
        "%sum = stablehlo.add %a, %b : $a\n%g = stablehlo.abs %d : $a\n"
        "%n = stablehlo.negate %g : $a\n%e = stablehlo.exponential %n : $a\n"
        "%l = stablehlo.log_plus_one %e : $a\n%v = stablehlo.add %m, %l : $a\n"
        "%r = stablehlo.select %p, %sum, %v : tensor<3xi1>, $a",
        (y, y[::-1].copy()),
        reals(lambda a, b: np.logaddexp(a, b), F32, y, y[::-1]),
    )


def moves():
    """Infinities that only travel."""
    x = array([1.5, -2, 0.5], F32)
    yield case(
        "pad_with_minus_infinity",
        "stablehlo.pad",
        constant("%low", -INF)
        + "%r = stablehlo.pad %a, %low, low = [1], high = [1], interior = [0] : ($a, tensor<f32>) -> $r",
        (x,),
        array([-INF, 1.5, -2, 0.5, -INF], F32),
        exact=True,
    )
    yield case(
        "pad_with_minus_infinity_then_maximum",
        "stablehlo.pad",
        constant("%low", -INF) + "%p = stablehlo.pad %a, %low, low = [2], high = [1], interior = [0] "
        ": ($a, tensor<f32>) -> tensor<6xf32>\n"
        '%q = "stablehlo.reshape"(%p) : (tensor<6xf32>) -> tensor<2x3xf32>\n'
        + reduction("%r", "maximum", "%q", "%low", axis=0, kind="tensor<2x3xf32>"),
        (x,),
        array([-2, 0.5, 1.5], F32),
        exact=True,
    )
    value = array([[INF, 1, -INF], [0, -0.5, 2]], F32)
    yield one_op(
        "constant_f32_with_infinities",
        "stablehlo.constant",
        (),
        value,
        f"value = {literal(value)}",
        exact=True,
    )
    yield case(
        "sort_after_infinity",
        "stablehlo.sort",
        constant("%inf", [INF])
        + "%c = stablehlo.concatenate %inf, %a, dim = 0 : (tensor<1xf32>, $a) -> tensor<4xf32>\n"
        '%s = "stablehlo.sort"(%c) <{dimension = 0 : i64}> ({\n^bb0(%x: $a0, %y: $a0):\n'
        '%l = "stablehlo.compare"(%x, %y) <{comparison_direction = #stablehlo<comparison_direction LT>}> '
        ': ($a0, $a0) -> tensor<i1>\n"stablehlo.return"(%l) : (tensor<i1>) -> ()\n'
        "}) : (tensor<4xf32>) -> tensor<4xf32>\n"
        '%r = "stablehlo.slice"(%s) <{start_indices = array<i64: 0>, limit_indices = array<i64: 3>, '
        "strides = array<i64: 1>}> : (tensor<4xf32>) -> $a",
        (x,),
        np.sort(x),
        exact=True,
    )


def limits():
    """Functions at infinity: each has a finite limit there, or none."""
    with np.errstate(all="ignore"):
        for name, function in {
            "exponential": np.exp,
            "logistic": lambda v: 1 / (1 + np.exp(-v)),
            "tanh": np.tanh,
            "negate": np.negative,
            "sign": np.sign,
            "abs": np.abs,
        }.items():
            for label, value in {"infinity": INF, "minus_infinity": -INF}.items():
                yield case(
                    f"{name}_of_{label}",
                    f"stablehlo.{name}",
                    constant("%v", value) + f"%r = stablehlo.{name} %v : tensor<f32>",
                    (),
                    array(function(F64.type(value)), F32),
                )
        x = array([-1, 0, 1, 4], F32)
        for label, body, expected in (
            ("division_by_zero", splat("%z", 0, "$a") + "%r = stablehlo.divide %a, %z : $a", x / F32.type(0)),
            ("log_of_zero_and_less", "%r = stablehlo.log %a : $a", np.log(x)),
            ("sqrt_of_negatives", "%r = stablehlo.sqrt %a : $a", np.sqrt(x)),
            (
                "infinity_times_numbers",
                splat("%i", INF, "$a") + "%r = stablehlo.multiply %a, %i : $a",
                x * F32.type(INF),
            ),
            (
                "infinity_minus_infinity",
                splat("%i", INF, "$a") + "%r = stablehlo.subtract %i, %i : $a",
                x * NAN,
            ),
            (
                "division_by_infinity",
                splat("%i", INF, "$a") + "%r = stablehlo.divide %a, %i : $a",
                x / F32.type(INF),
            ),
            (
                "negative_power_of_zero",
                splat("%m", -1, "$a") + "%r = stablehlo.power %a, %m : $a",
                x ** F32.type(-1),
            ),
            ("remainder_by_zero", splat("%z", 0, "$a") + "%r = stablehlo.remainder %a, %z : $a", x * NAN),
        ):
            yield case(f"limit_{label}", "stablehlo.constant", body, (x,), expected.astype(F32))
    yield case(
        "range_end_of_i32_as_sentinel",
        "stablehlo.minimum",
        constant("%most", 2**31 - 1, I32)
        + "%m = stablehlo.broadcast_in_dim %most, dims = [] : (tensor<i32>) -> $a\n"
        "%s = stablehlo.select %b, %a, %m : $b, $a\n" + reduction("%r", "minimum", "%s", "%most", axis=0),
        (array([5, -7, 12], I32), np.array([True, False, True])),
        array(5, I32),
    )


SPECIALS = (
    *from_infinity(),
    *masks(),
    *selections(),
    *bounds(),
    *questions(),
    *moves(),
    *limits(),
)
