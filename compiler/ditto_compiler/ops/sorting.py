"""Sorting along an axis."""

from __future__ import annotations

from ditto_compiler.folds import is_elementwise
from ditto_compiler.ir import ir, numel
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.base import IsSecret, Kind, Op, Share, Values, always, any_scale, register, same_range
from ditto_compiler.ops.emitter import Emitter, i64, region_result
from ditto_compiler.structure import sort_key


def _sort(e: Emitter, op: ir.Operation) -> Values:
    key = sort_key(op)
    assert key is not None
    if not numel(op.results[0]):
        return e.operands(op)
    direction = "ASC" if key[1] == "LT" else "DES"
    # The engine takes the first operand for the key, and a boolean share's top bit for its sign.
    order = sorted(range(len(op.operands)), key=lambda number: number != key[0])
    types = [e.type_of(op.results[number]) for number in order]
    secret = e.is_secret(op.results[0])
    values = [region_result(e, op.operands[number]) for number in order]
    values = [e.secret(value) if secret else value for value in values]
    dimension = ir.IntegerAttr(op.attributes["dimension"]).value if "dimension" in op.attributes else -1
    if dimension < 0:
        dimension += len(shape_of(op.results[0]))
    sort = e.op(
        "simple_sort",
        types,
        values,
        dimension=i64(dimension),
        num_keys=i64(1),
        sort_direction=ir.Attribute.parse(f"#pphlo<sort_direction {direction}>"),
    )
    found = dict(zip(order, sort.results, strict=True))
    return [found[number] for number in range(len(order))]


def _plain_sort(op: ir.Operation, _: IsSecret) -> str | None:
    if sort_key(op) is None and not is_elementwise(op.regions[0].blocks[0]):
        return "the comparator must compute with the elements that it is given, and with constants, alone"
    return None


register(
    Op(
        "stablehlo.sort",
        __name__,
        Kind.ARITHMETIC,
        any_scale,
        same_range,
        _sort,
        share=Share.BITWISE,
        modular=always,
        unsupported=_plain_sort,
    )
)
