"""The pass `ditto-expand-linalg`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ditto_compiler.dtypes import FLOAT_TYPES
from ditto_compiler.encoding import Fxp
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import defining_op, element_type, erase_unused, ir, nested_ops
from ditto_compiler.op_attributes import dimension_field, get_i64s, shape_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import constant
from ditto_compiler.supported import type_problem
from ditto_compiler.written import linear_algebra
from ditto_compiler.written.base import Function, write


@dataclass(frozen=True)
class DittoExpandLinalg(Pass):
    """Write factorizations of small matrices out: LU, Cholesky, QR, and triangular systems.

    JAX calls LAPACK for them, by custom calls; with these, `jnp.linalg`'s `inv`, `solve`, `det`, `slogdet`,
    `cholesky` and `qr` run, their gradients, and `solve_triangular`. Loops over columns are unrolled, so time
    and rounds grow with the size: some 40 rounds a column. Partial pivoting selects rows by booleans; no
    index is known to anybody, and what JAX looks up by the permutation is selected likewise.

    Pivots must be neither 0 nor tiny: with 18 fraction bits, 1/p of a pivot p is off by 1e-5/p^2. Well-conditioned
    matrices of numbers near 1 are right to about 1e-3; scale others first. Of a singular matrix, or a Cholesky
    factor of one that is not positive definite, JAX returns infinities or NaN, and the parties any number:
    `ditto.simulate` and `ditto.calibrate` say that 1/p or 1/sqrt(p) left its domain. Signs of Q and R are
    LAPACK's but where all of a column below the diagonal is 0 up to rounding.

    Requires: calls inlined, no encodings yet. Keeps: everything else.

    Before:

        %0:2 = stablehlo.custom_call @lapack_spotrf_ffi(%x) ... : (tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<i32>)

    After, the first steps:

        %0 = stablehlo.slice %x [0:1, 0:1] : (tensor<2x2xf32>) -> tensor<1x1xf32>
        %1 = stablehlo.reshape %0 : (tensor<1x1xf32>) -> tensor<f32>
        %2 = stablehlo.rsqrt %1 : tensor<f32>

    Errors: a matrix with more than `max_size` rows or columns.
    """

    name: ClassVar[str] = "ditto-expand-linalg"
    max_size: int = 16
    """Rows and columns that a matrix may have."""
    wide: bool = False
    """Whether to compute in ring 64 with 18 fraction bits, whatever the policy has for products and sums."""

    def __post_init__(self) -> None:
        if self.max_size < 1:
            raise DittoError(f"max_size must be at least 1, got {self.max_size}")

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        pin = Fxp(64, 18) if self.wide else None
        moved: set[ir.Value] = set()
        wanted = [(op, _function(op)) for op in nested_ops(module.operation)]
        for op, function in wanted:
            if function is None:
                continue
            size = max(shape_of(_matrix(op))[-2:])
            if size > self.max_size:
                errors.add(
                    op,
                    f"a matrix of {size} rows or columns; factorizations are written out for up to "
                    f"{self.max_size} (max-size), and cost rounds for each column; use smaller blocks, or "
                    "an iteration of matrix products",
                )
                continue
            _, *extra = _written(op, function, pin)
            moved.update(extra)
        errors.raise_if_any()
        _select_rows(moved, pin)


def _written(op: ir.Operation, function: Function, pin: Fxp | None) -> list[ir.Value | None]:
    """Writes an op; for an LU factorization, also gives the permutation that its pivots are."""
    if not _is_lu(op):
        write(op, function, pin)
        return [None]
    pivots = op.results[1]
    loops = [(loop, number) for loop, number in _loops(pivots)]
    values = write(op, function, pin)
    order = values[-1]
    found: list[ir.Value | None] = [None]
    for loop, number in loops:
        loop.results[number].replace_all_uses_with(order)
        found.append(order)
    erase_unused([loop for loop, _ in loops])
    return found


def _loops(pivots: ir.Value) -> list[tuple[ir.Operation, int]]:
    """JAX's loops that make a permutation of pivots, and as which result.

    Pattern: while(.., iota, pivots - 1)
    """
    found = []
    for use in pivots.uses:
        user = use.owner.operation
        if (
            user.name == "stablehlo.subtract"
            and user.operands[0] == pivots
            and constant(user.operands[1]) == 1
        ):
            for inner in user.results[0].uses:
                loop = inner.owner.operation
                if loop.name == "stablehlo.while":
                    found += [(loop, number) for number, value in enumerate(loop.operands) if _counts(value)]
    return found


def _counts(value: ir.Value) -> bool:
    """Whether a value is an iota, repeated."""
    op = defining_op(value)
    while op is not None and op.name == "stablehlo.broadcast_in_dim":
        op = defining_op(op.operands[0])
    return op is not None and op.name == "stablehlo.iota"


def _select_rows(permutations: set[ir.Value], pin: Fxp | None) -> None:
    """Writes the gathers out whose indices are made of permutations."""
    reached: set[ir.Value] = set()
    pending = list(permutations)
    gathers: dict[ir.Operation, None] = {}
    while pending:
        value = pending.pop()
        if value in reached:
            continue
        reached.add(value)
        for use in value.uses:
            user = use.owner.operation
            if user.name == "stablehlo.gather":
                if use.operand_number == 1:
                    gathers[user] = None
            elif not len(user.regions) or user.name == "stablehlo.sort":
                pending += [
                    result for result in user.results if element_type(result) in ("i32", "i64", "ui32")
                ]
    for gather in gathers:
        function = _lookup(gather)
        if function is not None:
            write(gather, function, pin)


def _lookup(op: ir.Operation) -> Function | None:
    """A gather of whole rows along one axis, or along one of each batch; None for any other."""
    numbers = op.attributes["dimension_numbers"]
    axes = dimension_field(numbers, "start_index_map")
    shape, index = shape_of(op.operands[0]), shape_of(op.operands[1])
    sizes = [1 if axis in axes else extent for axis, extent in enumerate(shape)]
    is_plain = (
        sorted(axes) == sorted(dimension_field(numbers, "collapsed_slice_dims"))
        and not dimension_field(numbers, "operand_batching_dims")
        and (dimension_field(numbers, "index_vector_dim") or [0])[0] == len(index) - 1
        and get_i64s(op, "slice_sizes") == sizes
        and index[-1] == len(axes) == len(index) - 1
    )
    if not is_plain or len(axes) > 2:
        return None
    batched = len(axes) == 2
    if batched:
        joined = defining_op(op.operands[1])
        if joined is None or joined.name != "stablehlo.concatenate" or not _counts(joined.operands[0]):
            return None
    offsets = dimension_field(numbers, "offset_dims")
    return lambda x, at: linear_algebra.looked_up(x, at[..., -1], batched, axes, offsets)


_LAPACK = re.compile(r"lapack_[sd](getrf|potrf|geqrf|orgqr)(_ffi)?|blas_[sd](trsm)(_ffi)?")


def _target(op: ir.Operation) -> str | None:
    """`getrf`, `potrf`, ... of a custom call."""
    if op.name != "stablehlo.custom_call":
        return None
    match = _LAPACK.fullmatch(ir.StringAttr(op.attributes["call_target_name"]).value)
    return None if match is None else match[1] or match[3]


def _is_lu(op: ir.Operation) -> bool:
    return _target(op) == "getrf"


def _first_float(op: ir.Operation) -> int:
    """The number of the first operand that is a matrix: LAPACK's older calls have sizes before it."""
    return next(
        n for n, v in enumerate(op.operands) if len(shape_of(v)) >= 2 and element_type(v) in FLOAT_TYPES
    )


