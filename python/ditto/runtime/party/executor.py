"""The executor on shares: what runs beside the engine, round by round.

Instructions run as soon as what they need is there, so rounds are as few as the longest chain of protocols
has, and all that is under way at a time shares one message for each peer. What is local runs when a protocol
needs it, and values are let go of after their last use. All parties take the same decisions, for these depend
on the program alone.

P0 can go ahead of the others: it then plays its part of all protocols before the inputs are known, and the
others keep what it sends (docs/explanation/protocols.md, "Dealing ahead").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditto.runtime.protocols import bits, local, multiply, widen
from ditto.runtime.protocols.less import less
from ditto.runtime.protocols.local import Public, Value
from ditto.runtime.protocols.oneshot import oneshot
from ditto.runtime.protocols.prf import PairKeys, agree_keys
from ditto.runtime.protocols.rounds import Message, Party, Round, Step, exchange, merged, split
from ditto.runtime.protocols.shared import Bits, Shared, as_words, reduced, signed, word_of
from ditto.runtime.transport.channel import Channel, ChannelError
from ditto_compiler.encoding import Cast, Fxp
from ditto_compiler.errors import InternalError
from ditto_compiler.executor.instruction import Instruction, Tensor
from ditto_compiler.executor.schedule import is_protocol, schedule, waits
from ditto_compiler.oneshot.terms import Terms

Made = Value | list[Bits]
"""What an instruction makes: one value, or a boolean for each threshold."""


@dataclass(frozen=True)
class Dealt:
    """What there is of one run of instructions once P0 has gone ahead. It serves once.

    Attributes:
        parties: for each instruction, hands out its seats.
        messages: by instruction, what P0 has sent; at P1 only, as P2 gets nothing from P0.
    """

    parties: Sequence[Party]
    messages: dict[int, Message] = field(default_factory=dict)


class Executor:
    """One party's executor on shares. All parties make the same calls in the same order.

    Args:
        rank: of this party.
        channel: to the two others; nothing else may use it.

    Raises:
        ChannelError: the parties cannot agree on keys.
    """

    def __init__(self, rank: int, channel: Channel) -> None:
        self._channel = channel
        self._party = Party(rank, PairKeys(agree_keys(rank, channel)))
        self.rounds = 0
        """Rounds so far."""

    def run(
        self,
        instructions: Sequence[Instruction],
        tensors: Callable[[int], Tensor],
        values: dict[int, Value],
        keep: Callable[[int], bool],
        dealt: Dealt | None = None,
    ) -> None:
        """Runs instructions.

        Args:
            instructions: in program order.
            tensors: what there is to know of a value, by number.
            values: what this party has of each operand that the instructions do not make themselves; results
                are added, and what is no longer needed is taken out.
            keep: whether a value is needed afterwards.
            dealt: what `deal` gave for these instructions, at P1 and P2; P0 is done then.

        Raises:
            ChannelError: a peer is gone, or runs something else.
        """
        _Run(self._party, instructions, tensors, values, keep, dealt).run(self._exchange)

    def deal(
        self,
        instructions: Sequence[Instruction],
        tensors: Callable[[int], Tensor],
        values: dict[int, Value],
        keep: Callable[[int], bool],
    ) -> Dealt:
        """P0 runs instructions, ahead of the others; as `run`, but only P0 has values.

        Raises:
            ChannelError: P0 is gone, or runs something else.
        """
        planned = schedule(instructions, tensors, ahead=True)
        dealt = Dealt(self._party.dealing_ahead(len(instructions)))
        if self._party.rank == 0:
            last = {sharing[-1] for sharing in planned.deals}
            waiting: list[Message] = []
            alone = _Run(self._party, instructions, tensors, values, keep, dealt)
            for index, message in alone.alone():
                waiting.append(message)
                if index in last:
                    self._channel.send(1, np.concatenate(waiting).tobytes())
                    waiting = []
        elif self._party.rank == 1:
            for sharing in planned.deals:
                sizes = [planned.dealt[index] for index in sharing]
                content = np.frombuffer(self._channel.recv(0), np.uint8)
                if content.size != sum(sizes):
                    raise ChannelError(f"party 0 dealt {content.size} bytes where {sum(sizes)} were expected")
                parts = np.split(content, np.cumsum(sizes)[:-1])
                dealt.messages.update(zip(sharing, parts, strict=True))
        return dealt

    def _exchange(self, what: Round) -> dict[int, Any]:
        self.rounds += 1
        return exchange(self._channel, what)


@dataclass
class _UnderWay:
    index: int
    step: Step[Made]
    round: Round
    dealt: dict[int, Message]


class _Run:
    def __init__(
        self,
        party: Party,
        instructions: Sequence[Instruction],
        tensors: Callable[[int], Tensor],
        values: dict[int, Value],
        keep: Callable[[int], bool],
        dealt: Dealt | None,
    ) -> None:
        self._party = party
        self._dealt = dealt
        self._instructions = instructions
        self._tensors = tensors
        self._values = values
        self._keep = keep
        self._uses = Counter(number for one in instructions for number in set(one.operands))
        self._made_by = {number: i for i, one in enumerate(instructions) for number in one.results}
        self._plan()

    def _plan(self) -> None:
        """Finds, for each protocol, which others it waits for, and who waits for it."""
        protocols = [is_protocol(one, self._tensors) for one in self._instructions]
        before = waits(self._instructions, protocols)
        self._protocols = [i for i, sends in enumerate(protocols) if sends]
        self._ready: list[int] = []
        self._missing = {i: len(before[i]) for i in self._protocols}
        self._waiting: dict[int, list[int]] = {}
        for i in self._protocols:
            for maker in sorted(before[i]):
                self._waiting.setdefault(maker, []).append(i)

    def run(self, swap: Callable[[Round], dict[int, Any]]) -> None:
        ready = [i for i in self._protocols if not self._missing[i]]
        under_way: list[_UnderWay] = []
        while ready or under_way:
            for index in ready:
                step = self._start(index)
                self._advance(index, step, None, under_way)
            rounds = [one.round for one in under_way]
            received = split(rounds, swap(merged(rounds)))
            now, under_way = under_way, []
            for one, part in zip(now, received, strict=True):
                self._advance(one.index, one.step, {**part, **one.dealt}, under_way)
            ready = self._released()
        self._compute_kept()

    def alone(self) -> Iterator[tuple[int, Message]]:
        """P0's part of all protocols, in program order; what it sends to P1 for each."""
        for index in self._protocols:
            step = self._start(index)
            sent: list[Message] = []
            try:
                what = next(step)
                while True:
                    if what.expect or what.send.keys() - {1}:
                        raise InternalError(f"'{self._instructions[index].op}' cannot go ahead: {what}")
                    sent += what.send.values()
                    what = step.send({})
            except StopIteration as finished:
                self._finish(index, finished.value)
            yield index, np.concatenate(sent)
        self._compute_kept()

    def _compute_kept(self) -> None:
        for index in range(len(self._instructions)):
            if any(self._keep(number) for number in self._instructions[index].results):
                self._compute(index)

    def _released(self) -> list[int]:
        """The protocols that have what they need since the last call."""
        found, self._ready = sorted(self._ready), []
        return found

    def _start(self, index: int) -> Step[Made]:
        """A protocol, with its operands computed."""
        party = self._party if self._dealt is None else self._dealt.parties[index]
        return protocol(party, self._instructions[index], self._tensors, self._operands(index))

    def _advance(self, index: int, step: Step[Made], received: Any, under_way: list[_UnderWay]) -> None:
        while True:
            try:
                what = next(step) if received is None else step.send(received)
            except StopIteration as finished:
                self._finish(index, finished.value)
                for waiting in self._waiting.get(index, ()):
                    self._missing[waiting] -= 1
                    if not self._missing[waiting]:
                        self._ready.append(waiting)
                return
            received = {}
            if self._dealt is not None and 0 in what.expect:
                received = {0: self._dealt.messages.pop(index)}
                assert received[0].size == what.expect[0]
                what = Round(what.send, {peer: size for peer, size in what.expect.items() if peer})
            if self._dealt is None or what.send or what.expect:
                under_way.append(_UnderWay(index, step, what, received))
                return
            # P1 and P2 have nothing for each other: the round is over.

    def _operands(self, index: int) -> list[Value]:
        """What an instruction takes: computed now if it is local, and gone if this is its last use."""
        one = self._instructions[index]
        for number in one.operands:
            if number not in self._values:
                self._compute(self._made_by[number])
        found = [self._values[number] for number in one.operands]
        for number in set(one.operands):
            self._uses[number] -= 1
            if not self._uses[number] and not self._keep(number):
                del self._values[number]
        return found

    def _compute(self, index: int) -> None:
        """Runs a local instruction, and before it those that it needs, unless it has been run."""
        stack = [index]
        while stack:
            one = self._instructions[stack[-1]]
            if any(number in self._values for number in one.results):
                stack.pop()
                continue
            missing = [n for n in one.operands if n not in self._values]
            if missing:
                stack += [self._made_by[number] for number in missing]
                continue
            index = stack.pop()
            self._finish(index, compute(self._party, one, self._tensors, self._operands(index)))

    def _finish(self, index: int, made: Made) -> None:
        results = self._instructions[index].results
        values = made if isinstance(made, list) else [made]
        for number, value in zip(results, values, strict=True):
            if self._uses[number] or self._keep(number):
                self._values[number] = value


