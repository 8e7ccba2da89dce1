"""A report as one HTML page: no scripts, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib import resources

from ditto_compiler.cost.instructions import KINDS, LOCAL
from ditto_compiler.cost.measured import Cost
from ditto_compiler.cost.model import OpCost, seconds_on, total
from ditto_compiler.network import Network
from ditto_compiler.report.summary import (
    Part,
    Report,
    Stage,
    cast_label,
    fold,
    span,
    width_name,
)
from ditto_compiler.showing import format_bytes, format_seconds


@dataclass(frozen=True)
class Metric:
    """Something that bars can show.

    Attributes:
        key: in element ids.
        title: on its button.
        value: of a cost.
        format: a value as text.
    """

    key: str
    title: str
    value: Callable[[Cost], float]
    format: Callable[[float], str]


BESIDE = (*dict.fromkeys(KINDS.values()), LOCAL)
"""Kinds of what runs beside the engine, in the order in which bars show them."""


@dataclass(frozen=True)
class Piece:
    """A coloured piece of a bar: what one scope does in one ring, its casts, or a kind beside the engine."""

    kind: str
    """CSS class: `r64`, `cast`, or a kind of `BESIDE`."""
    label: str
    ops: tuple[OpCost, ...]

    @property
    def cost(self) -> Cost:
        """Over its ops."""
        return total(op.cost for op in self.ops)


def metrics(report: Report) -> list[Metric]:
    """Bytes, rounds, and time on each network."""

    def seconds(network: Network, cost: Cost) -> float:
        return seconds_on(cost, network)

    return [
        Metric("bytes", "bytes", lambda cost: cost.bytes, format_bytes),
        Metric("rounds", "rounds", lambda cost: cost.rounds, lambda value: f"{value:.0f}"),
        *(
            Metric(f"time{i}", f"time on {network.name}", partial(seconds, network), format_seconds)
            for i, network in enumerate(report.networks)
        ),
    ]


def page(report: Report) -> str:
    """The page."""
    shown = metrics(report)
    style = resources.files("ditto_compiler.report").joinpath("page.css").read_text()
    inputs = "".join(
        f'<input type="radio" name="metric" id="{m.key}"{" checked" if i == 0 else ""}>'
        for i, m in enumerate(shown)
    )
    buttons = "".join(f'<label for="{m.key}">{escape(m.title)}</label>' for m in shown)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.program)} · {escape(report.policy)}</title>
<style>
{style}{_metric_style(shown)}
</style>
<header>
<h1>{escape(report.program)}</h1>
<p>policy <b>{escape(report.policy)}</b>, predicted for three parties</p>
</header>
{_cards(report)}
<section class="charts">{inputs}
<div class="head"><h2>Where it goes</h2><nav>{buttons}</nav></div>
{_legend(report)}
{"".join(_chart(report, metric) for metric in shown)}
</section>
<section>
<h2>Schedule</h2>
{_schedule(report)}
</section>
<section>
<h2>Scopes</h2>
{_scope_table(report)}
</section>
<section>
<h2>Kinds of op</h2>
{_op_table(report)}
</section>
{_width_section(report)}<footer>{"".join(f"<p>{escape(line)}</p>" for line in report.notes())}</footer>
</html>
"""


def _cards(report: Report) -> str:
    cost = report.cost.total
    casts = [op for op in report.cost.ops if op.is_cast]
    cast_bytes = total(op.cost for op in casts).bytes
    regions = sum(stage.ring is not None for stage in report.stages)
    cards = [
        (format_bytes(cost.bytes), "sent by all parties", f"{cost.bytes:,.0f} bytes"),
        (f"{cost.rounds:,.0f}", "rounds", f"{cost.messages:,.0f} messages"),
        *(
            (format_seconds(seconds_on(cost, network)), f"on {network.name}", str(network))
            for network in report.networks
        ),
        (f"{len(casts)}", "casts", f"{format_bytes(cast_bytes)} between {regions} regions"),
    ]
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><div class="big">{escape(big)}</div><div>{escape(what)}</div>'
            f'<div class="small">{escape(small)}</div></div>'
            for big, what, small in cards
        )
        + "</div>"
    )


def _rings(report: Report) -> list[int]:
    return sorted({ring for part in report.parts for ring in part.rings})


def _legend(report: Report) -> str:
    entries = [(f"r{ring}", f"ring {ring}") for ring in _rings(report)]
    if any(op.is_cast for op in report.cost.ops):
        entries.append(("cast", "casts between rings"))
    kinds = {op.beside for op in report.cost.ops}
    entries += ((kind, f"beside: {kind}") for kind in BESIDE if kind in kinds)
    keys = "".join(f'<span><i class="{kind}"></i>{escape(text)}</span>' for kind, text in entries)
    return f'<p class="legend">{keys}</p>'


