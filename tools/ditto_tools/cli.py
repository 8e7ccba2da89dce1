"""`ditto`: compile and run programs, and the demo."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import click
from rich.console import Console

from ditto_compiler.encoding import RINGS, EncodingError, Fxp
from ditto_compiler.errors import DittoError, DittoWarning
from ditto_compiler.remarks import DETAILS, grouped
from ditto_tools.certify_command import certify_command
from ditto_tools.compiling import POLICY_HELP, compile_source
from ditto_tools.deposit_command import deposit_command, digest_command
from ditto_tools.distill_command import distill_command
from ditto_tools.doctor_command import doctor_command
from ditto_tools.generate_command import generate_command
from ditto_tools.input_files import read_arrays
from ditto_tools.plan_command import plan_command
from ditto_tools.report_command import report_command
from ditto_tools.run_command import receive_command, run_command
from ditto_tools.simulate_command import simulate_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ditto-mpc", prog_name="ditto")
def cli() -> None:
    """Private inference among three parties, in mixed rings."""


@cli.command()
@click.option("--query", help="What to search for; default: a query of the demo's own.")
@click.option(
    "--policies", default="uniform64,puma,ditto,plan", show_default=True, help="Separated by commas."
)
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that one run may take.")
@click.option(
    "--plan",
    type=click.Path(path_type=Path),
    help="Only plan the policy `plan` anew, into this file (minutes).",
)
def demo(query: str | None, policies: str, timeout: float, plan: Path | None) -> None:
    """Search a corpus by meaning without showing the query to anybody."""
    from ditto.demo.search import make_plan, run_demo
    from ditto.models.minilm import load_minilm

    if plan is not None:
        found = make_plan(load_minilm())
        found.save(plan)
        click.echo(str(found))
        return
    run_demo(query, [name.strip() for name in policies.split(",")], timeout, Console())


@cli.command("demo-hosts")
def demo_hosts() -> None:
    """Have a model owner's network read the digits of two data owners, on three parties: six processes."""
    from ditto.demo.three_hosts import run_demo

    run_demo(Console())


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
@click.option("--ranges", type=click.Path(path_type=Path), help="Ranges that ditto calibrate wrote.")
@click.option("--guard", is_flag=True, help="Have the parties check the ranges, and say whether they held.")
def compile_command(
    source: Path, output: Path, policy: str, max_public_constant: int, ranges: Path | None, guard: bool
) -> None:
    """Compile StableHLO (text, bytecode or portable artifact) to a program file.

    Prints what the compiler warns of and what it remarks on, but for details of single ops.
    """
    program = compile_source(source, policy, max_public_constant, ranges, guard=guard)
    for line in grouped(remark for remark in program.remarks if remark.category not in DETAILS):
        click.echo(line, err=True)
    program.save(output)


@cli.command()
@click.argument("hosts", type=click.Path(path_type=Path))
@click.option("--rank", type=int, required=True, help="Which party of HOSTS this machine is: 0, 1 or 2.")
def party(hosts: Path, rank: int) -> None:
    """Be one of three parties on hosts of their own, until interrupted.

    HOSTS is a hosts file, see docs/howto/hosts.md.
    """
    from ditto.runtime.party.serve import serve

    serve(hosts, rank, lambda line: click.echo(line, err=True))
    # Nothing is left to do, and to take the interpreter apart takes seconds on a busy machine.
    os._exit(0)


@cli.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("batches", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="File of ranges to write."
)
@click.option("--policy", default="ditto", show_default=True, help=POLICY_HELP)
def calibrate(source: Path, batches: tuple[Path, ...], output: Path, policy: str) -> None:
    """Measure the ranges of a program's values on sample inputs, in plaintext.

    SOURCE is StableHLO; each of BATCHES is an .npz file with the program's inputs in order.
    """
    from ditto.calibrating import calibrate as measure

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DittoWarning)
        ranges = measure(
            source, [tuple(read_arrays((path,))) for path in batches], policy=policy, progress=True
        )
    for warning in caught:
        click.echo(f"warning: {warning.message}", err=True)
    ranges.save(output)
    click.echo(f"{len(ranges.values)} ranges from {len(batches)} batches written to {output}", err=True)


