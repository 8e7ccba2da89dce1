"""`ditto`: compile and run programs, and the demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from ditto_compiler.errors import DittoError
from ditto_compiler.policy import PRESETS
from ditto_compiler.program import Program

POLICY_HELP = f"Precision policy: {', '.join(PRESETS)}, or the path of a TOML file."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ditto-mpc", prog_name="ditto")
def cli() -> None:
    """Private inference among three parties, in mixed rings."""


@cli.command()
@click.option("--query", help="What to search for; default: a query of the demo's own.")
@click.option("--policies", default="uniform64,ditto", show_default=True, help="Comma-separated policies.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that one run may take.")
def demo(query: str | None, policies: str, timeout: float) -> None:
    """Search a corpus by meaning without showing the query to anybody."""
    from ditto.demo.search import run_demo

    run_demo(query, [name.strip() for name in policies.split(",")], timeout, Console())


@cli.command("compile")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Program file to write.")
@click.option("--policy", default="ditto", show_default=True, help=POLICY_HELP)
@click.option(
    "--max-public-constant",
    default=1024,
    show_default=True,
    help="Largest float constant, in elements, that may be public; -1 allows any.",
)
def compile_command(source: Path, output: Path, policy: str, max_public_constant: int) -> None:
    """Compile StableHLO (text, bytecode or portable artifact) to a program file."""
    _compile(source, policy, max_public_constant).save(output)


@cli.command()
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("inputs", type=click.Path(path_type=Path), nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the outputs to this .npz file.")
@click.option(
    "--policy", default="ditto", show_default=True, help=f"When PROGRAM is StableHLO. {POLICY_HELP}"
)
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that the run may take.")
def run(program: Path, inputs: tuple[Path, ...], output: Path | None, policy: str, timeout: float) -> None:
    """Run a program file, or StableHLO, among three local parties.

    INPUTS are .npy files, one per input in order, or one .npz file whose arrays are taken in order.
    Prints the outputs, unless -o is given, and what the run cost.
    """
    from ditto.runtime.cluster import LocalCluster
    from ditto.tree import flatten, structure_of, unflatten

    compiled = Program.load(program) if program.suffix == ".ditto" else _compile(program, policy, 1024)
    arrays = _read_inputs(inputs)
    if len(arrays) == len(compiled.caller_inputs):
        arguments = unflatten(compiled.input_tree or ["tuple", ["*"] * len(arrays)], arrays)
    else:
        arguments = arrays
    with LocalCluster(timeout) as cluster:
        result = cluster.run(compiled, *arguments)
        stats = cluster.stats
    outputs = flatten(structure_of(result), result)
    if output is not None:
        np.savez(output, *outputs)
    else:
        for array in outputs:
            click.echo(np.array2string(array, threshold=64))
    assert stats is not None
    click.echo(
        f"{stats.bytes} bytes in {stats.messages} messages sent by the parties, {stats.seconds:.2f} s",
        err=True,
    )


def _compile(source: Path, policy: str, max_public_constant: int) -> Program:
    import ditto

    try:
        content = source.read_bytes()
    except OSError as error:
        raise DittoError(f"cannot read '{source}': {error.strerror}") from None
    return ditto.compile(content, policy=policy, max_public_constant=max_public_constant)


def _read_inputs(paths: tuple[Path, ...]) -> list[Any]:
    arrays: list[Any] = []
    for path in paths:
        try:
            loaded = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DittoError(f"cannot read '{path}' as .npy or .npz: {error}") from None
        arrays += [loaded[name] for name in loaded.files] if hasattr(loaded, "files") else [loaded]
    return arrays


def main() -> None:
    """The entry point: errors of the user's program are one message, without a traceback."""
    try:
        cli()
    except DittoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
