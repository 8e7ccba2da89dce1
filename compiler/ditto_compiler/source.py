"""Reading programs: StableHLO text, MLIR bytecode and StableHLO portable artifacts."""

from __future__ import annotations

import re

from ditto_compiler.diagnostics import CompileError, Diagnostic, SourceLocation, captured, from_mlir
from ditto_compiler.ir import BYTECODE_MAGIC, ir, new_context, parse_module

NOT_A_PROGRAM = (
    "the input is neither StableHLO text nor MLIR bytecode nor a StableHLO portable artifact "
    "(jax.export gives the last as `Exported.mlir_module_serialized`)"
)

_BEYOND_ASCII = re.compile(r"\\[89A-Fa-f][0-9A-Fa-f]")
"""A byte that is not ASCII, as MLIR writes it in a string."""

_ESCAPED = re.compile(r"\\\\|((?:\\[0-9A-F]{2})+)")
"""A backslash, or bytes."""

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


def parse_source(source: str | bytes, file: str) -> ir.Module:
    """Parses a program; `file` is its name in errors.

    Raises:
        CompileError: it does not parse; every diagnostic has a place in `file`.
    """
    context = new_context()
    with captured(context) as reported:
        try:
            module = parse_module(source, context)
            if isinstance(source, bytes) or _BEYOND_ASCII.search(source):
                _check_strings(module.operation.get_asm(enable_debug_info=True))
            return module
        except ir.MLIRError as error:
            raise from_mlir(error).in_file(file) from None
        except UnicodeDecodeError:
            raise _error(file, "it has names or strings that are not in UTF-8") from None
        except (ValueError, SystemError):
            # What the bindings raise for a portable artifact; the reasons were only reported.
            reasons = "; ".join(diagnostic.message for diagnostic in reported) or "it is damaged"
            raise _error(file, f"cannot read the portable artifact: {reasons}") from None


def _check_strings(text: str) -> None:
    """Raises a UnicodeDecodeError if a string in MLIR's text is not in UTF-8: the bindings cannot read it."""
    for escaped in _ESCAPED.findall(text):
        bytes.fromhex(escaped.replace("\\", "")).decode()


def _error(file: str, message: str) -> CompileError:
    return CompileError([Diagnostic("error", SourceLocation(file, 1, 1), message)])