def _matrix(op: ir.Operation) -> ir.Value:
    return op.operands[_first_float(op) if _target(op) else 0]


def _function(op: ir.Operation) -> Function | None:
    """The JAX function that a factorization or a solution is; None for any other op."""
    target = _target(op)
    if target is None and op.name not in ("stablehlo.cholesky", "stablehlo.triangular_solve"):
        return None
    if any(type_problem(value.type) for value in (*op.operands, *op.results)):
        return None
    if op.name == "stablehlo.cholesky":
        lower = "lower" in op.attributes and ir.BoolAttr(op.attributes["lower"]).value
        return partial(_cholesky, lower=lower)
    if op.name == "stablehlo.triangular_solve":
        flags = {n: ir.BoolAttr(op.attributes[n]).value for n in ("left_side", "lower", "unit_diagonal")}
        transposed = "NO_TRANSPOSE" not in str(op.attributes["transpose_a"])
        return partial(
            _solve,
            left=flags["left_side"],
            lower=flags["lower"],
            transposed=transposed,
            unit=flags["unit_diagonal"],
        )
    first = _first_float(op)
    if target == "trsm":
        return _blas(op, first)
    maker = _potrf(op) if target == "potrf" else _MAKERS[target]
    count = len(op.results)

    def write(*operands: Array) -> tuple[Array, ...]:
        made = maker(*operands[first:])
        results = made if isinstance(made, tuple) else (made,)
        # How it went: well.
        went = jnp.zeros(results[0].shape[:-2], jnp.int32)
        return (*results, *[went] * (count - len(results)))

    return write


_MAKERS: Mapping[str, Function] = {
    "getrf": linear_algebra.lu,
    "geqrf": linear_algebra.householder,
    "orgqr": linear_algebra.reflections,
}


def _cholesky(a: Array, *, lower: bool) -> Array:
    if lower:
        return linear_algebra.cholesky(a)
    return jnp.swapaxes(linear_algebra.cholesky(jnp.swapaxes(a, -1, -2)), -1, -2)


def _potrf(op: ir.Operation) -> Function:
    """Which triangle is read, an attribute says, or in older calls an operand."""
    if "mhlo.backend_config" in op.attributes:
        entries = ir.DictAttr(op.attributes["mhlo.backend_config"])
        lower = ir.IntegerAttr(entries["uplo"]).value == ord("L")
    else:
        lower = any(constant(v) == 1 for v in list(op.operands)[:1])
    return partial(_cholesky, lower=lower)


def _solve(a: Array, b: Array, *, left: bool, lower: bool, transposed: bool, unit: bool) -> Array:
    if transposed:
        a, lower = jnp.swapaxes(a, -1, -2), not lower
    if left:
        return linear_algebra.triangular_solve(a, b, lower=lower, unit=unit)
    # x a = b is a^T x^T = b^T.
    a, b = jnp.swapaxes(a, -1, -2), jnp.swapaxes(b, -1, -2)
    return jnp.swapaxes(linear_algebra.triangular_solve(a, b, lower=not lower, unit=unit), -1, -2)


def _blas(op: ir.Operation, first: int) -> Function | None:
    """`trsm`: left side, lower, transposed and unit diagonal are the first operands, a factor the last before a."""
    if first != 8:
        return None
    numbers = [constant(value) for value in list(op.operands)[:first]]
    if None in numbers or numbers[7] != 1:
        return None
    left, lower, transposed, unit = (bool(number) for number in numbers[:4])
    solve = partial(_solve, left=left, lower=lower, transposed=transposed, unit=unit)
    return lambda *operands: solve(*operands[first:])
