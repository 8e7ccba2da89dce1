"""What values are made of: constants, seen through layout ops, and the bodies of reductions and sorts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.dtypes import FLOAT_TYPES, INT_TYPES, numpy_dtype
from ditto_compiler.ir import defining_op, element_type, ir
from ditto_compiler.op_attributes import MIRRORED, direction_of, get_i64, get_i64s, shape_of

REPEATING: frozenset[str] = frozenset(("stablehlo.broadcast_in_dim", "stablehlo.reshape"))
"""Ops that give every element of their operand, some perhaps more than once, and no other."""


def constant_numbers(op: ir.Operation) -> list[Any]:
    """The numbers in a constant op: one when it holds the same everywhere."""
    attribute = ir.DenseElementsAttr(op.attributes["value"])
    if attribute.is_splat:
        return [attribute.get_splat_value().value]
    element = str(ir.RankedTensorType(attribute.type).element_type)
    if element in ("f16", "bf16"):
        return _half_numbers(str(attribute), numpy_dtype(element))
    return list((ir.DenseFPElementsAttr if element in FLOAT_TYPES else ir.DenseIntElementsAttr)(attribute))


_HALF = re.compile(r"0x[0-9A-F]{4}|-?[0-9][-+.0-9eE]*")
"""A number of two bytes as MLIR prints it: in decimal, or, when it is infinite or NaN, as its bits."""


def _half_numbers(text: str, dtype: np.dtype[Any]) -> list[float]:
    """The numbers in a printed constant of f16 or bf16.

    The bindings give no single element of these types, and as an array none of bf16.
    """
    literal = text[len("dense<") : text.rindex("> : ")]
    if literal.startswith('"0x'):  # many numbers are printed as bytes
        numbers = np.frombuffer(bytes.fromhex(literal[3:-1]), dtype)
    else:
        bits = [
            int(word, 16) if word.startswith("0x") else dtype.type(float(word)).view(np.uint16)
            for word in _HALF.findall(literal)
        ]
        numbers = np.array(bits, np.uint16).view(dtype)
    return [float(number) for number in numbers]


def splat_attribute(number: float, type_: ir.Type) -> ir.Attribute:
    """The value of a constant of this type with one number in every element."""
    tensor = ir.RankedTensorType(type_)
    element = tensor.element_type
    if str(element) in FLOAT_TYPES:
        return ir.DenseElementsAttr.get_splat(tensor, ir.FloatAttr.get(element, float(number)))
    # The bindings take integers of 64 bits with a sign, for unsigned ones too.
    half = 1 << 63
    held = (int(number) + half) % (2 * half) - half
    return ir.DenseElementsAttr.get_splat(tensor, ir.IntegerAttr.get(element, held))


def constant_of_array(array: NDArray[Any], type_: ir.Type) -> ir.Attribute:
    """The value of a constant of this type."""
    tensor = ir.RankedTensorType(type_)
    if array.size and (array == array.flat[0]).all():
        return splat_attribute(array.flat[0], tensor)
    if str(tensor.element_type) == "i1" and array.size:
        # Some versions of MLIR take eight of them in a byte, others one.
        literal = str(array.astype(bool).tolist()).lower()
        return ir.Attribute.parse(f"dense<{literal}> : {tensor}")
    body = np.ascontiguousarray(array).tobytes().hex().upper()
    return ir.Attribute.parse(f'dense<"0x{body}"> : {tensor}' if body else f"dense<> : {tensor}")


def splat_of(op: ir.Operation) -> Any | None:
    """The one number in every element of a constant op; None when there are several, or none."""
    attribute = op.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
        return None
    return attribute.get_splat_value().value


def through_repeating(value: ir.Value) -> ir.Value:
    """What broadcasts and reshapes were applied to."""
    op = defining_op(value)
    while op is not None and op.name in REPEATING:
        value = op.operands[0]
        op = defining_op(value)
    return value


def constant_through_layout(value: ir.Value) -> ir.Operation | None:
    """The constant that `value` is, seen through broadcasts and reshapes, or None."""
    op = defining_op(through_repeating(value))
    return op if op is not None and op.name == "stablehlo.constant" else None


def integers_of(value: ir.Value) -> NDArray[np.int64] | None:
    """The integers that constants alone decide, where they are only moved; else None."""
    op = defining_op(value)
    if op is None or element_type(value) not in INT_TYPES:
        return None
    shape = shape_of(value)
    if op.name == "stablehlo.constant":
        numbers = np.array([int(number) for number in constant_numbers(op)], np.int64)
        return np.full(shape, numbers[0]) if numbers.size == 1 else numbers.reshape(shape)
    if op.name == "stablehlo.iota":
        along = get_i64(op, "iota_dimension")
        return np.broadcast_to(np.arange(shape[along]).reshape([-1, *(1 for _ in shape[along + 1 :])]), shape)
    if op.name not in _MOVES:
        return None
    parts = [integers_of(operand) for operand in op.operands]
    known = [part for part in parts if part is not None]
    return _moved(op, known) if len(known) == len(parts) else None


_MOVES = frozenset(
    f"stablehlo.{name}" for name in ("broadcast_in_dim", "reshape", "transpose", "slice", "concatenate")
)


def _moved(op: ir.Operation, parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    shape = shape_of(op.results[0])
    if op.name == "stablehlo.broadcast_in_dim":
        dims = get_i64s(op, "broadcast_dimensions")
        axes = [1] * len(shape)
        for d, extent in zip(dims, parts[0].shape, strict=True):
            axes[d] = extent
        order = np.argsort(dims)
        return np.broadcast_to(parts[0].transpose(order).reshape(axes), shape)
    if op.name == "stablehlo.transpose":
        return parts[0].transpose(get_i64s(op, "permutation"))
    if op.name == "stablehlo.slice":
        fields = (get_i64s(op, name) for name in ("start_indices", "limit_indices", "strides"))
        return parts[0][tuple(slice(*bounds) for bounds in zip(*fields, strict=True))]
    if op.name == "stablehlo.concatenate":
        return np.concatenate(parts, get_i64(op, "dimension"))
    return parts[0].reshape(shape)


def constant(value: ir.Value, depth: int = 8) -> float | None:
    """The number that every element of `value` is, when constants alone decide it; else None.

    What `depth` ops or more compute of constants is not worth looking for.
    """
    op = defining_op(value)
    if op is None or depth == 0:
        return None
    if op.name == "stablehlo.constant":
        number = splat_of(op)
        return None if number is None else float(number)
    if op.name in _TRANSPARENT:
        return constant(op.operands[0], depth - 1)
    compares = op.name == "stablehlo.compare"
    evaluate = _COMPARISONS.get(direction_of(op)) if compares else _FOLDERS.get(op.name)
    if evaluate is None:
        return None
    numbers: list[float] = []
    for operand in op.operands:
        known = constant(operand, depth - 1)
        if known is None:
            return None
        numbers.append(known)
    try:
        return float(evaluate(*numbers))
    except (ArithmeticError, ValueError):
        return None


_TRANSPARENT = REPEATING | {"stablehlo.convert", "stablehlo.transpose"}

_FOLDERS: Mapping[str, Callable[..., float]] = {
    "stablehlo.add": lambda x, y: x + y,
    "stablehlo.subtract": lambda x, y: x - y,
    "stablehlo.multiply": lambda x, y: x * y,
    "stablehlo.divide": lambda x, y: x / y,
    "stablehlo.negate": lambda x: -x,
    "stablehlo.sqrt": math.sqrt,
    "stablehlo.rsqrt": lambda x: 1.0 / math.sqrt(x),
}
"""What front ends compute of constants: 1/sqrt(head size), N - ddof, ..."""

_COMPARISONS: Mapping[str, Callable[..., float]] = {
    "EQ": lambda x, y: x == y,
    "NE": lambda x, y: x != y,
    "LT": lambda x, y: x < y,
    "LE": lambda x, y: x <= y,
    "GT": lambda x, y: x > y,
    "GE": lambda x, y: x >= y,
}

IDENTITIES: Mapping[str, tuple[float, ...]] = {
    "add": (0.0,),
    "multiply": (1.0,),
    "and": (1.0, -1.0),
    "or": (0.0,),
    "maximum": (-math.inf,),
    "minimum": (math.inf,),
}
"""What a reduction by one op may start from without changing its result."""


REDUCERS: tuple[str, ...] = ("add", "multiply", "maximum", "minimum", "and", "or", "xor")
"""The names that `reducer` gives for what can be reduced by."""


def reducer(op: ir.Operation) -> str | None:
    """`add`, `maximum`, ... when the body of a reduction is one binary op on its two arguments."""
    block = op.regions[0].blocks[0]
    inner = list(block.operations)
    if len(block.arguments) != 2 or len(inner) != 2 or len(inner[0].operands) != 2:
        return None
    same = {inner[0].operands[0], inner[0].operands[1]} == set(block.arguments)
    returned = inner[1].operands[0] == inner[0].operation.results[0]
    return str(inner[0].operation.name).removeprefix("stablehlo.") if same and returned else None


def sort_key(op: ir.Operation) -> tuple[int, str] | None:
    """(operand number, `LT` or `GT`) when the comparator compares the elements of one operand, else None.

    JAX's comparators of floats write all zeros, and all NaNs, in one way before they compare; fixed point has
    one zero and no NaN, so looking through that keeps the order.
    """
    block = op.regions[0].blocks[0]
    returned = defining_op(block.operations[len(block.operations) - 1].operands[0])
    if returned is None or returned.name != "stablehlo.compare":
        return None
    direction = direction_of(returned)
    keys = [_sort_argument(operand, block) for operand in returned.operands]
    if None in keys or direction not in ("LT", "GT"):
        return None
    left, right = int(keys[0] or 0), int(keys[1] or 0)
    if left == right - 1 and left % 2 == 0:
        return left // 2, direction
    if right == left - 1 and right % 2 == 0:
        return right // 2, MIRRORED[direction]
    return None


def _sort_argument(value: ir.Value, block: ir.Block) -> int | None:
    while (op := defining_op(value)) is not None:
        if op.name != "stablehlo.select" or not keeps_order(op):
            return None
        value = op.operands[2]
    arguments = list(block.arguments)
    return arguments.index(value) if value in arguments else None


def keeps_order(select: ir.Operation) -> bool:
    """Pattern: select(x == 0, 0, x), or select(x != x, NaN, ..), which is never chosen."""
    predicate, chosen, other = select.operands
    compare, number = defining_op(predicate), constant(chosen)
    if compare is None or compare.name != "stablehlo.compare" or number is None:
        return False
    left, right = compare.operands
    if direction_of(compare) == "NE" and left == right:
        return math.isnan(number)
    return direction_of(compare) == "EQ" and left == other and constant(right) == number == 0


def is_float(value: ir.Value) -> bool:
    """Whether a tensor's elements are floats, which are held in fixed point."""
    return element_type(value) in FLOAT_TYPES
