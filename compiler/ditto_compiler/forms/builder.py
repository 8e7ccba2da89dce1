"""Writing StableHLO as formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import is_unsigned
from ditto_compiler.encoding import Encoding, Fxp, Int
from ditto_compiler.ir import defining_op, element_type, encode_type, encoding_of, ir
from ditto_compiler.op_attributes import comparison_attributes
from ditto_compiler.private_functions import add_function, module_of
from ditto_compiler.structure import constant_of_array, is_float, splat_attribute


class Builder:
    """Emits ops at one place of a program.

    Attributes:
        ops: everything emitted, in order, but what is inside of reductions.
    """

    def __init__(self, ip: ir.InsertionPoint, location: ir.Location) -> None:
        self._ip = ip
        self._location = location
        self._pin: Fxp | None = None
        self.ops: list[ir.Operation] = []

    @staticmethod
    def before(op: ir.Operation) -> Builder:
        """A builder that emits before `op`, at its location, so that what it emits belongs to its scope."""
        return Builder(ir.InsertionPoint(op), op.location)

    @contextmanager
    def pinned(self, encoding: Fxp | None) -> Iterator[None]:
        """Emits ops with the encoding of their results fixed, whatever the policy's rules say of them."""
        outer, self._pin = self._pin, encoding
        try:
            yield
        finally:
            self._pin = outer

    def tensor(self, value: ir.Value) -> Tensor:
        """A value, to calculate with."""
        return Tensor(self, value)

    def op(
        self,
        name: str,
        types: Sequence[ir.Type],
        operands: Sequence[ir.Value],
        attributes: dict[str, ir.Attribute] | None = None,
        regions: int = 0,
    ) -> ir.Operation:
        """Emits one op, of StableHLO unless its name says another dialect."""
        attributes = dict(attributes or {})
        if self._pin is not None and name != "constant":
            attributes[names.RING] = names.int_attribute(self._pin.ring)
            attributes[names.FRAC] = names.int_attribute(self._pin.frac)
        operation = ir.Operation.create(
            name if "." in name else f"stablehlo.{name}",
            results=list(types),
            operands=list(operands),
            attributes=attributes,
            regions=regions,
            loc=self._location,
            ip=self._ip,
        )
        self.ops.append(operation)
        return operation

    def function(self, name: str, type_: ir.Type, formula: Callable[[Tensor], Tensor]) -> ir.Attribute:
        """The symbol of a private function of tensors of this type."""

        def write(block: ir.Block) -> ir.Value:
            inside = Builder(ir.InsertionPoint(block), ir.Location.unknown())
            return formula(inside.tensor(block.arguments[0])).value

        return add_function(module_of(self._ip.block), name, type_, write)

    def splat(self, number: float, type_: ir.Type) -> ir.Value:
        """A constant with the same number in every element."""
        return self.op("constant", [type_], [], {"value": splat_attribute(number, type_)}).results[0]

    def full(self, number: float, shape: Sequence[int], element: ir.Type) -> Tensor:
        """A constant tensor with the same number in every element."""
        return self.tensor(self.splat(number, ir.RankedTensorType.get(list(shape), element)))

    def iota(self, shape: Sequence[int], axis: int, element: ir.Type) -> Tensor:
        """Each element's position along `axis`."""
        type_ = ir.RankedTensorType.get(list(shape), element)
        attribute = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), axis)
        return self.tensor(self.op("iota", [type_], [], {"iota_dimension": attribute}).results[0])

    def vector(self, numbers: Sequence[float], like: Tensor) -> Tensor:
        """A constant vector of `like`'s element type."""
        tensor = ir.RankedTensorType.get([len(numbers)], like.type.element_type)
        literals = ", ".join(f"{number:.12e}" for number in numbers)
        value = ir.Attribute.parse(f"dense<[{literals}]> : {tensor}")
        return self.tensor(self.op("constant", [tensor], [], {"value": value}).results[0])

    def array(self, numbers: NDArray[Any], element: ir.Type) -> Tensor:
        """A constant tensor; the array is of the numpy type of `element`."""
        type_ = ir.RankedTensorType.get(list(numbers.shape), element)
        value = constant_of_array(numbers, type_)
        return self.tensor(self.op("constant", [type_], [], {"value": value}).results[0])

    def joined(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Tensors one after the other along an axis."""
        if len(parts) == 1:
            return parts[0]
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        type_ = ir.RankedTensorType.get(shape, parts[0].type.element_type)
        dimension = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), axis)
        op = self.op("concatenate", [type_], [part.value for part in parts], {"dimension": dimension})
        return self.tensor(op.results[0])

    def reduction(
        self,
        inputs: Sequence[Tensor],
        starts: Sequence[float],
        axes: Sequence[int],
        combine: Callable[[Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]],
    ) -> list[Tensor]:
        """Reduces tensors of one shape together over `axes`, which are gone from the results.

        `combine` gives one tuple of scalars for two; `starts` is its neutral element.
        """
        shape = [extent for axis, extent in enumerate(inputs[0].shape) if axis not in axes]
        elements = [x.type.element_type for x in inputs]
        scalars = [ir.RankedTensorType.get([], element) for element in elements]
        initial = [self.splat(start, scalar) for start, scalar in zip(starts, scalars, strict=True)]
        reduce = self.op(
            "reduce",
            [ir.RankedTensorType.get(shape, element) for element in elements],
            [*(x.value for x in inputs), *initial],
            {"dimensions": ir.DenseI64ArrayAttr.get(list(axes))},
            regions=1,
        )
        types = [*scalars, *scalars]
        block = reduce.regions[0].blocks.append(*types, arg_locs=[self._location] * len(types))
        inside = Builder(ir.InsertionPoint(block), self._location)
        arguments = [inside.tensor(argument) for argument in block.arguments]
        combined = combine(arguments[: len(inputs)], arguments[len(inputs) :])
        inside.op("return", [], [x.value for x in combined])
        return [self.tensor(result) for result in reduce.results]


@dataclass(frozen=True)
class Tensor:
    """A tensor in the program that a formula is written into; numbers become constants of its type."""

    builder: Builder
    value: ir.Value

    @property
    def type(self) -> ir.RankedTensorType:
        """The MLIR type."""
        return ir.RankedTensorType(self.value.type)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents."""
        return tuple(self.type.shape)

    def _same(self, other: Tensor | float) -> ir.Value:
        return other.value if isinstance(other, Tensor) else self.builder.splat(other, self.type)

    def _elementwise(self, name: str, *operands: ir.Value) -> Tensor:
        return Tensor(self.builder, self.builder.op(name, [self.type], operands).results[0])

    def __add__(self, other: Tensor | float) -> Tensor:
        return self._elementwise("add", self.value, self._same(other))

    def __sub__(self, other: Tensor | float) -> Tensor:
        return self._elementwise("subtract", self.value, self._same(other))

    def __rsub__(self, other: float) -> Tensor:
        return self._elementwise("subtract", self._same(other), self.value)

    def __mul__(self, other: Tensor | float) -> Tensor:
        return self._elementwise("multiply", self.value, self._same(other))

    def __truediv__(self, other: Tensor | float) -> Tensor:
        return self._elementwise("divide", self.value, self._same(other))

    def __neg__(self) -> Tensor:
        return self._elementwise("negate", self.value)

    def __lt__(self, other: Tensor | float) -> Tensor:
        return self.compare("LT", other)

    def __gt__(self, other: Tensor | float) -> Tensor:
        return self.compare("GT", other)

    def inverted(self) -> Tensor:
        """Of booleans, the others."""
        return self._elementwise("not", self.value)

    def magnitude(self) -> Tensor:
        """The absolute value."""
        return self._elementwise("abs", self.value)

    def floor(self) -> Tensor:
        """Rounded down to whole numbers."""
        return self._elementwise("floor", self.value)

    def larger(self, other: Tensor | float) -> Tensor:
        """The elementwise maximum."""
        return self._elementwise("maximum", self.value, self._same(other))

    def smaller(self, other: Tensor | float) -> Tensor:
        """The elementwise minimum."""
        return self._elementwise("minimum", self.value, self._same(other))

    def compare(self, direction: str, other: Tensor | float) -> Tensor:
        """The booleans of an elementwise comparison: EQ, NE, LT, LE, GT, GE."""
        signed = "UNSIGNED" if is_unsigned(element_type(self.value)) else "SIGNED"
        kind = "FLOAT" if is_float(self.value) else signed
        attributes = comparison_attributes(direction, kind)
        encoding = encoding_of(self.value)
        booleans = _tensor_type(
            self.shape, ir.IntegerType.get_signless(1), None if encoding is None else Int(encoding.ring)
        )
        op = self.builder.op("compare", [booleans], [self.value, self._same(other)], attributes)
        return Tensor(self.builder, op.results[0])

    def loosely(self, slack: float) -> Tensor:
        """Booleans of a comparison of which an operand may be off by this much."""
        op = defining_op(self.value)
        assert op is not None
        op.attributes[names.SLACK] = ir.FloatAttr.get_f64(slack)
        return self

    def either(self, other: Tensor) -> Tensor:
        """Booleans that are true where one of two is."""
        return self._elementwise("or", self.value, other.value)

    def both(self, other: Tensor) -> Tensor:
        """Booleans that are true where two are."""
        return self._elementwise("and", self.value, other.value)

    def any(self, axes: Sequence[int]) -> Tensor:
        """Whether one of the booleans over `axes`, which are gone from the result, is true."""
        (result,) = self.builder.reduction(
            [self], [0.0], axes, lambda left, right: [left[0].either(right[0])]
        )
        return result

    def where(self, predicate: Tensor, otherwise: Tensor | float = 0.0) -> Tensor:
        """This where `predicate` holds, and `otherwise` elsewhere."""
        return self._elementwise("select", predicate.value, self.value, self._same(otherwise))

    def unless(self, predicate: Tensor, otherwise: Tensor | float = 0.0) -> Tensor:
        """This where `predicate` does not hold, and `otherwise` elsewhere."""
        return self._elementwise("select", predicate.value, self._same(otherwise), self.value)

    def within(self, bound: float, least: float | None = None) -> Tensor:
        """This, with what the formula knows of it: |x| <= bound. Scales are then chosen by it.

        Smaller positive numbers than `least` are ones that the formula takes for larger ones.
        """
        op = defining_op(self.value)
        assert op is not None
        op.attributes[names.MAX_ABS] = ir.FloatAttr.get_f64(bound)
        if least is not None:
            op.attributes[names.LEAST] = ir.FloatAttr.get_f64(least)
        return self

    def clamped(self, low: float, high: float) -> Tensor:
        """The nearest number between the two."""
        return self._elementwise("clamp", self._same(low), self.value, self._same(high))

    def oneshot(
        self,
        name: str,
        formula: Callable[[Tensor], Tensor],
        otherwise: Callable[[Tensor], Tensor],
        error: float,
        *,
        relative: bool = False,
        interval: tuple[float, float] | None = None,
        words: int | None = None,
    ) -> Tensor:
        """A function of each element in one go, or `otherwise` where its arguments are not known well enough.

        `interval`, if given, is what the formula that this belongs to proves of the arguments; more than
        `words`, if given, cost more than `otherwise`.

        In half precision its values would be known too coarsely.
        """
        half = element_type(self.value) in ("f16", "bf16")
        x = self.converted(ir.F32Type.get()) if half else self
        attributes = {
            names.FUNCTION: self.builder.function(name, x.type, formula),
            names.OTHERWISE: self.builder.function(f"{name}_otherwise", x.type, otherwise),
            names.ERROR: ir.FloatAttr.get_f64(error),
            **({names.RELATIVE: ir.UnitAttr.get()} if relative else {}),
            **({names.WORDS: names.int_attribute(words)} if words is not None else {}),
        }
        if interval is not None:
            ends = map(ir.FloatAttr.get_f64, interval)
            attributes |= zip((names.LOW, names.HIGH), ends, strict=True)
        result = self.builder.op(names.ONESHOT, [x.type], [x.value], attributes).results[0]
        return Tensor(self.builder, result).converted(self.type.element_type)

    def erf(self) -> Tensor:
        """The error function."""
        return self._elementwise("chlo.erf", self.value)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
        return self._elementwise("tanh", self.value)

    def exponential(self) -> Tensor:
        """The engine's own exp."""
        return self._elementwise("exponential", self.value)

    def logistic(self) -> Tensor:
        """The logistic function, as one op."""
        return self._elementwise("logistic", self.value)

    def log(self) -> Tensor:
        """The engine's own natural logarithm."""
        return self._elementwise("log", self.value)

    def sqrt(self) -> Tensor:
        """The engine's own square root."""
        return self._elementwise("sqrt", self.value)

    def rsqrt(self) -> Tensor:
        """The engine's own 1/sqrt."""
        return self._elementwise("rsqrt", self.value)

    def reciprocal(self) -> Tensor:
        """The engine's own 1/x."""
        one = Tensor(self.builder, self.builder.splat(1.0, self.type))
        return one / self

    def converted(self, element: ir.Type) -> Tensor:
        """In another element type."""
        if element == self.type.element_type:
            return self
        type_ = _tensor_type(self.shape, element, encoding_of(self.value) if is_float(self.value) else None)
        return Tensor(self.builder, self.builder.op("convert", [type_], [self.value]).results[0])

    def sum(self, axes: Sequence[int]) -> Tensor:
        """The sum over `axes`, which are gone from the result."""
        (result,) = self.builder.reduction([self], [0.0], axes, lambda left, right: [left[0] + right[0]])
        return result

    def max(self, axes: Sequence[int]) -> Tensor:
        """The maximum over `axes`, which are gone from the result."""
        start = [-math.inf]
        (result,) = self.builder.reduction(
            [self], start, axes, lambda left, right: [left[0].larger(right[0])]
        )
        return result

    def row_bound(self, axes: Sequence[int], slack: float) -> Tensor:
        """The maximum over `axes`, which are gone, or any number that is larger by up to `slack`."""
        bound = self.max(axes)
        op = defining_op(bound.value)
        assert op is not None
        op.attributes[names.SLACK] = ir.FloatAttr.get_f64(slack)
        return bound

    def row_squares(self, axes: Sequence[int]) -> Tensor:
        """The sums of squares over `axes`, which are gone: each row times itself."""
        rows = [axis for axis in range(len(self.shape)) if axis not in axes]
        fields = {"batching": rows, "contracting": list(axes)}
        numbers = ", ".join(f"{s}_{f}_dimensions = {d}" for f, d in fields.items() for s in ("lhs", "rhs"))
        type_ = ir.RankedTensorType.get([self.shape[axis] for axis in rows], self.type.element_type)
        attributes = {"dot_dimension_numbers": ir.Attribute.parse(f"#stablehlo.dot<{numbers}>")}
        op = self.builder.op("dot_general", [type_], [self.value, self.value], attributes)
        return Tensor(self.builder, op.results[0])

    def spread(self, shape: Sequence[int], dims: Sequence[int]) -> Tensor:
        """Repeated to `shape`; dimension i of this runs along dimension dims[i]."""
        type_ = ir.RankedTensorType.get(list(shape), self.type.element_type)
        attributes = {"broadcast_dimensions": ir.DenseI64ArrayAttr.get(list(dims))}
        return Tensor(
            self.builder, self.builder.op("broadcast_in_dim", [type_], [self.value], attributes).results[0]
        )

    def along(self, other: Tensor, axes: Sequence[int]) -> Tensor:
        """A statistic of the rows of `other` along `axes`, repeated to its shape."""
        return self.spread(other.shape, [axis for axis in range(len(other.shape)) if axis not in axes])

    def dot(self, other: Tensor) -> Tensor:
        """Contracts the last dimension of this with the first of `other`."""
        last = len(self.shape) - 1
        numbers = ir.Attribute.parse(
            f"#stablehlo.dot<lhs_contracting_dimensions = [{last}], rhs_contracting_dimensions = [0]>"
        )
        type_ = ir.RankedTensorType.get([*self.shape[:-1], *other.shape[1:]], other.type.element_type)
        operands = [self.value, other.value]
        op = self.builder.op("dot_general", [type_], operands, {"dot_dimension_numbers": numbers})
        return Tensor(self.builder, op.results[0])

    def batched_dot(self, other: Tensor) -> Tensor:
        """[batch, m, n] of this [batch, m, k] and another [batch, k, n]."""
        fields = (
            "lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], "
            "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]"
        )
        type_ = ir.RankedTensorType.get([*self.shape[:2], other.shape[2]], other.type.element_type)
        attributes = {"dot_dimension_numbers": ir.Attribute.parse(f"#stablehlo.dot<{fields}>")}
        op = self.builder.op("dot_general", [type_], [self.value, other.value], attributes)
        return Tensor(self.builder, op.results[0])

    def transposed(self, order: Sequence[int]) -> Tensor:
        """Dimension i of the result is dimension `order[i]` of this."""
        if list(order) == list(range(len(self.shape))):
            return self
        type_ = ir.RankedTensorType.get([self.shape[axis] for axis in order], self.type.element_type)
        attributes = {"permutation": ir.DenseI64ArrayAttr.get(list(order))}
        return Tensor(
            self.builder, self.builder.op("transpose", [type_], [self.value], attributes).results[0]
        )

    def padded(self, axis: int, low: int, high: int, number: float) -> Tensor:
        """With some more elements before and after those along an axis."""
        if not low and not high:
            return self
        shape, none = list(self.shape), [0] * len(self.shape)
        shape[axis] += low + high
        amounts = {
            "edge_padding_low": [*none[:axis], low, *none[axis + 1 :]],
            "edge_padding_high": [*none[:axis], high, *none[axis + 1 :]],
            "interior_padding": none,
        }
        fill = self.builder.full(number, [], self.type.element_type)
        op = self.builder.op(
            "pad",
            [ir.RankedTensorType.get(shape, self.type.element_type)],
            [self.value, fill.value],
            {name: ir.DenseI64ArrayAttr.get(amount) for name, amount in amounts.items()},
        )
        return Tensor(self.builder, op.results[0])

    def part(self, index: int) -> Tensor:
        """`self[index]`, along the first dimension."""
        shape = self.shape
        start, limit = [index, *(0 for _ in shape[1:])], [index + 1, *shape[1:]]
        return self.sliced(start, limit).reshaped(shape[1:])

    def columns(self, count: int) -> Tensor:
        """The first `count` columns of a matrix."""
        return self.sliced([0, 0], [self.shape[0], count])

    def along_axis(self, axis: int, start: int, limit: int, step: int = 1) -> Tensor:
        """Every so many elements along an axis."""
        if (start, limit, step) == (0, self.shape[axis], 1):
            return self
        first, last, steps = [0] * len(self.shape), list(self.shape), [1] * len(self.shape)
        first[axis], last[axis], steps[axis] = start, limit, step
        return self.sliced(first, last, steps)

    def sliced(self, start: list[int], limit: list[int], steps: Sequence[int] = ()) -> Tensor:
        """The elements from `start` to before `limit`, every so many of them."""
        steps = list(steps) or [1] * len(start)
        attributes = {
            "start_indices": ir.DenseI64ArrayAttr.get(start),
            "limit_indices": ir.DenseI64ArrayAttr.get(limit),
            "strides": ir.DenseI64ArrayAttr.get(steps),
        }
        shape = [math.ceil((b - a) / step) for a, b, step in zip(start, limit, steps, strict=True)]
        type_ = ir.RankedTensorType.get(shape, self.type.element_type)
        return Tensor(self.builder, self.builder.op("slice", [type_], [self.value], attributes).results[0])

    def shifted_right(self, bits: int) -> Tensor:
        """Integers divided by 2^bits, rounded down."""
        return self._elementwise("shift_right_arithmetic", self.value, self._same(bits))

    def reshaped(self, shape: Sequence[int]) -> Tensor:
        """The same elements in another shape."""
        if self.shape == tuple(shape):
            return self
        type_ = ir.RankedTensorType.get(list(shape), self.type.element_type)
        return Tensor(self.builder, self.builder.op("reshape", [type_], [self.value]).results[0])


def _tensor_type(shape: Sequence[int], element: ir.Type, encoding: Encoding | None) -> ir.RankedTensorType:
    plain = ir.RankedTensorType.get(list(shape), element)
    return ir.RankedTensorType(encode_type(plain, encoding))


def combination(coefficients: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    """The sum of coefficient times tensor, as one product with a constant vector: one truncation for all."""
    first, rows = tensors[0], stacked(tensors)
    return first.builder.vector(coefficients, first).dot(rows).reshaped(first.shape)


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape as the rows of a matrix."""
    builder, size = tensors[0].builder, math.prod(tensors[0].shape)
    rows = [tensor.reshaped((1, size)).value for tensor in tensors]
    type_ = ir.RankedTensorType.get([len(rows), size], tensors[0].type.element_type)
    dimension = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0)
    return builder.tensor(builder.op("concatenate", [type_], rows, {"dimension": dimension}).results[0])
