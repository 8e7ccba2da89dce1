"""From ops that run beside the engine to instructions."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.executor.instruction import Attribute, Instruction, Tensor
from ditto_compiler.ir import element_type, encoding_of, ir
from ditto_compiler.op_attributes import (
    convolution_layout,
    dot_dimensions,
    get_i64,
    get_i64s,
    get_padding,
    index_operands,
    shape_of,
)
from ditto_compiler.spu.literals import held
from ditto_compiler.structure import constant_numbers, reducer

Attributes = dict[str, Attribute]


def translate(op: ir.Operation) -> tuple[str, int, Attributes]:
    """The instruction that an op is: its name, how many of the operands it takes, and its attributes."""
    name = op.name.removeprefix("stablehlo.")
    count = len(op.operands)
    if op.name in names.CASTS:
        return "cast", count, {}
    if op.name == names.LESS:
        return "less", count, {"thresholds": tuple(ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS]))}
    if op.name == names.ONESHOT:
        return "oneshot", count, _terms(op)
    if name == "reduce":
        reductions = {"add": "sum", "or": "any", "and": "all"}
        return reductions[str(reducer(op))], 1, {"dimensions": tuple(get_i64s(op, "dimensions"))}
    if name == "dot":
        name = "dot_general"
    write = _ATTRIBUTES.get(name)
    return name, count, {} if write is None else write(op)


def translated(op: ir.Operation) -> tuple[Instruction, list[Tensor], list[Tensor]]:
    """An op as an instruction on values numbered from 0, and what there is to know of these.

    All but indices is taken to be secret.
    """
    name, count, attributes = translate(op)
    indices = index_operands(op)
    operands = [_tensor(value, value not in indices) for value in list(op.operands)[:count]]
    secret = any(value.secret for value in operands)
    results = [_tensor(value, secret) for value in op.results]
    numbers = tuple(range(count + len(results)))
    return Instruction(name, numbers[:count], numbers[count:], attributes), operands, results


def _tensor(value: ir.Value, secret: bool) -> Tensor:
    encoding = encoding_of(value)
    assert encoding is not None
    return Tensor(tuple(shape_of(value)), element_type(value) == "i1", encoding, secret)


def _terms(op: ir.Operation) -> Attributes:
    made: Attributes = {}
    for entry in ir.DictAttr(op.attributes[names.TERMS]):
        value = entry.attr
        if isinstance(value, (ir.StringAttr, ir.IntegerAttr)):
            made[entry.name] = value.value
        else:
            made[entry.name] = tuple(ir.DenseI64ArrayAttr(value))
    return made


def _constant(op: ir.Operation) -> Attributes:
    encoding = encoding_of(op.results[0])
    assert encoding is not None
    numbers = constant_numbers(op)
    if isinstance(encoding, Fxp):
        return {"numbers": tuple(_modular(float(number), encoding) for number in numbers)}
    if element_type(op.results[0]) == "i1":
        return {"numbers": tuple(int(bool(number)) for number in numbers)}
    half = 1 << 63
    return {"numbers": tuple((int(number) + half) % (2 * half) - half for number in numbers)}


def _modular(number: float, encoding: Fxp) -> int:
    """A constant in its ring, in which sums may pass through numbers that it cannot hold."""
    if math.isinf(number):
        return held(number, encoding)
    half = 1 << (encoding.ring - 1)
    integer: int = round(Fraction(number) * 2**encoding.frac)
    return (integer + half) % (2 * half) - half


def _dot(op: ir.Operation) -> Attributes:
    dims = dot_dimensions(op)
    return {
        "left_batch": tuple(dims.left_batch),
        "right_batch": tuple(dims.right_batch),
        "left_contracting": tuple(dims.left_contracted),
        "right_contracting": tuple(dims.right_contracted),
    }


def _convolution(op: ir.Operation) -> Attributes:
    layout = convolution_layout(op)
    rank = len(layout.input)
    spatial = [str(d) for d in range(rank - 2)]
    low, high = get_padding(op, rank - 2)
    ones = [1] * (rank - 2)
    return {
        "strides": tuple(get_i64s(op, "window_strides", ones)),
        "low": tuple(low),
        "high": tuple(high),
        "left_dilation": tuple(get_i64s(op, "lhs_dilation", ones)),
        "right_dilation": tuple(get_i64s(op, "rhs_dilation", ones)),
        "reverse": _mirrored(op, rank - 2),
        "input": tuple(layout.input.index(d) for d in ["b", "f", *spatial]),
        "kernel": tuple(layout.kernel.index(d) for d in ["o", "i", *spatial]),
        "output": tuple(layout.output.index(d) for d in ["b", "f", *spatial]),
        "groups": get_i64(op, "feature_group_count", 1),
        "batch_groups": get_i64(op, "batch_group_count", 1),
    }


def _mirrored(op: ir.Operation, rank: int) -> tuple[int, ...]:
    if "window_reversal" not in op.attributes:
        return (0,) * rank
    return tuple(int(flag) for flag in ir.DenseBoolArrayAttr(op.attributes["window_reversal"]))


def _pad(op: ir.Operation) -> Attributes:
    return {
        "low": tuple(get_i64s(op, "edge_padding_low")),
        "high": tuple(get_i64s(op, "edge_padding_high")),
        "interior": tuple(get_i64s(op, "interior_padding")),
    }


def _slice(op: ir.Operation) -> Attributes:
    ones = [1] * len(shape_of(op.operands[0]))
    return {
        "start": tuple(get_i64s(op, "start_indices")),
        "limit": tuple(get_i64s(op, "limit_indices")),
        "strides": tuple(get_i64s(op, "strides", ones)),
    }


def _dynamic(op: ir.Operation) -> Attributes:
    indices = index_operands(op)
    unsigned = bool(indices) and element_type(indices[0]).startswith("ui")
    sizes = shape_of(op.results[0] if op.name == "stablehlo.dynamic_slice" else op.operands[1])
    return {"sizes": tuple(sizes), "unsigned": int(unsigned)}


def _gather(op: ir.Operation) -> Attributes:
    return {"unsigned": int(element_type(op.operands[1]).startswith("ui"))}


_ATTRIBUTES: dict[str, Callable[[ir.Operation], Attributes]] = {
    "constant": _constant,
    "iota": lambda op: {"dimension": get_i64(op, "iota_dimension")},
    "transpose": lambda op: {"permutation": tuple(get_i64s(op, "permutation"))},
    "broadcast_in_dim": lambda op: {"dimensions": tuple(get_i64s(op, "broadcast_dimensions"))},
    "reverse": lambda op: {"dimensions": tuple(get_i64s(op, "dimensions"))},
    "concatenate": lambda op: {"dimension": get_i64(op, "dimension")},
    "slice": _slice,
    "gather": _gather,
    "dynamic_slice": _dynamic,
    "dynamic_update_slice": _dynamic,
    "pad": _pad,
    "dot_general": _dot,
    "convolution": _convolution,
}
