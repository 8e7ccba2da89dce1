"""What a caller sees when things go wrong: one clear error, soon, and nothing left behind."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto_compiler.network import PARTIES

X = np.ones((64, 64), np.float32)


def children() -> set[int]:
    """Process ids of this process's children."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return {int(word) for word in file.read().split()}


@pytest.fixture(scope="module")
def long_program():
    """Runs for longer than any of the tests below wait."""

    def f(x):
        for _ in range(400):
            x = jnp.exp(-jnp.abs(x)) / (x * x + 1.0)
        return x

    return ditto.compile(f, X, policy="uniform64")


@pytest.mark.parametrize("victim", range(PARTIES))
def test_a_killed_party_is_noticed_at_once(long_program, victim):
    before = children()
    with ditto.LocalCluster(timeout=60) as cluster:
        victim_pid = cluster.pids[victim]
        threading.Timer(1.0, lambda: os.kill(victim_pid, signal.SIGKILL)).start()
        start = time.monotonic()
        with pytest.raises(ditto.ClusterError, match=rf"P{victim} died by signal 9"):
            cluster.run(long_program, X)
        assert time.monotonic() - start < 30
    assert children() == before


def test_a_run_beyond_the_time_out_ends(long_program):
    before = children()
    with ditto.LocalCluster(timeout=60) as cluster:
        cluster.timeout = 2.0
        with pytest.raises(ditto.ClusterError, match="time-out of 2 s"):
            cluster.run(long_program, X)
        assert children() == before
        # The cluster is usable again: it starts new parties.
        cluster.timeout = 60.0
        program = ditto.compile(lambda x: x + 1.0, X, policy="uniform64")
        np.testing.assert_array_equal(cluster.run(program, X), X + 1)
    assert children() == before


