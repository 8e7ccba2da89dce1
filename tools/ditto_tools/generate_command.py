"""`ditto generate`: private text from a Hugging Face folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from ditto_compiler.errors import DittoError, DittoWarning
from ditto_compiler.showing import counted, format_bytes
from ditto_tools.compiling import POLICY_HELP


@click.command("generate")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--prompt", required=True, help="What the text begins with.")
@click.option("--tokens", default=32, show_default=True, help="How many to write at most.")
@click.option(
    "--temperature",
    type=float,
    help="Draw tokens by chance, the more evenly the higher it is; default: take the likeliest.",
)
@click.option("--top-k", type=int, help="Draw from so many of the likeliest tokens.")
@click.option("--seed", type=int, help="Of the draws; default: the operating system's randomness.")
@click.option(
    "--calibrate",
    "samples",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Public text to calibrate on, UTF-8; may be given again. Default: a few texts of Ditto's own.",
)
@click.option(
    "--guard", is_flag=True, help="Have the parties check the calibrated ranges, stop if one is left."
)
@click.option("--policy", default="ditto", show_default=True, help=POLICY_HELP)
@click.option("--hosts", type=click.Path(path_type=Path), help="Hosts file: run there instead of locally.")
@click.option("--network", help="Between the parties: lan, wan, or BANDWIDTH,RTT; default: none.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that one token may take.")
def generate_command(
    folder: Path,
    prompt: str,
    tokens: int,
    temperature: float | None,
    top_k: int | None,
    seed: int | None,
    samples: tuple[Path, ...],
    guard: bool,
    policy: str,
    hosts: Path | None,
    network: str | None,
    timeout: float,
) -> None:
    """Write text with a language model among three parties, which see neither text nor weights.

    FOLDER is a GPT-2 or LLaMA as Hugging Face saves them: config.json, safetensors and tokenizer.json. Prints
    the text as it is written, and what it cost.
    """
    from ditto.runtime.caller.cluster import LocalCluster, RunStats
    from ditto.runtime.caller.inputs import GuardError
    from ditto.runtime.caller.remote_cluster import RemoteCluster
    from ditto.sampling import Sampling
    from ditto.text_generation import SAMPLES, load_text_model, stream_text

    sampling = None
    if temperature is not None or top_k is not None:
        sampling = Sampling(1.0 if temperature is None else temperature, top_k, seed)
    elif seed is not None:
        raise DittoError("a seed is of draws: give --temperature or --top-k with it")
    texts = [_text(path) for path in samples] or SAMPLES
    model = load_text_model(folder)
    costs: list[RunStats] = []
    parties = LocalCluster(timeout, network) if hosts is None else RemoteCluster(hosts, timeout, network)
    with parties as cluster:
        with warnings.catch_warnings():
            if guard:
                # Of ranges that may be left, which is what the parties check.
                warnings.simplefilter("ignore", DittoWarning)
            pieces = stream_text(
                *(cluster, model, prompt, tokens),
                samples=texts,
                sampling=sampling,
                guard=guard,
                policy=policy,
                progress=True,
                on_token=lambda _, stats: costs.append(stats),
            )
        try:
            # The first piece comes when there is no bar on the terminal any more.
            click.echo(prompt + next(pieces, ""), nl=False)
            for piece in pieces:
                click.echo(piece, nl=False)
        except GuardError as error:
            raise GuardError(f"{error}; here, give more text by --calibrate") from None
        finally:
            click.echo()
    sent, seconds = sum(stats.bytes for stats in costs), sum(stats.seconds for stats in costs)
    click.echo(
        f"{counted(len(costs), 'token')}, {format_bytes(sent)} sent by the parties, {seconds:.2f} s", err=True
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DittoError(f"cannot read '{path}': {error}") from None
