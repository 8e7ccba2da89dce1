"""What instructions send and when: the executor on shares runs them so, and the cost model counts so.

An instruction is a protocol if it takes rounds, else local. A protocol starts in the first round after those
of all that it waits for, and all that are under way share one message for each peer and round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ditto_compiler.encoding import Cast
from ditto_compiler.executor.instruction import Instruction, Tensor
from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.protocols.costs import FREE, ProtocolCost, multiply_cost, widen_cost
from ditto_compiler.protocols.costs_bits import (
    any_along_cost,
    conjunction_cost,
    less_cost,
    times_bit_cost,
    to_number_cost,
)
from ditto_compiler.protocols.costs_oneshot import oneshot_cost
from ditto_compiler.protocols.parts import parts

Tensors = Callable[[int], Tensor]
"""What there is to know of a value, by number."""

PRODUCTS = ("multiply", "dot_general", "convolution")


def cost_of(one: Instruction, tensors: Tensors) -> ProtocolCost:
    """Bytes over all parties, and rounds: none of either if the instruction is local."""
    operands = [tensors(number) for number in one.operands]
    secret = [x.secret for x in operands]
    result = tensors(one.results[0])
    if not any(secret) or not result.size:
        return FREE
    first = operands[0]
    if one.op in PRODUCTS and all(secret):
        return multiply_cost(result.size, first.ring, first.ring - result.ring)
    if one.op in ("and", "or") and all(secret):
        return conjunction_cost(result.size)
    if one.op in ("any", "all"):
        return any_along_cost(first.size // result.size, result.size)
    if one.op == "less":
        return less_cost(first.ring, first.size, len(one.integers("thresholds")))
    if one.op == "oneshot":
        return oneshot_cost(Terms.from_attributes(one.attributes), first.size)
    if one.op == "select" and secret[0]:
        numbers_secret = secret[1] or secret[2]
        return (
            times_bit_cost([result.ring], result.size)
            if numbers_secret
            else to_number_cost(result.ring, result.size)
        )
    if one.op == "convert" and first.is_bit:
        return to_number_cost(result.ring - result.encoding.frac, result.size)
    if one.op == "cast" and not result.is_bit:
        cast = Cast(first.encoding, result.encoding)
        return widen_cost(first.size, first.ring, result.ring, cast.shift_right, cast.shift_left)
    return FREE


def is_protocol(one: Instruction, tensors: Tensors) -> bool:
    """Whether an instruction takes rounds; otherwise each party does it alone."""
    return cost_of(one, tensors).rounds > 0


def waits(instructions: Sequence[Instruction], protocols: Sequence[bool]) -> list[frozenset[int]]:
    """For each instruction, which protocols have to be over before it can run.

    Args:
        instructions: in program order.
        protocols: whether each of them is one.
    """
    made_by = {number: i for i, one in enumerate(instructions) for number in one.results}
    before: list[frozenset[int]] = []
    for one in instructions:
        makers = [made_by[number] for number in one.operands if number in made_by]
        needed = [{maker} if protocols[maker] else before[maker] for maker in makers]
        before.append(frozenset().union(*needed))
    return before


Wave = tuple[tuple[int, int], ...]
"""Who sends to whom in one round of a part, by roles."""

_RING: Wave = ((0, 2), (1, 0), (2, 1))
_DEAL: Wave = ((0, 1),)
_SWAP: Wave = ((1, 2), (2, 1))

MESSAGE = 1 << 20
"""Bytes from which on P0, going ahead, sends what it has."""


def _waves(cost: ProtocolCost, ahead: bool) -> tuple[Wave, ...]:
    """Of each round of a protocol."""
    if ahead:
        return (_SWAP,) * cost.online.rounds
    return (_RING,) if cost.rounds == 1 else (_DEAL, *(_SWAP,) * (cost.rounds - 1))


@dataclass(frozen=True)
class Schedule:
    """When the instructions of one step run.

    Attributes:
        costs: of each instruction.
        waits: for each, the protocols that have to be over before.
        starts: rounds before each can start.
        seats: of each, how many parts with roles of their own it has; none if it is local.
        waves: of each, who sends to whom in its rounds.
        dealt: of each, the bytes that P0 has sent ahead; all else is about what comes then.
        ahead: whether P0 goes ahead.
    """

    costs: tuple[ProtocolCost, ...]
    waits: tuple[frozenset[int], ...]
    starts: tuple[int, ...]
    seats: tuple[int, ...]
    waves: tuple[tuple[Wave, ...], ...]
    dealt: tuple[int, ...]
    ahead: bool

    def end(self, index: int) -> int:
        """Rounds after which an instruction is over."""
        return self.starts[index] + self.costs[index].rounds

    @cached_property
    def rounds(self) -> int:
        """Of all."""
        return max(map(self.end, range(len(self.costs))), default=0)

    @property
    def bytes(self) -> int:
        """Of all messages of all parties."""
        return sum(cost.bytes for cost in self.costs)

    @cached_property
    def critical(self) -> tuple[int, ...]:
        """A longest chain: protocols whose rounds follow one another and are together all rounds."""
        chain: list[int] = []
        ready = [i for i, cost in enumerate(self.costs) if cost.rounds and self.end(i) == self.rounds]
        while ready:
            chain.append(ready[0])
            ready = sorted(i for i in self.waits[chain[-1]] if self.end(i) == self.starts[chain[-1]])
        return tuple(reversed(chain))

    @cached_property
    def messages(self) -> tuple[tuple[int, ...], ...]:
        """For each message of any party, in order of rounds, the instructions that share it."""
        rounds: list[dict[tuple[int, int], dict[int, None]]] = [{} for _ in range(self.rounds)]
        taken = 0
        # Seats are taken, and roles rotate, in the order in which protocols start.
        for i in sorted(range(len(self.costs)), key=lambda i: (self.starts[i], i)):
            for seat in range(taken, taken + self.seats[i]):
                turn = 0 if self.ahead else seat
                for pairs, wave in zip(rounds[self.starts[i] : self.end(i)], self.waves[i], strict=True):
                    for sender, receiver in wave:
                        pairs.setdefault(((sender + turn) % 3, (receiver + turn) % 3), {})[i] = None
            taken += self.seats[i]
        return tuple(tuple(sharing) for pairs in rounds for sharing in pairs.values())

    @cached_property
    def deals(self) -> tuple[tuple[int, ...], ...]:
        """For each message that P0 sends ahead, the instructions that it is for, in program order."""
        made: list[list[int]] = []
        room = 0
        for i, size in enumerate(self.dealt):
            if size and room <= 0:
                made.append([])
                room = MESSAGE
            if size:
                made[-1].append(i)
                room -= size
        return tuple(map(tuple, made))


def schedule(instructions: Sequence[Instruction], tensors: Tensors, *, ahead: bool = False) -> Schedule:
    """When instructions run, and what they send.

    Args:
        instructions: of one step, in program order.
        tensors: of all values that they use and make.
        ahead: whether P0 has gone ahead of the others (docs/explanation/protocols.md, "Dealing ahead").
    """
    whole = [cost_of(one, tensors) for one in instructions]
    costs = [cost.online for cost in whole] if ahead else whole
    protocols = [cost.rounds > 0 for cost in costs]
    before = waits(instructions, protocols)
    starts: list[int] = []
    for needed in before:
        starts.append(max((starts[i] + costs[i].rounds for i in needed), default=0))
    waves = [_waves(cost, ahead) if cost.rounds else () for cost in whole]
    seats = [
        len(parts(tensors(one.results[0]).size)) if cost.rounds > 1 else cost.rounds
        for one, cost in zip(instructions, whole, strict=True)
    ]
    dealt = [cost.dealt if ahead else 0 for cost in whole]
    return Schedule(
        tuple(costs), tuple(before), tuple(starts), tuple(seats), tuple(waves), tuple(dealt), ahead
    )
