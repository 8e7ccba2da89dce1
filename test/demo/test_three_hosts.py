"""The demo on three hosts, and that it notices when anything is wrong."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ditto.demo import digits, three_hosts
from ditto.demo.three_hosts_roles import ANSWERS_FILE, IMAGES_FILE, TRUTH, WEIGHTS_FILE
from ditto_compiler.processes import child_environment


@pytest.fixture
def short():
    """A folder with a short path, for sockets."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        yield Path(folder)


def test_the_demo(short):
    done = subprocess.run(
        [sys.executable, "-m", "ditto_tools", "demo-hosts"],
        env=child_environment(TMPDIR=str(short)),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for name in TRUTH:
        assert f"{name}'s answers differ from plain JAX by at most" in done.stdout
    assert done.stdout.count("4 of 4 digits are right") == len(TRUTH)
    assert "all three parties refused lab the weights" in done.stdout
    assert list(short.iterdir()) == []


@pytest.fixture(scope="module")
def trained():
    return digits.train(np.random.default_rng(0))


def test_the_network_reads_digits(trained):
    assert trained[1] > 0.9


@pytest.mark.parametrize("error", [0.0, 0.02, np.nan])
def test_answers_are_compared_with_plain_jax(tmp_path, trained, error):
    weights, _ = trained
    (tmp_path / "model").mkdir()
    np.savez(tmp_path / "model" / WEIGHTS_FILE, **weights)
    for name, truth in TRUTH.items():
        (tmp_path / name).mkdir()
        x = digits.images(np.random.default_rng(1), np.array(truth))
        np.save(tmp_path / name / IMAGES_FILE, x)
        np.save(tmp_path / name / ANSWERS_FILE, np.asarray(digits.read_digits(weights, x)) + error)
    if error == 0:
        assert all(found == 0 for _, found in three_hosts._compare(tmp_path).values())
        return
    with pytest.raises(three_hosts.DemoError, match="answers differ from plain JAX"):
        three_hosts._compare(tmp_path)


def test_a_process_that_fails_is_noticed(short):
    """A party without a hosts file."""
    (short / "party0").mkdir()
    stage = three_hosts._Stage(short, Console(file=io.StringIO()))
    try:
        stage.start("party0")
        with pytest.raises(three_hosts.DemoError, match=r"party0 ended without 'waits': .*hosts\.toml"):
            stage.heard("party0", "waits")
        with pytest.raises(three_hosts.DemoError, match="party0 ended with 1"):
            stage.end("party0")
    finally:
        stage.close()
