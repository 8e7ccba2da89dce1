"""Declarative patterns over SSA values.

A pattern says what a value is computed from, not how the front end wrote it down. What every pattern
looks through:

- broadcasts and reshapes that only add or drop dimensions of extent 1. A value is seen as a tensor of
  the root's shape (a `View`), so a row statistic and its use are compared dimension by dimension, and
  a statistic of one axis that is spread along another does not match;
- ops that change nothing: a conversion to the same type, `x + 0`, a selection by a constant;
- conversions between float types, which JAX writes around each sum in half precision;
- the order and grouping of products and sums, negation, and scaling by constants (`Product`, `Sum`).

Matching backtracks: `match` gives every way in which a pattern fits, lazily. The variables of a pattern are
bound as it goes, and the same variable twice means the same value.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import defining_op, element_type, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.structure import IDENTITIES, constant, is_float, reducer

TOLERANCE: dict[str, float] = {"f64": 2e-4, "f32": 2e-4, "f16": 2e-3, "bf16": 1e-2}
"""How much a constant may differ, relatively: front ends round them to four digits, and to the dtype."""


@dataclass(frozen=True)
class View:
    """A value, seen as a tensor of the root's shape.

    Two views are equal when they are of the same value, spread in the same way.

    Attributes:
        value: what remains when broadcasts and reshapes are taken away.
        dims: for each dimension of `shape`, the dimension of `value` that it runs along; None where the
            value does not vary, or where the extent is 1.
        shape: the root's shape.
        source: the value before anything was taken away, for use as an operand.
    """

    value: ir.Value
    dims: tuple[int | None, ...]
    shape: tuple[int, ...]
    source: ir.Value = field(compare=False)

    @staticmethod
    def of(value: ir.Value) -> View:
        """The view of a root."""
        shape = tuple(ir.RankedTensorType(value.type).shape)
        dims = tuple(None if extent == 1 else index for index, extent in enumerate(shape))
        return View(value, dims, shape, value).peeled()

    @property
    def op(self) -> ir.Operation | None:
        """The op that computes the value; None for an argument."""
        return defining_op(self.value)

    def varies_along(self, axes: tuple[int, ...]) -> bool:
        """Whether the value depends on the position along any of these axes of `shape`."""
        return any(self.dims[axis] is not None for axis in axes)

    def operand(self, index: int) -> View:
        """An operand of the elementwise op that computes the value."""
        assert self.op is not None
        operand = self.op.operands[index]
        scalar = not shape_of(operand) and bool(shape_of(self.value))
        dims = (None,) * len(self.shape) if scalar else self.dims
        return View(operand, dims, self.shape, operand).peeled()

    def peeled(self) -> View:
        """The view of what broadcasts, reshapes and ops that change nothing were applied to."""
        view = self
        while (inner := view._inner()) is not None:
            view = inner
        return view

    def _inner(self) -> View | None:
        op = self.op
        if op is None or len(op.results) != 1:
            return None
        if op.name == "stablehlo.broadcast_in_dim":
            old, new = shape_of(op.operands[0]), shape_of(self.value)
            positions = list(ir.DenseI64ArrayAttr(op.attributes["broadcast_dimensions"]))
            source = {to: at for at, to in enumerate(positions) if old[at] == new[to]}
            return self._through(op.operands[0], source)
        if op.name == "stablehlo.reshape":
            old, new = shape_of(op.operands[0]), shape_of(self.value)
            olds = [at for at, extent in enumerate(old) if extent != 1]
            news = [at for at, extent in enumerate(new) if extent != 1]
            if [old[at] for at in olds] != [new[at] for at in news]:
                return None
            return self._through(op.operands[0], dict(zip(news, olds, strict=True)))
        if op.name in names.CASTS or is_float_conversion(op):
            return replace(self, value=op.operands[0])
        same = unchanged_operand(op)
        return None if same is None else replace(self, value=op.operands[same])

    def _through(self, inner: ir.Value, source: dict[int, int]) -> View:
        dims = tuple(None if dim is None else source.get(dim) for dim in self.dims)
        return replace(self, value=inner, dims=dims)


def is_float_conversion(op: ir.Operation) -> bool:
    """Whether `op` converts one float type to another: the same numbers, but for how they are rounded."""
    return op.name == "stablehlo.convert" and is_float(op.operands[0]) and is_float(op.results[0])


def unchanged_operand(op: ir.Operation) -> int | None:
    """The number of the operand that `op` returns unchanged, or None."""
    if op.name == "stablehlo.convert" and op.operands[0].type == op.results[0].type:
        return 0
    if op.name in ("stablehlo.add", "stablehlo.subtract"):
        # Pattern: x + 0, x - 0 -> x
        if constant(op.operands[1]) == 0.0:
            return 0
        if op.name == "stablehlo.add" and constant(op.operands[0]) == 0.0:
            return 1
    if op.name == "stablehlo.select":
        chosen = constant(op.operands[0])
        return None if chosen is None else (1 if chosen else 2)
    return None


def close(found: float, wanted: float, dtype: str) -> bool:
    """Whether a constant of a program is the number that a formula asks for."""
    if not math.isfinite(wanted) or wanted == 0.0:
        return found == wanted
    return math.isclose(found, wanted, rel_tol=TOLERANCE.get(dtype, 0.0))


@dataclass(frozen=True)
class Match:
    """What the variables of a pattern stand for.

    Attributes:
        views: the values of `Var`s.
        numbers: the constants of `Number`s, and of coefficients with a name.
        axes: the reduced axes of the root's shape; None before the first reduction. All are over the same.
    """

    views: dict[str, View] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    axes: tuple[int, ...] | None = None

    def count(self, shape: tuple[int, ...]) -> int:
        """How many elements a reduction puts together."""
        return math.prod(shape[axis] for axis in self.axes or ())


Coefficient = float | str | Callable[[Match, View], float]
"""A number, the name that binds it, or a function of what is bound so far and the view it belongs to."""


class Pattern(ABC):
    """Something that a value can be."""

    @abstractmethod
    def match(self, view: View, found: Match) -> Iterator[Match]:
        """Every way in which `view` fits, each with what is bound then."""


@dataclass(frozen=True)
class Var(Pattern):
    """Any value; the same variable twice is the same value, spread in the same way."""

    name: str

    def match(self, view: View, found: Match) -> Iterator[Match]:
        """Binds the variable, or compares with what it is bound to."""
        bound = found.views.get(self.name)
        if bound is None:
            yield replace(found, views={**found.views, self.name: view})
        elif bound == view:
            yield found


@dataclass(frozen=True)
class Number(Pattern):
    """A constant, the same in every element: a given one, or any, bound to a name."""

    wanted: Coefficient

    def match(self, view: View, found: Match) -> Iterator[Match]:
        """Compares or binds."""
        number = constant(view.value)
        if number is not None:
            yield from _bind(self.wanted, number, view, found)


@dataclass(frozen=True)
class Op(Pattern):
    """An elementwise op on operands that fit the patterns, in order or, when it commutes, in any order."""

    name: str
    operands: tuple[Pattern, ...]
    where: Callable[[ir.Operation], bool] | None = None
    """What else must hold of the op, of its attributes say."""

    def match(self, view: View, found: Match) -> Iterator[Match]:
        """Matches name and attributes, then operands."""
        op = view.op
        if op is None or op.name != self.name or len(op.operands) != len(self.operands):
            return
        if self.where is not None and not self.where(op):
            return
        yield from self._operands(view, self.operands, found)
        if op.name in _COMMUTATIVE:
            yield from self._operands(view, self.operands[::-1], found)

    def _operands(self, view: View, patterns: tuple[Pattern, ...], found: Match) -> Iterator[Match]:
        if not patterns:
            yield found
            return
        index = len(self.operands) - len(patterns)
        for bound in patterns[0].match(view.operand(index), found):
            yield from self._operands(view, patterns[1:], bound)


_COMMUTATIVE = frozenset(
    f"stablehlo.{name}" for name in ["add", "multiply", "maximum", "minimum", "and", "or"]
)


@dataclass(frozen=True)
class Either(Pattern):
    """One of several, in order of preference."""

    options: tuple[Pattern, ...]

    def match(self, view: View, found: Match) -> Iterator[Match]:
        """Matches each option."""
        for option in self.options:
            yield from option.match(view, found)


@dataclass(frozen=True)
class Reduced(Pattern):
    """A reduction by one binary op from its neutral element.

    All reductions of a pattern are over the same axes, and the dimensions that are left must run along
    the root's own, in order: only then is the result a statistic of each row that is reduced.
    """

    kind: str
    """`add`, `maximum`, ..."""
    of: Pattern

    def match(self, view: View, found: Match) -> Iterator[Match]:
        """Matches the reducer, then the axes, then what is reduced."""
        op = view.op
        if op is None or op.name != "stablehlo.reduce" or len(op.results) != 1 or reducer(op) != self.kind:
            return
        if (
            constant(op.operands[1]) not in IDENTITIES[self.kind]
            or tuple(shape_of(op.operands[0])) != view.shape
        ):
            return
        axes = tuple(sorted(ir.DenseI64ArrayAttr(op.attributes["dimensions"])))
        kept = [axis for axis in range(len(view.shape)) if axis not in axes]
        dims = [None if axis in axes or n == 1 else kept.index(axis) for axis, n in enumerate(view.shape)]
        if view.dims != tuple(dims) or found.axes not in (None, axes):
            return
        reduced = View.of(op.operands[0])
        yield from self.of.match(reduced, replace(found, axes=axes))


@dataclass(frozen=True)
class Product(Pattern):
    """A constant times factors, however the product is written.

    In any order and grouping, with negations and divisions by constants in it.
    """

    coefficient: Coefficient
    factors: tuple[Pattern, ...]

    def match(self, view: View, found: Match) -> Iterator[Match]:
        """Matches factors first, then the coefficient that remains."""
        for number, bound in self.scaled(view, found):
            yield from _bind(self.coefficient, number, view, bound)

    def scaled(self, view: View, found: Match) -> Iterator[tuple[float, Match]]:
        """Matches the factors alone; gives the coefficient found."""
        yield from _factors((view,), 1.0, self.factors, found)


def _factors(
    pending: tuple[View, ...], number: float, wanted: tuple[Pattern, ...], found: Match
) -> Iterator[tuple[float, Match]]:
    """Takes the first of the `pending` factors that is no constant as one of the `wanted`, or apart."""
    unknown: list[View] = []
    for factor in pending:
        known = constant(factor.value)
        if known is None:
            unknown.append(factor)
        else:
            number *= known
    if not unknown and not wanted:
        yield number, found
    # Each factor needs a pattern of its own.
    if not unknown or len(unknown) > len(wanted):
        return
    view, *rest = unknown
    for index, pattern in enumerate(wanted):
        for bound in pattern.match(view, found):
            yield from _factors(tuple(rest), number, (*wanted[:index], *wanted[index + 1 :]), bound)
    op = view.op
    if op is None:
        return
    if op.name == "stablehlo.multiply":
        yield from _factors((view.operand(0), view.operand(1), *rest), number, wanted, found)
    elif op.name == "chlo.square":
        yield from _factors((view.operand(0), view.operand(0), *rest), number, wanted, found)
    elif op.name == "stablehlo.power":
        exponent = constant(view.operand(1).value)
        if exponent in (2.0, 3.0):
            yield from _factors((*(view.operand(0),) * int(exponent), *rest), number, wanted, found)
    elif op.name == "stablehlo.negate":
        yield from _factors((view.operand(0), *rest), -number, wanted, found)
    elif op.name == "stablehlo.divide":
        divisor = constant(view.operand(1).value)
        if divisor:
            yield from _factors((view.operand(0), *rest), number / divisor, wanted, found)


@dataclass(frozen=True)
class Sum(Pattern):
    """A constant plus terms, each with its coefficient, however the sum is written."""

    constant: Coefficient
    terms: tuple[Product, ...]

    def match(self, view: View, found: Match) -> Iterator[Match]:
        """Matches terms first, then the constant that remains."""
        for number, bound in _terms(((1.0, view),), 0.0, self.terms, found):
            yield from _bind(self.constant, number, view, bound)


def _terms(
    pending: tuple[tuple[float, View], ...], number: float, wanted: tuple[Product, ...], found: Match
) -> Iterator[tuple[float, Match]]:
    unknown: list[tuple[float, View]] = []
    for factor, summand in pending:
        known = constant(summand.value)
        if known is None:
            unknown.append((factor, summand))
        else:
            number += factor * known
    if not unknown and not wanted:
        yield number, found
    if not unknown or len(unknown) > len(wanted):
        return
    (scale, view), *rest = unknown
    for index, term in enumerate(wanted):
        for coefficient, matched in term.scaled(view, found):
            for bound in _bind(term.coefficient, scale * coefficient, view, matched):
                yield from _terms(tuple(rest), number, (*wanted[:index], *wanted[index + 1 :]), bound)
    op = view.op
    if op is None:
        return
    if op.name in ("stablehlo.add", "stablehlo.subtract"):
        sign = 1.0 if op.name == "stablehlo.add" else -1.0
        operands = ((scale, view.operand(0)), (sign * scale, view.operand(1)))
        yield from _terms((*operands, *rest), number, wanted, found)
    elif op.name == "stablehlo.negate":
        yield from _terms(((-scale, view.operand(0)), *rest), number, wanted, found)
    elif op.name == "stablehlo.multiply":
        for factor, other in ((0, 1), (1, 0)):
            known = constant(view.operand(factor).value)
            if known is not None:
                yield from _terms(((scale * known, view.operand(other)), *rest), number, wanted, found)
    elif op.name == "stablehlo.divide":
        divisor = constant(view.operand(1).value)
        if divisor:
            yield from _terms(((scale / divisor, view.operand(0)), *rest), number, wanted, found)


def _bind(wanted: Coefficient, number: float, view: View, found: Match) -> Iterator[Match]:
    if isinstance(wanted, str):
        yield replace(found, numbers={**found.numbers, wanted: number})
        return
    target = wanted(found, view) if callable(wanted) else wanted
    if close(number, target, element_type(view.value)):
        yield found


def product(coefficient: Coefficient, *factors: Pattern) -> Product:
    """`coefficient * factor * ...`."""
    return Product(coefficient, factors)


def total(constant: Coefficient, *terms: Pattern) -> Sum:
    """`constant + term + ...`; a term that is no product has coefficient 1."""
    products = [term if isinstance(term, Product) else Product(1.0, (term,)) for term in terms]
    return Sum(constant, tuple(products))


def either(*options: Pattern) -> Either:
    """One of several patterns."""
    return Either(options)


def op(name: str, *operands: Pattern, where: Callable[[ir.Operation], bool] | None = None) -> Op:
    """An op; the dialect is StableHLO unless the name says another."""
    return Op(name if "." in name else f"stablehlo.{name}", operands, where)


def mean(of: Pattern) -> Pattern:
    """The mean over the pattern's axes."""
    return Product(lambda found, view: 1.0 / found.count(view.shape), (Reduced("add", of),))


