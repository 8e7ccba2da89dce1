"""Sorting along an axis."""

from __future__ import annotations

from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.base import IsSecret, Kind, Op, Share, Values, any_scale, register, same_range
from ditto_compiler.ops.emitter import Emitter, i64
from ditto_compiler.structure import sort_key


def _sort(e: Emitter, op: ir.Operation) -> Values:
    key = sort_key(op)
    assert key is not None
    direction = "ASC" if key[1] == "LT" else "DES"
    types = [e.type_of(result) for result in op.results]
    secret = e.is_secret(op.results[0])
    values = [e.secret(v) if secret else v for v in e.operands(op)]
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
    return list(sort.results)


def _plain_sort(op: ir.Operation, _: IsSecret) -> str | None:
    key = sort_key(op)
    if key is None:
        return "the comparator must order by one operand, ascending or descending"
    if key[0] != 0:
        return "the sort key must be the first operand"
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
        unsupported=_plain_sort,
    )
)
