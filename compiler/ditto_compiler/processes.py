"""How the project starts Python modules as processes of their own.

Such a process imports from where Python and the user say that modules are, never from the current folder:
somebody may have put a file of some module's name there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_LAST_BYTES = 2000


def python_command(module: str, *arguments: str) -> list[str]:
    """Runs a module as a program, in `child_environment`."""
    if sys.version_info < (3, 11):
        return [sys.executable, "-c", _RUN_MODULE, module, *arguments]
    return [sys.executable, "-P", "-m", module, *arguments]


_RUN_MODULE = """\
import sys
sys.path.remove("")
import runpy
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""What `-P -m` does from Python 3.11 on."""


def cause_of_death(status: int) -> str:
    """How a process ended that should not have, by its `returncode`."""
    return f"by signal {-status}" if status < 0 else f"with exit code {status}"


def last_line(log: Path) -> str:
    """What a process said last, by its log; empty if nothing."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def child_environment(**changes: str) -> dict[str, str]:
    """This process's environment, in which Python does not look into the current folder.

    An empty entry of PYTHONPATH would be that folder; others keep their meaning wherever the process goes.
    """
    environment = {**os.environ, "PYTHONSAFEPATH": "1", **changes}
    entries = environment.pop("PYTHONPATH", "").split(os.pathsep)
    if path := os.pathsep.join(os.path.abspath(entry) for entry in entries if entry):
        environment["PYTHONPATH"] = path
    return environment
