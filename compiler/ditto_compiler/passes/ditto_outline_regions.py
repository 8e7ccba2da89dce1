"""The pass `ditto-outline-regions`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.beside.placement import effect_of
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.ir import (
    block_values,
    clone_op,
    defining_op,
    encoding_of,
    func,
    functions,
    ir,
    nested_ops,
    ops_of,
)
from ditto_compiler.ops import Scale, is_layout, is_source
from ditto_compiler.ops.scales import adds_bits, scale_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.private_functions import referred_to
from ditto_compiler.remarks import Category

LEAST_FRAC = 1
"""Fraction bits of a runtime whose values are all integers to it."""

RegionKey = tuple[int, int]
"""(ring, fraction bits): what one engine runtime is configured for."""


@dataclass(frozen=True)
class DittoOutlineRegions(Pass):
    """Group the program into functions of one ring and scale; `@main` keeps what runs outside of the engine.

    Few and large regions cost least, for the engine parses a region whenever it runs it, and casts next to
    each other share messages, as comparisons (`ditto.less`) do. So the program is scheduled anew: everything
    that is ready runs, ring by ring, until only casts and comparisons are; then all of those are placed
    together, and so on. Constants, and layout ops of constants and arguments, are repeated in each region
    that uses them.

    A region's function says its ring and fraction bits, and of each argument who sees it.

    Requires: casts inserted. Ensures: c5 (`@main` holds only calls, casts, comparisons and a return).

    Before:

        %0 = stablehlo.dot_general %x, %w, ... -> tensor<2x4xf32, #ditto.fxp<32, 10>>
        %1 = "ditto.upcast"(%0) : (tensor<2x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xf32, #ditto.fxp<64, 18>>
        %2 = stablehlo.exponential %1 : tensor<2x4xf32, #ditto.fxp<64, 18>>
        return %2

    After:

        %0 = call @r0(%x, %w)      // attributes {ditto.frac = 10 : i32, ditto.ring = 32 : i32}
        %1 = "ditto.upcast"(%0) : (tensor<2x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xf32, #ditto.fxp<64, 18>>
        %2 = call @r1(%1)          // attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32}
        return %2

    Ops that run beside the engine (`ditto.beside`) stay in `@main` as well, with the constants that they use.

    Errors: a module without explicit casts, or with other functions; fixed-point numbers of the engine
    without fraction bits, which there means a default.
    """

    name: ClassVar[str] = "ditto-outline-regions"

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        errors = self.errors()
        apart = referred_to(module) | referred_to(module, names.OTHERWISE)
        for function in functions(module):
            if function != entry and function.name.value not in apart:
                errors.add(function.operation, "only @main can be outlined; run inline-calls first")
        errors.raise_if_any()
        outliner = _Outliner(module, entry)
        for op in outliner.without_fraction():
            errors.add(
                op, "the engine takes 0 fraction bits for its default; give it a rule with frac = 1 or more"
            )
        errors.raise_if_any()
        for op in ops_of(entry.entry_block):
            if op.name in names.CASTS:
                self._note(op)
        outliner.run()
        names.set_stage(module, "outlined")

    def _note(self, cast: ir.Operation) -> None:
        users = dict.fromkeys(use.owner.operation.name for use in cast.results[0].uses)
        source, target = (encoding_of(value) for value in (cast.operands[0], cast.results[0]))
        text = f"casts {source} to {target}, for {', '.join(users)}"
        self.note("remark", cast, text, Category.CAST)


class _Outliner:
    def __init__(self, module: ir.Module, entry: func.FuncOp) -> None:
        self._module = module
        self._entry = entry
        self._visibility = VisibilityAnalysis(module)
        self._ops = [op for op in ops_of(entry.entry_block) if op.name != "func.return"]
        self._beside = any(names.BESIDE in op.attributes for op in self._ops)
        self._return = ops_of(entry.entry_block)[-1]
        self._cheap = self._find_cheap()
        self._position = {op: i for i, op in enumerate(self._ops)}
        self._explicit = names.is_explicit(module)
        of_engine = [op for op in self._ops if names.BESIDE not in op.attributes]
        # Ops that any scale suits join the runtime of those that are fixed to one, if there are any.
        fixed = Counter(key for key in map(self._fixed_key, of_engine) if key is not None)
        any_scale = Counter(key for key in map(_own_key, of_engine) if key is not None)
        self._usual_frac: dict[int, int] = {}
        for (ring, frac), _ in (*fixed.most_common(), *any_scale.most_common()):
            # To the engine, 0 means its own default.
            self._usual_frac.setdefault(ring, frac or LEAST_FRAC)

    def without_fraction(self) -> list[ir.Operation]:
        """Ops of the engine that need a runtime with 0 fraction bits."""
        keys = {op: self._fixed_key(op) for op in self._ops if not self._is_outside(op)}
        return [op for op, key in keys.items() if key is not None and key[1] == 0]

    def run(self) -> None:
        steps = self._schedule()
        values: dict[ir.Value, ir.Value] = {
            argument: argument for argument in self._entry.entry_block.arguments
        }
        needed_later = self._needed_after(steps)
        ip = ir.InsertionPoint(self._return)
        count = 0
        for index, (key, ops) in enumerate(steps):
            if key is None:
                for op in ops:
                    self._clone_outside(op, values, ip)
            else:
                self._outline(self._name(count), key, ops, needed_later[index], values, ip)
                count += 1
        for index, operand in enumerate(self._return.operands):
            self._clone_sources(operand, values, ip)
            self._return.operands[index] = values[operand]
        for op in reversed(self._ops):
            op.erase()

    def _is_outside(self, op: ir.Operation) -> bool:
        """Whether `op` does not run in the engine."""
        return _is_boundary(op) or (self._beside and op.name in names.CASTS)

    def _clone_outside(
        self, op: ir.Operation, values: dict[ir.Value, ir.Value], ip: ir.InsertionPoint
    ) -> None:
        for operand in _used_values(op):
            self._clone_sources(operand, values, ip)
        clone_op(op, values, ip)

    def _clone_sources(
        self, value: ir.Value, values: dict[ir.Value, ir.Value], ip: ir.InsertionPoint
    ) -> None:
        """What ops in `@main` use of constants, and layout ops of them and of arguments."""
        op = defining_op(value)
        if value in values or op is None or op not in self._cheap:
            return
        for operand in op.operands:
            self._clone_sources(operand, values, ip)
        clone = clone_op(op, values, ip)
        clone.attributes[names.BESIDE] = ir.UnitAttr.get(op.context)

    def _name(self, number: int) -> str:
        """Of a region; a program's only function may have any name."""
        name = f"r{number}"
        return f"{name}_" if name == self._entry.name.value else name

    def _find_cheap(self) -> set[ir.Operation]:
        """Ops repeated wherever they are used: constants, and layout ops of constants and arguments."""
        cheap: set[ir.Operation] = set()
        for op in self._ops:
            moves = (is_source(op) or is_layout(op)) and names.BESIDE not in op.attributes
            if self._beside:
                moves = moves and effect_of(op) is not None
            if moves and all(defining_op(v) is None or defining_op(v) in cheap for v in op.operands):
                cheap.add(op)
        returned = {defining_op(value) for value in self._return.operands}
        cast = {defining_op(v) for op in self._ops if _is_boundary(op) for v in op.operands}
        if self._beside:
            # These can be had there too, up to the widest ring that there is.
            return {op for op in cheap if op not in returned | cast or _ring(op) <= WIDEST}
        return cheap - returned - cast

    def _fixed_key(self, op: ir.Operation) -> RegionKey | None:
        """The runtime that `op` needs, or None when any of its ring will do."""
        outside = op.name in (*names.CASTS, names.LESS)
        suits_any = self._explicit and (outside or scale_of(op) is not Scale.FIXED)
        return None if suits_any else _own_key(op)

    def _key(self, op: ir.Operation) -> RegionKey:
        fixed = self._fixed_key(op)
        if fixed is not None:
            return fixed
        ring = next(e.ring for e in map(encoding_of, [*op.results, *op.operands]) if e is not None)
        return ring, self._usual_frac.get(ring, 0)

    def _schedule(self) -> list[tuple[RegionKey | None, list[ir.Operation]]]:
        """Regions and, with key None, casts and comparisons, in an order that respects all uses."""
        pending = [op for op in self._ops if op not in self._cheap]
        keys = {op: None if self._is_outside(op) else self._key(op) for op in pending}
        waiting = {op: self._dependencies(op) for op in pending}
        users: dict[ir.Operation, list[ir.Operation]] = {}
        for op, dependencies in waiting.items():
            for dependency in dependencies:
                users.setdefault(dependency, []).append(op)
        ready = {op for op, dependencies in waiting.items() if not dependencies}
        steps: list[tuple[RegionKey | None, list[ir.Operation]]] = []

        def take(op: ir.Operation) -> None:
            ready.discard(op)
            for user in users.get(op, ()):
                waiting[user].discard(op)
                if not waiting[user]:
                    ready.add(user)

        while ready:
            computing = [op for op in ready if keys[op] is not None]
            # Casts and comparisons alone wait for as many of their kind as can be.
            if not computing or (self._beside and len(computing) < len(ready)):
                # By kind, since casts share messages with casts and comparisons with comparisons.
                outside = [op for op in ready if keys[op] is None]
                outside.sort(key=lambda op: (op.name == names.LESS, self._position[op]))
                steps.append((None, outside))
                for op in outside:
                    take(op)
                continue
            key = keys[min(computing, key=self._position.__getitem__)]
            group: list[ir.Operation] = []
            while batch := [op for op in ready if keys[op] == key]:
                for op in batch:
                    take(op)
                group += batch
            steps.append((key, sorted(group, key=self._position.__getitem__)))
        return steps

    def _dependencies(self, op: ir.Operation) -> set[ir.Operation]:
        """The scheduled ops whose results `op` uses, also in its regions and through repeated ops."""
        found: set[ir.Operation] = set()
        for value in _used_values(op):
            owner = defining_op(value)
            if owner is not None and owner in self._position and owner not in self._cheap:
                found.add(owner)
        return found

    def _needed_after(self, steps: list[tuple[RegionKey | None, list[ir.Operation]]]) -> list[set[ir.Value]]:
        """For each step, the values that later steps or the return use."""
        needed: list[set[ir.Value]] = []
        used = set(self._return.operands)
        for _, ops in reversed(steps):
            needed.append(set(used))
            for op in ops:
                used.update(_used_values(op))
        return needed[::-1]

    def _outline(
        self,
        name: str,
        key: RegionKey,
        ops: list[ir.Operation],
        needed_later: set[ir.Value],
        values: dict[ir.Value, ir.Value],
        ip: ir.InsertionPoint,
    ) -> None:
        ops = self._with_cheap(ops)
        inside = {result for op in ops for result in op.results}
        inputs = list(dict.fromkeys(v for op in ops for v in _used_values(op) if v not in inside))
        outputs = [r for op in ops for r in op.results if r in needed_later and op not in self._cheap]
        context = self._module.context
        type_ = ir.FunctionType.get([v.type for v in inputs], [v.type for v in outputs])
        with ir.InsertionPoint(self._module.body):
            region = func.FuncOp(name, type_, visibility="private", loc=ops[0].location)
        region.attributes[names.RING] = names.int_attribute(key[0], context)
        region.attributes[names.FRAC] = names.int_attribute(key[1], context)
        block = region.add_entry_block()
        secret = [self._visibility.is_secret(v) for v in inputs]
        names.set_argument_attributes(
            region,
            [{names.VISIBILITY: ir.StringAttr.get("secret" if s else "public")} for s in secret],
        )
        mapping = dict(zip(inputs, block.arguments, strict=True))
        inner = ir.InsertionPoint(block)
        for op in ops:
            clone_op(op, mapping, inner)
        func.ReturnOp([mapping[v] for v in outputs], ip=inner, loc=ops[-1].location)
        call = func.CallOp(
            [v.type for v in outputs],
            ir.FlatSymbolRefAttr.get(name),
            [values[v] for v in inputs],
            ip=ip,
            loc=ops[0].location,
        )
        values.update(zip(outputs, call.results, strict=True))

    def _with_cheap(self, ops: list[ir.Operation]) -> list[ir.Operation]:
        """`ops` with the repeated ops that they use, in program order."""
        wanted = set(ops)
        stack = list(ops)
        while stack:
            for value in _used_values(stack.pop()):
                owner = defining_op(value)
                if owner in self._cheap and owner not in wanted:
                    wanted.add(owner)
                    stack.append(owner)
        return sorted(wanted, key=self._position.__getitem__)


def _is_boundary(op: ir.Operation) -> bool:
    """Whether `op` runs outside of the engine, as all casts but a rescale that only shifts left."""
    if op.name == names.LESS or names.BESIDE in op.attributes:
        return True
    return op.name in names.CASTS and not adds_bits(op)


def _own_key(op: ir.Operation) -> RegionKey | None:
    """The ring and scale of the fixed-point values of `op`, or None when it has integers only."""
    for encoding in map(encoding_of, [*op.results, *op.operands]):
        if isinstance(encoding, Fxp):
            return encoding.ring, encoding.frac
    scale = next((e for e in map(encoding_of, block_values(op)) if isinstance(e, Fxp)), None)
    return None if scale is None else (scale.ring, scale.frac)


def _used_values(op: ir.Operation) -> Iterable[ir.Value]:
    """The values from outside that `op` and the ops in its regions use, in order."""
    if not len(op.regions):
        return list(op.operands)
    inside = set(block_values(op))
    used = list(op.operands)
    for inner in nested_ops(op):
        used += [value for value in inner.operands if value not in inside]
    return used


def _ring(op: ir.Operation) -> int:
    """The widest ring of its results."""
    return max((e.ring for e in map(encoding_of, op.results) if e is not None), default=0)
