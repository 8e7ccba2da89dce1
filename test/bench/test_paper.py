"""`ditto bench paper`: counts are what runs send, projections what whole models count, errors are clear."""

import dataclasses
import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from click.testing import CliRunner

import ditto
from ditto.bench import paper
from ditto.bench.paper import TABLES, Experiment, compiled, count_rows, main, whole_model
from ditto.bench.workloads import FAMILIES
from ditto_compiler.errors import DittoError
from ditto_tools.cli import cli
from ditto_tools.paper_page import paper_page

COMMITTED = sorted((Path(__file__).parents[2] / "docs" / "reference" / "paper").glob("*.json"))


def quiet(text: str) -> None:
    pass


@pytest.mark.parametrize("name", ["bert-tiny", "llama-tiny"])
def test_whole_models_are_counted_to_the_byte(name, monkeypatch):
    program = compiled(whole_model(name, None, 4), "ditto")
    monkeypatch.setattr(paper, "compiled", lambda model, policy: program)
    (row,) = count_rows(name, 4, ["ditto"], quiet)
    model = whole_model(name, None, 4)
    arguments = model.inputs(3)
    with ditto.LocalCluster() as cluster:
        logits = cluster.run(program, *arguments)
        stats = cluster.stats
    assert row["bytes"] == {"value": stats.bytes, "how": "counted"}
    assert row["messages"] == {"value": stats.messages, "how": "counted"}
    assert row["rounds"]["value"] == stats.beside_rounds
    np.testing.assert_allclose(logits, model.function(*arguments), atol=0.01)


def test_a_projection_is_what_the_whole_model_counts(monkeypatch):
    """Without ranges all layers are alike."""
    deep = dataclasses.replace(FAMILIES["gpt2"].presets["base"], num_hidden_layers=4, vocab_size=16)
    deep = dataclasses.replace(deep, hidden_size=16, num_attention_heads=2, intermediate_size=32)
    family = dataclasses.replace(FAMILIES["gpt2"], presets={"deep": deep})
    monkeypatch.setattr(paper, "FAMILIES", MappingProxyType({"gpt2": family}))
    (counted,) = count_rows("gpt2-deep", 4, ["puma"], quiet)
    monkeypatch.setattr(paper, "COUNTED_LAYERS", 3)
    (projected,) = count_rows("gpt2-deep", 4, ["puma"], quiet)
    for what in ("bytes", "messages", "rounds"):
        assert counted[what]["how"] == "counted" and projected[what]["how"] == "projected"
        assert counted[what]["value"] == projected[what]["value"], what
    assert projected["layers"] == 4


def test_layers_are_measured_over_each_network(monkeypatch, tmp_path):
    tables = {4: Experiment("Tiny", (("bert-tiny", 4),), ("puma", "ditto"), measured=True)}
    monkeypatch.setattr(paper, "TABLES", tables)
    main(4, [], ["ditto"], 1, tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_text())
    (row,) = document["rows"]
    assert row["bytes"]["how"] == row["seconds"]["lan"]["how"] == "measured"
    assert row["seconds"]["wan"]["value"] > row["seconds"]["lan"]["value"]
    assert row["error"]["value"] < 0.01
    assert document["command"] == "ditto bench paper --table 4 --policies ditto --rounds 1"
    assert document["machine"]["cores"] and document["machine"]["versions"]["spu"] == "0.9.5"
    assert f"{row['seconds']['wan']['value']:.2f} m" in paper_page(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "7"], "there is no table 7 (1: Whole models;"),
        (["--table", "1", "--policies", "dito"], "no policy 'dito'; did you mean 'ditto'?"),
        (["--table", "3", "--models", "bert-base"], "table 3 has no model 'bert-base', but llama-7b"),
        (["--table", "4", "--rounds", "0"], "rounds must be 1 or more, got 0"),
    ],
)
def test_errors(arguments, message):
    result = CliRunner().invoke(cli, ["bench", "paper", *arguments])
    assert isinstance(result.exception, DittoError)
    assert message in str(result.exception)


@pytest.mark.parametrize("arguments", [["--table", "4"], ["--table", "3", "--policies", "ditto"]])
def test_too_little_memory_is_an_error_before_anything_is_begun(arguments, monkeypatch):
    monkeypatch.setattr(paper, "free_memory", lambda: 100 << 20)
    monkeypatch.setattr(paper, "compiled", lambda *_: pytest.fail("was begun"))
    monkeypatch.setattr(paper, "measure", lambda *_: pytest.fail("was begun"))
    result = CliRunner().invoke(cli, ["bench", "paper", *arguments])
    assert isinstance(result.exception, DittoError)
    assert "GB of memory for" in str(result.exception) and "0 GB are free" in str(result.exception)


def test_a_preset_that_cannot_has_its_reason():
    (row,) = count_rows("bert-tiny", 4, ["uniform32"], quiet)
    assert "but the engine runs it only in ring 64 or 128" in row["cannot"]
    assert "bytes" not in row


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_numbers_are_of_the_command_they_name(path):
    document = json.loads(path.read_text())
    about = TABLES[document["table"]]
    assert document["command"].startswith(f"ditto bench paper --table {document['table']}")
    assert {(row["model"], row["tokens"]) for row in document["rows"]} <= set(about.subjects)
    for row in document["rows"]:
        if "cannot" not in row:
            hows = {row[what]["how"] for what in ("bytes", "messages", "rounds")}
            hows |= {known["how"] for known in row["seconds"].values()}
            assert hows <= {"counted", "projected", "measured"}
            assert ("measured" in hows) == about.measured
