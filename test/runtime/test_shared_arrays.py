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


def test_one_copy_for_programs_that_want_different_ones(cluster):
    """Of a narrow ring and a wide one: neither run casts."""
    x = X[:1]
    narrow = ditto.compile(lambda w: w * 2.0, X, policy="uniform32")
    wide = ditto.compile(lambda w: w * 2.0, X, policy="uniform64")
    assert narrow.values[narrow.inputs[0].value] != wide.values[wide.inputs[0].value]
    shared = cluster.share((narrow, wide), 0, X)
    costs = []
    for program in (narrow, wide):
        np.testing.assert_allclose(cluster.run(program, shared), 2 * X, atol=2**-6)
        costs.append(cluster.stats.bytes)
    alone = []
    for program in (narrow, wide):
        cluster.run(program, cluster.share(program, 0, X))
        alone.append(cluster.stats.bytes)
    assert costs == alone
    other = cluster.share(narrow, 0, X)
    cluster.run(wide, other)
    assert cluster.stats.bytes > costs[1]
    with pytest.raises(ditto.InputError, match="takes at least one program"):
        cluster.share((), 0, X)
    with pytest.raises(ditto.InputError, match=r"nest argument 0 differently"):
        cluster.share((narrow, ditto.compile(model, PARAMS, X)), 0, X)
    with pytest.raises(ditto.InputError, match=r"expected shape \(1, 4\)"):
        cluster.share((narrow, ditto.compile(lambda w: w * 2.0, x)), 0, X)
    with pytest.raises(ditto.InputError, match="secret for some of the programs and public for others"):
        cluster.share((narrow, ditto.compile(lambda w: w * 2.0, X, visibility="public")), 0, X)
    with pytest.raises(ditto.InputError, match="takes it as f32, this as f16"):
        cluster.share((narrow, ditto.compile(lambda w: w * 2, X.astype(np.float16))), 0, X)


def test_what_does_not_fit_leaves_the_parties_as_they_are(cluster, program):
    kept = cluster.share(program, 0, PARAMS)
    with pytest.raises(ditto.DittoError, match="does not fit"):
        cluster.share(program, 0, {**PARAMS, "w": PARAMS["w"] * 1e9})
    np.testing.assert_allclose(cluster.run(program, kept, X), model(PARAMS, X), atol=2**-7)


def test_a_donated_argument_and_what_takes_its_place(cluster):
    """Training: the weights of one step are those of the next as they are."""

    def step(weights, x, y):
        return weights - 0.25 * x.T @ (x @ weights - y), x @ weights

    weights, y = np.zeros((4, 1), np.float32), np.ones((2, 1), np.float32)
    program = ditto.compile(step, weights, X, y, donate_argnums=0)
    assert program.values[program.outputs[0]].encoding == program.values[program.inputs[0].value].encoding
    found, exact, sent = weights, weights, []
    for _ in range(4):
        found, _ = cluster.run(program, found, X, y, keep=(True, False))
        exact, _ = step(exact, X, y)
        sent.append(cluster.stats.bytes)
    assert len(set(sent)) == 1
    _, predicted = cluster.run(program, found, X, y)
    np.testing.assert_allclose(predicted, X @ exact, atol=2**-7)
    with pytest.raises(ditto.DittoError, match="donate_argnums"):
        ditto.compile("module {}", donate_argnums=0)


def test_shared_arrays_end_with_their_parties(program):
    with ditto.LocalCluster(timeout=60) as cluster:
        shared = cluster.share(program, 0, PARAMS)
        cluster.close()
        with pytest.raises(ditto.InputError, match="have ended; share it again"):
            cluster.run(program, shared, X)
