"""Native files that the build puts next to the package's modules."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ditto_compiler.errors import DittoError


class InstallationError(DittoError):
    """A file that belongs to Ditto is not there."""


def installed_file(name: str) -> Path:
    """The native file `name` of the `ditto` package, which an editable installation spreads over folders.

    Raises:
        InstallationError: it was not built.
    """
    spec = importlib.util.find_spec("ditto")
    assert spec is not None and spec.submodule_search_locations is not None
    for folder in spec.submodule_search_locations:
        path = Path(folder) / name
        if path.exists():
            return path
    raise InstallationError(f"{name} is missing from the installation; install ditto again")
