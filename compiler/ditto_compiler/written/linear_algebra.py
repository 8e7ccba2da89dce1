"""Factorizations of small matrices, unrolled: LU, Cholesky, QR, and triangular systems.

Products are sums of element-wise ones, not `dot`s, which policies may have in narrower rings. Reciprocals and
inverse roots get one step of Newton's method, for the engine's own are right to four digits only.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

Parts = tuple[Array, ...]


def first_largest(x: Array) -> Array:
    """Booleans: where the largest element of the last axis is, the first of equals; one comparison of all pairs."""
    n = x.shape[-1]
    i, j = (lax.broadcasted_iota(jnp.int32, (n, n), axis) for axis in (0, 1))
    upper = jnp.broadcast_to(i <= j, (*x.shape, n))
    keeps = x[..., :, None] >= x[..., None, :]
    loses = ~jnp.swapaxes(keeps, -1, -2)
    # Of a pair, the earlier one wins if it is not smaller.
    return jnp.all((keeps & upper) | (loses & ~upper), -1)


def reciprocal(x: Array) -> Array:
    """1/x of numbers of any sign: y (2 - |x| y), y = 1/|x|."""
    size = lax.abs(x)
    y = 1 / size
    y = y * (2 - size * y)
    return jnp.where(x < 0, -y, y)


def times(a: Array, b: Array) -> Array:
    """Matrix product of the last two axes."""
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], -2)


def lu(a: Array) -> tuple[Array, Array, Array, Array]:
    """LU with partial pivoting, as `getrf`: L and U in one, pivots from 1 on, 0, and the permutation.

    Rows are exchanged by selections: no index is ever known.
    """
    *batch, m, n = a.shape
    steps = min(m, n)
    order = jnp.broadcast_to(jnp.arange(m, dtype=jnp.int32), (*batch, m))
    pivots = []
    for k in range(steps):
        if k + 1 < m:
            wins = first_largest(lax.abs(a[..., k:, k]))
            place = jnp.arange(k + 1, m + 1, dtype=jnp.int32)
            pivots.append(jnp.sum(jnp.where(wins, place, 0), -1, dtype=jnp.int32))
            a, order = _exchanged(a, wins, k), _exchanged(order[..., None], wins, k)[..., 0]
            factors = a[..., k + 1 :, k] * reciprocal(a[..., k, k])[..., None]
            rest = a[..., k + 1 :, k + 1 :] - factors[..., :, None] * a[..., k : k + 1, k + 1 :]
            below = jnp.concatenate([a[..., k + 1 :, :k], factors[..., None], rest], -1)
            a = jnp.concatenate([a[..., : k + 1, :], below], -2)
        else:
            pivots.append(jnp.full(batch, k + 1, jnp.int32))
    found = jnp.stack(pivots, -1) if pivots else jnp.zeros((*batch, 0), jnp.int32)
    return a, found, jnp.zeros(batch, jnp.int32), order


def _exchanged(a: Array, wins: Array, k: int) -> Array:
    """Rows k and the one of those from k on that wins, exchanged."""
    rows, here = a[..., k:, :], wins[..., None]
    chosen = jnp.sum(jnp.where(here, rows, 0), -2, keepdims=True, dtype=a.dtype)
    moved = jnp.where(here, rows[..., :1, :], rows)
    return jnp.concatenate([a[..., :k, :], chosen, moved[..., 1:, :]], -2)


def cholesky(a: Array) -> Array:
    """L of the lower triangle of a = L L^T, zeros above."""
    n = a.shape[-1]
    columns = []
    for k in range(n):
        pivot = a[..., 0, 0]
        root = lax.rsqrt(pivot)
        root = root * (1.5 - 0.5 * pivot * root * root)
        column = a[..., :, 0] * root[..., None]
        columns.append(jnp.pad(column, [(0, 0)] * (a.ndim - 2) + [(k, 0)]))
        rest = column[..., 1:]
        a = a[..., 1:, 1:] - rest[..., :, None] * rest[..., None, :]
    return jnp.stack(columns, -1)


def triangular_solve(a: Array, b: Array, *, lower: bool, unit: bool) -> Array:
    """x of a x = b, by substitution; what is on the other side of a's diagonal is not read."""
    n = a.shape[-1]
    inverses = None if unit else reciprocal(jnp.diagonal(a, axis1=-2, axis2=-1))
    found = b[..., :0, :]
    for i in range(n) if lower else range(n - 1, -1, -1):
        row = b[..., i : i + 1, :]
        factors = a[..., i, :i] if lower else a[..., i, i + 1 :]
        if found.shape[-2]:
            row = row - jnp.sum(factors[..., :, None] * found, -2, keepdims=True)
        if inverses is not None:
            row = row * inverses[..., i, None, None]
        found = jnp.concatenate([found, row] if lower else [row, found], -2)
    return found


