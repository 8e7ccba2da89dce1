"""`ditto.plan`: bounds are kept on what was held out and among three parties, for less than the preset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner

import ditto
from ditto.frontend import trace
from ditto.planning.plan_page import text as page_text
from ditto.planning.result import Plan, PlanningError
from ditto_compiler.ir import entry_function, parse_module
from ditto_compiler.network import NetworkError
from ditto_compiler.planning.keys import by_key, counts_of, keys_of
from ditto_compiler.policy import PolicyError, parse_policy
from ditto_compiler.rings.numbers import ops_with_results
from ditto_tools.cli import cli


def layers(x: Any, weights: Any) -> Any:
    for number, w in enumerate(weights):
        with jax.named_scope(f"layer{number}"):
            x = jax.nn.gelu(x @ w) + x
    return x


WEIGHTS = [(np.random.default_rng(seed).normal(size=(32, 32)) / 8).astype(np.float32) for seed in range(3)]


def sample(seed: int) -> tuple[Any, ...]:
    return np.random.default_rng(100 + seed).normal(size=(16, 32)).astype(np.float32), WEIGHTS


SAMPLES = [sample(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[ditto.LocalCluster]:
    with ditto.LocalCluster() as running:
        yield running


@pytest.fixture(scope="module")
def plan() -> Plan:
    return ditto.plan(layers, SAMPLES, error=1e-2)


def errors(cluster: ditto.LocalCluster, program: ditto.Program, seed: int) -> np.ndarray[Any, Any]:
    found = np.asarray(cluster.run(program, *sample(seed)), np.float64)
    return np.asarray(found - np.asarray(layers(*sample(seed)), np.float64))


def test_the_bound_is_kept_and_the_cost_is_less(plan: Plan, cluster: ditto.LocalCluster) -> None:
    assert plan.measured.error <= 1e-2 == plan.asked
    assert plan.measured.error > 5e-3, "most of what is allowed is used"
    assert plan.measured.bytes < 0.75 * plan.presets["ditto"].bytes
    program = ditto.compile(layers, *sample(9), policy=plan)
    off = errors(cluster, program, 9)
    # The largest of 512 errors varies; their root mean square does not.
    assert np.abs(off).max() < 2e-2
    assert np.sqrt((off**2).mean()) == pytest.approx(plan.measured.deviation, rel=0.25)
    assert cluster.stats is not None and cluster.stats.bytes == plan.measured.bytes


def test_what_was_predicted_is_what_is_measured(plan: Plan) -> None:
    # The largest of some 1500 errors; of functions that read few bits, they are not quite independent.
    assert plan.predicted_error == pytest.approx(plan.measured.error, rel=0.5)
    assert 0.8 * plan.measured.bytes < plan.predicted_cost <= 1.02 * plan.measured.bytes
    assert plan.gap <= 0.0051


def test_without_a_bound_it_errs_as_the_preset_does() -> None:
    plan = ditto.plan(layers, SAMPLES)
    assert plan.measured.deviation <= plan.presets["ditto"].deviation
    assert plan.measured.bytes < 0.95 * plan.presets["ditto"].bytes


def test_the_policy_file_is_all_of_it(plan: Plan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.toml")
    plan.ranges.save(tmp_path / "ranges.json")
    file, ranges = tmp_path / "plan.toml", tmp_path / "ranges.json"
    read, made = (
        ditto.compile(layers, *SAMPLES[0], policy=policy, ranges=measured)
        for policy, measured in ((file, ranges), (plan, None))
    )
    assert read.annotated == made.annotated
    assert plan.text.count("[[rules]]") == len(plan.rules)
    assert "of the noise" in plan.text and 'scope = "layer*"' in plan.text


def test_layers_that_are_alike_are_decided_alike(plan: Plan) -> None:
    products = [rule for rule in plan.rules if rule.op == "stablehlo.dot_general"]
    assert [rule.scopes for rule in products] == [("layer*",)]
    untied = ditto.plan(layers, SAMPLES, error=1e-2, tie=False)
    products = [rule for rule in untied.rules if rule.op == "stablehlo.dot_general"]
    assert len(products) == 3 or {rule.scopes for rule in products} != {("layer*",)}
    assert untied.measured.error <= 1e-2


@pytest.mark.parametrize("objective", ["rounds", "wan", "100mbit,10ms"])
def test_other_objectives(objective: str) -> None:
    plan = ditto.plan(layers, SAMPLES, error=1e-2, objective=objective)
    assert plan.measured.error <= 1e-2
    base = plan.presets["ditto"]
    assert plan.measured.cost(plan.objective) <= base.cost(plan.objective)


def test_relative_errors_bytes_and_qualities() -> None:
    largest = max(float(np.abs(layers(*each)).max()) for each in SAMPLES[2:])
    relative = ditto.plan(layers, SAMPLES, rel_error=1e-2)
    assert relative.measured.error <= 1e-2 * largest
    small = ditto.plan(layers, SAMPLES, max_bytes=0.7 * relative.presets["ditto"].bytes)
    assert small.measured.bytes <= 0.7 * relative.presets["ditto"].bytes

    def agreement(mine: Any, exact: Any) -> float:
        return float(np.mean(np.argmax(mine, -1) == np.argmax(exact, -1)))

    good = ditto.plan(layers, SAMPLES, quality=agreement, least=1.0)
    assert good.measured.quality == 1.0
    assert good.measured.bytes < relative.presets["ditto"].bytes


def test_auto_plans_with_the_example_arguments(cluster: ditto.LocalCluster) -> None:
    program = ditto.compile(layers, *SAMPLES[0], policy="auto")
    plain = ditto.compile(layers, *SAMPLES[0], ranges=ditto.calibrate(layers, SAMPLES[:1]))
    assert np.abs(errors(cluster, program, 0)).max() < 2e-2
    sent = cluster.stats.bytes if cluster.stats is not None else 0
    cluster.run(plain, *SAMPLES[0])
    assert cluster.stats is not None and sent < cluster.stats.bytes


def test_an_impossible_bound_says_what_stands_in_the_way() -> None:
    with pytest.raises(PlanningError, match=r"the least error that .* from layer.*ask for"):
        ditto.plan(layers, SAMPLES, error=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"error": -1.0}, "error must be a number above 0"),
        ({"error": float("nan")}, "error must be a number above 0"),
        ({"error": 1e-2, "rel_error": 1e-2}, "give one of"),
        ({"quality": lambda a, b: 1.0}, "least"),
        ({"policy": "puma"}, "beside the engine"),
    ],
)
def test_arguments_that_do_not_do(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanningError, match=message):
        ditto.plan(layers, SAMPLES, **arguments)


def test_samples_that_do_not_do() -> None:
    with pytest.raises(PlanningError, match="at least one sample"):
        ditto.plan(layers, [])
    with pytest.raises(PlanningError, match="sample 0 must be a tuple"):
        ditto.plan(layers, [SAMPLES[0][0]])
    with pytest.raises(PlanningError, match="iterable"):
        ditto.plan(layers, 3)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="moon"):
        ditto.plan(layers, SAMPLES, objective="moon")
    with pytest.raises(PlanningError, match=r"nothing to decide|nothing to plan"):
        ditto.plan(lambda x: x + x, [(np.ones(3, np.float32),)])


def test_plans_are_not_saved_as_something_else(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(PlanningError, match=r"ends in \.toml"):
        plan.save(tmp_path / "plan.txt")
    with pytest.raises(PlanningError, match="cannot write"):
        plan.save(tmp_path / "nowhere" / "plan.toml")


def test_the_page_has_the_front(tmp_path: Path) -> None:
    plan = ditto.plan(layers, SAMPLES, error=1e-2, presets=["ditto"])
    costs = [point.cost for point in plan.front]
    assert len(costs) > 3 and costs == sorted(costs, reverse=True)
    page = page_text(plan)
    assert "<polyline" in page and "ditto" in page and "layer*" in page and "http" not in page


def test_the_command(tmp_path: Path) -> None:
    def net(x: Any, w: Any) -> Any:
        return jax.nn.gelu(x @ w)

    (tmp_path / "net.mlir").write_text(str(trace(net, (SAMPLES[0][0], WEIGHTS[0])).module))
    for seed in range(3):
        np.savez(tmp_path / f"{seed}.npz", sample(seed)[0], WEIGHTS[0])
    files = [str(tmp_path / f"{seed}.npz") for seed in range(3)]
    out, ranges, page = (tmp_path / name for name in ("plan.toml", "ranges.json", "plan.html"))
    common = ["plan", str(tmp_path / "net.mlir"), *files, "-o", str(out)]
    result = CliRunner().invoke(
        cli, [*common, "--ranges", str(ranges), "--html", str(page), "--error", "0.01"]
    )
    assert result.exit_code == 0, result.output
    assert "plan" in result.output and page.read_text().startswith("<!doctype html>")
    program = ditto.compile(net, SAMPLES[0][0], WEIGHTS[0], policy=out, ranges=ranges)
    found = ditto.simulate(program, SAMPLES[0][0], WEIGHTS[0], seed=1).outputs
    assert np.abs(found - net(SAMPLES[0][0], WEIGHTS[0])).max() < 2e-2


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("fraction = 70", r"fraction must be in \[0, 62\]"),
        ("spare = -1", "spare must be in"),
        ("factors = [1]", "factors must be two numbers"),
        ("factors = [1, 99]", r"factors\[1\] must be in"),
        ('factors = ["a", 2]', "factors must be integers"),
        ("error = 0", "error must be a number above 0"),
        ("error = nan", "error must be a number above 0"),
        ("loose = 0", "loose must be in"),
        ("ring = 32\nnth = 0", "nth counts ops beside the engine"),
        ("fraction = 3\nnth = -1", "nth counts from 0"),
        ("fraction = 3\nnth = [0, 4]\ncount = 4", "count is how many ops nth counts, so more than each"),
        ("fraction = 3\ncount = 4", "count is how many ops nth counts"),
        ("fraction = 3\nnth = 0\ncount = 0", "count is how many ops nth counts"),
        ("fraction = 3.5", "fraction must be an integer"),
        ("nth = 3", "sets neither ring nor frac"),
    ],
)
def test_rules_that_make_no_sense(rule: str, message: str) -> None:
    text = f'base = "ditto"\n[[rules]]\nname = "mine"\nop = "stablehlo.multiply"\n{rule}\n'
    with pytest.raises(PolicyError, match=message):
        parse_policy(text, "mine.toml")


def test_a_plan_holds_for_other_ranges_too(plan: Plan, cluster: ditto.LocalCluster) -> None:
    """Rings follow from ranges: what is ten times as large has ten times the ring, and does not wrap."""

    def larger(seed: int) -> tuple[Any, ...]:
        x, weights = sample(seed)
        return 10 * x, weights

    ranges = ditto.calibrate(layers, [larger(seed) for seed in range(3)])
    # Its functions are other ops then: rules of these scopes are left out.
    with pytest.warns(ditto.DittoWarning, match="Plan again"):
        program = ditto.compile(layers, *larger(5), policy=plan, ranges=ranges)
    exact = np.asarray(layers(*larger(5)))
    assert np.abs(np.asarray(cluster.run(program, *larger(5))) - exact).max() < 0.3


def test_uncalibrated_plans_are_right() -> None:
    def net(x: Any, y: Any) -> Any:
        return jnp.tanh(x) @ y

    arguments = (np.eye(4, dtype=np.float32),) * 2
    plan = ditto.plan(net, [arguments] * 2, error=0.05)
    program = ditto.compile(net, *arguments, policy=plan.policy)
    found = ditto.simulate(program, *arguments, seed=0)
    assert np.abs(found.outputs - np.tanh(np.eye(4))).max() < 0.1


def test_other_forms_are_tried(tmp_path: Path) -> None:
    """A base policy with a form that costs more is left behind, in all layers at once."""
    base = tmp_path / "base.toml"
    base.write_text('name = "cubic"\nbase = "ditto"\ndescription = "."\n[forms]\ngelu = "quartic"\n')
    fixed = ditto.plan(layers, SAMPLES, error=5e-2, policy=base)
    free = ditto.plan(layers, SAMPLES, error=5e-2, policy=base, forms=True)
    assert free.measured.error <= 5e-2
    assert free.measured.bytes < 0.8 * fixed.measured.bytes
    assert any("gelu as oneshot" in remark and "taken" in remark for remark in free.remarks)
    assert [rule.forms for rule in free.policy.forms][-1] == {"gelu": "oneshot"}


def test_layers_of_other_magnitudes_are_decided_alike() -> None:
    """Their functions have equally many fraction bits, though the largest result is another."""
    weights = [WEIGHTS[0] * factor for factor in (4.0, 0.5, 0.1)]
    samples = [(x, weights) for x, _ in SAMPLES]

    def apart(x: Any, weights: Any) -> Any:
        found = 0.0
        for number, w in enumerate(weights):
            with jax.named_scope(f"layer{number}"):
                found = found + jax.nn.gelu(x @ w)
        return found

    plan = ditto.plan(apart, samples, error=0.1)
    assert plan.measured.error <= 0.1
    assert plan.measured.bytes < 0.8 * plan.presets["ditto"].bytes


def test_constants_are_named_apart_from_what_is_decided() -> None:
    """Both are broadcast in one scope: what a rule says of the first broadcast is not about a constant."""
    module = parse_module(
        """
        module {
          func.func @main(%x: tensor<3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
            %c = stablehlo.constant dense<2.0> : tensor<3xf32>
            %0 = stablehlo.broadcast_in_dim %c, dims = [1] : (tensor<3xf32>) -> tensor<2x3xf32>
            %1 = stablehlo.broadcast_in_dim %x, dims = [1] : (tensor<3xf32>) -> tensor<2x3xf32>
            return %0, %1 : tensor<2x3xf32>, tensor<2x3xf32>
          }
        }
        """
    )
    ops = ops_with_results(entry_function(module))
    named = by_key(ops)
    assert len(named) == len(ops) == 3
    assert [key.nth for key in keys_of(ops)] == [-1, -1, 0]
    assert counts_of(ops) == [1, 1, 1]
