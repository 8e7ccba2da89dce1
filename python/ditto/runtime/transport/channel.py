"""Messages between the three parties."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from ditto_compiler.errors import DittoError

T = TypeVar("T")


class ChannelError(DittoError):
    """A peer sent nothing in time, or sent something else than the protocol says."""


class Channel(Protocol):
    """Ordered, reliable messages between one party and each of the two others."""

    def send(self, dst_rank: int, message: bytes) -> None:
        """Queue `message` for party `dst_rank`; does not wait for it to arrive."""

    def recv(self, src_rank: int) -> bytes:
        """The next message of party `src_rank`, waiting for it."""


class _Counters:
    """Exact counts of one party's messages and of the bytes in them, without transport headers."""

    def __init__(self) -> None:
        self.bytes_sent = 0
        self.bytes_received = 0
        self.messages_sent = 0
        self.messages_received = 0

    def _count_sent(self, message: bytes) -> None:
        self.bytes_sent += len(message)
        self.messages_sent += 1

    def _count_received(self, message: bytes) -> None:
        self.bytes_received += len(message)
        self.messages_received += 1


class LinkChannel(_Counters):
    """A channel over an SPU link context of its own, e.g. `root_link.spawn()`."""

    def __init__(self, link: Any) -> None:
        super().__init__()
        self._link = link
        self.rank: int = link.rank

    def send(self, dst_rank: int, message: bytes) -> None:
        """Hand `message` to the link, which sends it in the background."""
        self._link.send_async(dst_rank, message)
        self._count_sent(message)

    def recv(self, src_rank: int) -> bytes:
        """The next message of party `src_rank`.

        Raises:
            ChannelError: nothing came within the link's receive time-out.
        """
        try:
            message: bytes = self._link.recv(src_rank)
        except RuntimeError as error:
            raise ChannelError(f"party {self.rank} got no message from party {src_rank}: {error}") from error
        self._count_received(message)
        return message


class MemoryChannel(_Counters):
    """A channel between three threads of one process; see `run_in_threads`."""

    def __init__(
        self, rank: int, queues: dict[tuple[int, int], SimpleQueue[bytes | None]], timeout: float
    ) -> None:
        super().__init__()
        self._queues = queues
        self._timeout = timeout
        self.rank = rank

    def send(self, dst_rank: int, message: bytes) -> None:
        """Queue `message` for party `dst_rank`."""
        self._queues[self.rank, dst_rank].put(message)
        self._count_sent(message)

    def recv(self, src_rank: int) -> bytes:
        """The next message of party `src_rank`.

        Raises:
            ChannelError: nothing came in time, or that party's thread failed.
        """
        try:
            message = self._queues[src_rank, self.rank].get(timeout=self._timeout)
        except Empty:
            raise ChannelError(f"party {self.rank} got no message from party {src_rank}") from None
        if message is None:
            raise ChannelError(f"party {self.rank} got no message from party {src_rank}: it failed")
        self._count_received(message)
        return message

    def close(self) -> None:
        """Tell the peers that no more messages come."""
        for other in range(3):
            self._queues[self.rank, other].put(None)


def run_in_threads(party: Callable[[MemoryChannel], T], *, timeout: float = 30.0) -> list[T]:
    """Run `party` as three threads joined by memory channels; their results, in rank order.

    Args:
        party: called once per rank, which is the channel's `rank`.
        timeout: seconds that a party waits for a message.

    Raises:
        ChannelError: a party waited for a message that never came.
        Exception: whatever else a party raised; it comes before the errors of those who waited for it.
    """
    queues: dict[tuple[int, int], SimpleQueue[bytes | None]] = {
        (src, dst): SimpleQueue() for src in range(3) for dst in range(3)
    }

    def run(rank: int) -> T:
        channel = MemoryChannel(rank, queues, timeout)
        try:
            return party(channel)
        finally:
            channel.close()

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(run, rank) for rank in range(3)]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda e: isinstance(e, ChannelError)):
        raise error
    return [future.result() for future in futures]