def householder(a: Array) -> tuple[Array, Array]:
    """QR by reflections, as `geqrf`: R, the vectors below it without their leading 1, and their factors."""
    *batch, m, n = a.shape
    factors = []
    for k in range(min(m, n)):
        if k + 1 == m:
            factors.append(jnp.zeros(batch, a.dtype))
            continue
        x, below = a[..., k:, k], a[..., k + 1 :, k]
        first = x[..., 0]
        norm = lax.sqrt(jnp.sum(x * x, -1))
        size = lax.abs(first) + norm
        by_norm, by_size = (part[0] for part in jnp.split(reciprocal(jnp.stack([norm, size])), 2))
        # Where nothing is below, LAPACK does not reflect.
        idle = jnp.all(below == 0, -1)
        negative = first < 0
        diagonal = jnp.where(idle, first, jnp.where(negative, norm, -norm))
        factor = jnp.where(idle, 0, 1 + lax.abs(first) * by_norm)
        vector = below * jnp.where(negative, -by_size, by_size)[..., None]
        whole = jnp.concatenate([jnp.ones((*batch, 1), a.dtype), vector], -1)
        rest = a[..., k:, k + 1 :]
        rest = rest - whole[..., :, None] * (factor[..., None] * _projected(whole, rest))[..., None, :]
        column = jnp.concatenate([diagonal[..., None], vector], -1)[..., None]
        a = jnp.concatenate([a[..., :k, :], jnp.concatenate([a[..., k:, :k], column, rest], -1)], -2)
        factors.append(factor)
    return a, jnp.stack(factors, -1) if factors else jnp.zeros((*batch, 0), a.dtype)


def reflections(a: Array, factors: Array) -> Array:
    """Q of such vectors and factors, as `orgqr`: the first columns of the product of all reflections."""
    *batch, m, n = a.shape
    q = jnp.broadcast_to(jnp.eye(m, n, dtype=a.dtype), a.shape)
    for k in range(factors.shape[-1] - 1, -1, -1):
        whole = jnp.concatenate([jnp.ones((*batch, 1), a.dtype), a[..., k + 1 :, k]], -1)
        rest = q[..., k:, k:]
        rest = rest - whole[..., :, None] * (factors[..., k, None] * _projected(whole, rest))[..., None, :]
        q = jnp.concatenate([q[..., :k, :], jnp.concatenate([q[..., k:, :k], rest], -1)], -2)
    return q


def _projected(vector: Array, rows: Array) -> Array:
    return jnp.sum(vector[..., :, None] * rows, -2)


def looked_up(x: Array, index: Array, batched: bool, axes: list[int], offsets: list[int]) -> Array:
    """A gather along the last of `axes` by secret places in its extent, of each batch along the first."""
    others = [axis for axis in range(x.ndim) if axis not in axes]
    x = x.transpose(*axes, *others)
    if not batched:
        x, index = x[None], index[None]
    extent = x.shape[1]
    hit = index[..., None] == jnp.arange(extent, dtype=index.dtype)
    hit = hit.reshape(*hit.shape, *[1] * len(others))
    found = jnp.sum(jnp.where(hit, x[:, None], jnp.zeros((), x.dtype)), 2, dtype=x.dtype)
    found = found if batched else found[0]
    rank = found.ndim
    starts = [axis for axis in range(rank) if axis not in offsets]
    order: list[Any] = [*starts, *offsets]
    return found.transpose([order.index(axis) for axis in range(rank)])
