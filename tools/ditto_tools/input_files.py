"""Arrays from and to files, for the commands."""

from __future__ import annotations

import io
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import click
import numpy as np

from ditto.compiled_program import Program
from ditto.runtime.caller.inputs import argument_structure, argument_structures
from ditto.tree import count, flatten, structure_of, unflatten_argument
from ditto_compiler.errors import DittoError
from ditto_compiler.files import write_whole


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


def nested_inputs(program: Program, paths: Sequence[Path], absent: Set[int] = frozenset()) -> list[Any]:
    """The arrays of files, nested as the program's arguments.

    Args:
        program: to run on them.
        paths: of files with the arrays in order.
        absent: positions of arguments that are not in files; they are None.

    Raises:
        DittoError: there are too few or too many, or there is no such position.
    """
    structures = argument_structures(program)
    for position in absent:
        argument_structure(program, position)
    arrays = read_arrays(paths)
    wanted = sum(count(part) for position, part in enumerate(structures) if position not in absent)
    if len(arrays) != wanted:
        raise DittoError(f"program '{program.name}' takes {wanted} arrays, got {len(arrays)}")
    arguments: list[Any] = []
    for position, structure in enumerate(structures):
        if position in absent:
            arguments.append(None)
            continue
        arguments.append(unflatten_argument(structure, arrays[: count(structure)]))
        arrays = arrays[count(structure) :]
    return arguments


def nested_argument(program: Program, position: int, paths: Sequence[Path]) -> Any:
    """The arrays of files, nested as one of the program's arguments.

    Raises:
        DittoError: there are too few or too many, or there is no such position.
    """
    structure, _ = argument_structure(program, position)
    arrays = read_arrays(paths)
    if len(arrays) != count(structure):
        raise DittoError(
            f"argument {position} of program '{program.name}' takes {count(structure)} arrays, "
            f"got {len(arrays)}"
        )
    return unflatten_argument(structure, arrays)


def check_output(path: Path | None) -> None:
    """Makes sure that outputs can be written to a file, before what they cost is spent.

    Raises:
        DittoError: there is no such folder.
    """
    if path is not None and not path.parent.is_dir():
        raise DittoError(f"cannot write '{path}': there is no folder '{path.parent}'")


def write_outputs(result: Any, path: Path | None) -> None:
    """Writes results to an .npz file, whole or not at all; or prints them.

    Raises:
        DittoError: the file cannot be written.
    """
    outputs = flatten(structure_of(result), result)
    if path is None:
        for array in outputs:
            click.echo(np.array2string(np.asarray(array), threshold=64))
        return
    content = io.BytesIO()
    np.savez(content, *outputs)
    try:
        write_whole(path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz"), content.getvalue())
    except OSError as error:
        raise DittoError(f"cannot write '{path}': {error.strerror}") from None
