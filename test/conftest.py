"""One cluster for all tests that run programs: starting three parties takes seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import ditto

# What is computed here does not depend on what was computed before.
os.environ["DITTO_CACHE"] = ""


@pytest.fixture(scope="session")
def cluster() -> Iterator[ditto.LocalCluster]:
    import ditto  # not where the compiler is alone

    with ditto.LocalCluster(timeout=120) as running:
        yield running
