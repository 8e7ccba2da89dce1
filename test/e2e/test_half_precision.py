"""Half precision under every preset: as right as its dtype, and not dearer than single precision."""

from __future__ import annotations

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto

WIDTH, TOKENS, HEADS = 32, 8, 4


def norm(x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5)


def layer(x: Any, weights: dict[str, Any]) -> Any:
    """A layer of BERT."""

    def heads(y: Any) -> Any:
        return y.reshape(TOKENS, HEADS, -1).transpose(1, 0, 2)

    q, k, v = (heads(x @ weights[name]) for name in "qkv")
    scores = jnp.einsum("hqd,hkd->hqk", q, k) / np.sqrt(WIDTH // HEADS).astype(x.dtype)
    mixed = jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(scores), v).transpose(1, 0, 2).reshape(TOKENS, WIDTH)
    x = norm(x + mixed @ weights["o"])
    return norm(x + jax.nn.gelu(x @ weights["up"], approximate=False) @ weights["down"])


RNG = np.random.default_rng(0)
SHAPES = dict.fromkeys("qkvo", (WIDTH, WIDTH)) | {"up": (WIDTH, 4 * WIDTH), "down": (4 * WIDTH, WIDTH)}
WEIGHTS = {name: RNG.normal(size=shape) / shape[0] ** 0.5 for name, shape in SHAPES.items()}
X = RNG.normal(size=(TOKENS, WIDTH))


def arguments(dtype: Any) -> tuple[Any, Any]:
    return jnp.asarray(X, dtype), {name: jnp.asarray(weight, dtype) for name, weight in WEIGHTS.items()}


EXACT = np.asarray(jax.jit(layer)(*arguments(jnp.float32)), np.float64)

ERRORS = {
    ("dtype", False): 0.2,
    ("ditto-engine", True): 0.1,
    ("ditto", False): 0.1,
    ("ditto", True): 0.01,
}
"""By policy and whether it is calibrated, of results of about 3. `dtype` has 8 fraction bits."""


@pytest.mark.parametrize(("policy", "calibrated"), ERRORS)
def test_a_layer(cluster: ditto.LocalCluster, policy: str, calibrated: bool) -> None:
    sent = {}
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        args = arguments(dtype)
        # No warning: what is measured in half precision is as it may be.
        ranges = ditto.calibrate(layer, [args], policy=policy) if calibrated else None
        program = ditto.compile(layer, *args, policy=policy, ranges=ranges)
        sent[dtype] = json.loads(program.report("json"))["total"]["bytes"]
        result = np.asarray(cluster.run(program, *args), np.float64)
        # What rounding the numbers themselves does in this dtype.
        rounding = np.abs(np.asarray(jax.jit(layer)(*args), np.float64) - EXACT).max()
        error = ERRORS[policy, calibrated]
        np.testing.assert_allclose(result, EXACT, rtol=0, atol=error + 3 * rounding)
    # Softmax is in single precision wherever it has a form.
    allowed = 0.99 if policy == "dtype" else 1.05
    assert max(sent[jnp.bfloat16], sent[jnp.float16]) < allowed * sent[jnp.float32]
