"""SPU's own compiler as the baseline."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.baseline import BaselineError, compile_stock
from ditto_compiler.cost.model import CostError, estimate

RNG = np.random.default_rng(5)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def layer(weights, x):
    hidden = jax.nn.gelu(x @ weights["up"], approximate=False)
    return {"probabilities": jax.nn.softmax(hidden @ weights["down"]), "hidden": hidden}


WEIGHTS = {"up": normal(8, 12) * 0.3, "down": normal(12, 6) * 0.3}
X = normal(5, 8)


@pytest.fixture(scope="module")
def cluster():
    with ditto.LocalCluster(timeout=120) as running:
        yield running


def sent(cluster, program, *arguments):
    result = cluster.run(program, *arguments)
    return result, cluster.stats.bytes


def test_runs_and_costs_what_uniform64_does(cluster):
    expected = layer(WEIGHTS, X)
    stock, stock_bytes = sent(cluster, compile_stock(layer, WEIGHTS, X), WEIGHTS, X)
    _, ours_bytes = sent(cluster, ditto.compile(layer, WEIGHTS, X, policy="uniform64"), WEIGHTS, X)
    for name, value in expected.items():
        np.testing.assert_allclose(stock[name], value, atol=2e-3)
    # The same protocols for the same ops; how constants are folded differs a little.
    assert stock_bytes == pytest.approx(ours_bytes, rel=0.02)


def test_forms_and_one_reciprocal_per_row_save_bytes(cluster):
    _, plain = sent(cluster, compile_stock(layer, WEIGHTS, X), WEIGHTS, X)
    _, per_row = sent(cluster, compile_stock(layer, WEIGHTS, X, reciprocal_per_row=True), WEIGHTS, X)
    result, forms = sent(cluster, compile_stock(layer, WEIGHTS, X, forms="puma"), WEIGHTS, X)
    assert forms < per_row < plain
    np.testing.assert_allclose(result["hidden"], layer(WEIGHTS, X)["hidden"], atol=0.03)


def test_public_arguments_and_other_rings(cluster):
    program = compile_stock(lambda x, y: x * y + 1, X, X, visibility=("secret", "public"), ring=128, frac=40)
    result, count = sent(cluster, program, X, X)
    np.testing.assert_allclose(result, X * X + 1, atol=1e-6)
    assert count == X.size * 56


def test_is_named_after_its_forms():
    assert compile_stock(jnp.tanh, X).policy == "spu"
    assert compile_stock(jnp.tanh, X, forms="puma").policy == "spu+puma"


def test_program_file_keeps_it():
    program = compile_stock(layer, WEIGHTS, X)
    assert ditto.Program.from_bytes(program.to_bytes()) == program


def test_what_spu_rejects_is_an_error():
    with pytest.raises(BaselineError, match=r"SPU's compiler failed with exit code 1: \[.*visibility"):
        compile_stock(jnp.linalg.cholesky, np.eye(3, dtype=np.float32))


def test_what_spu_dies_of_is_an_error():
    with pytest.raises(BaselineError, match=r"SPU's compiler failed with signal 6: .*'stablehlo.fft'"):
        compile_stock(lambda x: jnp.fft.fft(x).real, X)


def test_its_cost_cannot_be_estimated():
    with pytest.raises(CostError, match="its cost can only be measured"):
        estimate(compile_stock(jnp.tanh, X))
