"""Logic on booleans of which some are known when the program is compiled."""

from __future__ import annotations

from typing import TypeAlias

from ditto_compiler import building
from ditto_compiler.ir import insert_op, ir

Bit: TypeAlias = ir.Value | bool
"""A tensor of booleans, or the one boolean that all of them are known to be."""


def number(bit: Bit, like: ir.Value, *, before: ir.Operation) -> ir.Value:
    """0 or 1, in the type of another value."""
    if isinstance(bit, bool):
        return building.splat(bit, like.type, before=before)
    return insert_op("convert", like.type, bit, before=before)


def select(bit: Bit, yes: ir.Value, no: ir.Value, *, before: ir.Operation) -> ir.Value:
    """`yes` where the bit is set, else `no`."""
    if isinstance(bit, bool):
        return yes if bit else no
    return insert_op("select", yes.type, bit, yes, no, before=before)


def invert(x: Bit, *, before: ir.Operation) -> Bit:
    """Not x."""
    return not x if isinstance(x, bool) else insert_op("not", x.type, x, before=before)


def both(x: Bit, y: Bit, *, before: ir.Operation) -> Bit:
    """x and y."""
    if isinstance(x, bool):
        return y if x else False
    if isinstance(y, bool):
        return x if y else False
    return insert_op("and", x.type, x, y, before=before)


def differ(x: Bit, y: Bit, *, before: ir.Operation) -> Bit:
    """x xor y."""
    if isinstance(x, bool):
        return invert(y, before=before) if x else y
    if isinstance(y, bool):
        return invert(x, before=before) if y else x
    return insert_op("xor", x.type, x, y, before=before)
