"""A signal ends a `ditto` command at any moment: soon, without a word, and nothing stays behind."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test.support.processes import child_environment

import ditto

X = np.ones((64, 64), np.float32)


def slow(x):
    """Few ops, each of which takes seconds."""
    wide = jnp.broadcast_to(x[:1, :1], (6000, 6000))
    for _ in range(4):
        wide = wide @ wide
    return wide.sum()


def long(x):
    """Many ops."""

    def step(_, x):
        return jnp.exp(-jnp.abs(x)) / (x * x + 1.0)

    return jax.lax.fori_loop(0, 100_000, step, x)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Programs that take long."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "long.mlir").write_text(jax.jit(long).lower(X).as_text())
    (folder / "slow.mlir").write_text(jax.jit(slow).lower(X).as_text())
    np.savez(folder / "x.npz", X)
    ditto.compile(long, X, policy="uniform64").save(folder / "long.ditto")
    return folder


class Command:
    """A running `ditto`, as the leader of a group as in a terminal, and its folder for temporary files."""

    def __init__(self, folder, temporary, *arguments):
        self.temporary = Path(temporary)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ditto_tools", *arguments],
            cwd=folder,
            env=child_environment(TMPDIR=temporary),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def children(self):
        found = []
        for listed in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, listed.read_text().split())
        return found

    def wait_until(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)


def loads(command):
    command.wait_until(lambda: "jaxlib" in Path(f"/proc/{command.process.pid}/maps").read_text())


def has_a_program_read(command):
    command.wait_until(command.children)


def is_in_a_library(command):
    """XLA computes, and Python's handlers wait for it."""
    has_a_program_read(command)
    command.wait_until(lambda: not command.children())
    time.sleep(1)


def starts_parties(command):
    command.wait_until(lambda: len(command.children()) >= 2)


def runs_parties(command):
    command.wait_until(lambda: list(command.temporary.glob("ditto-*/p*.sock")))
    time.sleep(1)


COMPILE = ("compile", "long.mlir", "-o", "out.ditto")
CALIBRATE = ("calibrate", "slow.mlir", "x.npz", "-o", "out.json")
RUN = ("run", "long.ditto", "x.npz")


@pytest.mark.parametrize(
    ("arguments", "moment", "number"),
    [
        (COMPILE, loads, signal.SIGINT),
        (RUN, loads, signal.SIGTERM),
        (COMPILE, has_a_program_read, signal.SIGINT),
        (CALIBRATE, is_in_a_library, signal.SIGTERM),
        (RUN, starts_parties, signal.SIGTERM),
        (RUN, runs_parties, signal.SIGINT),
        (RUN, runs_parties, signal.SIGTERM),
    ],
)
def test_a_signal_ends_it(models, arguments, moment, number):
    with tempfile.TemporaryDirectory(prefix="t-") as temporary:
        before = set(os.listdir(models))
        command = Command(models, temporary, *arguments)
        moment(command)
        children = command.children()
        # An interrupt from the terminal goes to the whole group, and is often repeated.
        if number == signal.SIGINT:
            os.killpg(command.process.pid, number)
        command.process.send_signal(number)
        said = command.process.communicate(timeout=30)[1]
        assert (command.process.returncode, said) == (128 + number, "")
        assert os.listdir(temporary) == []
        assert set(os.listdir(models)) == before
        deadline = time.monotonic() + 20
        while any(map(is_running, children)):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_ends_although_cleaning_up_never_does(tmp_path):
    """Whatever keeps the main thread busy."""
    script = """
import signal, sys, time
from ditto_tools.signals import Interruption
interruption = Interruption()
interruption.unwind(lambda: print("cleaned up", flush=True))
try:
    signal.raise_signal(signal.SIGTERM)
finally:
    while True:
        time.sleep(1)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (143, "cleaned up\n", "")


def test_what_cannot_be_raised_is_not_printed():
    """Python prints what a finalizer raises, and goes on."""
    script = """
import signal
from ditto_tools.signals import Interruption
interruption = Interruption()
interruption.unwind(lambda: None)
class Deaf:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
Deaf()
interruption.finish()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
