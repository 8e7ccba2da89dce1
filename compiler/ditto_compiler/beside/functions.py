"""Fitting the one-shot functions of a program: from `ditto.oneshot` to integer terms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import attributes_of, functions, ir, new_module, ops_of
from ditto_compiler.oneshot.fit import FitError, fit
from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.structure import REPEATING, is_float, splat_attribute, splat_of
from ditto_compiler.xla import XlaFunction

ROWS = 1 << 14
"""Elements up to which a function may take many words: what it costs is rounds, not bytes."""

MOST_WORDS = 96
"""Words of a function of few elements."""

USUAL_WORDS = 40
"""Words of any other function."""


def fitted_terms(module: ir.Module, op: ir.Operation, frac: int, result: Fxp) -> Terms | str:
    """The terms of a `ditto.oneshot` whose valid range is known, or why there are none.

    Args:
        module: that the op is in, with its function.
        op: the op.
        frac: fraction bits of its argument.
        result: ring and scale of its result.
    """
    low, high, error = (ir.FloatAttr(op.attributes[name]).value for name in ("low", "high", "error"))
    name = ir.FlatSymbolRefAttr(op.attributes["function"]).value
    callee = next(f for f in functions(module) if f.name.value == name)
    elements = int(np.prod(ir.RankedTensorType(op.results[0].type).shape))
    try:
        return fit(
            lambda x: evaluate(callee, x),
            low,
            high,
            ring_frac=frac,
            result=(result.ring, result.frac),
            error=error,
            relative="relative" in op.attributes,
            max_words=MOST_WORDS if elements <= ROWS else USUAL_WORDS,
        )
    except FitError as reason:
        return f"'{name}' cannot be one-shot on [{low:.4g}, {high:.4g}]: {reason}"


def evaluate(callee: ir.FuncOp, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """An elementwise function of the module at some points, in double precision."""
    with callee.context, ir.Location.unknown():
        points = ir.RankedTensorType.get([x.size], ir.F64Type.get())
        module, block = new_module([points], [points])
        ip = ir.InsertionPoint(block)
        values: dict[ir.Value, ir.Value] = {callee.arguments[0]: block.arguments[0]}
        *body, terminator = ops_of(callee.entry_block)
        for op in body:
            result = op.results[0]
            if op.name in REPEATING or (op.name == "stablehlo.convert" and is_float(result)):
                # Every tensor is of the points' shape, and every float of their precision.
                values[result] = values[op.operands[0]]
                continue
            element = ir.RankedTensorType(result.type).element_type
            type_ = ir.RankedTensorType.get([x.size], ir.F64Type.get() if is_float(result) else element)
            attributes = attributes_of(op)
            if op.name == "stablehlo.constant":
                attributes["value"] = splat_attribute(splat_of(op), type_)
            made = ir.Operation.create(op.name, [type_], [values[v] for v in op.operands], attributes, ip=ip)
            values[result] = made.results[0]
        ir.Operation.create("func.return", operands=[values[terminator.operands[0]]], ip=ip)
    (found,) = XlaFunction(module)(x)
    return found
