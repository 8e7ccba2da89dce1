"""Batches that a training can go through again from any step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.errors import DittoError
from ditto_compiler.showing import counted

Batch: TypeAlias = tuple[Any, ...]
"""Arguments of the student after its weights; in every array the first axis counts examples."""

BatchSource: TypeAlias = Callable[[int], Batch] | Sequence[Batch]
"""Gives the batch of a step, counted from 0; a sequence is gone through again and again."""


class DistillationError(DittoError):
    """What cannot be distilled: models that do not match, data that do not fit, a loss of NaN."""


class Batches:
    """Batches of the examples in some arrays, shuffled anew in every epoch.

    Which examples a step gets depends on its number and the seed alone, so a training that is resumed sees
    what it would have seen. Examples that do not fill a batch are left out of that epoch.

    Args:
        arrays: of as many examples each, along the first axis.
        size: examples in a batch.
        seed: of the order.

    Raises:
        DistillationError: no arrays, arrays of different lengths, or fewer examples than a batch has.
    """

    def __init__(self, *arrays: Any, size: int, seed: int = 0) -> None:
        self._arrays = [np.asarray(array) for array in arrays]
        if not self._arrays:
            raise DistillationError("batches need at least one array of examples")
        lengths = sorted({len(array) if array.ndim else 0 for array in self._arrays})
        if len(lengths) > 1:
            raise DistillationError(f"all arrays must have as many examples, found {lengths}")
        if not 1 <= size <= lengths[0]:
            raise DistillationError(
                f"there are {lengths[0]} examples; a batch must have from 1 to as many, not {size}"
            )
        self._count, self._size, self._seed = lengths[0], size, seed

    @property
    def epoch(self) -> int:
        """Steps in an epoch."""
        return self._count // self._size

    def __repr__(self) -> str:
        return f"<Batches of {self._size} of {counted(self._count, 'example')}>"

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        epoch, place = divmod(step, self.epoch)
        chosen = self._order(epoch)[place * self._size : (place + 1) * self._size]
        return tuple(array[chosen] for array in self._arrays)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(self._count)


def batch_of(source: BatchSource, step: int) -> Batch:
    """The batch of a step.

    Raises:
        DistillationError: there is none, or it is not a tuple of arrays with as many examples each.
    """
    if callable(source):
        found: Any = source(step)
    elif not isinstance(source, Sequence):
        raise DistillationError(
            "batches must be a list of tuples of arrays, or a function of a step's number that gives one "
            f"(see Batches), got {type(source).__name__}; an iterator cannot be gone through again"
        )
    elif not source:
        raise DistillationError("there are no batches")
    else:
        found = source[step % len(source)]
    if not isinstance(found, (tuple, list)) or not found:
        raise DistillationError(
            f"batch {step} must be a tuple of arrays, the student's arguments after its weights, "
            f"got {'an empty one' if isinstance(found, (tuple, list)) else f'a {type(found).__name__}'}"
        )
    lengths = sorted({np.shape(array)[0] if np.ndim(array) else 0 for array in found})
    if len(lengths) > 1 or lengths[0] == 0:
        raise DistillationError(
            f"in batch {step} the first axis of every array must count the same examples, at least one; "
            f"found {lengths}"
        )
    return tuple(found)
