"""Forms of the lookup of a table's rows by secret ids: products with one-hot matrices.

Every form reads the whole table for every id, so that nothing depends on which row is wanted. An id that is
no row's number gives a row of zeros, and nobody learns that it did; where the program means the nearest row,
ids are clamped before.
"""

from __future__ import annotations

import math

from ditto_compiler.forms.builder import Tensor


def one_hot(table: Tensor, ids: Tensor) -> Tensor:
    """(ids == iota) @ table: an equality for each id and row."""
    return _hot(ids, table.shape[0], table).dot(_matrix(table))


def digits(table: Tensor, ids: Tensor) -> Tensor:
    """The same with the one-hot matrix as a product of two: of the ids' high and low bits.

    2 sqrt(rows) equalities for each id instead of one for each row, and then a product of a bit
    and a number, without truncation, for each row.
    """
    rows = table.shape[0]
    bits = math.ceil(math.log2(rows) / 2) if rows > 1 else 0
    low_count = 2**bits
    high_count = math.ceil(rows / low_count)
    high = ids.shifted_right(bits)
    low = ids - high * low_count
    shape = (ids.shape[0], high_count, low_count)
    high_hot = _hot(high, high_count, table).spread(shape, (0, 1))
    pairs = high_hot.where(_equal(low, low_count).spread(shape, (0, 2)))
    hot = pairs.reshaped((shape[0], high_count * low_count)).columns(rows)
    return hot.dot(_matrix(table))


def _matrix(table: Tensor) -> Tensor:
    return table.reshaped((table.shape[0], math.prod(table.shape[1:])))


def _equal(ids: Tensor, count: int) -> Tensor:
    """[ids, count]: whether an id is the column's number."""
    shape = (ids.shape[0], count)
    return ids.spread(shape, (0,)).compare("EQ", ids.builder.iota(shape, 1, ids.type.element_type))


def _hot(ids: Tensor, count: int, like: Tensor) -> Tensor:
    """[ids, count]: 1 where an id is the column's number, 0 elsewhere; of the element type of `like`."""
    ones = like.builder.full(1.0, (ids.shape[0], count), like.type.element_type)
    return ones.where(_equal(ids, count))
