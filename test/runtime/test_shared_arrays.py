"""Arrays that stay with the parties between runs: shared once, used often, never seen."""

import jax.numpy as jnp
import numpy as np
import pytest

import ditto

RNG = np.random.default_rng(2)
X = RNG.normal(size=(2, 4)).astype(np.float32)
PARAMS = {"w": RNG.normal(size=(4, 3)).astype(np.float32), "b": np.ones(3, np.float32)}


def model(params, x):
    return jnp.tanh(x @ params["w"] + params["b"])


@pytest.fixture(scope="module")
def cluster():
    with ditto.LocalCluster(timeout=60) as running:
        yield running


@pytest.fixture(scope="module")
def program():
    return ditto.compile(model, PARAMS, X, policy="ditto-engine")


def test_weights_are_shared_once_for_many_runs(cluster, program):
    shared = cluster.share(program, 0, PARAMS)
    assert isinstance(shared["w"], ditto.SharedArray) and shared["w"].shape == (4, 3)
    for x in (X, 2 * X):
        np.testing.assert_allclose(cluster.run(program, shared, x), model(PARAMS, x), atol=2**-5)
        assert cluster.stats.input_bytes == 3 * 2 * 4 * X.size  # x alone, three pairs of 32-bit words
    cluster.forget(shared)


def test_nobody_can_look_at_a_shared_array(cluster, program):
    shared = cluster.share(program, 0, PARAMS)
    with pytest.raises(TypeError, match="held by the parties"):
        np.asarray(shared["w"])


def counter(state, x):
    return {"sum": state["sum"] + x, "count": state["count"] + 1}, jnp.max(state["sum"] + x)


def test_state_stays_secret_from_run_to_run(cluster):
    state = {"sum": np.zeros(3, np.float32), "count": np.int32(0)}
    program = ditto.compile(counter, state, np.ones(3, np.float32))
    for step in range(1, 4):
        old = state
        state, largest = cluster.run(program, state, np.float32([0.5, 1.0, 0.25]), keep=(True, False))
        assert isinstance(state["sum"], ditto.SharedArray)
        assert largest == pytest.approx(step, abs=2**-6)
        cluster.forget(old)
    (final, _) = cluster.run(program, state, np.zeros(3, np.float32))
    np.testing.assert_allclose(final["sum"], [1.5, 3.0, 0.75], atol=2**-6)
    assert final["count"] == 4


def test_an_output_is_cast_when_another_program_wants_another_encoding(cluster):
    wide = ditto.compile(lambda x: jnp.exp(-x * x), X, policy="uniform64")
    narrow = ditto.compile(lambda x: x + x, X, policy="uniform32")
    back = ditto.compile(lambda x: x - 1.0, X, policy="uniform64")
    y = cluster.run(wide, X, keep=True)
    z = cluster.run(narrow, y, keep=True)
    assert cluster.stats.cast_bytes == 0  # a downcast
    found = cluster.run(back, z)
    assert cluster.stats.cast_bytes > 0  # an upcast
    np.testing.assert_allclose(found, 2 * np.exp(-X * X) - 1, atol=2**-5)


def test_public_and_boolean_outputs_can_be_kept(cluster):
    def f(x, p):
        return x > 0, p * 2

    program = ditto.compile(f, X, X, policy="uniform64", visibility=("secret", "public"))
    positive, doubled = cluster.run(program, X, X, keep=True)
    assert positive.secret and not doubled.secret
    use = ditto.compile(lambda b, y: jnp.where(b, y, 0.0), X > 0, X, policy="uniform64")
    np.testing.assert_allclose(cluster.run(use, positive, doubled), np.where(X > 0, 2 * X, 0), atol=2**-12)


def test_misuse_is_refused(cluster, program):
    shared = cluster.share(program, 0, PARAMS)
    other = ditto.compile(lambda w: w + 1.0, np.zeros((3, 3), np.float32))
    with pytest.raises(ditto.InputError, match="got a shared f32 of shape"):
        cluster.run(other, shared["w"])
    public = ditto.compile(lambda w: w + 1.0, PARAMS["w"], visibility="public")
    with pytest.raises(ditto.InputError, match="is secret, but the program takes it as public"):
        cluster.run(public, shared["w"])
    with pytest.raises(ditto.DittoError, match="expected booleans"):
        cluster.run(program, shared, X, keep={"no": True})
    with pytest.raises(ditto.InputError, match="has 2 arguments, so none at 2"):
        cluster.share(program, 2, X)
    with pytest.raises(ditto.DittoError, match="dict keys differ"):
        cluster.share(program, 0, {"w": PARAMS["w"]})


def test_shared_arrays_end_with_their_parties(program):
    with ditto.LocalCluster(timeout=60) as cluster:
        shared = cluster.share(program, 0, PARAMS)
        cluster.close()
        with pytest.raises(ditto.InputError, match="have ended; share it again"):
            cluster.run(program, shared, X)
