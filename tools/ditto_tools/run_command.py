"""`ditto run`, and `ditto receive` for runs whose outputs are somebody else's."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ditto.compiled_program import Program
from ditto_compiler.errors import DittoError
from ditto_tools.compiling import POLICY_HELP, compile_source
from ditto_tools.input_files import check_output, nested_inputs, write_outputs

_DEPOSITED = re.compile(r"(?P<position>\d+)=(?P<name>.+?)(@(?P<digest>[0-9a-f]{64}))?")
OUTPUT_HELP = "Write the outputs to this .npz file."


@click.command("run")
@click.argument("program", type=click.Path(path_type=Path))
@click.argument("inputs", type=click.Path(path_type=Path), nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help=OUTPUT_HELP)
@click.option(
    "--policy", default="ditto", show_default=True, help=f"When PROGRAM is StableHLO. {POLICY_HELP}"
)
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that the run may take.")
@click.option("--hosts", type=click.Path(path_type=Path), help="Hosts file: run there instead of locally.")
@click.option(
    "--deposited",
    metavar="POSITION=NAME[@DIGEST]",
    multiple=True,
    help="Take this argument (0, 1, ...) from what is deposited there; may be given again.",
)
@click.option("--receiver", metavar="NAME", help="Who gets the outputs, in place of the caller.")
@click.option("--label", help="Under which they wait for the receiver.")
def run_command(
    program: Path,
    inputs: tuple[Path, ...],
    output: Path | None,
    policy: str,
    timeout: float,
    hosts: Path | None,
    deposited: tuple[str, ...],
    receiver: str | None,
    label: str | None,
) -> None:
    """Run a program file, or StableHLO, among three parties.

    INPUTS are .npy files, one per input in order, or one .npz file whose arrays are taken in order.
    Prints the outputs, unless -o is given, and what the run cost.
    """
    from ditto.runtime.caller.cluster import LocalCluster
    from ditto.runtime.caller.remote_cluster import RemoteCluster

    if hosts is None and (deposited or receiver or label):
        raise DittoError("deposits and receivers are of parties on hosts: give --hosts, too")
    if (receiver is None) != (label is None) or (receiver is not None and output is not None):
        raise DittoError("outputs for somebody else need --receiver and --label, and have no -o")
    check_output(output)
    wanted = [_deposited(text) for text in deposited]
    compiled = Program.load(program) if program.suffix == ".ditto" else compile_source(program, policy)
    if hosts is None:
        with LocalCluster(timeout) as local:
            write_outputs(local.run(compiled, *nested_inputs(compiled, inputs)), output)
            stats = local.stats
    else:
        # Of the files, what can be wrong is seen before anybody is asked for anything.
        arguments = nested_inputs(compiled, inputs, {position for position, _, _ in wanted})
        with RemoteCluster(hosts, timeout) as remote:
            for position, name, digest in wanted:
                arguments[position] = remote.deposited(name, digest)
            result = remote.run(compiled, *arguments, receiver=receiver, label=label)
            stats = remote.stats
        if receiver is None:
            write_outputs(result, output)
    assert stats is not None
    click.echo(
        f"{stats.bytes} bytes in {stats.messages} messages sent by the parties, {stats.seconds:.2f} s",
        err=True,
    )


@click.command("receive")
@click.argument("hosts", type=click.Path(path_type=Path))
@click.argument("label")
@click.option("--sender", metavar="NAME", required=True, help="Who ran the program.")
@click.option("--digest", help="Of the program that the outputs must be of.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help=OUTPUT_HELP)
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that it may take.")
def receive_command(
    hosts: Path, label: str, sender: str, digest: str | None, output: Path | None, timeout: float
) -> None:
    """Receive the outputs that a run of somebody else left for us with the parties, which then forget them.

    HOSTS is a hosts file; LABEL and --sender say which run it was.
    """
    from ditto.runtime.caller.remote_cluster import RemoteCluster

    check_output(output)
    with RemoteCluster(hosts, timeout) as cluster:
        result = cluster.receive(label, sender=sender, digest=digest)
    write_outputs(result, output)


def _deposited(text: str) -> tuple[int, str, str | None]:
    match = _DEPOSITED.fullmatch(text)
    if match is None:
        raise DittoError(
            f"--deposited '{text}' is no POSITION=NAME, such as 0=bert, with or without @ and a digest"
        )
    return int(match["position"]), match["name"], match["digest"]
