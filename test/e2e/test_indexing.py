"""Reading and writing at places that are constants, public or secret, among three parties against plain JAX.

Inputs are multiples of 1/16, so what is only moved or added comes through exactly. A test runs many functions
as one program: starting to compile takes longer than one of them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import ditto

RNG = np.random.default_rng(17)


def sixteenths(*shape):
    return (RNG.integers(-48, 48, shape) / 16).astype(np.float32)


X, V, U = sixteenths(5, 7), sixteenths(7), sixteenths(5)
N, M = RNG.integers(-1000, 1000, 7).astype(np.int32), RNG.integers(-1000, 1000, 5).astype(np.int32)
DUPLICATES = np.array([2, 6, 9, -1, 2], np.int32)
"""2 twice, the last place by two names, and one that is out of range."""
ENDS = np.array([0, 6, -1, 3, -9], np.int32)
BETWEEN = np.array([0, 6, 1, 3, 5], np.int32)

WRITES = ("set", "add", "max", "min", "multiply")

POLICIES = ("ditto", "uniform64")


def check(cluster, function, *arguments, atol=0.0, policy="ditto", visibility=None):
    options = {} if visibility is None else {"visibility": visibility}
    program = ditto.compile(function, *arguments, policy=policy, **options)
    found, expected = cluster.run(program, *arguments), jax.jit(function)(*arguments)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(expected)]
    for path, ours, jaxs in zip(paths, jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == jaxs.dtype and ours.shape == jaxs.shape, path
        wanted = np.nan_to_num(np.asarray(jaxs, np.float64), nan=0)
        off = atol if ours.dtype.kind == "f" else 0
        np.testing.assert_allclose(np.asarray(ours, np.float64), wanted, atol=off, rtol=0, err_msg=path)
    return program


def written(x, v, n, i, j, u, m):
    return {
        name: {
            "elements": getattr(v.at[i], name)(u),
            "integers": getattr(n.at[i], name)(m),
            "one": getattr(v.at[j[0]], name)(1.5),
            "rows": getattr(x.at[i], name)(x[::-1] / 2),
            "columns": getattr(x.at[:, i], name)(x[:, :5] * 2),
            "pairs": getattr(x.at[i, j], name)(u),
            "one in each row": getattr(x.at[jnp.arange(5), j], name)(u),
        }
        for name in WRITES
    }


@pytest.mark.parametrize("policy", POLICIES)
def test_writing_at_secret_places(cluster, policy):
    # A product of factors below 3 errs by the least bits of each, several times.
    check(cluster, written, X, V, N, DUPLICATES, ENDS, U, M, policy=policy, atol=2**-5)


def test_writing_at_public_places(cluster):
    visibility = ["secret"] * 3 + ["public"] * 2 + ["secret"] * 2
    check(cluster, written, X, V, N, DUPLICATES, ENDS, U, M, atol=2**-5, visibility=visibility)


def test_writing_at_constant_places(cluster):
    def constant_places(x, v, n, u, m):
        return written(x, v, n, DUPLICATES, ENDS, u, m) | {
            "window": x.at[1:3, 2:5].set(0.5),
            "strided": x.at[:, ::2].add(x[:, :4]),
            "applied": v.at[jnp.array([1, 1, 2])].apply(lambda t: t * 2),
            "sums": jax.ops.segment_sum(x, np.array([2, 0, 2, 2, -1]), 4),
            "largest": jax.ops.segment_max(x, np.array([1, 0, 1, 1, 1]), 2),
        }

    check(cluster, constant_places, X, V, N, U, M, atol=2**-5)


def test_writing_and_adding_at_constant_places_sends_nothing(cluster):
    def moved(x, v, u):
        return v.at[DUPLICATES].set(u), x.at[DUPLICATES].add(x), jax.ops.segment_sum(x, ENDS, 7)

    check(cluster, moved, X, V, U)
    assert cluster.stats.bytes == cluster.stats.messages == 0


def test_what_writes_booleans_and_windows(cluster):
    numbers = lax.ScatterDimensionNumbers((1,), (), (0,))
    corners = np.array([0, 1, 5, -1, 3], np.int32)

    def other(x, v, i, j, u, corners):
        positive = v > 0
        return {
            "true": positive.at[i].set(True),
            "booleans": positive.at[i].set(u > 0),
            "either": positive.at[i].max(u > 0),
            "windows": lax.scatter(v, corners[:, None], x[:, :3], numbers),
            "windows added": lax.scatter_add(v, corners[:, None], x[:, :3], numbers),
            "unique": v.at[i[:2]].set(u[:2], unique_indices=True),
            "clipped": v.at[j].set(u, mode="clip"),
        }

    check(cluster, other, X, V, DUPLICATES, ENDS, U, corners, atol=2**-8)


def read(x, n, i, j, ids, h):
    return {
        "x[i]": x[i[3]],
        "x[:, i]": x[:, i[1]],
        "x[i, j]": x[i[3], j[2]],
        "pairs": x[i, j],
        "one of each row": x[jnp.arange(5), j],
        "integers": n[None].repeat(5, 0)[jnp.arange(5), j],
        "booleans": (x > 0)[jnp.arange(5), j],
        "table of booleans": (n > 0)[i],
        "along": jnp.take_along_axis(x, j[:, None], 1),
        "sorted": jnp.take_along_axis(x, jnp.argsort(x, axis=1), 1),
        "slice": lax.dynamic_slice(x, (i[0], j[3]), (2, 3)),
        "slice beyond": lax.dynamic_slice(x, (i[2] + 2**30, j[4] - 2**30), (2, 3)),
        "update": lax.dynamic_update_slice(x, x[:2, :3] * 2, (i[0], j[3])),
        "update beyond": lax.dynamic_update_slice(x, x[:2, :3] * 2, (i[2] + 2**30, j[4] - 2**30)),
        "end of text": h[jnp.arange(2), jnp.argmax(ids == 9, axis=-1)],
    }


IDS = np.array([[1, 9, 0], [3, 4, 9]], np.int32)


@pytest.mark.parametrize("policy", POLICIES)
def test_reading_at_secret_places(cluster, policy):
    arguments = (X, N, DUPLICATES, ENDS, IDS, sixteenths(2, 3, 4))
    check(cluster, read, *arguments, policy=policy, atol=2**-8)


def test_reading_at_public_places(cluster):
    arguments = (X, N, DUPLICATES, ENDS, IDS, sixteenths(2, 3, 4))
    check(cluster, read, *arguments, visibility=["secret"] * 2 + ["public"] * 3 + ["secret"])


def test_many_places_are_compared_by_digits(cluster):
    table = RNG.integers(-(2**31), 2**31, 200).astype(np.int32)

    def one(table, i, k):
        return lax.dynamic_slice(table, (i,), (3,)), table.at[k].set(7), table[k]

    def of(index):
        return table, np.int32(index), np.array([index, 199, 200, 64], np.int32)

    program = ditto.compile(one, *of(0))
    for index in (-1, 0, 133, 197, 2**31 - 1):
        for ours, jaxs in zip(cluster.run(program, *of(index)), jax.jit(one)(*of(index)), strict=True):
            np.testing.assert_array_equal(ours, jaxs)


def test_mapped_over_rows(cluster):
    def mapped(x, j, k):
        return {
            "element": jax.vmap(lambda row, at: row[at])(x, j),
            "elements": jax.vmap(lambda row, at: row[at])(x, k),
            "same places": jax.vmap(lambda row: row[j])(x),
            "set": jax.vmap(lambda row, at: row.at[at].set(1.0))(x, j),
            "slice": jax.vmap(lambda row, at: lax.dynamic_slice(row, (at,), (3,)))(x, j),
            "update": jax.vmap(lambda row, at: lax.dynamic_update_slice(row, -row[:3], (at,)))(x, j),
            "sums": jax.vmap(lambda row, at: jax.ops.segment_sum(row[:5], at, 3))(x, k),
            "along": jax.vmap(lambda row, at: jnp.take_along_axis(row, at, 0))(x, k),
        }

    check(cluster, mapped, X, ENDS, RNG.integers(-2, 8, (5, 5)).astype(np.int32), atol=2**-8)


def test_batching_dimensions(cluster):
    """As newer JAX writes `vmap` of a gather."""
    text = """
    func.func @main(%x: tensor<5x7xf32>, %i: tensor<5x2x1xi32>) -> tensor<5x2xf32> {
      %0 = "stablehlo.gather"(%x, %i) <{dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [1],
        operand_batching_dims = [0], start_indices_batching_dims = [0], start_index_map = [1],
        index_vector_dim = 2>, slice_sizes = array<i64: 1, 1>}>
        : (tensor<5x7xf32>, tensor<5x2x1xi32>) -> tensor<5x2xf32>
      return %0 : tensor<5x2xf32>
    }"""
    columns = RNG.integers(0, 7, (5, 2)).astype(np.int32)
    for visibility in ("secret", "public"):
        program = ditto.compile(text, visibility=["secret", visibility])
        found = cluster.run(program, X, columns[..., None])
        np.testing.assert_array_equal(found, np.take_along_axis(X, columns, 1))


def test_counting_and_grouping(cluster):
    def counted(x, v, i, j):
        return {
            "bincount": jnp.bincount(i, length=6),
            "weighted": jnp.bincount(j, weights=x[:, 0], length=6),
            "histogram": jnp.histogram(v, bins=4, range=(-4, 4))[0],
            "sums": jax.ops.segment_sum(x, i, 4),
            "largest": jnp.maximum(jax.ops.segment_max(x, j, 8), -16),
            "unique": jnp.unique(i, size=4, fill_value=-7),
        }

    check(cluster, counted, X, V, DUPLICATES, BETWEEN)


def test_searching(cluster):
    points, values = np.sort(V), sixteenths(7)

    def searched(points, values, queries):
        methods = ("scan", "scan_unrolled", "sort", "compare_all")
        return {method: jnp.searchsorted(points, queries, method=method) for method in methods} | {
            "right": jnp.searchsorted(points, points, side="right"),
            "bins": jnp.digitize(queries, jnp.array([-2.0, 0.0, 1.0, 2.5])),
            "line": jnp.interp(queries, jnp.linspace(-3, 3, 7), values),
        }

    check(cluster, searched, points, values, sixteenths(6), atol=2**-6)


def test_losses_and_gradients(cluster):
    def loss(logits, labels):
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def trained(x, labels, ids):
        return {
            "loss": loss(x, labels),
            "of labels": jax.grad(loss)(x, labels),
            "of a table": jax.grad(lambda table: (table[ids] * x).sum())(x),
            "of elements": jax.grad(lambda x: (x[jnp.arange(5), labels] * x[:, 0]).sum())(x),
        }

    check(cluster, trained, X, BETWEEN, DUPLICATES, atol=2**-7)


def test_no_infinity_is_returned_as_a_number():
    """An empty segment has none that fixed point holds, and may not look like one."""
    for after in (lambda m: m, lambda m: jnp.where(jnp.isfinite(m), m, 0), lambda m: m * 2):
        with pytest.raises(ditto.DittoError, match="-inf"):
            ditto.compile(lambda x, i, after=after: after(jax.ops.segment_max(x, i, 4)), X, BETWEEN)


def test_an_update_that_is_none_of_these_says_what_to_do():
    with pytest.raises(ditto.DittoError, match=r"set them \(x\.at\[i\]\.set\(f\(x\[i\]\)\)\)"):
        ditto.compile(lambda v, i: v.at[i].apply(jnp.sin), V, DUPLICATES)
