"""`ditto report`: what a program file will cost."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from ditto.compiled_program import Program
from ditto_compiler.files import write_whole


@click.command("report")
@click.argument("program", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", default="text", show_default=True, help="text, json, html, or a plugin's format."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file.")
@click.option(
    "--network",
    "networks",
    multiple=True,
    default=("lan", "wan"),
    show_default=True,
    help="To predict times for: lan, wan, or BANDWIDTH,RTT such as 400mbit,40ms; may be given again.",
)
def report_command(program: Path, form: str, output: Path | None, networks: tuple[str, ...]) -> None:
    """Predict what a program costs: bytes, rounds and time, per scope, ring and kind of op."""
    from ditto_compiler.report import render
    from ditto_compiler.report.summary import WIDTH, make_report

    loaded = Program.load(program)
    if output is not None:
        write_whole(output, render(loaded, form, networks).encode())
    elif form == "text":
        report = make_report(loaded, networks)
        # A table that is too narrow loses its numbers; a long line is only wrapped.
        Console(width=report.least_width(max(Console().width, WIDTH))).print(report)
    else:
        click.echo(render(loaded, form, networks), nl=False)
