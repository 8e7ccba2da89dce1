"""Reading the attributes of StableHLO ops.

The bindings of jaxlib 0.4.34 have no accessors for the fields of dimension numbers, so those are read in
printed form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ditto_compiler.ir import ir


def shape_of(value: ir.Value) -> list[int]:
    """Extents of a tensor."""
    return list(ir.RankedTensorType(value.type).shape)


def get_i64(op: ir.Operation, name: str, default: int = 0) -> int:
    """An integer attribute; `default` when absent."""
    return int(ir.IntegerAttr(op.attributes[name]).value) if name in op.attributes else default


def get_i64s(op: ir.Operation, name: str, default: Sequence[int] = ()) -> list[int]:
    """A dense array attribute as a list; `default` when absent."""
    return list(ir.DenseI64ArrayAttr(op.attributes[name])) if name in op.attributes else list(default)


def get_padding(op: ir.Operation, rank: int) -> tuple[list[int], list[int]]:
    """The attribute `padding` as (low, high) of each of `rank` dimensions; zeros when absent."""
    if "padding" not in op.attributes:
        return [0] * rank, [0] * rank
    pairs = np.array(ir.DenseIntElementsAttr(op.attributes["padding"]))
    return pairs[:, 0].tolist(), pairs[:, 1].tolist()


def direction_of(op: ir.Operation) -> str:
    """`EQ`, `NE`, `LT`, `LE`, `GT` or `GE` of a comparison."""
    return str(op.attributes["comparison_direction"]).split()[-1].rstrip(">")


def comparison_attributes(direction: str, kind: str | None = None) -> dict[str, ir.Attribute]:
    """The attributes of a comparison: EQ, NE, LT, LE, GT or GE; `kind` is FLOAT, SIGNED or UNSIGNED."""
    attributes = {"comparison_direction": ir.Attribute.parse(f"#stablehlo<comparison_direction {direction}>")}
    if kind is not None:
        attributes["compare_type"] = ir.Attribute.parse(f"#stablehlo<comparison_type {kind}>")
    return attributes


MIRRORED: Mapping[str, str] = {
    **{"EQ": "EQ", "NE": "NE"},
    **{"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE"},
}
"""The direction of a comparison with its sides exchanged."""


def dimension_field(attribute: ir.Attribute, name: str) -> list[int]:
    """The field `name = [1, 2]` or `name = 1` of a dimension-numbers attribute; empty when absent."""
    _, found, rest = str(attribute).partition(f"{name} = ")
    if not found:
        return []
    body = rest[1 : rest.index("]")] if rest.startswith("[") else rest.split(",")[0].rstrip("> ")
    return [int(word) for word in body.split(",") if word.strip()]


def is_lookup(op: ir.Operation) -> bool:
    """Whether `op` gathers whole entries of its first dimension, one for each index."""
    if op.name != "stablehlo.gather":
        return False
    table, indices = (shape_of(operand) for operand in op.operands)
    numbers = op.attributes["dimension_numbers"]
    depth = (dimension_field(numbers, "index_vector_dim") or [0])[0]
    batch = len(indices) if depth == len(indices) else len(indices) - 1
    one_index = depth == len(indices) or (depth == batch and indices[depth] == 1)
    rank = len(shape_of(op.results[0]))
    return (
        one_index
        and dimension_field(numbers, "start_index_map") == [0]
        and dimension_field(numbers, "collapsed_slice_dims") == [0]
        and not dimension_field(numbers, "operand_batching_dims")
        and dimension_field(numbers, "offset_dims") == list(range(batch, rank))
        and get_i64s(op, "slice_sizes") == [1, *table[1:]]
    )


class DotDimensions(NamedTuple):
    """Dimensions of a dot product's operands; the others follow in order in the result."""

    left_batch: list[int]
    right_batch: list[int]
    left_contracted: list[int]
    right_contracted: list[int]


def dot_dimensions(op: ir.Operation) -> DotDimensions:
    """The batch and contracted dimensions of a `dot` or `dot_general`."""
    if op.name == "stablehlo.dot":
        return DotDimensions([], [], [len(shape_of(op.operands[0])) - 1], [0])
    fields = ("lhs_batching", "rhs_batching", "lhs_contracting", "rhs_contracting")
    numbers = op.attributes["dot_dimension_numbers"]
    return DotDimensions(*(dimension_field(numbers, f"{name}_dimensions") for name in fields))


class ConvolutionLayout(NamedTuple):
    """What each dimension of input, kernel and output is: `b`, `f`, `i`, `o`, or a spatial `0`, `1`, ..."""

    input: list[str]
    kernel: list[str]
    output: list[str]


def convolution_layout(op: ir.Operation) -> ConvolutionLayout:
    """Reads `#stablehlo.conv<[b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1]>`."""
    text = str(op.attributes["dimension_numbers"])
    left, _, rest = text[text.index("<") + 1 : text.rindex(">")].partition("]x[")
    middle, _, right = rest.partition("]->[")
    return ConvolutionLayout(
        *([word.strip() for word in part.strip("[] ").split(",")] for part in (left, middle, right))
    )


def terms_of(op: ir.Operation) -> int:
    """How many products each element of a product sums: 1 for one element by element."""
    if op.name in ("stablehlo.dot", "stablehlo.dot_general"):
        left = shape_of(op.operands[0])
        return math.prod(left[axis] for axis in dot_dimensions(op).left_contracted)
    if op.name == "stablehlo.convolution":
        kernel, layout = shape_of(op.operands[1]), convolution_layout(op).kernel
        return math.prod(extent for extent, what in zip(kernel, layout, strict=True) if what != "o")
    return 1


_FIRST_INDEX: Mapping[str, int] = {
    "stablehlo.dynamic_slice": 1,
    "stablehlo.dynamic_update_slice": 2,
    "stablehlo.gather": 1,
}


def first_index(op: ir.Operation) -> int:
    """The number of the first operand that says where elements are; past the last if none does."""
    return _FIRST_INDEX.get(op.name, len(op.operands))


def index_operands(op: ir.Operation) -> list[ir.Value]:
    """The operands that say where elements are; none but for ops of this family."""
    return list(op.operands)[first_index(op) :]
