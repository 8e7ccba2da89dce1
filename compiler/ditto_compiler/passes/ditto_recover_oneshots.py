"""The pass `ditto-recover-oneshots`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import drop_unused_functions, element_type, func, functions, ir, nested_ops, ops_of
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.private_functions import Mark, add_function, copied
from ditto_compiler.structure import is_float

MOVING: frozenset[str] = frozenset(
    f"stablehlo.{name}"
    for name in (
        *("transpose", "reverse", "sort", "reduce_window", "cholesky", "fft", "triangular_solve"),
        *("dot", "dot_general", "convolution", "gather", "dynamic_slice", "dynamic_update_slice", "scatter"),
    )
)
"""Ops that may mix elements, and yet keep the shape."""


@dataclass(frozen=True)
class DittoRecoverOneshots(Pass):
    """Make ops again of functions that the program was told to compute in one go.

    `ditto.oneshot` in Python calls a function whose name says what it was told: the error, and the range of
    arguments if the user stated one. Plain JAX computes that function. Here its call becomes a
    `ditto.oneshot`; where nothing is known of the arguments, the same function is to be computed by whatever
    forms the policy has, so it falls back on a copy.

    Requires: other calls inlined. Keeps: everything else.

    Before:

        %0 = call @ditto_oneshot_of_cube_from_m4p0_to_4p0_within_0p001(%x) : (tensor<4xf32>) -> tensor<4xf32>

    After:

        %0 = "ditto.oneshot"(%x) {function = @cube, otherwise = @cube_otherwise, error = 1.0e-3 : f64,
          low = -4.0 : f64, high = 4.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>

    Errors: a function that depends on more than one number, or is not of floats.
    """

    name: ClassVar[str] = "ditto-recover-oneshots"

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        callees = {f.name.value: f for f in functions(module) if not f.is_external}
        found: list[tuple[ir.Operation, Mark, func.FuncOp]] = []
        for op in nested_ops(module.operation):
            name = ir.FlatSymbolRefAttr(op.attributes["callee"]).value if op.name == "func.call" else ""
            mark = Mark.parse(name)
            if mark is not None and name in callees:
                _check(op, mark, callees[name], errors)
                found.append((op, mark, callees[name]))
        errors.raise_if_any()
        for op, mark, callee in found:
            _replace(op, mark, callee, module)
        if found:
            drop_unused_functions(module)


def _check(call: ir.Operation, mark: Mark, callee: func.FuncOp, errors: ErrorCollector) -> None:
    def add(what: str) -> None:
        errors.add(call, f"ditto.oneshot of '{mark.name}': {what}")

    if len(callee.arguments) != 1:
        add(
            f"a one-shot function depends on its argument alone, but it has {len(callee.arguments)}: it must "
            "not use arrays of the function around it"
        )
        return
    (x,) = callee.arguments
    results = list(callee.type.results)
    if not is_float(x) or results != [x.type]:
        add(f"it must take and give floats of one shape and dtype, found {callee.type}")
        return
    if not mark.error > 0 or (mark.interval is not None and not mark.interval[0] < mark.interval[1]):
        add(f"its error must be positive, and its range must have ends low < high, found '{mark.text}'")
        return
    dependent = {x}
    for op in ops_of(callee.entry_block)[:-1]:
        if not any(operand in dependent for operand in op.operands):
            continue
        dependent.update(op.results)
        mixes = op.name in MOVING or any(shape_of(result) != shape_of(x) for result in op.results)
        if mixes and op.name != "stablehlo.while":
            add(f"it is not a function of each number alone: it has '{op.name}' on {element_type(x)} numbers")
            return


def _replace(call: ir.Operation, mark: Mark, callee: func.FuncOp, module: ir.Module) -> None:
    with call.location:
        type_ = call.operands[0].type
        attributes = {
            names.FUNCTION: add_function(module.operation, mark.name, type_, copied(callee)),
            names.OTHERWISE: add_function(module.operation, f"{mark.name}_otherwise", type_, copied(callee)),
            names.ERROR: ir.FloatAttr.get_f64(mark.error),
        }
        if mark.relative:
            attributes[names.RELATIVE] = ir.UnitAttr.get()
        if mark.interval is not None:
            ends = map(ir.FloatAttr.get_f64, mark.interval)
            attributes |= zip((names.LOW, names.HIGH), ends, strict=True)
        op = ir.Operation.create(
            names.ONESHOT,
            results=[type_],
            operands=list(call.operands),
            attributes=attributes,
            ip=ir.InsertionPoint(call),
        )
    call.results[0].replace_all_uses_with(op.results[0])
    call.erase()
