"""Kills processes that write to a store, and looks at what they leave; a process of its own, for it forks.

Run as `store_crashes.py FOLDER`; a failed assertion is its status.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from ditto.runtime.party import store as store_module
from ditto.runtime.party.store import Store

KEY = b"k" * 32
SIZES = (0, 5000, 200_000)


def content(version, number):
    return random.Random(f"{version} {number}").randbytes(SIZES[number])


def write(store, version):
    pending = store.begin("array", "bert", "me", {"version": version}, 1 << 20)
    for number, size in enumerate(SIZES):
        piece = pending.open_piece({"version": version}, size)
        piece.write(content(version, number))
        piece.close()
    pending.commit(str(version))


def found_version(folder):
    """The version that is there, whole, and nothing else; 0 if there is none."""
    with Store(folder, KEY) as store:
        assert not list((folder / "pending").iterdir())
        names = store.names("array")
        assert len(names) == len(list((folder / "entries").iterdir())) <= 1
        if not names:
            return 0
        entry = store.about("array", "bert")
        version = entry.about["version"]
        assert entry.digest == str(version)
        for number, size in enumerate(SIZES):
            assert entry.pieces[number] == ({"version": version}, size)
            assert b"".join(store.read(entry, number)) == content(version, number)
        return version


def in_child(work):
    """Starts a process that does `work`; its id, and a pipe that says which versions it has committed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            work(writer)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    return child, reader


def check(folder, before, child, reader):
    status = os.waitpid(child, 0)[1]
    with open(reader, "rb") as pipe:
        committed = max([before, *pipe.read()])
    found = found_version(folder)
    assert committed <= found <= committed + 1, (before, committed, found)
    return found, os.WIFSIGNALED(status)


def at_random_moments(folder, times):
    rng = random.Random(7)
    version = 0
    for _ in range(times):

        def work(writer, first=version + 1):
            with Store(folder, KEY) as store:
                for number in range(first, 256):
                    write(store, number)
                    os.write(writer, bytes([number]))

        child, reader = in_child(work)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        version, _ = check(folder, version, child, reader)
    assert version > 0


def at_many_lines(folder):
    """Before every fifth line of the store that making one and writing two versions runs through."""
    # The kernel keeps what a killed process wrote.
    os.fsync = lambda descriptor: None
    line, killed = 0, True
    while killed:
        line += 5
        own = folder / str(line)

        def work(writer, own=own, line=line):
            left = line

            def trace(frame, event, argument):
                nonlocal left
                if frame.f_code.co_filename != store_module.__file__:
                    return None
                left -= event == "line"
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)
            store = Store(own, KEY)
            for number in (1, 2):
                write(store, number)
                os.write(writer, bytes([number]))

        found, killed = check(own, 0, *in_child(work))
    assert found == 2 and line > 100, (found, line)


if __name__ == "__main__":
    at_random_moments(Path(sys.argv[1]) / "random", 20)
    at_many_lines(Path(sys.argv[1]) / "lines")
