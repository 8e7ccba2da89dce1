"""Whole programs in mixed rings on the real engine, against plaintext JAX.

Where a value is in ring 32 with f fraction bits, inputs are known to 2^-(f+1) and each product errs by at
most 2 units of 2^-f; a dot product over n such inputs of magnitude m by about sqrt(n) * m * 2^-f. The
tolerances below are these sums, rounded up to a power of two.
"""

import dataclasses
import io
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import ditto
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.policy import load_policy
from ditto_compiler.program import CallerTensor, CastBatch, CompareBatch, Comparison, Input, Program, Value
from ditto_compiler.protocols.chunks import MAX_CHUNK, WINDOW, chunk_count

RNG = np.random.default_rng(11)


def normal(*shape, scale=1.0):
    return (RNG.normal(size=shape) * scale).astype(np.float32)


def check(cluster, function, arguments, atol, policy="ditto", **options):
    program = ditto.compile(function, *arguments, policy=policy, **options)
    found = cluster.run(program, *arguments)
    expected = jax.jit(function)(*arguments)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for ours, jaxs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == jaxs.dtype and ours.shape == jaxs.shape
        np.testing.assert_allclose(
            np.asarray(ours, np.float64), np.asarray(jaxs, np.float64), atol=atol, rtol=0
        )
    return program


def rings(program):
    return {region.ring for region in program.regions.values()}


def test_linear_layer_and_softmax_uses_both_rings(cluster):
    def f(x, w, b):
        return jax.nn.softmax(x @ w + b)

    program = check(
        cluster, f, (normal(4, 16), normal(16, 8, scale=0.2), normal(8)), atol=2**-5, policy="ditto-engine"
    )
    assert rings(program) == {32, 64}
    assert any(isinstance(step, CastBatch) for step in program.steps)


def test_mixed_rings_send_fewer_bytes_than_one_wide_ring(cluster):
    def f(x, w, v):
        return jax.nn.softmax((x @ w) @ v)

    arguments = (normal(16, 32), normal(32, 64, scale=0.2), normal(64, 16, scale=0.2))
    sent = {}
    for policy in ("uniform64", "ditto"):
        check(cluster, f, arguments, atol=2**-4, policy=policy)
        sent[policy] = cluster.stats.bytes
    assert sent["ditto"] < sent["uniform64"]


@pytest.mark.parametrize(("network", "messages_per_chunk"), [(None, 3), ("10gbit,20ms", 4)])
def test_large_casts_over_links_in_the_mode_of_their_network(network, messages_per_chunk):
    """More chunks than one window has, between processes; one round takes one message more per chunk."""
    products = ditto.Rule("products in 32 bits", op=("stablehlo.dot*",), ring=32, frac=10)
    policy = ditto.Policy("mixed", ditto.load_policy("uniform64").dtypes, (products,))
    rows = WINDOW * MAX_CHUNK + 1
    x, w = normal(rows, 1), normal(1, 1)
    with ditto.LocalCluster(network=network) as own:
        check(own, lambda x, w: x @ w + 1.0, (x, w), atol=2**-6, policy=policy)
        assert own.stats.cast_messages == messages_per_chunk * chunk_count(rows)


@pytest.mark.parametrize("extent", [1, 3])
def test_reductions_of_boolean_shares(cluster, extent):
    """The engine leaves a rounded value as a boolean share; a maximum of one element compares nothing."""

    def f(x):
        return jnp.max(jnp.floor(x), 1), jnp.min(jnp.floor(x), 1), jnp.sum(jnp.floor(x), 1)

    check(cluster, f, (normal(4, extent, scale=3.0),), atol=2**-16, policy="uniform64")


def transformer_layer(params, x):
    def norm(h, scale):
        centred = h - h.mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale

    q, k, v = jnp.split(x @ params["qkv"], 3, axis=-1)
    heads = [part.reshape(x.shape[0], 2, -1).swapaxes(0, 1) for part in (q, k, v)]
    scores = jnp.einsum("hqd,hkd->hqk", heads[0] * 0.5, heads[1])
    context = jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(scores), heads[2]).swapaxes(0, 1).reshape(x.shape)
    x = norm(x + context @ params["out"], params["scale"])
    return norm(x + jax.nn.gelu(x @ params["up"], approximate=True) @ params["down"], params["scale"])


