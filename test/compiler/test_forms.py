"""The table of forms is true: errors hold on dense grids and are tight, and declared bounds are bounds.

Forms are evaluated as the pass writes them, in float32 under XLA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit

from ditto.calibrating import instrument
from ditto.frontend import trace
from ditto_compiler.calibration import result_keys
from ditto_compiler.dialect import attributes as names
from ditto_compiler.forms.exponential import EXPONENTIALS
from ditto_compiler.forms.table import DEFAULTS, ENGINE_FORMS, FORM_NAMES, FORMS
from ditto_compiler.ir import entry_function, ir, ops_of
from ditto_compiler.ops import is_layout
from ditto_compiler.options import option_docs
from ditto_compiler.pass_manager import PassManager, parse_pipeline
from ditto_compiler.passes.ditto_approximate import DittoApproximate
from ditto_compiler.xla import XlaFunction

RNG = np.random.default_rng(11)

GRID = np.linspace(-50, 50, 2_000_001, dtype=np.float32)


def rewritten(fn: Callable[..., Any], args: tuple[Any, ...], **forms: str) -> ir.Module:
    """`fn` with the forms in it, which must replace something."""
    module = trace(fn, args).module
    PassManager(parse_pipeline("inline-calls,legalize-chlo,canonicalize,cse")).run(module)
    before = str(module)
    PassManager((DittoApproximate(**forms), *parse_pipeline("cse"))).run(module)
    assert str(module) != before
    return module


def evaluate(fn: Callable[..., Any], *args: Any, **forms: str) -> np.ndarray:
    (result,) = XlaFunction(rewritten(fn, args, **forms))(*args)
    return np.asarray(result)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


ELEMENTWISE: dict[str, tuple[Callable[..., Any], Callable[[np.ndarray], np.ndarray]]] = {
    "gelu": (lambda x: jax.nn.gelu(x, approximate=False), lambda x: x * (1 + erf(x / np.sqrt(2))) / 2),
    "silu": (jax.nn.silu, lambda x: x * expit(x)),
    "tanh": (jnp.tanh, np.tanh),
    "logistic": (jax.nn.sigmoid, expit),
}

ELEMENTWISE_FORMS = [(function, name) for function in ELEMENTWISE for name in ENGINE_FORMS[function]]


@pytest.mark.parametrize(("function", "name"), ELEMENTWISE_FORMS)
def test_elementwise_error(function: str, name: str) -> None:
    fn, exact = ELEMENTWISE[function]
    stated = FORMS[function][name].max_error
    error = np.abs(evaluate(fn, GRID, **{function: name}) - exact(GRID.astype(np.float64))).max()
    if stated is None:
        assert error > 1.0
    else:
        assert stated / 2 < error <= stated


def test_our_gelu_is_more_accurate_than_pumas() -> None:
    ours, pumas = (FORMS["gelu"][name].max_error for name in ("quartic", "puma"))
    assert ours is not None and pumas is not None and ours < pumas / 5


def test_quad_is_mpcformers() -> None:
    x = np.linspace(-5, 5, 1001, dtype=np.float32)
    found = evaluate(lambda x: jax.nn.gelu(x, approximate=False), x, gelu="quad")
    np.testing.assert_allclose(found, 0.125 * x**2 + 0.25 * x + 0.5, atol=1e-6)


@pytest.mark.parametrize(("function", "name"), ELEMENTWISE_FORMS)
def test_far_from_zero_the_forms_are_exact(function: str, name: str) -> None:
    if FORMS[function][name].max_error is None:
        pytest.skip("another function")
    fn, exact = ELEMENTWISE[function]
    x = np.array([-1000.0, -60.0, -10.0, 10.0, 60.0, 1000.0], np.float32)
    limits = np.round(exact(x.astype(np.float64)))
    np.testing.assert_array_equal(evaluate(fn, x, **{function: name}), limits)


NEGATIVE = np.linspace(-40, 0, 400_001, dtype=np.float32)


# XLA's own exp is not the engine's.
@pytest.mark.parametrize("name", [name for name in EXPONENTIALS if name != "engine"])
def test_exponential_error(name: str) -> None:
    """Softmax of (x, 0) is (exp(x), exp(0)) but for their sum."""
    pairs = np.stack([NEGATIVE, np.zeros_like(NEGATIVE)], axis=1)
    weights = evaluate(jax.nn.softmax, pairs, softmax="puma", exp=name).astype(np.float64)
    at_zero = _exp_at_zero(name)
    found = weights[:, 0] / weights[:, 1] * at_zero
    error = np.abs(found - np.exp(NEGATIVE.astype(np.float64))).max()
    stated = EXPONENTIALS[name].max_error
    assert stated / 2 < error <= stated


def _exp_at_zero(name: str) -> float:
    """What the form gives for exp(0), which divides out of softmax; log-softmax of one element shows it."""
    zero = np.zeros((1, 1), np.float32)
    logarithm = evaluate(jax.nn.log_softmax, zero, log_softmax="puma", exp=name)
    return float(np.exp(-np.float64(logarithm[0, 0])))


def rows() -> list[np.ndarray]:
    """Scores of 1 to 512 keys, flat to peaked."""
    # The same ones whichever tests ran before: the errors that are stated are of these.
    rng = np.random.default_rng(11)
    spreads = np.repeat([0.0, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0], 100)[:, None]
    return [(rng.normal(size=(800, 2**k)) * spreads).astype(np.float32) for k in range(10)]


@pytest.mark.parametrize("name", [name for name, form in ENGINE_FORMS["softmax"].items() if form.max_error])
def test_softmax_error(name: str) -> None:
    error = max(
        np.abs(evaluate(jax.nn.softmax, x, softmax=name) - softmax(x.astype(np.float64))).max()
        for x in rows()
    )
    stated = FORMS["softmax"][name].max_error
    assert stated is not None and stated / 2 < error <= stated


@pytest.mark.parametrize("name", ENGINE_FORMS["log_softmax"])
def test_log_softmax_error(name: str) -> None:
    def error(x: np.ndarray) -> float:
        wide = x.astype(np.float64)
        shifted = wide - wide.max(-1, keepdims=True)
        exact = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        return float(np.abs(evaluate(jax.nn.log_softmax, x, log_softmax=name) - exact).max())

    stated = FORMS["log_softmax"][name].max_error
    assert stated is not None and stated / 2 < max(map(error, rows())) <= stated


X = RNG.normal(size=(6, 5, 8)).astype(np.float32)
MASK = RNG.random((6, 5, 8)) < 0.6
MASK[..., 0] = True


@pytest.mark.parametrize("name", FORMS["softmax"])
@pytest.mark.parametrize("axis", [-1, 1, (1, 2)])
def test_softmax_over_any_axis(name: str, axis: Any) -> None:
    """Each form over other axes is the form over the last, of the transposed scores."""
    found = evaluate(lambda x: jax.nn.softmax(x, axis=axis), X, softmax=name)
    if axis == 1:
        x = X.transpose(0, 2, 1)
        last = evaluate(jax.nn.softmax, x, softmax=name).transpose(0, 2, 1)
    else:
        x = X.reshape(6, 40) if axis == (1, 2) else X
        last = evaluate(jax.nn.softmax, x, softmax=name).reshape(X.shape)
    np.testing.assert_allclose(found, last, atol=1e-6)


def masked_by_where(x: Any, mask: Any) -> Any:
    return jax.nn.softmax(x, where=mask)


def masked_by_select(x: Any, mask: Any) -> Any:
    return jax.nn.softmax(jnp.where(mask, x, jnp.finfo(jnp.float32).min))


def masked_by_sum(x: Any, mask: Any) -> Any:
    return jax.nn.softmax(x + jnp.where(mask[0, 0], 0.0, -1e9))


@pytest.mark.parametrize("name", FORMS["softmax"])
@pytest.mark.parametrize("masked", [masked_by_where, masked_by_select, masked_by_sum])
def test_softmax_hides_what_is_masked(name: str, masked: Callable[..., Any]) -> None:
    found = evaluate(masked, np.abs(X), MASK, softmax=name)
    hidden = ~MASK if masked is not masked_by_sum else np.broadcast_to(~MASK[0, 0], MASK.shape)
    assert np.abs(found[hidden]).max() < 2e-6
    expected = np.ones(MASK.shape[:-1])
    if name.startswith("2quad"):  # It adds 2^-10 to sums of squares.
        squares = np.where(hidden, 0, (np.abs(X) + 5) ** 2).sum(-1)
        expected = squares / (squares + 2**-10)
    np.testing.assert_allclose(found.sum(-1), expected, atol=1e-5)


def test_log_softmax_with_a_mask() -> None:
    found = evaluate(
        lambda x, m: jax.nn.log_softmax(x, where=m), X, MASK, log_softmax="narrow", exp="taylor8"
    )
    exact = np.asarray(jax.nn.log_softmax(X, where=MASK))
    np.testing.assert_allclose(found[MASK], exact[MASK], atol=0.02)
    assert found[~MASK].max() <= -1000


@pytest.mark.parametrize("axis", [-1, 1, (1, 2)])
def test_layer_norm_is_the_same_function(axis: Any) -> None:
    def fn(x: Any, scale: Any) -> Any:
        mean = x.mean(axis, keepdims=True)
        variance = (x * x).mean(axis, keepdims=True) - mean * mean
        return (x - mean) * (1.0 / jnp.sqrt(jnp.maximum(variance, 0.0) + 1e-5)) * 0.5 * scale

    scale = RNG.normal(size=8).astype(np.float32)
    for name in FORMS["layer_norm"]:
        found = evaluate(fn, X, scale, layer_norm=name)
        np.testing.assert_allclose(found, fn(X, scale), atol=1e-4)


def test_rms_norm_is_the_same_function() -> None:
    def fn(x: Any) -> Any:
        return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)

    for name in FORMS["rms_norm"]:
        np.testing.assert_allclose(evaluate(fn, X, rms_norm=name), fn(X), atol=1e-5)


def rms(x: Any) -> Any:
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True))


def test_octaves_cover_every_variance() -> None:
    """Two equal elements are normalised to ones, whatever their size: what is missing is the form's error.

    The root of an octave has 18 fraction bits.
    """
    x = np.sqrt(np.geomspace(2.0**-17, 2.0**17 * 0.999, 100_001)).astype(np.float32)[:, None] * np.ones(
        2, np.float32
    )
    error = np.abs(evaluate(rms, x, rms_norm="octaves") - 1.0)
    assert (error <= 5e-7 + 1.01 * 2.0**-19 * x).all()
    # Below the lowest octave, nothing explodes; zero stays zero.
    small = evaluate(rms, x * 2.0**-10, rms_norm="octaves")
    assert small.max() <= 1.0 + 2e-6
    assert not evaluate(rms, np.zeros((4, 2), np.float32), rms_norm="octaves").any()


def test_octaves_need_neither_rsqrt_nor_division() -> None:
    for fn, forms in ((rms, {"rms_norm": "octaves"}), (jax.nn.softmax, {"softmax": "narrow"})):
        text = str(rewritten(fn, (X,), **forms))
        assert "stablehlo.rsqrt" not in text and "stablehlo.sqrt" not in text
        assert "stablehlo.divide" not in text


def test_norms_need_no_division() -> None:
    def fn(x: Any) -> Any:
        return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)

    text = str(rewritten(fn, (X,), layer_norm="rsqrt"))
    assert text.count("stablehlo.rsqrt") == 1
    assert "stablehlo.sqrt" not in text and "stablehlo.divide" not in text


@pytest.mark.parametrize("shape", [(8,), (5, 1), (6, 1, 8), (6, 5, 1), ()])
def test_division_by_what_is_repeated(shape: tuple[int, ...]) -> None:
    y = (RNG.random(shape) + 0.5).astype(np.float32)
    np.testing.assert_allclose(evaluate(lambda x, y: x / y, X, y, division="reciprocal"), X / y, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_argmax_is_the_same_function(axis: int) -> None:
    found = evaluate(lambda x: jnp.argmax(x, axis), X, argmax="tournament")
    np.testing.assert_array_equal(found, X.argmax(axis))
    found = evaluate(lambda x: jnp.argmin(x, axis), X, argmin="tournament")
    np.testing.assert_array_equal(found, X.argmin(axis))


LOOKUPS: dict[str, Callable[..., Any]] = {
    "index": lambda table, ids: table[ids],
    "take": lambda table, ids: jnp.take(table, ids, axis=0),
    "clip": lambda table, ids: jnp.take(table, ids, axis=0, mode="clip"),
}


@pytest.mark.parametrize("name", FORMS["embedding"])
@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("rows", [1, 2, 10, 64, 65])
def test_lookups(name: str, lookup: str, rows: int) -> None:
    table = RNG.normal(size=(rows, 3, 2)).astype(np.float32)
    ids = RNG.integers(0, rows, (4, 5)).astype(np.int32)
    np.testing.assert_array_equal(evaluate(LOOKUPS[lookup], table, ids, embedding=name), table[ids])


@pytest.mark.parametrize("name", FORMS["embedding"])
@pytest.mark.parametrize("lookup", LOOKUPS)
def test_ids_out_of_range(name: str, lookup: str) -> None:
    """As in JAX, with zeros where it has NaN."""
    table = RNG.normal(size=(10, 3)).astype(np.float32)
    ids = np.array([10, 11, 15, 16, 1000, -1, -16, 2**31 - 1, -(2**31)], np.int32)
    expected = np.nan_to_num(jax.jit(LOOKUPS[lookup])(table, ids), nan=0.0)
    np.testing.assert_array_equal(evaluate(LOOKUPS[lookup], table, ids, embedding=name), expected)


SITES: dict[str, tuple[Callable[..., Any], Any]] = {
    **{function: (fn, GRID[::100]) for function, (fn, _) in ELEMENTWISE.items()},
    "softmax": (jax.nn.softmax, 6 * X),
    "log_softmax": (jax.nn.log_softmax, 6 * X),
    "rms_norm": (lambda x: x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5), X * 2.0 ** (X - 4)),
}


@pytest.mark.parametrize(("function", "name"), [(f, n) for f in SITES for n in ENGINE_FORMS[f]])
def test_declared_magnitudes_hold(function: str, name: str) -> None:
    """Scales are chosen by `ditto.max_abs`, so a value beyond it would wrap."""
    fn, x = SITES[function]
    module = rewritten(fn, (x,), **{function: name})
    entry = entry_function(module)
    assert entry is not None
    keys = result_keys(entry)
    declared = [
        # What only moves numbers is not measured.
        (
            keys[op.operands[0] if is_layout(op) else op.results[0]],
            ir.FloatAttr(op.attributes[names.MAX_ABS]).value,
        )
        for op in ops_of(entry.entry_block)
        if names.MAX_ABS in op.attributes
    ]
    if name not in ("quad", "2quad", "2relu", "rsqrt", "wide"):
        assert declared
    order = instrument(module)
    ends = np.abs(np.array(XlaFunction(module)(x)).reshape(-1, 2)).max(axis=1)
    largest = dict(zip(order, ends, strict=True))
    for key, bound in declared:
        assert largest[key] <= bound * (1 + 1e-6), key


def test_every_form_can_be_chosen_and_documents_itself() -> None:
    options = {name.replace("-", "_") for name, _, _ in option_docs(DittoApproximate)} - {"policy"}
    assert options == set(FORM_NAMES) == set(DEFAULTS)
    for function, forms in FORMS.items():
        for name, form in forms.items():
            assert name == form.name and name in FORM_NAMES[function]
            assert form.formula and form.source and form.valid
            assert form.exp is None or form.exp in EXPONENTIALS
            assert form.exp is None or function in ("softmax", "log_softmax")


@pytest.mark.parametrize("function", FORM_NAMES)
def test_the_options_list_the_forms(function: str) -> None:
    documentation = {name: text for name, _, text in option_docs(DittoApproximate)}
    text = documentation[function.replace("_", "-")]
    for name in FORM_NAMES[function]:
        assert name in text or (name.startswith("taylor") and "taylor4 to taylor8" in text)


def test_locations_are_those_of_the_replaced_op() -> None:
    def fn(x: Any) -> Any:
        with jax.named_scope("mlp"):
            return jax.nn.gelu(x, approximate=False)

    module = rewritten(fn, (X,), gelu="quad")
    entry = entry_function(module)
    assert entry is not None
    scopes = [str(op.location) for op in ops_of(entry.entry_block)[:-1]]
    assert all("/mlp/" in scope for scope in scopes)
