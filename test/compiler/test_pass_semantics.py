"""Passes keep what a program computes: each stage is evaluated in floats and compared with JAX.

Encodings are taken off and casts become identities, so that XLA runs every stage up to the lowering.
Rounding to fixed point is not seen here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jaxlib import xla_client

from ditto_compiler import building
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import is_unsigned
from ditto_compiler.ir import (
    copy_module,
    element_type,
    encoding_of,
    entry_function,
    insert_op,
    ir,
    nested_ops,
    parse_module,
)
from ditto_compiler.ops.integers import unsigned_value
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.ditto_expand_functions import DittoExpandFunctions
from ditto_compiler.pipelines import default_pipeline
from ditto_compiler.policy import Policy, load_policy

Function = Callable[..., Any]

_ENCODING = re.compile(r", #ditto\.(?:fxp<\d+, \d+>|int<\d+>)")
_CAST = re.compile(r'"ditto\.(?:upcast|downcast|rescale)"\((%[\w#]+)\)')


def mlp(x: Any, w1: Any, b1: Any, w2: Any) -> Any:
    return jax.nn.relu(x @ w1 + b1) @ w2


def layer_norm(x: Any, scale: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * scale


def attention(q: Any, k: Any, v: Any) -> Any:
    scores = jnp.einsum("hqd,hkd->hqk", q, k) / jnp.sqrt(jnp.float32(q.shape[-1]))
    return jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(scores), v)


def shared_helper(x: Any) -> Any:
    helper = jax.jit(lambda a: jnp.tanh(a) * 2.0)
    return helper(helper(x)) + helper(x + 1.0)


def counted_loop(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, a: jnp.tanh(a @ a) + i, x)


def scan(x: Any) -> Any:
    return lax.scan(lambda carry, row: (carry + row, carry * row), x[0], x)


def condition(x: Any) -> Any:
    return lax.cond(x[0, 0] > 0, lambda a: a @ a + 1.0, lambda a: jnp.exp(a), x)


def switch(x: Any) -> Any:
    index = (x[0, 0] > 0).astype(jnp.int32) + 1
    return lax.switch(index, [lambda a: a + 1.0, lambda a: a * 2.0, lambda a: -a], x)


def convolution(x: Any, k: Any) -> Any:
    y = lax.conv_general_dilated(x, k, (2, 1), "SAME", rhs_dilation=(1, 2))
    return lax.reduce_window(y, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 1, 2), "VALID")


def integers(i: Any) -> Any:
    """Of all ops that integers have of our own: the sums of large ones wrap around, and are divided."""
    sums = i * 2**20 + i
    quotients = sums // 7, sums % i, lax.shift_right_logical(sums, 3), sums.astype(jnp.uint32) // 5
    return jnp.where(i > 2, i * 3 - 1, i + (i & 1)), jnp.sum(i), jnp.max(i), sums > i, *quotients


def conversions(x: Any) -> Any:
    return x.astype(jnp.int32).astype(jnp.float32) + x.astype(jnp.float16).astype(jnp.float32)


def rearrangements(x: Any) -> Any:
    y = jnp.concatenate([x, x[::-1]], axis=1)[:, ::2].T.reshape(-1)
    return lax.pad(y, 0.0, [(2, -1, 1)]), lax.dynamic_slice(y, (1,), (3,)), x[jnp.array([1, 0])]


def one_of_each_ring(x: Any, w: Any) -> Any:
    """Narrow, wide, narrow and wide again, with constants and inputs used in both."""
    y = jnp.exp(x @ w + 0.5)
    return (y @ w + 0.5) * lax.rsqrt(y + 1.0), x @ w, x + 0.5


SQUARE = (4, 4)
CASES: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "mlp": (mlp, ((3, 4), (4, 5), (5,), (5, 2))),
    "softmax": (jax.nn.softmax, ((3, 5),)),
    "log_softmax": (jax.nn.log_softmax, ((3, 5),)),
    "layer_norm": (layer_norm, ((3, 4), (4,))),
    "attention": (attention, ((2, 3, 4), (2, 3, 4), (2, 3, 4))),
    "gelu": (lambda x: jax.nn.gelu(x, approximate=False), ((7,),)),
    "silu": (jax.nn.silu, ((7,),)),
    "sinh": (lambda x: jnp.sinh(x) + jnp.arcsinh(x), ((7,),)),
    "shared_helper": (shared_helper, ((7,),)),
    "counted_loop": (counted_loop, (SQUARE,)),
    "scan": (scan, (SQUARE,)),
    "condition": (condition, (SQUARE,)),
    "switch": (switch, (SQUARE,)),
    "sort": (lambda x: jnp.sort(x, axis=-1), (SQUARE,)),
    "argsort": (lambda x: jnp.argsort(-x), ((6,),)),
    "top_k": (lambda x: lax.top_k(x, 2), (SQUARE,)),
    "argmax": (lambda x: jnp.argmax(x, axis=-1), (SQUARE,)),
    "cumsum": (lambda x: jnp.cumsum(x, axis=0), (SQUARE,)),
    "convolution": (convolution, ((1, 2, 6, 6), (3, 2, 3, 3))),
    "conversions": (conversions, ((7,),)),
    "rearrangements": (rearrangements, (SQUARE,)),
    "comparison": (lambda x: (x > 0) & ~(x > 1), ((7,),)),
    "powers": (lambda x: x**3 + jnp.abs(x) ** 1.5, ((7,),)),
    "clip": (lambda x: jnp.clip(jnp.floor(x), -1.0, 1.0) + jnp.sign(x), ((7,),)),
    "clamp": (lambda x, low, high: jax.lax.clamp(low, x, high), ((64,), (64,), (64,))),
    "clamp by scalars": (lambda x, low, high: jax.lax.clamp(low, x, high), ((64,), (), ())),
    "maximum of rows": (lambda x: (x.max(0), x.min((0, 2)), jnp.abs(x).max()), ((3, 5, 2),)),
    "gradient": (jax.grad(lambda x: jnp.sum(jax.nn.gelu(x))), ((7,),)),
    "one_of_each_ring": (one_of_each_ring, (SQUARE, SQUARE)),
    "constant": (lambda x: (x, jnp.zeros(3)), ((2,),)),
}
# Without approximate forms, which compute something else, and are tested with their error bounds elsewhere.
POLICIES: dict[str, Policy] = {
    "uniform64": load_policy("uniform64"),
    **{
        f"ditto {rescale}": dataclasses.replace(load_policy("ditto"), rescale=rescale, forms=())
        for rescale in ("engine", "explicit")
    },
}


def floats(shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def export(function: Function, inputs: list[np.ndarray]) -> ir.Module:
    # JAX keeps what it lowered and gives the same module again.
    return copy_module(jax.jit(function).lower(*inputs).compiler_ir("stablehlo"))


def with_plain_ops(module: ir.Module) -> ir.Module:
    """A copy with the ops of our own dialect, casts apart, written as StableHLO."""
    module = copy_module(module)
    with module.context, ir.Location.unknown():
        for op in nested_ops(module.operation):
            results = _in_plain_ops(op)
            if results:
                for old, new in zip(op.results, results, strict=True):
                    old.replace_all_uses_with(new)
                op.erase()
    return module


def _in_plain_ops(op: ir.Operation) -> list[ir.Value]:
    """What an op of our own gives, by StableHLO; nothing for others."""
    if op.name == names.LESS:
        x, encoding = op.operands[0], encoding_of(op.operands[0])
        assert encoding is not None
        limits = [threshold * 2.0**-encoding.frac for threshold in op.attributes[names.THRESHOLDS]]
        direction = {"comparison_direction": ir.Attribute.parse("#stablehlo<comparison_direction LT>")}
        return [
            insert_op(
                "compare", bit.type, x, building.splat(limit, x.type, before=op), before=op, **direction
            )
            for bit, limit in zip(op.results, limits, strict=True)
        ]
    if op.name == names.WRAP:
        # XLA's integers have no bits above those of their type, so a shift is all that is left.
        x = op.operands[0]
        amount = building.splat(names.get_int(op, names.DROP) or 0, x.type, before=op)
        name = "logical" if is_unsigned(element_type(x)) else "arithmetic"
        return [insert_op(f"shift_right_{name}", x.type, x, amount, before=op)]
    if op.name == names.QUOTIENT:
        x, *rest = op.operands
        divisor = names.get_attribute(op, names.DIVISOR)
        y = rest[0] if divisor is None else building.splat(unsigned_value(divisor), x.type, before=op)
        return [insert_op("divide", x.type, x, y, before=op)]
    return []


def to_floats(module: ir.Module) -> str:
    """The program without encodings, with casts as identities."""
    text = _ENCODING.sub("", str(with_plain_ops(module))).replace("ditto.explicit_rescale, ", "")
    return _CAST.sub(r"stablehlo.reshape \1", text)


def evaluate(module: ir.Module, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What the program gives for the caller's inputs."""
    entry = entry_function(module)
    assert entry is not None
    entries = names.argument_attributes(entry)
    order = [e[names.INPUT].value if names.INPUT in e else i for i, e in enumerate(entries)]
    return execute(to_floats(module), [inputs[i] for i in order])