def square(of: Pattern) -> Pattern:
    """`of` times itself."""
    return Product(1.0, (of, of))


class RowStatistic(NamedTuple):
    """A reducer, the axes over which it reduces, and how much more than what it gives will do."""

    reducer: str
    axes: tuple[int, ...]
    slack: float


def row_statistic(like: ir.Value, x: ir.Value, y: ir.Value) -> RowStatistic | None:
    """How y is a statistic of x whose every element covers the element of x in its place; None if it is not.

    `x - max(x)` along an axis is not positive only if the maximum is spread along that axis: for a square x,
    it may as well be spread along the other.

    Args:
        like: of the shape in which x and y meet.
        x: what is reduced.
        y: what may be the statistic, as spread.
    """
    view = View.of(like)
    spread = replace(view, value=y, source=y).peeled()
    op = spread.op
    # Pattern: max(-inf, reduced)
    while op is not None and op.name in ("stablehlo.maximum", "stablehlo.minimum"):
        sides = [spread.operand(index) for index in (0, 1)]
        identity = IDENTITIES[op.name.removeprefix("stablehlo.")]
        spread = next((sides[1 - i] for i in (0, 1) if constant(sides[i].value) in identity), None) or spread
        if spread.op == op:
            break
        op = spread.op
    if op is None or op.name != "stablehlo.reduce" or len(op.results) != 1:
        return None
    if uncast(op.operands[0]) != uncast(x):
        return None
    axes = list(ir.DenseI64ArrayAttr(op.attributes["dimensions"]))
    kept = [axis for axis in range(len(view.shape)) if axis not in axes]
    expected = [
        None if axis in axes or extent == 1 else kept.index(axis) for axis, extent in enumerate(view.shape)
    ]
    name = reducer(op) or ""
    covers = tuple(shape_of(x)) == view.shape and spread.dims == tuple(expected)
    from_identity = name in IDENTITIES and constant(op.operands[1]) in IDENTITIES[name]
    slack = names.get_float(op, names.SLACK) or 0.0
    return RowStatistic(name, tuple(sorted(axes)), slack) if covers and from_identity else None


def uncast(value: ir.Value) -> ir.Value:
    """What a number was cast from: the same number, in another ring or with another scale."""
    op = defining_op(value)
    return uncast(op.operands[0]) if op is not None and op.name in names.CASTS else value


def matched_ops(root: ir.Value, found: Match) -> set[ir.Operation]:
    """The ops between the root and the variables, root included: what a replacement makes idle."""
    stop = {view.value for view in found.views.values()} | {view.source for view in found.views.values()}
    inside: set[ir.Operation] = set()
    pending = [root]
    while pending:
        value = pending.pop()
        owner = defining_op(value)
        if owner is None or owner in inside or (value in stop and value != root):
            continue
        inside.add(owner)
        pending += owner.operands
    return inside
