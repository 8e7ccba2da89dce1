"""Reading and writing files."""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from ditto_compiler.errors import DittoError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def as_path(path: object, what: str, error: type[DittoError]) -> Path:
    """A path that somebody gave; `what` it should name is for the error.

    Raises:
        error: it is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise error(f"expected the path of {what}, got {path!r}")
    return Path(path)


def parse_toml(text: str) -> dict[str, Any]:
    """The tables in a TOML text that anybody may have written.

    Raises:
        ValueError: it is none, or has too long a number, or nests too deep.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def parse_json(text: str | bytes | bytearray) -> Any:
    """What a JSON text says that anybody may have written.

    Raises:
        ValueError: it is none, or has too long a number, or nests too deep.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def write_whole(path: str | Path, content: bytes) -> None:
    """Writes a file whole or not at all: what was there stays until all of `content` is on disk.

    Devices and pipes are written in place.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
