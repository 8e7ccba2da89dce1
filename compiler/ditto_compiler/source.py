"""Reading programs: StableHLO text, MLIR bytecode and StableHLO portable artifacts.

MLIR's readers end the process over some input that is damaged, or that they do not know. So what comes from
outside is read by a child process first, which is what this module is when it is run.
"""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys

from ditto_compiler.diagnostics import (
    PARSED_TEXT,
    CompileError,
    Diagnostic,
    SourceLocation,
    captured,
    from_mlir,
)
from ditto_compiler.ir import BYTECODE_MAGIC, ir, new_context, parse_module

NOT_A_PROGRAM = (
    "the input is neither StableHLO text nor MLIR bytecode nor a StableHLO portable artifact "
    "(jax.export gives the last as `Exported.mlir_module_serialized`)"
)

_SEPARATOR = re.compile(r"^// -----[ \t]*$", re.MULTILINE)


def split_source(text: str) -> list[str]:
    """The chunks between lines `// -----`, each after as many empty lines as keep its line numbers."""
    chunks = []
    start = 0
    for separator in (*_SEPARATOR.finditer(text), None):
        end = len(text) if separator is None else separator.start()
        chunks.append("\n" * text.count("\n", 0, start) + text[start:end])
        start = end if separator is None else separator.end()
    return chunks


def decode_source(content: bytes, file: str) -> str | bytes:
    """A source as text when it is text, and as bytes when it is bytecode or a portable artifact.

    Raises:
        CompileError: it is none of them, or empty.
    """
    if content.startswith(BYTECODE_MAGIC):
        return content
    if not content.strip():
        raise _error(file, "the input is empty; expected a StableHLO module")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _error(file, NOT_A_PROGRAM) from None
    if "\0" in text:  # which MLIR's parser would take for the end
        raise _error(file, NOT_A_PROGRAM)
    return text


def parse_source(source: str | bytes, file: str, *, guarded: bool = False) -> ir.Module:
    """Parses a program; `file` is its name in errors.

    Args:
        source: text, bytecode or a portable artifact.
        file: its name in errors.
        guarded: it comes from outside: let a child process read it first. That takes a fifth of a second.

    Raises:
        CompileError: it does not parse; every diagnostic has a place in `file`.
    """
    if guarded:
        _check_survival(source, file)
    context = new_context()
    with captured(context) as reported:
        try:
            return parse_module(source, context)
        except ir.MLIRError as error:
            raise from_mlir(error).in_file(file) from None
        except (ValueError, SystemError):
            # What the bindings raise for a portable artifact; the reasons were only reported.
            reasons = "; ".join(diagnostic.message for diagnostic in reported) or "it is damaged"
            raise _error(file, f"cannot read the portable artifact: {reasons}") from None


_SURVIVED: set[bytes] = set()
"""Digests of what child processes have read: one program is compiled under several policies, say."""


def _check_survival(source: str | bytes, file: str) -> None:
    """Lets a child process parse `source`; what is wrong with it otherwise shows when this one does."""
    content = source.encode() if isinstance(source, str) else source
    digest = hashlib.sha256(content).digest()
    if digest in _SURVIVED:
        return
    command = [sys.executable, "-m", "ditto_compiler.source"]
    done = subprocess.run(command, input=content, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode < 0:
        raise death_error(file, "parsing it", -done.returncode)
    _SURVIVED.add(digest)


def death_error(file: str, doing: str, number: int) -> CompileError:
    """What to say when a process that worked on a source was ended by signal `number`."""
    return _error(
        file,
        f"{doing} ends the process ({signal.Signals(number).name}): the program is damaged, or has what this "
        "version of MLIR cannot take",
    )


def _error(file: str, message: str) -> CompileError:
    return CompileError([Diagnostic("error", SourceLocation(file, 1, 1), message)])


def main() -> None:
    """Parses what is on standard input, if it does."""
    try:
        parse_source(decode_source(sys.stdin.buffer.read(), PARSED_TEXT), PARSED_TEXT)
    except CompileError:
        sys.exit(1)


if __name__ == "__main__":
    main()
