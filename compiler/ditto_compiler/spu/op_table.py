"""Which StableHLO and CHLO ops the engine can run privately, and in which rings.

One row per op. `ditto-check-supported` reads it to reject programs early, `ditto-annotate` and the
verifier to keep ops in rings that can run them, and `spu.emit` has one emitter per row (a test
checks that). The ring columns were measured on SPU 0.9.5 under ABY3.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from ditto_compiler.dialect.encoding import RINGS
from ditto_compiler.ir import defining_op, element_type, ir
from ditto_compiler.op_attributes import dimension_field

WIDE: tuple[int, ...] = (64, 128)
"""Rings of ops that the engine cannot run in ring 32."""

FLOAT_TYPES: tuple[str, ...] = ("f16", "bf16", "f32", "f64")
INT_TYPES: tuple[str, ...] = ("i1", "i8", "i16", "i32", "i64", "ui8", "ui16", "ui32", "ui64")


class Kind(enum.Enum):
    """How an op's ring follows from its surroundings when no policy rule speaks of it."""

    SOURCE = "makes a public value in whatever ring is asked for"
    LAYOUT = "moves elements without arithmetic, so it stays in its operand's ring"
    PREDICATE = "gives booleans, in the ring of what it reads"
    ARITHMETIC = "the ring of its result's dtype"
    CONTROL = "holds regions that stay whole in one ring"
    TERMINATOR = "gives values back to the op that holds it"


@dataclass(frozen=True)
class OpRow:
    """What the engine can do with one op.

    Attributes:
        name: the op's full name.
        kind: how its ring is found.
        rings: rings in which the engine runs it.
        rings_of: overrides `rings` where they depend on the operands.
        unsupported: says why this instance cannot run, or None; given the op and whether a
            value is secret.
    """

    name: str
    kind: Kind
    rings: tuple[int, ...] = RINGS
    rings_of: Callable[[ir.Operation], tuple[int, ...]] | None = None
    unsupported: Callable[[ir.Operation, Callable[[ir.Value], bool]], str | None] | None = None


def supported_rings(op: ir.Operation) -> tuple[int, ...]:
    """The rings in which the engine can run this op."""
    row = OP_TABLE[op.name]
    return row.rings if row.rings_of is None else row.rings_of(op)


def constant_through_layout(value: ir.Value) -> ir.Operation | None:
    """The constant that `value` is, seen through broadcasts and reshapes, or None."""
    op = defining_op(value)
    while op is not None and op.name in ("stablehlo.broadcast_in_dim", "stablehlo.reshape"):
        op = defining_op(op.operands[0])
    return op if op is not None and op.name == "stablehlo.constant" else None


def contracting_dimensions(op: ir.Operation) -> list[int]:
    """The left operand's contracting dimensions of a `dot_general`."""
    text = str(op.attributes["dot_dimension_numbers"])
    _, _, rest = text.partition("lhs_contracting_dimensions = [")
    return [int(word) for word in rest.partition("]")[0].split(",") if word.strip()]


def reducer(op: ir.Operation) -> str | None:
    """`add`, `maximum`, ... when the body of a reduction is one binary op on its two arguments."""
    block = op.regions[0].blocks[0]
    inner = list(block.operations)
    if len(block.arguments) != 2 or len(inner) != 2 or len(inner[0].operands) != 2:
        return None
    same = {inner[0].operands[0], inner[0].operands[1]} == set(block.arguments)
    returned = inner[1].operands[0] == inner[0].operation.results[0]
    return str(inner[0].operation.name).removeprefix("stablehlo.") if same and returned else None


IDENTITIES: dict[str, tuple[float, ...]] = {
    "add": (0.0,),
    "multiply": (1.0,),
    "and": (1.0, -1.0),
    "or": (0.0,),
    "maximum": (float("-inf"),),
    "minimum": (float("inf"),),
}


