"""The pass `ditto-check-supported`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import ml_dtypes
import numpy as np

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.diagnostics import ErrorCollector, source_location
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import FLOAT_TYPES, numpy_dtype
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import element_type, entry_function, func, functions, ir, nested_ops, numel
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops import OPS
from ditto_compiler.pass_base import Pass
from ditto_compiler.recurrences import numbers_in
from ditto_compiler.structure import constant_numbers, splat_of
from ditto_compiler.supported import (
    SCATTER,
    function_problems,
    instance_problem,
    result_problem,
    scatter_problem,
)


@dataclass(frozen=True)
class DittoCheckSupported(Pass):
    """Report everything in the program that cannot be run privately, all in one go.

    Changes nothing.

    Requires: calls inlined.

    Errors: each names the op and the user's source line, and says what to do:

    - an op that the engine has no private implementation of, or not in this form (a loop whose
      condition is secret, a grouped convolution, ...);
    - a dtype other than f16, bf16, f32, f64, i1 and 8- to 64-bit integers;
    - a dynamic or unranked shape: the schedule and the bytes sent must not depend on data;
    - a large float constant: data closed over by the traced function would be public to all parties. Tables
      that few numbers determine, such as the angles of rotary embeddings, count as so many.

    Example:

        %0 = stablehlo.fft %x, type = FFT, length = [8]
        // error: [ditto-check-supported] 'stablehlo.fft' op: the engine has no private implementation of it
    """

    name: ClassVar[str] = "ditto-check-supported"
    max_public_constant: int = 1024
    """Largest float constant, in elements, that may be public; -1 allows any."""

    def __post_init__(self) -> None:
        size = self.max_public_constant
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            raise DittoError(f"max_public_constant must be an integer, a number of elements, got {size!r}")

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = entry_function(module)
        if entry is None:
            found = ", ".join(map(_described, functions(module))) or "none"
            errors.add(
                module.operation,
                "there is no entry function: a program has a public function @main "
                f"(functions found: {found})",
            )
            errors.raise_if_any()
            return
        visibility = VisibilityAnalysis(module) if _calls_are_inlined(entry, errors) else None
        for op, problem in function_problems(entry):
            errors.add(op, problem)
        ours = ("func.call", *names.CASTS, names.CALL, *((names.LESS,) if names.stage_of(module) else ()))
        for op in nested_ops(entry.operation):
            if op.name not in ours:
                self._check(op, visibility, errors)
        errors.raise_if_any()

    def _check(self, op: ir.Operation, visibility: VisibilityAnalysis | None, errors: ErrorCollector) -> None:
        if op.name == "stablehlo.get_tuple_element":
            # Of what a custom call gives, which is reported.
            return
        is_scatter = op.name == SCATTER
        problem = (result_problem(op) or scatter_problem(op)) if is_scatter else instance_problem(op)
        if problem is not None:
            errors.add(op, problem)
            return
        unsupported = OPS[op.name].unsupported if op.name in OPS else None
        if unsupported is not None and visibility is not None:
            reason = unsupported(op, visibility.is_secret)
            if reason:
                errors.add(op, reason)
        if op.name == "stablehlo.constant" and element_type(op.results[0]) in FLOAT_TYPES:
            size = numel(op.results[0])
            if 0 <= self.max_public_constant < size and self.max_public_constant < _numbers_in(op):
                uses = [use.owner.operation for use in op.results[0].uses]
                place = source_location(op.location)
                errors.add(
                    op,
                    f"a constant of {size} floats would be public to all parties: is it a weight that the "
                    "function closes over? Pass it as an argument, or allow constants of this size "
                    "by max-public-constant",
                    *(((uses[0], "it is used here"),) if uses and place.file is None else ()),
                )


def _numbers_in(op: ir.Operation) -> int:
    """How many numbers determine a constant."""
    if splat_of(op) is not None:
        return 1
    dtype = numpy_dtype(element_type(op.results[0]))
    table = np.array(constant_numbers(op), np.float64).reshape(shape_of(op.results[0]))
    return numbers_in(table, float(ml_dtypes.finfo(dtype).eps))


def _described(function: func.FuncOp) -> str:
    return f"@{function.name.value}{', without a body' if function.is_external else ''}"


def _calls_are_inlined(entry: func.FuncOp, errors: ErrorCollector) -> bool:
    calls = [op for op in nested_ops(entry.operation) if op.name == "func.call"]
    for call in calls:
        errors.add(call, "calls must be inlined before this pass; run inline-calls")
    return not calls
