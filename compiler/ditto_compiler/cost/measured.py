"""What each engine op costs, as measured by `python -m ditto.bench.cost_table`.

Plain data: reading it needs neither MLIR nor the engine. Bytes and messages are exact, rounds are
counted, seconds are processor time on the machine that measured.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE_PATH = Path(__file__).with_name("cost_table.json")


@dataclass(frozen=True)
class Cost:
    """What something costs, over all three parties.

    Attributes:
        bytes: sent.
        messages: sent.
        rounds: messages in the longest chain in which each waits for the one before.
        seconds: processor time of all parties.
    """

    bytes: float = 0.0
    messages: float = 0.0
    rounds: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.bytes + other.bytes,
            self.messages + other.messages,
            self.rounds + other.rounds,
            self.seconds + other.seconds,
        )

    def times(self, count: float) -> Cost:
        """This `count` times, one after the other."""
        return Cost(self.bytes * count, self.messages * count, self.rounds * count, self.seconds * count)


FREE = Cost()


@dataclass(frozen=True)
class Segment:
    """Costs of one op in one ring, for fraction bits from `frac` to the next segment's.

    Attributes:
        frac: fewest fraction bits.
        bytes: per element.
        bytes_per_bit: per element and fraction bit above `frac`.
        messages: per call.
        rounds: per call.
        ns: nanoseconds of processor time per element.
        us: microseconds of processor time per call.
    """

    frac: int
    bytes: float
    bytes_per_bit: float
    messages: int
    rounds: int
    ns: float
    us: float


@dataclass(frozen=True)
class Sort:
    """Costs of sorting along one axis. Messages grow with log2(elements)."""

    bytes: float
    """Per element."""
    fixed_bytes: float
    messages: float
    messages_per_doubling: float
    payload_bytes: float
    """Per element of each operand after the first, which is the key."""
    payload_messages: float
    rounds_per_message: float
    ns: float
    us: float


@dataclass(frozen=True)
class Work:
    """Processor time of one kind of instruction beside the engine, of all parties.

    Attributes:
        ns: nanoseconds per element.
        byte_ns: nanoseconds per byte sent, for masks, packing and the messages themselves.
        us: microseconds per instruction.
    """

    ns: float
    byte_ns: float
    us: float

    def seconds(self, elements: int, sent: int) -> float:
        """Of an instruction on so many elements that sends so many bytes."""
        return elements * self.ns * 1e-9 + sent * self.byte_ns * 1e-9 + self.us * 1e-6


@dataclass(frozen=True)
class WorkTable:
    """Processor time beside the engine, of all parties, by bits of a machine word (32 or 64).

    Attributes:
        rows: by name.
        multiply_add_ns: nanoseconds per scalar multiplication and addition of a matrix product.
        read_ns: nanoseconds per element of its operands, which have to come from memory.
        round_us: microseconds per round.
    """

    rows: Mapping[str, Mapping[int, Work]]
    multiply_add_ns: Mapping[int, float]
    read_ns: Mapping[int, float]
    round_us: float


@dataclass(frozen=True)
class CostTable:
    """The table.

    Attributes:
        engine: whose costs these are.
        machine: what the seconds were measured on.
        rows: by name, forms of the operands, and ring: segments in rising order of fraction bits.
        sort: by ring.
        multiply_add_ns: nanoseconds per scalar multiplication and addition of a matrix product, by ring.
        cast_ns: nanoseconds per element of a cast.
        cast_us: microseconds per batch of casts with messages.
        compare_ns: nanoseconds per element and threshold of a comparison outside of the engine.
        compare_us: microseconds per batch of those.
        call_us: microseconds that a region takes besides its ops.
        place_ns: nanoseconds per element of an input until it is in its runtime, by ring.
        beside: what runs beside the engine.
    """

    engine: str
    machine: str
    rows: Mapping[str, Mapping[str, Mapping[int, Sequence[Segment]]]]
    sort: Mapping[int, Sort]
    multiply_add_ns: Mapping[int, float]
    cast_ns: float
    cast_us: float
    compare_ns: float
    compare_us: float
    call_us: float
    place_ns: Mapping[int, float]
    beside: WorkTable

    def has(self, row: str, forms: str, ring: int) -> bool:
        """Whether the table has such a row."""
        return ring in self.rows.get(row, {}).get(forms, {})

    def cost(self, row: str, forms: str, ring: int, elements: int, frac: int = 0) -> Cost:
        """What one call on `elements` elements costs.

        Args:
            row: name of the op.
            forms: of its operands: `a` arithmetic share, `b` share of one bit, `w` of all bits, `p` public.
            ring: of the runtime.
            elements: in each operand.
            frac: fraction bits of the runtime, or bits dropped by a truncation.
        """
        segments = self.rows[row][forms][ring]
        segment = next((s for s in reversed(segments) if s.frac <= frac), segments[0])
        per_element = segment.bytes + segment.bytes_per_bit * max(frac - segment.frac, 0)
        seconds = segment.us * 1e-6 + elements * segment.ns * 1e-9
        return Cost(elements * per_element, segment.messages, segment.rounds, seconds)


@functools.cache
def load_table() -> CostTable:
    """The table that ships with the compiler."""
    return table_from_json(json.loads(TABLE_PATH.read_text()))


def table_from_json(document: Mapping[str, Any]) -> CostTable:
    """The table in the content of its file."""
    return CostTable(
        engine=document["engine"],
        machine=document["machine"],
        rows={
            row: {
                forms: {int(ring): tuple(Segment(*s) for s in segments) for ring, segments in rings.items()}
                for forms, rings in by_form.items()
            }
            for row, by_form in document["rows"].items()
        },
        sort={int(ring): Sort(*values) for ring, values in document["sort"].items()},
        multiply_add_ns=_by_width(document["multiply_add_ns"]),
        cast_ns=document["cast"][0],
        cast_us=document["cast"][1],
        compare_ns=document["compare"][0],
        compare_us=document["compare"][1],
        call_us=document["call_us"],
        place_ns=_by_width(document["place_ns"]),
        beside=WorkTable(
            rows={
                row: {int(word): Work(*numbers) for word, numbers in by_word.items()}
                for row, by_word in document["beside"]["rows"].items()
            },
            multiply_add_ns=_by_width(document["beside"]["multiply_add_ns"]),
            read_ns=_by_width(document["beside"]["read_ns"]),
            round_us=document["beside"]["round_us"],
        ),
    )


def _by_width(numbers: Mapping[str, float]) -> dict[int, float]:
    return {int(bits): number for bits, number in numbers.items()}
