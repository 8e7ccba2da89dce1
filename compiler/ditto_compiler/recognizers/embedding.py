"""Lookups: rows of a table by ids, as `table[ids]` and `jnp.take(table, ids, axis=0)` give them.

The latter selects NaN where an id is out of range, by comparisons of the ids with 0 and the number of rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ditto_compiler.ir import defining_op, ir
from ditto_compiler.matcher import Match, View, matched_ops
from ditto_compiler.op_attributes import direction_of, get_i64s, is_lookup, shape_of
from ditto_compiler.recognizers.base import Found
from ditto_compiler.structure import constant, integers_of


@dataclass(frozen=True)
class EmbeddingRecognizer:
    """Finds lookups; the inputs are `table` [rows, ...] and `ids` [..., 1] or [...]."""

    function: str = "embedding"

    def find(self, root: ir.Operation) -> Found | None:
        """The lookup that `root` is the last op of, or None."""
        gather = filled_lookup(root) or root
        if not is_lookup(gather):
            return None
        table, ids = gather.operands
        match = Match({"table": View.of(table), "ids": View.of(ids)})
        return Found(self.function, root, match, frozenset(matched_ops(root.results[0], match)))


def filled_lookup(root: ir.Operation) -> ir.Operation | None:
    """The lookup in `select(ids in range, lookup, NaN)`."""
    gather = filled_gather(root)
    return gather if gather is not None and is_lookup(gather) else None


def filled_gather(root: ir.Operation) -> ir.Operation | None:
    """The gather in `select(indices in range, gather, NaN)`."""
    if root.name != "stablehlo.select":
        return None
    fill = constant(root.operands[2])
    gather = defining_op(root.operands[1])
    if fill is None or not math.isnan(fill) or gather is None or gather.name != "stablehlo.gather":
        return None
    return gather if _is_range_check(root.operands[0], gather) else None


def _is_range_check(predicate: ir.Value, gather: ir.Operation) -> bool:
    """Whether `predicate` is made of `indices >= 0` and `indices <= limit`, and says nothing else.

    One of the two may have been decided already, by what is known of the indices.
    """
    source, indices = gather.operands
    sizes = zip(shape_of(source), get_i64s(gather, "slice_sizes"), strict=True)
    limits = {extent - size for extent, size in sizes}
    directions = []
    are_limits = True
    pending = [predicate]
    while pending:
        op = defining_op(pending.pop())
        if op is None:
            return False
        if op.name == "stablehlo.compare" and op.operands[0] == indices and _is_known(op.operands[1]):
            direction, numbers = direction_of(op), integers_of(op.operands[1])
            directions.append(direction)
            allowed = {0} if direction == "GE" else limits
            are_limits &= numbers is not None and set(numbers.reshape(-1).tolist()) <= allowed
        elif op.name in _PASSES_ON:
            pending += op.operands
        elif op.name != "stablehlo.constant":
            return False
    return sorted(directions) == ["GE", "LE"] or (are_limits and directions in (["GE"], ["LE"]))


_PASSES_ON = frozenset(f"stablehlo.{name}" for name in ["and", "reduce", "broadcast_in_dim", "reshape"])


def _is_known(value: ir.Value) -> bool:
    """Whether constants alone decide a value."""
    op = defining_op(value)
    return op is not None and all(map(_is_known, op.operands))


EMBEDDING = EmbeddingRecognizer()
