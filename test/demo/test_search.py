"""The demo on the real model: the one test that needs the 83 MB package."""

import numpy as np
import pytest

import ditto
from ditto.demo.corpus import QUERIES, SENTENCES
from ditto.demo.search import rank, result_table, search
from ditto.models.minilm import load_minilm


def searched(*policies):
    model = load_minilm()  # its error says how to install the package
    reports = []
    with ditto.LocalCluster(timeout=300) as cluster:
        result = search(model, QUERIES[0].text, policies, cluster, lambda *event: reports.append(event))
    return (*result, reports)


@pytest.fixture(scope="module")
def outcome():
    return searched("uniform64", "ditto")


def test_private_search_agrees_with_plaintext_and_mixed_rings_send_less(outcome):
    plain_ranking, outcomes, _ = outcome
    assert plain_ranking[0] == QUERIES[0].answer
    wide, mixed = outcomes
    assert (wide.policy, mixed.policy) == ("uniform64", "ditto")
    for found in outcomes:
        assert found.ranking == plain_ranking
        assert found.agreement == len(SENTENCES)
        assert found.cosine >= 0.99
    assert mixed.stats.bytes < wide.stats.bytes


def test_the_plan_sends_less_yet(outcome):
    _, (_, mixed), _ = outcome
    plain_ranking, (planned,), _ = searched("plan")
    assert planned.ranking == plain_ranking
    assert planned.stats.bytes < 0.85 * mixed.stats.bytes
    # It was asked for on other sentences.
    assert planned.cosine >= 0.999


def test_progress_is_reported_for_each_policy(outcome):
    _, _, reports = outcome
    assert {policy for policy, *_ in reports} == {"uniform64", "ditto"}
    assert [doing for policy, doing, *_ in reports if policy == "ditto"][-1] == "done"


def test_the_table_has_a_row_per_policy(outcome):
    plain_ranking, outcomes, _ = outcome
    assert result_table(plain_ranking, outcomes).row_count == 1 + len(outcomes)


def test_rank_puts_the_nearest_first():
    corpus = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    assert rank(np.array([0.0, 1.0]), corpus) == [2, 1, 0]
