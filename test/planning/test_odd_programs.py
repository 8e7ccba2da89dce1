"""Programs with little to decide, or with what has no gain: plans are made, and right among three parties."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.planning.result import PlanningError
from ditto.planning.sampled import Sampled


def normal(*shape: int) -> Callable[[np.random.Generator], Any]:
    return lambda rng: rng.normal(size=shape).astype(np.float32)


def whole(*shape: int) -> Callable[[np.random.Generator], Any]:
    return lambda rng: rng.integers(-5, 5, shape).astype(np.int32)


PROGRAMS: dict[str, tuple[Callable[..., Any], list[Callable[[np.random.Generator], Any]], float]] = {
    "a median": (lambda x, w: jnp.median(x @ w), [normal(4, 3), normal(3, 5)], 1e-3),
    "a variance": (lambda x: jnp.var(x, 0), [normal(8, 3)], 1e-3),
    "a count of ties": (lambda x: jnp.sum((x * x) == (x * x).max(1, keepdims=True)), [normal(4, 5)], 0.0),
    "nothing": (lambda x: x * 0.0, [normal(3)], 0.0),
    "a decision": (lambda x, w: (x @ w) * (x @ w) > 0.5, [normal(4, 3), normal(3, 5)], 0.0),
    "a product of integers": (lambda i, x: (i * i).astype(jnp.float32) * x, [whole(4), normal(4)], 2e-3),
    "a cross-entropy's gradient": (
        lambda x, w: jax.grad(lambda w: jnp.mean(jax.nn.log_softmax(x @ w)[:, 0]))(w),
        [normal(6, 3), normal(3, 4)],
        1e-3,
    ),
    "a selection": (lambda x, y: jnp.where(x > 0, x * y, y * y * y), [normal(4, 3), normal(4, 3)], 1e-2),
    "an argument that is joined": (
        lambda x, w: (x @ w, jnp.concatenate([x.T, jnp.tanh(w)]) @ x),
        [normal(4, 4), normal(4, 4)],
        3e-3,
    ),
    "a product with itself": (lambda x: x @ x, [normal(4, 4)], 2e-3),
    "a Gram matrix": (lambda x: x.T @ x, [normal(8, 4)], 4e-3),
    "a mean of one": (lambda x: jnp.mean(jnp.exp(x) * x, 0), [normal(1, 1)], 4e-3),
    "a scalar": (lambda x: jnp.tanh(x * x), [normal()], 2e-3),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[ditto.LocalCluster]:
    with ditto.LocalCluster() as running:
        yield running


@pytest.mark.parametrize("name", PROGRAMS)
def test_plans_are_right_and_no_dearer(cluster: ditto.LocalCluster, name: str) -> None:
    fn, makers, error = PROGRAMS[name]
    rng = np.random.default_rng(1)
    samples = [tuple(make(rng) for make in makers) for _ in range(3)]
    plan = ditto.plan(fn, samples)
    assert plan.measured.bytes <= plan.presets["ditto"].bytes
    found = cluster.run(ditto.compile(fn, *samples[0], policy=plan), *samples[0])
    expected = fn(*map(jnp.asarray, samples[0]))
    for mine, exact in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.abs(np.asarray(mine, np.float64) - np.asarray(exact, np.float64)).max() <= error


@pytest.mark.parametrize(
    ("fn", "make", "message"),
    [
        (lambda i: i @ i.T, whole(4, 3), "nothing of this program's outputs depends on numbers"),
        (lambda x: x @ x.T, normal(0, 3), "nothing of this program's outputs depends on numbers"),
        (lambda x: x, normal(3), "there is nothing to decide"),
    ],
)
def test_what_cannot_be_planned_says_so(fn: Callable[..., Any], make: Any, message: str) -> None:
    with pytest.raises(PlanningError, match=message):
        ditto.plan(fn, [(make(np.random.default_rng(2)),)])


def descent(x: Any, y: Any, weights: Any) -> Any:
    for _ in range(4):
        weights = weights - 0.5 / len(x) * (x.T @ (jax.nn.sigmoid(x @ weights) - y))
    return weights


@pytest.mark.parametrize(("error", "ratio"), [(None, 1.0), (1e-2, 0.7)])
def test_training_from_zero(cluster: ditto.LocalCluster, error: float | None, ratio: float) -> None:
    """The same inputs are read in every step, and the first step's weights by more than products."""

    def arguments(seed: int) -> tuple[Any, ...]:
        rng = np.random.default_rng(seed)
        of = rng.integers(0, 2, 64)
        points = np.array([[-1, 0.5, 0], [0.5, 1, -0.5]])[of] + rng.normal(size=(64, 3)) / 4
        return points.astype(np.float32), of.astype(np.float32), np.zeros(3, np.float32)

    plan = ditto.plan(descent, [arguments(seed) for seed in range(3)], error=error)
    base = plan.presets["ditto"]
    assert plan.measured.bytes < ratio * base.bytes
    program = ditto.compile(descent, *arguments(0), policy=plan)
    allowed = 3 * base.error if error is None else error
    for seed in range(3):
        found = np.asarray(cluster.run(program, *arguments(seed)), np.float64)
        assert np.abs(found - descent(*arguments(seed))).max() <= allowed


