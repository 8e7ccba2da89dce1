"""What a party gives away to others on its machine: no port, no memory, and nothing runs in its place."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from test.support.processes import child_environment

import ditto
from ditto_compiler.processes import child_environment as environment_of_children
from ditto_compiler.processes import python_command

X = np.ones((2, 2), np.float32)

PLANTED = ("ditto", "ditto_compiler", "json", "numpy", "spu")
"""Modules that a party imports, as files of a stranger's."""


def run(script, **options):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_imported_from_the_current_folder(tmp_path):
    """Neither by parties nor by those that read programs and compile for stock SPU."""
    (tmp_path / "lib").mkdir()
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'proof')!r}, 'a').write('{name} ')")
    found = run(
        f"""
import json, os, pathlib, jax, numpy as np, ditto
from ditto.baseline import compile_stock
del os.environ["PYTHONSAFEPATH"]
os.environ["PYTHONPATH"] = ":lib::" + {child_environment()["PYTHONPATH"]!r}
x = np.full((2, 2), 0.5, np.float32)
model = pathlib.Path("model.mlir")
model.write_text(jax.jit(lambda x: x @ x).lower(x).as_text())
programs = [ditto.compile(model), compile_stock(lambda x: x @ x, x)]
with ditto.LocalCluster(timeout=60) as cluster:
    print(json.dumps([np.asarray(cluster.run(program, x)).tolist() for program in programs]))
""",
        cwd=tmp_path,
        env=child_environment(PYTHONSAFEPATH="1"),
    )
    assert not (tmp_path / "proof").exists(), (tmp_path / "proof").read_text()
    np.testing.assert_allclose(json.loads(found), 0.5, atol=2**-8)


def test_modules_are_found_wherever_the_process_goes(tmp_path, monkeypatch):
    """A relative entry means what it meant for the caller."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "found.py").write_text("print('found')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f":lib:{os.pathsep}")
    command, environment = python_command("found"), environment_of_children()
    assert environment["PYTHONPATH"] == str(tmp_path / "lib")
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60)
    assert done.stdout == "found\n"
    monkeypatch.setenv("PYTHONPATH", ":")
    assert "PYTHONPATH" not in environment_of_children()


def test_parties_dump_no_core(cluster):
    cluster.start()
    for pid in cluster.pids:
        with open(f"/proc/{pid}/limits") as file:
            (line,) = [line for line in file if line.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]


def test_memory_is_protected_and_its_peak_still_known():
    """As a user without privileges, to whom the process's own files are closed then."""
    script = """
import ctypes, os, resource, numpy
from ditto.runtime.party.memory import PeakMemory, protect_memory
prctl = ctypes.CDLL(None).prctl
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
    prctl(4, 1, 0, 0, 0)  # as a process that this user has started
peak = PeakMemory()
protect_memory()
try:
    open("/proc/self/clear_refs", "w")
    print("open")
except PermissionError:
    print("closed")
print(prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
block = numpy.ones(1 << 24)
high = peak.read()
del block
peak.forget()
print(high - peak.read() > 1 << 26)
"""
    assert run(script).split() == ["closed", "0", "0", "0", "True"]


def test_peak_memory_is_that_of_the_run(cluster):
    small, large = np.ones((2, 2), np.float32), np.ones((1 << 21,), np.float32)
    programs = [ditto.compile(lambda x: x * x, x, policy="uniform64") for x in (large, small)]
    peaks = []
    for program, x in zip(programs, (large, small), strict=True):
        cluster.run(program, x)
        peaks.append(cluster.stats.peak_memory)
    assert peaks[0] - peaks[1] > large.size * 16


SPY = """
import glob, json, os, threading, time

def listening():
    inodes = set()
    for link in glob.glob("/proc/self/fd/*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/self/net/{table}") as file:
            found += [line for line in list(file)[1:] if line.split()[9] in inodes]
    with open("/proc/self/net/unix") as file:
        sockets = [line.split() for line in list(file)[1:]]
    paths = [fields[7] for fields in sockets if fields[6] in inodes and len(fields) > 7]
    return {"internet": found, "unix": paths}

def answer():
    while not os.path.exists(os.environ["SPY"] + "/ask"):
        time.sleep(0.02)
    path = f"{os.environ['SPY']}/{os.getpid()}"
    with open(path + ".new", "w") as file:
        json.dump(listening(), file)
    os.rename(path + ".new", path)

threading.Thread(target=answer, daemon=True).start()
"""


@pytest.mark.parametrize("network", [None, "lan"])
def test_parties_have_no_socket_of_the_internet(tmp_path, monkeypatch, network):
    """They say so themselves, for nobody else may look."""
    (tmp_path / "sitecustomize.py").write_text(SPY)
    monkeypatch.setenv("SPY", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{child_environment()['PYTHONPATH']}")
    program = ditto.compile(lambda x: x @ x, X)
    with ditto.LocalCluster(timeout=60, network=network) as cluster:
        cluster.run(program, X)
        (tmp_path / "ask").touch()
        deadline = time.monotonic() + 20
        for rank, pid in enumerate(cluster.pids):
            while not (tmp_path / str(pid)).exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            found = json.loads((tmp_path / str(pid)).read_text())
            assert found["internet"] == []
            # That the spy sees sockets at all.
            assert any(path.endswith(f"/p{rank}.sock") for path in found["unix"])


def test_an_interrupt_from_the_terminal_reaches_only_the_caller():
    script = """
import os, signal, time, ditto
cluster = ditto.LocalCluster(timeout=60, network="lan")
cluster.start()
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.killpg(0, signal.SIGINT)
time.sleep(0.2)
import numpy as np
x = np.ones(2, np.float32)
print(cluster.run(ditto.compile(lambda x: x + x, x, policy="uniform64"), x))
cluster.close()
"""
    assert run(script, start_new_session=True) == "[2. 2.]\n"
