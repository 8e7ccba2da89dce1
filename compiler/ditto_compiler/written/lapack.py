"""Calls of LAPACK, and StableHLO's own factorizations, as the JAX functions of `linear_algebra`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial

import jax.numpy as jnp
from jax import Array, lax

from ditto_compiler.dtypes import FLOAT_TYPES, numpy_dtype
from ditto_compiler.ir import defining_op, element_type, ir
from ditto_compiler.op_attributes import dimension_field, get_i64s, shape_of
from ditto_compiler.structure import constant
from ditto_compiler.supported import type_problem
from ditto_compiler.written import linear_algebra
from ditto_compiler.written.base import Function


def counts(value: ir.Value) -> bool:
    """Whether a value is an iota, repeated."""
    op = defining_op(value)
    while op is not None and op.name == "stablehlo.broadcast_in_dim":
        op = defining_op(op.operands[0])
    return op is not None and op.name == "stablehlo.iota"


def row_lookup(op: ir.Operation) -> Function | None:
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
        if joined is None or joined.name != "stablehlo.concatenate" or not counts(joined.operands[0]):
            return None
    offsets = dimension_field(numbers, "offset_dims")
    return lambda x, at: linear_algebra.looked_up(
        x, lax.slice_in_dim(at, index[-1] - 1, index[-1], axis=-1), batched, axes, offsets
    )


def leading_block(op: ir.Operation) -> Function | None:
    """A gather of one block from the constant place 0 on; None for any other."""
    numbers = op.attributes["dimension_numbers"]
    shape, sizes = shape_of(op.operands[0]), get_i64s(op, "slice_sizes")
    whole = dimension_field(numbers, "offset_dims") == list(range(len(shape)))
    if not whole or constant(op.operands[1]) != 0:
        return None
    return lambda x, _: lax.slice(x, [0] * len(shape), sizes)


def is_log_of_zero(select: ir.Operation) -> bool:
    """Whether a selection is the logarithm of a determinant, and of that of a singular matrix.

    Pattern: select(any(x == 0), -inf, sum(log(abs(x))))
    """
    total = defining_op(select.operands[2])
    if constant(select.operands[1]) != -math.inf or total is None or total.name != "stablehlo.reduce":
        return False
    log = defining_op(total.operands[0])
    size = None if log is None or log.name != "stablehlo.log" else defining_op(log.operands[0])
    return size is not None and size.name == "stablehlo.abs"


_LAPACK = re.compile(r"lapack_[sd](getrf|potrf|geqrf|orgqr)(_ffi)?|blas_[sd](trsm)(_ffi)?")


def _target(op: ir.Operation) -> str | None:
    """`getrf`, `potrf`, ... of a custom call."""
    if op.name != "stablehlo.custom_call":
        return None
    match = _LAPACK.fullmatch(ir.StringAttr(op.attributes["call_target_name"]).value)
    return None if match is None else match[1] or match[3]


def is_lu(op: ir.Operation) -> bool:
    """Whether an op is an LU factorization."""
    return _target(op) == "getrf"


def _first_float(op: ir.Operation) -> int:
    """The number of the first operand that is a matrix: LAPACK's older calls have sizes before it."""
    matrices = (len(shape_of(v)) >= 2 and element_type(v) in FLOAT_TYPES for v in op.operands)
    return next((number for number, is_matrix in enumerate(matrices) if is_matrix), len(op.operands))


def matrix_of(op: ir.Operation) -> ir.Value:
    """The matrix of a factorization or a triangular system."""
    return op.operands[_first_float(op) if _target(op) else 0]


def factorization(op: ir.Operation) -> Function | None:
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
    if first == len(op.operands):
        return None
    if target == "trsm":
        return _blas(op, first)
    maker = _potrf(op) if target == "potrf" else _MAKERS[str(target)]
    shapes = [(shape_of(value), numpy_dtype(element_type(value))) for value in op.results]

    def write(*operands: Array) -> tuple[Array, ...]:
        made = maker(*operands[first:])
        results = made if isinstance(made, tuple) else (made,)
        # How it went: well. Older calls give work space, too.
        others = [jnp.zeros(shape, dtype) for shape, dtype in shapes[len(results) :]]
        return (*results, *others)

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
    letters = _letters(op)
    lower = letters["uplo"] == "L" if "uplo" in letters else constant(op.operands[0]) == 1
    return partial(_cholesky, lower=lower)


def _letters(op: ir.Operation) -> dict[str, str]:
    """What a call says of its matrices by letters, as LAPACK has them; older calls have operands for it."""
    found = {}
    for name in ("mhlo.backend_config", "backend_config"):
        if name in op.attributes and isinstance(op.attributes[name], ir.DictAttr):
            entries = ir.DictAttr(op.attributes[name])
            for entry in (entries[number] for number in range(len(entries))):
                if isinstance(entry.attr, ir.IntegerAttr):
                    found[entry.name] = chr(entry.attr.value)
    return found


def _solve(a: Array, b: Array, *, left: bool, lower: bool, transposed: bool, unit: bool) -> Array:
    if transposed:
        a, lower = jnp.swapaxes(a, -1, -2), not lower
    if left:
        return linear_algebra.triangular_solve(a, b, lower=lower, unit=unit)
    # x a = b is a^T x^T = b^T.
    a, b = jnp.swapaxes(a, -1, -2), jnp.swapaxes(b, -1, -2)
    return jnp.swapaxes(linear_algebra.triangular_solve(a, b, lower=not lower, unit=unit), -1, -2)


def _blas(op: ir.Operation, first: int) -> Function | None:
    """`trsm`: its first operands are left side, lower, transposed, unit diagonal; the eighth is a factor."""
    letters = _letters(op)
    if first == 0 and {"side", "uplo", "trans_x", "diag"} <= letters.keys():
        return partial(
            _solve,
            left=letters["side"] == "L",
            lower=letters["uplo"] == "L",
            transposed=letters["trans_x"] != "N",
            unit=letters["diag"] == "U",
        )
    if first != 8:
        return None
    numbers = [constant(value) for value in list(op.operands)[:first]]
    if None in numbers or numbers[7] != 1:
        return None
    left, lower, transposed, unit = (bool(number) for number in numbers[:4])
    solve = partial(_solve, left=left, lower=lower, transposed=transposed, unit=unit)
    return lambda *operands: solve(*operands[first:])
