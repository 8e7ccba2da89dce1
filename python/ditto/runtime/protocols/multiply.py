"""Products of shared tensors: each in one round, with the truncation that fixed point wants for free.

Party i computes z_i = x_i (y_i + y_{i+1}) + x_{i+1} y_i mod 2^k, and z_0 + z_1 + z_2 = xy. It drops the low t
bits of its z_i, adds a share of zero mod 2^(k-t), and sends that to party i - 1. The result is in ring k - t,
within 3/2 units of xy / 2^t. Proofs and bias: docs/explanation/protocols.md, "Products with free truncation".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ditto import _native
from ditto.runtime.protocols.rounds import Message, Party, Seat, Step
from ditto.runtime.protocols.shared import Shared, Words, as_words, word_of
from ditto_compiler.errors import InternalError
from ditto_compiler.protocols.costs import packed_bytes

Pairs: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Dimensions of the left operand, and those of the right one that go with them."""

Layout: TypeAlias = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""What each dimension of a convolution's input, kernel and output is: b, f, i, o, or a spatial 0, 1, ..."""


def multiply(party: Party, x: Shared, y: Shared, drop: int) -> Step[Shared]:
    """xy / 2^drop, element by element, in the ring of x and y less `drop` bits.

    Errors are below 3/2 units of the result, and 0 without a drop. Costs: `multiply_cost`.

    Raises:
        InternalError: shapes or rings differ, or the ring has no more than `drop` bits.
    """
    _check(x, y, drop)
    if x.shape != y.shape:
        raise InternalError(f"product by element of shapes {x.shape} and {y.shape}")

    def local(seat: Seat, after: Message, before: Message, own: Words, message: Message) -> None:
        operands = (_flat(x.own), _flat(x.next), _flat(y.own), _flat(y.next))
        _native.multiply(*operands, x.ring, drop, _centres(seat), after, before, own, message)

    return _reshared(party, x.ring - drop, x.shape, local)


def square(party: Party, x: Shared, drop: int) -> Step[Shared]:
    """x^2 / 2^drop, as `multiply`."""
    return multiply(party, x, x, drop)


def dot_general(
    party: Party, x: Shared, y: Shared, drop: int, *, batch: Pairs, contract: Pairs, threads: int = 1
) -> Step[Shared]:
    """Matrix products, all in one message; dimensions of the result are batch, left free, right free.

    The sums are of whole products, and what is dropped is dropped of them once. As `multiply` otherwise.

    Args:
        party: whose side this is.
        x: the left operand.
        y: the right one.
        drop: low bits of the sums to drop.
        batch: dimensions to go through together.
        contract: dimensions to sum over.
        threads: most that the local product may use.

    Raises:
        InternalError: dimensions or rings do not fit.
    """
    return _linear(party, x, y, drop, _dot_matrices(x.shape, y.shape, batch, contract), threads)


def convolution(
    party: Party, x: Shared, y: Shared, drop: int, *, window: Window, threads: int = 1
) -> Step[Shared]:
    """A convolution of an input x and a kernel y.

    As `dot_general` otherwise.

    Raises:
        InternalError: dimensions or rings do not fit.
    """
    return _linear(party, x, y, drop, _convolution_matrices(x.shape, y.shape, window), threads)


def multiply_public(x: Shared, y: Words) -> Shared:
    """xy by element, y public words of the same shape; exact, in the ring of x, without a message."""
    factor = as_words(y, x.ring)
    return x.each(lambda slot: np.multiply(slot, factor, out=np.empty(x.shape, word_of(x.ring))))


def dot_public(
    x: Shared | Words, y: Shared | Words, *, batch: Pairs, contract: Pairs, threads: int = 1
) -> Shared:
    """As `dot_general`, with one operand of public words; exact, in the ring of the other, without a message.

    Raises:
        InternalError: not one of the operands is shared, or dimensions do not fit.
    """
    return _public(x, y, _dot_matrices(x.shape, y.shape, batch, contract), threads)


def convolution_public(x: Shared | Words, y: Shared | Words, *, window: Window, threads: int = 1) -> Shared:
    """As `convolution`, with one operand of public words; exact, without a message.

    Raises:
        InternalError: not one of the operands is shared, or dimensions do not fit.
    """
    return _public(x, y, _convolution_matrices(x.shape, y.shape, window), threads)


