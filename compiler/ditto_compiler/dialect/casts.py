"""Building cast ops."""

from __future__ import annotations

from ditto_compiler.dialect.encoding import Encoding, plan_casts
from ditto_compiler.ir import encode_type, encoding_of, ir


def insert_casts(value: ir.Value, target: Encoding, *, before: ir.Operation) -> ir.Value:
    """Casts `value` to `target` by ops placed before `before`; returns the value in `target`.

    Raises:
        EncodingError: no protocol leads there.
    """
    source = encoding_of(value)
    assert source is not None, "casts need an annotated value"
    for cast in plan_casts(source, target):
        op = ir.Operation.create(
            f"ditto.{cast.op}",
            results=[encode_type(value.type, cast.target)],
            operands=[value],
            loc=before.location,
            ip=ir.InsertionPoint(before),
        )
        value = op.results[0]
    return value
