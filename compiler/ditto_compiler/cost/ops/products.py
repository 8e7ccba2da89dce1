"""Products: element by element, of matrices, and convolutions."""

from __future__ import annotations

import math

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import Forms, Rules, extents, is_float, register
from ditto_compiler.ir import defining_op, ir, numel
from ditto_compiler.structure import splat_of

PRODUCT_MEMORY = 256 * 1024 * 1024
"""Bytes of shares of both operands above which the engine cuts a matrix product into blocks."""


def product_blocks(m: int, k: int, n: int, ring: int) -> list[tuple[int, int]]:
    """The (rows, columns) of each product that the engine computes for one of [m, k] x [k, n].

    Where the operands' shares are large, it cuts all three dimensions, and each cut through `k` is one more
    product of the same size.
    """
    limit = PRODUCT_MEMORY / (ring // 8 * 2)
    if (m * k + k * n) < limit or 0 in (m, k, n):
        return [(m, n)]
    if k > 8 * (m + n):
        outer, inner = m + n, math.ceil(limit / (m + n))
    elif m + n > 8 * k:
        outer, inner = math.ceil(limit / k), k
    else:
        exact = math.sqrt(limit * (m + n) / k)
        outer, inner = math.ceil(exact), math.ceil(limit / exact)
    rows, columns = max(outer * m // (m + n), 1), max(outer * n // (m + n), 1)
    cuts = math.ceil(k / max(inner, 1))
    return [
        (min(rows, m - top), min(columns, n - left))
        for top in range(0, m, rows)
        for left in range(0, n, columns)
        for _ in range(cuts)
    ]


def _multiply(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    elements = copies * numel(op.results[0])
    cost, form = rules.product(forms[0], forms[1], elements)
    if form == "p" or not all(is_float(operand) for operand in op.operands):
        return cost, [form]
    small = _small_constant(rules, op)
    # Pattern: x * c, 0 < |c| < 2^(2-frac) -> x * (c * 2^k), truncated by frac + k bits
    bits = rules.frac if small is None else rules.frac + math.ceil(math.log2(1 / small)) - 1
    return cost + rules.truncate(elements, bits), [form]


def _small_constant(rules: Rules, op: ir.Operation) -> float | None:
    """A constant factor that is too small for the fixed-point grid."""
    constants = [c for c in map(defining_op, reversed(list(op.operands))) if c and c.name == "pphlo.constant"]
    if not constants:
        return None
    value = abs(float(splat_of(constants[0]) or 0.0))
    return value if 0 < value < 2.0 ** (2 - rules.frac) else None


def _dot(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    left = extents(op.operands[0])
    batch = left[0] if op.name == "pphlo.dot_general" else 1
    k = left[-1]
    m, n = math.prod(left[:-1]) // batch, numel(op.operands[1]) // k // batch
    cost, form = _matrix_product(rules, op, forms, m, k, n)
    return cost.times(batch), [form]


def _convolution(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    # The engine multiplies the windows of the image as a matrix with the kernel.
    kernel = extents(op.operands[1])
    m = numel(op.results[0]) // kernel[-1]
    cost, form = _matrix_product(rules, op, forms, m, math.prod(kernel[:-1]), kernel[-1])
    return cost, [form]


def _matrix_product(rules: Rules, op: ir.Operation, forms: Forms, m: int, k: int, n: int) -> tuple[Cost, str]:
    if forms == ["p", "p"]:
        return FREE, "p"
    cost = Cost(seconds=m * k * n * rules.table.multiply_add_ns[rules.ring] * 1e-9)
    for form, elements in zip(forms, (m * k, k * n), strict=True):
        cost += rules.arithmetic(form, elements)
    if "p" not in forms:
        for rows, columns in product_blocks(m, k, n, rules.ring):
            cost += rules.row("product", "aa", rows * columns)
    if all(is_float(operand) for operand in op.operands):
        cost += rules.truncate(m * n)
    return cost, "a"


register(_multiply, "multiply")
register(_dot, "dot", "dot_general")
register(_convolution, "convolution")
