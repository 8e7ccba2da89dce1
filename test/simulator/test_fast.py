"""The fast domain: fake quantization under XLA, with gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
import ditto.simulator

RNG = np.random.default_rng(3)


def grid(*shape):
    """Numbers that 8 fraction bits hold."""
    return (np.round(RNG.uniform(-2, 2, shape) * 16) / 16).astype(np.float32)


X, W, V = grid(4, 6), grid(6, 3), grid(4, 3)


@pytest.mark.parametrize("policy", ["uniform32", "uniform64", "ditto"])
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jitted"])
def test_gradients_of_linear_functions_are_exact_on_the_grid(policy, transform):
    def loss(x, w):
        return ((x @ w + V) * V).sum()

    function = transform(ditto.simulated(ditto.compile(loss, X, W, policy=policy, max_public_constant=-1)))
    for argument in (0, 1):
        found = jax.grad(function, argument)(X, W)
        np.testing.assert_allclose(found, jax.grad(loss, argument)(X, W), rtol=1e-6)


def test_values_are_rounded_and_saturated_but_gradients_are_not():
    function = ditto.simulated(ditto.compile(lambda x: x + x, X[0, :2], policy="uniform32"))
    x = np.float32([0.3, 4e6])
    np.testing.assert_array_equal(function(x), [2 * 77 / 256, 2.0**22])
    np.testing.assert_array_equal(jax.grad(lambda v: function(v).sum())(x), [2, 2])


@pytest.mark.parametrize("rescale", ["engine", "explicit"])
def test_fast_and_exact_agree_on_an_attention_layer(rescale):
    def layer(x, w):
        h = x @ w
        return jax.nn.softmax(h @ h.T * 0.125) @ h

    policy = dataclasses.replace(ditto.load_policy("ditto"), rescale=rescale)
    program = ditto.compile(layer, X, W, policy=policy)
    exact, fast = (ditto.simulate(program, X, W, mode=mode).outputs for mode in ("exact", "fast"))
    np.testing.assert_allclose(fast, exact, atol=8 * 2**-10)
    np.testing.assert_allclose(fast, layer(X, W), atol=2**-5)


def test_gradients_flow_through_everything_that_jax_differentiates():
    def loss(x, w):
        h = jnp.where(x > 0, x, 0.1 * x) @ w
        h = jax.lax.fori_loop(0, 3, lambda _, a: jnp.tanh(a) * 0.9, h)
        h = jax.lax.cond(h[0, 0] > 0, lambda a: a * 2, lambda a: -a, h)
        pooled = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (2, 1), (2, 1), "VALID")
        norm = h * jax.lax.rsqrt((h * h).mean(-1, keepdims=True) + 1e-3)
        return pooled.sum() + jnp.sort(norm, -1)[:, 0].sum() + jax.nn.logsumexp(norm)

    found = jax.grad(ditto.simulated(ditto.compile(loss, X, W, policy="uniform64")), 1)(X, W)
    np.testing.assert_allclose(found, jax.grad(loss, 1)(X, W), atol=2e-2, rtol=2e-2)
    assert np.abs(found).max() > 0.1


def test_training_through_the_fixed_point_model_reduces_the_loss():
    inputs = RNG.normal(size=(64, 6)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(np.float32)

    def model(params, x):
        hidden = jax.nn.relu(x @ params["w"])
        return jax.nn.sigmoid((hidden @ params["v"])[:, 0])

    params = {"w": W, "v": grid(3, 1) * 0.5}
    function = ditto.simulated(ditto.compile(model, params, inputs, policy="ditto"))

    @jax.jit
    def step(params):
        def loss(p):
            return ((function(p, inputs) - labels) ** 2).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        return value, jax.tree.map(lambda p, g: p - 2.0 * g, params, gradient)

    losses = []
    for _ in range(40):
        value, params = step(params)
        losses.append(float(value))
    assert losses[-1] < losses[0] / 3


def test_double_precision_where_jax_has_it():
    with jax.experimental.enable_x64():
        x = np.array([1 / 3, 2 / 3])
        program = ditto.compile(lambda a: a + 0.1, x, policy="dtype")
        found = ditto.simulate(program, x, mode="fast").outputs
        scaled = found * 2.0**40
        np.testing.assert_array_equal(scaled, np.round(scaled))
        np.testing.assert_allclose(found, x + 0.1, atol=2**-39)


@pytest.fixture
def traced(monkeypatch):
    """Programs that were made into JAX functions, by name."""
    names, made = [], ditto.simulator.simulated

    def simulated(program):
        names.append(program.name)
        return made(program)

    monkeypatch.setattr(ditto.simulator, "simulated", simulated)
    return names


def test_a_program_is_compiled_once(traced):
    x = np.linspace(-1, 1, 6, dtype=np.float32)
    program = ditto.compile(lambda x: jnp.tanh(x) * 3, x)
    first, again, other = (ditto.simulate(program, y, mode="fast").outputs for y in (x, x, -x))
    assert traced == [program.name]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(other, np.tanh(-x) * 3, atol=2e-3)


def test_a_changed_program_is_simulated_as_it_is(traced):
    x = np.arange(4, dtype=np.float32)
    doubled, negated = ditto.compile(lambda x: x * 2, x), ditto.compile(lambda x: -x, x)
    np.testing.assert_allclose(ditto.simulate(doubled, x, mode="fast").outputs, 2 * x, atol=1e-3)
    changed = doubled.replace(annotated=negated.annotated, name="changed")
    np.testing.assert_allclose(ditto.simulate(changed, x, mode="fast").outputs, -x, atol=1e-3)
    assert traced == [doubled.name, "changed"]


def test_what_is_kept_is_no_part_of_a_program(traced):
    x = np.arange(4, dtype=np.float32)
    program, same = (ditto.compile(lambda x: x * 2, x) for _ in range(2))
    ditto.simulate(program, x, mode="fast")
    assert program == same and program.to_bytes() == same.to_bytes()
    assert "_jitted" not in repr(program)
