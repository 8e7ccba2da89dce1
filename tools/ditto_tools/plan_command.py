"""`ditto plan`: the cheapest policy for a program within a bound on its error."""

from __future__ import annotations

from pathlib import Path

import click

from ditto_tools.compiling import POLICY_HELP
from ditto_tools.input_files import read_arrays


@click.command("plan")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("samples", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Policy file to write (.toml)."
)
@click.option(
    "--ranges", type=click.Path(path_type=Path), help="Write the ranges here, for ditto compile --ranges."
)
@click.option("--error", type=float, help="Largest absolute error; default: as much as the base policy has.")
@click.option("--rel-error", type=float, help="The same, as a part of the largest output.")
@click.option("--max-bytes", type=float, help="Bytes that may be sent; then the error is to be small.")
@click.option(
    "--objective", default="bytes", show_default=True, help="bytes, rounds, lan, wan or BANDWIDTH,RTT."
)
@click.option(
    "--policy", default="ditto", show_default=True, help=f"What the plan is based on. {POLICY_HELP}"
)
@click.option("--untied", is_flag=True, help="Decide for each layer by itself.")
@click.option(
    "--loose", default=64, show_default=True, help="How much larger errors may be in margins of ranges."
)
@click.option("--forms", is_flag=True, help="Try other forms of functions too; takes several times as long.")
@click.option("--seconds", default=30.0, show_default=True, help="For each linear program.")
@click.option("--presets", default="", help="Other policies to compare with, separated by commas.")
@click.option(
    "--html", type=click.Path(path_type=Path), help="Write a page with the front of cost and error here."
)
def plan_command(
    source: Path,
    samples: tuple[Path, ...],
    output: Path,
    ranges: Path | None,
    error: float | None,
    rel_error: float | None,
    max_bytes: float | None,
    objective: str,
    policy: str,
    untied: bool,
    loose: int,
    forms: bool,
    seconds: float,
    presets: str,
    html: Path | None,
) -> None:
    """Choose fraction bits, rings and functions for the least cost within a bound on the error.

    SOURCE is StableHLO; each of SAMPLES is an .npz file with the program's inputs in order. The last third of
    them is held out, to measure what was chosen.
    """
    from ditto.planning.plan_page import page
    from ditto.planning.planner import plan

    compared = [name.strip() for name in presets.split(",") if name.strip()]
    found = plan(
        source,
        [tuple(read_arrays((path,))) for path in samples],
        error=error,
        rel_error=rel_error,
        max_bytes=max_bytes,
        objective=objective,
        policy=policy,
        tie=not untied,
        loose=loose,
        forms=forms,
        seconds=seconds,
        presets=compared or (["ditto"] if html is not None else []),
        progress=True,
    )
    found.save(output)
    if ranges is not None:
        found.ranges.save(ranges)
    if html is not None:
        page(found, html)
    click.echo(str(found))
    for remark in found.remarks:
        click.echo(remark, err=True)
