"""What forms of non-linear functions do to the real sentence encoder: `python -m ditto.bench.forms`.

Writes docs/reference/forms_minilm.md. A policy is judged twice: the program with its forms is evaluated in
plaintext, which shows what the forms alone lose, and run among three parties, which adds fixed point and
costs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np
from numpy.typing import NDArray

import ditto
from ditto.demo.corpus import QUERIES, SENTENCES
from ditto.demo.search import LENGTH, cosine, encoder, model_inputs, rank
from ditto.frontend import trace
from ditto.models.minilm import load_minilm
from ditto_compiler.forms.exponential import EXPONENTIALS
from ditto_compiler.forms.table import ENGINE_FORMS
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.policy import FormRule, Policy, load_policy
from ditto_compiler.xla import XlaFunction

PRESETS = ("uniform64", "puma", "mpcformer", "ditto", "ditto-quad")

HEADER = """\
<!-- Written by `python -m ditto.bench.forms`. -->

# Forms on a real model

all-MiniLM-L6-v2, {length} tokens, nothing trained for any form: the embedding against plaintext JAX.
*Forms* is the program that the policy's forms make, evaluated in plaintext, over {queries} queries;
*private* is a run of the first query among three parties, with the policy's rings and scales. Bytes and
messages are sums over the parties; *ranking* is on how many of {sentences} sentences the private and the
plaintext order agree.
"""

NOTE = """\
`quad` and `2quad` are other functions than GeLU and softmax: a model must be trained for them, and this
one is not.
"""


@dataclass(frozen=True)
class Error:
    """How far embeddings are from those of plaintext JAX.

    Attributes:
        cosine: the smallest.
        largest: absolute difference of an element.
    """

    cosine: float
    largest: float

    def cells(self) -> list[str]:
        """For a table."""
        return [f"{self.cosine:.6f}", f"{self.largest:.1e}"]


def error_of(found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> Error:
    """The error of embeddings."""
    pairs = list(zip(found, expected, strict=True))
    return Error(min(cosine(x, y) for x, y in pairs), max(float(np.abs(x - y).max()) for x, y in pairs))


class Encoder:
    """The model, its inputs and what it should give."""

    def __init__(self) -> None:
        model = load_minilm()
        self.embed = encoder(model)
        self.inputs = [model_inputs(model, query.text) for query in QUERIES]
        plain = jax.jit(self.embed)
        self.expected = [np.asarray(plain(*inputs)) for inputs in self.inputs]
        self.corpus = np.stack([np.asarray(plain(*model_inputs(model, text))) for text in SENTENCES])

    def with_forms(self, policy: Policy) -> Error:
        """The error of the policy's forms alone, in plaintext."""
        module = trace(self.embed, self.inputs[0]).module
        PassManager(front_end_pipeline(policy)).run(module)
        function = XlaFunction(module)
        found = [function(*jax.tree_util.tree_leaves(inputs))[0] for inputs in self.inputs]
        return error_of(found, self.expected)

    def privately(self, policy: Policy, cluster: ditto.LocalCluster) -> tuple[Error, list[str]]:
        """The error of a private run of the first query, and its costs for a table."""
        program = ditto.compile(self.embed, *self.inputs[0], policy=policy)
        found = cluster.run(program, *self.inputs[0])
        stats = cluster.stats
        assert stats is not None
        orders = (rank(found, self.corpus), rank(self.expected[0], self.corpus))
        agreement = sum(a == b for a, b in zip(*orders, strict=True))
        costs = [f"{agreement}/{len(self.corpus)}", f"{stats.bytes / 1e6:.1f}", str(stats.messages)]
        return error_of([found], self.expected[:1]), costs


def page() -> str:
    """Measures everything; takes about a minute."""
    model = Encoder()
    header = HEADER.format(length=LENGTH, queries=len(QUERIES), sentences=len(SENTENCES))
    lines = [
        header,
        _line(["policy", "forms: cosine", "error", "private: cosine", "error", "ranking", "MB", "messages"]),
    ]
    lines.append(_line(["---", *["---:"] * 7]))
    with ditto.LocalCluster() as cluster:
        for name in PRESETS:
            policy = load_policy(name)
            error, costs = model.privately(policy, cluster)
            lines.append(_line([f"`{name}`", *model.with_forms(policy).cells(), *error.cells(), *costs]))
    lines += ["", NOTE, "## One form at a time, in plaintext\n"]
    lines += [_line(["form", "cosine", "error"]), _line(["---", "---:", "---:"])]
    exact = load_policy("uniform64")
    for function in ("gelu", "softmax", "layer_norm"):
        for name in ENGINE_FORMS[function]:
            error = model.with_forms(_choosing(exact, {function: name}))
            lines.append(_line([f"{function} `{name}`", *error.cells()]))
    for name in EXPONENTIALS:
        # XLA's own exp is not the engine's.
        if name != "engine":
            error = model.with_forms(_choosing(exact, {"softmax": "narrow", "exp": name}))
            lines.append(_line([f"softmax `narrow`, exp `{name}`", *error.cells()]))
    return "\n".join([*lines, ""])


def _choosing(policy: Policy, forms: dict[str, str]) -> Policy:
    return dataclasses.replace(policy, forms=(*policy.forms, FormRule("measured", forms)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("docs/reference/forms_minilm.md"),
    show_default=True,
    help="Where to write.",
)
def main(output: Path) -> None:
    """Measure forms on all-MiniLM-L6-v2."""
    output.write_text(page())


if __name__ == "__main__":
    main()
