"""Instructions of the executor on shares: plain data, and what makes one sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ditto_compiler.encoding import Cast, Encoding, EncodingError, Fxp
from ditto_compiler.errors import DittoError
from ditto_compiler.oneshot.terms import Terms

Shape = tuple[int, ...]
Attribute = int | str | tuple[int, ...]

WIDEST = 64
"""Bits of the widest ring of the executor on shares."""


class InstructionError(DittoError):
    """An instruction that does not fit its operands and results."""


@dataclass(frozen=True)
class Instruction:
    """One op on tensors beside the engine, with the name and meaning of the op in StableHLO or ditto.

    Attributes:
        op: without its dialect: `add`, `dot_general`, `less`, ...
        operands: numbers of values.
        results: likewise.
        attributes: integers, lists of integers and text.
    """

    op: str
    operands: tuple[int, ...]
    results: tuple[int, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def integers(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of integers; empty when absent."""
        found = self.attributes.get(name, ())
        return found if isinstance(found, tuple) else ()

    def integer(self, name: str, default: int) -> int:
        """An attribute that is an integer."""
        found = self.attributes.get(name, default)
        return found if isinstance(found, int) else default


@dataclass(frozen=True)
class Tensor:
    """What there is to know of a value.

    Attributes:
        shape: extents.
        is_bit: whether it holds booleans.
        encoding: ring and scale; of booleans, none that matters.
        secret: whether it is held as shares.
    """

    shape: Shape
    is_bit: bool
    encoding: Encoding
    secret: bool

    @property
    def ring(self) -> int:
        """Ring width in bits."""
        return self.encoding.ring

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)


def check(instruction: Instruction, operands: Sequence[Tensor], results: Sequence[Tensor]) -> None:
    """Checks that an instruction can run: shapes, rings, scales and attributes belong together.

    Raises:
        InstructionError: says what does not.
    """
    rule = _RULES.get(instruction.op)
    if rule is None:
        raise InstructionError(f"there is no instruction '{instruction.op}'")
    for value in (*operands, *results):
        if value.ring > WIDEST:
            raise InstructionError(f"'{instruction.op}' in ring {value.ring}: the widest is {WIDEST}")
    try:
        rule(_Checked(instruction, operands, results))
    except (IndexError, ValueError, TypeError, KeyError, ZeroDivisionError):
        raise InstructionError(
            f"'{instruction.op}' with {len(operands)} operands, {len(results)} results and attributes "
            f"{sorted(instruction.attributes)} is not one that can run"
        ) from None
    secret = any(value.secret for value in operands)
    if any(result.secret != secret for result in results):
        raise InstructionError(f"'{instruction.op}': its results are secret if and only if an operand is")


@dataclass(frozen=True)
class _Checked:
    """An instruction under check."""

    instruction: Instruction
    operands: Sequence[Tensor]
    results: Sequence[Tensor]

    def need(self, condition: bool, what: str) -> None:
        if not condition:
            raise InstructionError(f"'{self.instruction.op}': expected {what}")

    def one(self, operands: int) -> tuple[list[Tensor], Tensor]:
        """The operands and the one result."""
        self.need(len(self.operands) == operands and len(self.results) == 1, f"{operands} operands, 1 result")
        return list(self.operands), self.results[0]

    def shape(self, found: Sequence[int]) -> None:
        wanted = tuple(found)
        self.need(self.results[0].shape == wanted, f"a result of shape {wanted}, got {self.results[0].shape}")

    def alike(self, *values: Tensor) -> None:
        """That numbers have one encoding, and that there are not both numbers and booleans."""
        first = values[0]
        for value in values[1:]:
            self.need(value.is_bit == first.is_bit, "only numbers or only booleans")
            self.need(first.is_bit or value.encoding == first.encoding, "one ring and scale")

    def dims(self, name: str, rank: int) -> tuple[int, ...]:
        """An attribute with different dimensions of a tensor."""
        found = self.instruction.integers(name)
        self.need(len(set(found)) == len(found) and all(0 <= d < rank for d in found), f"dimensions '{name}'")
        return found

    def lists(self, *names: str, length: int) -> list[tuple[int, ...]]:
        found = [self.instruction.integers(name) for name in names]
        self.need(all(len(one) == length for one in found), f"{length} integers in {', '.join(names)}")
        return found


def _elementwise(count: int) -> Callable[[_Checked], None]:
    def rule(c: _Checked) -> None:
        operands, result = c.one(count)
        c.alike(*operands, result)
        c.need(all(x.shape == result.shape for x in operands), "operands and result of one shape")

    return rule


