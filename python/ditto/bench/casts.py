"""`ditto bench casts`: what each cast costs, beside a memory copy and beside SPU's own truncation."""

from __future__ import annotations

import re
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
import spu
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from spu import libspu

from ditto.runtime.casts import CastEngine
from ditto.runtime.channel import Channel, LinkChannel, run_in_threads
from ditto.runtime.prf import KEY_BYTES, Stream, agree_streams
from ditto.runtime.shares import FIELDS, Held, to_share
from ditto.runtime.sharing import Ring, encode, share
from ditto_compiler.cost.casts import Mode
from ditto_compiler.dialect.encoding import Cast, Fxp

CASTS: tuple[Cast, ...] = (
    Cast(Fxp(32, 8), Fxp(64, 8)),
    Cast(Fxp(32, 8), Fxp(64, 18)),
    Cast(Fxp(32, 8), Fxp(128, 40)),
    Cast(Fxp(64, 18), Fxp(128, 40)),
    Cast(Fxp(32, 16), Fxp(32, 8)),
    Cast(Fxp(64, 36), Fxp(64, 18)),
    Cast(Fxp(128, 80), Fxp(128, 40)),
    Cast(Fxp(32, 8), Fxp(32, 12)),
    Cast(Fxp(64, 18), Fxp(32, 8)),
    Cast(Fxp(64, 36), Fxp(32, 8)),
    Cast(Fxp(128, 40), Fxp(64, 18)),
    Cast(Fxp(128, 40), Fxp(32, 8)),
)
"""One cast of each kind and ring pair, with the default fraction bits."""

_REPEATS = 9


@dataclass(frozen=True)
class CastCost:
    """One line of the benchmark. Bytes and messages are sums over the parties, counted at the link."""

    source: str
    target: str
    op: str
    mode: str
    elements: int
    bytes_per_element: float
    rounds: int
    """Longest chain of messages, each sent after the one before was received."""
    seconds: float
    """The cast of the whole tensor by three threads over SPU's in-memory link."""
    kernels_gb_per_s: float
    """Bytes that a party reads and writes (slots and messages) per second on one core, masks apart."""
    local_gb_per_s: float
    """The same with the masks made by AES."""
    copy_gb_per_s: float
    """A memory copy that reads and writes as many bytes, into memory in use."""
    spu_bits: int
    """Bits that SPU's truncation drops: those of the cast, or the source's fraction."""
    spu_bytes_per_element: float
    spu_seconds: float


class _Recorder:
    """Passes messages on, keeps those received, and measures how long the chain of messages got."""

    def __init__(self, channel: Channel, depths: Mapping[tuple[int, int], deque[int]], rank: int) -> None:
        self._channel = channel
        self._depths = depths
        self._rank = rank
        self.received: list[bytes] = []
        self.depth = 0

    def send(self, dst_rank: int, message: bytes) -> None:
        # Before the message itself, so that its depth is there when it arrives.
        self._depths[self._rank, dst_rank].append(self.depth + 1)
        self._channel.send(dst_rank, message)

    def recv(self, src_rank: int) -> bytes:
        message = self._channel.recv(src_rank)
        self.depth = max(self.depth, self._depths[src_rank, self._rank].popleft())
        self.received.append(message)
        return message


class _Replay:
    """Plays one party's peers from a recording; what the party sends is dropped."""

    def __init__(self, received: Iterable[bytes]) -> None:
        self._received = iter(received)

    def send(self, dst_rank: int, message: bytes) -> None:
        pass

    def recv(self, src_rank: int) -> bytes:
        return next(self._received)


class _Ready(Stream):
    """Masks at no cost: the same bytes each time. For timing only."""

    def __init__(self) -> None:
        super().__init__(bytes(KEY_BYTES))
        self._bytes = np.zeros(0, np.uint8)

    def take(self, size: int) -> NDArray[np.uint8]:
        if self._bytes.size < size:
            self._bytes = super().take(size)
        return self._bytes[:size]


def bench_casts(elements: int = 1 << 20, casts: Iterable[Cast] = CASTS) -> list[CastCost]:
    """Measure each cast on `elements` elements; interactive ones in both modes."""
    truncations: dict[tuple[int, int], tuple[float, float]] = {}
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        truncation = _SpuTruncation(Path(folder) / "spu.log")
        for cast in casts:
            slots = _slots(cast.source.ring, cast.source.frac, elements)
            bits = cast.shift_right or cast.source.frac
            key = (cast.source.ring, bits)
            if key not in truncations:
                truncations[key] = truncation.measure(slots, *key)
            modes: tuple[Mode, ...] = ("two-round", "one-round") if cast.wrap_bits else ("two-round",)
            costs += [_cost(cast, mode, slots, bits, truncations[key]) for mode in modes]
    return costs


