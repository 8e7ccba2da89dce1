"""`ditto-update-checks`: writes the CHECK lines of golden files from what their RUN lines print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from ditto_compiler.check_lines import CheckLinesError, Run, runs_of, updated
from ditto_compiler.errors import DittoError
from ditto_compiler.files import write_whole
from ditto_compiler.processes import child_environment, python_command

SECONDS = 60


@click.command()
@click.argument("files", type=click.Path(dir_okay=False, path_type=Path), nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Replace check lines that were written by hand, too.")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a file would change.")
def main(files: tuple[Path, ...], force: bool, check: bool) -> None:
    """Write the CHECK lines of FILES from what `// RUN: ditto-opt %s ... | filecheck %s` prints.

    SSA names become FileCheck variables. RUN lines, other comments, and the check lines of other RUN lines
    stay as they are. A file whose check lines were written by hand is left alone, unless --force is given.
    """
    failed = False
    for file in files:
        try:
            changed = _update(file, force, check)
        except DittoError as error:
            click.echo(f"ditto-update-checks: error: {error}", err=True)
            failed = True
            continue
        if changed:
            click.echo(f"{file}: {'is out of date' if check else 'updated'}")
            failed |= check
    if failed:
        sys.exit(1)


def _update(file: Path, force: bool, check: bool) -> bool:
    try:
        old = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckLinesError(f"cannot read '{file}': {error}") from None
    new = updated(old, lambda run: _output(run, file), force=force, file=str(file))
    for other in runs_of(old)[1]:
        click.echo(f"{file}: left alone: RUN: {other}", err=True)
    if new != old and not check:
        try:
            write_whole(file, new.encode())
        except OSError as error:
            raise CheckLinesError(f"cannot write '{file}': {error.strerror}") from None
    return new != old


def _output(run: Run, file: Path) -> str:
    arguments = [
        str(file) if word == "%s" else word.replace("%S", str(file.parent)) for word in run.arguments
    ]
    command = python_command("ditto_compiler.opt", *arguments)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=child_environment(), timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CheckLinesError(f"{file}: ditto-opt takes longer than {SECONDS} s") from None
    if done.returncode:
        raise CheckLinesError(f"{file}: ditto-opt {' '.join(run.arguments)} fails:\n{done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
