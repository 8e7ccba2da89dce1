"""Which ops the executor on shares can run, and what each does to the secret."""

from __future__ import annotations

import enum

from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.ir import element_type, encoding_of, ir
from ditto_compiler.op_attributes import first_index, is_lookup
from ditto_compiler.structure import is_float, reducer

FRACTION_BITS = 14
"""Fraction bits that measured numbers keep beside the engine, however large, if the policy gives as many."""


class Effect(enum.Enum):
    """What an op does to the secret, so how rings and scales of operands and results belong together."""

    LOCAL = "linear: operands and result are in one ring and scale; no message"
    PRODUCT = "operands in one ring; the result drops bits of the exact product, and the ring as many"
    SELECT = "chooses by bits: the numbers as for LOCAL"
    LESS = "bits of a number in any ring"
    BITS = "booleans of booleans"
    NUMBER = "numbers of booleans or integers"
    FUNCTION = "a one-shot function: argument and result each in a ring of their own"


_LAYOUT = (
    *("broadcast_in_dim", "reshape", "transpose", "slice", "concatenate", "pad", "reverse"),
    *("gather", "dynamic_slice", "dynamic_update_slice", "add", "subtract", "negate"),
)

_EFFECTS: dict[str, Effect] = {
    **dict.fromkeys((f"stablehlo.{name}" for name in _LAYOUT), Effect.LOCAL),
    **dict.fromkeys((f"stablehlo.{name}" for name in ("and", "or", "xor", "not")), Effect.BITS),
    "stablehlo.multiply": Effect.PRODUCT,
    "stablehlo.dot": Effect.PRODUCT,
    "stablehlo.dot_general": Effect.PRODUCT,
    "stablehlo.convolution": Effect.PRODUCT,
    "stablehlo.select": Effect.SELECT,
    names.LESS: Effect.LESS,
    names.ONESHOT: Effect.FUNCTION,
}


def effect_of(op: ir.Operation) -> Effect | None:
    """What `op` does beside the engine; None if it cannot run there."""
    values = [*op.operands, *op.results]
    moved = [*list(op.operands)[: first_index(op)], *op.results]
    booleans = all(element_type(value) == "i1" for value in moved)
    if op.name in ("stablehlo.constant", "stablehlo.iota"):
        return Effect.BITS if booleans else Effect.LOCAL
    if not all(_fits(value) for value in values):
        return None
    if op.name == "stablehlo.gather" and not is_lookup(op):
        return None
    if op.name == "stablehlo.reduce":
        return _of_reduction(op, booleans)
    if op.name == "stablehlo.convert":
        return _of_conversion(op)
    effect = _EFFECTS.get(op.name)
    if effect is Effect.LOCAL and booleans:
        return (
            Effect.BITS
            if op.name not in ("stablehlo.add", "stablehlo.subtract", "stablehlo.negate")
            else None
        )
    if effect is Effect.BITS and not booleans:
        return None
    if effect is Effect.PRODUCT and booleans:
        return None
    if effect is Effect.SELECT and element_type(op.results[0]) == "i1":
        return None
    return effect


def _fits(value: ir.Value) -> bool:
    encoding = encoding_of(value)
    return encoding is not None and encoding.ring <= WIDEST


def _of_reduction(op: ir.Operation, booleans: bool) -> Effect | None:
    if len(op.results) != 1:
        return None
    by = reducer(op)
    if booleans:
        return Effect.BITS if by in ("or", "and") else None
    return Effect.LOCAL if by == "add" else None


def _of_conversion(op: ir.Operation) -> Effect | None:
    """Booleans and integers become numbers, and numbers stay what they are; the engine makes integers."""
    source, target = op.operands[0], op.results[0]
    if is_float(source) and is_float(target):
        return Effect.LOCAL
    return Effect.NUMBER if isinstance(encoding_of(target), Fxp) else None
