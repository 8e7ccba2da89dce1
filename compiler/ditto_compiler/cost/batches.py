"""What batches of casts and comparisons outside of the engine cost, with all padding; no seconds."""

from __future__ import annotations

from collections.abc import Sequence

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.network import Network
from ditto_compiler.protocols.cast_batches import choose_mode
from ditto_compiler.protocols.chunks import WINDOW, chunk_count
from ditto_compiler.protocols.comparison_batches import (
    Group,
    chunks,
    comparison_rounds,
    digits,
    query_bytes,
    row_bytes,
    rows,
)


def casts_cost(elements: int, cast_bytes: int, network: Network | None) -> Cost:
    """Bytes, messages and rounds of a batch of `elements` that need messages; no seconds."""
    if elements == 0:
        return FREE
    count = chunk_count(elements)
    windows = -(-count // WINDOW)
    if choose_mode(cast_bytes, network) == "one-round":
        return Cost(bytes=cast_bytes * 5 / 4, messages=4 * count, rounds=windows)
    return Cost(bytes=cast_bytes, messages=3 * count, rounds=2 * windows)


def comparisons_cost(groups: Sequence[Group]) -> Cost:
    """Bytes, messages and rounds of the comparisons of a batch, with all padding; no seconds."""
    cost = FREE
    rounds: list[int] = []
    for ring, slices in chunks(groups):
        elements = sum(s.stop - s.start for s in slices)
        row = sum(groups[s.tensor].thresholds * row_bytes(s.stop - s.start) for s in slices)
        levels = comparison_rounds(ring) - 2
        # Two parties send rows of all digits; then all three send d - 1 products at d = D, D/2, ..., 2.
        products = 2 * (digits(ring) - 1) - levels
        sent = query_bytes(ring) * elements + (2 * rows(digits(ring)) + 3 * products) * row
        cost += Cost(bytes=sent, messages=3 + 3 * levels)
        rounds.append(levels + 2)
    windows = [rounds[at : at + WINDOW] for at in range(0, len(rounds), WINDOW)]
    return cost + Cost(rounds=sum(max(window) for window in windows))
