"""Tests of diagnostics: `expected-error` comments in a source, and whether they came true.

The syntax is MLIR's. A comment at the end of a line

    // expected-error @+1 {{must be 32, 64 or 128}}

wants one error whose message contains the text in braces on the line below it. `expected-warning`,
`expected-note` and `expected-remark` likewise; `@-2` counts lines up, `@above` and `@below` mean the
nearest line without such a comment, `@unknown` a diagnostic without a line in this file, and nothing
means this line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ditto_compiler.diagnostics import CompileError, Diagnostic, SourceLocation

_COMMENT = re.compile(r"//.*\bexpected-(?:error|warning|note|remark)")
_EXPECTATION = re.compile(
    r"//\s*expected-(error|warning|note|remark)\s*(?:@(unknown|above|below|[+-]\d+))?\s*\{\{(.*)\}\}\s*$"
)


@dataclass(frozen=True)
class Expectation:
    """A diagnostic that a source says it leads to.

    Attributes:
        severity: `error`, `warning`, `note` or `remark`.
        line: where it must be, counted from 1; None for a place outside the source.
        text: what its message must contain.
        comment_line: line of the comment.
    """

    severity: str
    line: int | None
    text: str
    comment_line: int

    def fits(self, diagnostic: Diagnostic, line: int | None) -> bool:
        """Whether this is what was expected; `line` is the diagnostic's in the source."""
        return diagnostic.severity == self.severity and line == self.line and self.text in diagnostic.message


def parse_expectations(text: str, file: str) -> list[Expectation]:
    """The expectations in a source, in order; `file` is its name in errors.

    Raises:
        CompileError: a comment that looks like an expectation but is not spelled as one.
    """
    lines = text.split("\n")
    has_comment = [_COMMENT.search(line) is not None for line in lines]
    expectations = []
    for index, line in enumerate(lines):
        if not has_comment[index]:
            continue
        match = _EXPECTATION.search(line)
        if match is None:
            raise CompileError(
                [
                    Diagnostic(
                        "error",
                        SourceLocation(file, index + 1, 1),
                        "malformed expectation; write `// expected-error @+1 {{text}}` at the end of a line",
                    )
                ]
            )
        severity, place, wanted = match.groups()
        target = _target_line(index, place, has_comment)
        expectations.append(Expectation(severity, target, wanted, index + 1))
    return expectations


def _target_line(index: int, place: str | None, has_comment: list[bool]) -> int | None:
    """The line, counted from 1, that a comment on line `index`, counted from 0, speaks of."""
    if place == "unknown":
        return None
    if place in ("above", "below"):
        step = -1 if place == "above" else 1
        index += step
        while 0 <= index < len(has_comment) and has_comment[index]:
            index += step
        return index + 1
    return index + 1 + int(place or 0)


def check_diagnostics(text: str, file: str, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """What came that the source does not expect, and what it expects that did not come.

    Raises:
        CompileError: a malformed expectation.
    """
    missing = parse_expectations(text, file)
    problems = []
    for diagnostic in _with_notes(diagnostics):
        place = diagnostic.location
        line = place.line if place.file == file and place.line > 0 else None
        found = next((expectation for expectation in missing if expectation.fits(diagnostic, line)), None)
        if found is not None:
            missing.remove(found)
        else:
            message = f"unexpected {diagnostic.severity}: {diagnostic.message}"
            problems.append(Diagnostic("error", place, message))
    for expectation in missing:
        place = SourceLocation(file, expectation.comment_line, 1)
        message = f'expected {expectation.severity} "{expectation.text}" was not produced'
        problems.append(Diagnostic("error", place, message))
    return problems


def _with_notes(diagnostics: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    for diagnostic in diagnostics:
        yield diagnostic
        yield from _with_notes(diagnostic.notes)
