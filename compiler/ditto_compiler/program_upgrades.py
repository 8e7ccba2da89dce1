"""What became of the document in a program file, version by version.

    1: as `ditto_compiler.program_file` says, but without `guard`, owners, and steps "compare" and "beside"
    2: steps "compare"
    3: `guard`
    4: owners of the caller's inputs; steps "beside"

Each upgrade takes a document of its version to the next. Nothing in a document is believed yet: what is no
such document comes out as none of the next version, and is refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

VERSION = 4
"""Of the files that are written. Whatever an older reader would not take makes a new version."""

Document = Mapping[str, Any]


def upgraded(document: Document, version: int) -> dict[str, Any]:
    """A document of a version from 1 on as one of `VERSION`."""
    for upgrade in _UPGRADES[version - 1 :]:
        document = upgrade(document)
    return {**document, "version": VERSION}


def _with_comparisons(document: Document) -> Document:
    return document


def _with_guard(document: Document) -> Document:
    return {**document, "guard": None}


def _with_owners(document: Document) -> Document:
    inputs = document.get("caller_inputs")
    if not isinstance(inputs, list):
        return document
    nobody = [[*entry, ""] if isinstance(entry, list) else entry for entry in inputs]
    return {**document, "caller_inputs": nobody}


_UPGRADES: tuple[Callable[[Document], Document], ...] = (_with_comparisons, _with_guard, _with_owners)
