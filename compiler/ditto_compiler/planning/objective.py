"""What a plan is to cost little of."""

from __future__ import annotations

from dataclasses import dataclass

from ditto_compiler.network import PARTIES, load_network


@dataclass(frozen=True)
class Objective:
    """What a plan costs: so much a byte, of all parties, and so much a round.

    Attributes:
        name: "bytes", "rounds", or the network's.
        unit: of the cost.
        byte: cost of a byte.
        round: cost of a round on the longest chain.
        widening: cost of widening a value, whatever its size, where chains are not looked at.
    """

    name: str
    unit: str
    byte: float
    round: float
    widening: float = 0.0

    @staticmethod
    def parse(text: str) -> Objective:
        """`bytes`, `rounds`, or a network as `Network` reads it: seconds to send and to wait there.

        Raises:
            NetworkError: it is none of these.
        """
        if text == "bytes":
            # So many more are sent rather than wait for two more rounds.
            return Objective(text, "bytes", 1.0, 0.0, 8192.0)
        if text == "rounds":
            # Of plans with as few rounds, the one that sends least.
            return Objective(text, "rounds", 1e-10, 1.0)
        network = load_network(text)
        return Objective(text, "s", 1 / PARTIES / network.bandwidth_bytes_per_s, network.rtt_s / 2)
