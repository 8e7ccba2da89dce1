"""Program files that older dittos wrote still run, and compute what they did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ditto
from ditto_compiler.program_file import VERSION

FILES = Path(__file__).resolve().parents[1] / "compiler" / "programs"


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_three_parties_run_them(version: int, cluster: ditto.LocalCluster) -> None:
    program = ditto.Program.load(FILES / f"v{version}.ditto")
    # Within the ranges that version 3 guards.
    x = np.array([[0.5, 0.5, 0.5], [0.25, -0.5, 0.125]], np.float32)
    w = np.array([[-0.5, 0.2, 0.3, 0.5], [-0.4, -0.2, 0.4, 0.5], [-0.3, 0.1, -0.2, 0.5]], np.float32)
    b = np.array([-0.25, -0.2, -0.15, -0.17], np.float32)
    expected = np.maximum(x @ w + b, 0)
    assert 0 < np.count_nonzero(expected) < expected.size
    # Inputs of 10 fraction bits; products truncated to as many.
    np.testing.assert_allclose(cluster.run(program, x, w, b), expected, atol=2**-7, rtol=0)