def _division_rings(op: ir.Operation) -> tuple[int, ...]:
    # x / c is x * (1/c) for a public constant c, which needs no division.
    is_float = element_type(op.results[0]) in FLOAT_TYPES
    return RINGS if is_float and constant_through_layout(op.operands[1]) is not None else WIDE


def _no_secret_condition(op: ir.Operation, is_secret: Callable[[ir.Value], bool]) -> str | None:
    block = op.regions[0].blocks[0]
    condition = block.operations[len(block.operations) - 1].operands[0]
    if is_secret(condition):
        return (
            "the loop condition depends on a secret, so running it would reveal the secret; "
            "loop a fixed number of times and select the result instead"
        )
    return None


def _no_secret_indices(first: int) -> Callable[[ir.Operation, Callable[[ir.Value], bool]], str | None]:
    def check(op: ir.Operation, is_secret: Callable[[ir.Value], bool]) -> str | None:
        if any(is_secret(operand) for operand in list(op.operands)[first:]):
            return (
                "the index is secret; multiply by a one-hot matrix instead "
                "(jax.nn.one_hot(ids, n) @ table), or make the index public"
            )
        return None

    return check


def _plain_gather(op: ir.Operation, is_secret: Callable[[ir.Value], bool]) -> str | None:
    if dimension_field(op.attributes["dimension_numbers"], "operand_batching_dims"):
        return (
            "each batch is looked up by its own indices, which the engine cannot do; "
            "look up in one table, or multiply by one-hot vectors (jax.nn.one_hot)"
        )
    return _no_secret_indices(1)(op, is_secret)


def _plain_convolution(op: ir.Operation, _: Callable[[ir.Value], bool]) -> str | None:
    spatial = len(ir.RankedTensorType(op.results[0].type).shape) - 2
    if spatial not in (1, 2):
        return f"convolutions with 1 or 2 spatial dimensions run, this one has {spatial}"
    for name in ("feature_group_count", "batch_group_count"):
        if name in op.attributes and ir.IntegerAttr(op.attributes[name]).value != 1:
            return f"{name} must be 1; split the convolution by groups"
    return None


def _plain_reduction(op: ir.Operation, _: Callable[[ir.Value], bool]) -> str | None:
    # The engine drops the initial value of a reduction that leaves dimension 0 alone.
    name = reducer(op)
    if name is None:
        return None
    initial = constant_through_layout(op.operands[1])
    if initial is None:
        return "the initial value must be a constant"
    attribute = ir.DenseElementsAttr(initial.attributes["value"])
    value = float(attribute.get_splat_value().value) if attribute.is_splat else float("nan")
    dtype = element_type(op.operands[0])
    if name in ("maximum", "minimum") and dtype not in FLOAT_TYPES:
        return None
    if name in IDENTITIES and value not in IDENTITIES[name]:
        return (
            f"a reduction by {name} must start from {IDENTITIES[name][0]:g}, found {value:g}; "
            "combine the other value with the result instead"
        )
    return None


def sort_key(op: ir.Operation) -> tuple[int, str] | None:
    """(operand number, `LT` or `GT`) when the comparator orders by one operand, else None.

    JAX's comparators of floats canonicalize zeros and NaNs by selects before they compare; fixed
    point has neither, so looking through the selects keeps the order.
    """
    block = op.regions[0].blocks[0]
    returned = defining_op(block.operations[len(block.operations) - 1].operands[0])
    if returned is None or returned.name != "stablehlo.compare":
        return None
    direction = str(returned.attributes["comparison_direction"]).split()[-1].rstrip(">")
    keys = [_sort_argument(operand, block) for operand in returned.operands]
    if None in keys or direction not in ("LT", "GT"):
        return None
    left, right = int(keys[0] or 0), int(keys[1] or 0)
    if left == right - 1 and left % 2 == 0:
        return left // 2, direction
    if right == left - 1 and right % 2 == 0:
        return right // 2, {"LT": "GT", "GT": "LT"}[direction]
    return None


