"""The comparison of policies, on a tiny model: that numbers are consistent, not that they are good."""

import json

import jax
import numpy as np
import pytest

import ditto
from ditto.bench.plot import Bar, Panel, plot
from ditto.bench.transformer import main, project, projection_table
from ditto.bench.workloads import MODELS, workload
from ditto_compiler.cost.model import estimate
from ditto_compiler.errors import DittoError

POLICIES = ["spu", "uniform64", "ditto", "ditto+guard"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    json_path, plot_path = folder / "out.json", folder / "out.svg"
    main("bert-tiny", 1, 4, POLICIES, "10gbit,1ms", 2, json_path, plot_path)
    return json.loads(json_path.read_text()), plot_path.read_text()


def test_every_policy_is_measured_every_round(results):
    document, _ = results
    assert [entry["policy"] for entry in document["policies"]] == POLICIES
    assert (document["model"], document["layers"], document["seq"]) == ("bert-tiny", 1, 4)
    assert document["network"]["rtt_s"] == 1e-3
    for entry in document["policies"]:
        assert len(entry["all_seconds"]) == 2
        assert min(entry["all_seconds"]) <= entry["seconds"] <= max(entry["all_seconds"])
        assert entry["cpu_seconds"] > 0 and entry["peak_memory"] > 0 and entry["messages"] > 0


def test_prediction_is_what_is_counted(results):
    document, _ = results
    stock, *ours = document["policies"]
    assert "predicted" not in stock
    for entry in ours:
        assert entry["predicted"]["bytes"] == entry["bytes"]
        assert entry["predicted"]["messages"] == entry["messages"]
        # Each round takes half a millisecond at least.
        assert entry["seconds"] >= 0.5 * entry["predicted"]["rounds"] * 0.5e-3


def test_ratios_are_to_the_first(results):
    document, _ = results
    first = document["policies"][0]
    assert first["times_faster"] == first["times_fewer_bytes"] == 1
    for entry in document["policies"]:
        assert entry["times_fewer_bytes"] == first["bytes"] / entry["bytes"]


def test_errors_are_to_the_same_formulas_and_to_the_model(results):
    document, _ = results
    for entry in document["policies"]:
        assert 0 < entry["error_to_same_formulas"] < 0.1
    stock = document["policies"][0]
    assert stock["error_to_exact_model"] == stock["error_to_same_formulas"]


def test_scopes_add_up_to_what_was_measured(results):
    document, _ = results
    for entry in document["policies"]:
        assert sum(scope["bytes"] for scope in entry["scopes"]) == pytest.approx(entry["bytes"])
        assert sum(scope["seconds"] for scope in entry["scopes"]) == pytest.approx(entry["seconds"])
    names = {scope["scope"] for scope in document["policies"][-1]["scopes"]}
    assert {"attention/softmax", "mlp/activation", "embeddings"} <= names


def test_plot_has_a_bar_per_policy(results):
    _, svg = results
    for policy in POLICIES:
        assert svg.count(f">{policy}</text>") == 2
    assert "attention/softmax" in svg


def test_plot_scales_and_escapes():
    bars = (Bar("a<b", (("x", 1.0), ("", 3.0))), Bar("c", (("x", 2.0),)))
    svg = plot("title", [Panel("p", bars, lambda value: f"{value:g}")])
    assert "a&lt;b" in svg and "a<b" not in svg
    assert 'width="175.00"' in svg and 'width="525.00"' in svg and 'width="350.00"' in svg


@pytest.mark.parametrize("policy", ["uniform64", "ditto"])
def test_projection_is_what_a_larger_model_is_estimated_to_cost(policy):
    task = workload("bert-tiny", 3, 4)
    larger = estimate(ditto.compile(task.function, *task.shapes, policy=policy)).total
    projected = project("bert-tiny", 4, policy, 3)
    assert projected.bytes == pytest.approx(larger.bytes)
    assert projected.messages == pytest.approx(larger.messages, rel=0.1)
    assert projected.rounds == pytest.approx(larger.rounds, rel=0.1)


def test_workloads_have_published_shapes():
    task = workload("bert-base", 1, 128)
    assert task.full_layers == 12
    weights = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(task.shapes[0]["layers"]))
    assert weights == 7_087_872
    assert {"bert-large", "gpt2-base", "llama-7b"} <= set(MODELS)


@pytest.mark.parametrize("model", ["bert-tiny", "llama-tiny"])
def test_inputs_fit_the_shapes(model):
    task = workload(model, 1, 4)
    arguments = task.inputs(0)
    assert jax.tree.map(np.shape, arguments) == jax.tree.map(lambda leaf: leaf.shape, task.shapes)
    assert np.isfinite(jax.jit(task.function)(*arguments)).all()
    np.testing.assert_array_equal(task.inputs(0)[1], arguments[1])
    assert not np.array_equal(task.inputs(1)[1], arguments[1])


def test_unknown_model_is_an_error():
    with pytest.raises(DittoError, match="no model 'bert-bse'; did you mean 'bert-base'"):
        workload("bert-bse", 1, 4)


def test_projection_is_labelled_as_one():
    table = projection_table("bert-tiny", 4, ["spu", "mpcformer"], 12, None)
    assert "Projection to 12 layers" in table.title and "not run" in table.title
    # SPU's own program has no estimate.
    assert table.row_count == 1
