"""Writing StableHLO as formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.encoding import Fxp
from ditto_compiler.ir import defining_op, element_type, ir


class Builder:
    """Emits ops before a given one, at its location, so that they belong to its scope.

    Attributes:
        ops: everything emitted, in order.
    """

    def __init__(self, before: ir.Operation) -> None:
        self._ip = ir.InsertionPoint(before)
        self._location = before.location
        self._pin: Fxp | None = None
        self.ops: list[ir.Operation] = []

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
        type_: ir.Type,
        operands: Sequence[ir.Value],
        attributes: dict[str, ir.Attribute] | None = None,
        regions: int = 0,
    ) -> ir.Operation:
        """Emits one op with one result."""
        attributes = dict(attributes or {})
        if self._pin is not None and name != "constant":
            attributes[names.RING] = names.int_attribute(self._pin.ring)
            attributes[names.FRAC] = names.int_attribute(self._pin.frac)
        operation = ir.Operation.create(
            f"stablehlo.{name}",
            results=[type_],
            operands=list(operands),
            attributes=attributes,
            regions=regions,
            loc=self._location,
            ip=self._ip,
        )
        self.ops.append(operation)
        return operation

    def splat(self, number: float, type_: ir.Type) -> ir.Value:
        """A constant with the same number in every element."""
        tensor = ir.RankedTensorType(type_)
        element = tensor.element_type
        is_float = str(element) in ("f16", "bf16", "f32", "f64")
        attribute = (
            ir.FloatAttr.get(element, number) if is_float else ir.IntegerAttr.get(element, int(number))
        )
        value = ir.DenseElementsAttr.get_splat(tensor, attribute)
        return self.op("constant", tensor, [], {"value": value}).results[0]

    def vector(self, numbers: Sequence[float], like: Tensor) -> Tensor:
        """A constant vector of `like`'s element type."""
        tensor = ir.RankedTensorType.get([len(numbers)], like.type.element_type)
        literals = ", ".join(f"{number:.12e}" for number in numbers)
        value = ir.Attribute.parse(f"dense<[{literals}]> : {tensor}")
        return Tensor(self, self.op("constant", tensor, [], {"value": value}).results[0])

    def reduction(self, kind: str, x: Tensor, axes: Sequence[int], initial: float) -> Tensor:
        """Reduces by a binary op over `axes`; they are gone from the result."""
        shape = [extent for axis, extent in enumerate(x.shape) if axis not in axes]
        scalar = ir.RankedTensorType.get([], x.type.element_type)
        start = self.splat(initial, scalar)
        dimensions = {"dimensions": ir.DenseI64ArrayAttr.get(list(axes))}
        result = ir.RankedTensorType.get(shape, x.type.element_type)
        reduce = self.op("reduce", result, [x.value, start], dimensions, regions=1)
        block = reduce.regions[0].blocks.append(scalar, scalar, arg_locs=[self._location] * 2)
        inside = ir.InsertionPoint(block)
        inner = ir.Operation.create(
            f"stablehlo.{kind}", [scalar], list(block.arguments), loc=self._location, ip=inside
        )
        ir.Operation.create("stablehlo.return", [], [inner.results[0]], loc=self._location, ip=inside)
        return Tensor(self, reduce.results[0])


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
        return Tensor(self.builder, self.builder.op(name, self.type, operands).results[0])

    def __add__(self, other: Tensor | float) -> Tensor:
        return self._elementwise("add", self.value, self._same(other))

    def __sub__(self, other: Tensor | float) -> Tensor:
        return self._elementwise("subtract", self.value, self._same(other))

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

    def compare(self, direction: str, other: Tensor | float) -> Tensor:
        """The booleans of an elementwise comparison: EQ, NE, LT, LE, GT, GE."""
        kind = "FLOAT" if element_type(self.value) in ("f16", "bf16", "f32", "f64") else "SIGNED"
        attributes = {
            "comparison_direction": ir.Attribute.parse(f"#stablehlo<comparison_direction {direction}>"),
            "compare_type": ir.Attribute.parse(f"#stablehlo<comparison_type {kind}>"),
        }
        booleans = ir.RankedTensorType.get(self.shape, ir.IntegerType.get_signless(1))
        op = self.builder.op("compare", booleans, [self.value, self._same(other)], attributes)
        return Tensor(self.builder, op.results[0])

    def where(self, predicate: Tensor, otherwise: Tensor | float = 0.0) -> Tensor:
        """This where `predicate` holds, and `otherwise` elsewhere."""
        return self._elementwise("select", predicate.value, self.value, self._same(otherwise))

    def unless(self, predicate: Tensor, otherwise: Tensor | float = 0.0) -> Tensor:
        """This where `predicate` does not hold, and `otherwise` elsewhere."""
        return self._elementwise("select", predicate.value, self._same(otherwise), self.value)

    def within(self, bound: float) -> Tensor:
        """This, with what the formula knows of it: |x| <= bound. Scales are then chosen by it."""
        op = defining_op(self.value)
        assert op is not None
        op.attributes[names.MAX_ABS] = ir.FloatAttr.get_f64(bound)
        return self

    def exponential(self) -> Tensor:
        """The engine's own exp."""
        return self._elementwise("exponential", self.value)

    def log(self) -> Tensor:
        """The engine's own natural logarithm."""
        return self._elementwise("log", self.value)

    def rsqrt(self) -> Tensor:
        """The engine's own 1/sqrt."""
        return self._elementwise("rsqrt", self.value)

    def reciprocal(self) -> Tensor:
        """The engine's own 1/x."""
        one = Tensor(self.builder, self.builder.splat(1.0, self.type))
        return one / self

    def converted(self, element: ir.Type) -> Tensor:
        """In another element type."""
        type_ = ir.RankedTensorType.get(self.shape, element)
        return Tensor(self.builder, self.builder.op("convert", type_, [self.value]).results[0])

    def sum(self, axes: Sequence[int]) -> Tensor:
        """The sum over `axes`, which are gone from the result."""
        return self.builder.reduction("add", self, axes, 0.0)

    def max(self, axes: Sequence[int]) -> Tensor:
        """The maximum over `axes`, which are gone from the result."""
        return self.builder.reduction("maximum", self, axes, float("-inf"))

    def spread(self, shape: Sequence[int], dims: Sequence[int]) -> Tensor:
        """Repeated to `shape`; dimension i of this runs along dimension dims[i]."""
        type_ = ir.RankedTensorType.get(list(shape), self.type.element_type)
        attributes = {"broadcast_dimensions": ir.DenseI64ArrayAttr.get(list(dims))}
        return Tensor(
            self.builder, self.builder.op("broadcast_in_dim", type_, [self.value], attributes).results[0]
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
        op = self.builder.op("dot_general", type_, operands, {"dot_dimension_numbers": numbers})
        return Tensor(self.builder, op.results[0])

    def part(self, index: int) -> Tensor:
        """`self[index]`, along the first dimension."""
        shape = self.shape
        attributes = {
            "start_indices": ir.DenseI64ArrayAttr.get([index, *(0 for _ in shape[1:])]),
            "limit_indices": ir.DenseI64ArrayAttr.get([index + 1, *shape[1:]]),
            "strides": ir.DenseI64ArrayAttr.get([1 for _ in shape]),
        }
        type_ = ir.RankedTensorType.get([1, *shape[1:]], self.type.element_type)
        row = Tensor(self.builder, self.builder.op("slice", type_, [self.value], attributes).results[0])
        return row.reshaped(shape[1:])

    def reshaped(self, shape: Sequence[int]) -> Tensor:
        """The same elements in another shape."""
        type_ = ir.RankedTensorType.get(list(shape), self.type.element_type)
        return Tensor(self.builder, self.builder.op("reshape", type_, [self.value]).results[0])


def combination(coefficients: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    """The sum of coefficient times tensor, as one product with a constant vector: one truncation for all."""
    first = tensors[0]
    builder = first.builder
    rows = [tensor.reshaped((1, math.prod(first.shape))) for tensor in tensors]
    type_ = ir.RankedTensorType.get([len(rows), math.prod(first.shape)], first.type.element_type)
    dimension = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0)
    operands = [row.value for row in rows]
    stacked = Tensor(builder, builder.op("concatenate", type_, operands, {"dimension": dimension}).results[0])
    return builder.vector(coefficients, first).dot(stacked).reshaped(first.shape)
