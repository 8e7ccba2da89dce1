"""MiniLM on sentences of Python's reference: queries are embedded privately, the index is the original's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

import ditto
from ditto.bench.distillation.measuring import calibrated, run_privately, simulate_all
from ditto.bench.distillation.quadratic import quadratic_on_shares
from ditto.bench.distillation.texts import docstrings, sentences
from ditto.distillation.examples import Batches
from ditto.distillation.stages import Stage
from ditto.distillation.starting import quadratic_start
from ditto.distillation.training import distill
from ditto.models.bert import sentence_embedding
from ditto.models.layers import Params
from ditto.models.minilm import MiniLM, load_minilm
from ditto.runtime.caller.cluster import LocalCluster
from ditto_compiler.calibration import Ranges
from ditto_compiler.policy import Policy, load_policy

LENGTH = 24
"""Tokens of a sentence, padded or cut."""

BATCH = 16


def _stage(name: str, steps: int, rate: float) -> Stage:
    return Stage(name, steps, rate, hidden=1.0, attention=1.0, outputs=2.0, rings=False)


STAGES = {
    "ditto-quad": (_stage("layers", 2400, 3e-4), _stage("again", 2000, 1.5e-4)),
    "ditto-2quad": (_stage("softmax", 1000, 2e-4),),
}
"""The second model starts where the first one ended."""

ATTENTION = "*/attention/context"
"""What attention gives: scores that softmax turns into the same are not those for another function."""

PRIVATE = 24
"""Queries that are embedded among parties."""

STARTING = 4096
"""Sentences for which weights to start from are fitted."""

SAMPLES, CHECKED = 64, 64
"""Sentences to calibrate on, and to choose the best weights by."""

PLANNED, LEAST = 24, 0.9995
"""Sentences to plan with, and the cosine to keep: the demo's."""