@dataclass(frozen=True)
class _Matrices:
    """A bilinear op as a batch of matrix products.

    Attributes:
        left: the left operand as matrices: batch, rows, depth.
        right: the right one: batch, depth, columns.
        shape: of the products: batch, rows, columns.
        result: the products as the op's result.
    """

    left: Callable[[Words], Words]
    right: Callable[[Words], Words]
    shape: tuple[int, int, int]
    result: Callable[[Words], Words]


def _linear(party: Party, x: Shared, y: Shared, drop: int, op: _Matrices, threads: int) -> Step[Shared]:
    _check(x, y, drop)

    def local(seat: Seat, after: Message, before: Message, own: Words, message: Message) -> None:
        z = np.empty(op.shape, word_of(x.ring))
        slots = (op.left(x.own), op.left(x.next), op.right(y.own), op.right(y.next))
        _native.matmul_shares(*slots, z, x.ring, threads=threads)
        _native.reshare(z, x.ring, drop, _centres(seat), after, before, own, message)

    products = yield from _reshared(party, x.ring - drop, op.shape, local)
    return products.each(op.result)


def _public(x: Shared | Words, y: Shared | Words, op: _Matrices, threads: int) -> Shared:
    if isinstance(x, Shared) == isinstance(y, Shared):
        raise InternalError("a product by a public operand has one shared operand")
    batch, rows, columns = op.shape
    if isinstance(x, Shared):
        # Both slots in one product: the public operand is read once.
        assert not isinstance(y, Shared)
        left = np.concatenate([op.left(x.own), op.left(x.next)], axis=1)
        z = np.empty((batch, 2 * rows, columns), word_of(x.ring))
        _native.matmul(left, op.right(as_words(y, x.ring)), z, x.ring, threads=threads)
        return Shared(x.ring, op.result(z[:, :rows]), op.result(z[:, rows:]))
    assert isinstance(y, Shared)
    slots = []
    for slot in (y.own, y.next):
        z = np.empty(op.shape, word_of(y.ring))
        _native.matmul(op.left(as_words(x, y.ring)), op.right(slot), z, y.ring, threads=threads)
        slots.append(op.result(z))
    return Shared(y.ring, slots[0], slots[1])


def _reshared(
    party: Party,
    ring: int,
    shape: tuple[int, ...],
    local: Callable[[Seat, Message, Message, Words, Message], None],
) -> Step[Shared]:
    """The one round of a product: `local` writes this party's part into words, and packed into a message.

    All parties do alike, so one seat serves for tensors of any size.
    """
    seat, size = party.seat(), math.prod(shape)
    own, following = np.empty(shape, word_of(ring)), np.empty(shape, word_of(ring))
    if size and party.ahead:
        return (yield from _dealt(seat, ring, shape, local))
    if size:
        count = packed_bytes(size, ring)
        # Each stream's masks are added by one party and subtracted by the other: all together they cancel.
        after, before = seat.draw(seat.role + 1, count), seat.draw(seat.role - 1, count)
        message = np.empty(count, np.uint8)
        local(seat, after, before, own, message)
        received = yield seat.round({seat.role - 1: message}, {seat.role + 1: count})
        _native.unpack(seat.of(received, seat.role + 1), ring, following)
    return Shared(ring, own, following)