def _pieces(parts: Sequence[Part]) -> list[Piece]:
    """The pieces of a group's bar: parts in order, each its rings, narrow to wide, its casts, the rest."""
    pieces = []
    for part in parts:
        for ring in part.rings:
            ops = tuple(op for op in part.ops if not op.is_cast and not op.beside and op.ring == ring)
            pieces.append(Piece(f"r{ring}", part.name or part.group, ops))
        casts = tuple(op for op in part.ops if op.is_cast)
        if casts:
            pieces.append(Piece("cast", part.name or part.group, casts))
        for kind in BESIDE:
            ops = tuple(op for op in part.ops if op.beside == kind)
            if ops:
                pieces.append(Piece(kind, part.name or part.group, ops))
    return pieces


def _chart(report: Report, metric: Metric) -> str:
    """A stacked bar per group."""
    bars = [
        (group, _pieces([part for part in report.parts if part.group == group])) for group in report.groups
    ]
    totals = [metric.value(total(piece.cost for piece in pieces)) for _, pieces in bars]
    longest = max(totals, default=0.0) or 1.0
    rows = []
    for (group, pieces), length in zip(bars, totals, strict=True):
        if length == 0:
            continue
        segments = "".join(_segment(piece, metric, longest) for piece in pieces)
        rows.append(
            f'<div class="row"><div class="name">{escape(group)}</div><div class="bar">{segments}</div>'
            f'<div class="value">{escape(metric.format(length))}</div></div>'
        )
    return f'<div class="chart" data-metric="{metric.key}">{"".join(rows)}</div>'


def _segment(piece: Piece, metric: Metric, longest: float) -> str:
    value = metric.value(piece.cost)
    width = 100 * value / longest
    if value == 0:
        return ""
    name = piece.label.rpartition("/")[2]
    # A character is about 0.75 % of a bar.
    label = f"<span>{escape(name)}</span>" if width > 1.5 + 0.8 * len(name) else ""
    title = f"{piece.label}: {metric.format(value)}\n{_describe(piece)}"
    return f'<div class="{piece.kind}" style="width:{width:.3f}%" title="{escape(title)}">{label}</div>'


def _describe(piece: Piece) -> str:
    """What is in a piece, for its tooltip."""
    if piece.kind == "cast":
        counts = Counter(f"{op.op} {cast_label(op)}, {op.elements:,} elements" for op in piece.ops)
        return "\n".join(f"{count} × {text}" for text, count in counts.items())
    costing = Counter(op.op for op in piece.ops if op.cost.messages)
    ops = ", ".join(op if count == 1 else f"{count} × {op}" for op, count in costing.items())
    cost = piece.cost
    where = f"beside, {piece.kind}" if piece.kind in BESIDE else piece.kind.replace("r", "ring ")
    return (
        f"{where}: {ops or 'local ops'}\n"
        f"{format_bytes(cost.bytes)}, {cost.messages:.0f} messages, {cost.rounds:.0f} rounds"
    )


def _schedule(report: Report) -> str:
    """A line per network: regions and casts as long as they are predicted to take."""
    regions = sum(stage.ring is not None for stage in report.stages)
    beside = sum(stage.is_beside for stage in report.stages)
    lines = [_timeline(report, network) for network in report.networks]
    steps = f", {beside} steps beside the engine" if beside else ""
    return (
        f'<p class="legend">{regions} regions{steps} and {len(report.stages) - regions - beside} batches of '
        "casts and truncations, one after the other, as long as they are predicted to take</p>"
        + "".join(lines)
    )


def _timeline(report: Report, network: Network) -> str:
    whole = seconds_on(report.cost.total, network) or 1.0
    shapes = []
    start = 0.0
    for stage in report.stages:
        seconds = seconds_on(stage.cost, network)
        title = f"{_stage_title(stage)}\n{format_seconds(seconds)}, {stage.cost.rounds:.0f} rounds"
        shapes.append(
            f'<rect class="{_stage_kind(stage)}" x="{1000 * start / whole:.3f}" '
            f'width="{1000 * seconds / whole:.3f}" height="1"><title>{escape(title)}</title></rect>'
        )
        start += seconds
    return (
        f'<div class="row"><div class="name">{escape(network.name)}</div>'
        f'<svg class="timeline" viewBox="0 0 1000 1" preserveAspectRatio="none">{"".join(shapes)}</svg>'
        f'<div class="value">{escape(format_seconds(whole))}</div></div>'
    )


def _stage_kind(stage: Stage) -> str:
    """CSS class: of the ring, of casts, of what runs beside the engine, or of truncations outside of it."""
    if stage.ring is not None:
        return f"r{stage.ring}"
    if stage.is_beside:
        return "beside"
    return (
        "cast"
        if any(op.is_cast for op in stage.ops)
        else f"r{stage.ops[0].ring} outside"
        if stage.ops
        else ""
    )


