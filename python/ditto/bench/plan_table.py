"""What plans save beside the preset they are based on, on models and on classic machine learning."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import ditto
from ditto.bench.workloads import workload
from ditto.demo.corpus import QUERIES, SENTENCES
from ditto.demo.search import encoder, model_inputs
from ditto.models.minilm import load_minilm
from ditto.runtime.caller.cluster import LocalCluster
from ditto_compiler.errors import DittoError
from ditto_compiler.options import did_you_mean

WIDTH = 120
"""Characters of the table."""


@dataclass(frozen=True)
class Planned:
    """A program to plan.

    Attributes:
        function: what is run.
        samples: its arguments; the last third is held out.
        fresh: arguments that are none of these.
    """

    function: Callable[..., Any]
    samples: list[tuple[Any, ...]]
    fresh: tuple[Any, ...]


def _transformer(model: str, seq: int) -> Planned:
    about = workload(model, 1, seq)
    return Planned(about.function, [about.inputs(seed) for seed in range(1, 5)], about.inputs(9))


def _minilm() -> Planned:
    model = load_minilm()
    return Planned(
        encoder(model),
        [model_inputs(model, text) for text in SENTENCES],
        model_inputs(model, QUERIES[0].text),
    )


def _resnet_block() -> Planned:
    """Two 3x3 convolutions of 32 features with batch norm's scales and shifts, on 28x28 places."""
    rng, features, extent = np.random.default_rng(0), 32, 28

    def convolve(x: Any, kernel: Any) -> Any:
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def block(weights: Any, x: Any) -> Any:
        h = jax.nn.relu(convolve(x, weights["first"]) * weights["scale"] + weights["shift"])
        return jax.nn.relu(convolve(h, weights["second"]) + weights["bias"] + x)

    def kernel() -> Any:
        return (rng.normal(size=(3, 3, features, features)) / np.sqrt(9 * features)).astype(np.float32)

    weights = {
        "first": kernel(),
        "second": kernel(),
        "scale": rng.uniform(0.5, 1.5, features).astype(np.float32),
        "shift": (rng.normal(size=features) / 10).astype(np.float32),
        "bias": (rng.normal(size=features) / 10).astype(np.float32),
    }

    def arguments(seed: int) -> tuple[Any, ...]:
        x = np.random.default_rng(seed).normal(size=(1, extent, extent, features))
        return weights, np.maximum(x, 0).astype(np.float32)

    return Planned(block, [arguments(seed) for seed in range(1, 5)], arguments(9))


def _blobs(seed: int, rows: int, features: int, centres: int) -> tuple[Any, Any]:
    """Points about a few centres, which are the same for all seeds, and whose they are."""
    middle = np.random.default_rng(0).uniform(-1, 1, (centres, features))
    rng = np.random.default_rng(seed)
    of = rng.integers(0, centres, rows)
    points = middle[of] + rng.normal(size=(rows, features)) / 5
    return points.astype(np.float32), of


def _logistic_regression() -> Planned:
    """Eight steps of gradient descent on 256 rows of 16 features, both secret."""

    def train(x: Any, y: Any, weights: Any) -> Any:
        for _ in range(8):
            off = jax.nn.sigmoid(x @ weights) - y
            weights = weights - 0.5 / len(x) * (x.T @ off)
        return weights

    def arguments(seed: int) -> tuple[Any, ...]:
        points, of = _blobs(seed, 256, 16, 2)
        return points, of.astype(np.float32), np.zeros(16, np.float32)

    return Planned(train, [arguments(seed) for seed in range(1, 5)], arguments(9))


def _k_means() -> Planned:
    """Three rounds of k-means with four centres on 256 points of 8 features."""

    def cluster(points: Any, centres: Any) -> Any:
        for _ in range(3):
            distances = jnp.sum(centres**2, axis=1) - 2 * points @ centres.T
            mine = (distances <= distances.min(axis=1, keepdims=True)).astype(points.dtype)
            centres = (mine.T @ points) / (jnp.sum(mine, axis=0)[:, None] + 1e-3)
        return centres

    def arguments(seed: int) -> tuple[Any, ...]:
        points, _ = _blobs(seed, 256, 8, 4)
        middle = np.random.default_rng(0).uniform(-1, 1, (4, 8)) + 0.1
        return points, middle.astype(np.float32)

    return Planned(cluster, [arguments(seed) for seed in range(1, 5)], arguments(9))


