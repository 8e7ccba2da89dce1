"""Reading programs from outside, which may be damaged.

MLIR's readers, verifiers and printers end the process over some input, or never end. So a child process reads
such a program first, which is what this module is when it is run: it prints what is wrong with its standard
input, as JSON.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ditto_compiler.diagnostics import PARSED_TEXT, CompileError, Diagnostic, SourceLocation
from ditto_compiler.extensions import ONLY, PluginError, active
from ditto_compiler.ir import ir
from ditto_compiler.processes import child_environment, python_command
from ditto_compiler.source import decode_source, parse_source
from ditto_compiler.verifier import verify_module

_WRONG = 3
"""Exit code of a child process that has printed what is wrong."""

_READABLE: set[bytes] = set()
"""Digests of what child processes could read: one program is compiled under several policies, say."""


def read_program(source: str | bytes, file: str) -> ir.Module:
    """Parses and verifies a program from outside; `file` is its name in errors.

    The child process takes a quarter of a second.

    Raises:
        CompileError: it does not parse, is not valid, or ends MLIR.
    """
    content = source.encode() if isinstance(source, str) else source
    digest = hashlib.sha256("\0".join((*active().specs, "")).encode() + content).digest()
    if digest not in _READABLE:
        _read_in_child(content, file)
        _READABLE.add(digest)
    return parse_source(source, file)


def _read_in_child(content: bytes, file: str) -> None:
    done = subprocess.run(
        # It knows the ops that this process knows.
        python_command("ditto_compiler.reading", *active().specs),
        input=content,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(**{ONLY: ""}),
        start_new_session=True,
    )
    if done.returncode < 0:
        raise death_error(file, "reading it", -done.returncode)
    if done.returncode == _WRONG:
        # Not found out again in this process, for a failed parse can leave MLIR's memory broken.
        raise CompileError(map(_diagnostic, json.loads(done.stdout))).in_file(file)


def _diagnostic(entry: Mapping[str, Any]) -> Diagnostic:
    place = SourceLocation(**entry["location"])
    return Diagnostic(entry["severity"], place, entry["message"], tuple(map(_diagnostic, entry["notes"])))


def death_error(file: str, doing: str, number: int) -> CompileError:
    """What to say when a process that worked on a program was ended by signal `number`."""
    ended = f"{doing} ends the process ({signal.Signals(number).name})"
    if number == signal.SIGPROF:
        ended = f"{doing} takes far longer than other programs of this size"
    message = f"{ended}: the program is damaged, or has what this version of MLIR cannot take"
    return CompileError([Diagnostic("error", SourceLocation(file, 1, 1), message)])


@contextlib.contextmanager
def time_limit(size: int) -> Iterator[None]:
    """Ends this process, by SIGPROF, over a program of `size` bytes that takes far too long to read."""
    # In seconds of processor time. MLIR reads ten megabytes of text in one.
    signal.setitimer(signal.ITIMER_PROF, 1 + size * 1e-5)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


def _plugins(specs: Sequence[str]) -> contextlib.AbstractContextManager[object]:
    """The plugins of the process that started this one, whose ops are then known here.

    One that cannot be loaded here is left out: what matters is whether MLIR can read the program.
    """
    entered = contextlib.ExitStack()
    if specs:
        with contextlib.suppress(PluginError):
            entered.enter_context(importlib.import_module("ditto_compiler.plugins").using(*specs))
    return entered


def main() -> None:
    """Does to the program on standard input what can end the process."""
    content = sys.stdin.buffer.read()
    try:
        with _plugins(sys.argv[1:]), time_limit(len(content)):
            module = parse_source(decode_source(content, PARSED_TEXT), PARSED_TEXT)
            with module.context:
                verify_module(module)
            module.operation.get_asm(enable_debug_info=True)
    except CompileError as error:
        print(json.dumps([dataclasses.asdict(diagnostic) for diagnostic in error.diagnostics]))
        sys.exit(_WRONG)


if __name__ == "__main__":
    main()