@pytest.mark.parametrize("policy", ["uniform64", "ditto"])
def test_transformer_layer(cluster, policy):
    params = {
        "qkv": normal(8, 24, scale=0.3),
        "out": normal(8, 8, scale=0.3),
        "up": normal(8, 16, scale=0.3),
        "down": normal(16, 8, scale=0.3),
        "scale": 1 + normal(8, scale=0.1),
    }
    check(cluster, transformer_layer, (params, normal(6, 8)), atol=2**-4, policy=policy)


def test_while_with_public_trip_count_stays_whole(cluster):
    """Under a policy that keeps loops."""

    def f(x, w):
        return jax.lax.fori_loop(0, 3, lambda _, a: jnp.tanh(a @ w), x)

    args = (normal(2, 4), normal(4, 4, scale=0.4))
    program = check(cluster, f, args, atol=2**-3, policy="ditto-engine")
    assert len(program.regions) == 1


def test_cond_on_a_secret_runs_both_branches(cluster):
    def f(p, x):
        return jax.lax.cond(p > 0, lambda a: a * 2.0, lambda a: a - 1.0, x)

    for value in (1.0, -1.0):
        check(cluster, f, (np.float32(value), normal(3)), atol=2**-6)


def test_cond_on_a_public_value(cluster):
    def f(p, x):
        return jax.lax.cond(p, lambda a: a * 2.0, lambda a: a - 1.0, x)

    for value in (True, False):
        check(cluster, f, (np.bool_(value), normal(3)), atol=2**-6, visibility=("public", "secret"))


def test_integers_of_every_width(cluster):
    def f(a, b):
        return a * 3 - b, jnp.where(a > b, a, b)

    for dtype in (np.int8, np.int16, np.int32, np.uint8, np.uint16):
        a, b = (RNG.integers(0, 30, 5).astype(dtype) for _ in range(2))
        arguments = (np.maximum(a, b), np.minimum(a, b))
        check(cluster, f, arguments, atol=0, policy="dtype")


def test_64_bit_integers(cluster):
    with jax.experimental.enable_x64():
        big = np.array([2**40 + 3, -(2**41), 5], np.int64)
        check(cluster, lambda a: a * 3 + 1, (big,), atol=0, policy="dtype")


def test_integers_cross_rings(cluster):
    def f(i, x):
        return (i * i).astype(jnp.float32) * x, (x + x).astype(jnp.int32) + i

    program = check(
        cluster,
        f,
        (np.array([3, -2, 7], np.int32), np.array([0.5, 1.25, -2.75], np.float32)),
        2**-12,
        "dtype",
    )
    assert any(cast.op == "upcast" for _, cast in program.casts())


def test_booleans_cross_rings_free_of_charge(cluster):
    def f(x, y):
        return jnp.where(x < y, jnp.exp(-x * x), 0.0), x < y

    policy = ditto.Policy(
        "compare in ring 32",
        ditto.load_policy("uniform64").dtypes,
        (ditto.Rule("compare", op=("stablehlo.compare",), ring=32, frac=10),),
    )
    x, y = normal(8), normal(8)
    program = check(cluster, f, (x, y), atol=2**-6, policy=policy)
    moved = [value for value, cast in program.casts() if value.dtype == "i1"]
    assert moved and rings(program) == {32, 64}
    assert cluster.stats.cast_bytes == 0


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_every_float_dtype(cluster, dtype):
    frac = {"float16": 8, "bfloat16": 8, "float32": 18, "float64": 40}[np.dtype(dtype).name]
    x = np.array([0.5, -1.25, 3.0], np.float64).astype(dtype)
    with jax.experimental.enable_x64():
        program = check(cluster, lambda a: a * a + a, (x,), atol=4 * 2.0**-frac, policy="dtype")
    assert rings(program) == {{8: 32, 18: 64, 40: 128}[frac]}