PROGRAMS: dict[str, Callable[[], Planned]] = {
    "bert-base": lambda: _transformer("bert-base", 128),
    "gpt2-base": lambda: _transformer("gpt2-base", 128),
    "llama-tiny": lambda: _transformer("llama-tiny", 64),
    "minilm": _minilm,
    "resnet-block": _resnet_block,
    "logistic-regression": _logistic_regression,
    "k-means": _k_means,
}
"""Programs of the table, by name."""


def measure(programs: Sequence[str], objective: str) -> Iterator[dict[str, Any]]:
    """Plans each program for the error that `ditto` has, and for half the bits of it, and runs all three.

    Raises:
        DittoError: no such program.
    """
    for name in programs:
        if name not in PROGRAMS:
            close = did_you_mean(name, PROGRAMS)
            raise DittoError(f"no program '{name}'{close} (there are {', '.join(PROGRAMS)})")
    with LocalCluster() as cluster:
        for name in programs:
            about = PROGRAMS[name]()
            yield from _rows(name, about, objective, cluster)


def _rows(name: str, about: Planned, objective: str, cluster: LocalCluster) -> Iterator[dict[str, Any]]:
    exact = np.asarray(jax.jit(about.function)(*about.fresh), np.float64)
    alike = ditto.plan(about.function, about.samples, objective=objective)
    base = alike.presets["ditto"]
    # Half the bits from the largest output to the error.
    looser = float(np.sqrt(base.error * np.abs(exact).max()))
    rough = ditto.plan(about.function, about.samples, objective=objective, error=looser)
    ranges = alike.ranges
    for what, plan, measured, asked in (
        ("ditto", "ditto", base, base.error),
        ("plan", alike, alike.measured, alike.asked),
        ("half the bits", rough, rough.measured, looser),
    ):
        program = ditto.compile(about.function, *about.fresh, policy=plan, ranges=ranges)
        found = np.asarray(cluster.run(program, *about.fresh), np.float64)
        stats = cluster.stats
        assert stats is not None
        yield {
            "program": name,
            "policy": what,
            "asked": asked,
            "held_out_error": measured.error,
            "held_out_deviation": measured.deviation,
            "run_error": float(np.abs(found - exact).max()),
            "run_deviation": float(np.sqrt(((found - exact) ** 2).mean())),
            "bytes": stats.bytes,
            "messages": stats.messages,
            "rounds": measured.rounds,
            "seconds": stats.seconds,
            "wan_seconds": measured.seconds["wan"],
            "gap": 0.0 if isinstance(plan, str) else plan.gap,
        }


def main(programs: Sequence[str], objective: str, json_path: Path | None = None) -> None:
    """Prints the table; writes it as JSON too if a path is given."""
    rows = []
    for row in measure(programs or list(PROGRAMS), objective):
        rows.append(row)
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1))
    Console(width=max(Console().width, WIDTH)).print(table(rows))


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """One row for each program and policy: bytes of a run, errors of it and of held-out samples."""
    result = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column("program", no_wrap=True)
    result.add_column("policy", no_wrap=True)
    for name in (
        "MB",
        "ratio",
        "rounds",
        "wan s",
        "deviation",
        "held-out error",
        "asked",
        "run's error",
        "gap",
    ):
        result.add_column(name, justify="right", no_wrap=True)
    base = 1
    for row in rows:
        is_base = row["policy"] == "ditto"
        base = row["bytes"] if is_base else base
        result.add_row(
            row["program"] if is_base else "",
            row["policy"],
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['bytes'] / base:.2f}",
            f"{row['rounds']:.0f}",
            f"{row['wan_seconds']:.2f}",
            f"{row['held_out_deviation']:.1e}",
            f"{row['held_out_error']:.1e}",
            "" if is_base else f"{row['asked']:.1e}",
            f"{row['run_error']:.1e}",
            "" if is_base else f"{row['gap']:.2%}",
        )
    return result