def test_parties_end_with_their_caller():
    """Even when the caller is killed and cannot say goodbye."""
    script = """
import os, signal, ditto
cluster = ditto.LocalCluster(timeout=60)
cluster.start()
print(*cluster.pids, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    caller = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=60)
    assert caller.returncode == -signal.SIGKILL
    parties = [int(word) for word in caller.stdout.split()]
    assert len(parties) == PARTIES
    deadline = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{party}") and not _is_zombie(party) for party in parties):
        assert time.monotonic() < deadline, "a party outlived its caller"
        time.sleep(0.05)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture(scope="module")
def cluster():
    with ditto.LocalCluster(timeout=60) as running:
        yield running


@pytest.fixture(scope="module")
def program():
    def f(params, x):
        return params["w"] * x

    return ditto.compile(f, {"w": np.ones(3, np.float32)}, np.ones(3, np.float32), policy="uniform64")


GOOD = np.ones(3, np.float32)

BAD_ARGUMENTS = {
    "too few": (({"w": GOOD},), "expected 2 entries, got 1"),
    "wrong shape": (({"w": GOOD}, np.ones(4, np.float32)), r"input 1: expected shape \(3,\), got \(4,\)"),
    "wrong dtype": (({"w": GOOD}, np.ones(3, np.int32)), "expected dtype float32, got int32"),
    "wrong key": (({"v": GOOD}, GOOD), r"missing \['w'\], unexpected \['v'\]"),
    "array for dict": ((GOOD, GOOD), "expected a dict"),
    "not a number": (({"w": GOOD}, np.float32([1, np.nan, 1])), r"nan at index \(1,\) does not fit"),
    "infinite": (({"w": GOOD}, np.float32([1, np.inf, 1])), r"inf at index \(1,\) does not fit"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_wrong_arguments_are_refused_before_anything_is_sent(cluster, program, case):
    arguments, message = BAD_ARGUMENTS[case]
    processes = cluster.pids
    with pytest.raises(ditto.DittoError, match=message):
        cluster.run(program, *arguments)
    assert cluster.pids == processes
    np.testing.assert_allclose(cluster.run(program, {"w": GOOD}, GOOD), 1, atol=2**-15)


@pytest.mark.parametrize("more", range(0, 12, 2))
def test_parties_that_cannot_be_started(more):
    """For want of file descriptors, which ends at some place of the start or other."""
    before, opened = children(), len(os.listdir("/proc/self/fd"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = sorted(set(range(limits[0])).difference(map(int, os.listdir("/proc/self/fd"))))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[more], limits[1]))
    try:
        with pytest.raises(ditto.DittoError, match=r"^cannot .*Too many open files"):
            ditto.LocalCluster(timeout=60, network="lan").start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert children() == before
    # Older ones leave pipes open when they cannot start a process (CPython's issue 87474).
    if sys.version_info >= (3, 11, 4):
        assert len(os.listdir("/proc/self/fd")) == opened


def test_an_error_of_the_engine_reaches_the_caller(program):
    region = next(iter(program.regions.values()))
    broken = program.replace(regions={region.name: type(region)(region.name, 64, 18, "module { nonsense }")})
    with ditto.LocalCluster(timeout=60) as own, pytest.raises(ditto.ClusterError, match="region r0"):
        own.run(broken, {"w": GOOD}, GOOD)


def test_a_nonsensical_time_out_is_refused():
    for timeout in (0, -1.0, float("nan"), float("inf"), "soon"):
        with pytest.raises(ditto.DittoError, match="timeout must be a number of seconds in"):
            ditto.LocalCluster(timeout=timeout)


def test_shares_look_nothing_like_the_input(cluster, program):
    """What a single party gets of an all-ones input is uniform: no byte value stands out."""
    from ditto.runtime.protocols.sharing import encode, share
    from ditto_compiler.encoding import Fxp

    slots = share(encode(np.ones(20000, np.float32), Fxp(64, 18)), 64)
    for party in slots:
        counts = np.bincount(np.ascontiguousarray(party).view(np.uint8).ravel(), minlength=256)
        expected = counts.sum() / 256
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 400  # 255 degrees of freedom: mean 255, deviation 22.6


def test_progress_reaches_the_last_step(cluster, program):
    seen = []
    cluster.run(program, {"w": GOOD}, GOOD, progress=lambda done, total: seen.append((done, total)))
    assert seen and seen[-1] == (len(program.steps), len(program.steps))


def test_no_file_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    program = ditto.compile(lambda x: x + x, X, policy="uniform64")
    with ditto.LocalCluster(timeout=60) as cluster:
        cluster.run(program, X)
        assert os.listdir(tmp_path)
        os.kill(cluster.pids[0], signal.SIGKILL)
        with pytest.raises(ditto.ClusterError):
            cluster.run(program, X)
        assert os.listdir(tmp_path) == []
        cluster.run(program, X)
    assert os.listdir(tmp_path) == []


def test_programs_make_room_for_others(monkeypatch):
    """Those that were not used for longest are loaded again, when they are; kept arrays stay."""
    x = np.float32([1.0, -2.0])
    programs = [ditto.compile(lambda x, n=n: x * n, x) for n in range(4)]
    monkeypatch.setattr(ditto.runtime.caller.cluster, "MAX_PROGRAMS", 2)
    with ditto.LocalCluster(timeout=60) as cluster:
        sent = []
        send_all = cluster._parties.send_all

        def heard(header, buffers=()):
            sent.append((header["command"], header.get("digest")))
            send_all(header, buffers)

        monkeypatch.setattr(cluster._parties, "send_all", heard)
        kept = cluster.run(programs[1], x, keep=True)
        for n in (0, 1, 2, 1, 3, 2):
            np.testing.assert_allclose(cluster.run(programs[n], kept), x * n, atol=2**-8)
    name = {program.digest: n for n, program in enumerate(programs)}
    loads = [(command, name[digest]) for command, digest in sent if "load" in command]
    assert loads == [
        *(("load", 1), ("load", 0)),
        *(("unload", 0), ("load", 2)),
        *(("unload", 2), ("load", 3)),
        *(("unload", 1), ("load", 2)),
    ]