def test_dtypes_mix(cluster):
    def f(half, single):
        return half.astype(jnp.float32) + single, (single * 2).astype(jnp.float16)

    arguments = (np.array([0.5, 2.25], np.float16), np.array([0.25, -1.5], np.float32))
    program = check(cluster, f, arguments, atol=2**-7, policy="dtype")
    assert rings(program) == {32, 64}


def test_scalars(cluster):
    check(cluster, lambda a, b: a * b + 1.0, (np.float32(1.5), np.float32(-2.0)), atol=2**-15)


def test_empty_arrays(cluster):
    check(cluster, lambda a, b: (a * b, b + 1.0), (np.zeros((0, 3), np.float32), np.float32(2)), atol=2**-15)


def test_outputs_may_be_inputs_constants_and_repeated(cluster):
    def f(x, y):
        z = x @ y
        return x, z, {"again": z, "two": jnp.float32(2.0)}, jax.nn.softmax(z), x

    check(cluster, f, (normal(3, 3), normal(3, 3)), atol=2**-5)


def test_unused_inputs_are_not_shared(cluster):
    big = normal(1000)
    program = check(cluster, lambda x, unused: x + 1.0, (normal(3), big), atol=2**-8)
    assert [entry.index for entry in program.inputs] == [0]
    assert cluster.stats.input_bytes < big.nbytes


def test_an_input_used_in_two_rings_is_supplied_in_both(cluster):
    def f(x, w):
        return x @ w + jnp.exp(-jnp.abs(w))[0]

    arguments = (normal(4, 4), normal(4, 4, scale=0.3))
    program = check(cluster, f, arguments, atol=2**-5, policy="ditto-engine")
    encodings = [program.values[entry.value].encoding.ring for entry in program.inputs if entry.index == 1]
    assert sorted(encodings) == [32, 64]


def test_public_arguments_cost_nothing_to_cast(cluster):
    def f(x, w):
        return jnp.exp(-jnp.abs(x @ w)) * w[0]

    check(cluster, f, (normal(2, 3), normal(3, 3)), atol=2**-5, visibility=("secret", "public"))


def test_static_arguments(cluster):
    def f(x, times):
        for _ in range(times):
            x = x + 1.0
        return x

    program = ditto.compile(f, normal(3), 4, policy="uniform64", static_argnums=1)
    np.testing.assert_allclose(cluster.run(program, np.zeros(3, np.float32)), 4.0, atol=0)


def test_stablehlo_text_bytecode_and_portable_artifact(cluster):
    from ditto_compiler.ir import stablehlo

    lowered = jax.jit(lambda x: x * 2.0 + 1.0).lower(np.zeros(3, np.float32))
    module = lowered.compiler_ir("stablehlo")
    text, bytecode = str(module), io.BytesIO()
    module.operation.write_bytecode(bytecode)
    artifact = stablehlo.serialize_portable_artifact(module, stablehlo.get_minimum_version())
    for source in (text, bytecode.getvalue(), artifact):
        program = ditto.compile(source)
        np.testing.assert_allclose(cluster.run(program, np.float32([1, 2, 3])), [3, 5, 7], atol=2**-8)


def test_a_program_runs_twice_and_after_a_round_trip_to_a_file(cluster, tmp_path):
    def f(x, w):
        return {"y": jax.nn.softmax(x @ w)}

    arguments = (normal(4, 4), normal(4, 4))
    program = ditto.compile(f, *arguments)
    program.save(tmp_path / "model.ditto")
    loaded = ditto.Program.load(tmp_path / "model.ditto")
    assert loaded == program
    sent = []
    for again in (program, program, loaded):
        y = cluster.run(again, *arguments)["y"]
        np.testing.assert_allclose(y, f(*arguments)["y"], atol=2**-5)
        sent.append((cluster.stats.bytes, cluster.stats.messages))
    assert len(set(sent)) == 1


