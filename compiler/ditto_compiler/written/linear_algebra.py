"""Factorizations of small matrices, unrolled: LU, Cholesky, QR, and triangular systems.

Products are sums of element-wise ones, not `dot`s, which policies may have in narrower rings. Reciprocals and
inverse roots get one step of Newton's method, for the engine's own are right to four digits only.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

NOTHING = 2.0**-15
"""What in a column that is reflected counts as 0."""


def block(a: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    """Rows and columns from one number until another, of each matrix; JAX's own indexing makes gathers."""
    return lax.slice(a, (0, rows[0], columns[0]), (a.shape[0], rows[1], columns[1]))


def first_largest(x: Array) -> Array:
    """Where the largest number of each row is, the first of equals: one comparison of all pairs."""
    n = x.shape[-1]
    i, j = (lax.broadcasted_iota(jnp.int32, (1, n, n), axis) for axis in (1, 2))
    upper = jnp.broadcast_to(i <= j, (*x.shape, n))
    keeps = lax.broadcast_in_dim(x, (*x.shape, n), (0, 1)) >= lax.broadcast_in_dim(x, (*x.shape, n), (0, 2))
    loses = ~jnp.swapaxes(keeps, 1, 2)
    # Of a pair, the earlier one wins if it is not smaller.
    return jnp.all((keeps & upper) | (loses & ~upper), 2)


def reciprocal(x: Array) -> Array:
    """1/x of numbers of any sign: y (2 - |x| y), y = 1/|x|."""
    size = lax.abs(x)
    y = 1 / size
    y = y * (2 - size * y)
    return jnp.where(x < 0, -y, y)


def lu(a: Array) -> tuple[Array, Array, Array, Array]:
    """LU with partial pivoting, as `getrf`: L and U in one, pivots from 1 on, 0, and the permutation.

    Rows are exchanged by selections: no index is ever known.
    """
    *outer, m, n = a.shape
    a = a.reshape(math.prod(outer), m, n)
    batch, steps = a.shape[0], min(m, n)
    order = lax.broadcasted_iota(jnp.int32, (batch, m, 1), 1)
    pivots = [jnp.full((batch, 1), k + 1, jnp.int32) for k in range(steps)]
    for k in range(min(steps, m - 1)):
        wins = first_largest(lax.abs(block(a, (k, m), (k, k + 1)).reshape(batch, m - k)))
        places = lax.broadcasted_iota(jnp.int32, (batch, m - k), 1) + jnp.int32(k + 1)
        chosen = jnp.where(wins, places, jnp.int32(0))
        pivots[k] = jnp.sum(chosen, 1, keepdims=True, dtype=jnp.int32)
        a, order = _exchanged(a, wins, k), _exchanged(order, wins, k)
        top = block(a, (k, k + 1), (k + 1, n))
        factors = block(a, (k + 1, m), (k, k + 1)) * reciprocal(block(a, (k, k + 1), (k, k + 1)))
        rest = block(a, (k + 1, m), (k + 1, n)) - factors * top
        below = lax.concatenate([block(a, (k + 1, m), (0, k)), factors, rest], 2)
        a = lax.concatenate([block(a, (0, k + 1), (0, n)), below], 1)
    found = lax.concatenate(pivots, 1).reshape(*outer, steps)
    return a.reshape(*outer, m, n), found, jnp.zeros(outer, jnp.int32), order.reshape(*outer, m)


def _exchanged(a: Array, wins: Array, k: int) -> Array:
    """Rows k and the one of those from k on that wins, exchanged."""
    m, n = a.shape[1:]
    rows = block(a, (k, m), (0, n))
    here = lax.broadcast_in_dim(wins, rows.shape, (0, 1))
    chosen = jnp.sum(jnp.where(here, rows, jnp.zeros((), a.dtype)), 1, keepdims=True, dtype=a.dtype)
    first = jnp.broadcast_to(block(rows, (0, 1), (0, n)), rows.shape)
    moved = block(jnp.where(here, first, rows), (1, m - k), (0, n))
    return lax.concatenate([block(a, (0, k), (0, n)), chosen, moved], 1)


def cholesky(a: Array) -> Array:
    """L of the lower triangle of a = L L^T, zeros above."""
    shape, n = a.shape, a.shape[-1]
    a = a.reshape(math.prod(shape[:-2]), n, n)
    columns = []
    for k in range(n):
        left = n - k
        pivot = block(a, (0, 1), (0, 1))
        root = lax.rsqrt(pivot)
        root = root * (1.5 - 0.5 * pivot * root * root)
        column = block(a, (0, left), (0, 1)) * root
        columns.append(lax.pad(column, jnp.zeros((), a.dtype), [(0, 0, 0), (k, 0, 0), (0, 0, 0)]))
        rest = block(column, (1, left), (0, 1))
        a = block(a, (1, left), (1, left)) - rest * jnp.swapaxes(rest, 1, 2)
    return lax.concatenate(columns, 2).reshape(shape)


