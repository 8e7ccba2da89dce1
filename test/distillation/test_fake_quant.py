"""A function as plain JAX, with the forms and rings of its private program, against the exact simulator."""

import functools
import os
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto import fake_quantizing
from ditto_compiler.errors import DittoError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 4)).astype(np.float32)
PARAMS = {
    name: (RNG.normal(size=shape) / 2).astype(np.float32)
    for name, shape in {"w": (4, 8), "v": (8, 3)}.items()
}


def mlp(params, x):
    with jax.named_scope("hidden"):
        hidden = jax.nn.gelu(x @ params["w"])
    with jax.named_scope("out"):
        return jax.nn.softmax(hidden @ params["v"])


def attention(params, x):
    h = x @ params["w"]
    mean = h - h.mean(-1, keepdims=True)
    h = mean * jax.lax.rsqrt((mean * mean).mean(-1, keepdims=True) + 1e-3)
    return jax.nn.softmax(h @ h.T * 0.3) @ (h @ params["v"])


@functools.lru_cache
def ranges_of(model, policy):
    samples = [(PARAMS, X), (PARAMS, -X), (PARAMS, X[::-1])]
    return ditto.calibrate(model, samples, policy=policy)


@pytest.mark.parametrize("policy", ["ditto", "ditto-quad", "mpcformer", "ditto-engine"])
@pytest.mark.parametrize("model", [mlp, attention])
@pytest.mark.parametrize("calibrated", [True, False], ids=["calibrated", "uncalibrated"])
def test_it_agrees_with_the_exact_simulator(model, policy, calibrated):
    ranges = ranges_of(model, policy) if calibrated else None
    program = ditto.compile(model, PARAMS, X, policy=policy, ranges=ranges)
    exact = ditto.simulate(program, PARAMS, X)
    assert not exact.overflows
    found = ditto.fake_quant(model, policy, ranges)(PARAMS, X)
    assert found.dtype == np.float32
    # Single precision, in which the fast domain computes, errs besides.
    assert (np.abs(found - exact.outputs) <= exact.error_bounds + 1e-5).all()
    assert not np.array_equal(found, model(PARAMS, X)), "nothing was rounded"


@pytest.mark.parametrize("policy", ["ditto", "ditto-quad"])
def test_rounding_on_shares_is_as_noisy_as_the_parties(policy):
    ranges = ranges_of(mlp, policy)
    program = ditto.compile(mlp, PARAMS, X, policy=policy, ranges=ranges)
    quantized = jax.jit(ditto.fake_quant(mlp, policy, ranges, rounding="shares"))
    runs = 60
    mine = np.stack([quantized(PARAMS, X, key=jax.random.PRNGKey(seed)) for seed in range(runs)])
    parties = np.stack([ditto.simulate(program, PARAMS, X, seed=seed).outputs for seed in range(runs)])
    exact = ditto.simulate(program, PARAMS, X)
    assert (np.abs(mine - exact.outputs) <= exact.error_bounds + 1e-5).all()
    spread = [float(np.sqrt(each.var(axis=0).mean())) for each in (mine, parties)]
    assert spread[0] == pytest.approx(spread[1], rel=0.15)
    # Fitted functions have small errors of their own, in which the noise is not.
    off = mine.mean(0) - parties.mean(0)
    assert float(np.sqrt((off**2).mean())) < spread[1]


