"""Protocols as steps: what a party computes between rounds, and how the rounds of many share messages.

A protocol is a generator, one at each party. It yields what it sends in a round and how much it expects,
is given what came, and returns its result. Whatever is ready at the same time goes into the same round: one
message for each peer, however many protocols have something for it. All parties run the same protocols on
tensors of the same public shapes in the same order, so the messages need no headers.

Large tensors are cut into three parts, in which the parties trade the roles of P0, P1 and P2 of
docs/explanation/protocols.md, so that each sends and computes a third of all.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ditto.runtime.protocols.prf import PairKeys, Stream
from ditto.runtime.transport.channel import Channel, ChannelError
from ditto_compiler.errors import InternalError
from ditto_compiler.protocols.parts import PARTS, parts

T = TypeVar("T")

Message = NDArray[np.uint8]


@dataclass
class Round:
    """What a party does in one round of a protocol.

    Attributes:
        send: by rank of the peer, bytes.
        expect: by rank of the peer, how many bytes come.
    """

    send: dict[int, Message] = field(default_factory=dict)
    expect: dict[int, int] = field(default_factory=dict)


Received = Mapping[int, Message]
"""By rank of the peer, what it sent; not to be written to."""

Step = Generator[Round, Received, T]
"""A protocol under way at one party."""


class Seat:
    """One party's place in one part of one protocol instance: its role, its masks, its peers.

    Masks are drawn from streams of this seat's own (see `PairKeys`): what other protocols draw, and when,
    does not matter, and no mask serves twice.

    Args:
        rank: of the party.
        turn: how far the roles are rotated: the party of rank `turn` plays P0.
        keys: by peer rank.
        instance: number of the protocol instance, which no other has under these keys.
    """

    def __init__(self, rank: int, turn: int, keys: PairKeys, instance: int) -> None:
        self._rank = rank
        self._turn = turn % 3
        self._streams: dict[int, Stream] = {}
        self._keys = keys
        self._instance = instance
        self.role = (rank - turn) % 3
        """Which of P0, P1, P2 this party plays."""

    def rank_of(self, role: int) -> int:
        """The rank of the party that plays `role`, modulo 3."""
        return (role + self._turn) % 3

    def draw(self, role: int, size: int) -> Message:
        """The next `size` bytes of masks shared with the party that plays `role`; may be written to."""
        peer = self.rank_of(role)
        if peer not in self._streams:
            self._streams[peer] = self._keys.stream(peer, self._instance)
        return self._streams[peer].take(size)

    def round(
        self, send: Mapping[int, Message] | None = None, expect: Mapping[int, int] | None = None
    ) -> Round:
        """A round, by roles."""
        return Round(
            {self.rank_of(role): message for role, message in (send or {}).items()},
            {self.rank_of(role): size for role, size in (expect or {}).items()},
        )

    def of(self, received: Received, role: int) -> Message:
        """What the party that plays `role` sent."""
        return received[self.rank_of(role)]


class Party:
    """Hands out seats. All parties ask for the same seats in the same order.

    Args:
        rank: of this party.
        keys: by peer rank.
        instances: numbers for the seats, that no others have; by default all.
        ahead: whether each party plays its own rank in all seats, and P0 never receives anything.
    """

    def __init__(
        self, rank: int, keys: PairKeys, *, instances: Iterable[int] | None = None, ahead: bool = False
    ) -> None:
        self.rank = rank
        self.ahead = ahead
        self._keys = keys
        self._instances = itertools.count(1) if instances is None else iter(instances)

    def seat(self) -> Seat:
        """The next seat; roles rotate from one to the next, unless P0 deals ahead."""
        instance = next(self._instances, None)
        if instance is None:
            raise InternalError(f"a protocol takes more than {PARTS} seats")
        return Seat(self.rank, 0 if self.ahead else instance, self._keys, instance)

    def dealing_ahead(self, protocols: int) -> list[Party]:
        """For so many protocols, one each, in which P0 goes ahead; their seats are set aside."""
        aside = [list(itertools.islice(self._instances, PARTS)) for _ in range(protocols)]
        return [Party(self.rank, self._keys, instances=some, ahead=True) for some in aside]

    def seats(self, elements: int) -> list[tuple[Seat, slice]]:
        """Seats for the parts of a tensor of so many elements, flattened: three if it is large, else one."""
        return [(self.seat(), part) for part in parts(elements)]


def together(steps: Sequence[Step[T]]) -> Step[list[T]]:
    """Steps whose rounds share messages, as one step; gives their results in order."""
    results: dict[int, T] = {}
    under_way: dict[int, Round] = {}

    def advance(index: int, received: Received | None) -> None:
        try:
            step = steps[index]
            under_way[index] = next(step) if received is None else step.send(received)
        except StopIteration as finished:
            under_way.pop(index, None)
            results[index] = finished.value

    for index in range(len(steps)):
        advance(index, None)
    while under_way:
        received = yield merged(list(under_way.values()))
        parts = split(list(under_way.values()), received)
        for index, part in zip(list(under_way), parts, strict=True):
            advance(index, part)
    return [results[index] for index in range(len(steps))]


def merged(rounds: Sequence[Round]) -> Round:
    """Rounds as one: messages one behind another."""
    whole = Round()
    for peer in range(3):
        parts = [r.send[peer] for r in rounds if peer in r.send and r.send[peer].size]
        if parts:
            whole.send[peer] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        expected = sum(r.expect.get(peer, 0) for r in rounds)
        if expected:
            whole.expect[peer] = expected
    return whole


def split(rounds: Sequence[Round], received: Received) -> list[dict[int, Message]]:
    """What came in a merged round, as each of its rounds expects it."""
    at = dict.fromkeys(range(3), 0)
    parts = []
    for r in rounds:
        part = {}
        for peer, size in r.expect.items():
            message = received[peer] if size else np.empty(0, np.uint8)
            part[peer] = message[at[peer] : at[peer] + size] if size else message
            at[peer] += size
        parts.append(part)
    return parts


def exchange(channel: Channel, what: Round) -> dict[int, Message]:
    """One round: sends, then waits for what comes.

    Raises:
        ChannelError: nothing came, or something of another size.
    """
    for peer, message in what.send.items():
        channel.send(peer, message.tobytes())
    received = {}
    for peer, size in what.expect.items():
        content = channel.recv(peer)
        if len(content) != size:
            raise ChannelError(
                f"party {peer} sent {len(content)} bytes where {size} were expected: all parties must run "
                "the same program"
            )
        received[peer] = np.frombuffer(content, np.uint8)
    return received


def run(channel: Channel, step: Step[T]) -> T:
    """Runs a step to its end.

    Raises:
        ChannelError: see `exchange`.
    """
    received: Received | None = None
    while True:
        try:
            what = next(step) if received is None else step.send(received)
        except StopIteration as finished:
            result: T = finished.value
            return result
        received = exchange(channel, what)
