"""`ditto bench casts`: what casts and comparisons cost, beside SPU's own truncation and comparison.

Casts are also measured against a memory copy.
"""

from __future__ import annotations

import re
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

from ditto.runtime.party.engine_shares import FIELDS, Held, to_share
from ditto.runtime.protocols.cast_engine import CastEngine
from ditto.runtime.protocols.comparison_engine import Comparison, ComparisonEngine
from ditto.runtime.protocols.prf import KEY_BYTES, Stream, agree_streams
from ditto.runtime.protocols.sharing import Ring, encode, share
from ditto.runtime.transport.channel import Channel, LinkChannel, run_in_threads
from ditto.runtime.transport.runtime_folder import RuntimeFolder
from ditto_compiler.cost.batches import comparisons_cost
from ditto_compiler.encoding import Cast, Fxp
from ditto_compiler.protocols.cast_batches import Mode
from ditto_compiler.protocols.comparison_batches import Group, comparison_rounds

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

COMPARISONS: tuple[tuple[int, int], ...] = ((32, 1), (32, 3), (64, 1), (64, 3), (128, 1))
"""Rings, and with how many thresholds a value is compared in them."""

_REPEATS = 9

_Work = Callable[[int, Channel, Mapping[int, Stream]], Callable[[], Any]]
"""What is measured: from a party's rank, channel and streams, its part, which may be done repeatedly."""


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


@dataclass(frozen=True)
class ComparisonCost:
    """One line of the benchmark of comparisons, with counts and times as in `CastCost`."""

    ring: int
    thresholds: int
    elements: int
    bytes_per_element: float
    rounds: int
    seconds: float
    kernels_ns: float
    """Processor time of one party per comparison, masks apart."""
    local_ns: float
    """The same with the masks made by AES."""
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
    with RuntimeFolder() as folder:
        engine = _Spu(folder.path / "spu.log")
        for cast in casts:
            slots = _slots(cast.source.ring, cast.source.frac, elements)
            bits = cast.shift_right or cast.source.frac
            key = (cast.source.ring, bits)
            if key not in truncations:
                truncations[key] = engine.truncate(slots, *key)
            modes: tuple[Mode, ...] = ("two-round", "one-round") if cast.wrap_bits else ("two-round",)
            costs += [_cost(cast, mode, slots, bits, truncations[key]) for mode in modes]
    return costs


