"""One cluster for all tests that run programs: starting three parties takes seconds."""

import os
from collections.abc import Iterator

import pytest

import ditto

# What is computed here does not depend on what was computed before.
os.environ["DITTO_CACHE"] = ""


@pytest.fixture(scope="session")
def cluster() -> Iterator[ditto.LocalCluster]:
    with ditto.LocalCluster(timeout=120) as running:
        yield running