def _numeric(count: int) -> Callable[[_Checked], None]:
    def rule(c: _Checked) -> None:
        _elementwise(count)(c)
        c.need(not c.results[0].is_bit, "numbers")

    return rule


def _boolean(count: int) -> Callable[[_Checked], None]:
    def rule(c: _Checked) -> None:
        _elementwise(count)(c)
        c.need(c.results[0].is_bit, "booleans")

    return rule


def _constant(c: _Checked) -> None:
    _, result = c.one(0)
    numbers = c.instruction.integers("numbers")
    c.need(len(numbers) == 1 or len(numbers) == result.size, f"1 number or {result.size}")
    bits = 1 if result.is_bit else result.ring
    c.need(all(-(1 << 63) <= n < 1 << bits for n in numbers), f"numbers of {bits} bits")


def _iota(c: _Checked) -> None:
    _, result = c.one(0)
    c.need(0 <= c.instruction.integer("dimension", -1) < len(result.shape), "a dimension")
    c.need(not result.is_bit, "numbers")


def _reshape(c: _Checked) -> None:
    (x,), result = c.one(1)
    c.alike(x, result)
    c.need(x.size == result.size, "as many elements")


def _transpose(c: _Checked) -> None:
    (x,), result = c.one(1)
    c.alike(x, result)
    order = c.dims("permutation", len(x.shape))
    c.need(len(order) == len(x.shape), "a permutation")
    c.shape([x.shape[d] for d in order])


def _broadcast(c: _Checked) -> None:
    (x,), result = c.one(1)
    c.alike(x, result)
    dims = c.dims("dimensions", len(result.shape))
    c.need(len(dims) == len(x.shape), "a dimension for each of the operand's")
    fits = all(extent in (1, result.shape[d]) for extent, d in zip(x.shape, dims, strict=True))
    c.need(fits, "extents that are 1 or the result's")


