"""Uniform bytes that two parties draw alike and the third cannot know.

Each pair of parties has one `Stream`: AES-128 in counter mode under a key of its own, drawn from
the operating system's generator for this connection and never stored.

The counter discipline, all of it:

* A stream has one encryptor for its whole life and only ever moves forward, so no counter value
  serves twice, whatever its users do.
* Both parties of a pair take the same number of bytes in the same order. All parties cast, compare and open
  the same lists of tensors, of public shapes, with public encodings and thresholds, and rotate the roles
  by the same count of chunks; so the sizes below are known to all and depend on nothing secret.
* Casts, comparisons and the opening of outputs have streams of their own, from three calls of `agree_streams`
  on three channels: none can put another's out of step.
* Per chunk of casts, with B bytes of wrap words and the roles P0, P1, P2 as in docs/explanation/protocols.md:

      stream        drawn by     two-round            one-round
      P0 and P2     P0 and P2    q_0, q_1, W_0: 3 B   kappa_0, kappa_1, W_0: 3 B
      P0 and P1     P0 and P1    W_1: B               lambda_0, lambda_1: 2 B
      P1 and P2     -            nothing              nothing

* Per chunk of comparisons, with n elements of D digits and rows of R bytes: first the query's mask and
  the shares of G and P, then the zero shares of every level, each when it is reached:

      stream        drawn by     before the levels                at d = D, D/2, ..., 2
      P0 and P2     P0 and P2    mask: (2 D - 1) n,               (d - 1) R
                                 s_0: (2 D - 1) R
      P0 and P1     P0 and P1    s_1: (2 D - 1) R                 (d - 1) R
      P1 and P2     P1 and P2    nothing                          (d - 1) R

* Per secret output that is opened, with D bytes of elements, each pair of parties alike:

      stream        drawn by     first              then
      Pi and Pj     Pi and Pj    key of a tag: 32   the zero sharing: D

  Nothing is drawn for outputs that are public, or that stay with the parties.

* The protocols of the executor on shares draw from streams of `PairKeys`: each part of each instance has one
  of its own with each peer, which starts 2^64 blocks after the one before. So their masks depend on nothing
  that other instances draw, and many may be under way at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from ditto.runtime.transport.channel import Channel, ChannelError

KEY_BYTES = 16
_BLOCK_BYTES = 16
_ZEROS = bytes(1 << 16)


class Stream:
    """AES-128-CTR keystream, from counter `instance` * 2^64 on.

    If AES is a random permutation, n blocks are told from uniform ones with advantage below n^2 / 2^129
    (PRP/PRF switching): 2^-57 for 2^40 bytes.
    """

    def __init__(self, key: bytes, instance: int = 0) -> None:
        start = (instance << 64).to_bytes(_BLOCK_BYTES, "big")
        self._encryptor = Cipher(algorithms.AES128(key), modes.CTR(start)).encryptor()

    def take(self, size: int) -> NDArray[np.uint8]:
        """The next `size` bytes."""
        # update_into wants room for one block less a byte beyond what it writes.
        buffer = np.empty(size + _BLOCK_BYTES - 1, np.uint8)
        view = buffer.data
        for start in range(0, size, len(_ZEROS)):
            count = min(len(_ZEROS), size - start)
            self._encryptor.update_into(memoryview(_ZEROS)[:count], view[start:])
        return buffer[:size]


class PairKeys:
    """One party's keys with each of the two others, of which any number of independent streams can be had.

    A stream is AES-128-CTR from counter instance * 2^64 on: streams of different instances do not meet before
    2^64 blocks. An instance is asked for once for each peer.
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = dict(keys)

    def stream(self, peer: int, instance: int) -> Stream:
        """The stream of an instance, the same as at the peer."""
        return Stream(self._keys[peer], instance)


def fresh_stream() -> Stream:
    """A stream that nobody else can know, keyed by the operating system's generator."""
    return Stream(os.urandom(KEY_BYTES))


def agree_streams(rank: int, channel: Channel) -> dict[int, Stream]:
    """This party's two streams, by the rank of the party it shares each with; see `agree_keys`."""
    return {peer: Stream(key) for peer, key in agree_keys(rank, channel).items()}


def agree_keys(rank: int, channel: Channel) -> dict[int, bytes]:
    """This party's two keys, by the rank of the party it shares each with.

    Party i draws the key for the pair (i, i+1) and sends it to party i+1: 16 bytes per party, one
    round. The link has to be private: whoever reads the key of a pair can read what they cast or compare.

    Raises:
        ChannelError: a peer's message is not a key.
    """
    after, before = (rank + 1) % 3, (rank + 2) % 3
    own = os.urandom(KEY_BYTES)
    channel.send(after, own)
    theirs = channel.recv(before)
    if len(theirs) != KEY_BYTES:
        raise ChannelError(f"party {before} sent {len(theirs)} bytes where a key has {KEY_BYTES}")
    return {after: own, before: theirs}
