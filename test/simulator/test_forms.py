"""Forms on every dtype: each compiles and computes its function, or its ring is told to be too narrow."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.experimental import enable_x64

import ditto
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.forms.table import DEFAULTS, ENGINE_FORMS, EXACT
from ditto_compiler.policy import PRESETS, FormRule, form_of, load_policy

X = np.random.default_rng(0).uniform(-3, 3, (4, 16))
IDS = np.array([2, 0, 1], np.int32)


def layer_norm(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def rms_norm(x: Any) -> Any:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "logistic": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
    "log_softmax": jax.nn.log_softmax,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "argmax": lambda x: jnp.argmax(x, -1),
    "argmin": lambda x: jnp.argmin(x, -1),
    "embedding": lambda x: jnp.take(x, IDS, axis=0, mode="clip"),
    "adaptive_step": lambda x: x / (jnp.sqrt(x * x) + 1e-3),
    "division": lambda x: x / (jnp.abs(x).sum(-1, keepdims=True) + 1),
}
DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f64": np.float64}


@contextlib.contextmanager
def inputs(dtype: str) -> Iterator[np.ndarray[Any, Any]]:
    with enable_x64(dtype == "f64"):
        yield X.astype(DTYPES[dtype])


def check(function: str, x: np.ndarray[Any, Any], program: ditto.Program, error: float) -> None:
    """Whether a program computes a function up to an error, and to rounding of its own and of the dtype."""
    simulation = ditto.simulate(program, x)
    assert simulation.overflows == ()
    found = np.asarray(simulation.outputs).astype(np.float64)
    expected = np.asarray(FUNCTIONS[function](x.astype(np.float64))).astype(np.float64)
    rounding = 4 * float(ml_dtypes.finfo(x.dtype).eps) * max(1, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=error + rounding + 2**-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("function", "form"), [(name, form) for name in ENGINE_FORMS for form in ENGINE_FORMS[name]]
)
def test_forms_on_every_dtype(function: str, form: str, dtype: str) -> None:
    base = load_policy("uniform64")
    policy = dataclasses.replace(base, forms=(FormRule("test", {function: form}),))
    error = ENGINE_FORMS[function][form].max_error
    with inputs(dtype) as x:
        program = ditto.compile(FUNCTIONS[function], x, policy=policy)
        if error is not None:  # the others are other functions
            check(function, x, program, error)
        else:
            assert np.isfinite(np.asarray(ditto.simulate(program, x).outputs).astype(np.float64)).all()


CHOSEN = [
    (policy, function)
    for policy in PRESETS
    for function in FUNCTIONS
    if form_of(load_policy(policy).forms, function, "") not in (EXACT, DEFAULTS[function])
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("policy", "function"), CHOSEN)
def test_presets_compile_their_forms_or_say_why_not(policy: str, function: str, dtype: str) -> None:
    with inputs(dtype) as x:
        try:
            program = ditto.compile(FUNCTIONS[function], x, policy=policy)
        except CompileError as error:
            # What these presets put into ring 32 is what has half precision in the front end.
            assert dtype in ("f16", "bf16") and policy.startswith("ditto")
            assert "puts it in ring 32, but the engine runs it only in ring 64 or 128; give it a rule" in str(
                error
            )
            return
        assert np.isfinite(np.asarray(ditto.simulate(program, x).outputs).astype(np.float64)).all()
