"""The pass `inline-calls`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.diagnostics import ErrorCollector, parse_location, source_location
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import (
    clone_op,
    drop_unused_functions,
    entry_function,
    func,
    functions,
    ir,
    is_private,
    nested_ops,
    ops_of,
)
from ditto_compiler.pass_base import Pass
from ditto_compiler.private_functions import Mark


@dataclass(frozen=True)
class InlineCalls(Pass):
    """Replace every call by the body of the function it calls, and drop what then nobody can call.

    JAX makes a function of each jitted helper (`relu`, `_where`, `softmax`, ...), and MLIR's own
    `inline` leaves `func.call` alone. Later passes look at one function, so this runs first.

    An inlined op's location keeps the user's line of the callee; its scope is that of the call site
    followed by the callee's own, so that a policy that matches on scopes sees the layer that called.

    Those are private functions, and beside `@main` all others. A function that the program uses otherwise,
    as a value say, stays, and so does the call of one that ditto-recover-oneshots knows by its name.

    Requires: nothing.

    Before:

        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %0 = call @double(%x) : (tensor<4xf32>) -> tensor<4xf32>
          return %0 : tensor<4xf32>
        }
        func.func private @double(%x: tensor<4xf32>) -> tensor<4xf32> {
          %0 = stablehlo.add %x, %x : tensor<4xf32>
          return %0 : tensor<4xf32>
        }

    After:

        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %0 = stablehlo.add %x, %x : tensor<4xf32>
          return %0 : tensor<4xf32>
        }

    Errors: a call to a function without a body; recursion; a function with several blocks; an outlined
    module.
    """

    name: ClassVar[str] = "inline-calls"

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        if names.has_reached(module, "outlined"):
            errors.add(module.operation, "the module is outlined: its calls are of regions and must stay")
            errors.raise_if_any()
        callees = {f.name.value: f for f in functions(module)}
        done: set[str] = set()

        def inline_into(function: func.FuncOp, stack: tuple[str, ...]) -> None:
            name = function.name.value
            if name in done or function.is_external:
                return
            for call in [op for op in nested_ops(function.operation) if op.name == "func.call"]:
                callee = callees[ir.FlatSymbolRefAttr(call.attributes["callee"]).value]
                callee_name = callee.name.value
                if callee_name in (*stack, name):
                    errors.add(call, f"recursive call of @{callee_name}; a private program cannot recurse")
                elif callee.is_external:
                    errors.add(call, f"@{callee_name} has no body, so there is nothing to run privately")
                else:
                    inline_into(callee, (*stack, name))
                    if not errors.diagnostics and Mark.parse(callee_name) is None:
                        self._inline(call, callee, errors)
            done.add(name)

        for function in callees.values():
            inline_into(function, ())
        errors.raise_if_any()
        entry = entry_function(module)
        if entry is None:
            return
        if is_private(entry):
            del entry.attributes["sym_visibility"]
        for function in callees.values():
            if function != entry:
                function.attributes["sym_visibility"] = ir.StringAttr.get("private")
        # ditto-check-supported will report an op that hinders this.
        drop_unused_functions(module)

    def _inline(self, call: ir.Operation, callee: func.FuncOp, errors: ErrorCollector) -> None:
        if len(callee.regions[0].blocks) != 1:
            errors.add(call, f"@{callee.name.value} has several blocks; structured control flow is needed")
            return
        mapping = dict(zip(callee.entry_block.arguments, call.operands, strict=True))
        relocate = _relocation(call.location, callee.location)
        ops = ops_of(callee.entry_block)
        for op in ops[:-1]:
            clone_op(op, mapping, ir.InsertionPoint(call), relocate)
        for result, value in zip(call.results, ops[-1].operands, strict=True):
            result.replace_all_uses_with(mapping[value])
        call.erase()


def _relocation(call: ir.Location, callee: ir.Location) -> Callable[[ir.Location], ir.Location]:
    """What to do with the locations of a callee's ops, which JAX traces once and calls from many layers.

    JAX 0.4 gives them the scope of the first call site, whose own last part is `pjit`; newer JAX gives
    them scopes relative to the call, and no line in the user's file when the helper is JAX's own.
    """
    call_scope = source_location(call).scope
    new = call_scope.rpartition("/")[0]
    old = source_location(callee).scope.rpartition("/")[0]
    known: dict[str, ir.Location] = {}

    def relocate(location: ir.Location) -> ir.Location:
        text = str(location)
        if text not in known:
            place = parse_location(text)
            if old and f"{place.scope}/".startswith(f"{old}/"):
                scope = new + place.scope.removeprefix(old)
            else:
                scope = f"{call_scope}/{place.scope}".strip("/")
            child = call if place.file is None else location
            known[text] = child if scope in ("", place.scope) else ir.Location.name(scope, child)
        return known[text]

    return relocate
