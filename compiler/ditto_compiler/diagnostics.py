"""Source locations and diagnostics, in the form that compilers print: `file:line:col: error: text`."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ditto_compiler.errors import DittoError
from ditto_compiler.ir import ir
from ditto_compiler.remarks import Remark
from ditto_compiler.remarks import SourceLocation as SourceLocation

_FILE = re.compile(r'"((?:[^"\\]|\\.)*)":(\d+):(\d+)')
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"(?!:\d)')

PARSED_TEXT = "-"
"""The file name that MLIR gives to a module parsed from a string."""


def source_location(location: ir.Location) -> SourceLocation:
    """The innermost user line and the scope in an MLIR location."""
    return parse_location(str(location))


def place_of(op: ir.Operation) -> SourceLocation:
    """Where an operation comes from; when that is not known, where it is used, or what it holds comes from.

    JAX gives no location to the constants that it makes, nor to functions.
    """
    users = (use.owner.operation for result in op.results for use in result.uses)
    blocks = (block for region in op.regions for block in region.blocks)
    inside = (inner.operation for block in blocks for inner in block.operations)
    places = (source_location(other.location) for other in itertools.chain((op,), users, inside))
    return next((place for place in places if place != SourceLocation()), SourceLocation())


def parse_location(text: str) -> SourceLocation:
    """Reads the printed form of a location, e.g. `loc("jit(f)/add"("model.py":3:9))`."""
    file = _FILE.search(text)
    name = _NAME.search(text)
    scope = name[1] if name is not None and (file is None or name.start() < file.start()) else ""
    if file is None:
        return SourceLocation(scope=scope)
    return SourceLocation(file[1], int(file[2]), int(file[3]), scope)


@dataclass(frozen=True)
class Diagnostic:
    """One message about one place."""

    severity: str
    location: SourceLocation
    message: str
    notes: tuple[Diagnostic, ...] = ()

    @staticmethod
    def of(remark: Remark) -> Diagnostic:
        """What to print of a remark."""
        return Diagnostic(remark.severity, remark.location, remark.text)

    def in_file(self, file: str) -> Diagnostic:
        """The same, with MLIR's name for parsed text replaced by the source's own."""
        place = self.location
        if place.file == PARSED_TEXT:
            place = dataclasses.replace(place, file=file)
        return Diagnostic(
            self.severity, place, self.message, tuple(note.in_file(file) for note in self.notes)
        )

    def __str__(self) -> str:
        lines = [f"{self.location}: {self.severity}: {self.message}"]
        lines += [str(note) for note in self.notes]
        return "\n".join(lines)


class CompileError(DittoError):
    """The user's program, policy or pipeline is wrong.

    Attributes:
        diagnostics: what is wrong, in program order.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))

    def in_file(self, file: str) -> CompileError:
        """The same, with the source's real name."""
        return CompileError(diagnostic.in_file(file) for diagnostic in self.diagnostics)


@contextmanager
def named(file: str) -> Iterator[None]:
    """Gives errors about a parsed text the source's real name."""
    try:
        yield
    except CompileError as error:
        raise error.in_file(file) from None


def from_mlir(error: ir.MLIRError) -> CompileError:
    """An error of MLIR's own parser, verifier or passes as ours."""
    return CompileError(_convert(info) for info in error.error_diagnostics)


def _convert(info: ir.DiagnosticInfo | ir.Diagnostic) -> Diagnostic:
    notes = tuple(
        _convert(note) for note in info.notes if not note.message.startswith("see current operation")
    )
    return Diagnostic(info.severity.name.lower(), source_location(info.location), info.message, notes)


@contextmanager
def captured(context: ir.Context) -> Iterator[list[Diagnostic]]:
    """Collects what MLIR reports in `context` without raising it: warnings, remarks, and some errors."""
    reported: list[Diagnostic] = []

    def handler(diagnostic: ir.Diagnostic) -> bool:
        reported.append(_convert(diagnostic))
        return True

    with context.attach_diagnostic_handler(handler):
        yield reported


def describe(op: ir.Operation) -> str:
    """`'stablehlo.add' op`, the way MLIR starts a message about an operation."""
    return f"'{op.name}' op"


@dataclass
class ErrorCollector:
    """Collects a pass's errors so that the user sees all of them at once."""

    pass_name: str
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def add(self, op: ir.Operation, message: str, *notes: tuple[ir.Operation, str]) -> None:
        """Reports `message` about `op`; each note is an operation and what to say of it."""
        self.diagnostics.append(
            Diagnostic(
                "error",
                place_of(op),
                f"[{self.pass_name}] {describe(op)}: {message}",
                tuple(Diagnostic("note", place_of(where), text) for where, text in notes),
            )
        )

    def add_at(self, location: ir.Location, message: str) -> None:
        """Reports `message` about a place where there is no operation."""
        self.diagnostics.append(
            Diagnostic("error", source_location(location), f"[{self.pass_name}] {message}")
        )

    def raise_if_any(self) -> None:
        """Raises a CompileError with everything collected, if there is anything."""
        if self.diagnostics:
            raise CompileError(self.diagnostics)
