"""Range analysis proves true bounds, and ranges survive recompilation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.calibration import Ranges, RangesError, result_keys
from ditto_compiler.ir import copy_module, entry_function, ir, ops_of, parse_module
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.policy import load_policy

X = np.ones((4, 8), np.float32)


def entry_of(function, *arguments):
    module = copy_module(jax.jit(function).lower(*arguments).compiler_ir("stablehlo"))
    PassManager(front_end_pipeline(load_policy("uniform64"))).run(module)
    return module, entry_function(module)


def interval(function, *arguments):
    """What is proved of the function's result."""
    module, entry = entry_of(function, *arguments)
    with module.context:
        return RangeAnalysis(entry).interval(ops_of(entry.entry_block)[-1].operands[0])


PROVED = {
    "tanh": (lambda x: jnp.tanh(x), (-1, 1)),
    "sigmoid": (lambda x: jax.lax.logistic(x), (0, 1)),
    "erf": (lambda x: jax.lax.erf(x), (-1, 1)),
    "clip": (lambda x: jnp.clip(x, -3.0, 2.0), (-3, 2)),
    "relu of a clip": (lambda x: jax.nn.relu(jnp.clip(x, -3.0, 2.0)), (0, 2)),
    "sum": (lambda x: jnp.tanh(x).sum(-1), (-8, 8)),
    "maximum": (lambda x: jnp.tanh(x).max(), (-1, 1)),
    "dot": (lambda x: jnp.tanh(x) @ (2 * jnp.tanh(x)).T, (-16, 16)),
    "product": (lambda x: jnp.tanh(x) * jnp.clip(x, 1.0, 3.0), (-3, 3)),
    "square": (lambda x: jnp.tanh(x) * jnp.tanh(x), (0, 1)),
    "affine": (lambda x: 3.0 * jnp.tanh(x) - 1.0, (-4, 2)),
    "quotient": (lambda x: jnp.tanh(x) / jnp.clip(x, 2.0, 4.0), (-0.5, 0.5)),
    "negate and abs": (lambda x: -jnp.abs(jnp.clip(x, -3.0, 2.0)), (-3, 0)),
    "exp": (lambda x: jnp.exp(jnp.clip(x, 0.0, 1.0)), (1, math.e)),
    "concatenate": (lambda x: jnp.concatenate([jnp.tanh(x), 2 + jnp.tanh(x)]), (-1, 3)),
    "select": (lambda x: jnp.where(x > 0, jnp.tanh(x), 5.0), (-1, 5)),
    "boolean": (lambda x: (x > 0).astype(jnp.float32), (0, 1)),
    "softmax": (lambda x: jax.nn.softmax(x), (0, 1)),
}


@pytest.mark.parametrize("name", PROVED)
def test_what_is_proved(name):
    function, expected = PROVED[name]
    assert interval(function, X) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", PROVED)
def test_what_is_proved_is_true(name):
    function, _ = PROVED[name]
    low, high = interval(function, X)
    found = np.asarray(function(jnp.asarray(np.random.default_rng(3).normal(size=X.shape) * 5, jnp.float32)))
    assert found.min() >= low - 1e-6 and found.max() <= high + 1e-6


NOT_PROVED = {
    "input": lambda x: x + 0.0,
    "exp of anything": lambda x: jnp.exp(x),
    "quotient by what may be zero": lambda x: jnp.tanh(x) / jnp.tanh(x + 1),
    "not quite softmax": lambda x: jnp.exp(x) / jnp.exp(x + 1).sum(-1, keepdims=True),
    "mask": lambda x: jnp.where(x > 0, jnp.tanh(x), -1e9),
}


@pytest.mark.parametrize("name", NOT_PROVED)
def test_what_is_not_proved(name):
    low, high = interval(NOT_PROVED[name], X)
    assert math.isinf(low) or math.isinf(high)


def names(function, *arguments):
    _, entry = entry_of(function, *arguments)
    return set(result_keys(entry).values())


def layers(x, w):
    for i in range(2):
        with jax.named_scope(f"layer{i}"):
            x = jnp.tanh(x @ w) + x
    return x


def test_names_survive_renaming_and_changes_elsewhere():
    w = np.ones((8, 8), np.float32)
    before = names(layers, X, w)
    assert "layer1:stablehlo.dot_general#0" in before

    def renamed(x, w):
        with jax.named_scope("head"):
            return layers(x, w) * 2

    after = names(renamed, X, w)
    assert {name.replace("head/", "") for name in after} > before
    assert names(jax.jit(layers), X, w) == before


def test_files(tmp_path):
    ranges = Ranges({"a": 1.5, "b": 0.0})
    ranges.save(tmp_path / "ranges.json")
    assert Ranges.load(tmp_path / "ranges.json") == ranges
    assert ranges.merge(Ranges({"a": 1.0, "c": 2.0})) == Ranges({"a": 1.5, "b": 0.0, "c": 2.0})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot read ranges"),
        ("[" * 100_000, "cannot read ranges from .*: it nests too deep"),
        ("[]", "not a file of calibrated ranges"),
        ('{"format": "other"}', "not a file of calibrated ranges"),
        ('{"format": "ditto-ranges", "version": 9}', "has version 9"),
        ('{"format": "ditto-ranges", "version": 1, "ranges": {"a": -1}}', "non-negative numbers"),
        ('{"format": "ditto-ranges", "version": 1, "ranges": {"a": "x"}}', "non-negative numbers"),
        (f'{{"format": "ditto-ranges", "version": 1, "ranges": {{"a": 1{"0" * 400}}}}}', "non-negative"),
        ('{"format": "ditto-ranges", "version": 1}', "non-negative numbers"),
    ],
)
def test_wrong_files(tmp_path, content, message):
    path = tmp_path / "ranges.json"
    path.write_text(content)
    with pytest.raises(RangesError, match=message):
        Ranges.load(path)
    with pytest.raises(RangesError, match="cannot read"):
        Ranges.load(tmp_path / "absent.json")


def test_nothing_is_known_of_an_erased_op():
    """A later op often gets the address, and so the hash, of one that was erased."""
    module = parse_module("func.func @main(%x: tensor<f32>) -> tensor<f32> { return %x : tensor<f32> }")
    entry = entry_function(module)
    analysis = RangeAnalysis(entry)
    x, end = entry.arguments[0], ir.InsertionPoint(ops_of(entry.entry_block)[-1])
    with module.context, ir.Location.unknown():
        for _ in range(8):
            bounded = ir.Operation.create("stablehlo.tanh", [x.type], [x], ip=end)
            assert analysis.interval(bounded.results[0]) == (-1, 1)
            analysis.erase(bounded)
            unbounded = ir.Operation.create("stablehlo.negate", [x.type], [x], ip=end)
            assert analysis.interval(unbounded.results[0]) == (-math.inf, math.inf)