class Encoder:
    """MiniLM for texts whose word embeddings were looked up.

    Attributes:
        params: its weights; of word embeddings there is one row, for the shape.
    """

    def __init__(self) -> None:
        self._model: MiniLM = load_minilm()
        embeddings = self._model.params["embeddings"]
        self._word = np.asarray(embeddings["word"])
        self.params: Params = {**self._model.params, "embeddings": {**embeddings, "word": self._word[:1]}}

    def __call__(self, params: Params, tokens: jax.Array, mask: jax.Array) -> jax.Array:
        """The embedding of a sentence."""
        return sentence_embedding(params, self._model.config, tokens, mask)

    def quadratic(self, params: Params, tokens: jax.Array, mask: jax.Array) -> jax.Array:
        """The same with quadratic GeLU."""
        config = dataclasses.replace(self._model.config, hidden_act="quad")
        return sentence_embedding(params, config, tokens, mask)

    def start(self, texts: Sequence[str]) -> Params:
        """Weights for quadratic GeLU, without training."""
        tokens, mask = self.inputs(texts)
        return quadratic_start(
            self, self.quadratic, self.params, tokens, mask, post_norm=True, counted=mask > 0
        )

    def inputs(self, texts: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Word embeddings [texts, LENGTH, size] and masks [texts, LENGTH]."""
        found = [self._model.tokenizer.encode(text, LENGTH) for text in texts]
        return np.stack([self._word[each.ids] for each in found]), np.stack([each.mask for each in found])


def retrieval(queries: NDArray[Any], index: NDArray[Any]) -> tuple[float, float]:
    """How far queries find in an index what its own rows find: the nearest other row, the nearest five.

    Args:
        queries: [count, size], of the first rows of the index.
        index: [rows, size], of length 1.

    Returns:
        Parts from 0 to 1, of the same first row, and of the first five that are the same.
    """
    ranks = []
    for rows in (queries, index[: len(queries)]):
        scores = rows @ index.T
        scores[np.arange(len(rows)), np.arange(len(rows))] = -np.inf
        ranks.append(np.argsort(-scores, axis=1)[:, :5])
    mine, other = ranks
    common = [len(set(a) & set(b)) / 5 for a, b in zip(mine, other, strict=True)]
    return float((mine[:, 0] == other[:, 0]).mean()), float(np.mean(common))


def cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Of the angle between two embeddings."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def quality(found: NDArray[Any], index: NDArray[Any]) -> dict[str, float]:
    """Mean cosine to the original, and retrieval, of the first rows."""
    first, five = retrieval(found, index)
    mean = float(np.mean([cosine(*pair) for pair in zip(found, index, strict=False)]))
    return {"cosine": mean, "top 1": first, "top 5": five}


def distilled(
    encoder: Encoder,
    functions: str,
    params: Params,
    texts: Sequence[str],
    checked: Sequence[str],
    *,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> Params:
    """Weights of MiniLM for the functions and rings of one of `POLICIES`, from those that it starts with."""
    found = distill(
        encoder,
        encoder,
        params,
        Batches(*encoder.inputs(texts), size=BATCH),
        teacher_params=encoder.params,
        policy=POLICIES[functions],
        held_out=[encoder.inputs(checked)],
        stages=STAGES[functions],
        attention=ATTENTION,
        frozen="embeddings/*",
        every=200,
        checkpoint=checkpoint,
        progress=progress,
    )
    return dict(found.params)


def measure(*, folder: Path | None = None, progress: bool = True) -> list[dict[str, Any]]:
    """Cosine and retrieval on held-out sentences, in the simulator and in private runs.

    Each model is run with its original weights, with those that least squares give for quadratic GeLU, or
    with those that were distilled from there, and from these for 2Quad softmax as well.

    Args:
        folder: for checkpoints, from which an earlier run is resumed.
        progress: shows trainings on stderr.
    """
    encoder, split = Encoder(), sentences()
    aside = encoder.inputs(split.held_out)
    index = np.asarray(jax.jit(jax.vmap(encoder, (None, 0, 0)))(encoder.params, *aside))
    samples = list(zip(*encoder.inputs(split.training[:SAMPLES]), strict=True))
    examples = list(zip(*aside, strict=True))[:PRIVATE]
    # Of the training topics, too: what is held out is for measuring alone.
    training = (*split.training[:-CHECKED], *split.running, *docstrings())
    checked = split.training[-CHECKED:]
    chosen = np.random.default_rng(0).choice(len(training), STARTING, replace=False)
    best = encoder.start([training[number] for number in chosen])
    weights = {"original": encoder.params, "start": best}
    rows = []
    with LocalCluster() as cluster:

        def add(policy: Policy, label: str, ranges: Ranges, runs: bool) -> None:
            params = weights[label]
            found = quality(simulate_all(encoder, policy, ranges, params, *aside), index)
            row: dict[str, Any] = {"policy": policy.name, "weights": label, **found}
            if runs:
                private = run_privately(cluster, encoder, policy, ranges, params, examples)
                same = quality(private.outputs, index)
                row |= {"private cosine": same["cosine"], "private top 1": same["top 1"]}
                row |= {"MB": private.megabytes, "s": private.seconds}
            rows.append(row)

        for label, policy, runs in CONFIGURATIONS:
            if label not in weights:
                own = None if folder is None else folder / label
                best = distilled(encoder, label, best, training, checked, checkpoint=own, progress=progress)
                weights[label] = best
            add(policy, label, calibrated(encoder, policy, weights[label], samples), runs)
        plan = ditto.plan(
            encoder,
            [(encoder.params, *sample) for sample in samples[:PLANNED]],
            quality=cosine,
            least=LEAST,
            progress=progress,
        )
        add(plan.policy, "original", plan.ranges, True)
    return rows


POLICIES = {"ditto-quad": load_policy("ditto-quad"), "ditto-2quad": quadratic_on_shares()}
"""Those that are trained for: quadratic GeLU, and 2Quad softmax as well."""

CONFIGURATIONS = (
    ("original", load_policy("puma"), True),
    ("original", load_policy("ditto"), True),
    ("original", POLICIES["ditto-quad"], False),
    ("start", POLICIES["ditto-quad"], False),
    ("ditto-quad", POLICIES["ditto-quad"], True),
    ("original", POLICIES["ditto-2quad"], False),
    ("ditto-2quad", POLICIES["ditto-2quad"], True),
    ("ditto-2quad", load_policy("mpcformer"), True),
)
"""Which weights, under which policy, and whether it is also run among parties."""