def execute(text: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Compiles StableHLO by XLA as it is and runs it on the CPU."""
    device = jax.devices("cpu")[0]
    options = xla_client.CompileOptions()
    if hasattr(device.client, "compile_and_load"):
        devices = xla_client.DeviceList((device,))
        executable = device.client.compile_and_load(text, devices, options)
    else:
        executable = device.client.compile(text, options)
    outputs = executable.execute_sharded([jax.device_put(x, device) for x in inputs])
    return [np.asarray(shards[0]) for shards in outputs.disassemble_into_single_device_arrays()]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("case", CASES)
def test_every_pass_keeps_what_the_program_computes(case: str, policy: str) -> None:
    function, shapes = CASES[case]
    inputs = floats(shapes)
    expected = jax.tree.leaves(function(*inputs))
    module, tolerance = export(function, inputs), 2e-5
    for pass_ in default_pipeline(POLICIES[policy])[:-1]:
        if isinstance(pass_, DittoExpandFunctions):
            # Its formulas err by so much, relatively.
            tolerance = 1e-3
        before = to_floats(module)
        PassManager([pass_]).run(module)
        if to_floats(module) == before:
            continue
        found = evaluate(module, inputs)
        assert len(found) == len(expected)
        for want, have in zip(expected, found, strict=True):
            np.testing.assert_allclose(
                have.reshape(want.shape).astype(np.float32),
                np.asarray(want).astype(np.float32),
                rtol=tolerance,
                atol=tolerance,
                err_msg=f"after {pass_}",
            )


@pytest.mark.parametrize("policy", POLICIES)
def test_integer_programs(policy: str) -> None:
    inputs = [np.array([0, 1, 2, 3, -4, 2**30, 2**31 - 1, -(2**31)], np.int32)]
    expected = [np.asarray(value) for value in jax.jit(integers)(*inputs)]
    module = export(integers, inputs)
    for pass_ in default_pipeline(POLICIES[policy])[:-1]:
        PassManager([pass_]).run(module)
        for want, have in zip(expected, evaluate(module, inputs), strict=True):
            np.testing.assert_array_equal(have.reshape(want.shape), want, err_msg=f"after {pass_}")


def test_the_comparison_can_fail() -> None:
    inputs = floats(((4,),))
    module = export(lambda x: x + 1.0, inputs)
    wrong = parse_module(str(module).replace("dense<1.000000e+00>", "dense<2.000000e+00>"))
    assert not np.allclose(evaluate(wrong, inputs)[0], inputs[0] + 1.0)
