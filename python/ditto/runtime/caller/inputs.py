"""What the caller gives to a program: arrays, or handles of arrays that the parties hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditto import tree
from ditto_compiler.dtypes import FLOAT_TYPES, numpy_dtype
from ditto_compiler.encoding import Encoding
from ditto_compiler.errors import DittoError
from ditto_compiler.program import CallerTensor, Program


class InputError(DittoError):
    """Arguments that are not what the program was compiled for."""


@dataclass(frozen=True, eq=False)
class SharedArray:
    """A handle of an array that the parties of a cluster hold, and that nobody sees.

    Attributes:
        shape: extents.
        dtype: front-end element type, spelled as in MLIR.
        encodings: those in which it is held; parties cast it when a program wants another.
        secret: whether it is held as shares.
        key: its name among the parties.
        generation: of the cluster's party processes, with which it ends.
    """

    shape: tuple[int, ...]
    dtype: str
    encodings: tuple[Encoding, ...]
    secret: bool
    key: int
    generation: object = field(repr=False)

    def __array__(self, *_: Any, **__: Any) -> NDArray[Any]:
        raise TypeError("a SharedArray is held by the parties; pass it to LocalCluster.run")


def as_array(value: Any, where: str) -> NDArray[Any]:
    """What numpy makes of an argument.

    Raises:
        InputError: nothing; `where` says which argument it is.
    """
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(value, jax.Array) and value.dtype.name.startswith("key<"):
        # JAX's typed keys are arrays of words to the program.
        value = jax.random.key_data(value)
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: expected an array, got a {type(value).__name__}: {error}") from None


def is_number_for(value: Any, array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether `value`, of which numpy made `array`, is a Python number that a program's `dtype` takes.

    A Python number has no dtype of its own, so it takes the program's.
    """
    return isinstance(value, (bool, int, float)) and np.can_cast(array.dtype, dtype, "same_kind")


def check_program(program: object) -> None:
    """Raises an InputError unless `program` is one."""
    if not isinstance(program, Program):
        raise InputError(f"expected a program that ditto.compile made, got a {type(program).__name__}")


def argument_structures(program: Program) -> list[Any]:
    """How each argument of a program nests, see `ditto.tree`."""
    if program.input_tree is None:
        return [tree.LEAF] * len(program.caller_inputs)
    return list(program.input_tree[1])


def argument_structure(program: Program, position: int) -> tuple[Any, int]:
    """The structure of an argument, and the number of its first array among the program's inputs.

    Raises:
        InputError: the program has no such argument, or is none.
    """
    check_program(program)
    structures = argument_structures(program)
    if not 0 <= position < len(structures):
        raise InputError(f"program '{program.name}' has {len(structures)} arguments, so none at {position}")
    return structures[position], sum(map(tree.count, structures[:position]))


def shared_inputs(program: Program, shared: Mapping[int, Any]) -> dict[int, SharedArray]:
    """The shared arrays of some arguments, by number among the program's inputs.

    Args:
        program: the program.
        shared: arguments by position, whose arrays are all shared.

    Raises:
        InputError: they are not, or of another shape or dtype.
    """
    found = {}
    for position, argument in shared.items():
        structure, first = argument_structure(program, position)
        for index, leaf in enumerate(tree.flatten_argument(structure, argument, position), first):
            if not isinstance(leaf, SharedArray):
                raise InputError(
                    f"program '{program.name}', input {index}: expected a shared array, got a "
                    f"{type(leaf).__name__}"
                )
            _check_input(program.name, index, program.caller_inputs[index], leaf)
            found[index] = leaf
    return found


class GuardError(DittoError):
    """An input, or a value computed from the inputs, is outside of what a guarded program assumes of it."""


def check_ranges(program: Program, leaves: Iterable[tuple[int, Any]]) -> None:
    """Checks inputs against what a program assumes of them; shared arrays were checked before.

    All are numbers: sharing refuses infinities and NaN, but what only a test for these read is not shared.

    Raises:
        InputError: one that is not shared is no number.
        GuardError: one is outside of the range that a guarded program assumes.
    """
    shared = {entry.index for entry in program.inputs}
    for index, leaf in leaves:
        if isinstance(leaf, SharedArray):
            continue
        if index not in shared and program.caller_inputs[index].dtype in FLOAT_TYPES:
            finite = np.isfinite(leaf)
            if not finite.all():
                raise InputError(
                    f"program '{program.name}', input {index}: {np.asarray(leaf)[~finite].flat[0]!s} is no "
                    "number; shares hold numbers only, and the program takes its inputs to be some"
                )
        if program.guard is None or index not in program.guard.inputs:
            continue
        low, high = program.guard.inputs[index]
        numbers = np.asarray(leaf, np.float64)
        outside = (numbers < low) | (numbers > high)
        if outside.any():
            raise GuardError(
                f"program '{program.name}', input {index}: {numbers[outside].flat[0]:.6g} is outside of "
                f"[{low:.6g}, {high:.6g}], which the program was calibrated for; calibrate with samples "
                "like it"
            )


def check_inputs(program: Program, args: Sequence[Any]) -> list[NDArray[Any] | SharedArray]:
    """The caller's arguments as flat arrays, or handles, of the shapes and dtypes that the program takes.

    Raises:
        InputError: they are not; says which argument, what was found and what is expected.
        GuardError: a number is outside of the range that a guarded program assumes.
    """
    check_program(program)
    try:
        leaves = tree.flatten(program.input_tree, args)
    except tree.TreeError as error:
        raise InputError(f"program '{program.name}': {error}") from None
    if len(leaves) != len(program.caller_inputs):
        raise InputError(
            f"program '{program.name}' takes {len(program.caller_inputs)} arrays, got {len(leaves)}"
        )
    pairs = zip(program.caller_inputs, leaves, strict=True)
    checked = [_check_input(program.name, i, expected, leaf) for i, (expected, leaf) in enumerate(pairs)]
    check_ranges(program, enumerate(checked))
    return checked


def _check_input(program: str, index: int, expected: CallerTensor, value: Any) -> NDArray[Any] | SharedArray:
    if isinstance(value, SharedArray):
        if (value.shape, value.dtype) != (expected.shape, expected.dtype):
            raise InputError(
                f"program '{program}', input {index}: expected {expected.dtype} of shape {expected.shape}, "
                f"got a shared {value.dtype} of shape {value.shape}"
            )
        return value
    array = as_array(value, f"program '{program}', input {index}")
    wanted = numpy_dtype(expected.dtype)
    if array.shape != expected.shape:
        raise InputError(
            f"program '{program}', input {index}: expected shape {expected.shape}, got {array.shape}; "
            "compile again for other shapes"
        )
    if array.dtype != wanted:
        if is_number_for(value, array, wanted):
            return array.astype(wanted)
        raise InputError(f"program '{program}', input {index}: expected dtype {wanted}, got {array.dtype}")
    return array
