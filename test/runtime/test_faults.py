"""Faults of each kind at some moment: one clear error, soon, and then all is as before."""

import random

import pytest
from test.support.faults import HostTrials, LocalTrials


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    trials = HostTrials(tmp_path_factory.mktemp("faults"), timeout=4)
    yield trials
    assert trials.close() == []


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    trials = LocalTrials(tmp_path_factory.mktemp("faults"), timeout=4)
    yield trials
    assert trials.close() == []


@pytest.mark.parametrize(
    ("kind", "moment"),
    [
        ("kill child", "beside another"),
        ("kill server", "middle"),
        ("stop server", "sharing"),
        ("full disk child", "idle"),
        ("full disk server", "depositing"),
        ("no files server", "connecting"),
        ("cut link", "late"),
        ("silent link", "connecting"),
        ("caller killed", "sharing"),
        ("caller resets", "early"),
    ],
)
def test_hosts(hosts, kind, moment):
    assert hosts.trial(kind, moment, random.Random(f"{kind} {moment}")).problems == []


@pytest.mark.parametrize(
    ("kind", "moment"), [("kill relay", "idle"), ("stop child", "sharing"), ("stop relay", "early")]
)
def test_local(local, kind, moment):
    assert local.trial(kind, moment, random.Random(f"{kind} {moment}")).problems == []
