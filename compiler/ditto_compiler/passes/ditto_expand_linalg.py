"""The pass `ditto-expand-linalg`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.encoding import Fxp
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import defining_op, element_type, erase_unused, ir, nested_ops
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import constant
from ditto_compiler.written.base import Function, write
from ditto_compiler.written.lapack import (
    counts,
    factorization,
    is_log_of_zero,
    is_lu,
    leading_block,
    matrix_of,
    row_lookup,
)


@dataclass(frozen=True)
class DittoExpandLinalg(Pass):
    """Write factorizations of small matrices out: LU, Cholesky, QR, and triangular systems.

    JAX calls LAPACK for them, by custom calls; with these, `jnp.linalg`'s `inv`, `solve`, `det`, `slogdet`,
    `cholesky` and `qr` run, their gradients, and `solve_triangular`. Loops over columns are unrolled, so time
    and rounds grow with the size: some 40 rounds a column. Partial pivoting selects rows by booleans; no
    index is known to anybody, and what JAX looks up by the permutation is selected likewise.

    Pivots must be neither 0 nor tiny: with 18 fraction bits, 1/p of a pivot p is off by 1e-5/p^2.
    Well-conditioned matrices of numbers near 1 are right to about 1e-3; scale others first. Of a singular
    matrix, or a Cholesky factor of one that is not positive definite, JAX returns infinities or NaN, and the
    parties any number: `ditto.simulate` and `ditto.calibrate` say that 1/p or 1/sqrt(p) left its domain.
    Signs of Q and R are LAPACK's, but what is below 2^-15 in a column counts as 0.

    Requires: calls inlined, no encodings yet. Keeps: everything else.

    Before:

        %0:2 = stablehlo.custom_call @lapack_spotrf_ffi(%x) ...
          : (tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<i32>)

    After, the first steps:

        %0 = stablehlo.reshape %x : (tensor<2x2xf32>) -> tensor<1x2x2xf32>
        %1 = stablehlo.slice %0 [0:1, 0:1, 0:1] : (tensor<1x2x2xf32>) -> tensor<1x1x1xf32>
        %2 = stablehlo.rsqrt %1 : tensor<1x1x1xf32>

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
        wanted = [(op, factorization(op)) for op in nested_ops(module.operation)]
        orders: list[ir.Value] = []
        refused: set[tuple[str, int]] = set()
        for op, function in wanted:
            if function is None:
                continue
            size = max(shape_of(matrix_of(op))[-2:])
            if size <= self.max_size:
                orders += _write(op, function, pin)
                continue
            if (str(op.location), size) in refused:
                continue
            refused.add((str(op.location), size))
            errors.add(
                op,
                f"a matrix of {size} rows or columns; factorizations are written out for up to "
                f"{self.max_size} (max-size), and cost rounds for each column; use smaller blocks, or "
                "an iteration of matrix products",
            )
        errors.raise_if_any()
        if any(function is not None for _, function in wanted):
            _select_rows(orders, pin)
            _simplify(module, pin)


def _write(op: ir.Operation, function: Function, pin: Fxp | None) -> list[ir.Value]:
    """Writes an op; for an LU factorization, gives the permutation that its pivots are, if it is used."""
    if not is_lu(op):
        write(op, function, pin)
        return []
    loops = _loops(op.results[1])
    *_, order = write(op, function, pin)
    for loop, number in loops:
        loop.results[number].replace_all_uses_with(order)
    erase_unused([loop for loop, _ in loops])
    return [order] if loops else []


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
                exchanges = any(one.name == "stablehlo.scatter" for one in nested_ops(loop))
                if loop.name == "stablehlo.while" and exchanges:
                    found += [(loop, number) for number, value in enumerate(loop.operands) if counts(value)]
    return found


def _select_rows(permutations: list[ir.Value], pin: Fxp | None) -> None:
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
            elif user.name in _MOVES or _counts_from_the_end(user):
                pending += [result for result in user.results if element_type(result) != "i1"]
    for gather in gathers:
        function = row_lookup(gather)
        if function is not None:
            write(gather, function, pin)


_MOVES = frozenset(
    f"stablehlo.{name}"
    for name in ("broadcast_in_dim", "concatenate", "convert", "reshape", "slice", "sort", "transpose")
)
"""What leaves places of a permutation in its range."""


def _counts_from_the_end(select: ir.Operation) -> bool:
    """Pattern: select(places < 0, places + n, places), of which no place of a permutation is."""
    if select.name != "stablehlo.select":
        return False
    other = defining_op(select.operands[1])
    return other is not None and other.name == "stablehlo.add" and other.operands[0] == select.operands[2]


def _simplify(module: ir.Module, pin: Fxp | None) -> None:
    """Slices what JAX gathers from a constant place, and leaves the infinity of `slogdet` out."""
    for op in nested_ops(module.operation):
        if op.name == "stablehlo.gather":
            function = leading_block(op)
            if function is not None:
                write(op, function, pin)
        elif op.name == "stablehlo.select" and is_log_of_zero(op):
            op.results[0].replace_all_uses_with(op.operands[2])
            op.erase()
