"""What is being done, for a person who waits: on a terminal or in a notebook, and nowhere else.

Functions that take long have `progress=`, False by default. Even with it, a pipe or a log gets nothing.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ditto_compiler.showing import printable

WIDTH = 46
"""Characters of what is being done; the bar and the time come after it."""


class Bar:
    """Shows nothing: for everybody who did not ask."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, doing: str, steps: int | None = None) -> None:
        """The next step begins.

        Args:
            doing: what it does, in a few words.
            steps: how many there are in all, if that is known only now.
        """


def bar(shown: bool, steps: int | None = None) -> Bar:
    """A bar of so many steps, if it was asked for and somebody can see it."""
    if not shown:
        return Bar()
    if (display := _notebook()) is not None:
        return _NotebookBar(steps, display)
    return _TerminalBar(steps) if on_terminal() else Bar()


def on_terminal() -> bool:
    """Whether standard error is a terminal on which lines can be drawn again.

    Rich alone would say so of a CI log in which `FORCE_COLOR` is set.
    """
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def _notebook() -> Any:
    """IPython's `display` in a kernel of Jupyter; None elsewhere, IPython on a terminal too."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    return sys.modules["IPython"].display.display


class _TerminalBar(Bar):
    def __init__(self, steps: int | None) -> None:
        columns = (SpinnerColumn(), _Doing(""), BarColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task: TaskID = self._bars.add_task("", total=steps, completed=-1)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, doing: str, steps: int | None = None) -> None:
        self._bars.update(self._task, description=doing, total=steps, advance=1)


class _Doing(TextColumn):
    def render(self, task: Any) -> Text:
        """What is being done, which may be a name out of a program and so is never markup."""
        return Text(f"{printable(task.description)[:WIDTH]:<{WIDTH}}")


class _NotebookBar(Bar):
    """One line, written again and again, and gone in the end: a saved notebook does not have it."""

    def __init__(self, steps: int | None, display: Any) -> None:
        self._steps, self._done, self._display = steps, 0, display
        self._handle: Any = None

    def __exit__(self, *_: object) -> None:
        self._show("")

    def __call__(self, doing: str, steps: int | None = None) -> None:
        self._steps = steps or self._steps
        self._done += 1
        of = f"{self._done} of {self._steps}: " if self._steps else ""
        self._show(f"{of}{printable(doing)}")

    def _show(self, line: str) -> None:
        said = {"text/plain": line}
        if self._handle is None:
            self._handle = self._display(said, raw=True, display_id=True)
        else:
            self._handle.update(said, raw=True)
