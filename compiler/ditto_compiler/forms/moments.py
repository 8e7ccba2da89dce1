"""The form of adaptive steps: moments of gradients where small ones are still numbers."""

from __future__ import annotations

from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.forms.builder import Tensor
from ditto_compiler.ir import defining_op, ir, numel
from ditto_compiler.structure import constant, is_float

MOMENTS = Fxp(128, 50)
"""Gradients g are known from 2^-18 on; of their squares, Adam adds a thousandth to v."""

LEAST = 2.0**-40
"""What is added to v: 1 % of it at g = 2^-17. Where v is lost to rounding, steps stay bounded."""


def adaptive_step(x: Tensor, v: Tensor, eps: float, root: float, gain: float) -> Tensor:
    """gain x / (sqrt(v + root) + eps) in ring 128: in ring 64, squares of what is below 2^-9 are nothing."""
    with x.builder.pinned(MOMENTS):
        deviation = (v + max(root, LEAST)).sqrt()
        if eps != 0.0:
            deviation = deviation + eps
        return (x if gain == 1.0 else x * gain) / deviation


def pin_moments(*moments: ir.Value) -> None:
    """Pins the encoding of what adds up to moments: multiples and squares, not what gradients come from."""
    pending, seen = list(moments), set()
    while pending:
        op = defining_op(pending.pop())
        if op is None or op in seen or len(op.results) != 1 or not is_float(op.results[0]):
            continue
        seen.add(op)
        operands = _moments_in(op)
        if operands is not None:
            if names.RING not in op.attributes:
                op.attributes[names.RING] = names.int_attribute(MOMENTS.ring)
                op.attributes[names.FRAC] = names.int_attribute(MOMENTS.frac)
            pending += operands


def _moments_in(op: ir.Operation) -> list[ir.Value] | None:
    """The operands of a moment's op that are moments, too; None for an op that is none of a moment's."""
    name = op.name.removeprefix("stablehlo.")
    if name in _FOLLOWED:
        return list(op.operands)
    if numel(op.results[0]) == 1 and name in ("power", "multiply", "divide"):
        # 1 - beta^t
        return list(op.operands)
    if name == "multiply":
        left, right = op.operands
        if left == right:
            return []
        return [left, right] if _is_number(left) or _is_number(right) else None
    if name == "divide":
        return [op.operands[0], op.operands[1]] if _is_number(op.operands[1]) else None
    return None


_FOLLOWED = frozenset(
    ("add", "subtract", "maximum", "minimum", "abs", "negate", "convert", "reshape", "broadcast_in_dim")
)
"""Ops whose operands are moments if their result is one; amsgrad's is the largest so far."""


def _is_number(value: ir.Value) -> bool:
    """Whether a tensor repeats one number."""
    op = defining_op(value)
    while op is not None and op.name in ("stablehlo.broadcast_in_dim", "stablehlo.reshape"):
        value = op.operands[0]
        op = defining_op(value)
    return numel(value) == 1 or constant(value) is not None