@pytest.mark.parametrize("ring", ["32", "64", "128"])
def test_comparisons_outside_of_the_engine(cluster, ring):
    """Exactly at, just below and just above thresholds, on values that every ring holds exactly."""

    def f(x, y):
        predicates = (x < 1.5, x <= 1.5, x > 1.5, x >= 1.5, x < y, x <= y, x > y, x >= y, jnp.abs(x) < 1.5)
        values = (
            jnp.maximum(x, y),
            jnp.minimum(x, 1.5),
            jnp.abs(x),
            jnp.clip(x, -1.5, 1.5),
            x.max(0),
            y.min(1),
        )
        return predicates, values

    steps = np.array([0, 1, -1, 2, -2]) / 128
    x = np.concatenate([c + steps for c in (-1.5, 0.0, 1.5)]).astype(np.float32).reshape(5, 3)
    y = np.roll(x, 1, axis=0) + np.float32(0)
    policy = dataclasses.replace(load_policy(f"uniform{ring}"), compare="explicit")
    check(cluster, f, (x, y), atol=0, policy=policy)
    assert cluster.stats.compare_bytes > 0
    check(cluster, f, (x, y), atol=0, policy=f"uniform{ring}")
    assert cluster.stats.compare_bytes == 0


@pytest.mark.parametrize("ring", [32, 64, 128])
def test_public_values_are_compared_by_everybody(cluster, ring):
    held = Value((3,), "f32", Fxp(ring, 10), secret=False)
    below = Value((3,), "i1", Int(ring), secret=False)
    program = Program(
        name="public",
        policy="",
        values=(held, below, below),
        regions={},
        steps=(CompareBatch((Comparison(0, (0, 1024), (1, 2)),)),),
        inputs=(Input(0, 0),),
        caller_inputs=(CallerTensor((3,), "f32"),),
        outputs=(1, 2),
    )
    found = cluster.run(program, np.float32([-1, 0, 1]))
    np.testing.assert_array_equal(found, [[True, False, False], [True, True, False]])
    assert cluster.stats.bytes == 0


class Pair(NamedTuple):
    first: np.ndarray
    second: np.ndarray


def test_named_tuples_come_back_as_themselves_and_from_a_file_as_tuples(cluster, tmp_path):
    def f(pair):
        return [Pair(pair.second, pair.first)]

    pair = Pair(normal(2), normal(3))
    program = ditto.compile(f, pair, policy="uniform64")
    (found,) = cluster.run(program, pair)
    assert isinstance(found, Pair)
    np.testing.assert_allclose(found.first, pair.second, atol=2**-17)
    program.save(tmp_path / "pair.ditto")
    (loaded,) = cluster.run(ditto.Program.load(tmp_path / "pair.ditto"), pair)
    assert type(loaded) is tuple


def test_closed_over_weights_are_an_error_that_says_what_to_do():
    weights = normal(64, 64)
    with pytest.raises(ditto.DittoError, match="Pass it as an argument"):
        ditto.compile(lambda x: x @ weights, normal(2, 64))
    ditto.compile(lambda x: x @ weights, normal(2, 64), max_public_constant=-1)


def test_inputs_beyond_the_range_of_their_encoding_are_refused(cluster):
    program = ditto.compile(lambda x: x + 1.0, np.zeros(2, np.float32), policy="uniform32")
    with pytest.raises(ditto.DittoError, match="does not fit"):
        cluster.run(program, np.array([1.0, 1e9], np.float32))


@pytest.mark.parametrize("policy", ["ditto", "ditto-engine", "uniform64"])
def test_one_slice_of_a_table_twice(cluster, policy):
    """As rotary embeddings repeat their angles: the same operand twice in one layout op of constants."""
    table = normal(8, 16)

    def f(x, w):
        sine, cosine = jnp.split(jnp.asarray(table)[:6], 2, axis=-1)
        hidden = x @ w
        turned = jnp.concatenate([-hidden[:, 8:], hidden[:, :8]], axis=-1)
        twice = [jnp.stack([half, half], axis=-1).reshape(6, 16) for half in (sine, cosine)]
        return hidden * twice[1] + turned * twice[0] + jnp.concatenate([sine, sine], axis=-1)

    check(cluster, f, (normal(6, 16), normal(16, 16, scale=0.25)), atol=2**-6, policy=policy)
