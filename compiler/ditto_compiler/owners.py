"""Labels of owners: what a program calls those whose data its arguments are.

Whom a label means is for each party to say, in its access file.
"""

from __future__ import annotations

import re

LABEL = "1 to 100 of the characters A-Z a-z 0-9 . _ : / @ -"
"""What a label is, for errors."""

_LABEL = re.compile(r"[A-Za-z0-9._:/@-]{1,100}")


def is_label(text: object) -> bool:
    """Whether `text` is a label."""
    return isinstance(text, str) and _LABEL.fullmatch(text) is not None
