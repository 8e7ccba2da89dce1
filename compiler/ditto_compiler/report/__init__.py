"""What a program will cost and where, as text, JSON or a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ditto_compiler.errors import DittoError
from ditto_compiler.extensions import Table
from ditto_compiler.network import Network
from ditto_compiler.program import Program
from ditto_compiler.report.page import page
from ditto_compiler.report.summary import Report, make_report

FORMATS: Table[Callable[[Report], str]] = Table(
    "report format", {"text": Report.text, "json": Report.json, "html": page}
)
"""What writes each; plugins add to it."""


class ReportError(DittoError):
    """A report in a format that does not exist."""


def render(program: Program, format: str = "text", networks: Sequence[str | Network] = ("lan", "wan")) -> str:
    """A program's report as `text`, `json` or `html` (a page of its own, without anything from elsewhere).

    Raises:
        ReportError: no such format.
        NetworkError: no such network.
    """
    if format not in FORMATS:
        raise ReportError(f"no report format '{format}'; there are {', '.join(FORMATS)}")
    return FORMATS[format](make_report(program, networks))
