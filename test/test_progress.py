"""Progress is for a person at a terminal or a notebook who asked for it; logs and pipes stay as they are."""

import os
import pty
import subprocess
import sys

import nbclient
import nbformat
import pytest

WORK = """
import numpy as np, ditto
def f(x, w):
    return x @ w
samples = [(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32))] * 3
ranges = ditto.calibrate(f, samples, progress={shown})
program = ditto.compile(f, *samples[0], ranges=ranges, progress={shown})
"""


def on_terminal(code: str, **environment: str) -> str:
    """What a process writes to the terminal that it runs on."""
    mine, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment},
    )
    os.close(its)
    written = b""
    try:
        while part := os.read(mine, 65536):
            written += part
    except OSError:
        pass  # The end of a terminal on Linux.
    os.close(mine)
    assert process.wait() == 0, written.decode()
    return written.decode()


def test_a_terminal_shows_what_is_being_done_if_it_was_asked_for():
    written = on_terminal(WORK.format(shown=True))
    assert "measuring batch" in written or "compiling what measures" in written
    assert "pass " in written or "verifying" in written
    # Nothing is left on the last line.
    assert written.rstrip("\r\n").endswith("\x1b[2K")


@pytest.mark.parametrize(("shown", "environment"), [(False, {}), (True, {"TERM": "dumb"})])
def test_a_terminal_shows_nothing_otherwise(shown, environment):
    assert on_terminal(WORK.format(shown=shown), **environment) == ""


def test_a_log_gets_nothing_even_where_colours_are_forced():
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(shown=True)],
        capture_output=True,
        env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", "CI": "true"},
        check=True,
    )
    assert done.stdout == done.stderr == b""


def test_a_notebook_has_a_line_while_it_waits_and_none_when_it_is_saved():
    seen = "seen = []\nimport IPython.display as d\nshow = d.display\n"
    seen += "d.display = lambda data, **options: (seen.append(data), show(data, **options))[1]\n"
    cells = [seen + WORK.format(shown=True), "print(seen[0]['text/plain'], len(seen))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    work, told = notebook.cells
    assert [output["data"]["text/plain"] for output in work.outputs] == ["", ""]
    assert told.outputs[0]["text"] == "1 of 4: compiling what measures 2\n"
