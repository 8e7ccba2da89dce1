"""Certificates for tests, made by the commands of docs/hosts.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_PAGE = (Path(__file__).parents[2] / "docs" / "hosts.md").read_text()
_AUTHORITY, _HOST = re.findall(r"```sh\n(.*?)```", _PAGE, re.DOTALL)


class Authority:
    """A certificate authority, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        _run(_AUTHORITY, folder)

    def issue(self, folder: Path) -> None:
        """Writes `ca.pem`, and `host.pem` with `host.key` for loopback."""
        _run(_HOST.replace("10.0.0.1", "127.0.0.1"), self._folder)
        for name in ("ca.pem", "host.pem", "host.key"):
            shutil.copy(self._folder / name, folder)


def _run(commands: str, folder: Path) -> None:
    subprocess.run(["sh", "-e", "-c", commands], cwd=folder, check=True, capture_output=True)
