"""What a program may be made of, secret or not: what all passes after `ditto-check-supported` rely on."""

from __future__ import annotations

from collections.abc import Iterator

from ditto_compiler.custom_calls import call_problem
from ditto_compiler.dtypes import DTYPES
from ditto_compiler.folds import is_elementwise
from ditto_compiler.ir import func, ir, is_tensor, nested_ops
from ditto_compiler.ops import OPS, REAL_PARTS, REMEDIES

SCATTER = "stablehlo.scatter"
"""What ditto-expand-scatter replaces, whatever its indices are."""


def scatter_problem(op: ir.Operation) -> str | None:
    """Why a scatter cannot be replaced; None when it can, at least where constants decide its indices."""
    if len(op.results) != 1:
        return "it writes to several tensors at once; write to one after the other"
    if not is_elementwise(op.regions[0].blocks[0]):
        return (
            "what it does to an element is not made of ops of scalars; compute the new elements, and set them"
        )
    return None


def type_problem(type_: ir.Type) -> str | None:
    """Why values of a type cannot be shared; None when they can."""
    if not is_tensor(type_):
        return f"values must be ranked tensors, found '{type_}'"
    tensor = ir.RankedTensorType(type_)
    if not tensor.has_static_shape:
        return f"shapes must be static, found '{type_}'; export with concrete shapes"
    element = str(tensor.element_type)
    if element not in DTYPES:
        if element.startswith("complex"):
            return f"elements of type {element} cannot be secret-shared; {REAL_PARTS}"
        return f"elements of type {element} cannot be secret-shared; use one of {', '.join(DTYPES)}"
    return None


def result_problem(op: ir.Operation) -> str | None:
    """Why the first such result of an op cannot be shared; None when all can."""
    return next((problem for result in op.results if (problem := type_problem(result.type))), None)


def are_shared(op: ir.Operation) -> bool:
    """Whether all operands and results of an op can be shared."""
    return all(type_problem(value.type) is None for value in (*op.operands, *op.results))


def op_problem(op: ir.Operation) -> str | None:
    """Why the compiler cannot work with an op, whatever its operands and results are; None when it can."""
    if op.name not in OPS:
        remedy = f"; {REMEDIES[op.name]}" if op.name in REMEDIES else ""
        return f"the engine has no private implementation of it{remedy}"
    if op.name == "stablehlo.constant" and not isinstance(op.attributes["value"], ir.DenseElementsAttr):
        return f"a constant must be written as dense<..>, found '{op.attributes['value']}'"
    return _blocks_problem(op)


def instance_problem(op: ir.Operation) -> str | None:
    """Why an op cannot run; None when it can, as far as the values of its operands do not matter."""
    # What a custom call gives, such as nothing at all, says less than what it is for.
    return call_problem(op) or result_problem(op) or op_problem(op)


def function_problems(function: func.FuncOp) -> Iterator[tuple[ir.Operation, str]]:
    """What is wrong with a function apart from its ops: the op to blame, and why."""
    for index, argument in enumerate(function.arguments):
        problem = type_problem(argument.type)
        if problem is not None:
            yield function.operation, f"argument {index}: {problem}"
    problem = _blocks_problem(function.operation)
    if problem is not None:
        yield function.operation, problem
    operations = function.entry_block.operations
    end = operations[len(operations) - 1].operation
    if end.name in OPS and end.name != "func.return":
        yield end, "a function must end in func.return"


def problems(function: func.FuncOp) -> Iterator[tuple[ir.Operation, str]]:
    """All that is wrong with a function and its ops: each op to blame, and why."""
    yield from function_problems(function)
    for op in nested_ops(function.operation):
        problem = instance_problem(op)
        if problem is not None:
            yield op, problem


def _blocks_problem(op: ir.Operation) -> str | None:
    if all(len(region.blocks) == 1 for region in op.regions):
        return None
    return "its region must be one block; write loops and branches as stablehlo.while, .if and .case"