def _slots(ring: int, frac: int, elements: int) -> tuple[Ring, Ring, Ring]:
    values = np.random.default_rng(0).standard_normal(elements)
    # Standard normal numbers need 3 bits and a sign; near the top of the ring there is less room.
    return share(encode(values * 2.0 ** min(0, ring - 6 - frac), Fxp(ring, frac)), ring)


def _cost(
    cast: Cast, mode: Mode, slots: tuple[Ring, ...], spu_bits: int, spu_cost: tuple[float, float]
) -> CastCost:
    elements = len(slots[0])
    sent, seconds, result = _run_over_link(cast, mode, slots)
    moved = slots[0].nbytes + result.nbytes + 2 * sent / 3
    kernels, local = _local_seconds(cast, mode, slots)
    return CastCost(
        str(cast.source),
        str(cast.target),
        cast.op,
        mode if cast.wrap_bits else "local",
        elements,
        sent / elements,
        _rounds(cast, mode),
        seconds,
        moved / kernels / 1e9,
        moved / local / 1e9,
        moved / _copy_seconds(int(moved / 2)) / 1e9,
        spu_bits,
        *spu_cost,
    )


def _run_over_link(cast: Cast, mode: Mode, slots: tuple[Ring, ...]) -> tuple[int, float, Ring]:
    """Bytes sent by all parties, seconds of the slowest party (best of several), one party's result."""

    def party(link: Any) -> tuple[int, float, Ring]:
        channel = LinkChannel(link)
        engine = CastEngine(link.rank, channel, agree_streams(link.rank, channel), mode=mode)
        best = float("inf")
        for _ in range(_REPEATS):
            before = channel.bytes_sent
            start = time.perf_counter()
            (result,) = engine.cast_many([(cast, slots[link.rank])])
            best = min(best, time.perf_counter() - start)
        return channel.bytes_sent - before, best, result

    results = _three_links(party)
    return sum(r[0] for r in results), max(r[1] for r in results), results[0][2]


def _three_links(party: Callable[[Any], Any]) -> list[Any]:
    """Run `party` as three threads, each with its end of an in-memory SPU link."""
    desc = libspu.link.Desc()
    for rank in range(3):
        desc.add_party(f"party{rank}", f"thread{rank}")
    return run_in_threads(lambda channel: party(libspu.link.create_mem(desc, channel.rank)))


def _rounds(cast: Cast, mode: Mode) -> int:
    slots = _slots(cast.source.ring, cast.source.frac, 64)
    return max(recorder.depth for recorder in _record(cast, mode, slots))


def _record(cast: Cast, mode: Mode, slots: tuple[Ring, ...]) -> list[_Recorder]:
    depths: dict[tuple[int, int], deque[int]] = {(a, b): deque() for a in range(3) for b in range(3)}

    def party(channel: Any) -> _Recorder:
        recorder = _Recorder(channel, depths, channel.rank)
        streams = {other: _Ready() for other in range(3)}
        CastEngine(channel.rank, recorder, streams, mode=mode).cast_many([(cast, slots[channel.rank])])
        return recorder

    return run_in_threads(party)


def _local_seconds(cast: Cast, mode: Mode, slots: tuple[Ring, ...]) -> tuple[float, float]:
    """Processor seconds of one party, the mean of the three: without and with making the masks."""
    received = [recorder.received for recorder in _record(cast, mode, slots)]

    def mean(stream: Callable[[], Stream]) -> float:
        total = 0.0
        for rank in range(3):
            streams = {other: stream() for other in range(3)}
            total += _best_seconds(
                lambda rank=rank, streams=streams: CastEngine(  # type: ignore[misc]
                    rank, _Replay(received[rank]), streams, mode=mode
                ).cast_many([(cast, slots[rank])]),
                time.thread_time,
            )
        return total / 3

    return mean(_Ready), mean(lambda: Stream(bytes(KEY_BYTES)))


def _copy_seconds(size: int) -> float:
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    return _best_seconds(lambda: np.copyto(target, source), time.thread_time)


def _best_seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        start = clock()
        work()
        best = min(best, clock() - start)
    return best


