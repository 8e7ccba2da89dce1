"""What explicit rescaling saves, in bytes by the protocols' formulas, and that it computes the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ditto_compiler.diagnostics import CompileError
from ditto_compiler.encoding import Cast, Fxp
from ditto_compiler.ir import encoding_of, entry_function, numel, ops_of, parse_module
from ditto_compiler.ops.scales import is_constant, is_product
from ditto_compiler.pass_manager import PassManager, parse_pipeline
from ditto_compiler.pipelines import precision_pipeline
from ditto_compiler.policy import load_policy

PRODUCT_BYTES = {32: 12, 64: 24, 128: 48}
TRUNCATION_BYTES = {32: 20, 64: 28, 128: 44}
"""Per element over all parties, of the engine's own protocols (measured: docs/explanation/protocols.md)."""


def compiled(function, *arguments, policy="uniform64", **changes):
    text = str(jax.jit(function).lower(*arguments).compiler_ir("stablehlo"))
    module = parse_module(text)
    changes = {"rescale": "explicit", **changes}
    PassManager(precision_pipeline(dataclasses.replace(load_policy(policy), **changes))).run(module)
    return module


def cost(module):
    """Bytes of products and truncations per run, and how many truncations there are."""
    total = truncations = 0
    entry = entry_function(module)
    for op in ops_of(entry.entry_block):
        if op.name in ("ditto.rescale", "ditto.upcast", "ditto.downcast"):
            cast = Cast(encoding_of(op.operands[0]), encoding_of(op.results[0]))
            total += cast.bytes_per_element * numel(op.results[0])
            truncations += cast.wrap_bits > 0
        elif is_product(op) and isinstance(encoding_of(op.results[0]), Fxp):
            encodings = {encoding_of(v) for v in (*op.operands, *op.results)}
            public = any(is_constant(v) for v in op.operands)
            elements = numel(op.results[0])
            total += 0 if public else PRODUCT_BYTES[encoding_of(op.results[0]).ring] * elements
            if len(encodings) == 1:
                total += TRUNCATION_BYTES[encoding_of(op.results[0]).ring] * elements
                truncations += 1
    return total, truncations


X = np.ones((4, 8), np.float32)
W = np.ones((8, 8), np.float32)


def computed(x, y):
    """Two computed values of unknown magnitude."""
    return jnp.floor(x), jnp.floor(y)


CASES = {
    # name: function of (x, y), engine's (bytes, truncations), explicit's, per the formulas in each comment
    # product: 24 + 28 -> 24 + 0, as the caller decodes 36 bits
    "product that is returned": (lambda x, y: x * y, (52 * 32, 1), (24 * 32, 0)),
    # a * b + c * d, then floor: 2 * (24 + 28) -> 2 * 24 + 12
    "sum of products": (lambda x, y: jnp.floor(x * y + x * x), (104 * 32, 2), (60 * 32, 1)),
    # dot, then floor: 24 + 28 -> 24 + 12
    "dot": (lambda x, y: jnp.floor(x @ y.T), (52 * 16, 1), (36 * 16, 1)),
    # sum of 8 products, then floor: 32 * (24 + 28) -> 32 * 24 + 4 * 12
    "sum over a row": (lambda x, y: jnp.floor((x * y).sum(-1)), (52 * 32, 1), (24 * 32 + 12 * 4, 1)),
    # x / 4 is a change of fraction: 28 -> 0, but floor wants 18 bits again: 2 bits in 1 byte words, 4
    "power of two": (lambda x, y: jnp.floor(x * 0.25), (28 * 32, 1), (4 * 32, 1)),
    # ... and nothing wants them here
    "power of two that is returned": (lambda x, y: x * 0.25, (28 * 32, 1), (0, 0)),
    # a selection by multiplication: 24 + 28 -> 24
    "boolean times value": (lambda x, y: (x > y).astype(jnp.float32) * x, (52 * 32, 1), (24 * 32, 0)),
    # x * y * x: 2 * 52 -> 24 + 12 + 24
    "chain": (lambda x, y: x * y * x, (104 * 32, 2), (60 * 32, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_bytes_saved(name):
    function, engine, explicit = CASES[name]
    whole = lambda x, y: function(*computed(x, y))  # noqa: E731
    assert cost(compiled(whole, X, X, rescale="engine")) == engine
    assert cost(compiled(whole, X, X, rescale="explicit")) == explicit


def test_a_linear_layer_in_ring_32_sends_20_bytes_per_output_instead_of_32():
    def f(x, w, b):
        return jax.nn.relu(jnp.floor(x) @ w + b) @ w

    policy = "uniform32"
    # 12 for each product; the first is truncated by 8 bits, four words of a byte, the second decoded wide.
    engine = 32 * (12 + 20) * 2
    explicit = 32 * (12 + 4) + 32 * 12
    assert cost(compiled(f, X, W, W[0], policy=policy, rescale="engine")) == (engine, 2)
    assert cost(compiled(f, X, W, W[0], policy=policy, rescale="explicit")) == (explicit, 1)


def test_a_wide_product_that_goes_to_ring_32_is_truncated_for_free():
    def f(x, w):
        y = jnp.floor(x)
        return (y * y) @ w

    module = compiled(f, X, W, policy="ditto-engine", forms=())
    casts = [op for op in ops_of(entry_function(module).entry_block) if op.name == "ditto.rescale"]
    downcasts = [op for op in ops_of(entry_function(module).entry_block) if op.name == "ditto.downcast"]
    assert not casts and len(downcasts) == 1


def test_sums_that_would_overflow_are_truncated_first():
    """Where the sum does not fit at the terms' 36 bits, the terms lose bits before they are added."""
    text = """
module attributes {ditto.explicit_rescale, ditto.stage = "cast"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>> {
    %e = stablehlo.exponential %x {ditto.max_abs = 1.0e4 : f64} : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.multiply %e, %e {ditto.max_abs = 4.0e6 : f64} : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 36>>
    %1 = stablehlo.add %0, %0 {ditto.max_abs = 8.0e6 : f64} : tensor<4xf32, #ditto.fxp<64, 36>>
    return %1 : tensor<4xf32, #ditto.fxp<64, 36>>
  }
}"""  # noqa: E501
    module = parse_module(text)
    PassManager(parse_pipeline("ditto-optimize-rescale{margin-bits=4}")).run(module)
    add = next(op for op in ops_of(entry_function(module).entry_block) if op.name == "stablehlo.add")
    # Values up to 2^23 with 4 bits of margin: 62 - 4 - 23 = 35.
    assert encoding_of(add.results[0]) == Fxp(64, 35)
    module = parse_module(text)
    with pytest.raises(CompileError, match="which leaves 35 fraction bits in ring 64, fewer than 40"):
        PassManager(parse_pipeline("ditto-optimize-rescale{margin-bits=4 min-bits=40}")).run(module)