def protocol(
    party: Party, one: Instruction, tensors: Callable[[int], Tensor], operands: list[Value]
) -> Step[Made]:
    """The protocol that an instruction is."""
    result = tensors(one.results[0])
    match one.op, operands:
        case "multiply", [Shared() as x, Shared() as y]:
            if x is y:
                return (yield from multiply.square(party, x, x.ring - result.ring))
            return (yield from multiply.multiply(party, x, y, x.ring - result.ring))
        case "dot_general", [Shared() as x, Shared() as y]:
            batch, contract = _dot_dimensions(one)
            step = multiply.dot_general(party, x, y, x.ring - result.ring, batch=batch, contract=contract)
            return (yield from step)
        case "convolution", [Shared() as x, Shared() as y]:
            step = multiply.convolution(party, x, y, x.ring - result.ring, window=_convolution(one))
            return (yield from step)
        case "and", [Bits() as x, Bits() as y]:
            return (yield from bits.conjunction(party, x, y))
        case "or", [Bits() as x, Bits() as y]:
            return (yield from bits.disjunction(party, x, y))
        case "any", [Bits() as x]:
            return (yield from _along(party, x, one.integers("dimensions")))
        case "all", [Bits() as x]:
            inverse = local.negation(x, party.rank)
            assert isinstance(inverse, Bits)
            found = yield from _along(party, inverse, one.integers("dimensions"))
            return local.negation(found, party.rank)
        case "select", [Bits() as p, x, y]:
            p = p.each(lambda words: np.broadcast_to(words, result.shape))
            return (yield from _select(party, p, x, y, result.ring))
        case "convert", [Bits() as b]:
            ring, frac = result.ring, result.encoding.frac
            number = yield from bits.to_number(party, b, ring - frac)
            return local.shifted_left(number, ring, frac)
        case "less", [Shared() as x]:
            return (yield from less(party, x, one.integers("thresholds")))
        case "oneshot", [Shared() as x]:
            return (yield from oneshot(party, x, Terms.from_attributes(dict(one.attributes))))
        case "cast", [Shared() as x]:
            cast = _cast_of(one, tensors)
            return (yield from widen.widen(party, x, cast.target.ring, cast.shift_right, cast.shift_left))
    raise InternalError(f"no protocol for '{one.op}' on {[type(x).__name__ for x in operands]}")


