"""Putting a form in the place of a recognised function."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.forms.exponential import EXPONENTIALS
from ditto_compiler.forms.norm import Normalized
from ditto_compiler.forms.softmax import Rows
from ditto_compiler.forms.table import Form
from ditto_compiler.intervals import INFINITE
from ditto_compiler.ir import clone_op, defining_op, ir, numel
from ditto_compiler.matcher import View
from ditto_compiler.recognizers import Found
from ditto_compiler.structure import constant

Results = list[Tensor]

LOWEST = -4096.0
"""The lowest constant of a mask: -1e9, -3.4e38 or -inf would wrap in a cast to a narrower ring."""

VISIBLE = -64.0
"""What a mask may add to a score that still counts."""


class Replacer:
    """Replaces functions in program order, so that inputs of one may be results of those before.

    Attributes:
        ops: everything emitted.
    """

    def __init__(self) -> None:
        self.ops: list[ir.Operation] = []
        self._new: dict[ir.Value, ir.Value] = {}
        self._idle: list[ir.Operation] = []

    def replace(self, found: Found, form: Form, exp: str) -> None:
        """Emits `form` before the function's root and gives its result to the root's users."""
        builder = Builder.before(found.root)
        results = _WRITERS[found.function](self, builder, found, form, exp)
        for old, new in zip(found.root.results, results, strict=True):
            self._new[old] = new.value
            old.replace_all_uses_with(new.value)
        self.ops += builder.ops
        self._idle.append(found.root)

    def finish(self) -> None:
        """Erases what nobody uses any more."""
        while self._idle:
            op = self._idle.pop()
            if any(list(result.uses) for result in op.results):
                continue
            inputs = dict.fromkeys(owner for owner in map(defining_op, op.operands) if owner is not None)
            op.erase()
            self._idle = [other for other in self._idle if other not in inputs] + list(inputs)

    def current(self, value: ir.Value) -> ir.Value:
        """The value that stands for one of the program before any replacement."""
        return self._new.get(value, value)

    def _tensor(self, builder: Builder, found: Found, name: str) -> Tensor:
        return builder.tensor(self.current(found.value(name)))

    def _elementwise(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        return [form.build(self._tensor(builder, found, "x"))]

    def _softmax(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        x = found.match.views["x"]
        rows = Rows(
            builder.tensor(self._bounded(builder, x.source, found.root)),
            found.match.axes or (),
            self._tensor(builder, found, "mask") if "mask" in found.match.views else None,
            self._visible(builder, x),
        )
        return [form.build(rows, EXPONENTIALS[exp or form.exp or "engine"])]

    def _log_softmax(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        (result,) = self._softmax(builder, found, form, exp)
        if "mask" in found.match.views:
            result = result.where(self._tensor(builder, found, "mask"), LOWEST)
        return [result]

    def _norm(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        numbers = found.match.numbers
        rows = Normalized(
            self._tensor(builder, found, "x"),
            found.match.axes or (),
            numbers.get("eps", 0.0),
            numbers.get("gain", 1.0),
            self._tensor(builder, found, "scale") if "scale" in found.match.views else None,
        )
        return [form.build(rows)]

    def _division(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        y = found.match.views["y"]
        inverse = form.build(self._small(builder, y))
        return [self._tensor(builder, found, "x") * self._spread(inverse, y)]

    def _argmax(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        (axis,) = found.match.axes or (0,)
        return list(form.build(self._tensor(builder, found, "x"), axis, found.root.results[1].type))

    def _embedding(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        table, ids = (self._tensor(builder, found, name) for name in ("table", "ids"))
        rows: Tensor = form.build(table, ids.reshaped((math.prod(ids.shape),)))
        return [rows.reshaped(ir.RankedTensorType(found.root.results[0].type).shape)]

    def _small(self, builder: Builder, view: View) -> Tensor:
        """What a view repeats, without dimensions of extent 1."""
        value = builder.tensor(self.current(view.value))
        shape = [extent for extent in value.shape if extent != 1]
        return value if list(value.shape) == shape else value.reshaped(shape)

    def _spread(self, small: Tensor, view: View) -> Tensor:
        """Repeats what was computed of `_small(view)` like the view."""
        kept = sorted(dim for dim in view.dims if dim is not None)
        places = [view.dims.index(dim) for dim in kept]
        return small.spread(view.shape, places)

    def _visible(self, builder: Builder, x: View) -> Callable[[], Tensor] | None:
        """Where a smaller tensor that is added to the scores does not hide them; None if there is none."""
        if x.op is None or x.op.name != "stablehlo.add":
            return None
        for index in range(2):
            part = x.operand(index)
            if numel(part.value) < numel(x.value) and constant(part.value) is None:
                return partial(self._above, builder, part)
        return None

    def _above(self, builder: Builder, part: View) -> Tensor:
        return self._spread(self._small(builder, part) > VISIBLE, part)

    def _bounded(
        self, builder: Builder, value: ir.Value, before: ir.Operation, limit: float = LOWEST
    ) -> ir.Value:
        """`value` with the constants that masks are made of no lower than `LOWEST`."""
        number = constant(value)
        if number is not None:
            return builder.splat(LOWEST, value.type) if number < limit else value
        op = defining_op(value)
        if op is None or op.name not in MASKING:
            return self.current(value)
        first = 1 if op.name == "stablehlo.select" else 0
        operands = list(op.operands)
        # A smaller factor may scale numbers.
        limit = -INFINITE if op.name == "stablehlo.multiply" else LOWEST
        bounded = {old: self._bounded(builder, old, before, limit) for old in operands[first:]}
        if all(new == self.current(old) for old, new in bounded.items()) or value in self._new:
            return self.current(value)
        mapping = {old: self.current(old) for old in operands} | bounded
        clone = clone_op(op, mapping, ir.InsertionPoint(before))
        self.ops.append(clone)
        return clone.results[0]


MASKING = frozenset(
    f"stablehlo.{name}" for name in ["add", "select", "broadcast_in_dim", "reshape", "multiply", "convert"]
)
"""Ops by which a mask comes into the scores."""

_WRITERS: dict[str, Callable[[Replacer, Builder, Found, Form, str], Results]] = {
    **{name: Replacer._elementwise for name in ("gelu", "silu", "tanh", "logistic")},
    "softmax": Replacer._softmax,
    "log_softmax": Replacer._log_softmax,
    "layer_norm": Replacer._norm,
    "rms_norm": Replacer._norm,
    "division": Replacer._division,
    "argmax": Replacer._argmax,
    "argmin": Replacer._argmax,
    "embedding": Replacer._embedding,
}