def _dealt(
    seat: Seat,
    ring: int,
    shape: tuple[int, ...],
    local: Callable[[Seat, Message, Message, Words, Message], None],
) -> Step[Shared]:
    """A product in two rounds: P0 has the first, and receives nothing.

    As with a bit times a number, P0's part is shared between P1 and P2, who add theirs to their shares of it.
    """
    size = math.prod(shape)
    count = packed_bytes(size, ring)
    part, other = np.empty(shape, word_of(ring)), np.empty(shape, word_of(ring))
    message = np.empty(count, np.uint8)
    if seat.role == 0:
        hidden, first, second = seat.draw(2, count), seat.draw(2, count), seat.draw(1, count)
        local(seat, np.zeros(count, np.uint8), hidden, part, message)
        yield seat.round({1: message})
        _native.unpack(first, ring, part)
        _native.unpack(second, ring, other)
        yield seat.round()
        return Shared(ring, part, other)
    if seat.role == 1:
        mask, peer = seat.draw(0, count), 2
        dealt = seat.of((yield seat.round(expect={0: count})), 0)
    else:
        dealt, mask, peer = seat.draw(0, count), seat.draw(0, count), 1
        yield seat.round()
    local(seat, dealt, mask, part, message)
    received = yield seat.round({peer: message}, {peer: count})
    _native.unpack(seat.of(received, peer), ring, other)
    part += other
    _native.unpack(mask, ring, other)
    return Shared(ring, other, part) if seat.role == 1 else Shared(ring, part, other)


def _centres(seat: Seat) -> bool:
    """Whether this party's part is the one that makes up for three floors."""
    return seat.role == 0


def _check(x: Shared, y: Shared, drop: int) -> None:
    if x.ring != y.ring:
        raise InternalError(f"product of operands in rings {x.ring} and {y.ring}")
    if not 0 <= drop < x.ring:
        raise InternalError(f"product in ring {x.ring}: cannot drop {drop} bits")


def _flat(words: Words) -> Words:
    """In one dimension: a view where strides allow it."""
    return words.reshape(-1)


def _aligned(words: Words) -> Words:
    """At addresses of whole words, as those of matrices have to be."""
    return words if words.flags.aligned else words.copy()


def _dot_matrices(x: tuple[int, ...], y: tuple[int, ...], batch: Pairs, contract: Pairs) -> _Matrices:
    free = [
        [d for d in range(len(shape)) if d not in b and d not in c]
        for shape, b, c in zip((x, y), batch, contract, strict=True)
    ]
    sizes = [
        [[shape[d] for d in dims[side]] for side, shape in enumerate((x, y))] for dims in (batch, contract)
    ]
    if any(left != right for left, right in sizes):
        raise InternalError(f"product of shapes {x} and {y} over batch {batch}, contracting {contract}")
    batches, depth = (math.prod(left) for left, _ in sizes)
    rows, columns = (math.prod(shape[d] for d in dims) for shape, dims in zip((x, y), free, strict=True))
    shape = [*sizes[0][0], *(x[d] for d in free[0]), *(y[d] for d in free[1])]
    return _Matrices(
        lambda words: (
            _aligned(words).transpose(*batch[0], *free[0], *contract[0]).reshape(batches, rows, depth)
        ),
        lambda words: (
            _aligned(words).transpose(*batch[1], *contract[1], *free[1]).reshape(batches, depth, columns)
        ),
        (batches, rows, columns),
        lambda words: words.reshape(shape),
    )


