"""Arrays from and to files, for the commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from ditto.compiled_program import Program
from ditto.tree import flatten, structure_of, unflatten
from ditto_compiler.errors import DittoError


def read_arrays(paths: Sequence[Path]) -> list[Any]:
    """The arrays of .npy and .npz files, in order.

    Raises:
        DittoError: a file is neither.
    """
    arrays: list[Any] = []
    for path in paths:
        try:
            loaded = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DittoError(f"cannot read '{path}' as .npy or .npz: {error}") from None
        arrays += [loaded[name] for name in loaded.files] if hasattr(loaded, "files") else [loaded]
    return arrays


def nested_inputs(program: Program, paths: Sequence[Path]) -> Any:
    """The arrays of files, nested as the program's arguments."""
    arrays = read_arrays(paths)
    if len(arrays) != len(program.caller_inputs):
        raise DittoError(
            f"program '{program.name}' takes {len(program.caller_inputs)} arrays, got {len(arrays)}"
        )
    return unflatten(program.input_tree or ["tuple", ["*"] * len(arrays)], arrays)


def write_outputs(result: Any, path: Path | None) -> None:
    """Writes results to an .npz file, or prints them."""
    outputs = flatten(structure_of(result), result)
    if path is not None:
        np.savez(path, *outputs)
        return
    for array in outputs:
        click.echo(np.array2string(np.asarray(array), threshold=64))