def _along(party: Party, x: Bits, dimensions: Sequence[int]) -> Step[Bits]:
    """Whether any of the bits along some axes is set."""
    kept = [d for d in range(len(x.shape)) if d not in dimensions]
    rows = x.each(
        lambda words: words.transpose(*kept, *dimensions).reshape(*(words.shape[d] for d in kept), -1)
    )
    return (yield from bits.any_along(party, rows, len(kept)))


def _select(party: Party, p: Bits, x: Value, y: Value, ring: int) -> Step[Value]:
    """y + p (x - y)."""
    difference = local.add(x, y, party.rank, minus=True)
    if isinstance(difference, Public):
        chosen = yield from bits.times_public(party, p, difference.words, ring)
    else:
        assert isinstance(difference, Shared)
        chosen = yield from bits.times_bit(party, p, difference)
    return local.add(chosen, y, party.rank)


def compute(party: Party, one: Instruction, tensors: Callable[[int], Tensor], operands: list[Value]) -> Made:
    """The result of a local instruction."""
    result = tensors(one.results[0])
    rank, shape = party.rank, result.shape
    if result.secret and not result.size:
        return [_no_bits(shape) for _ in one.results] if result.is_bit else _zeros(result)
    match one.op, operands:
        case "constant", []:
            return _constant(one, result)
        case "iota", []:
            return _iota(one, result)
        case (("add" | "subtract"), [x, y]):
            return local.add(x, y, rank, minus=one.op == "subtract")
        case "negate", [x]:
            assert not isinstance(x, Bits)
            return x.each(lambda words: (~words + words.dtype.type(1)).astype(words.dtype))
        case "sum", [x]:
            assert not isinstance(x, Bits)
            axes = tuple(sorted(one.integers("dimensions")))
            return x.each(lambda words: local.total(words, axes))
        case (("any" | "all"), [Bits() as x]):
            # Along one element, or none.
            if x.size:
                return x.each(lambda words: words.reshape(shape))
            found = _no_bits(shape)
            return local.negation(found, rank) if one.op == "all" else found
        case (("any" | "all"), [Public() as x]):
            axes = tuple(sorted(one.integers("dimensions")))
            reduce = np.max if one.op == "any" else np.min
            return x.each(lambda words: np.asarray(reduce(words, axis=axes, initial=one.op == "all")))
        case "multiply", [x, y]:
            return _product(party, x, y, result, lambda a, b: a * b)
        case "dot_general", [x, y]:
            return _public_product(party, one, x, y, result)
        case "convolution", [x, y]:
            return _public_product(party, one, x, y, result)
        case "select", [Public() as p, x, y]:
            chosen = np.broadcast_to(p.words, shape).astype(bool)
            return local.move([x, y], lambda a, b: np.where(chosen, a, b), rank)
        case "not", [x]:
            return local.negation(x, rank)
        case "xor", [x, y]:
            return local.exclusive_or(x, y, rank)
        case (("and" | "or"), [x, y]):
            return _with_public(one.op, x, y, rank)
        case "gather", [x, Public() as rows]:
            numbers = _rows(one, rows, x.shape[0])
            return local.move([x], lambda words: words[numbers].reshape(shape), rank)
        case "dynamic_slice", [x, *starts]:
            where = _window(one, x.shape, starts)
            return local.move([x], lambda words: words[where], rank)
        case "dynamic_update_slice", [x, update, *starts]:
            where = _window(one, x.shape, starts)
            return local.move([x, update], lambda words, new: _replaced(words, new, where), rank)
        case "convert", [x]:
            return _convert(x, tensors(one.operands[0]), result)
        case "cast", [x]:
            return _cast(party, x, one, tensors)
    return local.move(operands, _mover(one, shape), rank)