def test_the_same_key_gives_the_same_noise_and_another_one_other():
    quantized = ditto.fake_quant(mlp, "ditto", ranges_of(mlp, "ditto"), rounding="shares")
    first, again, other = (quantized(PARAMS, X, key=jax.random.PRNGKey(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("policy", ["ditto", "ditto-quad", "mpcformer"])
def test_gradients_agree_with_finite_differences_of_the_simulator(policy):
    # Wide enough for the points of the differences.
    samples = [(PARAMS, X * scale) for scale in (0.5, 1, 1.5)]
    ranges = ditto.calibrate(mlp, samples, policy=policy)
    program = ditto.compile(mlp, PARAMS, X, policy=policy, ranges=ranges)
    weights = RNG.normal(size=(6, 3)).astype(np.float32)

    def loss(outputs):
        return (outputs * weights).sum()

    quantized = ditto.fake_quant(mlp, policy, ranges)
    slopes = jax.grad(lambda params: loss(quantized(params, X)))(PARAMS)
    step = 2.0**-3
    for name, place in (("w", (0, 1)), ("w", (3, 5)), ("v", (2, 0)), ("v", (7, 2))):
        ends = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in PARAMS.items()}
            moved[name][place] += sign * step
            found = ditto.simulate(program, moved, X)
            ends.append((loss(found.outputs), (found.error_bounds * np.abs(weights)).sum()))
        difference = (ends[0][0] - ends[1][0]) / (2 * step)
        # What the simulator rounds, and a third derivative that is not above 10.
        bound = (ends[0][1] + ends[1][1]) / (2 * step) + 10 / 6 * step**2
        assert abs(float(slopes[name][place]) - difference) <= bound
        assert bound < 0.5 or policy == "ditto"
    assert max(float(np.abs(slope).max()) for slope in slopes.values()) > 0.2


def test_it_is_a_function_of_jax_like_any_other(monkeypatch):
    compiled = []
    original = fake_quantizing.compile_traced

    def counting(*args, **options):
        compiled.append(args)
        return original(*args, **options)

    monkeypatch.setattr(fake_quantizing, "compile_traced", counting)
    policy = ditto.load_policy("ditto-quad")
    quantized = ditto.fake_quant(mlp, policy, ranges_of(mlp, "ditto-quad"))
    expected = quantized(PARAMS, X)
    batch = jnp.stack([X, X, X])
    with jax.named_scope("outer"):
        found = jax.jit(jax.vmap(quantized, (None, 0)))(PARAMS, batch)
    np.testing.assert_allclose(found, np.stack([expected] * 3), atol=1e-6)

    def loss(params):
        return jax.vmap(quantized, (None, 0))(params, batch).mean(axis=0)[:, 0].sum()

    value, slopes = jax.value_and_grad(loss)(PARAMS)
    assert float(value) == pytest.approx(float(expected[:, 0].sum()), abs=1e-4)
    assert np.isfinite(slopes["w"]).all()
    assert np.abs(slopes["w"]).max() > 0
    np.testing.assert_allclose(jax.jvp(loss, (PARAMS,), (PARAMS,))[0], value, rtol=1e-6)
    assert len(compiled) == 1, "one shape is compiled once, whatever transforms it"
    quantized(PARAMS, X[:3])
    assert len(compiled) == 2


def test_scopes_are_found_under_transformations():
    """Ranges and rules go by scopes, to which JAX adds its own under a transformation."""
    rule = ditto.Rule("coarse", op=("stablehlo.dot_general",), scope=("out",), fraction=3)
    base = ditto.load_policy("ditto")
    policy = type(base)(**{**vars_of(base), "rules": (*base.rules, rule)})
    quantized = ditto.fake_quant(mlp, policy, ranges_of(mlp, "ditto"))
    expected = quantized(PARAMS, X)
    with jax.named_scope("out"):
        fresh = ditto.fake_quant(mlp, policy, ranges_of(mlp, "ditto"))
        found = jax.jit(jax.vmap(fresh, (None, 0)))(PARAMS, X[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(expected - ditto.fake_quant(mlp, base, ranges_of(mlp, "ditto"))(PARAMS, X)).max() > 1e-3


def vars_of(policy):
    return {name: getattr(policy, name) for name in policy.__dataclass_fields__ if not name.startswith("_")}


SHARDED = """
import jax, numpy as np, ditto
from jax.sharding import Mesh, NamedSharding, PartitionSpec
assert len(jax.devices()) == 2
def model(w, x):
    return jax.nn.gelu(x @ w)
w, x = np.eye(4, dtype=np.float32) / 2, np.arange(32, dtype=np.float32).reshape(8, 4) / 32
quantized = jax.vmap(ditto.fake_quant(model, "ditto-quad"), (None, 0))
mesh = Mesh(np.array(jax.devices()), ("data",))
spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
found = jax.jit(quantized)(w, spread)
assert len(found.sharding.device_set) == 2, found.sharding
np.testing.assert_allclose(found, quantized(w, x), atol=1e-6)
slopes = jax.jit(jax.grad(lambda w, x: quantized(w, x).sum()))
np.testing.assert_allclose(slopes(w, spread), slopes(w, x), rtol=1e-5)
"""


def test_it_is_sharded_over_devices_like_any_other():
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: ditto.fake_quant(mlp, "nix"), "nix"),
        (lambda: ditto.fake_quant(mlp, rounding="up"), "rounding must be"),
        (lambda: ditto.fake_quant(mlp)(PARAMS, X, key=jax.random.PRNGKey(0)), "takes no key"),
        (lambda: ditto.fake_quant(mlp, rounding="shares")(PARAMS, X), "takes key="),
        (lambda: ditto.fake_quant(mlp)(PARAMS, "text"), "expected arrays or numbers, got a str"),
        (lambda: ditto.fake_quant(mlp)(PARAMS, X.T), "dot_general"),
        (lambda: jax.jit(ditto.fake_quant(jnp.linalg.eigvalsh))(np.eye(3, dtype=np.float32)), "lapack"),
        (lambda: ditto.fake_quant(mlp, "ditto", "/nowhere.json"), "/nowhere.json"),
    ],
    ids=["policy", "rounding", "key", "no key", "text", "shapes", "an op that is not supported", "no ranges"],
)
def test_what_is_wrong_is_said(call, told):
    with pytest.raises(DittoError, match=told):
        call()


class Pair(NamedTuple):
    first: jax.Array
    second: jax.Array | None


def test_containers_are_those_of_the_function():
    def model(pair, extra):
        return Pair(pair.first * 2 + extra["b"], None), [pair.second, {"a": extra["b"]}]

    arguments = Pair(np.float32([1, 2]), np.float32([3])), {"b": np.float32([4, 5])}
    quantized = ditto.fake_quant(model)
    found, expected = quantized(*arguments), model(*arguments)
    assert jax.tree_util.tree_structure(found) == jax.tree_util.tree_structure(expected)
    np.testing.assert_array_equal(found[0].first, [6, 9])
    slopes = jax.grad(lambda pair: jax.jit(quantized)(pair, arguments[1])[0].first.sum())(arguments[0])
    assert isinstance(slopes, Pair)
    np.testing.assert_array_equal(slopes.first, [2, 2])


def test_stablehlo_can_be_run_again_and_again():
    module = jax.jit(lambda x: x * 0.5).lower(X).compiler_ir("stablehlo")
    for source in (module, str(module)):
        quantized = ditto.fake_quant(source)
        for _ in range(2):
            np.testing.assert_allclose(quantized(X), X * 0.5, atol=1e-3)


def test_an_empty_array_a_scalar_and_integers():
    assert ditto.fake_quant(lambda x: x * 2)(np.zeros((0, 3), np.float32)).shape == (0, 3)
    found = ditto.fake_quant(lambda x, n: (x * 0.5, n + 1))(np.float32(3.0), np.int32(4))
    assert [float(each) for each in found] == [1.5, 5.0]
    assert found[1].dtype == np.int32
    np.testing.assert_allclose(ditto.fake_quant(lambda x: x + 1)(2.0), 3.0)
