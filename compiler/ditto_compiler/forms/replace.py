"""Putting a form in the place of a recognised function."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import Fxp
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.forms.exponential import EXPONENTIALS
from ditto_compiler.forms.norm import Normalized
from ditto_compiler.forms.softmax import Rows
from ditto_compiler.forms.table import Form
from ditto_compiler.ir import defining_op, element_type, erase_unused, ir, numel
from ditto_compiler.matcher import View, is_float_conversion
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.recognizers import Found
from ditto_compiler.structure import constant, constant_numbers, constant_through_layout, is_float

Results = list[Tensor]

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
        results = _WRITERS.get(found.function, Replacer._added)(self, builder, found, form, exp)
        for old, new in zip(found.root.results, results, strict=True):
            self._new[old] = new.value
            old.replace_all_uses_with(new.value)
        self.ops += builder.ops
        self._idle.append(found.root)

    def finish(self) -> None:
        """Erases what nobody uses any more."""
        erase_unused(self._idle)
        self._idle = []

    def current(self, value: ir.Value) -> ir.Value:
        """The value that stands for one of the program before any replacement."""
        return self._new.get(value, value)

    def _tensor(self, builder: Builder, found: Found, name: str) -> Tensor:
        return self._like_root(builder, found, found.value(name))

    def _whole(self, builder: Builder, found: Found, name: str) -> Tensor:
        """Of the root's shape, for a factor may have been multiplied before the product was repeated."""
        view = found.match.views[name]
        if shape_of(view.source) == list(view.shape):
            return self._tensor(builder, found, name)
        return self._spread(self._small(builder, found, view), view)

    def _like_root(self, builder: Builder, found: Found, value: ir.Value) -> Tensor:
        """An input of the function; numbers in the dtype that it is computed in."""
        value = self.current(value)
        root = found.root.results[0]
        if not is_float(value) or not is_float(root):
            return builder.tensor(value)
        wanted = ir.RankedTensorType(root.type).element_type
        if found.function in _IN_SINGLE and element_type(root) in ("f16", "bf16"):
            wanted = ir.F32Type.get()
        op = defining_op(value)
        # Pattern: convert(convert(x: bf16) : f32) : bf16 -> x
        if op is not None and is_float_conversion(op) and element_type(value) != str(wanted):
            inner = self.current(op.operands[0])
            if element_type(inner) == str(wanted):
                return builder.tensor(inner)
        return builder.tensor(value).converted(wanted)

    def _elementwise(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        return [form.build(self._whole(builder, found, "x"))]

    def _added(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        """A plugin's function."""
        result = form.build(**{name: self._whole(builder, found, name) for name in found.match.views})
        return [result] if isinstance(result, Tensor) else list(result)

    def _softmax(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        x = found.match.views["x"]
        rows = Rows(
            self._like_root(builder, found, x.source),
            found.match.axes or (),
            self._whole(builder, found, "mask") if "mask" in found.match.views else None,
            self._bare(builder, found, x),
        )
        result = form.build(rows, EXPONENTIALS[exp or form.exp or "engine"])
        return [result.converted(ir.RankedTensorType(found.root.results[0].type).element_type)]

    def _log_softmax(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        (result,) = self._softmax(builder, found, form, exp)
        if "mask" in found.match.views:
            result = result.where(self._whole(builder, found, "mask"), -math.inf)
        return [result]

    def _norm(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        numbers = found.match.numbers
        rows = Normalized(
            self._whole(builder, found, "x"),
            found.match.axes or (),
            numbers.get("eps", 0.0),
            numbers.get("gain", 1.0),
            self._whole(builder, found, "scale") if "scale" in found.match.views else None,
        )
        return [form.build(rows)]

    def _division(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        y = found.match.views["y"]
        pin = _pinned(found.root)
        with builder.pinned(pin):
            small = self._small(builder, found, y)
            # A one-shot function has a ring of its own.
            inverse = form.build(small) if pin is None else small.reciprocal()
            return [self._whole(builder, found, "x") * self._spread(inverse, y)]

    def _adaptive_step(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        numbers = found.match.numbers
        x, v = (self._whole(builder, found, name) for name in "xv")
        eps, root, gain = (numbers.get(name, default) for name, default in _STEP_NUMBERS)
        return [form.build(x, v, eps, root, gain)]

    def _argmax(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        (axis,) = found.match.axes or (0,)
        return list(form.build(self._tensor(builder, found, "x"), axis, found.root.results[1].type))

    def _embedding(self, builder: Builder, found: Found, form: Form, exp: str) -> Results:
        table, ids = (self._tensor(builder, found, name) for name in ("table", "ids"))
        dtype = numpy_dtype(str(ids.type.element_type))
        if found.root.name == "stablehlo.gather":
            # An id that is out of range stands for the nearest row; with a fill value its row is not used.
            ids = ids.clamped(0, min(table.shape[0] - 1, int(np.iinfo(dtype).max)))
        if dtype.itemsize < 4:
            # So that it can count all rows.
            ids = ids.converted(ir.IntegerType.get_signless(32))
        rows: Tensor = form.build(table, ids.reshaped((math.prod(ids.shape),)))
        return [rows.reshaped(ir.RankedTensorType(found.root.results[0].type).shape)]

    def _small(self, builder: Builder, found: Found, view: View) -> Tensor:
        """What a view repeats, without dimensions of extent 1."""
        value = self._like_root(builder, found, view.value)
        shape = [extent for extent in value.shape if extent != 1]
        return value if list(value.shape) == shape else value.reshaped(shape)

    def _spread(self, small: Tensor, view: View) -> Tensor:
        """Repeats what was computed of `_small(view)` like the view."""
        kept = sorted(dim for dim in view.dims if dim is not None)
        places = [view.dims.index(dim) for dim in kept]
        return small.spread(view.shape, places)

    def _bare(self, builder: Builder, found: Found, x: View) -> Callable[[], tuple[Tensor, Tensor]] | None:
        """Scores without the mask in them, and where it leaves them visible; None if there is no mask.

        Pattern: x + m, m smaller or a table with huge numbers; select(mask, x, -huge)
        """
        if x.op is None:
            return None
        if x.op.name == "stablehlo.add":
            for index in range(2):
                if _is_mask(x.operand(index), x):
                    scores, mask = x.operand(1 - index), x.operand(index)
                    return partial(self._without_sum, builder, found, scores, mask)
        if x.op.name == "stablehlo.select":
            for index in (1, 2):
                number = constant(x.operand(index).value)
                if number is not None and number <= VISIBLE:
                    return partial(self._without_choice, builder, found, x, index)
        return None

    def _without_sum(self, builder: Builder, found: Found, x: View, mask: View) -> tuple[Tensor, Tensor]:
        added = self._small(builder, found, mask)
        visible = added > VISIBLE
        # What a mask adds to scores that it leaves visible counts, and its huge numbers go nowhere.
        bias = added.larger(VISIBLE).where(visible)
        scores = self._spread(self._small(builder, found, x), x) + self._spread(bias, mask)
        return scores, self._spread(visible, mask)

    def _without_choice(self, builder: Builder, found: Found, x: View, hidden: int) -> tuple[Tensor, Tensor]:
        predicate, scores = (
            self._spread(self._small(builder, found, view), view)
            for view in (x.operand(0), x.operand(3 - hidden))
        )
        return scores, predicate if hidden == 2 else predicate.inverted()


def _pinned(op: ir.Operation) -> Fxp | None:
    """The encoding that an op's result must have, if it is fixed."""
    ring, frac = names.get_int(op, names.RING), names.get_int(op, names.FRAC)
    return None if ring is None or frac is None else Fxp(ring, frac)


def _is_mask(part: View, x: View) -> bool:
    """Whether what is added to scores hides some, or can be told from them by having fewer elements."""
    if constant(part.value) is not None:
        return False
    table = constant_through_layout(part.value)
    return numel(part.value) < numel(x.value) or (
        table is not None and min(map(float, constant_numbers(table))) <= VISIBLE
    )


_IN_SINGLE = frozenset(("softmax", "log_softmax"))
"""Functions whose formulas have coefficients that half precision is too coarse for."""

_STEP_NUMBERS = (("eps", 0.0), ("root", 0.0), ("gain", 1.0))

_WRITERS: dict[str, Callable[[Replacer, Builder, Found, Form, str], Results]] = {
    **{name: Replacer._elementwise for name in ("gelu", "silu", "tanh", "logistic")},
    "softmax": Replacer._softmax,
    "log_softmax": Replacer._log_softmax,
    "layer_norm": Replacer._norm,
    "rms_norm": Replacer._norm,
    "division": Replacer._division,
    "adaptive_step": Replacer._adaptive_step,
    "argmax": Replacer._argmax,
    "argmin": Replacer._argmax,
    "embedding": Replacer._embedding,
}
