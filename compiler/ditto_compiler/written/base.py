"""Putting a JAX function in the place of an op."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import clone_op, element_type, ir, ops_of, parse_module
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.structure import is_float
from ditto_compiler.xla import double_precision

Function = Callable[..., Any]
"""Of the op's operands as JAX arrays; gives its result, or a tuple of its results."""

Writing = Callable[[ir.Operation], Function | None]


def write(op: ir.Operation, function: Function, pin: Fxp | None = None) -> list[ir.Value]:
    """Replaces `op` by what JAX makes of a function of its operands, at the op's location.

    With `pin`, encodings of floats are fixed, whatever the policy's rules say of them. Gives the
    results of the function, which may be more than those of the op.
    """
    arguments = [
        jax.ShapeDtypeStruct(shape_of(value), numpy_dtype(element_type(value))) for value in op.operands
    ]
    wide = any(element_type(value).endswith("64") for value in (*op.operands, *op.results))
    # Not jitted, what the function calls is part of it and no function of its own.
    with jax.disable_jit(), double_precision() if wide else contextlib.nullcontext():
        lowered = jax.jit(function, keep_unused=True).lower(*arguments)
    made = parse_module(lowered.as_text(), op.context)
    (main,) = made.body.operations
    block = main.regions[0].blocks[0]
    mapping = dict(zip(block.arguments, op.operands, strict=True))
    *body, end = ops_of(block)
    here = ir.InsertionPoint(op)
    for inner in body:
        clone = clone_op(inner, mapping, here, lambda _: op.location)
        if pin is not None and clone.name != "stablehlo.constant" and is_float(clone.results[0]):
            clone.attributes[names.RING] = names.int_attribute(pin.ring)
            clone.attributes[names.FRAC] = names.int_attribute(pin.frac)
    results = [mapping[value] for value in end.operands]
    for old, new in zip(op.results, results[: len(op.results)], strict=True):
        old.replace_all_uses_with(new)
    op.erase()
    return results
