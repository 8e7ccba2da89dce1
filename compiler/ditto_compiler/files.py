"""Writing files."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


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