def bench_comparisons(
    elements: int = 1 << 20, cases: Iterable[tuple[int, int]] = COMPARISONS
) -> list[ComparisonCost]:
    """Measure comparisons of `elements` elements, with so many thresholds, in each ring."""
    costs = []
    with RuntimeFolder() as folder:
        engine = _Spu(folder.path / "spu.log")
        for ring, thresholds in cases:
            slots = _slots(ring, ring // 4, elements)
            work = _comparing(ring, thresholds, slots)
            sent, seconds, _ = _run_over_link(work)
            kernels, local = _local_seconds(work)
            rounds = _rounds(_comparing(ring, thresholds, _slots(ring, ring // 4, 64)))
            costs.append(
                ComparisonCost(
                    ring,
                    thresholds,
                    elements,
                    sent / elements,
                    rounds,
                    seconds,
                    kernels / elements / thresholds * 1e9,
                    local / elements / thresholds * 1e9,
                    *engine.compare(slots, ring, thresholds),
                )
            )
    return costs


def _casting(cast: Cast, mode: Mode, slots: tuple[Ring, ...]) -> _Work:
    def work(rank: int, channel: Channel, streams: Mapping[int, Stream]) -> Callable[[], Ring]:
        engine = CastEngine(rank, channel, streams, mode=mode)
        return lambda: engine.cast_many([(cast, slots[rank])])[0]

    return work


def _comparing(ring: int, thresholds: int, slots: tuple[Ring, ...]) -> _Work:
    def work(rank: int, channel: Channel, streams: Mapping[int, Stream]) -> Callable[[], Any]:
        engine = ComparisonEngine(rank, channel, streams)
        comparison = Comparison(ring, slots[rank], tuple(range(thresholds)))
        return lambda: engine.less_many([comparison])

    return work


def _slots(ring: int, frac: int, elements: int) -> tuple[Ring, Ring, Ring]:
    values = np.random.default_rng(0).standard_normal(elements)
    # Standard normal numbers need 3 bits and a sign; near the top of the ring there is less room.
    return share(encode(values * 2.0 ** min(0, ring - 6 - frac), Fxp(ring, frac)), ring)


def _cost(
    cast: Cast, mode: Mode, slots: tuple[Ring, ...], spu_bits: int, spu_cost: tuple[float, float]
) -> CastCost:
    elements = len(slots[0])
    work = _casting(cast, mode, slots)
    sent, seconds, result = _run_over_link(work)
    moved = slots[0].nbytes + result.nbytes + 2 * sent / 3
    kernels, local = _local_seconds(work)
    few = _slots(cast.source.ring, cast.source.frac, 64)
    return CastCost(
        str(cast.source),
        str(cast.target),
        cast.op,
        mode if cast.wrap_bits else "local",
        elements,
        sent / elements,
        _rounds(_casting(cast, mode, few)),
        seconds,
        moved / kernels / 1e9,
        moved / local / 1e9,
        moved / _copy_seconds(int(moved / 2)) / 1e9,
        spu_bits,
        *spu_cost,
    )


def _run_over_link(work: _Work) -> tuple[int, float, Any]:
    """Bytes sent by all parties, seconds of the slowest party (best of several), one party's result."""

    def party(link: Any) -> tuple[int, float, Any]:
        channel = LinkChannel(link)
        part = work(link.rank, channel, agree_streams(link.rank, channel))
        best = float("inf")
        for _ in range(_REPEATS):
            before = channel.bytes_sent
            start = time.perf_counter()
            result = part()
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


def _rounds(work: _Work) -> int:
    return max(recorder.depth for recorder in _record(work))


def _record(work: _Work) -> list[_Recorder]:
    depths: dict[tuple[int, int], deque[int]] = {(a, b): deque() for a in range(3) for b in range(3)}

    def party(channel: Any) -> _Recorder:
        recorder = _Recorder(channel, depths, channel.rank)
        work(channel.rank, recorder, {other: _Ready() for other in range(3)})()
        return recorder

    return run_in_threads(party)


def _local_seconds(work: _Work) -> tuple[float, float]:
    """Processor seconds of one party, the mean of the three: without and with making the masks."""
    received = [recorder.received for recorder in _record(work)]

    def mean(stream: Callable[[], Stream]) -> float:
        total = 0.0
        for rank in range(3):
            streams = {other: stream() for other in range(3)}
            total += _best_seconds(
                lambda rank=rank, streams=streams: work(  # type: ignore[misc]
                    rank, _Replay(received[rank]), streams
                )(),
                time.thread_time,
            )
        return total / 3

    return mean(_Ready), mean(lambda: Stream(bytes(KEY_BYTES)))


def _copy_seconds(size: int) -> float:
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    return _best_seconds(lambda: np.copyto(target, source), time.thread_time)


def _best_seconds(
    work: Callable[[], object], clock: Callable[[], float] = time.perf_counter, repeats: int = _REPEATS
) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = clock()
        work()
        best = min(best, clock() - start)
    return best


class _Spu:
    """Stock SPU's counterparts, of the same tensors.

    Args:
        log: where SPU is made to log its traffic, the only place that tells it.
    """

    _SENT = re.compile(r"Link details: total send bytes (\d+)")
    _TRUNCATE = """
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

    def truncate(self, slots: tuple[Ring, ...], ring: int, bits: int) -> tuple[float, float]:
        """A fixed-point product with a public 1, which drops its fraction of `bits`: see `_measure`."""
        elements = len(slots[0])
        return self._measure(
            self._TRUNCATE.format(elements), slots, ring, bits, {"one": np.ones(elements)}, ["y"]
        )

    def compare(self, slots: tuple[Ring, ...], ring: int, thresholds: int) -> tuple[float, float]:
        """With public numbers, as many as `thresholds`: see `_measure`."""
        elements = len(slots[0])
        names = [f"c{i}" for i in range(thresholds)]
        x, bits = f"tensor<{elements}x!pphlo.secret<f32>>", f"tensor<{elements}x!pphlo.secret<i1>>"
        public = f"tensor<{elements}xf32>"
        lines = [
            'module @compare attributes {pphlo.version = "0.9.5"} {',
            f"func.func @main(%x: {x}, {', '.join(f'%{name}: {public}' for name in names)})"
            f" -> ({', '.join([bits] * thresholds)}) {{",
            *(
                f'%{i} = "pphlo.less"(%x, %{name}) : ({x}, {public}) -> {bits}'
                for i, name in enumerate(names)
            ),
            f"return {', '.join(f'%{i}' for i in range(thresholds))} : {', '.join([bits] * thresholds)}",
            "}}",
        ]
        constants = {name: np.full(elements, float(i)) for i, name in enumerate(names)}
        outputs = [f"y{name}" for name in names]
        # It takes seconds.
        return self._measure("\n".join(lines), slots, ring, 8, constants, outputs, repeats=3)

    def _measure(
        self,
        code: str,
        slots: tuple[Ring, ...],
        ring: int,
        bits: int,
        constants: Mapping[str, NDArray[np.float64]],
        outputs: list[str],
        repeats: int = _REPEATS,
    ) -> tuple[float, float]:
        """Bytes per element over all parties, and seconds of the slowest party (best of several).

        The program's first argument is secret and has the given slots, with `bits` fraction bits.
        """
        elements = len(slots[0])
        executable = libspu.Executable(
            name="bench", input_names=["x", *constants], output_names=outputs, code=code.encode()
        )

        def party(link: Any) -> float:
            config = libspu.RuntimeConfig()
            config.protocol = libspu.ABY3
            config.field = FIELDS[ring]
            config.fxp_fraction_bits = bits
            config.enable_pphlo_profile = True
            runtime = spu.Runtime(link, config)
            runtime.set_var("x", to_share(Held("arithmetic", slots[link.rank]), (elements,), "f32", ring))
            for name, values in constants.items():
                public = Held("public", encode(values, Fxp(ring, 0)))
                runtime.set_var(name, to_share(public, (elements,), "f32", ring))
            return _best_seconds(lambda: runtime.run(executable), repeats=repeats)

        before = self._bytes_sent()
        seconds = max(_three_links(party))
        return (self._bytes_sent() - before) / repeats / elements, seconds

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


def print_comparisons(costs: list[ComparisonCost], console: Console) -> None:
    """The benchmark of comparisons as a table."""
    table = Table(title=f"Comparisons of {costs[0].elements:,} elements with public thresholds")
    numbers = ("ring", "thresholds", "bytes/el", "rounds", "ms", "kernels ns", "with masks ns")
    for heading in (*numbers, "SPU bytes/el", "ms"):
        table.add_column(heading, justify="right")
    for cost in costs:
        table.add_row(
            str(cost.ring),
            str(cost.thresholds),
            f"{cost.bytes_per_element:g}",
            str(cost.rounds),
            f"{cost.seconds * 1e3:.2f}",
            f"{cost.kernels_ns:.1f}",
            f"{cost.local_ns:.1f}",
            f"{cost.spu_bytes_per_element:g}",
            f"{cost.spu_seconds * 1e3:.2f}",
        )
    console.print(table)
    console.print("ns: processor time of one party per element and threshold. SPU: its own `less`.")


def cost_table() -> str:
    """The costs that the formulas give, as the Markdown table of docs/explanation/protocols.md."""
    lines = [
        "| cast | word, bits | two rounds, bytes | one round, bytes |",
        "|---|---|---|---|",
    ]
    for cast in CASTS:
        names = " -> ".join(str(e).removeprefix("#ditto.") for e in (cast.source, cast.target))
        total = cast.bytes_per_element
        lines.append(f"| `{names}` | {cast.wrap_bits} | {total} | {total * 5 // 4} |")
    return "\n".join(lines) + "\n"


def comparison_table() -> str:
    """The costs of comparisons by the formulas, as the Markdown table of docs/explanation/protocols.md."""
    lines = ["| ring | thresholds | bytes | rounds |", "|---|---|---|---|"]
    for ring, thresholds in COMPARISONS:
        # A multiple of eight, of which nothing is padded.
        sent = comparisons_cost([Group(ring, 8, thresholds)]).bytes / 8
        lines.append(f"| {ring} | {thresholds} | {sent:g} | {comparison_rounds(ring)} |")
    return "\n".join(lines) + "\n"


def main(elements: int = 1 << 20, json: Path | None = None) -> None:
    """Measure, print, and write the numbers to the file `json` if given."""
    costs = bench_casts(elements)
    comparisons = bench_comparisons(elements)
    # The table does not fold well.
    console = Console(width=max(Console().width, 150))
    print_costs(costs, console)
    print_comparisons(comparisons, console)
    if json is not None:
        json.write_text(dumps([*map(asdict, costs), *map(asdict, comparisons)], indent=2) + "\n")
