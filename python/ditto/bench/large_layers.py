"""Layers too large to be held by one machine together: shared one by one, run by one program."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import ditto
from ditto.models.llama import LLAMA_PRESETS, LlamaConfig, init_llama, llama_layer
from ditto_compiler.errors import DittoError


def main(model: str, layers: int, seq: int, policy: str) -> None:
    """Shares `layers` layers with random weights, runs them one after another, and prints what each took.

    The caller holds one layer at a time. Two random texts calibrate the program, a third one is run.

    Raises:
        DittoError: there is no such model, or what `compile` and `run` raise.
    """
    if model not in LLAMA_PRESETS:
        raise DittoError(f"there is no LLaMA '{model}', but {', '.join(LLAMA_PRESETS)}")
    config = dataclasses.replace(LLAMA_PRESETS[model], num_hidden_layers=1, vocab_size=1)

    def layer(weights: Any, hidden: Any) -> Any:
        return llama_layer(weights, config, hidden)

    texts = np.random.default_rng(0).normal(size=(3, seq, config.hidden_size)).astype(np.float32)
    states = [texts]

    def samples() -> Iterator[tuple[Any, NDArray[Any]]]:
        plain = jax.jit(layer)
        for number in range(layers):
            weights = _weights(config, number)
            yield from ((weights, hidden) for hidden in states[-1][:2])
            states.append(np.stack([plain(weights, hidden) for hidden in states[-1]]))

    ranges = ditto.calibrate(layer, samples(), policy=policy)
    shapes = jax.eval_shape(functools.partial(_layer, config), 0)
    program = ditto.compile(layer, shapes, texts[2], policy=policy, ranges=ranges, donate_argnums=1)
    table = Table(title=f"LLaMA {model}, {seq} tokens, policy {policy}")
    for column in ("layer", "s to share", "s to run", "MB", "messages", "GB a party"):
        table.add_column(column, justify="right")
    with ditto.LocalCluster() as cluster:
        shared, seconds = [], []
        for number in range(layers):
            weights = _weights(config, number)
            start = time.perf_counter()
            shared.append(cluster.share(program, 0, weights))
            seconds.append(time.perf_counter() - start)
        hidden: Any = texts[2]
        for number in range(layers):
            # The states between layers stay with the parties.
            hidden = cluster.run(program, shared[number], hidden, keep=number < layers - 1)
            stats = cluster.stats
            assert stats is not None
            table.add_row(
                str(number),
                f"{seconds[number]:.1f}",
                f"{stats.seconds:.2f}",
                f"{stats.bytes / 1e6:.1f}",
                str(stats.messages),
                f"{stats.peak_memory / 1e9:.2f}",
            )
    console = Console()
    console.print(table)
    exact = states[layers][2]
    error = np.abs(hidden - exact).max()
    console.print(f"Largest error {error:.1e}, of numbers up to {np.abs(exact).max():.3g}.")


def _weights(config: LlamaConfig, number: int) -> Any:
    return jax.tree.map(np.asarray, jax.jit(functools.partial(_layer, config))(number))


def _layer(config: LlamaConfig, number: Any) -> Any:
    return init_llama(config, jax.random.key(number))["layers"][0]