class _SpuTruncation:
    """SPU's truncation of a tensor: a fixed-point product with a public 1, which drops its fraction.

    Args:
        log: where SPU is made to log its traffic, the only place that tells it.
    """

    _SENT = re.compile(r"Link details: total send bytes (\d+)")
    _CODE = """
    module @truncate attributes {{pphlo.version = "0.9.5"}} {{
      func.func @main(%x: tensor<{0}x!pphlo.secret<f32>>, %one: tensor<{0}xf32>) -> tensor<{0}x!pphlo.secret<f32>> {{
        %0 = "pphlo.multiply"(%x, %one)
            : (tensor<{0}x!pphlo.secret<f32>>, tensor<{0}xf32>) -> tensor<{0}x!pphlo.secret<f32>>
        return %0 : tensor<{0}x!pphlo.secret<f32>>
      }}
    }}
    """  # noqa: E501

    def __init__(self, log: Path) -> None:
        self._log = log
        options = libspu.logging.LogOptions()
        options.enable_console_logger = False
        options.system_log_path = str(log)
        libspu.logging.setup_logging(options)

    def measure(self, slots: tuple[Ring, ...], ring: int, bits: int) -> tuple[float, float]:
        """Bytes per element over all parties, and seconds of the slowest party (best of several)."""
        elements = len(slots[0])
        executable = libspu.Executable(
            name="truncate",
            input_names=["x", "one"],
            output_names=["y"],
            code=self._CODE.format(elements).encode(),
        )
        one = encode(np.ones(elements), Fxp(ring, 0))

        def party(link: Any) -> float:
            config = libspu.RuntimeConfig()
            config.protocol = libspu.ABY3
            config.field = FIELDS[ring]
            config.fxp_fraction_bits = bits
            config.enable_pphlo_profile = True
            runtime = spu.Runtime(link, config)
            runtime.set_var("x", to_share(Held("arithmetic", slots[link.rank]), (elements,), "f32", ring))
            runtime.set_var("one", to_share(Held("public", one), (elements,), "f32", ring))
            return _best_seconds(lambda: runtime.run(executable))

        before = self._bytes_sent()
        seconds = max(_three_links(party))
        return (self._bytes_sent() - before) / _REPEATS / elements, seconds

    def _bytes_sent(self) -> int:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return sum(int(match[1]) for match in self._SENT.finditer(text))


def print_costs(costs: list[CastCost], console: Console) -> None:
    """The benchmark as a table."""
    table = Table(title=f"Casts of {costs[0].elements:,} elements, three parties on this machine")
    for heading in ("cast", "mode"):
        table.add_column(heading, no_wrap=True)
    numbers = ("bytes/el", "rounds", "ms", "kernels GB/s", "x copy", "with masks GB/s", "x copy")
    for heading in (*numbers, "SPU trunc", "bytes/el", "ms"):
        table.add_column(heading, justify="right")
    for cost in costs:
        names = (text.removeprefix("#ditto.") for text in (cost.source, cost.target))
        table.add_row(
            " -> ".join(names),
            cost.mode,
            f"{cost.bytes_per_element:g}",
            str(cost.rounds),
            f"{cost.seconds * 1e3:.2f}",
            f"{cost.kernels_gb_per_s:.1f}",
            f"{cost.copy_gb_per_s / cost.kernels_gb_per_s:.1f}",
            f"{cost.local_gb_per_s:.1f}",
            f"{cost.copy_gb_per_s / cost.local_gb_per_s:.1f}",
            f"{cost.spu_bits} bits",
            f"{cost.spu_bytes_per_element:g}",
            f"{cost.spu_seconds * 1e3:.2f}",
        )
    console.print(table)
    console.print(
        "GB/s: bytes that a party reads and writes (slots and messages) per second on one core. 'x copy': "
        "how many times longer than a memory copy that reads and writes as many bytes takes. 'SPU trunc': "
        "stock SPU's truncation of the same tensor in the source ring, by the bits that the cast drops, or "
        "by the source's fraction bits."
    )


def cost_table() -> str:
    """The costs that the formulas give, as the Markdown table of docs/protocols.md."""
    lines = [
        "| cast | word, bits | two rounds, bytes | one round, bytes |",
        "|---|---|---|---|",
    ]
    for cast in CASTS:
        names = " -> ".join(str(e).removeprefix("#ditto.") for e in (cast.source, cast.target))
        total = cast.bytes_per_element
        lines.append(f"| `{names}` | {cast.wrap_bits} | {total} | {total * 5 // 4} |")
    return "\n".join(lines) + "\n"


def main(elements: int = 1 << 20, json: Path | None = None) -> None:
    """Measure, print, and write the numbers to the file `json` if given."""
    costs = bench_casts(elements)
    # The table does not fold well.
    print_costs(costs, Console(width=max(Console().width, 150)))
    if json is not None:
        json.write_text(dumps([asdict(cost) for cost in costs], indent=2) + "\n")
