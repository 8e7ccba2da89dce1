"""The pass `ditto-optimize-casts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import insert_casts
from ditto_compiler.dtypes import width
from ditto_compiler.encoding import Cast, Encoding, EncodingError, Int
from ditto_compiler.indices import cast_index
from ditto_compiler.ir import (
    clone_op,
    defining_op,
    element_type,
    encoding_of,
    func,
    ir,
    numel,
    ops_of,
    set_encoding,
    set_function_type,
)
from ditto_compiler.op_attributes import first_index, index_operands
from ditto_compiler.ops import is_layout, is_source
from ditto_compiler.pass_base import Pass


@dataclass(frozen=True)
class DittoOptimizeCasts(Pass):
    """Make casts few and small. Every rewrite keeps the values that ops compute, up to cast rounding.

    Patterns, to a fixed point:

    - `cast(constant)` -> a constant in the new encoding          [constants are public]
    - `cast(x)`, `cast(x)` -> one cast                            [same target]
    - `down(up(x))` -> `x`, or one cast                           [the upcast dropped no bits: exact]
    - `up(up(x))` -> `up(x)`; `down(down(x))` -> `down(x)`        [a protocol offers the pair]
    - `cast(f(x))` -> `f(cast(x))`   for a layout op f            [x has fewer elements, or is an input]
    - `f(cast(x))` -> `cast(f(x))`   for a layout op f            [f(x) has fewer elements, one use]
    - `cast(argument)` -> another argument `ditto.input = k`      [the caller shares it in both rings]
    - a cast that nobody uses is dropped

    Requires: casts inserted. Keeps: c2.

    Before:

        %0 = stablehlo.broadcast_in_dim %x, dims = [0]
          : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4x9xf32, #ditto.fxp<32, 10>>
        %1 = "ditto.upcast"(%0) : (tensor<4x9xf32, #ditto.fxp<32, 10>>) -> tensor<4x9xf32, #ditto.fxp<64, 18>>

    After (16 bytes for each of 4 elements instead of 36):

        %0 = "ditto.upcast"(%x) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
        %1 = stablehlo.broadcast_in_dim %0, dims = [0]
          : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4x9xf32, #ditto.fxp<64, 18>>

    Errors: a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-optimize-casts"

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        rewriter = _Rewriter(entry)
        while rewriter.sweep():
            pass
        rewriter.supply_inputs()


class _Rewriter:
    def __init__(self, entry: func.FuncOp) -> None:
        self._entry = entry
        self._block = entry.entry_block

    def sweep(self) -> bool:
        """Applies every pattern once, in program order; says whether anything changed."""
        changed = False
        seen: dict[tuple[ir.Value, Encoding | None], ir.Value] = {}
        for op in ops_of(self._block):
            if op.name in names.CASTS:
                key = (op.operands[0], encoding_of(op.results[0]))
                if not list(op.results[0].uses):
                    op.erase()
                elif key in seen:
                    _replace(op, seen[key])
                elif self._rematerialize(op) or self._compose(op) or self._hoist(op):
                    seen.clear()  # a rewrite may have erased casts seen before
                else:
                    seen[key] = op.results[0]
                    continue
                changed = True
            elif self._sink(op):
                seen.clear()
                changed = True
        return changed

    def _rematerialize(self, cast: ir.Operation) -> bool:
        """Pattern: cast(constant) -> constant."""
        source = defining_op(cast.operands[0])
        if source is None or not is_source(source):
            return False
        clone = clone_op(source, {}, ir.InsertionPoint(cast))
        set_encoding(clone.results[0], encoding_of(cast.results[0]))
        _replace(cast, clone.results[0])
        _erase_if_unused(source)
        return True

    def _compose(self, cast: ir.Operation) -> bool:
        """Pattern: down(up(x)), up(up(x)), down(down(x)) -> at most one cast of x."""
        inner = defining_op(cast.operands[0])
        if inner is None or inner.name not in names.CASTS:
            return False
        source, middle, target = (
            encoding_of(v) for v in (inner.operands[0], cast.operands[0], cast.results[0])
        )
        assert source is not None and middle is not None and target is not None
        first = Cast(source, middle)
        exact = first.op != "downcast" and first.shift_right == 0
        if not exact and not (first.op == cast.name.removeprefix("ditto.") == "downcast"):
            return False
        if source != target:
            try:
                direct = Cast(source, target)
            except EncodingError:
                return False
            spared = first.bytes_per_element if len(list(inner.results[0].uses)) == 1 else 0
            if direct.bytes_per_element > Cast(middle, target).bytes_per_element + spared:
                return False
        _replace(cast, insert_casts(inner.operands[0], target, before=cast))
        _erase_if_unused(inner)
        return True

    def _hoist(self, cast: ir.Operation) -> bool:
        """Pattern: cast(f(x)) -> f(cast(x)) where x is smaller, or can be supplied in another ring."""
        layout = defining_op(cast.operands[0])
        if layout is None or not _moves_one(layout):
            return False
        target = encoding_of(cast.results[0])
        assert target is not None
        tensors = list(layout.operands)[: first_index(layout)]
        if set(tensors) & set(index_operands(layout)):
            return False
        if not all(self._is_free(value) for value in tensors):
            smaller = sum(numel(value) for value in tensors) < numel(layout.results[0])
            if len(tensors) != 1 or not smaller:
                return False
        mapping = {value: insert_casts(value, target, before=cast) for value in tensors}
        mapping = {**_indices(layout, target.ring, before=cast), **mapping}
        clone = clone_op(layout, mapping, ir.InsertionPoint(cast))
        set_encoding(clone.results[0], target)
        _replace(cast, clone.results[0])
        _erase_if_unused(layout)
        return True

    def _sink(self, op: ir.Operation) -> bool:
        """Pattern: f(cast(x)) -> cast(f(x)) where f(x) is smaller."""
        if not _moves_one(op):
            return False
        cast = defining_op(op.operands[0])
        if cast is None or cast.name not in names.CASTS or len(list(cast.results[0].uses)) != 1:
            return False
        if numel(op.results[0]) >= numel(op.operands[0]) or self._is_free(cast.operands[0]):
            return False
        target, source = encoding_of(op.results[0]), encoding_of(cast.operands[0])
        if any(encoding_of(v) == target for v in list(op.operands)[1:]) or target is None or source is None:
            return False
        mapping = {**_indices(op, source.ring, before=op), cast.results[0]: cast.operands[0]}
        clone = clone_op(op, mapping, ir.InsertionPoint(op))
        set_encoding(clone.results[0], source)
        op.results[0].replace_all_uses_with(insert_casts(clone.results[0], target, before=op))
        op.erase()
        cast.erase()
        return True

    def _is_free(self, value: ir.Value) -> bool:
        """Whether `value` is an entry argument or constant, seen through layout ops."""
        op = defining_op(value)
        if op is None:
            return True
        return is_source(op) or (is_layout(op) and all(map(self._is_free, op.operands)))

    def supply_inputs(self) -> None:
        """Pattern: cast(argument) -> an argument in that encoding."""
        attributes = names.argument_attributes(self._entry)
        for index, entry in enumerate(attributes):
            entry.setdefault(names.INPUT, names.int_attribute(index, self._entry.context))
        pending = list(self._block.arguments)
        while pending:
            argument = pending.pop(0)
            casts: dict[Encoding, list[ir.Operation]] = {}
            direct = False
            for use in argument.uses:
                user = use.owner.operation
                target = encoding_of(user.results[0]) if user.name in names.CASTS else None
                if target is None or _cuts_off(argument, target):
                    direct = True
                else:
                    casts.setdefault(target, []).append(user)
            for target, ops in casts.items():
                if direct:
                    supplied = self._block.add_argument(argument.type, ops[0].location)
                    attributes.append(dict(attributes[argument.arg_number]))
                else:
                    supplied, direct = argument, True
                set_encoding(supplied, target)
                for op in ops:
                    _replace(op, supplied)
                pending.append(supplied)
        names.set_argument_attributes(self._entry, attributes)
        set_function_type(self._entry)


def _cuts_off(argument: ir.Value, target: Encoding) -> bool:
    """Whether a cast drops bits of integers on purpose: the caller shares only what fits."""
    return isinstance(target, Int) and target.ring < width(element_type(argument))


def _moves_one(op: ir.Operation) -> bool:
    """Whether `op` moves the elements of one tensor."""
    return is_layout(op) and len(op.results) == 1


def _indices(layout: ir.Operation, ring: int, *, before: ir.Operation) -> dict[ir.Value, ir.Value]:
    """The integers that say where elements move, in another ring: they are public, so it is free."""
    return {value: cast_index(value, layout, ring, before=before) for value in index_operands(layout)}


def _replace(op: ir.Operation, value: ir.Value) -> None:
    op.results[0].replace_all_uses_with(value)
    op.erase()


def _erase_if_unused(op: ir.Operation) -> None:
    if not any(list(result.uses) for result in op.results):
        op.erase()