def _stage_title(stage: Stage) -> str:
    if stage.ring is not None:
        return f"{stage.name}: ring {stage.ring}, {len(stage.ops)} ops"
    if stage.is_beside:
        costing = Counter(op.beside for op in stage.ops if op.cost.messages)
        kinds = ", ".join(f"{count} × {kind}" for kind, count in costing.items())
        return f"beside the engine: {kinds or 'local ops'}"
    counts = Counter(f"{op.op} {cast_label(op)}" if op.is_cast else op.op for op in stage.ops)
    return ", ".join(f"{count} × {text}" for text, count in counts.items())


def _scope_table(report: Report) -> str:
    heads = [
        "rings",
        "casts",
        "ops",
        "truncated",
        "sent",
        "",
        "rounds",
        *(network.name for network in report.networks),
    ]
    rows = []
    whole = report.cost.total.bytes or 1.0
    shown = ""
    for group, name, parts in fold(report.parts):
        if name and group != shown:
            rows.append(f'<tr class="group"><th colspan="{len(heads) + 1}">{escape(group)}</th></tr>')
        shown = group
        cost = total(part.cost for part in parts)
        casts = sum((part.casts for part in parts), Counter[str]())
        rings = _pills({r for part in parts for r in part.rings}, {w for part in parts for w in part.widths})
        marks = "".join(f'<i class="pill cast">{escape(label)}×{n}</i>' for label, n in sorted(casts.items()))
        share = 100 * cost.bytes / whole
        cells = [
            f"{sum(part.computing for part in parts)}",
            f"{sum(part.truncated for part in parts):,}",
            format_bytes(cost.bytes),
            f'<div class="share"><div style="width:{share:.1f}%"></div></div>',
            f"{cost.rounds:,.0f}",
            *(format_seconds(seconds_on(cost, network)) for network in report.networks),
        ]
        title = f'<th class="in">{escape(name)}</th>' if name else f"<th>{escape(group)}</th>"
        rows.append(
            f'<tr>{title}<td class="left">{rings}</td><td class="left">{marks}</td>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    return _table(["", *heads], rows)


def _pills(rings: Iterable[int], widths: Iterable[int]) -> str:
    """Rings of the engine, one by one, and the span of those beside it."""
    found = "".join(f'<i class="pill r{ring}">{ring}</i>' for ring in sorted(rings))
    return found + (f'<i class="pill beside">{text}</i>' if (text := span(widths)) else "")


def _width_section(report: Report) -> str:
    """How many elements there are in each ring beside the engine; nothing if there are none."""
    if not report.widths:
        return ""
    most, rows = max(report.widths.values()), []
    for ring, elements in report.widths.items():
        bar = f'<div class="beside" style="width:{100 * elements / most:.3f}%"></div>'
        rows.append(
            f'<div class="row"><div class="name">{width_name(ring)}</div><div class="bar">{bar}</div>'
            f'<div class="value">{elements:,}</div></div>'
        )
    return f"<section>\n<h2>Elements by ring, beside the engine</h2>\n{''.join(rows)}\n</section>\n"


def _op_table(report: Report) -> str:
    rows = []
    rings: dict[str, set[int]] = {}
    for op in report.cost.ops:
        rings.setdefault(op.label, set()).add(op.ring)
    for name, count, cost in report.by_op():
        is_beside = name.startswith("beside: ")
        if cost.messages or is_beside:
            pills = _pills((), rings[name] - {1}) if is_beside else _pills(rings[name], ())
            cells = [f"{count}", format_bytes(cost.bytes), f"{cost.messages:,.0f}", f"{cost.rounds:,.0f}"]
            cells += [format_seconds(seconds_on(cost, network)) for network in report.networks]
            rows.append(
                f'<tr><th>{escape(name)}</th><td class="left">{pills}</td>'
                + "".join(f"<td>{cell}</td>" for cell in cells)
                + "</tr>"
            )
    return _table(
        ["", "rings", "count", "sent", "messages", "rounds", *(n.name for n in report.networks)], rows
    )


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    left = ("", "rings", "casts")
    cells = "".join(f"<th{' class=left' if head in left else ''}>{escape(head)}</th>" for head in heads)
    body = "".join(rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _metric_style(shown: Sequence[Metric]) -> str:
    """Shows the chart of the button that is pressed."""
    rules = []
    for metric in shown:
        rules.append(f'#{metric.key}:checked ~ .chart[data-metric="{metric.key}"] {{ display: block }}')
        rules.append(
            f'#{metric.key}:checked ~ .head label[for="{metric.key}"] '
            "{ background: var(--ink); color: var(--paper) }"
        )
    return "\n".join(rules)
