"""`ditto deposit`: what owners leave with parties; and `ditto digest`: how access files name programs."""

from __future__ import annotations

from pathlib import Path

import click

from ditto.compiled_program import Program
from ditto_tools.input_files import nested_argument

_TIMEOUT = click.option("--timeout", default=600.0, show_default=True, help="Seconds that it may take.")


@click.group("deposit")
def deposit_command() -> None:
    """Leave arrays or programs with parties on hosts, for runs of those whom the parties let use them.

    HOSTS is a hosts file; NAME is what the parties' access files call the deposit.
    """


@deposit_command.command("array")
@click.argument("hosts", type=click.Path(path_type=Path))
@click.argument("name")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("position", type=int)
@click.argument("arrays", type=click.Path(path_type=Path), nargs=-1, required=True)
@_TIMEOUT
def deposit_array(
    hosts: Path, name: str, program: Path, position: int, arrays: tuple[Path, ...], timeout: float
) -> None:
    """Deposit the argument at POSITION (0, 1, ...) of a program file, and print the digest of the deposit.

    ARRAYS are .npy or .npz files with the arrays of that argument in order. What was there under NAME is
    replaced. With the digest, others can make sure that it is this deposit that they use.
    """
    from ditto.runtime.caller.remote_cluster import RemoteCluster
    from ditto.tree import flatten, structure_of

    loaded = Program.load(program)
    argument = nested_argument(loaded, position, arrays)
    with RemoteCluster(hosts, timeout) as cluster:
        handles = cluster.deposit(name, loaded, position, argument)
    for digest in {handle.digest for handle in flatten(structure_of(handles), handles)}:
        click.echo(digest)


@deposit_command.command("program")
@click.argument("hosts", type=click.Path(path_type=Path))
@click.argument("name")
@click.argument("program", type=click.Path(path_type=Path))
@_TIMEOUT
def deposit_program(hosts: Path, name: str, program: Path, timeout: float) -> None:
    """Deposit a program file, and print its digest."""
    from ditto.runtime.caller.remote_cluster import RemoteCluster

    loaded = Program.load(program)
    with RemoteCluster(hosts, timeout) as cluster:
        click.echo(cluster.deposit_program(name, loaded))


@deposit_command.command("fetch")
@click.argument("hosts", type=click.Path(path_type=Path))
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Program file to write.")
@click.option("--digest", help="That the program must have.")
@_TIMEOUT
def deposit_fetch(hosts: Path, name: str, output: Path, digest: str | None, timeout: float) -> None:
    """Fetch a program that was deposited, and print its digest."""
    from ditto.runtime.caller.remote_cluster import RemoteCluster

    with RemoteCluster(hosts, timeout) as cluster:
        program = cluster.program(name, digest)
    program.save(output)
    click.echo(program.digest)


@deposit_command.command("withdraw")
@click.argument("hosts", type=click.Path(path_type=Path))
@click.argument("name")
@_TIMEOUT
def deposit_withdraw(hosts: Path, name: str, timeout: float) -> None:
    """Have the parties remove a deposit."""
    from ditto.runtime.caller.remote_cluster import RemoteCluster

    with RemoteCluster(hosts, timeout) as cluster:
        cluster.withdraw(name)


@click.command("digest")
@click.argument("programs", metavar="PROGRAM...", type=click.Path(path_type=Path), nargs=-1, required=True)
def digest_command(programs: tuple[Path, ...]) -> None:
    """Print the digests of program files, by which the parties' access files name them."""
    for path in programs:
        click.echo(Program.load(path).digest)