def _sort_argument(value: ir.Value, block: ir.Block) -> int | None:
    while (op := defining_op(value)) is not None:
        if op.name != "stablehlo.select":
            return None
        value = op.operands[2]
    arguments = list(block.arguments)
    return arguments.index(value) if value in arguments else None


def _plain_sort(op: ir.Operation, _: Callable[[ir.Value], bool]) -> str | None:
    key = sort_key(op)
    if key is None:
        return "the comparator must order by one operand, ascending or descending"
    if key[0] != 0:
        return "the sort key must be the first operand"
    return None


def _known_target(op: ir.Operation, _: Callable[[ir.Value], bool]) -> str | None:
    target = ir.StringAttr(op.attributes["call_target_name"]).value
    if target not in ("mhlo.erf", "Sharding"):
        return f"there is no private implementation of the custom call @{target}"
    return None


def _rows(kind: Kind, names: str, rings: tuple[int, ...] = RINGS) -> list[OpRow]:
    return [OpRow(name if "." in name else f"stablehlo.{name}", kind, rings) for name in names.split()]


_TABLE: list[OpRow] = [
    *_rows(Kind.SOURCE, "constant iota"),
    *_rows(
        Kind.LAYOUT,
        "broadcast_in_dim concatenate optimization_barrier pad reduce_precision reshape reverse slice "
        "transpose",
    ),
    OpRow("stablehlo.dynamic_slice", Kind.LAYOUT, unsupported=_no_secret_indices(1)),
    OpRow("stablehlo.dynamic_update_slice", Kind.LAYOUT, unsupported=_no_secret_indices(2)),
    OpRow("stablehlo.gather", Kind.LAYOUT, unsupported=_plain_gather),
    *_rows(Kind.PREDICATE, "compare is_finite"),
    *_rows(
        Kind.ARITHMETIC,
        "abs add and ceil clamp convert cosine dot dot_general exponential exponential_minus_one floor "
        "maximum minimum multiply negate not or popcnt round_nearest_afz round_nearest_even select "
        "shift_left shift_right_arithmetic shift_right_logical sign sine subtract tanh xor chlo.square",
    ),
    *_rows(
        Kind.ARITHMETIC,
        "atan2 log log_plus_one logistic power remainder rsqrt sqrt chlo.erf chlo.erfc",
        WIDE,
    ),
    OpRow("stablehlo.divide", Kind.ARITHMETIC, WIDE, rings_of=_division_rings),
    OpRow("stablehlo.convolution", Kind.ARITHMETIC, unsupported=_plain_convolution),
    OpRow("stablehlo.reduce", Kind.ARITHMETIC, unsupported=_plain_reduction),
    OpRow("stablehlo.reduce_window", Kind.ARITHMETIC, unsupported=_plain_reduction),
    OpRow("stablehlo.sort", Kind.ARITHMETIC, unsupported=_plain_sort),
    OpRow("stablehlo.custom_call", Kind.ARITHMETIC, WIDE, unsupported=_known_target),
    OpRow("stablehlo.while", Kind.CONTROL, unsupported=_no_secret_condition),
    *_rows(Kind.CONTROL, "case if"),
    *_rows(Kind.TERMINATOR, "return func.return"),
]

OP_TABLE: dict[str, OpRow] = {row.name: row for row in _TABLE}

_RANDOM = "draw random numbers outside the program and pass them in"

REMEDIES: dict[str, str] = {
    "stablehlo.bitcast_convert": f"a shared float has no bits to look at; {_RANDOM}",
    "stablehlo.cbrt": "write jnp.sign(x) * jnp.abs(x) ** (1 / 3)",
    "stablehlo.rng": _RANDOM,
    "stablehlo.rng_bit_generator": _RANDOM,
    "stablehlo.scatter": "select by a mask (jnp.where), or write at a public index "
    "(jax.lax.dynamic_update_slice)",
    "stablehlo.tan": "write jnp.sin(x) / jnp.cos(x)",
}
"""What to do instead of some ops that are not in the table."""
