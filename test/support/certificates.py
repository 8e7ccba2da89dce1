"""Certificates for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ditto.runtime.transport import certificates


class Authority:
    """A certificate authority, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._authority = certificates.Authority.make(folder)

    def issue(self, folder: Path, name: str = "127.0.0.1", **options: Any) -> None:
        """Writes `ca.pem`, and `host.pem` with `host.key` for `name`; options as of `Authority.issue`."""
        self._authority.issue(name, folder, **options)
