"""One cluster for all tests that run programs: starting three parties takes seconds."""

from collections.abc import Iterator

import pytest

import ditto


@pytest.fixture(scope="session")
def cluster() -> Iterator[ditto.LocalCluster]:
    with ditto.LocalCluster(timeout=120) as running:
        yield running
