"""Forms keep the error that the table states, on dense grids, against the function in double precision."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ditto.xla import XlaFunction
from ditto_compiler.forms.table import FORMS
from ditto_compiler.ir import copy_module, nested_ops
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.ditto_approximate import DittoApproximate
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.policy import load_policy, parse_policy

GRID = np.linspace(-12, 12, 480_001, dtype=np.float32)

EXACT = {
    "gelu": (
        lambda x: jax.nn.gelu(x, approximate=False),
        lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / 2**0.5)),
    ),
    "silu": (jax.nn.silu, lambda x: x / (1 + np.exp(-x))),
    "tanh": (jnp.tanh, np.tanh),
    "logistic": (jax.nn.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
}


def approximated(function, argument, **forms):
    """What the rewritten module gives in plaintext."""
    module = copy_module(jax.jit(function).lower(argument).compiler_ir("stablehlo"))
    front_end = front_end_pipeline(load_policy("uniform64"))
    PassManager((*front_end, DittoApproximate(**forms))).run(module)
    return XlaFunction(module)(argument)[0].astype(np.float64)


ELEMENTWISE = [
    (function, form)
    for function in EXACT
    for form in FORMS[function].values()
    if form.name != "exact" and form.max_error is not None
]


@pytest.mark.parametrize(
    ("function", "form"), ELEMENTWISE, ids=[f"{f}-{form.name}" for f, form in ELEMENTWISE]
)
def test_stated_error_holds_and_is_tight(function, form):
    traced, reference = EXACT[function]
    found = approximated(traced, GRID, **{function: form.name})
    error = np.abs(found - reference(GRID.astype(np.float64))).max()
    # Single precision adds a little to what the formula itself errs.
    assert form.max_error / 2 < error < form.max_error + 2e-5


def test_our_gelu_is_at_least_as_accurate_as_pumas():
    assert FORMS["gelu"]["quartic"].max_error < FORMS["gelu"]["puma"].max_error


@pytest.mark.parametrize(
    "form", [f for f in FORMS["softmax"].values() if f.max_error is not None], ids=lambda f: f.name
)
def test_softmax_error_holds(form):
    rng = np.random.default_rng(4)
    for scale in (0.5, 3.0, 20.0):
        x = (rng.normal(size=(64, 128)) * scale).astype(np.float32)
        wide = x.astype(np.float64)
        exact = np.exp(wide - wide.max(-1, keepdims=True))
        exact /= exact.sum(-1, keepdims=True)
        found = approximated(jax.nn.softmax, x, softmax=form.name)
        assert np.abs(found - exact).max() <= form.max_error


FUNCTIONS = {
    "quad": lambda x: 0.125 * x**2 + 0.25 * x + 0.5,
}


def test_quad_is_its_formula():
    found = approximated(EXACT["gelu"][0], GRID, gelu="quad")
    np.testing.assert_allclose(found, FUNCTIONS["quad"](GRID.astype(np.float64)), atol=1e-4)


def test_policies_choose_forms_by_scope():
    def f(x):
        with jax.named_scope("first"):
            x = jax.nn.gelu(x, approximate=False)
        with jax.named_scope("second"):
            return jax.nn.gelu(x, approximate=False)

    policy = parse_policy(
        """
base = "uniform64"
[forms]
gelu = "quad"
[[forms.scopes]]
scope = "*/second/*"
gelu = "exact"
""",
        "scoped.toml",
    )
    module = copy_module(jax.jit(f).lower(GRID[:8]).compiler_ir("stablehlo"))
    PassManager(front_end_pipeline(policy)).run(module)
    kept = [op for op in nested_ops(module.operation) if op.name.startswith("chlo.erf")]
    assert len(kept) == 1 and "second" in str(kept[0].location)
