"""Loops that constants count: their functions, rings and comparisons are those of straight code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto

RNG = np.random.default_rng(0)
W = RNG.normal(size=(8, 8)).astype(np.float32) / 3
XS = RNG.normal(size=(6, 4, 8)).astype(np.float32)


def rnn(xs: Any, w: Any) -> Any:
    def cell(h: Any, x: Any) -> Any:
        h = jnp.tanh(h @ w + x)
        return h, h

    return jax.lax.scan(cell, jnp.zeros((4, 8)), xs)


def backwards(xs: Any, w: Any) -> Any:
    return jax.lax.scan(lambda h, x: (jnp.maximum(h, x), h[0]), xs[0] @ w, xs, reverse=True)


def nested(xs: Any, w: Any) -> Any:
    def inner(i: Any, y: Any) -> Any:
        return jax.lax.fori_loop(i, 4, lambda j, z: z * 0.5 + xs[j], y)

    return jax.lax.fori_loop(0, 3, inner, xs[0])


def down(xs: Any, w: Any) -> Any:
    return jax.lax.while_loop(lambda c: c[0] >= 0, lambda c: (c[0] - 2, c[1] + xs[c[0]]), (5, xs[0]))


def none(xs: Any, w: Any) -> Any:
    return jax.lax.fori_loop(3, 3, lambda i, y: 2 * y, xs[0])


def gradient(xs: Any, w: Any) -> Any:
    return jax.grad(lambda w: rnn(xs, w)[1].mean())(w)


LOOPS: list[Callable[..., Any]] = [rnn, backwards, nested, down, none, gradient]


@pytest.mark.parametrize("fn", LOOPS, ids=lambda fn: fn.__name__)
def test_values(cluster: ditto.LocalCluster, fn: Callable[..., Any]) -> None:
    found = cluster.run(ditto.compile(fn, XS, W), XS, W)
    for one, expected in zip(jax.tree.leaves(found), jax.tree.leaves(jax.jit(fn)(XS, W)), strict=True):
        np.testing.assert_allclose(one, expected, rtol=0, atol=0.01)


def test_a_scan_costs_what_its_trips_do_as_straight_code() -> None:
    def straight(xs: Any, w: Any) -> Any:
        h, seen = jnp.zeros((4, 8)), []
        for x in xs:
            h = jnp.tanh(h @ w + x)
            seen.append(h)
        return h, jnp.stack(seen)

    totals = [json.loads(ditto.compile(fn, XS, W).report("json"))["total"] for fn in (rnn, straight)]
    assert totals[0]["bytes"] == totals[1]["bytes"] and totals[0]["rounds"] == totals[1]["rounds"]
    in_the_engine = json.loads(ditto.compile(rnn, XS, W, policy="ditto-engine").report("json"))["total"]
    assert totals[0]["bytes"] < in_the_engine["bytes"] / 4


def test_a_loop_that_is_too_long_runs_in_the_engine(cluster: ditto.LocalCluster) -> None:
    def long(x: Any) -> Any:
        return jax.lax.fori_loop(0, 3000, lambda i, y: y * 0.5 + 1, x)

    program = ditto.compile(long, XS[0])
    assert "stablehlo.while" in program.annotated
    np.testing.assert_allclose(cluster.run(program, XS[0]), long(XS[0]), atol=1e-4)