@pytest.mark.parametrize(
    "bound",
    [{"error": 0.5}, {"quality": lambda mine, exact: float(np.mean(mine == exact)), "least": 0.95}],
    ids=["error", "quality"],
)
def test_classes_allow_for_less(cluster: ditto.LocalCluster, bound: dict[str, Any]) -> None:
    """Classes are not off at all with the base policy; numbers that decide them may be."""
    rng = np.random.default_rng(4)
    weights = [(rng.normal(size=shape) / 6).astype(np.float32) for shape in [(32, 64), (64, 10)]]

    def classify(x: Any, first: Any, second: Any) -> Any:
        return jnp.argmax(jax.nn.relu(x @ first) @ second, -1)

    samples = [(rng.normal(size=(32, 32)).astype(np.float32), *weights) for _ in range(4)]
    plan = ditto.plan(classify, samples, **bound)
    assert plan.measured.bytes < 0.9 * plan.presets["ditto"].bytes
    found = cluster.run(ditto.compile(classify, *samples[0], policy=plan), *samples[0])
    assert np.mean(found == classify(*samples[0])) >= 0.9


def test_what_comes_to_the_same_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured, calls = Sampled.measured, []

    def counted(self: Sampled, *arguments: Any) -> Any:
        calls.append(arguments)
        return measured(self, *arguments)

    monkeypatch.setattr(Sampled, "measured", counted)
    rng = np.random.default_rng(5)
    samples = [tuple(rng.normal(size=s).astype(np.float32) for s in ((3, 8), (8, 4))) for _ in range(3)]
    plan = ditto.plan(lambda x, w: x @ w, samples)
    tried = deviations(plan)
    assert len(calls) == 1 + len(set(tried)) < 1 + len(tried), "the base policy, and each plan"


def test_what_a_product_is_predicted_to_be_off_by_is_measured() -> None:
    """Whatever of the bound is left."""
    rng = np.random.default_rng(5)
    samples = [tuple(rng.normal(size=s).astype(np.float32) for s in ((64, 16), (16, 64))) for _ in range(3)]
    plan = ditto.plan(lambda x, w: x @ w, samples, error=1e-3)
    for predicted, measured in deviations(plan):
        assert predicted == pytest.approx(measured, rel=0.15)


def deviations(plan: ditto.Plan) -> list[tuple[float, float]]:
    """Of each attempt, as predicted and as measured."""
    found = [re.match(r"for .*: predicted (\S+) .* measured (\S+),", remark) for remark in plan.remarks]
    return [(float(each[1]), float(each[2])) for each in found if each]
