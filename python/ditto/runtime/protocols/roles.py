"""Who plays P0, P1 and P2, which rotates from chunk to chunk, and what they draw and send as such."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ditto.runtime.protocols.prf import Stream
from ditto.runtime.transport.channel import Channel, ChannelError


class Roles:
    """One party's masks and messages, by chunk number and by the role of the peer.

    Args:
        rank: this party's rank among 0, 1, 2.
        channel: to the two others; nothing else may use it.
        streams: by peer rank, from `agree_streams`; nothing else may draw from them.
        rule: what all parties must do alike, for the error that tells that one did not.
    """

    def __init__(self, rank: int, channel: Channel, streams: Mapping[int, Stream], rule: str) -> None:
        self._rank = rank
        self._channel = channel
        self._streams = streams
        self._rule = rule

    def own(self, chunk: int) -> int:
        """Which of P0, P1, P2 this party plays."""
        return (self._rank - chunk) % 3

    def _party(self, chunk: int, role: int) -> int:
        """The rank of the party that plays `role`, modulo 3."""
        return (role + chunk) % 3

    def draw(self, chunk: int, role: int, size: int) -> NDArray[np.uint8]:
        """`size` bytes of masks shared with the party that plays `role`."""
        return self._streams[self._party(chunk, role)].take(size)

    def send(self, chunk: int, role: int, message: NDArray[np.uint8]) -> None:
        """Send a copy of `message`."""
        self._channel.send(self._party(chunk, role), message.tobytes())

    def receive(self, chunk: int, role: int, size: int) -> NDArray[np.uint8]:
        """The next message of the party that plays `role`, which cannot be written to.

        Raises:
            ChannelError: nothing came, or something of another size.
        """
        sender = self._party(chunk, role)
        message = self._channel.recv(sender)
        if len(message) != size:
            raise ChannelError(
                f"party {sender} sent {len(message)} bytes where {size} were expected: {self._rule}"
            )
        return np.frombuffer(message, np.uint8)
