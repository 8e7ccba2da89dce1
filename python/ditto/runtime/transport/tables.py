"""Tables of the TOML files that parties are set up with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ditto_compiler.errors import DittoError
from ditto_compiler.files import parse_toml
from ditto_compiler.options import did_you_mean


def read_tables(path: Path, what: str, error: type[DittoError]) -> dict[str, Any]:
    """The tables of a TOML file; `what` it is, for errors.

    Raises:
        error: there is no such file, or it is not TOML.
    """
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise error(f"cannot read {what} '{path}': {reason}") from None


def check_keys(
    data: object,
    where: str,
    error: type[DittoError],
    required: Sequence[str],
    optional: Sequence[str] = (),
) -> None:
    """Checks that something is a table that has all `required` keys, and no others than `optional` ones.

    Raises:
        error: it is not; `where` says which table it is.
    """
    known = (*required, *optional)
    if not isinstance(data, dict):
        raise error(f"{where} must be a table with {', '.join(known)}")
    for key in data:
        if key not in known:
            raise error(f"{where} has an unknown key '{key}'{did_you_mean(key, known)}")
    for key in required:
        if key not in data:
            raise error(f"{where} has no '{key}'")
