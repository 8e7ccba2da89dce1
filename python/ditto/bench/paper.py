"""`ditto bench paper --table N`: the experiments that papers on private Transformers report, on our programs.

Each number says how it is known:

- counted: by the cost model, of the whole program; bytes, messages and rounds that are exact without a run
- projected: of models of more than twelve layers, from one layer and from two, of which every further one
  costs what the second adds; seconds, from the cost model, for three hosts with a processor each
- measured: a run among three real parties on this machine
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import ditto
from ditto.bench.transformer import measure
from ditto.bench.workloads import FAMILIES, workload
from ditto.compiled_program import Program
from ditto.models.bert import bert_classify
from ditto.models.gpt2 import gpt2_prefill
from ditto.models.llama import llama_prefill
from ditto_compiler.cost.model import estimate, seconds_on
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.errors import DittoError
from ditto_compiler.files import write_whole
from ditto_compiler.network import PRESETS as NETWORKS
from ditto_compiler.policy import PRESETS, load_policy

MEASURED_BYTES: Final = MappingProxyType({"none": 120, "shares": 40})
"""Of memory that all processes together take for each weight in a run, by what the policy computes beside the
engine, with weights in ring 64 or in half of that: two slots at each of three parties, what is on its way to
them, and the caller's number. The engine takes more while it multiplies: a layer of LLaMA-7B, 202 million
weights, does not fit into 22 GB under `puma`."""

COUNTED_LAYERS = 12
"""Of models that are counted whole. Compiling takes a second or two for each layer and policy."""

CALIBRATED_BYTES = 12
"""Of memory for each weight of a model that is calibrated: as numpy's, as JAX's, and what is made of them."""


@dataclass(frozen=True)
class Experiment:
    """What one table is about.

    Attributes:
        title: of the table.
        subjects: models with their numbers of tokens.
        policies: presets, unless others are asked for.
        measured: whether one layer is run among parties; else the whole model is counted or projected.
    """

    title: str
    subjects: tuple[tuple[str, int], ...]
    policies: tuple[str, ...]
    measured: bool = False


TABLES: Final[Mapping[int, Experiment]] = MappingProxyType(
    {
        1: Experiment(
            "Whole models",
            (("bert-base", 128), ("bert-large", 128), ("gpt2-base", 32), ("gpt2-medium", 32)),
            PRESETS,
        ),
        2: Experiment(
            "BERT-base by the length of the text",
            (("bert-base", 64), ("bert-base", 128), ("bert-base", 256)),
            ("puma", "mpcformer", "ditto"),
        ),
        3: Experiment(
            "LLaMA-7B: a prompt to its next token",
            (("llama-7b", 4), ("llama-7b", 8)),
            ("puma", "ditto-engine", "ditto"),
        ),
        4: Experiment(
            "One layer among three real parties",
            (("bert-base", 128), ("bert-large", 128), ("gpt2-base", 32), ("gpt2-medium", 32)),
            ("puma", "mpcformer", "ditto-engine", "ditto"),
            measured=True,
        ),
        5: Experiment(
            "One layer of LLaMA-7B among three real parties", (("llama-7b", 8),), ("ditto",), measured=True
        ),
    }
)


@dataclass(frozen=True)
class Model:
    """A model from one-hot ids to what its users want: logits of classes, or of the next token.

    Attributes:
        function: (weights, one-hot ids [tokens, vocabulary]) -> logits.
        shapes: of its arguments.
        full_layers: of the published model.
        inputs: seed -> arguments with random weights, the same for all seeds, and random ids.
    """

    function: Callable[..., Any]
    shapes: tuple[Any, ...]
    full_layers: int
    inputs: Callable[[int], tuple[Any, ...]]

    @property
    def size(self) -> int:
        """Weights in all."""
        return sum(leaf.size for leaf in jax.tree_util.tree_leaves(self.shapes[0]))


def whole_model(name: str, layers: int | None, tokens: int) -> Model:
    """A published model with its embedding, `layers` of its layers (None for all) and its head."""
    family_name, _, size = name.partition("-")
    family = FAMILIES[family_name]
    full = family.presets[size]
    config = dataclasses.replace(full, num_hidden_layers=layers or full.num_hidden_layers)

    def function(weights: Any, ids: Any) -> Any:
        if family_name == "bert":
            return bert_classify(weights, config, ids, np.ones(tokens, np.float32))
        prefill = gpt2_prefill if family_name == "gpt2" else llama_prefill
        return prefill(weights, config, ids, tokens)[0]

    def init(key: Any) -> Any:
        return family.init(config, key)

    @functools.cache
    def random_weights() -> Any:
        return jax.tree_util.tree_map(np.asarray, jax.jit(init)(jax.random.PRNGKey(0)))

    def inputs(seed: int) -> tuple[Any, ...]:
        ids = np.random.default_rng(seed).integers(0, config.vocab_size, tokens)
        return random_weights(), np.eye(config.vocab_size, dtype=np.float32)[ids]

    function.__name__ = name
    weights = jax.eval_shape(init, jax.random.PRNGKey(0))
    ids = jax.ShapeDtypeStruct((tokens, config.vocab_size), np.float32)
    return Model(function, (weights, ids), full.num_hidden_layers, inputs)


def free_memory() -> int:
    """Bytes that can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_memory(name: str, weights: int, bytes_each: int) -> None:
    """Raises a DittoError if that many weights do not fit into what is free, before anything is begun."""
    needed, free = weights * bytes_each, free_memory()
    if needed > free:
        raise DittoError(
            f"{name} takes about {needed / 1e9:.0f} GB of memory for {weights / 1e6:.0f} million weights, "
            f"and {free / 1e9:.0f} GB are free; leave it out with --models, or use a larger machine"
        )


