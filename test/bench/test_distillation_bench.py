"""The experiments' own parts: data, what is counted, and the command."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from ditto.bench.distillation import command, images, language
from ditto.bench.distillation.quadratic import quadratic_on_shares, quantized
from ditto.bench.distillation.sentences import quality, retrieval
from ditto.bench.distillation.texts import docstrings, sentences
from ditto_compiler.policy import form_of
from ditto_tools.cli import cli

RNG = np.random.default_rng(1)


def test_sentences_are_split_by_topic_and_none_is_in_both():
    split = sentences()
    assert len(split.training) > 1000
    assert len(split.held_out) > 100
    assert not set(split.training) & set(split.held_out)
    assert len(set(split.training)) == len(split.training)
    for sentence in split.held_out:
        assert 4 <= len(sentence.split()) <= 40
        assert sentence[0].isupper()
    assert sentences() == split


def test_docstrings_are_sentences_that_are_not_held_out():
    found, split = docstrings(), sentences()
    assert len(found) > 5000
    assert not set(found) & set(split.held_out)
    assert all(4 <= len(sentence.split()) <= 40 for sentence in found)
    assert docstrings() == found


def test_retrieval_is_of_other_rows():
    index = RNG.normal(size=(40, 8))
    index /= np.linalg.norm(index, axis=1, keepdims=True)
    assert retrieval(index[:10], index) == (1.0, 1.0)
    # The nearest other row, by hand.
    scores = index @ index.T - 2 * np.eye(40)
    second = np.argsort(-scores, axis=1)[:, 1]
    first, five = retrieval(index[second[:10]] * 0.5, index)
    assert first < 1.0
    assert five < 1.0
    found = quality(index * 3.0, index)
    assert found["cosine"] == pytest.approx(1.0)
    assert quality(-index, index)["cosine"] == pytest.approx(-1.0)


def test_perplexity_is_e_to_the_mean_loss():
    ids = RNG.integers(language.VOCABULARY, size=(2, language.LENGTH))
    flat = np.zeros((2, language.LENGTH, language.VOCABULARY))
    assert language.perplexity(flat, ids) == pytest.approx(language.VOCABULARY, rel=1e-4)
    sure = flat.copy()
    for row in range(2):
        sure[row, np.arange(language.LENGTH - 1), ids[row, 1:]] = 50.0
    assert language.perplexity(sure, ids) == pytest.approx(1.0, abs=1e-4)


def test_digits_are_all_there_once():
    training, test = images.digits()
    assert (len(training.images), len(test.images)) == (1257, 540)
    assert training.images.shape[1:] == (8, 8, 1)
    assert set(test.labels) == set(range(10))
    assert 0.0 == training.images.min() < training.images.max() == 1.0
    assert images.accuracy(np.eye(10)[test.labels], test.labels) == 1.0


def test_policies_have_quadratic_functions_and_their_own_rings():
    for policy in (quadratic_on_shares(), quantized(8)):
        assert form_of(policy.forms, "gelu", "") == "quad"
        assert form_of(policy.forms, "softmax", "") == "2quad_oneshot"
        assert form_of(policy.forms, "layer_norm", "") != "exact"
    assert quadratic_on_shares().beside == "shares"
    assert {rule.frac for rule in quantized(8).rules if rule.ring == 32} == {8}


def test_the_command_prints_and_writes_what_was_measured(monkeypatch, tmp_path):
    asked = []

    def measure(*, folder, progress):
        asked.append(folder)
        return [{"policy": "a", "MB": 1.25}, {"policy": "b", "MB": None, "s": 0.5}]

    monkeypatch.setitem(command.EXPERIMENTS, "images", ("Digits", measure))
    path = tmp_path / "found.json"
    arguments = ["bench", "distillation", "--experiments", "images", "--json", str(path)]
    done = CliRunner().invoke(cli, [*arguments, "--checkpoints", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Digits" in done.output
    assert "1.25" in done.output
    assert json.loads(path.read_text()) == {
        "images": [{"policy": "a", "MB": 1.25}, {"policy": "b", "MB": None, "s": 0.5}]
    }
    assert asked == [tmp_path / "images"]
    wrong = CliRunner().invoke(cli, ["bench", "distillation", "--experiments", "image"])
    assert wrong.exit_code != 0
    assert "did you mean 'images'" in f"{wrong.output}{wrong.exception}"
