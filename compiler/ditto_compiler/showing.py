"""How numbers and names are shown to people: with units, on one line, safely on a terminal."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import Any

NAME_LENGTH = 60
"""Characters of a name that are shown where a line has to say more than it."""


def format_bytes(count: float) -> str:
    """`12.3 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}" if count < 100 * factor else f"{count / factor:.0f} {unit}"
    return f"{count:.0f} B"


def format_seconds(seconds: float) -> str:
    """`1.23 s`, `45 ms` or `0.12 ms`."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 0.01 or not seconds else f"{seconds * 1e3:.2g} ms"


def counted(count: int, noun: str) -> str:
    """`1 input`, `1,024 inputs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(text: str) -> str:
    """`text` with control characters escaped, for a name in a program can be what anybody wrote."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(name: str, length: int = NAME_LENGTH) -> str:
    """A name in quotes, on one line; of a longer one the first `length` characters."""
    return repr(name if len(name) <= length else name[: length - 1] + "…")


def set_fields(record: Any) -> str:
    """A dataclass as the call that makes it, without what is at its default."""
    shown = [
        f"{field.name}={value!r}"
        for field in dataclasses.fields(record)
        if field.repr and (value := getattr(record, field.name)) != field.default
    ]
    return f"{type(record).__name__}({', '.join(shown)})"


def framed(page: str, height: int = 640) -> str:
    """A whole HTML page as a part of another, such as a notebook, whose styles neither changes.

    The frame is a sandbox: nothing in the page can run or reach the page around it.
    """
    style = f"width:100%;height:{height}px;border:0"
    return f'<iframe sandbox="" srcdoc="{escape(page)}" style="{style}"></iframe>'
