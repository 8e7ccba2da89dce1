"""Compiling what a command is given."""

from __future__ import annotations

import warnings
from pathlib import Path

from ditto.compiled_program import Program
from ditto_compiler.errors import DittoWarning
from ditto_compiler.policy import PRESETS

POLICY_HELP = f"Precision policy: {', '.join(PRESETS)}, or the path of a TOML file."


def compile_source(
    source: Path,
    policy: str,
    max_public_constant: int = 1024,
    ranges: Path | None = None,
    *,
    guard: bool = False,
) -> Program:
    """Compiles StableHLO, without the warnings that are among the program's remarks, too."""
    import ditto

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DittoWarning)
        return ditto.compile(
            source,
            policy=policy,
            max_public_constant=max_public_constant,
            ranges=ranges,
            guard=guard,
            progress=True,
        )
