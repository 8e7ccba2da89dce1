"""Rows of very different sizes, normalised: right from three parties, or a word is said."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

import ditto
from ditto.models.bert import BertConfig, bert_encode, init_bert
from ditto.runtime.caller.cluster import LocalCluster
from ditto_compiler.ir import parse_module
from ditto_compiler.pass_manager import PassManager, parse_pipeline


def unit(x: Any) -> Any:
    return x / jnp.sqrt((x * x).sum(-1, keepdims=True))


def shares(x: Any) -> Any:
    return (x * x) / (x * x).sum(-1, keepdims=True)


def layer_norm(x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-12)


def parts(x: Any) -> Any:
    return x / jnp.abs(x).sum(-1, keepdims=True)


def attention(x: Any) -> Any:
    weights = x * x
    return (weights @ x.T) / weights.sum(-1, keepdims=True)


FUNCTIONS = (unit, shares, layer_norm, parts, attention)


def rows(spread: float) -> list[tuple[NDArray[np.float32]]]:
    """Samples, each of 7 rows that are 1/spread to `spread` in size."""
    rng, sizes = np.random.default_rng(0), np.geomspace(1 / spread, spread, 7)[:, None]
    return [((sizes * rng.normal(size=(7, 16))).astype(np.float32),) for _ in range(8)]


def compiled(function: Callable[..., Any], spread: float, policy: str) -> ditto.Program:
    samples = rows(spread)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ditto.DittoWarning)
        ranges = ditto.calibrate(function, samples, policy=policy)
        return ditto.compile(function, *samples[0], policy=policy, ranges=ranges)


def warned(program: ditto.Program) -> list[str]:
    return [text for text in map(str, program.remarks) if "warning: [ditto-check-digits]" in text]


def error(function: Callable[..., Any], found: Any, x: NDArray[np.float32]) -> float:
    """Relative to the largest number of the result."""
    expected = np.asarray(function(x))
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_rows_of_different_sizes_are_normalised_alike(
    cluster: LocalCluster, function: Callable[..., Any]
) -> None:
    program = compiled(function, 10.0, "ditto")
    assert not warned(program)
    (x,) = rows(10.0)[0]
    assert error(function, cluster.run(program, x), x) < 0.01


@pytest.mark.parametrize("policy", ["ditto", "ditto-engine", "uniform64"])
@pytest.mark.parametrize("spread", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_loses_its_digits_is_said(function: Callable[..., Any], spread: float, policy: str) -> None:
    try:
        program = compiled(function, spread, policy)
    except ditto.DittoError as found:
        assert spread > 1 and re.search(r"test_digits\.py:\d+", str(found))
        return
    (x,) = rows(spread)[0]
    worst = max(error(function, ditto.simulate(program, x, seed=seed).outputs, x) for seed in range(2))
    if warned(program):
        assert worst > 0.001
        assert all(re.search(r"test_digits\.py:\d+", text) for text in warned(program))
    else:
        assert worst < 0.1


@pytest.mark.parametrize("policy", ["ditto", "ditto-engine", "puma", "mpcformer"])
def test_nothing_is_said_of_a_transformer(policy: str) -> None:
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    weights = init_bert(config, jax.random.PRNGKey(0))
    rng = np.random.default_rng(0)
    samples = [
        (weights, rng.normal(size=(16, 32)).astype(np.float32), np.ones(16, np.float32)) for _ in range(2)
    ]

    def encode(*args: Any) -> Any:
        return bert_encode(args[0], config, *args[1:])

    ranges = ditto.calibrate(encode, samples, policy=policy)
    assert not warned(ditto.compile(encode, *samples[0], policy=policy, ranges=ranges))


def test_variances_that_no_form_takes_are_refused_and_small_ones_are_said() -> None:
    sizes = np.array([0.3, 3, 30, 300, 3000], np.float32)[:, None]
    rng = np.random.default_rng(0)
    samples = [((sizes * rng.normal(size=(5, 16))).astype(np.float32),) for _ in range(4)]
    with pytest.raises(ditto.DittoError, match=r"right for magnitudes up to 1\.311e\+05; choose"):
        ditto.compile(layer_norm, *samples[0], ranges=ditto.calibrate(layer_norm, samples))
    small = [((1e-3 * rng.normal(size=(5, 16))).astype(np.float32),) for _ in range(4)]
    ranges = ditto.calibrate(layer_norm, small, policy="ditto-engine")
    with pytest.warns(ditto.DittoWarning, match=r"takes what is below 7\.629e-06 for more"):
        ditto.compile(layer_norm, *small[0], policy="ditto-engine", ranges=ranges)


NUMBER = "tensor<2xf32, #ditto.fxp<64, 18>>"
CHOSEN = "select %p, %{one}, %{other} : tensor<2xi1, #ditto.int<64>>, " + NUMBER
MOVED = "reverse %{one}, dims = [0] : " + NUMBER


@pytest.mark.parametrize(("op", "count"), [(CHOSEN, 60), (MOVED, 2000)], ids=["chosen", "moved"])
def test_each_op_is_looked_at_once(op: str, count: int) -> None:
    """Of 60 choices among what was chosen, each way back is one of 2^60; and no way back is too long."""
    lines = []
    for i in range(count):
        for one, other in ("ab", "ba"):
            lines.append(f"%{one}{i + 1} = stablehlo." + op.format(one=f"{one}{i}", other=f"{other}{i}"))
    bound, text = "{ditto.max_abs = 1.0e4 : f64}", "\n".join(lines)
    source = f"""module attributes {{ditto.stage = "cast"}} {{
      func.func @main(%a0: {NUMBER} {bound}, %b0: {NUMBER} {bound}, %p: tensor<2xi1, #ditto.int<64>>)
          -> {NUMBER} {{
        {text}
        %r = stablehlo.multiply %a{count}, %b{count} {{ditto.range = array<f64: -0.1, 0.1>}} : {NUMBER}
        return %r : {NUMBER}
      }}
    }}"""
    manager = PassManager(parse_pipeline("ditto-check-digits"))
    manager.run(parse_module(source))
    # sqrt(2) * 1e4 * 2^-19
    assert ["by 0.027:" in str(remark) for remark in manager.remarks] == [True]
