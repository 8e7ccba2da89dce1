"""What a program will cost and where: per scope, per ring, per kind of op; as text or JSON."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from ditto_compiler.cost.measured import Cost
from ditto_compiler.cost.model import OpCost, ProgramCost, estimate, seconds_on, total
from ditto_compiler.network import Network, load_network
from ditto_compiler.program import Call, Program
from ditto_compiler.showing import format_bytes, format_seconds, printable

OUTSIDE = "(no scope)"
"""Shown for ops that the user put in no scope."""

WIDTH = 118
"""Characters of a line of text that go into a report, where nothing else is asked for."""

NAME_WIDTH, CASTS_WIDTH = 24, 9
"""Least characters of columns that may go on in further lines; `128→64×12` is a long kind of cast."""

RING_STYLES = {32: "green", 64: "blue", 128: "magenta"}


@dataclass(frozen=True)
class Part:
    """The ops of one scope.

    Attributes:
        group: what the scope belongs to: a layer, or its first component.
        name: the rest of the scope.
        ops: its ops and casts.
    """

    group: str
    name: str
    ops: tuple[OpCost, ...]

    @property
    def cost(self) -> Cost:
        """Over all its ops."""
        return total(op.cost for op in self.ops)

    @property
    def rings(self) -> tuple[int, ...]:
        """Rings of the engine that it computes in, narrow to wide."""
        return tuple(sorted({op.ring for op in self.ops if not op.is_cast and not op.beside}))

    @property
    def widths(self) -> tuple[int, ...]:
        """Rings of the numbers that it makes beside the engine, narrow to wide."""
        return tuple(sorted(ring for ring in _widths(self.ops) if ring > 1))

    @property
    def computing(self) -> int:
        """How many ops do more than move or make values."""
        return sum(not op.is_cast and not op.is_view for op in self.ops)

    @property
    def truncated(self) -> int:
        """Elements that are truncated."""
        return sum(op.truncated for op in self.ops)

    @property
    def casts(self) -> Counter[str]:
        """How many casts of each kind, such as `32→64`."""
        return Counter(cast_label(op) for op in self.ops if op.is_cast)


@dataclass(frozen=True)
class Stage:
    """A step of the schedule: a region, casts between regions, or what runs beside the engine.

    Attributes:
        name: of the region; empty for all else.
        ring: of the region, or None.
        ops: ops, casts and rescales, or instructions.
    """

    name: str
    ring: int | None
    ops: tuple[OpCost, ...]

    @property
    def cost(self) -> Cost:
        """Over all its ops."""
        return total(op.cost for op in self.ops)

    @property
    def is_beside(self) -> bool:
        """Whether it runs on shares beside the engine."""
        return any(op.beside for op in self.ops)


def cast_label(op: OpCost) -> str:
    """`32→64`."""
    return f"{op.ring}→{op.target_ring}"


def split_scope(scope: str) -> tuple[str, str]:
    """The group and the rest of a scope: `encoder/layer0` and `attention/qkv`.

    A group ends with the first component that has a number at its end, as layers have, or is the first.
    """
    parts = scope.split("/")
    end = next((i for i, part in enumerate(parts) if re.search(r"\d$", part)), 0) + 1
    return "/".join(parts[:end]) or OUTSIDE, "/".join(parts[end:])


@dataclass(frozen=True)
class Report:
    """A program's cost, grouped.

    Attributes:
        program: its name.
        policy: its precision policy.
        cost: of each op.
        parts: by scope, in the order in which scopes end.
        stages: the schedule.
        networks: that times are predicted for.
        compile_seconds: wall time of each stage of compilation.
    """

    program: str
    policy: str
    cost: ProgramCost
    parts: tuple[Part, ...]
    stages: tuple[Stage, ...]
    networks: tuple[Network, ...]
    compile_seconds: dict[str, float]

    @property
    def groups(self) -> list[str]:
        """Groups in order."""
        return list(dict.fromkeys(part.group for part in self.parts))

    def by_op(self) -> list[tuple[str, int, Cost]]:
        """(label, how often, cost) of each kind of op that costs anything, most bytes first."""
        kinds: dict[str, list[Cost]] = {}
        for op in self.cost.ops:
            if op.cost.messages or op.cost.seconds:
                kinds.setdefault(op.label, []).append(op.cost)
        rows = [(op, len(costs), total(costs)) for op, costs in kinds.items()]
        return sorted(rows, key=lambda row: (-row[2].bytes, -row[2].seconds))

    @property
    def widths(self) -> dict[int, int]:
        """Elements that are made beside the engine, by ring, narrow to wide; booleans are in ring 1."""
        return dict(sorted(_widths(self.cost.ops).items()))

    def seconds(self, cost: Cost) -> dict[str, float]:
        """Predicted wall time on each network."""
        return {network.name: seconds_on(cost, network) for network in self.networks}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self._headline(), style="bold")
        for table in self._tables():
            yield _fitted(table, options.max_width)
        yield Text("\n".join(self.notes()), style="dim")

    def text(self, width: int = WIDTH) -> str:
        """Tables for a terminal, without colours; wider than `width` only if their numbers are."""
        stream = io.StringIO()
        # Else rich, in a notebook, shows the tables there and then, and writes nothing.
        options: dict[str, Any] = {"color_system": None, "force_jupyter": False}
        Console(file=stream, width=self.least_width(width), **options).print(self)
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"

    def least_width(self, width: int) -> int:
        """`width`, or what the tables need to show all of their numbers, with names on several lines."""
        return max(width, *map(_least_width, self._tables()))

    def _tables(self) -> list[Table]:
        widths = [self._width_table()] if self.widths else []
        return [self._scope_table(), self._op_table(), *widths]

    def json(self) -> str:
        """Everything, for programs to read."""
        document: dict[str, Any] = {
            "program": self.program,
            "policy": self.policy,
            "machine": self.cost.machine,
            "networks": {network.name: dataclasses.asdict(network) for network in self.networks},
            "compile_seconds": self.compile_seconds,
            "total": self._cost_json(self.cost.total),
            "scopes": [self._part_json(part) for part in self.parts],
            "ops": [{"op": op, "count": count, **self._cost_json(cost)} for op, count, cost in self.by_op()],
            "steps": [
                {
                    "region": stage.name,
                    "ring": stage.ring,
                    "ops": len(stage.ops),
                    **self._cost_json(stage.cost),
                }
                for stage in self.stages
            ],
            "unknown": list(self.cost.unknown),
        }
        if self.widths:
            document["beside_rings"] = self.widths
        if self.cost.prepared is not None:
            document["prepared"] = dataclasses.asdict(self.cost.prepared)
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def _cost_json(self, cost: Cost) -> dict[str, Any]:
        return {
            "bytes": round(cost.bytes),
            "messages": round(cost.messages),
            "rounds": round(cost.rounds),
            "compute_seconds": cost.seconds,
            "seconds": self.seconds(cost),
        }

    def _part_json(self, part: Part) -> dict[str, Any]:
        return {
            "group": part.group,
            "part": part.name,
            "rings": sorted({*part.rings, *part.widths}),
            "ops": part.computing,
            "casts": dict(part.casts),
            "truncated_elements": part.truncated,
            **self._cost_json(part.cost),
        }

    def _headline(self) -> str:
        cost = self.cost.total
        times = ", ".join(f"{format_seconds(s)} on {name}" for name, s in self.seconds(cost).items())
        return (
            f"{printable(self.program)} under policy {printable(self.policy)}: {format_bytes(cost.bytes)} "
            f"in {cost.messages:.0f} messages, {cost.rounds:.0f} rounds; {times}"
        )

    def _scope_table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, title="By scope", title_justify="left", pad_edge=False)
        table.add_column("scope", overflow="fold", min_width=NAME_WIDTH)
        table.add_column("rings", no_wrap=True)
        table.add_column("casts", overflow="fold", min_width=CASTS_WIDTH)
        numbers = (
            "ops",
            "truncated",
            "MB",
            "%",
            "rounds",
            *(f"{network.name} s" for network in self.networks),
        )
        for name in numbers:
            table.add_column(name, justify="right", no_wrap=True)
        whole = self.cost.total.bytes
        shown = ""
        for group, name, parts in fold(self.parts):
            if name and group != shown:
                table.add_row(Text(printable(group), style="bold"))
            shown = group
            cost = total(part.cost for part in parts)
            casts = sum((part.casts for part in parts), Counter[str]())
            seconds = self.seconds(cost).values()
            table.add_row(
                Text(f"  {printable(name)}") if name else Text(printable(group), style="bold"),
                _rings_text(parts),
                " ".join(f"{label}×{count}" for label, count in sorted(casts.items())),
                f"{sum(part.computing for part in parts)}",
                f"{sum(part.truncated for part in parts):,}",
                f"{cost.bytes / 1e6:.3f}",
                f"{100 * cost.bytes / whole:.1f}" if whole else "",
                f"{cost.rounds:.0f}",
                *(f"{s:.3f}" for s in seconds),
            )
        return table

    def _op_table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, title="By op", title_justify="left", pad_edge=False)
        table.add_column("op", overflow="fold", min_width=NAME_WIDTH)
        for name in (
            "count",
            "MB",
            "messages",
            "rounds",
            *(f"{network.name} s" for network in self.networks),
        ):
            table.add_column(name, justify="right", no_wrap=True)
        for op, count, cost in self.by_op():
            if cost.messages or op.startswith("beside: "):
                cells = (f"{cost.bytes / 1e6:.3f}", f"{cost.messages:.0f}", f"{cost.rounds:.0f}")
                seconds = self.seconds(cost).values()
                table.add_row(Text(printable(op)), f"{count}", *cells, *(f"{s:.3f}" for s in seconds))
        return table

    def _width_table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, title="Rings beside the engine", title_justify="left", pad_edge=False)
        table.add_column("ring", no_wrap=True, min_width=NAME_WIDTH)
        for name in ("elements", "%"):
            table.add_column(name, justify="right", no_wrap=True)
        whole = sum(self.widths.values())
        for ring, elements in self.widths.items():
            table.add_row(width_name(ring), f"{elements:,}", f"{100 * elements / whole:.1f}")
        return table

    def notes(self) -> list[str]:
        """How the numbers came about."""
        networks = "; ".join(f"{network.name}: {network}" for network in self.networks)
        lines = [
            "Bytes, messages and rounds are sums over the three parties; rounds follow one another.",
            f"Seconds = computing + bytes / 3 / bandwidth + rounds × RTT / 2 ({networks}).",
            f"Computing is a third of the processor time, measured op by op on: {self.cost.machine}.",
        ]
        if self.widths:
            lines.append(
                "Beside the engine, rounds are those of a longest chain of protocols; messages that several "
                "share count in parts."
            )
        if self.cost.prepared is not None:
            phases = self.cost.prepared
            lines.append(
                f"Prepared (cluster.prepare), {format_bytes(phases.ahead_bytes)} are sent ahead, in one "
                f"round, and then {format_bytes(phases.bytes)} in {phases.rounds} rounds."
            )
        if self.cost.unknown:
            lines.append(f"Not known and counted as free: {', '.join(self.cost.unknown)}.")
        return lines


def make_report(
    program: Program, networks: Sequence[str | Network] = ("lan", "wan"), between: Network | None = None
) -> Report:
    """Estimates a program's cost and groups it.

    Args:
        program: what to report on.
        networks: that times are predicted for.
        between: the network that casts are adapted to; None for those of fewest bytes.

    Raises:
        NetworkError: no such network.
    """
    known = tuple(load_network(network) for network in networks)
    cost = estimate(program, network=between)
    scopes: dict[tuple[str, str], list[OpCost]] = {}
    for op in cost.ops:
        scopes.setdefault(split_scope(op.scope), []).append(op)
    # In the order in which they end: what depends on nothing, such as masks of late layers, begins early.
    # Free ops do not count, for equal constants of many scopes are one op.
    last = dict.fromkeys(scopes, -1)
    last.update({split_scope(op.scope): index for index, op in enumerate(cost.ops) if not op.is_view})
    ends: dict[str, int] = {}
    for (group, _), index in last.items():
        ends[group] = max(index, ends.get(group, 0))
    ordered = sorted(scopes, key=lambda key: (ends[key[0]], last[key]))
    parts = tuple(Part(group, name, tuple(scopes[group, name])) for group, name in ordered)
    costing = tuple(part for part in parts if part.cost.messages or part.computing)
    return Report(
        program=program.name,
        policy=program.policy,
        cost=cost,
        parts=costing,
        stages=tuple(_stages(program, cost)),
        networks=known,
        compile_seconds=program.seconds,
    )


def _stages(program: Program, cost: ProgramCost) -> Iterable[Stage]:
    by_step: dict[int, list[OpCost]] = {}
    for op in cost.ops:
        by_step.setdefault(op.step, []).append(op)
    for number, step in enumerate(program.steps):
        ops = by_step.get(number, [])
        region = program.regions[step.region] if isinstance(step, Call) else None
        name, ring = ("", None) if region is None else (region.name, region.ring)
        yield Stage(name, ring, tuple(ops))


def fold(parts: Sequence[Part]) -> list[tuple[str, str, list[Part]]]:
    """(group, name, parts): layers that differ by a number only become one, such as `encoder/layer* (6)`."""
    members: dict[str, dict[str, None]] = {}
    rows: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        kind = re.sub(r"\d+", "*", part.group)
        members.setdefault(kind, {})[part.group] = None
        rows.setdefault((kind, part.name), []).append(part)
    kinds = list(members)
    titles = {
        kind: next(iter(groups)) if len(groups) == 1 else f"{kind} ({len(groups)})"
        for kind, groups in members.items()
    }
    ordered = sorted(rows, key=lambda key: kinds.index(key[0]))
    return [(titles[kind], name, rows[kind, name]) for kind, name in ordered]


def _natural_width(column: Column) -> int:
    cells = [column.header, *column.cells]
    shown = (cell.cell_len if isinstance(cell, Text) else cell_len(str(cell)) for cell in cells)
    return max(column.min_width or 0, *shown)


def _least_width(table: Table) -> int:
    """Characters of a line with all columns at their least, three spaces in between, and one at each end."""
    least = sum(
        _natural_width(column) if column.no_wrap else (column.min_width or 0) for column in table.columns
    )
    return least + 3 * len(table.columns) - 1


def _fitted(table: Table, width: int) -> Table:
    """A table of that width, in which names go on in further lines, and no number is cut.

    Rich would shorten all columns alike, and a number without its end is another number.
    """
    excess = sum(map(_natural_width, table.columns)) + 3 * len(table.columns) - 1 - width
    for column in table.columns:
        column.width = natural = _natural_width(column)
        if not column.no_wrap:
            column.width = max(column.min_width or 0, natural - max(excess, 0))
            excess -= natural - column.width
    return table


def _widths(ops: Iterable[OpCost]) -> Counter[int]:
    """Elements that are made beside the engine, by ring."""
    found: Counter[int] = Counter()
    for op in ops:
        if op.beside and not op.is_view and op.elements:
            found[op.ring] += op.elements
    return found


def _rings_text(parts: Sequence[Part]) -> Text:
    text = Text()
    for ring in sorted({ring for part in parts for ring in part.rings}):
        text.append(f"{ring} ", style=RING_STYLES[ring])
    return text.append(span({width for part in parts for width in part.widths}), style="cyan")


def span(widths: Iterable[int]) -> str:
    """`9-32`, the narrowest and the widest of some rings."""
    ends = sorted(widths)
    return "-".join(dict.fromkeys((str(ends[0]), str(ends[-1])))) if ends else ""


def width_name(ring: int) -> str:
    """A ring beside the engine."""
    return "booleans" if ring == 1 else f"{ring} bits"
