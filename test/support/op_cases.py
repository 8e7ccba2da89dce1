"""A case for every op of the table, for the engine's tests and the simulator's."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

RNG = np.random.default_rng(7)


def grid(*shape, low=-3.0, high=3.0):
    """Random floats that every encoding holds exactly."""
    return (np.round(RNG.uniform(low, high, shape) * 16) / 16).astype(np.float32)


def ints(*shape, low=-50, high=50, dtype=np.int32):
    return RNG.integers(low, high, shape).astype(dtype)


X, Y = grid(3, 4), grid(3, 4)
POSITIVE = grid(3, 4, low=0.5, high=4.0)
K, J = ints(3, 4), ints(3, 4)
NONZERO = np.where(J == 0, 7, J)
BOOL = RNG.random((3, 4)) < 0.5
IMAGE, KERNEL = grid(1, 2, 6, 6), grid(3, 2, 3, 3)

LINEAR = {32: 2**-8, 64: 2**-15}
"""Absolute error of an op that truncates a handful of times."""

EXACT = {32: 0.0, 64: 0.0}

# name -> (function, arguments, tolerance by ring; a ring that is missing cannot run it)
CASES = {
    "add": (jnp.add, (X, Y), EXACT),
    "subtract": (jnp.subtract, (X, Y), EXACT),
    "multiply": (jnp.multiply, (X, Y), LINEAR),
    "multiply_constant": (lambda x: x * 0.37, (X,), {32: 2**-6, 64: 2**-14}),
    "divide": (jnp.divide, (X, POSITIVE), {64: 1e-3}),
    "divide_constant": (lambda x: x / 7.0, (X,), {32: 2**-7, 64: 2**-14}),
    "maximum": (jnp.maximum, (X, Y), EXACT),
    "minimum": (jnp.minimum, (X, Y), EXACT),
    "abs": (jnp.abs, (X,), EXACT),
    "negate": (jnp.negative, (X,), EXACT),
    "sign": (jnp.sign, (X,), EXACT),
    "floor": (jnp.floor, (X,), EXACT),
    "ceil": (jnp.ceil, (X,), EXACT),
    "round_nearest_even": (jnp.round, (X,), EXACT),
    "round_nearest_afz": (lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), (X,), EXACT),
    "exponential": (jnp.exp, (-POSITIVE,), {64: 1e-3}),
    "exponential_minus_one": (jnp.expm1, (-POSITIVE,), {64: 1e-3}),
    "log": (jnp.log, (POSITIVE,), {64: 1e-3}),
    "log_plus_one": (jnp.log1p, (POSITIVE,), {64: 1e-3}),
    "logistic": (jax.nn.sigmoid, (X,), {64: 5e-4}),
    "tanh": (jnp.tanh, (X,), {32: 0.06, 64: 6e-3}),
    "sine": (jnp.sin, (X,), {32: 0.06, 64: 1e-3}),
    "cosine": (jnp.cos, (X,), {32: 0.06, 64: 1e-3}),
    "rsqrt": (lax.rsqrt, (POSITIVE,), {64: 2e-3}),
    "sqrt": (jnp.sqrt, (POSITIVE,), {64: 2e-3}),
    "power": (lambda x: x**2.5, (POSITIVE,), {64: 0.05}),
    "integer_power": (lambda x: x**3, (X,), {32: 2**-4, 64: 2**-12}),
    "atan2": (jnp.arctan2, (X, POSITIVE), {64: 1e-3}),
    "remainder": (lax.rem, (POSITIVE, np.float32(1.5) * np.ones_like(X)), {64: 1e-3}),
    "erf": (lax.erf, (X,), {64: 2e-3}),
    "erfc": (lax.erfc, (X,), {64: 2e-3}),
    "clamp": (lambda x: jnp.clip(x, -1.0, 1.0), (X,), EXACT),
    "clamp_scalar_bounds": (lambda x: lax.clamp(np.float32(-1), x, np.float32(1)), (X,), EXACT),
    "compare": (lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y), (X, Y), EXACT),
    "is_finite": (jnp.isfinite, (X,), EXACT),
    "select": (jnp.where, (BOOL, X, Y), EXACT),
    "select_by_compare": (lambda x, y: jnp.where(x < y, x + 1, y), (X, Y), EXACT),
    "reshape": (lambda x: x.reshape(2, 6), (X,), EXACT),
    "transpose": (lambda x: x.T, (X,), EXACT),
    "broadcast_in_dim": (lambda x: jnp.broadcast_to(x[:, None], (3, 2, 4)), (X,), EXACT),
    "slice": (lambda x: x[1:, ::2], (X,), EXACT),
    "strided_slice": (lambda x: lax.slice(x, (0, 1), (3, 4), (2, 2)), (X,), EXACT),
    "reverse": (lambda x: x[::-1], (X,), EXACT),
    "concatenate": (lambda x, y: jnp.concatenate([x, y * 0 + 1, y], 1), (X, Y), LINEAR),
    "concatenate_public": (lambda x: jnp.concatenate([x, jnp.ones((3, 2))], 1), (X,), EXACT),
    "pad": (lambda x: lax.pad(x, np.float32(0.5), [(1, 0, 1), (0, 2, 0)]), (X,), EXACT),
    "pad_negative": (lambda x: lax.pad(x, np.float32(0), [(-1, 1, 0), (2, -1, 0)]), (X,), EXACT),
    "dynamic_slice": (lambda x: lax.dynamic_slice(x, (1, 2), (2, 2)), (X,), EXACT),
    "dynamic_update_slice": (lambda x, y: lax.dynamic_update_slice(x, y[:1, :2], (1, 1)), (X, Y), EXACT),
    "gather": (lambda x: x[np.array([2, 0, 1, 2])], (X,), EXACT),
    "gather_columns": (lambda x: jnp.take(x, np.array([3, 0]), axis=1), (X,), EXACT),
    "iota": (lambda x: x + jnp.arange(4.0), (X,), EXACT),
    "dot": (lambda x, y: x @ y.T, (X, Y), LINEAR),
    "dot_vector": (lambda x, y: x @ y[0], (X, Y), LINEAR),
    "dot_batched": (lambda x, y: jnp.einsum("bij,bjk->bik", x, y), (grid(2, 3, 4), grid(2, 4, 5)), LINEAR),
    "dot_two_batch_dims": (
        lambda x, y: jnp.einsum("abij,abkj->abik", x, y),
        (grid(2, 2, 3, 4), grid(2, 2, 2, 4)),
        LINEAR,
    ),
    "dot_odd_order": (lambda x, y: jnp.einsum("jbi,kjb->ikb", x, y), (grid(4, 2, 3), grid(5, 4, 2)), LINEAR),
    "dot_outer": (jnp.outer, (X[0], Y[0]), LINEAR),
    "convolution": (lambda x, k: lax.conv(x, k, (1, 1), "SAME"), (IMAGE, KERNEL), {32: 2**-5, 64: 2**-13}),
    "convolution_dilated": (
        lambda x, k: lax.conv_general_dilated(x, k, (2, 1), [(1, 2), (0, 1)], (1, 2), (2, 1)),
        (IMAGE, KERNEL),
        {32: 2**-5, 64: 2**-13},
    ),
    "convolution_1d": (
        lambda x, k: lax.conv_general_dilated(x, k, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC")),
        (grid(2, 8, 3), grid(3, 3, 4)),
        {32: 2**-5, 64: 2**-13},
    ),
    "reduce_add": (lambda x: x.sum(0), (X,), EXACT),
    "reduce_max": (lambda x: x.max(-1), (X,), EXACT),
    "reduce_min": (lambda x: x.min(), (X,), EXACT),
    "reduce_product": (lambda x: x.prod(-1), (grid(3, 4, low=0.5, high=1.5),), {32: 2**-6, 64: 2**-13}),
    "argmax": (lambda x: jnp.argmax(x, -1), (X,), EXACT),
    "cumsum": (lambda x: jnp.cumsum(x, -1), (X,), EXACT),
    "max_pool": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 2), "SAME"), (X,), EXACT),
    "average_pool": (lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 1), "VALID"), (X,), EXACT),
    "sort": (lambda x: jnp.sort(x, -1), (X,), EXACT),
    "sort_descending_integers": (lambda i: -jnp.sort(-i, -1), (K,), EXACT),
    "argsort": (lambda x: jnp.argsort(x, -1), (np.array([[3, -1, 2.5, 0]], np.float32),), EXACT),
    "while": (lambda x: lax.fori_loop(0, 3, lambda i, a: a * 0.5 + 1, x), (X,), LINEAR),
    "scan": (lambda x: lax.scan(lambda c, row: (c + row, c * 2), jnp.zeros(4), x), (X,), LINEAR),
    "if_secret": (lambda p, x: lax.cond(p, lambda a: a + 1, lambda a: -a, x), (np.bool_(True), X), EXACT),
    "case_secret": (
        lambda i, x: lax.switch(i, [lambda a: a, lambda a: a + 1, lambda a: -a], x),
        (np.int32(2), X),
        EXACT,
    ),
    "convert_to_int": (lambda x: x.astype(jnp.int32), (X,), EXACT),
    "convert_to_float": (lambda i: i.astype(jnp.float32) * 0.5, (K,), LINEAR),
    "convert_bool": (lambda b: b.astype(jnp.float32), (BOOL,), EXACT),
    "integer_arithmetic": (lambda i, j: i * j + i - j, (K, J), EXACT),
    "integer_division": (lax.div, (K, NONZERO), {32: 0.0, 64: 0.0, 128: 0.0}),
    "integer_wrap": (lambda i: (i * 2**26) >> 20, (K,), EXACT),
    "integer_minmax": (lambda i, j: (jnp.maximum(i, j), jnp.minimum(i, j), jnp.abs(i)), (K, J), EXACT),
    "integer_dot": (lambda i, j: i @ j.T, (K, J), EXACT),
    "integer_compare": (lambda i, j: (i < j, i == j), (K, J), EXACT),
    "bitwise": (lambda i, j: (i & j, i | j, i ^ j, ~i), (K, J), EXACT),
    "logical_shift": (lambda i: lax.shift_right_logical(i, np.int32(2)), (np.abs(K),), EXACT),
    "shifts": (lambda i: (i << 2, i >> 1), (K,), EXACT),
    "logical": (lambda x, y: (x > 0) & ~(y > 0) | (x > y), (X, Y), EXACT),
    "any_all": (lambda x: (jnp.any(x > 2), jnp.all(x > -4, axis=1)), (X,), EXACT),
    "popcnt": (lax.population_count, (np.abs(K),), EXACT),
    "square": (jnp.square, (X,), LINEAR),
}

# Ops that JAX 0.4.34 does not print for any function of numpy's interface; %x is X, 3x4 floats.
TEXTS = {
    "dot": "%y = stablehlo.dot %x, %z : (tensor<3x4xf32>, tensor<4x3xf32>) -> tensor<3x3xf32>",
    "logistic": "%y = stablehlo.logistic %x : tensor<3x4xf32>",
    "custom_call": "%y = stablehlo.custom_call @mhlo.erf(%x) : (tensor<3x4xf32>) -> tensor<3x4xf32>",
    "optimization_barrier": "%y = stablehlo.optimization_barrier %x : tensor<3x4xf32>",
    "reduce_precision": "%y = stablehlo.reduce_precision %x, format = e8m10 : tensor<3x4xf32>",
    "if": """%s = stablehlo.slice %x [0:1, 0:1] : (tensor<3x4xf32>) -> tensor<1x1xf32>
      %r = stablehlo.reshape %s : (tensor<1x1xf32>) -> tensor<f32>
      %c = stablehlo.constant dense<0.0> : tensor<f32>
      %p = stablehlo.compare GT, %r, %c : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %y:2 = "stablehlo.if"(%p) ({ stablehlo.return %x, %z : tensor<3x4xf32>, tensor<4x3xf32>
        }, { %n = stablehlo.negate %x : tensor<3x4xf32>
             stablehlo.return %n, %z : tensor<3x4xf32>, tensor<4x3xf32>
        }) : (tensor<i1>) -> (tensor<3x4xf32>, tensor<4x3xf32>)""",
}
EXPECTED = {
    "dot": X @ X.T,
    "logistic": 1 / (1 + np.exp(-X)),
    "custom_call": np.vectorize(math.erf)(X),
    "optimization_barrier": X,
    "reduce_precision": X,
    "if": X if X[0, 0] > 0 else -X,
}


def text_program(name):
    """The StableHLO of a case in `TEXTS`: a function of X."""
    type_ = "tensor<3x3xf32>" if name == "dot" else "tensor<3x4xf32>"
    result = "%y#0" if name == "if" else "%y"
    return f"""func.func @main(%x: tensor<3x4xf32>) -> {type_} {{
      %z = stablehlo.transpose %x, dims = [1, 0] : (tensor<3x4xf32>) -> tensor<4x3xf32>
      {TEXTS[name]}
      return {result} : {type_} }}"""