def _slice(c: _Checked) -> None:
    (x,), result = c.one(1)
    c.alike(x, result)
    start, limit, strides = c.lists("start", "limit", "strides", length=len(x.shape))
    ranges = zip(start, limit, strides, x.shape, strict=True)
    c.need(all(0 <= a <= b <= n and s > 0 for a, b, s, n in ranges), "bounds inside the operand")
    c.shape([-(-(b - a) // s) for a, b, s in zip(start, limit, strides, strict=True)])


def _dynamic_slice(c: _Checked) -> None:
    _check_place(c, 1)
    c.shape(c.instruction.integers("sizes"))


def _dynamic_update_slice(c: _Checked) -> None:
    _check_place(c, 2)
    c.alike(c.operands[0], c.operands[1])
    c.need(c.operands[1].shape == c.instruction.integers("sizes"), "an update of the sizes that it says")
    c.shape(c.operands[0].shape)


def _check_place(c: _Checked, moved: int) -> None:
    """That something lies in the first operand, from where those behind the first `moved` say."""
    x, starts = c.operands[0], c.operands[moved:]
    c.need(len(c.results) == 1 and len(starts) == len(x.shape), "an index for each dimension, one result")
    c.alike(x, c.results[0])
    (sizes,) = c.lists("sizes", length=len(x.shape))
    c.need(all(0 <= size <= extent for size, extent in zip(sizes, x.shape, strict=True)), "sizes that fit")
    c.need(c.instruction.integer("unsigned", 0) in (0, 1), "0 or 1 for 'unsigned'")
    for start in starts:
        integral = not start.is_bit and not isinstance(start.encoding, Fxp)
        c.need(integral and start.shape == () and not start.secret, "indices that are public integers")


def _gather(c: _Checked) -> None:
    (x, rows), result = c.one(2)
    c.alike(x, result)
    integral = not rows.is_bit and not isinstance(rows.encoding, Fxp)
    c.need(integral and not rows.secret, "indices that are public integers")
    c.need(c.instruction.integer("unsigned", 0) in (0, 1), "0 or 1 for 'unsigned'")
    c.need(len(x.shape) > 0 and (x.shape[0] > 0 or not rows.size), "rows to choose from")
    width = len(x.shape) - 1
    batch = result.shape[: len(result.shape) - width]
    c.need(math.prod(batch) == rows.size, "an index for each row of the result")
    c.shape((*batch, *x.shape[1:]))


def _concatenate(c: _Checked) -> None:
    c.need(len(c.operands) > 0 and len(c.results) == 1, "operands and one result")
    c.alike(*c.operands, c.results[0])
    axis = c.instruction.integer("dimension", -1)
    first = c.operands[0].shape
    c.need(0 <= axis < len(first), "a dimension")
    for x in c.operands:
        same = len(x.shape) == len(first) and all(
            a == b for d, (a, b) in enumerate(zip(x.shape, first, strict=True)) if d != axis
        )
        c.need(same, "operands of one shape but for one dimension")
    joined = list(first)
    joined[axis] = sum(x.shape[axis] for x in c.operands)
    c.shape(joined)


def _pad(c: _Checked) -> None:
    (x, value), result = c.one(2)
    c.alike(x, value, result)
    c.need(value.shape == (), "a scalar to pad with")
    low, high, interior = c.lists("low", "high", "interior", length=len(x.shape))
    c.need(all(i >= 0 for i in interior), "interior padding that is not negative")
    c.shape([a + b + n + max(n - 1, 0) * i for a, b, i, n in zip(low, high, interior, x.shape, strict=True)])


def _reverse(c: _Checked) -> None:
    (x,), result = c.one(1)
    c.alike(x, result)
    c.dims("dimensions", len(x.shape))
    c.shape(x.shape)


def _reduction(is_bit: bool) -> Callable[[_Checked], None]:
    def rule(c: _Checked) -> None:
        (x,), result = c.one(1)
        c.alike(x, result)
        c.need(x.is_bit == is_bit, "booleans" if is_bit else "numbers")
        gone = c.dims("dimensions", len(x.shape))
        c.shape([n for d, n in enumerate(x.shape) if d not in gone])

    return rule


def _check_product(c: _Checked, left: Tensor, right: Tensor, result: Tensor) -> None:
    """That rings and scales are those of a product that drops bits."""
    c.need(not (left.is_bit or right.is_bit or result.is_bit), "numbers")
    c.need(left.ring == right.ring, "operands in one ring")
    dropped = left.ring - result.ring
    exact = left.encoding.frac + right.encoding.frac
    c.need(
        dropped >= 0 and exact - result.encoding.frac == dropped, "as many fraction bits as ring bits dropped"
    )
    c.need(result.ring > 0, "a ring that is left")


def _multiply(c: _Checked) -> None:
    (x, y), result = c.one(2)
    _check_product(c, x, y, result)
    c.need(x.shape == y.shape == result.shape, "operands and result of one shape")


def _dot(c: _Checked) -> None:
    (x, y), result = c.one(2)
    _check_product(c, x, y, result)
    shape = dot_shape(c.instruction, x.shape, y.shape)
    c.shape(shape)


def dot_shape(instruction: Instruction, left: Shape, right: Shape) -> Shape:
    """The shape of a `dot_general`'s result.

    Raises:
        InstructionError: the dimensions do not fit the operands.
    """
    names = ("left_batch", "right_batch", "left_contracting", "right_contracting")
    lb, rb, lc, rc = (instruction.integers(name) for name in names)
    for shape, batch, contracting in ((left, lb, lc), (right, rb, rc)):
        used = (*batch, *contracting)
        if len(set(used)) != len(used) or not all(0 <= d < len(shape) for d in used):
            raise InstructionError("'dot_general': dimensions that the operands do not have")
    pairs = [*zip(lb, rb, strict=True), *zip(lc, rc, strict=True)]
    if any(left[a] != right[b] for a, b in pairs):
        raise InstructionError("'dot_general': batch or contracting dimensions of different extents")
    free_left = [n for d, n in enumerate(left) if d not in (*lb, *lc)]
    free_right = [n for d, n in enumerate(right) if d not in (*rb, *rc)]
    return (*(left[d] for d in lb), *free_left, *free_right)


CONVOLUTION: tuple[str, ...] = (
    *("strides", "low", "high", "left_dilation", "right_dilation", "reverse"),
    *("input", "kernel", "output"),
)
"""Attributes of a convolution: the first six by spatial dimension; then which dimension of the input is
batch, feature and each spatial one; of the kernel, output feature, input feature and spatial; of the
output, as of the input."""


def _convolution(c: _Checked) -> None:
    (x, y), result = c.one(2)
    _check_product(c, x, y, result)
    rank = len(x.shape)
    c.need(rank >= 2 and len(y.shape) == rank == len(result.shape), "operands and result of one rank")
    strides, low, high, left, right, mirrored = c.lists(*CONVOLUTION[:6], length=rank - 2)
    orders = [c.dims(name, rank) for name in CONVOLUTION[6:]]
    c.need({0, 1}.issuperset(mirrored), "0 or 1 for each dimension of 'reverse'")
    c.need(all(len(order) == rank for order in orders), "a layout for each tensor")
    c.need(all(n > 0 for n in (*strides, *left, *right)), "strides and dilations above 0")
    image, kernel = ([v.shape[d] for d in order] for v, order in ((x, orders[0]), (y, orders[1])))
    groups, batches = c.instruction.integer("groups", 1), c.instruction.integer("batch_groups", 1)
    c.need(groups == 1 or batches == 1, "groups of features or of batches")
    c.need(groups > 0 and batches > 0, "groups above 0")
    c.need(
        image[1] == kernel[1] * groups and kernel[0] % (groups * batches) == 0, "features that fit the kernel"
    )
    c.need(image[0] % batches == 0, "batches that fit the groups")
    out = [image[0] // batches, kernel[0]]
    for d in range(rank - 2):
        extent = max(image[2 + d] - 1, -1) * left[d] + 1 if image[2 + d] else 0
        window = (kernel[2 + d] - 1) * right[d] + 1 if kernel[2 + d] else 0
        room = extent + low[d] + high[d] - window
        out.append(room // strides[d] + 1 if room >= 0 else 0)
    wanted = [0] * rank
    for position, extent in zip(orders[2], out, strict=True):
        wanted[position] = extent
    c.shape(wanted)


def _select(c: _Checked) -> None:
    (p, x, y), result = c.one(3)
    c.alike(x, y, result)
    c.need(p.is_bit and not x.is_bit, "a boolean and numbers")
    c.need(p.shape in ((), x.shape) and x.shape == y.shape == result.shape, "operands of one shape")


def _less(c: _Checked) -> None:
    thresholds = c.instruction.integers("thresholds")
    c.need(len(c.operands) == 1 and len(c.results) == len(thresholds) > 0, "a result for each threshold")
    (x,) = c.operands
    c.need(not x.is_bit and x.secret, "a secret number")
    c.need(all(-(1 << 63) <= t < 1 << 63 for t in thresholds), "thresholds of 64 bits")
    c.need(all(r.is_bit and r.shape == x.shape for r in c.results), "booleans of the operand's shape")


def _convert(c: _Checked) -> None:
    (x,), result = c.one(1)
    c.shape(x.shape)
    c.need(not result.is_bit, "numbers")
    integral = x.is_bit or not isinstance(x.encoding, Fxp)
    fits = x.is_bit or result.ring <= x.ring + result.encoding.frac
    c.need(
        x.encoding == result.encoding if not integral else fits, "the same numbers, or booleans or integers"
    )


def _cast(c: _Checked) -> None:
    (x,), result = c.one(1)
    c.shape(x.shape)
    c.need(x.is_bit == result.is_bit, "numbers or booleans")
    if not x.is_bit:
        try:
            Cast(x.encoding, result.encoding)
        except EncodingError as error:
            raise InstructionError(str(error)) from None


def _oneshot(c: _Checked) -> None:
    (x,), result = c.one(1)
    c.shape(x.shape)
    terms = Terms.from_attributes(dict(c.instruction.attributes))
    c.need(not x.is_bit and not result.is_bit and x.secret, "a secret number")
    c.need((x.ring, x.encoding.frac) == (terms.ring, terms.frac), "the argument's ring and scale")
    c.need(
        (result.ring, result.encoding.frac) == (terms.result_ring, terms.result_frac),
        "the result's ring and scale",
    )


_RULES: dict[str, Callable[[_Checked], None]] = {
    "constant": _constant,
    "iota": _iota,
    "add": _numeric(2),
    "subtract": _numeric(2),
    "negate": _numeric(1),
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "gather": _gather,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "concatenate": _concatenate,
    "pad": _pad,
    "reverse": _reverse,
    "sum": _reduction(is_bit=False),
    "any": _reduction(is_bit=True),
    "all": _reduction(is_bit=True),
    "multiply": _multiply,
    "dot_general": _dot,
    "convolution": _convolution,
    "select": _select,
    "and": _boolean(2),
    "or": _boolean(2),
    "xor": _boolean(2),
    "not": _boolean(1),
    "less": _less,
    "convert": _convert,
    "cast": _cast,
    "oneshot": _oneshot,
}

NAMES: tuple[str, ...] = tuple(_RULES)
"""Of all instructions."""


def to_json(instruction: Instruction) -> list[Any]:
    """An instruction as a list."""
    attributes = {k: list(v) if isinstance(v, tuple) else v for k, v in instruction.attributes.items()}
    return [instruction.op, list(instruction.operands), list(instruction.results), attributes]


def from_json(entry: Sequence[Any]) -> Instruction:
    """The other way round; the entry has been checked."""
    op, operands, results, attributes = entry
    return Instruction(
        op,
        tuple(operands),
        tuple(results),
        {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()},
    )
