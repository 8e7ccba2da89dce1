"""The parties and the networks between them, as the cost model and the runtime know them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ditto_compiler.errors import DittoError
from ditto_compiler.options import did_you_mean

PARTIES: Final = 3
"""That share every secret."""


class NetworkError(DittoError):
    """A network that cannot be read."""


@dataclass(frozen=True)
class Network:
    """What the parties are connected by.

    Attributes:
        name: shown in reports.
        bandwidth_bits_per_s: of each party's uplink, shared by its two peers.
        rtt_s: round-trip time between any two parties, in seconds.
    """

    name: str
    bandwidth_bits_per_s: float
    rtt_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bandwidth_bits_per_s) and self.bandwidth_bits_per_s > 0):
            raise NetworkError(f"bandwidth must be a positive number, got {self.bandwidth_bits_per_s}")
        if not 0 <= self.rtt_s <= 10:
            raise NetworkError(f"round-trip time must be in [0 s, 10 s], got {self.rtt_s} s")

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Of each party's uplink."""
        return self.bandwidth_bits_per_s / 8

    def __str__(self) -> str:
        return f"{_with_unit(self.bandwidth_bits_per_s, _BANDWIDTH_UNITS)}/s, {self.rtt_s * 1e3:g} ms"


PRESETS: Final[Mapping[str, Network]] = MappingProxyType(
    {
        "lan": Network("lan", 5e9, 0.4e-3),
        "wan": Network("wan", 400e6, 40e-3),
    }
)
"""The networks that papers on private inference measure in."""

_BANDWIDTH_UNITS = {"Gbit": 1e9, "Mbit": 1e6, "kbit": 1e3, "bit": 1.0}
_TIME_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def load_network(text: str | Network) -> Network:
    """A preset by name, or a network from text such as `400mbit,40ms` (bandwidth, round-trip time).

    Raises:
        NetworkError: no such preset, or not of that form.
    """
    if isinstance(text, Network):
        return text
    if not isinstance(text, str):
        raise NetworkError(
            f"a network is {', '.join(PRESETS)} or BANDWIDTH,RTT such as 400mbit,40ms, got {text!r}"
        )
    if text in PRESETS:
        return PRESETS[text]
    bandwidth, comma, rtt = text.partition(",")
    if not comma:
        raise NetworkError(
            f"no network '{text}'{did_you_mean(text, PRESETS)} (presets: {', '.join(PRESETS)}; "
            "or BANDWIDTH,RTT such as 400mbit,40ms)"
        )
    bits_per_s = _quantity(bandwidth, _BANDWIDTH_UNITS, "bandwidth")
    return Network(text, bits_per_s, _quantity(rtt, _TIME_UNITS, "RTT"))


def _quantity(text: str, units: Mapping[str, float], what: str) -> float:
    text = text.strip().lower()
    for unit, factor in units.items():
        if text.endswith(unit.lower()):
            try:
                return float(text.removesuffix(unit.lower())) * factor
            except ValueError:
                break
    raise NetworkError(f"{what} must be a number with one of the units {', '.join(units)}, got '{text}'")


def _with_unit(value: float, units: Mapping[str, float]) -> str:
    unit, factor = next(((u, f) for u, f in units.items() if value >= f), ("bit", 1.0))
    return f"{value / factor:g} {unit}"
