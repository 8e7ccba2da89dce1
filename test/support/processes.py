"""Starting processes that see what the tests see."""

import os
import sys


def child_environment(**changes: str) -> dict[str, str]:
    """This process's environment, with its module path."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **changes}
