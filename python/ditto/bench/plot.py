"""Stacked horizontal bars as SVG, light and dark, without a plotting library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = (
    *("#4c5fd5", "#14a38b", "#f0a020", "#d4515f", "#8a5cc9", "#3b9fd6"),
    *("#b5a41e", "#c9679f", "#5f8f3c", "#9c6b4a", "#6f7d95", "#e07b39"),
)

OTHER = "#a0a0a8"
"""Colour of what has no name of its own."""

WIDTH = 960
LEFT = 150
RIGHT = 110
ROW = 34
BAR = 24

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1d1d22 }
.title { font-weight: 600; font-size: 15px }
.small { font-size: 12px }
.paper { fill: #ffffff }
@media (prefers-color-scheme: dark) { text { fill: #e9e9ee } .paper { fill: #1c1e24 } }
"""


@dataclass(frozen=True)
class Bar:
    """A bar: its name, and (label, value) of its pieces; pieces with an empty label are grey."""

    name: str
    pieces: tuple[tuple[str, float], ...]

    @property
    def length(self) -> float:
        """Sum of its pieces."""
        return sum(value for _, value in self.pieces)


@dataclass(frozen=True)
class Panel:
    """Bars that share a scale."""

    title: str
    bars: tuple[Bar, ...]
    format: Callable[[float], str]


def plot(heading: str, panels: Sequence[Panel]) -> str:
    """One SVG with the panels below each other and a legend of all labels."""
    labels = list(dict.fromkeys(label for p in panels for bar in p.bars for label, _ in bar.pieces if label))
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}
    colours[""] = OTHER
    parts = [f'<text class="title" x="20" y="30">{escape(heading)}</text>']
    top = 48
    for panel in panels:
        parts.append(f'<text class="title small" x="20" y="{top + 14}">{escape(panel.title)}</text>')
        top += 26
        longest = max((bar.length for bar in panel.bars), default=0.0) or 1.0
        for bar in panel.bars:
            parts += _bar(bar, top, (WIDTH - LEFT - RIGHT) / longest, panel.format, colours)
            top += ROW
        top += 14
    x = 20.0
    for label in labels:
        width = 24 + 7.0 * len(label)
        if x + width > WIDTH - 20:
            x, top = 20.0, top + 20
        parts.append(f'<rect x="{x:.0f}" y="{top}" width="11" height="11" rx="3" fill="{colours[label]}"/>')
        parts.append(f'<text class="small" x="{x + 16:.0f}" y="{top + 10}">{escape(label)}</text>')
        x += width
    height = top + 30
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}">\n<style>{STYLE}</style>\n'
        f'<rect class="paper" width="100%" height="100%" rx="10"/>\n{body}\n</svg>\n'
    )


def _bar(
    bar: Bar, top: int, scale: float, form: Callable[[float], str], colours: dict[str, str]
) -> list[str]:
    middle = top + BAR / 2 + 4
    parts = [f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(bar.name)}</text>']
    x = float(LEFT)
    for label, value in bar.pieces:
        width = value * scale
        title = escape(f"{label or bar.name}: {form(value)}")
        parts.append(
            f'<rect x="{x:.2f}" y="{top}" width="{width:.2f}" height="{BAR}" fill="{colours[label]}">'
            f"<title>{title}</title></rect>"
        )
        x += width
    parts.append(f'<text class="small" x="{x + 8:.1f}" y="{middle}">{escape(form(bar.length))}</text>')
    return parts
