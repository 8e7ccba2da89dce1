"""How a batch of casts is sent: in which of the modes of docs/explanation/protocols.md."""

from __future__ import annotations

from typing import Literal

from ditto_compiler.network import PARTIES, Network

Mode = Literal["two-round", "one-round"]
"""Of the protocols in docs/explanation/protocols.md."""


def choose_mode(cast_bytes: int, network: Network | None) -> Mode:
    """The faster mode for a batch whose casts send `cast_bytes` in two rounds, over all parties.

    One round saves half a round trip and sends a quarter more bytes. Roles rotate, so each party sends a
    third of them over its own uplink. Without a network, fewer bytes are better.
    """
    if network is None:
        return "two-round"
    more_seconds = cast_bytes / 4 / PARTIES / network.bandwidth_bytes_per_s
    return "one-round" if more_seconds < network.rtt_s / 2 else "two-round"
