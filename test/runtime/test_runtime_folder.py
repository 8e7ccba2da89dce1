"""Folders of running processes: whose they are, and that they go with their processes."""

import os
import signal
import stat
import subprocess
import sys
import tempfile

import pytest

import ditto
from ditto.runtime.transport import runtime_folder
from ditto.runtime.transport.runtime_folder import RuntimeFolder, RuntimeFolderError


@pytest.fixture
def parent(monkeypatch):
    """The folder for temporary files, with a path that is short enough."""
    with tempfile.TemporaryDirectory(prefix="t-", dir=tempfile.gettempdir()) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield folder


def killed(script):
    """Runs a process that prints a line and kills itself; what it printed."""
    script += "\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    return done.stdout.strip()


LEAVES_A_FOLDER = """
from ditto.runtime.transport.runtime_folder import RuntimeFolder
folder = RuntimeFolder()
(folder.path / "sub").mkdir()
(folder.path / "sub" / "file").touch()
(folder.path / "link").symlink_to("/")
print(folder.path, flush=True)
"""


def test_it_is_its_users_alone_and_goes_when_it_is_closed(parent):
    with RuntimeFolder() as folder, RuntimeFolder() as other:
        assert sorted(os.listdir(parent)) == sorted([folder.path.name, other.path.name])
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        (folder.path / "sub").mkdir()
    assert os.listdir(parent) == []
    folder.close()


def test_it_goes_with_its_process(parent):
    script = "from ditto.runtime.transport.runtime_folder import *; folder = RuntimeFolder()"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert os.listdir(parent) == []


def test_all_of_a_process_can_be_closed(parent):
    """In a process of its own, for others of this one's are in use."""
    script = """
import os, tempfile
from ditto.runtime.transport.runtime_folder import RuntimeFolder, close_all
folders = [RuntimeFolder() for _ in range(2)]
before = len(os.listdir(tempfile.gettempdir()))
close_all()
after = os.listdir(tempfile.gettempdir())
folders[0].close()
print(before, after)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("2 []\n", "")


def test_what_a_killed_cluster_leaves_is_removed_by_the_next(parent):
    left = killed("""
import ditto
cluster = ditto.LocalCluster(timeout=60, network="lan")
cluster.start()
print(cluster._parties._folder.path, flush=True)
""")
    with RuntimeFolder() as alive:
        assert sorted(os.listdir(parent)) == [alive.path.name]
        again = killed(LEAVES_A_FOLDER)
        assert os.path.exists(f"{again}/sub/file") and not os.path.exists(left)
        with ditto.LocalCluster(timeout=60):
            assert not os.path.exists(again)
            assert alive.path.exists() and len(os.listdir(parent)) == 2
    assert os.listdir(parent) == []
    assert os.path.exists("/proc")


def test_what_is_not_ours_stays(parent):
    """Another program's, one that has just been made, and what only looks like a folder."""
    theirs = ["ditto-bare", "ditto-other", "ditto-early", "ditto-linked"]
    for name in theirs:
        os.mkdir(f"{parent}/{name}")
    with open(f"{parent}/ditto-other/lock", "w") as lock:
        lock.write("of another program")
    with open(f"{parent}/ditto-early/lock.new", "w"):
        pass
    left = killed(LEAVES_A_FOLDER)
    os.symlink(f"{left}/lock", f"{parent}/ditto-linked/lock")
    os.rename(left, f"{parent}/elsewhere")
    os.symlink(f"{parent}/elsewhere", f"{parent}/ditto-symlink")
    os.mkfifo(f"{parent}/ditto-pipe")
    before = sorted(os.listdir(parent))
    RuntimeFolder().close()
    assert sorted(os.listdir(parent)) == before
    assert os.path.exists(f"{parent}/elsewhere/sub/file")


def test_what_is_another_users_stays(parent, monkeypatch):
    left = killed(LEAVES_A_FOLDER)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    RuntimeFolder().close()
    monkeypatch.undo()
    assert os.path.exists(left)


def test_a_forked_process_leaves_it_alone(parent):
    script = """
import os
from ditto.runtime.transport.runtime_folder import RuntimeFolder, close_all
with RuntimeFolder() as folder:
    (folder.path / "p0.sock").touch()
    if (pid := os.fork()) == 0:
        close_all()
        folder.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert (folder.path / "p0.sock").exists()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert os.listdir(parent) == []


def test_many_start_at_once(parent):
    """None removes another's, at whatever moment."""
    script = """
from ditto.runtime.transport.runtime_folder import RuntimeFolder
for _ in range(60):
    with RuntimeFolder() as folder:
        (folder.path / "file").touch()
        assert (folder.path / "lock").exists()
"""
    killed(LEAVES_A_FOLDER)
    racers = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [racer.wait(timeout=60) for racer in racers] == [0, 0, 0]
    assert os.listdir(parent) == []


def test_a_path_that_is_too_long_for_sockets(parent, monkeypatch):
    long = f"{parent}/{'x' * 80}"
    os.mkdir(long)
    monkeypatch.setattr(tempfile, "tempdir", long)
    with pytest.raises(RuntimeFolderError, match=r"too long for them: .*; set TMPDIR to a shorter one"):
        ditto.LocalCluster().start()
    assert os.listdir(long) == []


def test_no_place(parent, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", f"{parent}/absent")
    with pytest.raises(RuntimeFolderError, match=r"cannot make a folder .*\[Errno 2\].*; TMPDIR says where"):
        ditto.LocalCluster().start()


def test_what_cannot_be_removed_yet_is_tried_again(parent, monkeypatch):
    folder = RuntimeFolder()
    (folder.path / "sub").mkdir()
    monkeypatch.setattr(runtime_folder.shutil, "rmtree", lambda path, ignore_errors: None)
    folder.close()
    assert os.listdir(parent) == [folder.path.name]
    monkeypatch.undo()
    runtime_folder._remove_what_is_left(folder.path.parent)
    assert not folder.path.exists()


def test_parties_do_without_jax() -> None:
    """Which SPU's package imports; it finds the same library if it is imported later."""
    code = (
        "import sys, ditto.runtime.party.process as p;"
        "assert not any(name.partition('.')[0] in ('jax', 'jaxlib') for name in sys.modules);"
        "import spu; from spu import libspu; assert libspu is p.libspu and spu.Runtime"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
