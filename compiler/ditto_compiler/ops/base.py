"""What an op is to the compiler: its entry in the registry, facet by facet."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ditto_compiler.dtypes import INT_TYPES, integer_limits
from ditto_compiler.encoding import RINGS
from ditto_compiler.extensions import Table
from ditto_compiler.intervals import NOTHING, UNKNOWN, Range, join
from ditto_compiler.ir import element_type, ir, is_tensor
from ditto_compiler.spu.domains import Domain

WIDE: tuple[int, ...] = (64, 128)
"""Rings of ops that the engine cannot run in ring 32."""


class Kind(enum.Enum):
    """How an op's ring follows from its surroundings when no policy rule speaks of it."""

    SOURCE = "makes a public value in whatever ring is asked for"
    LAYOUT = "moves elements without arithmetic, so it stays in its operand's ring"
    PREDICATE = "gives booleans, in the ring of what it reads"
    ARITHMETIC = "the ring of its result's dtype"
    CONTROL = "holds regions that stay whole in one ring"
    TERMINATOR = "gives values back to the op that holds it"


class Scale(enum.Enum):
    """How the fraction bits of an op's result follow from those of its operands."""

    PRODUCT = "the sum of the operands': an exact integer product"
    ANY = "those that all operands have: the op adds, compares or moves integers"
    FIXED = "the engine runtime's own: the op is a fixed-point function"


class Share(enum.Enum):
    """In which kind of share the engine may leave an op's result."""

    ARITHMETIC = "slots that add up to the value"
    BITWISE = "slots whose exclusive or is the value"
    MOVED = "as the operands that it moves, of which one may be bitwise"
    REDUCED = "bitwise if the reducer works bit by bit"
    PRODUCT = "bitwise if all operands are: a product of single bits is a conjunction"


class Ranges(Protocol):
    """What range rules may ask."""

    def of(self, value: ir.Value) -> Range:
        """What the elements of a value can be."""

    def reads(self, value: ir.Value) -> Range:
        """What the elements are to an op that reads all of their bits."""

    def run(self, block: ir.Block, arguments: Sequence[Range]) -> list[Range]:
        """What a block returns, given its arguments; it may read values of the blocks around it."""

    def call(self, name: str, arguments: Sequence[Range]) -> Sequence[Range] | None:
        """What the function `name` of the module returns; None for one that recurs or has no body."""

    def fitted(self, range_: Range, value: ir.Value) -> Range:
        """What a value can be that is computed to be in a range, and may wrap around."""


Values = list[ir.Value]
IsSecret = Callable[[ir.Value], bool]
RangeRule = Callable[[Ranges, ir.Operation], Sequence[Range]]
"""What the elements of each result can be, given those of the operands.

It must hold for every choice of elements that the operands' ranges allow. It speaks of the front end's
numbers: rounding, of floats and of fixed point, is not part of it.
"""

ScaleRule = Callable[[ir.Operation], Scale]


def elementwise(function: Callable[..., Range]) -> RangeRule:
    """The range rule of an op that computes each element of its one result from one of each operand."""

    def rule(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
        operands = [ranges.of(v) for v in op.operands]
        found = NOTHING if NOTHING in operands else function(*operands)
        return [ranges.fitted(found, op.results[0])]

    return rule


def fits(range_: Range, value: ir.Value) -> bool:
    """Whether integers in a range are all of the value's element type; what holds no integers always fits."""
    dtype = element_type(value) if is_tensor(value.type) else ""
    if dtype not in INT_TYPES:
        return True
    low, high = integer_limits(dtype)
    return range_.is_numeric and (not range_.has_numbers or (low <= range_.low and range_.high <= high))


def fitted(range_: Range, value: ir.Value) -> Range:
    """What integers of the value's element type can be when these are reduced to its width; floats stay."""
    return range_ if fits(range_, value) else Range(*integer_limits(element_type(value)))


def anything(value: ir.Value) -> Range:
    """What a value of this element type can be."""
    return fitted(UNKNOWN, value)


def unknown_range(_: Ranges, op: ir.Operation) -> Sequence[Range]:
    """Nothing is known of the results."""
    return [anything(result) for result in op.results]


def same_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    """Each result has elements of the operand in its place."""
    return [ranges.of(op.operands[index]) for index in range(len(op.results))]


def joined_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    """The result has elements of all operands of its element type."""
    dtype = element_type(op.results[0])
    return [join(*(ranges.of(v) for v in op.operands if element_type(v) == dtype))]


def always(_: ir.Operation) -> bool:
    """Of every instance."""
    return True


def never(_: ir.Operation) -> bool:
    """Of no instance."""
    return False


@dataclass(frozen=True)
class Op:
    """What the compiler knows of one op.

    The simulator's rules for it are in `ditto.simulator.ops`, the costs of the engine's ops that it becomes
    in `ditto_compiler.cost.ops`; both have the same families of files.

    Attributes:
        name: with its dialect.
        home: the module that defines it.
        kind: how its ring is found.
        scale: what it does to fraction bits once rescaling is explicit.
        range: how large its result gets.
        emit: writes it in the engine's dialect; None for what another op's emitter writes.
        share: what the engine may leave of its result.
        rings: in which the engine runs it.
        rings_of: overrides `rings` where they depend on the operands.
        unsupported: says why this instance cannot run, or None; given the op and whether a value is secret.
        reads_bits: whether it takes boolean shares as they are.
        modular: whether the low bits of the integers it reads are enough for those of its results: it adds,
            multiplies, moves, or works bit by bit. Operands that say where to, or by how much, do not count.
        domain: for a function that is approximated: for which arguments it is right, and how right, given
            ring and fraction bits.
    """

    name: str
    home: str
    kind: Kind
    scale: ScaleRule
    range: RangeRule
    emit: Callable[..., Values] | None
    share: Share = Share.ARITHMETIC
    rings: tuple[int, ...] = RINGS
    rings_of: Callable[[ir.Operation], tuple[int, ...]] | None = None
    unsupported: Callable[[ir.Operation, IsSecret], str | None] | None = None
    reads_bits: bool = False
    modular: Callable[[ir.Operation], bool] = never
    domain: Callable[[int, int], Domain] | None = None

    def named(self, name: str, **changes: object) -> Op:
        """The same under another name, with some facets changed."""
        return replace(self, name=name, **changes)  # type: ignore[arg-type]


OPS: Table[Op] = Table("op", {})
"""Every op that can be compiled, by name. `register` adds Ditto's own to it, and plugins add theirs."""


def register(*ops: Op) -> None:
    """Makes ops of Ditto's own known to the compiler; a later entry of the same name wins."""
    OPS.own.update((op.name, op) for op in ops)


def supported_rings(op: ir.Operation) -> tuple[int, ...]:
    """The rings in which the engine can run this op."""
    entry = OPS[op.name]
    return entry.rings if entry.rings_of is None else entry.rings_of(op)


def is_layout(op: ir.Operation) -> bool:
    """Whether `op` only moves elements."""
    entry = OPS.get(op.name)
    return entry is not None and entry.kind is Kind.LAYOUT


def is_source(op: ir.Operation) -> bool:
    """Whether `op` makes a public value of nothing."""
    entry = OPS.get(op.name)
    return entry is not None and entry.kind is Kind.SOURCE


def product_scale(_: ir.Operation) -> Scale:
    """See `Scale.PRODUCT`."""
    return Scale.PRODUCT


def any_scale(_: ir.Operation) -> Scale:
    """See `Scale.ANY`."""
    return Scale.ANY


def fixed_scale(_: ir.Operation) -> Scale:
    """See `Scale.FIXED`."""
    return Scale.FIXED
