"""What private text generation takes, token by token."""

from __future__ import annotations

import dataclasses
import statistics

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from ditto.generation import generate, gpt2
from ditto.models.gpt2 import GPT2_PRESETS, gpt2_logits, init_gpt2
from ditto.runtime.caller.cluster import LocalCluster, RunStats
from ditto_compiler.errors import DittoError


def main(model: str, layers: int | None, prompt: int, new_tokens: int, policy: str, samples: int) -> None:
    """Generates with random weights, from and calibrated on random tokens, and prints what each token took.

    Raises:
        DittoError: there is no such model, or what `generate` raises.
    """
    if model not in GPT2_PRESETS:
        raise DittoError(f"there is no GPT-2 '{model}', but {', '.join(GPT2_PRESETS)}")
    config = GPT2_PRESETS[model]
    if layers is not None:
        config = dataclasses.replace(config, num_hidden_layers=layers)
    params = jax.tree.map(np.asarray, init_gpt2(config, jax.random.key(0)))
    drawn = np.random.default_rng(0).integers(0, config.vocab_size, (1 + samples, prompt + new_tokens))
    text, *others = drawn.tolist()
    runs: list[tuple[int, RunStats]] = []
    with LocalCluster() as cluster:
        generate(
            cluster,
            gpt2(config),
            params,
            text[:prompt],
            new_tokens,
            policy=policy,
            samples=others,
            on_token=lambda token, stats: runs.append((token, stats)),
        )
    title = f"GPT-2 {model}, {config.num_hidden_layers} layers, prompt of {prompt}, policy {policy}"
    table = Table(title=title)
    for column in ("token", "plaintext", "seconds", "MB", "messages"):
        table.add_column(column, justify="right")
    words, read = np.eye(config.vocab_size, dtype=np.float32), text[:prompt]
    for token, stats in runs:
        expected = int(gpt2_logits(params, config, words[np.array(read)])[-1].argmax())
        read.append(token)
        table.add_row(
            str(token),
            str(expected),
            f"{stats.seconds:.2f}",
            f"{stats.bytes / 1e6:.1f}",
            str(stats.messages),
        )
    console = Console()
    console.print(table)
    # The first run reads the prompt; in the second, the cache is cast to what steps take.
    if len(runs) > 2:
        median = statistics.median(stats.seconds for _, stats in runs[2:])
        console.print(f"Median of the tokens from the third on: {median:.2f} s.")