def triangular_solve(a: Array, b: Array, *, lower: bool, unit: bool) -> Array:
    """x of a x = b, by substitution; what is on the other side of a's diagonal is not read."""
    shape, n, count = b.shape, b.shape[-2], b.shape[-1]
    a, b = a.reshape(-1, n, n), b.reshape(-1, n, count)
    eye = jnp.broadcast_to(jnp.eye(n, dtype=bool), a.shape)
    diagonal = jnp.sum(jnp.where(eye, a, jnp.zeros((), a.dtype)), 2, keepdims=True)
    inverses = None if unit else reciprocal(diagonal)
    found: Array | None = None
    for i in range(n) if lower else range(n - 1, -1, -1):
        row = block(b, (i, i + 1), (0, count))
        if found is not None:
            factors = block(a, (i, i + 1), (0, i) if lower else (i + 1, n))
            row = row - jnp.sum(jnp.swapaxes(factors, 1, 2) * found, 1, keepdims=True)
        if inverses is not None:
            row = row * block(inverses, (i, i + 1), (0, 1))
        found = row if found is None else lax.concatenate([found, row] if lower else [row, found], 1)
    assert found is not None
    return found.reshape(shape)


def householder(a: Array) -> tuple[Array, Array]:
    """QR by reflections, as `geqrf`: R, the vectors below it without their leading 1, and their factors."""
    *outer, m, n = a.shape
    a = a.reshape(math.prod(outer), m, n)
    batch = a.shape[0]
    one, factors = jnp.ones((batch, 1, 1), a.dtype), []
    for k in range(min(m, n)):
        if k + 1 == m:
            factors.append(jnp.zeros_like(one))
            continue
        x, below = block(a, (k, m), (k, k + 1)), block(a, (k + 1, m), (k, k + 1))
        first = block(x, (0, 1), (0, 1))
        norm = lax.sqrt(jnp.sum(x * x, 1, keepdims=True))
        inverses = reciprocal(lax.concatenate([norm, lax.abs(first) + norm], 1))
        by_norm, by_size = (block(inverses, (row, row + 1), (0, 1)) for row in (0, 1))
        # Where nothing is below, LAPACK does not reflect; earlier steps leave some units of the last place.
        idle = jnp.all(lax.abs(below) < NOTHING, 1, keepdims=True)
        negative = first < 0
        diagonal = jnp.where(idle, first, jnp.where(negative, norm, -norm))
        factor = jnp.where(idle, jnp.zeros_like(one), 1 + lax.abs(first) * by_norm)
        vector = below * jnp.where(negative, -by_size, by_size)
        rest = _reflected(lax.concatenate([one, vector], 1), factor, block(a, (k, m), (k + 1, n)))
        column = lax.concatenate([diagonal, vector], 1)
        below = lax.concatenate([block(a, (k, m), (0, k)), column, rest], 2)
        a = lax.concatenate([block(a, (0, k), (0, n)), below], 1)
        factors.append(factor)
    return a.reshape(*outer, m, n), lax.concatenate(factors, 1).reshape(*outer, min(m, n))


def reflections(a: Array, factors: Array) -> Array:
    """Q of such vectors and factors, as `orgqr`: the first columns of the product of all reflections."""
    shape, (m, n), count = a.shape, a.shape[-2:], factors.shape[-1]
    a, factors = a.reshape(-1, m, n), factors.reshape(-1, count, 1)
    one = jnp.ones((a.shape[0], 1, 1), a.dtype)
    q = jnp.broadcast_to(jnp.eye(m, n, dtype=a.dtype), a.shape)
    for k in range(count - 1, -1, -1):
        whole = lax.concatenate([one, block(a, (k + 1, m), (k, k + 1))], 1)
        rest = _reflected(whole, block(factors, (k, k + 1), (0, 1)), block(q, (k, m), (k, n)))
        below = lax.concatenate([block(q, (k, m), (0, k)), rest], 2)
        q = lax.concatenate([block(q, (0, k), (0, n)), below], 1)
    return q.reshape(shape)


def _reflected(vector: Array, factor: Array, rows: Array) -> Array:
    """rows - factor vector (vector^T rows)."""
    return rows - vector * (factor * jnp.sum(vector * rows, 1, keepdims=True))


def looked_up(x: Array, index: Array, batched: bool, axes: list[int], offsets: list[int]) -> Array:
    """A gather along the last of `axes` by secret places in its extent, of each batch along the first."""
    others = [axis for axis in range(x.ndim) if axis not in axes]
    x = lax.transpose(x, [*axes, *others])
    kept = x.shape[len(axes) :]
    # [batch, places, extent, the rest]
    batch, extent = (x.shape[0] if batched else 1), x.shape[len(axes) - 1]
    x, index = x.reshape(batch, 1, extent, -1), index.reshape(batch, -1, 1, 1)
    full = (batch, index.shape[1], extent, x.shape[-1])
    hit = jnp.broadcast_to(index, full) == lax.broadcasted_iota(index.dtype, full, 2)
    found = jnp.sum(jnp.where(hit, jnp.broadcast_to(x, full), jnp.zeros((), x.dtype)), 2, dtype=x.dtype)
    found = found.reshape(*([batch] if batched else []), full[1], *kept)
    rank = found.ndim
    starts = [axis for axis in range(rank) if axis not in offsets]
    order: list[Any] = [*starts, *offsets]
    return found.transpose([order.index(axis) for axis in range(rank)])
