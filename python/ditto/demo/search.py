"""Private semantic search: which sentence of a corpus means the same as a query that nobody sees.

The client owns the query: its tokens go in as a secret one-hot matrix. The model owner owns the
weights, secret as well. Three parties compute the sentence embedding on shares; only the client
puts it together and ranks the corpus with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

import ditto
from ditto.compiled_program import Program
from ditto.demo.corpus import QUERIES, SENTENCES
from ditto.models.bert import sentence_embedding
from ditto.models.minilm import MiniLM, load_minilm, one_hot
from ditto.planning.result import Plan
from ditto.runtime.caller.cluster import LocalCluster, RunStats

LENGTH = 16
"""Tokens per sentence; every text of the corpus fits."""

PLAN = Path(__file__).with_name("minilm_plan.toml")
"""What `make_plan` gave: the policy that the demo calls "plan"."""

COSINE = 0.9995
"""Between private and plaintext embeddings, that the plan keeps: about as near as `puma` comes."""


@dataclass(frozen=True)
class Outcome:
    """What one policy gave.

    Attributes:
        policy: its name.
        cosine: between the private and the plaintext embedding of the query.
        ranking: corpus indices, best match first.
        agreement: on how many positions of the ranking the private and the plaintext one agree.
        stats: bytes, messages and seconds of the run.
    """

    policy: str
    cosine: float
    ranking: list[int]
    agreement: int
    stats: RunStats


def encoder(model: MiniLM) -> Callable[..., Any]:
    """What is run: (weights, one-hot tokens [LENGTH, vocabulary], mask [LENGTH]) -> embedding."""

    def embed(params: Any, tokens: Any, mask: Any) -> Any:
        return sentence_embedding(params, model.config, tokens, mask)

    return embed


def model_inputs(model: MiniLM, text: str) -> tuple[Any, NDArray[np.float32], NDArray[np.float32]]:
    """Weights, one-hot tokens and mask of a text."""
    tokens = model.tokenizer.encode(text, LENGTH)
    return model.params, one_hot(tokens.ids, model.config.vocab_size), tokens.mask


def rank(embedding: NDArray[Any], corpus: NDArray[Any]) -> list[int]:
    """Rows of `corpus` by falling similarity to `embedding`."""
    return [int(index) for index in np.argsort(-corpus @ embedding)]


def make_plan(model: MiniLM) -> Plan:
    """The cheapest policy whose embeddings are as near to plaintext as `COSINE` says; takes minutes."""
    samples = [model_inputs(model, text) for text in SENTENCES]
    return ditto.plan(encoder(model), samples, quality=cosine, least=COSINE, progress=True)


def cosine(left: Any, right: Any) -> float:
    """Of the angle between two embeddings."""
    return float(left @ right) / float(np.linalg.norm(left) * np.linalg.norm(right))


def search(
    model: MiniLM,
    query: str,
    policies: Sequence[str],
    cluster: LocalCluster,
    report: Callable[[str, str, int, int], None],
) -> tuple[list[int], list[Outcome]]:
    """Ranks the corpus for `query`, in plaintext and privately under each policy.

    `report` is called with policy, what is being done, steps done and steps in all.
    """
    embed = encoder(model)
    plain = jax.jit(embed)
    corpus = np.stack([np.asarray(plain(*model_inputs(model, text))) for text in SENTENCES])
    inputs = model_inputs(model, query)
    expected = np.asarray(plain(*inputs))
    plain_ranking = rank(expected, corpus)
    outcomes = []
    for policy in policies:
        ranges, file = None, PLAN if policy == "plan" else policy
        if ditto.load_policy(file).beside == "shares":
            report(policy, "calibrating", 0, 1)
            # The corpus is the model owner's own; the query is not.
            ranges = ditto.calibrate(embed, [model_inputs(model, text) for text in SENTENCES], policy=file)
        report(policy, "compiling", 0, 1)
        program: Program = ditto.compile(embed, *inputs, policy=file, ranges=ranges)
        report(policy, "sharing inputs", 0, len(program.steps))

        def progress(done: int, total: int, policy: str = policy) -> None:
            report(policy, "running", done, total)

        embedding = cluster.run(program, *inputs, progress=progress)
        assert cluster.stats is not None
        ranking = rank(embedding, corpus)
        outcomes.append(
            Outcome(
                policy,
                cosine(embedding, expected),
                ranking,
                sum(a == b for a, b in zip(ranking, plain_ranking, strict=True)),
                cluster.stats,
            )
        )
        report(policy, "done", len(program.steps), len(program.steps))
    return plain_ranking, outcomes


def run_demo(query: str | None, policies: Sequence[str], timeout: float, console: Console) -> None:
    """Runs the search and prints one table, plaintext JAX against each policy.

    Raises:
        DittoError: the model package is absent, or a policy or a party fails.
    """
    model = load_minilm()
    text = query or QUERIES[0].text
    console.print(f"Query, known to the client alone: [bold]{text}[/]")
    tasks: dict[str, TaskID] = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[policy]:<10} {task.description:<15}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars, LocalCluster(timeout) as cluster:

        def report(policy: str, doing: str, done: int, total: int) -> None:
            if policy not in tasks:
                tasks[policy] = bars.add_task(doing, policy=policy)
            bars.update(tasks[policy], description=doing, completed=done, total=total)

        plain_ranking, outcomes = search(model, text, policies, cluster, report)
    console.print(result_table(plain_ranking, outcomes))
    console.print(f"Best match: [bold]{SENTENCES[outcomes[-1].ranking[0]]}[/]")


def result_table(plain_ranking: list[int], outcomes: Sequence[Outcome]) -> Table:
    """One row per policy. Bytes and messages are sums over the parties; ratios are to the first's bytes."""
    table = Table(
        title="Private semantic search: all-MiniLM-L6-v2 among three parties",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("policy", "top match"):
        table.add_column(name, no_wrap=True)
    for name in ("ranking", "cosine", "MB", "messages", "s", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    count = len(plain_ranking)
    table.add_row(
        "plaintext", _clip(SENTENCES[plain_ranking[0]]), f"{count}/{count}", "1.00000", "", "", "", ""
    )
    for outcome in outcomes:
        stats = outcome.stats
        table.add_row(
            outcome.policy,
            _clip(SENTENCES[outcome.ranking[0]]),
            f"{outcome.agreement}/{count}",
            f"{outcome.cosine:.5f}",
            f"{stats.bytes / 1e6:.1f}",
            f"{stats.messages}",
            f"{stats.seconds:.1f}",
            f"{stats.bytes / outcomes[0].stats.bytes:.3f}",
        )
    return table


def _clip(text: str, width: int = 14) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
