"""Three hosts, a model owner and two data owners, as six processes on this machine.

The model owner's weights and the data owners' images stay secret from everybody else; each data owner gets
its own answers. One of them then tries to get the weights.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ditto.demo import digits
from ditto.demo.three_hosts_roles import (
    ANSWERS_FILE,
    COPY,
    HOSTS,
    IMAGES_FILE,
    PROGRAM,
    ROLES,
    THIEF,
    TRUTH,
    WEIGHTS,
    WEIGHTS_FILE,
)
from ditto.runtime.transport.certificates import Authority
from ditto.runtime.transport.hosts import hosts_text
from ditto.runtime.transport.ports import LOOPBACK, free_ports
from ditto.runtime.transport.runtime_folder import RuntimeFolder
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES
from ditto_compiler.processes import child_environment, last_line, python_command

MOST_ERROR = 0.01
"""How far an answer, a probability, may be from plain JAX."""

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_PATIENCE_S = 180.0
_STYLES = dict(zip(ROLES, ("cyan", "cyan", "cyan", "yellow", "green", "magenta"), strict=True))

_KNOWLEDGE = (
    ("each party", "program, shapes, names, who ran what when", "weights, images, answers"),
    ("model", "its weights; the program", "images, answers, and when its model was run"),
    *((name, "its images and answers; the program", "weights, and all of the other one") for name in TRUTH),
)


class DemoError(DittoError):
    """The demo did not go as it should."""


class _Stage:
    """The processes, and what they said.

    Args:
        folder: in which each has a folder of its own.
        console: to print to what they say.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder = folder
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        self._console = console
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._said: dict[str, list[str]] = {role: [] for role in ROLES}
        self._ended: set[str] = set()
        self._changed = threading.Condition()
        self._deadline = time.monotonic() + _PATIENCE_S

    def start(self, role: str) -> None:
        """Starts a process."""
        own = self._folder / role
        with (own / "errors").open("w") as errors:
            process = subprocess.Popen(
                python_command("ditto.demo.three_hosts_roles", role),
                cwd=own,
                env=child_environment(TMPDIR=str(self._temporary)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # An interrupt is for this process, which then ends the others.
                process_group=0,
            )
        self._processes[role] = process
        reader = threading.Thread(target=self._read, args=(role, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, role: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("@"):
                self.print(role, line.rstrip())
            with self._changed:
                self._said[role].append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self._ended.add(role)
            self._changed.notify_all()

    def print(self, who: str, what: str) -> None:
        """Prints a line of somebody's."""
        what = _DIGEST.sub(r"\1...", what)
        style = _STYLES.get(who, "bold")
        self._console.print(f"[{style}]{who:8}[/]{escape(what)}", highlight=False, soft_wrap=True)

    def tell(self, role: str, *words: str) -> None:
        """Tells a process something."""
        stdin = self._processes[role].stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(" ".join(words) + "\n")
            stdin.flush()

    def told(self, role: str, word: str) -> str:
        """What a process tells everybody."""
        return self.heard(role, f"@{word} ").split()[1]

    def heard(self, role: str, text: str) -> str:
        """The first line of a process that has `text`, when it says it.

        Raises:
            DemoError: it ends without, or takes too long.
        """

        with self._changed:
            while not (found := [line for line in self._said[role] if text in line]):
                if role in self._ended:
                    raise DemoError(f"{role} ended without '{text.strip()}': {self._last(role)}")
                if not self._changed.wait(self._left()):
                    raise DemoError(f"{role} did not say '{text.strip()}' in {_PATIENCE_S:g} s")
        return found[0]

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.1)

    def end(self, role: str) -> None:
        """Waits for the end of a process.

        Raises:
            DemoError: it failed or takes too long.
        """
        try:
            code = self._processes[role].wait(self._left())
        except subprocess.TimeoutExpired:
            raise DemoError(f"{role} did not end in {_PATIENCE_S:g} s") from None
        if code != 0:
            raise DemoError(f"{role} ended with {code}: {self._last(role)}")

    def check_nothing_is_left(self) -> None:
        """Looks into the processes' folder for temporary files.

        Raises:
            DemoError: there are some.
        """
        if left := sorted(path.name for path in self._temporary.iterdir()):
            raise DemoError(f"somebody left {', '.join(left)} in the folder for temporary files")

    def _last(self, role: str) -> str:
        return last_line(self._folder / role / "errors") or "it said nothing of errors"

    def terminate(self, role: str) -> None:
        """Asks a process to end."""
        self._processes[role].terminate()

    def close(self) -> None:
        """Ends whatever still runs."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reader in self._readers:
            reader.join()
        for process in self._processes.values():
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


def run_demo(console: Console) -> None:
    """Runs the demo and prints what everybody does.

    Raises:
        DemoError: anything went otherwise than it should.
    """
    start = time.monotonic()
    with RuntimeFolder() as runtime, contextlib.closing(_Stage(runtime.path, console)) as stage:
        folder = runtime.path
        _prepare(folder)
        stage.print("demo", f"made certificates and a hosts file for {', '.join(ROLES)}")
        for role in ("model", *TRUTH):
            stage.start(role)
        program = stage.told("model", PROGRAM)
        stage.print("demo", "each party's operator allows that program on the weights, and nothing else")
        for rank in range(PARTIES):
            (folder / f"party{rank}" / "access.toml").write_text(_access(program))
            stage.start(f"party{rank}")
        for rank in range(PARTIES):
            stage.heard(f"party{rank}", "waits for callers")
        stage.tell("model", "deposit")
        weights = stage.told("model", WEIGHTS)
        stage.end("model")
        for name in TRUTH:
            stage.tell(name, program, weights)
        for name in TRUTH:
            stage.end(name)
        copy = stage.told(THIEF, COPY)
        for rank in range(PARTIES):
            stage.heard(f"party{rank}", f"may not run program {copy}")
        stage.print("demo", f"all three parties refused {THIEF} the weights")
        for rank in range(PARTIES):
            stage.terminate(f"party{rank}")
        for rank in range(PARTIES):
            stage.end(f"party{rank}")
        stage.check_nothing_is_left()
        for name, (right, error) in _compare(folder).items():
            stage.print(
                "demo",
                f"{name}'s answers differ from plain JAX by at most {error:.1e}; "
                f"{right} of {len(TRUTH[name])} digits are right",
            )
    console.print(_table())
    console.print(f"Six processes, {time.monotonic() - start:.0f} s; nothing of them is left.")


def _prepare(folder: Path) -> None:
    """Makes everybody's folder, with a certificate and the hosts file."""
    authority = Authority.make(folder / "authority")
    ports = iter(free_ports(2 * PARTIES))
    hosts = hosts_text(
        (f"{LOOPBACK}:{next(ports)}", f"{LOOPBACK}:{next(ports)}", f"party{rank}.demo")
        for rank in range(PARTIES)
    )
    for role in ROLES:
        authority.issue(f"{role}.demo", folder / role)
        (folder / role / HOSTS).write_text(hosts)


def _access(program: str) -> str:
    callers = ", ".join(f'"{name}.demo"' for name in TRUTH)
    deposits = "".join(
        f'[[deposit]]\nname = "{name}"\nowner = "model.demo"\nmax_bytes = 10000000\n'
        for name in (PROGRAM, WEIGHTS)
    )
    return (
        f'[owners]\nmodel = ["model.demo"]\ndata = [{callers}]\n{deposits}'
        f'[[allow]]\nprograms = ["{program}"]\ncallers = [{callers}]\ndeposits = ["{PROGRAM}", "{WEIGHTS}"]\n'
        # Anything on inputs of one's own.
        f'[[allow]]\nprograms = "any"\ncallers = ["{THIEF}.demo"]\n'
    )


def _compare(folder: Path) -> dict[str, tuple[int, float]]:
    """Of each data owner, how many digits were read right, and the largest difference to plain JAX.

    It takes everybody's files, so nobody but the demo can do it.

    Raises:
        DemoError: the answers are not those of plain JAX.
    """
    with np.load(folder / "model" / WEIGHTS_FILE) as file:
        weights = {name: file[name] for name in file.files}
    found = {}
    for name, truth in TRUTH.items():
        answers = np.load(folder / name / ANSWERS_FILE)
        expected = np.asarray(digits.read_digits(weights, np.load(folder / name / IMAGES_FILE)))
        error = float(np.abs(answers - expected).max())
        # Not a number is no answer either.
        if answers.shape != expected.shape or not error <= MOST_ERROR:
            raise DemoError(f"{name}'s answers differ from plain JAX by {error:.2g}; at most {MOST_ERROR}")
        found[name] = int((np.argmax(answers, axis=1) == truth).sum()), error
    return found


def _table() -> Table:
    table = Table(title="Who knows what", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "knows", "does not know"):
        table.add_column(column)
    for row in _KNOWLEDGE:
        table.add_row(*row)
    return table
