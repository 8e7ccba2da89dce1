"""The pass `ditto-fold-constants`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.ir import (
    block_values,
    clone_op,
    defining_op,
    entry_function,
    func,
    insert_op,
    ir,
    is_tensor,
    nested_ops,
    new_module,
    numel,
    ops_of,
)
from ditto_compiler.op_attributes import index_operands
from ditto_compiler.ops import OPS, is_layout, is_source
from ditto_compiler.pass_base import Pass
from ditto_compiler.remarks import Category
from ditto_compiler.structure import constant_of_array
from ditto_compiler.xla import XlaFunction


@dataclass(frozen=True)
class DittoFoldConstants(Pass):
    """Compute what depends on constants alone as the front end would, in floating point.

    Left to the engine, such public values would be computed in fixed point, in which the square root of the
    largest float, say, does not fit. XLA computes them here. Constants that are only moved or repeated stay
    as they are, and so do results of more than `max_elements` elements, unless they are the same everywhere.
    What has no elements is a constant, too, whatever it is computed from. So are random numbers of a constant
    key, of which XLA has all bits: they are folded before the ops of `jax.random` are looked at, by
    `foreign_only`.

    Requires: calls inlined. Keeps: everything else.

    Before:

        %0 = stablehlo.constant dense<3.40282347E+38> : tensor<f32>
        %1 = stablehlo.sqrt %0 : tensor<f32>
        %2 = stablehlo.compare GE, %x, %1 : (tensor<f32>, tensor<f32>) -> tensor<i1>

    After:

        %1 = stablehlo.constant dense<1.84467429E+19> : tensor<f32>
        %2 = stablehlo.compare GE, %x, %1 : (tensor<f32>, tensor<f32>) -> tensor<i1>

    Errors: none.
    """

    name: ClassVar[str] = "ditto-fold-constants"
    max_elements: int = 65536
    """Larger results stay computed."""
    foreign_only: bool = False
    """Whether to compute only what takes ops that neither the engine nor the executor on shares has."""

    def run(self, module: ir.Module) -> None:
        entry = entry_function(module)
        if entry is None:
            return
        for op in nested_ops(entry.operation):
            _fold_empty(op)
        known = _known(entry)
        wanted = _foreign(known) if self.foreign_only else {op for op in known if _computes(op)}
        roots = [
            result
            for op in known
            if op in wanted
            for result in op.results
            if any(user not in wanted for user in _users(result))
        ]
        if not roots:
            return
        for root, array in zip(roots, XlaFunction(_alone(known, roots))(), strict=True):
            same = array.size > 0 and (array == array.flat[0]).all()
            if same or array.size <= self.max_elements:
                owner = defining_op(root)
                assert owner is not None
                self.note("remark", owner, "is a constant, as all is that it depends on", Category.FOLD)
                _replace(root, constant_of_array(array, root.type), owner)
        for op in reversed(list(known)):
            if not any(list(result.uses) for result in op.results):
                op.erase()


def _fold_empty(op: ir.Operation) -> None:
    """Puts constants in the place of results without elements."""
    folded = [result for result in op.results if _is_empty(result) and op.name != "stablehlo.constant"]
    for result in folded:
        _replace(result, ir.Attribute.parse(f"dense<> : {result.type}"), op)
    if folded and len(folded) == len(op.results) and not len(op.regions):
        op.erase()


def _is_empty(value: ir.Value) -> bool:
    shaped = is_tensor(value.type) and ir.RankedTensorType(value.type).has_static_shape
    return shaped and not numel(value)


def _replace(value: ir.Value, number: ir.Attribute, before: ir.Operation) -> None:
    value.replace_all_uses_with(insert_op("constant", value.type, before=before, value=number))


def _users(value: ir.Value) -> list[ir.Operation]:
    return [use.owner.operation for use in value.uses]


def _computes(op: ir.Operation) -> bool:
    """Whether there is more to do than to move constants; a lookup in a table takes the part of it."""
    return not is_source(op) and (not is_layout(op) or bool(index_operands(op)))


def _foreign(known: dict[ir.Operation, None]) -> set[ir.Operation]:
    """Those that have no home, and what depends on these."""
    found: set[ir.Operation] = set()
    for op in known:
        inner = nested_ops(op) if len(op.regions) else []
        made = map(defining_op, op.operands)
        if any(one.name not in OPS for one in (op, *inner)) or any(owner in found for owner in made):
            found.add(op)
    return found


def _known(entry: func.FuncOp) -> dict[ir.Operation, None]:
    """The ops of the entry block that constants alone decide, in order."""
    known: dict[ir.Operation, None] = {}
    for op in ops_of(entry.entry_block)[:-1]:
        shaped = all(is_tensor(result.type) and result.type.has_static_shape for result in op.results)
        if shaped and op.name.startswith(("stablehlo.", "chlo.")) and _has_no_effect(op):
            inner = nested_ops(op) if len(op.regions) else []
            inside = set(block_values(op))
            used = [*op.operands, *(v for one in inner for v in one.operands if v not in inside)]
            if all(defining_op(value) in known for value in used):
                known[op] = None
    return known


def _has_no_effect(op: ir.Operation) -> bool:
    """Whether XLA gives the same result whenever it computes the op."""
    return op.name not in ("stablehlo.custom_call", "stablehlo.rng", "stablehlo.optimization_barrier")


def _alone(ops: Iterable[ir.Operation], roots: list[ir.Value]) -> ir.Module:
    """A module whose `@main` returns the roots."""
    alone, block = new_module([], [root.type for root in roots])
    mapping: dict[ir.Value, ir.Value] = {}
    inside = ir.InsertionPoint(block)
    for op in ops:
        clone_op(op, mapping, inside)
    func.ReturnOp([mapping[root] for root in roots], ip=inside)
    return alone
