"""Tables that few numbers determine: angles of rotary embeddings, sinusoidal positions, windows, lines.

A model's tracing makes them of shapes alone. They can be told from weights, for along one axis each column
goes on as it began, by a linear recurrence: x[t + 1] = a x[t] + b x[t - 1] + c x[t - 2], as quadratics,
exponentials, sinusoids and shifted sinusoids do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ORDER = 3
"""Of the recurrence: as many numbers determine a column, and those of the recurrence itself, of which there
are few."""

LEAST_LENGTH = 16
"""Of a column; what is shorter goes on in some way by chance."""

MOST_DEVIATION = 1e-3
"""Of a column's largest number: angles of t are rounded by t units of the dtype's precision."""


def numbers_in(table: NDArray[np.float64], epsilon: float) -> int:
    """How many numbers determine a table: its size, if no recurrence makes its columns, along any axis.

    Args:
        table: of any shape.
        epsilon: precision of the dtype that its numbers were rounded to.
    """
    found = table.size
    if not found:
        return 0
    for axis, length in enumerate(table.shape):
        if length < LEAST_LENGTH:
            continue
        columns = np.moveaxis(table, axis, -1).reshape(-1, length).astype(np.float64)
        if not _goes_on(columns[0], epsilon):
            continue
        columns = np.unique(columns, axis=0)
        if ORDER * len(columns) < found and all(_goes_on(column, epsilon) for column in columns):
            found = ORDER * len(columns)
    return found


def _goes_on(column: NDArray[np.float64], epsilon: float) -> bool:
    """Whether some recurrence gives each number of a column from those before it."""
    largest = float(np.abs(column).max())
    if not np.isfinite(largest):
        return False
    allowed = min(MOST_DEVIATION, 8 * epsilon * len(column)) * largest
    # At each stride: what is merely smooth goes on for a while only.
    strides = [2**k for k in range(len(column).bit_length()) if 2**k * 2 * ORDER <= len(column)]
    return all(_deviation(column, stride) <= allowed for stride in strides)


def _deviation(column: NDArray[np.float64], stride: int) -> float:
    """How far numbers are from the best recurrence over every `stride`-th."""
    rows = len(column) - ORDER * stride
    before = np.stack([column[i * stride :][:rows] for i in range(ORDER)], axis=1)
    after = column[ORDER * stride :]
    coefficients, *_ = np.linalg.lstsq(before, after, rcond=None)
    return float(np.abs(before @ coefficients - after).max())
