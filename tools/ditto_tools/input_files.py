"""Arrays from and to files, for the commands."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from ditto.compiled_program import Program
from ditto.tree import LEAF, count, flatten, structure_of, unflatten_argument
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


def nested_inputs(program: Program, paths: Sequence[Path], given: Mapping[int, Any] | None = None) -> Any:
    """The arrays of files, nested as the program's arguments.

    Args:
        program: to run on them.
        paths: of files with the arrays in order.
        given: arguments by position that are not in files.

    Raises:
        DittoError: there are too few or too many, or there is no such position.
    """
    given = given or {}
    structures = _structures(program)
    for position in given:
        _check_position(program, position)
    arrays = read_arrays(paths)
    wanted = sum(count(part) for position, part in enumerate(structures) if position not in given)
    if len(arrays) != wanted:
        raise DittoError(f"program '{program.name}' takes {wanted} arrays, got {len(arrays)}")
    arguments = []
    for position, structure in enumerate(structures):
        if position in given:
            arguments.append(given[position])
            continue
        arguments.append(unflatten_argument(structure, arrays[: count(structure)]))
        arrays = arrays[count(structure) :]
    return tuple(arguments)


def nested_argument(program: Program, position: int, paths: Sequence[Path]) -> Any:
    """The arrays of files, nested as one of the program's arguments.

    Raises:
        DittoError: there are too few or too many, or there is no such position.
    """
    _check_position(program, position)
    structure = _structures(program)[position]
    arrays = read_arrays(paths)
    if len(arrays) != count(structure):
        raise DittoError(
            f"argument {position} of program '{program.name}' takes {count(structure)} arrays, "
            f"got {len(arrays)}"
        )
    return unflatten_argument(structure, arrays)


def _structures(program: Program) -> list[Any]:
    """How each argument nests."""
    if program.input_tree is None:
        return [LEAF] * len(program.caller_inputs)
    return list(program.input_tree[1])


def _check_position(program: Program, position: int) -> None:
    arguments = len(_structures(program))
    if not 0 <= position < arguments:
        raise DittoError(f"program '{program.name}' has {arguments} arguments, so none at {position}")


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