def compiled(model: Model, policy: str) -> Program:
    """Its program; one that rescales explicitly is calibrated on two random inputs."""
    samples = [model.inputs(seed) for seed in (1, 2)] if load_policy(policy).rescale == "explicit" else []
    ranges = ditto.calibrate(model.function, samples, policy=policy) if samples else None
    return ditto.compile(model.function, *model.shapes, policy=policy, ranges=ranges)


def count_rows(
    name: str, tokens: int, policies: Sequence[str], report: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A row for each policy; where the model cannot be compiled, with the reason in place of numbers."""
    whole = whole_model(name, None, tokens)
    counted = whole.full_layers <= COUNTED_LAYERS
    models = [whole] if counted else [whole_model(name, layers, tokens) for layers in (1, 2)]
    if any(load_policy(policy).rescale == "explicit" for policy in policies):
        check_memory(name, models[-1].size, CALIBRATED_BYTES)
    rows = []
    for policy in policies:
        report(f"{name}, {tokens} tokens: {policy}")
        row: dict[str, Any] = {"model": name, "tokens": tokens, "policy": policy}
        try:
            costs = [estimate(compiled(model, policy)).total for model in models]
        except DittoError as error:
            rows.append({**row, "cannot": _reason(error)})
            continue
        how = "counted" if counted else "projected"
        cost = costs[0]
        if not counted:
            cost += (costs[1] + cost.times(-1)).times(whole.full_layers - 1)
        row |= {
            "layers": whole.full_layers,
            "bytes": _known(round(cost.bytes), how),
            "messages": _known(round(cost.messages), how),
            "rounds": _known(round(cost.rounds), how),
            "seconds": {
                network: _known(round(seconds_on(cost, about), 3), "projected")
                for network, about in NETWORKS.items()
            },
        }
        rows.append(row)
    return rows


def run_rows(
    name: str, tokens: int, policies: Sequence[str], rounds: int, report: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A row for each policy, of one layer on embedded tokens, run over each network."""
    task = workload(name, 1, tokens)
    weights = sum(leaf.size for leaf in jax.tree_util.tree_leaves(task.shapes[0]))
    each = max(MEASURED_BYTES[load_policy(policy).beside] for policy in policies)
    check_memory(f"a run of one layer of {name}", weights, each)
    rows = [{"model": name, "tokens": tokens, "policy": policy, "layers": 1} for policy in policies]
    seconds: list[dict[str, Any]] = [{} for _ in policies]
    for network, about in NETWORKS.items():
        report(f"{name} over {network}")
        subjects = measure(task, policies, about, rounds, 3600.0, report)
        for row, taken, subject in zip(rows, seconds, subjects, strict=True):
            assert subject.report is not None
            cost = subject.report.cost.total
            if round(cost.bytes) != subject.bytes:
                raise DittoError(
                    f"{name} under {subject.name} sent {subject.bytes} bytes, "
                    f"where {cost.bytes:.0f} were counted"
                )
            taken[network] = _known(round(subject.seconds, 2), "measured")
            row |= {
                "bytes": _known(subject.bytes, "measured"),
                "messages": _known(subject.stats[-1].messages, "measured"),
                "rounds": _known(round(cost.rounds), "counted"),
                "error": _known(float(f"{subject.error_to_exact:.1e}"), "measured"),
            }
    return [{**row, "seconds": taken} for row, taken in zip(rows, seconds, strict=True)]


def _reason(error: DittoError) -> str:
    if isinstance(error, CompileError):
        return error.diagnostics[0].message
    return str(error).splitlines()[0]


def _known(value: float, how: str) -> dict[str, Any]:
    return {"value": value, "how": how}


def machine() -> dict[str, Any]:
    """What measured numbers depend on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "load": round(os.getloadavg()[2], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("ditto-mpc", "spu", "jax", "numpy")},
        },
    }


def result_table(document: Mapping[str, Any]) -> Table:
    """The rows, for a terminal; a number that is not counted has the first letter of how it is known."""
    table = Table(title=document["title"], title_justify="left", box=SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    table.add_column("tokens", justify="right")
    table.add_column("policy", no_wrap=True)
    for head in ("MB", "messages", "rounds", *(f"{network} s" for network in NETWORKS), "error"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in document["rows"]:
        numbers = ["cannot"] if "cannot" in row else cells(row)
        table.add_row(row["model"], str(row["tokens"]), row["policy"], *numbers)
    return table


def cells(row: Mapping[str, Any]) -> list[str]:
    """MB, messages, rounds, seconds on each network, error; `p` marks what is projected, `m` measured."""

    def cell(known: Mapping[str, Any] | None, form: str, unit: float = 1) -> str:
        if known is None:
            return ""
        mark = "" if known["how"] == "counted" else " " + known["how"][0]
        return f"{known['value'] / unit:{form}}{mark}"

    return [
        cell(row["bytes"], ".1f", 1e6),
        cell(row["messages"], ".0f"),
        cell(row["rounds"], ".0f"),
        *(cell(row["seconds"][network], ".2f") for network in NETWORKS),
        cell(row.get("error"), ".1e"),
    ]


def main(
    number: int, models: Sequence[str], policies: Sequence[str], rounds: int, json_path: Path | None
) -> None:
    """Makes one table, prints it, and writes it with what it was made on.

    Args:
        number: of `TABLES`.
        models: of the table's; empty for all of them.
        policies: presets or files; empty for the table's own.
        rounds: runs of each policy over each network where the table is measured; medians count.
        json_path: where to write the numbers, after each model those that there are.

    Raises:
        DittoError: no such table, model or policy; too little memory; or a party fails.
    """
    if number not in TABLES:
        known = "; ".join(f"{known}: {about.title}" for known, about in TABLES.items())
        raise DittoError(f"there is no table {number} ({known})")
    about = TABLES[number]
    names = dict.fromkeys(name for name, _ in about.subjects)
    for name in models:
        if name not in names:
            raise DittoError(f"table {number} has no model '{name}', but {', '.join(names)}")
    for policy in policies:
        load_policy(policy)
    if rounds < 1:
        raise DittoError(f"rounds must be 1 or more, got {rounds}")
    chosen = tuple(policies) or about.policies
    options = f" --models {','.join(models)}" if models else ""
    options += f" --policies {','.join(policies)}" if policies else ""
    options += f" --rounds {rounds}" if about.measured else ""
    document: dict[str, Any] = {
        "table": number,
        "title": about.title,
        "command": f"ditto bench paper --table {number}{options}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "rows": [],
    }
    rows = document["rows"]
    console = Console()
    console = Console(width=max(console.width, 110))
    with console.status("") as status:
        for name, tokens in about.subjects:
            if models and name not in models:
                continue
            if about.measured:
                rows += run_rows(name, tokens, chosen, rounds, status.update)
            else:
                rows += count_rows(name, tokens, chosen, status.update)
            if json_path is not None:
                write_whole(json_path, (json.dumps(document, indent=1) + "\n").encode())
    console.print(result_table(document))
    for row in rows:
        if "cannot" in row:
            console.print(f"{row['model']} under {row['policy']}: {row['cannot']}", soft_wrap=True)
