"""What a program will cost and where, as text, JSON or a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from ditto_compiler.errors import DittoError
from ditto_compiler.extensions import Table
from ditto_compiler.network import Network
from ditto_compiler.program import Program
from ditto_compiler.report.page import page
from ditto_compiler.report.summary import Report, make_report
from ditto_compiler.showing import framed


class ReportText(str):
    """A report as text that shows itself: as it is in a terminal, as the page in a notebook.

    It is a string, so it can be written to a file and searched as any other.
    """

    _page: str

    @classmethod
    def of(cls, report: Report) -> Self:
        """The text of a report, with its page."""
        made = cls(report.text())
        made._page = page(report)
        return made

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return framed(self._page)


FORMATS: Table[Callable[[Report], str]] = Table(
    "report format", {"text": ReportText.of, "json": Report.json, "html": page}
)
"""What writes each; plugins add to it."""


class ReportError(DittoError):
    """A report in a format that does not exist."""


def render(program: Program, format: str = "text", networks: Sequence[str | Network] = ("lan", "wan")) -> str:
    """A program's report as `text`, `json` or `html` (a page of its own, without anything from elsewhere).

    The text is a `ReportText`, which a notebook shows as the page.

    Raises:
        ReportError: no such format.
        NetworkError: no such network.
    """
    if format not in FORMATS:
        raise ReportError(f"no report format '{format}'; there are {', '.join(FORMATS)}")
    return FORMATS[format](make_report(program, networks))
