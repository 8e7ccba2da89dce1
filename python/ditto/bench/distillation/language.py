"""A small GPT-2, trained on the text of Python's reference; what it says, privately."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from ditto.bench.distillation.measuring import calibrated, run_privately, simulate_all
from ditto.bench.distillation.quadratic import quadratic_on_shares
from ditto.bench.distillation.teachers import trained
from ditto.bench.distillation.texts import sentences
from ditto.distillation.examples import Batches
from ditto.distillation.stages import Stage
from ditto.distillation.starting import quadratic_start
from ditto.distillation.training import distill
from ditto.generation import generate, gpt2
from ditto.models.gpt2 import Gpt2Config, gpt2_logits, init_gpt2
from ditto.models.layers import Params
from ditto.runtime.caller.cluster import LocalCluster
from ditto_compiler.policy import Policy, load_policy

VOCABULARY, LENGTH = 512, 48
"""Tokens that there are, and tokens of a text."""

CONFIG = Gpt2Config(
    vocab_size=VOCABULARY,
    hidden_size=128,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=512,
    max_position_embeddings=64,
)

STEPS, BATCH, RATE = 1200, 32, 2e-3

STAGES = (
    Stage("layers", 800, 5e-4, hidden=1.0, attention=1.0, rings=False),
    Stage("outputs", 400, 2e-4, outputs=1.0),
)

ATTENTION = "*/attention/context"

STARTING = 512
"""Texts for which weights to start from are fitted."""

PROMPT, TOKENS = "If the object is", 16
"""What the generated text starts with, and how many tokens it goes on for."""


class Texts:
    """Text as token ids, by a vocabulary that was made of what is trained on.

    Attributes:
        training, held_out: ids [rows, LENGTH].
    """

    def __init__(self) -> None:
        split = sentences()
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        self.tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCABULARY, initial_alphabet=sorted(alphabet), show_progress=False
        )
        self.tokenizer.train_from_iterator(split.training, trainer)
        self.training, self.held_out = map(self._rows, (split.training, split.held_out))

    def _rows(self, texts: Sequence[str]) -> NDArray[np.int32]:
        stream = [token for text in texts for token in self.tokenizer.encode(text).ids]
        rows = len(stream) // LENGTH
        return np.array(stream[: rows * LENGTH], np.int32).reshape(rows, LENGTH)


def logits(params: Params, tokens: jax.Array) -> jax.Array:
    """Of the next token after each of some tokens, one-hot."""
    return gpt2_logits(params, CONFIG, tokens)


def quadratic(params: Params, tokens: jax.Array) -> jax.Array:
    """The same with quadratic GeLU."""
    return gpt2_logits(params, dataclasses.replace(CONFIG, hidden_act="quad"), tokens)


def one_hot(ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """Ids as vectors."""
    return np.eye(VOCABULARY, dtype=np.float32)[ids]


def train(texts: Texts, *, steps: int = STEPS, seed: int = 0) -> Params:
    """The teacher: trained in plaintext, with its exact functions."""
    # Windows that start anywhere.
    stream = texts.training.reshape(-1)

    def window(step: int) -> tuple[Any, ...]:
        starts = np.random.default_rng((seed, step)).integers(len(stream) - LENGTH, size=BATCH)
        return (stream[starts[:, None] + np.arange(LENGTH)],)

    def loss(params: Any, ids: Any) -> Any:
        given = jax.vmap(logits, (None, 0))(params, jax.nn.one_hot(ids, VOCABULARY))
        return optax.softmax_cross_entropy_with_integer_labels(given[:, :-1], ids[:, 1:]).mean()

    start = init_gpt2(CONFIG, jax.random.PRNGKey(seed))
    return trained(start, loss, window, steps=steps, rate=RATE, decay=0.1)


def perplexity(given: Any, ids: NDArray[np.int32]) -> float:
    """Of texts under a model that gives logits [texts, LENGTH, VOCABULARY]."""
    found = jax.nn.log_softmax(jnp.asarray(given)[:, :-1], axis=-1)
    chosen = np.take_along_axis(np.asarray(found), ids[:, 1:, None], axis=-1)
    return float(np.exp(-chosen.mean()))


def distilled(
    params: Params,
    teacher: Params,
    texts: Texts,
    policy: Policy,
    *,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> Params:
    """Weights for a policy's functions and rings, from those that it starts with."""
    batches = Batches(texts.training, size=BATCH)
    found = distill(
        logits,
        logits,
        params,
        lambda step: (one_hot(*batches(step)),),
        teacher_params=teacher,
        policy=policy,
        held_out=[(one_hot(texts.training[:32]),)],
        stages=STAGES,
        attention=ATTENTION,
        loss="divergence",
        agreement="top1",
        checkpoint=checkpoint,
        progress=progress,
    )
    return dict(found.params)


def measure(*, folder: Path | None = None, progress: bool = True) -> tuple[list[dict[str, Any]], str]:
    """Perplexity of held-out text under each policy, and a text that was generated privately.

    Quadratic GeLU comes first, from weights that least squares give; from there 2Quad softmax as well.

    Args:
        folder: for checkpoints, from which an earlier run is resumed.
        progress: shows trainings on stderr.
    """
    texts = Texts()
    teacher = train(texts)
    aside = one_hot(texts.held_out)
    plain = np.asarray(jax.jit(jax.vmap(logits, (None, 0)))(teacher, aside))
    rows: list[dict[str, Any]] = [
        {"policy": "plaintext", "weights": "original", "perplexity": perplexity(plain, texts.held_out)}
    ]
    weights = {"original": teacher}
    best = quadratic_start(logits, quadratic, teacher, one_hot(texts.training[:STARTING]), post_norm=False)
    weights["start"] = best
    for policy in (load_policy("ditto-quad"), quadratic_on_shares()):
        own = None if folder is None else folder / policy.name
        best = distilled(best, teacher, texts, policy, checkpoint=own, progress=progress)
        weights[policy.name] = best
    configurations = (
        (load_policy("puma"), "original"),
        (load_policy("ditto"), "original"),
        (load_policy("ditto-quad"), "original"),
        (load_policy("ditto-quad"), "start"),
        (load_policy("ditto-quad"), "ditto-quad"),
        (quadratic_on_shares(), "original"),
        (quadratic_on_shares(), "ditto-2quad"),
    )
    samples = [(row,) for row in one_hot(texts.training[:64])]
    with LocalCluster() as cluster:
        for each, label in configurations:
            params = weights[label]
            ranges = calibrated(logits, each, params, samples)
            given = simulate_all(logits, each, ranges, params, aside)
            top = float((given.argmax(-1) == plain.argmax(-1)).mean())
            row = {"policy": each.name, "weights": label, "perplexity": perplexity(given, texts.held_out)}
            private = run_privately(cluster, logits, each, ranges, params, [(aside[0],), (aside[1],)])
            off = perplexity(private.outputs, texts.held_out[:2]) / perplexity(given[:2], texts.held_out[:2])
            row |= {"top 1": top, "private ratio": off}
            rows.append({**row, "MB": private.megabytes, "s": private.seconds})
        prompt = texts.tokenizer.encode(PROMPT).ids
        told = [list(map(int, row)) for row in texts.training[:8]]
        student, chosen = weights["ditto-quad"], "ditto-quad"
        answer = generate(cluster, gpt2(CONFIG), student, prompt, TOKENS, policy=chosen, samples=told)
    return rows, texts.tokenizer.decode([*prompt, *answer])
