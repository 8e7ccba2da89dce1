"""The cost model against what is counted on the wire, for whole programs.

The engine's traffic does not depend on values, so the estimate should be exact; the bounds leave room
for sorting, which is only fitted.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.demo.search import encoder, model_inputs
from ditto.models.bert import BERT_PRESETS, bert_encode, init_bert
from ditto.models.minilm import load_minilm
from ditto_compiler.cost.model import estimate

RNG = np.random.default_rng(3)


def normal(*shape, scale=1.0):
    return (RNG.normal(size=shape) * scale).astype(np.float32)


def check(cluster, function, *arguments, policy, ranges=None, bytes_within=0.05, messages_within=0.1):
    program = ditto.compile(function, *arguments, policy=policy, ranges=ranges)
    expected = estimate(program)
    cluster.run(program, *arguments)
    counted = cluster.stats
    assert expected.unknown == ()
    assert expected.total.bytes == pytest.approx(counted.bytes, rel=bytes_within)
    assert expected.total.messages == pytest.approx(counted.messages, rel=messages_within)
    beside = [op.cost for op in expected.ops if op.beside]
    assert sum(cost.bytes for cost in beside) == counted.beside_bytes
    assert sum(cost.messages for cost in beside) == pytest.approx(counted.beside_messages)
    outside = [op for op in expected.ops if not op.region and not op.beside]
    casts = [op.cost for op in outside if op.op != "compare"]
    assert sum(cost.bytes for cost in casts) == counted.cast_bytes
    assert sum(cost.messages for cost in casts) == counted.cast_messages
    comparisons = [op.cost for op in outside if op.op == "compare"]
    assert sum(cost.bytes for cost in comparisons) == pytest.approx(counted.compare_bytes)
    assert sum(cost.messages for cost in comparisons) == counted.compare_messages
    return expected


def mlp(x, w, v):
    return jax.nn.softmax(jax.nn.relu(x @ w) @ v)


def convolutional(x, kernel, w):
    y = jax.nn.relu(jax.lax.conv(x, kernel, (1, 1), "SAME"))
    y = jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return y.reshape(y.shape[0], -1) @ w


BERT = dataclasses.replace(
    BERT_PRESETS["base"], num_hidden_layers=1, hidden_size=32, intermediate_size=64, num_attention_heads=2
)
WEIGHTS = init_bert(BERT, jax.random.PRNGKey(0))
WEIGHTS = jax.tree.map(np.asarray, {key: WEIGHTS[key] for key in ("embeddings", "layers")})


def transformer(weights, x, mask):
    return bert_encode(weights, BERT, x, mask)


def loop_of_branches(x, p):
    def body(i, a):
        return jnp.where(p, a * 0.5, jnp.tanh(a))

    return jax.lax.fori_loop(0, 3, body, x)


PROGRAMS = {
    "mlp": (mlp, (normal(5, 16), normal(16, 24, scale=0.2), normal(24, 7, scale=0.2))),
    "convolutional": (convolutional, (normal(1, 3, 8, 8), normal(4, 3, 3, 3), normal(64, 10, scale=0.2))),
    "transformer": (transformer, (WEIGHTS, normal(8, 32), np.ones(8, np.float32))),
    "loop": (loop_of_branches, (normal(6), np.bool_(True))),
}


@pytest.mark.parametrize("policy", ["uniform64", "ditto", "uniform128"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_estimate_is_what_is_counted(cluster, name, policy):
    function, arguments = PROGRAMS[name]
    check(cluster, function, *arguments, policy=policy, bytes_within=0, messages_within=0)


def test_what_is_calibrated_runs_beside_the_engine(cluster):
    function, arguments = PROGRAMS["mlp"]
    ranges = ditto.calibrate(function, [arguments], policy="ditto")
    options = {"policy": "ditto", "bytes_within": 0, "messages_within": 1e-9}
    cost = check(cluster, function, *arguments, ranges=ranges, **options)
    assert {op.beside for op in cost.ops if op.cost.bytes} >= {"products", "widening", "functions"}


@pytest.mark.parametrize(("policy", "bytes_within"), [("ditto", 0), ("uniform64", 0.05)])
def test_indices_are_counted_as_what_they_become(cluster, policy, bytes_within):
    def places(x, table, i, u):
        return (
            x[jnp.arange(5), i],
            table[i],
            table.at[i].add(u),
            table.at[i].set(u),
            jnp.bincount(i, length=6),
        )

    arguments = normal(5, 7), normal(20, 4), np.array([3, 0, 3, 6, -1], np.int32), normal(5, 4)
    check(cluster, places, *arguments, policy=policy, bytes_within=bytes_within)


@pytest.mark.parametrize(("rows", "length"), [(1, 8), (1, 100), (3, 33)])
def test_sorting_is_fitted(cluster, rows, length):
    check(cluster, lambda x: jnp.sort(x, -1), normal(rows, length), policy="uniform64")


def test_estimate_of_a_real_model(cluster):
    model = load_minilm()
    check(cluster, encoder(model), *model_inputs(model, "A cat sits on the mat."), policy="ditto")
