"""Calibration measures what plaintext JAX computes, and compilation uses it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto import calibrating
from ditto_compiler.calibration import Ranges
from ditto_compiler.policy import load_policy

RNG = np.random.default_rng(5)
EXPLICIT = load_policy("ditto-engine")


def mlp(x, w, v):
    with jax.named_scope("up"):
        h = x @ w
    with jax.named_scope("act"):
        h = jnp.tanh(h)
    with jax.named_scope("down"):
        return h @ v


ARGUMENTS = [
    (
        RNG.normal(size=(4, 16)).astype(np.float32) * scale,
        RNG.normal(size=(16, 32)).astype(np.float32) * 0.1,
        RNG.normal(size=(32, 4)).astype(np.float32) * 0.01,
    )
    for scale in (1.0, 3.0)
]


@pytest.mark.parametrize(
    "batches",
    [lambda: ARGUMENTS, lambda: ARGUMENTS * 5, lambda: iter(ARGUMENTS)],
    ids=["few", "many, optimized", "of unknown number"],
)
def test_ranges_are_the_largest_magnitudes_over_all_batches(batches):
    ranges = ditto.calibrate(mlp, batches(), policy=EXPLICIT)
    expected = {
        "argument#0": [np.abs(x) for x, _, _ in ARGUMENTS],
        "up:stablehlo.dot_general#0": [np.abs(x @ w) for x, w, _ in ARGUMENTS],
        "act:stablehlo.tanh#0": [np.tanh(np.abs(x @ w)) for x, w, _ in ARGUMENTS],
        "down:stablehlo.dot_general#0": [np.abs(mlp(x, w, v)) for x, w, v in ARGUMENTS],
    }
    for name, values in expected.items():
        assert ranges.values[name] == pytest.approx(max(v.max() for v in values), rel=1e-5)


def test_calibrated_weights_get_more_bits_and_so_smaller_errors():
    """Weights near 0.01 have three significant bits at 10 fraction bits, and that dominates the error."""
    x, w, v = ARGUMENTS[0]
    ranges = ditto.calibrate(mlp, [(x, w, v)], policy=EXPLICIT)
    blind = ditto.compile(mlp, x, w, v, policy=EXPLICIT)
    seeing = ditto.compile(mlp, x, w, v, policy=EXPLICIT, ranges=ranges)

    def weight_bits(program):
        return {e.index: program.values[e.value].encoding.frac for e in program.inputs}

    assert weight_bits(blind)[2] == 10
    assert weight_bits(seeing)[2] >= 14
    expected = mlp(x, w, v)
    with ditto.LocalCluster(timeout=60) as cluster:
        errors = [np.abs(cluster.run(p, x, w, v) - expected).max() for p in (blind, seeing)]
    assert errors[1] < errors[0] / 2


def test_ranges_from_a_file_are_those_of_the_object(tmp_path):
    ranges = ditto.calibrate(mlp, ARGUMENTS, policy=EXPLICIT)
    ranges.save(tmp_path / "mlp.json")
    x, w, v = ARGUMENTS[0]
    by_file, by_object = (
        ditto.compile(mlp, x, w, v, policy=EXPLICIT, ranges=given)
        for given in (tmp_path / "mlp.json", ranges)
    )
    assert by_file == by_object


def test_ranges_of_another_program_are_an_error():
    x, w, v = ARGUMENTS[0]
    with pytest.raises(ditto.DittoError, match="none of the 1 calibrated ranges"):
        ditto.compile(mlp, x, w, v, policy=EXPLICIT, ranges=Ranges({"other:stablehlo.add#0": 1.0}))


def test_calibration_needs_samples_on_which_the_model_works():
    with pytest.raises(ditto.DittoError, match="at least one batch"):
        ditto.calibrate(mlp, [])
    with pytest.raises(ditto.DittoError, match="NaN on a sample"):
        ditto.calibrate(jnp.log, [(np.float32([-1.0]),)])


def test_static_arguments_and_trees():
    def f(params, n):
        return params["x"] * n

    ranges = ditto.calibrate(f, [({"x": np.float32([2.0, -5.0])}, 3)], static_argnums=1)
    assert ranges.values["argument#0"] == 5.0
    assert ranges.values[":stablehlo.multiply#0"] == 15.0


def policy_with(**changes):
    rule = ditto.Rule("linear layers", op=("stablehlo.dot_general",), ring=32, frac=10, **changes)
    return dataclasses.replace(EXPLICIT, rules=(*EXPLICIT.rules, rule))


def test_a_tensor_that_does_not_fit_its_ring_names_rule_and_range():
    x = np.full((2, 4), 300.0, np.float32)
    ranges = ditto.calibrate(jnp.matmul, [(x, x.T)])
    message = "result reaches 3.6e\\+05, but rule 'linear layers' of policy 'ditto-engine' puts it in ring 32"
    with pytest.raises(ditto.DittoError, match=message):
        ditto.compile(jnp.matmul, x, x.T, policy=policy_with(), ranges=ranges)


def test_a_tensor_that_does_not_fit_its_ring_moves_to_the_fallback():
    x = np.full((2, 4), 300.0, np.float32)
    ranges = ditto.calibrate(jnp.matmul, [(x, x.T)])
    program = ditto.compile(jnp.matmul, x, x.T, policy=policy_with(fallback=64), ranges=ranges)
    assert {region.ring for region in program.regions.values()} == {64}
    small = ditto.calibrate(jnp.matmul, [(x / 300, x.T / 300)])
    program = ditto.compile(jnp.matmul, x, x.T, policy=policy_with(fallback=64), ranges=small)
    assert {region.ring for region in program.regions.values()} == {32}


def test_results_of_arithmetic_move_to_the_fallback_of_their_operands_ring():
    rules = (
        ditto.Rule("arithmetic", op=("stablehlo.multiply",), ring="operands", fallback=64),
        ditto.Rule("argument", op=("stablehlo.negate",), ring=32, frac=10),
    )
    policy = dataclasses.replace(EXPLICIT, rules=rules)

    def square(x):
        y = -x
        return y * y

    for scale, rings in ((1.0, {32}), (1000.0, {32, 64})):
        x = np.full((2, 4), scale, np.float32)
        program = ditto.compile(square, x, policy=policy, ranges=ditto.calibrate(square, [(x,)]))
        assert {region.ring for region in program.regions.values()} == rings


@pytest.mark.parametrize("ring", [32, "operands"])
def test_a_fallback_must_be_wider(ring):
    with pytest.raises(ditto.DittoError, match="fallback must be a ring wider than ring, got 32"):
        ditto.Rule("linear layers", op=("stablehlo.dot_general",), ring=ring, fallback=32)


def test_a_fallback_belongs_to_a_ring():
    with pytest.raises(ditto.DittoError, match="fallback must be a ring wider than ring, got 64"):
        ditto.Rule("linear layers", op=("stablehlo.dot_general",), frac=10, fallback=64)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (3, "takes an iterable of tuples of arguments, got 3"),
        (None, "takes an iterable of tuples of arguments, got None"),
        ([], "needs at least one batch"),
        (iter(()), "needs at least one batch"),
        ([np.ones((2, 3))], "batch 0 must be a tuple of arguments, got a ndarray"),
        (np.ones((2, 3)), "batch 0 must be a tuple of arguments, got a ndarray"),
        (["x"], "batch 0 must be a tuple of arguments, got a str"),
        ([None], "batch 0 must be a tuple of arguments, got a NoneType"),
    ],
)
def test_batches_are_tuples(batches, message):
    with pytest.raises(ditto.InputError, match=message):
        ditto.calibrate(jnp.abs, batches)


ONES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            (np.ones((3, 3), np.float32), 2),
            r"array 0: expected float32 of shape \(2, 3\), got float32 of shape \(3, 3\)",
        ),
        ((ONES.astype(np.float16), 2), r"array 0: expected float32 of shape \(2, 3\), got float16"),
        ((ONES.astype(np.int32), 2), r"array 0: expected float32 of shape \(2, 3\), got int32"),
        ((jax.ShapeDtypeStruct((2, 3), np.float32), 2), "array 0: expected float32 .*, got object"),
        (([[1, 2, 3], [4]], 2), r"arguments\[0\]: expected an array, got a list"),
        (("x", 2), r"array 0: expected float32 of shape \(2, 3\), got <U1 of shape \(\)"),
        ((ONES,), "has other static arguments than the first"),
        ((ONES, 2, ONES), "expected 1 entries, got 2"),
        ((ONES, 3), r"has other static arguments than the first, \[3\] instead of \[2\]"),
    ],
)
def test_every_batch_is_like_the_first(second, message):
    def f(x, n):
        return x * n

    with pytest.raises(ditto.InputError, match=f"calibration: batch 1.*{message}"):
        ditto.calibrate(f, [(ONES, 2), second], static_argnums=-1)


def test_batches_nest_like_the_first():
    with pytest.raises(ditto.InputError, match=r"batch 1: arguments\[0\]: dict keys differ: missing \['x'\]"):
        ditto.calibrate(lambda d: d["x"] + 1, [({"x": ONES},), ({"y": ONES},)])


def test_numbers_and_wide_arrays_are_taken_as_jax_takes_them():
    ranges = ditto.calibrate(lambda x, n: x * n, [(ONES, 3.0), (ONES.astype(np.float64), 5)])
    assert ranges.values["argument#1"] == 5.0


def test_stablehlo_is_measured_in_its_own_dtypes():
    text = """func.func @main(%x: tensor<2xf64>, %i: tensor<i64>) -> (tensor<2xf64>, tensor<i64>) {
      return %x, %i : tensor<2xf64>, tensor<i64> }"""
    number = 1.0 + 2.0**-40
    ranges = ditto.calibrate(text, [(np.array([number, -0.5]), np.int64(1))])
    assert ranges.values["argument#0"] == pytest.approx(number)
    with pytest.raises(ditto.InputError, match=r"array 0: expected float64 of shape \(2,\), got float32"):
        ditto.calibrate(text, [(np.ones(2, np.float32), np.int64(1))])
    with pytest.raises(ditto.InputError, match="batch 0 has 1 arrays, the program takes 2"):
        ditto.calibrate(text, [(np.ones(2),)])


def test_a_module_is_not_changed():
    module = jax.jit(jnp.abs).lower(ONES).compiler_ir("stablehlo")
    before = str(module)
    ditto.calibrate(module, [(ONES,)])
    assert str(module) == before


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ((-2.0, 4.0), (-3.0, 5.0)),
        ((0.0, 4.0), (0.0, 5.0)),
        ((1.0, 4.0), (0.8, 5.0)),
        ((-4.0, -1.0), (-5.0, -0.8)),
        ((0.0, 0.0), (0.0, 0.0)),
    ],
)
def test_widened_ranges_keep_signs(seen, expected):
    (found,) = Ranges.of({"x": seen}).widened(0.25).intervals.values()
    assert found == pytest.approx(expected)


def test_widened_magnitudes_become_intervals():
    assert Ranges({"x": 4.0}).widened(0.0).intervals == {"x": (-4.0, 4.0)}


@pytest.mark.parametrize("group", [1, 20, 1 << 22])
def test_values_that_are_measured_together_keep_their_own_ranges(monkeypatch, group):
    """Tensors of one size and of several, alone and in groups of a few; integers have none."""
    monkeypatch.setattr(calibrating, "GROUP", group)

    def f(x, n):
        scaled = [jnp.sin(x * k) + k for k in range(1, 6)]
        return [*scaled, n * 3, (x[:3] - 1).sum(), jnp.where(x > 0, -jnp.inf, x)]

    x, n = np.linspace(-1, 1, 10, dtype=np.float32), np.arange(-4, 6, dtype=np.int32)
    found = ditto.calibrate(f, [(x, n), (x / 2, n)], policy="uniform64").intervals
    both = np.concatenate([x, x / 2])
    for k in range(1, 6):
        expected = (np.sin(both * k) + k).astype(np.float64)
        assert any(
            np.allclose(interval, (expected.min(), expected.max()), atol=1e-5) for interval in found.values()
        ), k
    assert found["argument#0"] == pytest.approx((-1, 1)) and "argument#1" not in found
    assert (-12, 15) not in found.values()
