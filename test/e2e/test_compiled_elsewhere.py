"""Programs that the compiler made alone, in a process of its own, run among three parties here.

`make newest` has them made with the newest JAX: DITTO_COMPILER_PYTHON is the Python that has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import compile_alone
import jax
import numpy as np
import pytest

import ditto
from ditto_compiler.report import render

TASKS = compile_alone.TASKS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    python = os.environ.get("DITTO_COMPILER_PYTHON", sys.executable)
    subprocess.run([python, compile_alone.__file__, str(folder)], check=True, timeout=250)
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_three_parties_run_it(made: Path, name: str, cluster: ditto.LocalCluster) -> None:
    program = ditto.Program.load(made / f"{name}.ditto")
    arrays = np.load(made / f"{name}.npz")
    inputs = [arrays[f"in{number}"] for number in range(len(TASKS[name].arguments))]
    expected = [arrays[key] for key in arrays if key.startswith("out")]
    for found in (cluster.run(program, *inputs), ditto.simulate(program, *inputs).outputs):
        results = jax.tree.leaves(found)
        assert len(results) == len(expected)
        for ours, jaxs in zip(results, expected, strict=True):
            assert ours.dtype == jaxs.dtype and ours.shape == jaxs.shape
            if ours.dtype.kind == "f":
                np.testing.assert_allclose(ours, jaxs, atol=0.02, rtol=0)
            else:
                np.testing.assert_array_equal(ours, jaxs)


@pytest.mark.parametrize("name", TASKS)
def test_it_is_recognised_and_costs_what_it_costs_here(made: Path, name: str) -> None:
    """However JAX spells it by now."""
    task = TASKS[name]
    found: dict[str, Any] = json.loads((made / "found.json").read_text())[name]
    assert set(task.written) <= set(found["recognized"])
    assert [found["recognized"].count(one) for one in task.written] == [
        task.written.count(one) for one in task.written
    ]
    here = ditto.compile(task.fn, *task.arguments, visibility=task.visibility)
    own = json.loads(render(here, "json", ("lan",)))["total"]
    for what in ("bytes", "rounds"):
        assert found[what] <= own[what] * 1.1, what