def _no_bits(shape: tuple[int, ...]) -> Bits:
    """Shared zeros."""
    return Bits(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


def _zeros(about: Tensor) -> Shared:
    """Likewise, as numbers."""
    word = word_of(about.ring)
    return Shared(about.ring, np.zeros(about.shape, word), np.zeros(about.shape, word))


def _mover(one: Instruction, shape: tuple[int, ...]) -> Callable[..., Any]:
    """What only moves elements."""
    match one.op:
        case "reshape":
            return lambda words: words.reshape(shape)
        case "transpose":
            return lambda words: words.transpose(one.integers("permutation"))
        case "broadcast_in_dim":
            return lambda words: local.broadcast(words, shape, one.integers("dimensions"))
        case "slice":
            names = ("start", "limit", "strides")
            where = tuple(slice(*triple) for triple in zip(*map(one.integers, names), strict=True))
            return lambda words: words[where]
        case "concatenate":
            return lambda *parts: np.concatenate(parts, axis=one.integer("dimension", 0))
        case "pad":
            low, high, interior = (one.integers(name) for name in ("low", "high", "interior"))
            return lambda words, value: local.padded(words, value, low, high, interior)
        case "reverse":
            return lambda words: np.flip(words, one.integers("dimensions"))
    raise InternalError(f"no local instruction '{one.op}'")


def _rows(one: Instruction, indices: Public, extent: int) -> Any:
    """Which rows public indices mean: StableHLO takes the nearest one for what is out of range."""
    numbers = indices.words if one.integer("unsigned", 0) else signed(indices.words, indices.ring)
    return np.clip(numbers.reshape(-1), 0, extent - 1).astype(np.int64)


def _window(one: Instruction, shape: tuple[int, ...], starts: Sequence[Value]) -> tuple[slice, ...]:
    """Where a slice lies that starts at public indices: StableHLO moves it into the tensor."""
    places = []
    for start, size, extent in zip(starts, one.integers("sizes"), shape, strict=True):
        assert isinstance(start, Public)
        number = start.words if one.integer("unsigned", 0) else signed(start.words, start.ring)
        first = min(max(int(number), 0), extent - size)
        places.append(slice(first, first + size))
    return tuple(places)


def _replaced(words: Any, new: Any, where: tuple[slice, ...]) -> Any:
    """A copy of `words` with something else in one place."""
    out = words.copy()
    out[where] = new
    return out


def _constant(one: Instruction, result: Tensor) -> Public:
    numbers = np.array([n % (1 << 64) for n in one.integers("numbers")], np.uint64)
    words = numbers.astype(np.uint8 if result.is_bit else word_of(result.ring))
    if words.size == 1:
        return Public(1 if result.is_bit else result.ring, np.broadcast_to(words.reshape(()), result.shape))
    return Public(1 if result.is_bit else result.ring, words.reshape(result.shape))


def _iota(one: Instruction, result: Tensor) -> Public:
    axis = one.integer("dimension", 0)
    count = np.arange(result.shape[axis]).astype(word_of(result.ring))
    word = count.dtype.type
    extents = [1] * len(result.shape)
    extents[axis] = -1
    steps = (count << word(result.encoding.frac)).reshape(extents)
    return Public(result.ring, np.broadcast_to(steps, result.shape))


def _product(party: Party, x: Value, y: Value, result: Tensor, times: Callable[[Any, Any], Any]) -> Value:
    """A product of which one factor is public: exact, then without the bits that the result drops."""
    if isinstance(x, Public) and isinstance(y, Public):
        return _rounded(times(signed(x.words, x.ring), signed(y.words, y.ring)), x.ring, result)
    if isinstance(x, Public):
        assert isinstance(y, Shared)
        words, secret = x.words, y
        made = secret.each(lambda slot: times(words, slot))
    else:
        assert isinstance(x, Shared) and isinstance(y, Public)
        words, secret = y.words, x
        made = secret.each(lambda slot: times(slot, words))
    return widen.narrow(party, made, result.ring, secret.ring - result.ring)


def _rounded(exact: NDArray[np.int64], ring: int, result: Tensor) -> Public:
    """A public product in `ring`, rounded to nearest as far as the result drops bits."""
    drop = ring - result.ring
    half = (1 << drop) >> 1
    return Public(result.ring, ((exact + half) >> drop).astype(np.uint64).astype(word_of(result.ring)))


def _public_product(party: Party, one: Instruction, x: Value, y: Value, result: Tensor) -> Value:
    """A matrix product or convolution of which one factor is public, or both are."""
    assert not isinstance(x, Bits) and not isinstance(y, Bits)
    if isinstance(x, Public) and isinstance(y, Public):
        # As if shared with one slot, which is then the product.
        words = as_words(x.words, x.ring)
        alone = _public_dot(one, Shared(x.ring, words, np.zeros_like(words)), y.words)
        return _rounded(signed(alone.own, alone.ring), alone.ring, result)
    made = _public_dot(one, *(v.words if isinstance(v, Public) else v for v in (x, y)))
    return widen.narrow(party, made, result.ring, made.ring - result.ring)


def _public_dot(one: Instruction, left: Any, right: Any) -> Shared:
    if one.op == "dot_general":
        batch, contract = _dot_dimensions(one)
        return multiply.dot_public(left, right, batch=batch, contract=contract)
    return multiply.convolution_public(left, right, window=_convolution(one))


def _with_public(op: str, x: Value, y: Value, rank: int) -> Value:
    """A conjunction or disjunction of which one side is public."""
    if isinstance(x, Public):
        x, y = y, x
    assert isinstance(y, Public)
    if isinstance(x, Public):
        return Public(1, x.words & y.words if op == "and" else x.words | y.words)
    assert isinstance(x, Bits)
    mask = (y.words if op == "and" else y.words ^ 1).astype(np.uint8)
    kept = x.each(lambda slot: np.bitwise_and(slot, mask))
    return kept if op == "and" else local.exclusive_or(kept, y, rank)


def _convert(x: Value, about: Tensor, result: Tensor) -> Value:
    """Numbers stay what they are; of integers the low bits are kept, above fraction bits that are 0."""
    if isinstance(about.encoding, Fxp) and not about.is_bit:
        return x
    ring, frac = result.ring, result.encoding.frac
    if isinstance(x, Public):
        word = word_of(ring)
        numbers = x.words.astype(np.uint64) if about.is_bit else signed(x.words, x.ring).astype(np.uint64)
        return Public(ring, numbers.astype(word) << word.type(frac))
    assert isinstance(x, Shared)
    return local.shifted_left(x, ring, frac)


def _cast_of(one: Instruction, tensors: Callable[[int], Tensor]) -> Cast:
    return Cast(tensors(one.operands[0]).encoding, tensors(one.results[0]).encoding)


def _cast(party: Party, x: Value, one: Instruction, tensors: Callable[[int], Tensor]) -> Value:
    """A cast that needs no message."""
    if isinstance(x, Bits) or tensors(one.results[0]).is_bit:
        return x
    cast = _cast_of(one, tensors)
    ring = cast.target.ring
    if isinstance(x, Public):
        numbers = signed(x.words, x.ring) << np.int64(cast.shift_left)
        half = (1 << cast.shift_right) >> 1
        moved = (numbers + half) >> np.int64(cast.shift_right)
        return Public(ring, reduced(moved.astype(np.uint64).astype(word_of(ring)), ring))
    if cast.shift_left:
        return local.shifted_left(x, ring, cast.shift_left)
    if not cast.shift_right:
        return local.within(x, ring)
    return widen.narrow(party, x, ring, cast.shift_right)


def _dot_dimensions(one: Instruction) -> Iterator[Any]:
    names = (("left_batch", "right_batch"), ("left_contracting", "right_contracting"))
    return (tuple(one.integers(name) for name in pair) for pair in names)


def _convolution(one: Instruction) -> multiply.Window:
    """A convolution's attributes as the protocol takes them."""
    input_, kernel, output = (one.integers(name) for name in ("input", "kernel", "output"))
    spatial = [str(d) for d in range(len(input_) - 2)]
    layout = [
        [[*first, *spatial][order.index(d)] for d in range(len(order))]
        for first, order in (("bf", input_), ("oi", kernel), ("bf", output))
    ]
    return multiply.Window(
        strides=one.integers("strides"),
        padding=list(zip(one.integers("low"), one.integers("high"), strict=True)),
        lhs_dilation=one.integers("left_dilation"),
        rhs_dilation=one.integers("right_dilation"),
        layout=(layout[0], layout[1], layout[2]),
        feature_group_count=one.integer("groups", 1),
        batch_group_count=one.integer("batch_groups", 1),
        reverse=[bool(flag) for flag in one.integers("reverse")],
    )