for command in (
    certify_command,
    deposit_command,
    digest_command,
    distill_command,
    doctor_command,
    generate_command,
    plan_command,
    receive_command,
    report_command,
    run_command,
    simulate_command,
):
    cli.add_command(command)


@cli.group()
def bench() -> None:
    """Measure; every number in README comes from one of these."""


@bench.command("compile")
@click.option("--layers", default=12, show_default=True)
@click.option("--seq", default=128, show_default=True, help="Tokens.")
@click.option("--policy", default="ditto", show_default=True, help=POLICY_HELP)
@click.option("--rounds", default=3, show_default=True, help="The median is printed.")
def bench_compile(layers: int, seq: int, policy: str, rounds: int) -> None:
    """Seconds of tracing, of our passes and of SPU's compiler."""
    from ditto.bench.compile import main as run_bench

    run_bench(layers, seq, policy, rounds)


@bench.command("casts")
@click.option("--elements", default=1_000_000, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers here too.")
def bench_casts(elements: int, json_path: Path | None) -> None:
    """Bytes, rounds and speed of each cast and comparison."""
    from ditto.bench.protocol_speed import main as run_bench

    run_bench(elements, json_path)


@bench.command("domains")
@click.option("--encodings", help="RING/FRACTION bits, separated by commas: 64/18,128/40; default: thirteen.")
def bench_domains(encodings: str | None) -> None:
    """Where the engine's functions are right, and how right, beside what the compiler assumes."""
    from ditto.bench.measured_domains import ENCODINGS
    from ditto.bench.measured_domains import main as run_bench

    run_bench(ENCODINGS if encodings is None else [_encoding(text) for text in encodings.split(",")])


def _encoding(text: str) -> tuple[int, int]:
    try:
        ring, frac = map(int, text.split("/"))
        Fxp(ring, frac)
        RINGS.index(ring)
    except (ValueError, EncodingError):
        raise click.BadParameter(f"'{text}' is no RING/FRACTION such as 64/18") from None
    return ring, frac


@bench.command("plan")
@click.option("--programs", default="", help="Separated by commas; default: all seven.")
@click.option(
    "--objective", default="bytes", show_default=True, help="bytes, rounds, lan, wan or BANDWIDTH,RTT."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers here too.")
def bench_plan(programs: str, objective: str, json_path: Path | None) -> None:
    """What plans save beside the ditto preset, at its error and at half the bits of it."""
    from ditto.bench.plan_table import main as run_bench

    run_bench([name.strip() for name in programs.split(",") if name.strip()], objective, json_path)


@bench.command("distillation")
@click.option("--experiments", default="", help="Of sentences, images, language and speed; default: all.")
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path),
    help="Folder to save trainings to, and resume them from.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers here too.")
def bench_distillation(experiments: str, checkpoints: Path | None, json_path: Path | None) -> None:
    """What cheap functions lose, and distillation wins back: sentences, images, text (an hour)."""
    from ditto.bench.distillation.command import main as run_bench

    run_bench([name.strip() for name in experiments.split(",") if name.strip()], checkpoints, json_path)


@bench.command("links")
@click.option("--model", default="bert-base", show_default=True, help="gpt2-medium, llama-7b, ...")
@click.option("--elements", default=4_000_000, show_default=True, help="Of the program that sends much.")
@click.option("--chain", default=100, show_default=True, help="Comparisons of the one that waits often.")
@click.option("--network", default="1gbit,0.4ms", show_default=True, help="lan, wan, or BANDWIDTH,RTT.")
@click.option("--rounds", default=5, show_default=True, help="Pairs of runs.")
def bench_links(model: str, elements: int, chain: int, network: str, rounds: int) -> None:
    """TLS between hosts, beside links in the clear."""
    from ditto.bench.link_speed import main as run_bench

    run_bench(model, elements, chain, network, rounds)


