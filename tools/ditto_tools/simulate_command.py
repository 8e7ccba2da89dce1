"""`ditto simulate`: a program in plaintext, with the parties' arithmetic."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ditto.compiled_program import Program
from ditto_tools.input_files import nested_inputs, write_outputs


@click.command("simulate")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("inputs", type=click.Path(path_type=Path), nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the outputs to this .npz file.")
@click.option("--mode", type=click.Choice(["exact", "fast"]), default="exact", show_default=True)
def simulate_command(program: Path, inputs: tuple[Path, ...], output: Path | None, mode: str) -> None:
    """Run a program file in plaintext, and report values that do not fit, and arguments out of a domain.

    INPUTS are as for ditto run. Exits with 1 if there is anything to report: the parties' results would be
    wrong.
    """
    from ditto.simulator import simulate

    loaded = Program.load(program)
    simulation = simulate(loaded, *nested_inputs(loaded, inputs), mode="fast" if mode == "fast" else "exact")
    write_outputs(simulation.outputs, output)
    for overflow in simulation.overflows:
        click.echo(str(overflow), err=True)
    if simulation.overflows:
        sys.exit(1)
