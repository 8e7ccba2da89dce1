"""SPU's library, without the Python package around it, which imports JAX: 0.1 GB and 0.3 s of each party."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ditto_compiler.errors import DittoError

_NAME = "spu.libspu"


def _load() -> Any:
    """The library, as the package would have it; checks that the processor has what it asks for."""
    if _NAME not in sys.modules:
        package = importlib.util.find_spec("spu")
        folders = None if package is None else package.submodule_search_locations
        if not folders:
            raise DittoError("SPU is not installed; install spu==0.9.5")
        loader = ExtensionFileLoader(_NAME, str(Path(folders[0]) / "libspu.so"))
        spec = importlib.util.spec_from_loader(_NAME, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        # So that the package, if somebody imports it later, has the same.
        sys.modules[_NAME] = module
        loader.exec_module(module)
        module._check_cpu_features()
    return sys.modules[_NAME]


if TYPE_CHECKING:
    from spu import libspu
else:
    libspu = _load()

__all__ = ["libspu"]
