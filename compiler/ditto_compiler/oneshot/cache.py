"""Fits that are kept from one process to the next, in the user's cache folder.

That is `ditto/fits` in the folder that XDG_CACHE_HOME names, or in ~/.cache; or `fits` in the one that
DITTO_CACHE names, and nowhere if that is empty. A folder that cannot be read or written is silently no cache.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from ditto_compiler.errors import DittoError
from ditto_compiler.oneshot.terms import Terms

_LARGEST: Final = 1 << 18
"""Bytes of a file that is looked at."""

_LONGEST: Final = 2000
"""Characters of a reason that is believed."""


def folder() -> Path | None:
    """Where fits are kept, if anywhere."""
    chosen = os.environ.get("DITTO_CACHE")
    if chosen is not None:
        return Path(chosen) / "fits" if chosen else None
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(caches):
        caches = os.path.expanduser("~/.cache")
    return Path(caches) / "ditto" / "fits" if os.path.isabs(caches) else None


def digest(problem: str) -> str:
    """The name of what is known of a problem, by this version of what fits."""
    return hashlib.blake2b(f"{_version()} {problem}".encode(), digest_size=32).hexdigest()


@functools.cache
def _version() -> str:
    """Of the sources that fits come from: others would give others."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.blake2b(b"".join(source.read_bytes() for source in sources)).hexdigest()


def read(name: str) -> Terms | str | None:
    """Terms, or the reason why there are none; None if nothing is known, or nothing that makes sense.

    Terms are what somebody wrote into a file: whether they are the function's is for the caller to see.
    """
    place = folder()
    if place is None:
        return None
    try:
        with (place / f"{name}.json").open("rb") as file:
            text = file.read(_LARGEST + 1)
        content = json.loads(text) if len(text) <= _LARGEST else None
        return _understood(content)
    except (OSError, ValueError, RecursionError, DittoError):
        return None


def _understood(content: Any) -> Terms | str | None:
    if not isinstance(content, dict) or len(content) != 1:
        return None
    terms, reason = content.get("terms"), content.get("reason")
    if isinstance(terms, dict):
        return Terms.from_attributes(terms)
    return reason if isinstance(reason, str) and 0 < len(reason) <= _LONGEST else None


def write(name: str, found: Terms | str) -> None:
    """Keeps terms, or a reason, as a whole or not at all."""
    place = folder()
    if place is None:
        return
    content = {"reason": found} if isinstance(found, str) else {"terms": found.to_attributes()}
    with contextlib.suppress(OSError, ValueError):
        place.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=place, prefix=f"{name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(made, place / f"{name}.json")
        except OSError:
            os.unlink(made)
            raise