@dataclass(frozen=True)
class Window:
    """What a convolution is: StableHLO's attributes, with one entry for each spatial dimension.

    Attributes:
        strides: of the window.
        padding: zeros before and behind the dilated input; negative ones cut it.
        lhs_dilation: distance of the input's elements.
        rhs_dilation: distance of the kernel's.
        layout: as `ditto_compiler.op_attributes.convolution_layout` gives it.
        feature_group_count: groups that features of input and output are in.
        batch_group_count: groups that the input's batch and features of the output are in.
        reverse: whether the kernel is mirrored; empty if it is nowhere.
    """

    strides: Sequence[int]
    padding: Sequence[tuple[int, int]]
    lhs_dilation: Sequence[int]
    rhs_dilation: Sequence[int]
    layout: Layout
    feature_group_count: int = 1
    batch_group_count: int = 1
    reverse: Sequence[bool] = ()

    def padded(self, sizes: Sequence[int]) -> list[int]:
        """Sizes of a dilated and padded input."""
        return [
            low + high + (0 if size == 0 else (size - 1) * dilation + 1)
            for size, dilation, (low, high) in zip(sizes, self.lhs_dilation, self.padding, strict=True)
        ]

    def places(self, sizes: Sequence[int], kernel: Sequence[int]) -> list[int]:
        """How many places the window takes in each dimension."""
        reach = [0 if k == 0 else (k - 1) * d + 1 for k, d in zip(kernel, self.rhs_dilation, strict=True)]
        return [
            0 if r == 0 or size < r else (size - r) // stride + 1
            for size, r, stride in zip(self.padded(sizes), reach, self.strides, strict=True)
        ]

    def pad(self, words: Words) -> Words:
        """Dilated and padded; spatial dimensions come last."""
        lead = words.ndim - len(self.strides)
        sizes = words.shape[lead:]
        out = np.zeros((*words.shape[:lead], *(max(0, size) for size in self.padded(sizes))), words.dtype)
        here, there = [slice(None)] * lead, [slice(None)] * lead
        for size, dilation, (low, _), room in zip(
            sizes, self.lhs_dilation, self.padding, out.shape[lead:], strict=True
        ):
            # Elements that negative padding does not cut off.
            first = -(-max(0, -low) // dilation)
            last = max(first, min(size, -(-(room - low) // dilation)))
            here.append(slice(first, last))
            start = low + first * dilation
            there.append(slice(start, start + (last - first) * dilation, dilation))
        out[tuple(there)] = words[tuple(here)]
        return out

    def windows(self, words: Words, places: Sequence[int], kernel: Sequence[int]) -> Words:
        """Views of a padded input: its leading dimensions, then places, then the window at each."""
        lead = words.ndim - len(self.strides)
        spatial = words.strides[lead:]
        steps = [s * stride for s, stride in zip(spatial, self.strides, strict=True)]
        within = [s * d for s, d in zip(spatial, self.rhs_dilation, strict=True)]
        return np.lib.stride_tricks.as_strided(
            words,
            (*words.shape[:lead], *places, *kernel),
            (*words.strides[:lead], *steps, *within),
            writeable=False,
        )


def _convolution_matrices(x: tuple[int, ...], y: tuple[int, ...], window: Window) -> _Matrices:
    """Groups as the batch, places of the window in all images as rows, and output features as columns."""
    layout = window.layout
    feature_groups, batch_groups = window.feature_group_count, window.batch_group_count
    names = [str(n) for n in range(len(window.strides))]
    to_input = [list(layout[0]).index(n) for n in ("b", "f", *names)]
    to_kernel = [list(layout[1]).index(n) for n in ("i", *names, "o")]
    images, features, *sizes = (x[d] for d in to_input)
    depth, *kernel, outputs = (y[d] for d in to_kernel)
    groups = feature_groups * batch_groups
    if (
        min(feature_groups, batch_groups) != 1
        or features != depth * feature_groups
        or outputs % groups
        or images % batch_groups
    ):
        raise InternalError(
            f"convolution of shapes {x} and {y}, layout {layout}, in {feature_groups} groups of features and "
            f"{batch_groups} of the batch"
        )
    places = window.places(sizes, kernel)
    spatial = len(names)
    each, width = images // batch_groups, outputs // groups
    rows, deep = each * math.prod(places), depth * math.prod(kernel)

    def left(words: Words) -> Words:
        padded = window.pad(words.transpose(to_input))
        # Groups are of the batch or of the features: one of the two counts is 1.
        parted = padded.reshape(batch_groups, each, feature_groups, depth, *padded.shape[2:])
        seen = window.windows(parted, places, kernel)
        lead = [0, 2, 1, *range(4, 4 + spatial), 3, *range(4 + spatial, 4 + 2 * spatial)]
        return seen.transpose(lead).reshape(groups, rows, deep)

    def right(words: Words) -> Words:
        ordered = _aligned(words).transpose(to_kernel)
        if window.reverse:
            ordered = ordered[(slice(None), *(slice(None, None, -1 if r else 1) for r in window.reverse))]
        grouped = ordered.reshape(*ordered.shape[:-1], groups, width)
        return np.moveaxis(grouped, -2, 0).reshape(groups, deep, width)

    def result(words: Words) -> Words:
        # Groups, images, places, features of a group: the groups join the features.
        apart = words.reshape(groups, each, *places, width)
        joined = np.moveaxis(apart, 0, -2).reshape(each, *places, outputs)
        now = ["b", *names, "f"]
        return joined.transpose([now.index(name) for name in layout[2]])

    return _Matrices(left, right, (groups, rows, width), result)