@bench.command("transformer")
@click.option("--model", default="bert-base", show_default=True, help="gpt2-medium, llama-7b, ...")
@click.option("--layers", default="1", show_default=True, help="How many of its layers, or all.")
@click.option("--seq", default=128, show_default=True, help="Tokens.")
@click.option(
    "--policies",
    default="uniform64,puma,mpcformer,ditto",
    show_default=True,
    help="Presets or files; also spu, spu+POLICY, POLICY+guard.",
)
@click.option("--network", help="lan, wan, or BANDWIDTH,RTT; default: loopback as it is.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each policy, in turn.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers here too.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path), help="Write an SVG here.")
@click.option("--project-layers", default=0, help="Project the cost of this many layers.")
def bench_transformer(
    model: str,
    layers: str,
    seq: int,
    policies: str,
    network: str | None,
    rounds: int,
    json_path: Path | None,
    plot_path: Path | None,
    project_layers: int,
) -> None:
    """Policies side by side on a Transformer, in one run."""
    from ditto.bench.transformer import main as run_bench

    run_bench(
        model,
        None if layers == "all" else int(layers),
        seq,
        [name.strip() for name in policies.split(",")],
        network,
        rounds,
        json_path,
        plot_path,
        project_layers,
    )


@bench.command("paper")
@click.option("--table", "number", type=int, required=True, help="1 to 5, see below.")
@click.option("--models", default="", help="Of the table's models, separated by commas; default: all.")
@click.option("--policies", default="", help="Presets or files, separated by commas; default: the table's.")
@click.option("--rounds", default=1, show_default=True, help="Runs over each network, of tables 4 and 5.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers here too.")
def bench_paper(number: int, models: str, policies: str, rounds: int, json_path: Path | None) -> None:
    """What papers on private Transformers report, for our programs.

    \b
    1  BERT-base and -large on 128 tokens, GPT-2 base and medium on 32: whole models, all presets
    2  BERT-base on 64, 128 and 256 tokens
    3  LLaMA-7B on 4 and 8 tokens
    4  one layer of each of these but LLaMA among three real parties, over lan and wan
    5  one layer of LLaMA-7B likewise, under ditto

    Tables 1 to 3 run nothing: bytes and rounds are counted by the cost model, which is exact, or of
    more than 12 layers projected from two; seconds are projected. Behind a number, p is projected and m
    is measured; all else is counted.
    """
    from ditto.bench.paper import main as run_bench

    run_bench(number, _names(models), _names(policies), rounds, json_path)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@bench.command("layers")
@click.option("--model", default="7b", show_default=True, help="Of LLaMA: tiny, 7b, ...")
@click.option("--layers", default=4, show_default=True, help="How many the parties hold.")
@click.option("--seq", default=8, show_default=True, help="Tokens.")
@click.option("--policy", default="ditto", show_default=True, help=POLICY_HELP)
def bench_layers(model: str, layers: int, seq: int, policy: str) -> None:
    """Large layers of LLaMA by one program, with weights that are shared layer by layer."""
    from ditto.bench.large_layers import main as run_bench

    run_bench(model, layers, seq, policy)


@bench.command("generation")
@click.option("--model", default="base", show_default=True, help="Of GPT-2: base, medium or large.")
@click.option("--layers", default="all", show_default=True, help="A number, or all.")
@click.option("--prompt", default=8, show_default=True, help="Tokens.")
@click.option("--tokens", default=6, show_default=True, help="Tokens to generate.")
@click.option("--policy", default="ditto", show_default=True, help=POLICY_HELP)
@click.option("--samples", default=2, show_default=True, help="Texts to calibrate on; 0 to do without.")
def bench_generation(model: str, layers: str, prompt: int, tokens: int, policy: str, samples: int) -> None:
    """Text from GPT-2, token by token."""
    from ditto.bench.generation_speed import main as run_bench

    run_bench(model, None if layers == "all" else int(layers), prompt, tokens, policy, samples)


@bench.command("quantization")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers here too.")
def bench_quantization(json_path: Path | None) -> None:
    """Fraction bits and explicit rescaling, on the real sentence encoder."""
    from ditto.bench.quantization import main as run_bench

    run_bench(json_path)


def main() -> None:
    """The entry point: errors of the user's program are one message, without a traceback."""
    try:
        cli()
    except DittoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
