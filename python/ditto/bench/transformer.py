"""`ditto bench transformer`: a transformer under several policies, beside stock SPU.

All policies run on the same parties, thread limits, allocator and network, and take turns, so that what
else the machine does disturbs all of them alike. `spu` is the program of SPU's own compiler; `spu+puma` the
same after Ditto's rewrites for the policy `puma`, with SPU's option for one reciprocal per row.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import ditto
from ditto.baseline import compile_stock
from ditto.bench.plot import Bar, Panel, plot
from ditto.bench.workloads import Workload, workload
from ditto.frontend import trace
from ditto.runtime.caller.cluster import LocalCluster, RunStats
from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.model import estimate, seconds_on, total
from ditto_compiler.files import write_whole
from ditto_compiler.network import PARTIES, Network, load_network
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.policy import load_policy
from ditto_compiler.program import Program
from ditto_compiler.report.summary import OUTSIDE, Report, fold, make_report
from ditto_compiler.showing import format_bytes, format_seconds
from ditto_compiler.xla import XlaFunction

STOCK = "spu"
GUARDED = "+guard"

PROCESSORS = min(os.cpu_count() or 1, PARTIES)
"""That the parties share here."""


@dataclass
class Subject:
    """One policy in the comparison.

    Attributes:
        name: of the policy, or `spu`, `spu+POLICY`, or `POLICY+guard`.
        program: compiled.
        report: its predicted cost; None for SPU's own programs, which the cost model cannot read.
        same: plaintext result by the formulas that the program computes by.
        exact: plaintext result of the model as it is.
        stats: of each run.
        output: of the last run.
    """

    name: str
    program: Program
    report: Report | None
    same: NDArray[Any]
    exact: NDArray[Any]
    stats: list[RunStats] = field(default_factory=list)
    output: NDArray[Any] = field(default_factory=lambda: np.zeros(0))

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return statistics.median(stats.seconds for stats in self.stats)

    @property
    def bytes(self) -> int:
        """Sent by all parties; the same in each run."""
        return self.stats[-1].bytes

    @property
    def error_to_same(self) -> float:
        """Largest absolute difference to the same formulas in float: what fixed point costs."""
        return float(np.abs(self.output - self.same).max())

    @property
    def error_to_exact(self) -> float:
        """Largest absolute difference to the model as it is."""
        return float(np.abs(self.output - self.exact).max())


def compile_subject(
    name: str, task: Workload, arguments: Sequence[Any], network: Network | None = None
) -> Subject:
    """Compiles a policy's program.

    One that rescales explicitly is calibrated on two other random inputs; one that is guarded, and answers
    only what calibration has seen the like of, on eight.
    """
    stock = name == STOCK or name.startswith(f"{STOCK}+")
    forms = None if name == STOCK else name.removeprefix(f"{STOCK}+").removesuffix(GUARDED)
    if stock:
        program = compile_stock(
            task.function, *task.shapes, forms=forms, reciprocal_per_row=forms is not None
        )
    else:
        policy, guard = load_policy(name.removesuffix(GUARDED)), name.endswith(GUARDED)
        count = 8 if guard else 2 if policy.rescale == "explicit" else 0
        samples = [task.inputs(seed) for seed in range(1, count + 1)]
        ranges = ditto.calibrate(task.function, samples, policy=policy) if samples else None
        program = ditto.compile(task.function, *task.shapes, policy=policy, ranges=ranges, guard=guard)
    report = None if stock else make_report(program, (), network)
    exact = plaintext(task, arguments, None)
    return Subject(name, program, report, plaintext(task, arguments, forms), exact)


def plaintext(task: Workload, arguments: Sequence[Any], forms: str | None) -> NDArray[Any]:
    """The result in float arithmetic, by the formulas of a policy or by the model's own."""
    module = trace(task.function, task.shapes).module
    if forms is not None:
        PassManager(front_end_pipeline(forms)).run(module)
    return XlaFunction(module)(*jax.tree_util.tree_leaves(tuple(arguments)))[0]


def measure(
    task: Workload,
    policies: Sequence[str],
    network: Network | None,
    rounds: int,
    timeout: float,
    report: Callable[[str], None],
) -> list[Subject]:
    """Runs each policy `rounds` times, in turns; `report` is told what is being done."""
    arguments = task.inputs(0)
    subjects = []
    for name in policies:
        report(f"compiling {name}")
        subjects.append(compile_subject(name, task, arguments, network))
    with LocalCluster(timeout, network=network) as cluster:
        for number in range(rounds):
            for subject in subjects:
                report(f"round {number + 1} of {rounds}: {subject.name}")
                subject.output = np.asarray(cluster.run(subject.program, *arguments))
                assert cluster.stats is not None
                subject.stats.append(cluster.stats)
    return subjects


def project(model: str, seq: int, policy: str, layers: int, network: Network | None = None) -> Cost:
    """What a model of many layers costs, from the estimates for one and two. Nothing is run.

    Layers are alike, so each adds what the second adds to the first.
    """
    one, two = (
        estimate(ditto.compile(task.function, *task.shapes, policy=policy), network=network).total
        for task in (workload(model, count, seq) for count in (1, 2))
    )
    return one + (two + one.times(-1)).times(layers - 1)


def predicted_seconds(cost: Cost, network: Network | None) -> float:
    """Wall time that the cost model expects of parties on this machine."""
    if network is None:
        return cost.seconds / PROCESSORS
    return seconds_on(cost, network, PROCESSORS)


def scopes(subject: Subject, network: Network | None) -> list[tuple[str, float, float]]:
    """(scope, bytes, seconds): measured totals, split as the cost model says.

    Scopes of layers are summed up over layers, others over their parts; what is in none has an empty name.
    """
    if subject.report is None:
        return [("", float(subject.bytes), subject.seconds)]
    costs: dict[str, Cost] = {}
    for group, name, parts in fold(subject.report.parts):
        label = "" if group == OUTSIDE else name if re.search(r"[*\d]", group) else group
        costs[label] = costs.get(label, FREE) + total(part.cost for part in parts)
    whole = total(costs.values())
    byte_share = subject.bytes / (whole.bytes or 1.0)
    time_share = subject.seconds / (predicted_seconds(whole, network) or 1.0)
    return [
        (label, cost.bytes * byte_share, predicted_seconds(cost, network) * time_share)
        for label, cost in costs.items()
    ]


def to_json(
    task: Workload, subjects: Sequence[Subject], layers: int, seq: int, network: Network | None
) -> dict[str, Any]:
    """Everything that was measured, as plain data."""
    return {
        "model": task.name,
        "layers": layers,
        "seq": seq,
        "network": None if network is None else dataclasses.asdict(network),
        "cores": os.cpu_count(),
        "policies": [_subject_json(subject, subjects[0], network) for subject in subjects],
    }


def _subject_json(subject: Subject, first: Subject, network: Network | None) -> dict[str, Any]:
    last = subject.stats[-1]
    about: dict[str, Any] = {
        "policy": subject.name,
        "seconds": subject.seconds,
        "all_seconds": [stats.seconds for stats in subject.stats],
        "cpu_seconds": statistics.median(stats.cpu_seconds for stats in subject.stats),
        "bytes": last.bytes,
        "messages": last.messages,
        "cast_bytes": last.cast_bytes,
        "compare_bytes": last.compare_bytes,
        "beside_bytes": last.beside_bytes,
        "peak_memory": max(stats.peak_memory for stats in subject.stats),
        "times_faster": first.seconds / subject.seconds,
        "times_fewer_bytes": first.bytes / subject.bytes,
        "error_to_same_formulas": subject.error_to_same,
        "error_to_exact_model": subject.error_to_exact,
        "compile_seconds": subject.program.seconds,
        "scopes": [
            {"scope": scope, "bytes": count, "seconds": seconds}
            for scope, count, seconds in scopes(subject, network)
        ],
    }
    if subject.report is not None:
        cost = subject.report.cost.total
        seconds = predicted_seconds(cost, network)
        about["predicted"] = {**dataclasses.asdict(cost), "cpu_seconds": cost.seconds, "seconds": seconds}
    return about


def result_table(title: str, subjects: Sequence[Subject], network: Network | None) -> Table:
    """One row per policy; ratios are to the first."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("policy", no_wrap=True)
    heads = ("seconds", "min-max", "faster", "predicted", "MB", "fewer", "messages", "rounds")
    for head in (*heads, "error, same", "exact", "peak MB"):
        table.add_column(head, justify="right", no_wrap=True)
    first = subjects[0]
    for subject in subjects:
        seconds = [stats.seconds for stats in subject.stats]
        cost = None if subject.report is None else subject.report.cost.total
        table.add_row(
            subject.name,
            f"{subject.seconds:.2f}",
            f"{min(seconds):.2f}-{max(seconds):.2f}",
            f"{first.seconds / subject.seconds:.2f}x",
            "" if cost is None else f"{predicted_seconds(cost, network):.2f}",
            f"{subject.bytes / 1e6:.1f}",
            f"{first.bytes / subject.bytes:.2f}x",
            f"{subject.stats[-1].messages}",
            "" if cost is None else f"{cost.rounds:.0f}",
            f"{subject.error_to_same:.1e}",
            f"{subject.error_to_exact:.1e}",
            f"{max(stats.peak_memory for stats in subject.stats) / 1e6:.0f}",
        )
    return table


def projection_table(
    model: str, seq: int, policies: Sequence[str], layers: int, network: Network | None
) -> Table:
    """One row per policy for the whole model: estimates only, with a processor per party."""
    title = f"Projection to {layers} layers, from estimates for 1 and 2 (not run)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("policy", no_wrap=True)
    for head in ("MB", "messages", "rounds", "seconds"):
        table.add_column(head, justify="right", no_wrap=True)
    for policy in policies:
        if policy == STOCK or policy.startswith(f"{STOCK}+"):
            continue
        cost = project(model, seq, policy, layers, network)
        seconds = cost.seconds / PARTIES if network is None else seconds_on(cost, network)
        table.add_row(
            policy, f"{cost.bytes / 1e6:.0f}", f"{cost.messages:.0f}", f"{cost.rounds:.0f}", f"{seconds:.1f}"
        )
    return table


def to_plot(title: str, subjects: Sequence[Subject], network: Network | None) -> str:
    """SVG: seconds and bytes of each policy, stacked by scope."""
    split = [(subject.name, scopes(subject, network)) for subject in subjects]
    seconds = tuple(Bar(name, tuple((scope, s) for scope, _, s in rows)) for name, rows in split)
    sent = tuple(Bar(name, tuple((scope, count) for scope, count, _ in rows)) for name, rows in split)
    panels = [
        Panel("wall time, median; split as predicted", seconds, format_seconds),
        Panel("bytes sent by all parties", sent, format_bytes),
    ]
    return plot(title, panels)


def main(
    model: str,
    layers: int | None,
    seq: int,
    policies: Sequence[str],
    network: str | None,
    rounds: int,
    json_path: Path | None,
    plot_path: Path | None,
    project_layers: int = 0,
    timeout: float = 3600.0,
) -> None:
    """Measures, prints one table, and writes what is asked for.

    Args:
        model: a name of `ditto.bench.workloads.MODELS`.
        layers: of the model; None for all.
        seq: tokens.
        policies: presets, files of policies, `spu`, `spu+POLICY` or `POLICY+guard`; ratios are to the first.
        network: preset or `BANDWIDTH,RTT`; None for loopback as it is.
        rounds: runs of each policy, of which the median counts.
        json_path: where to write the numbers.
        plot_path: where to write an SVG.
        project_layers: layers of a model to project estimates to; 0 for none.
        timeout: seconds that one run may take.

    Raises:
        DittoError: no such model, policy or network, or a party fails.
    """
    console = Console()
    # A table that is too narrow loses its numbers; a long line is only wrapped.
    console = Console(width=max(console.width, 140))
    between = None if network is None else load_network(network)
    task = workload(model, layers, seq)
    layers = layers or task.full_layers
    where = "loopback" if between is None else f"{between.name} ({between})"
    title = f"{model}, {layers} of {task.full_layers} layers, {seq} tokens, {where}"
    with console.status("") as status:
        subjects = measure(task, policies, between, rounds, timeout, status.update)
    console.print(result_table(title, subjects, between))
    if project_layers:
        console.print(projection_table(model, seq, policies, project_layers, between))
    if json_path is not None:
        document = to_json(task, subjects, layers, seq, between)
        write_whole(json_path, (json.dumps(document, indent=1) + "\n").encode())
    if plot_path is not None:
        write_whole(plot_path, to_plot(title, subjects, between).encode())
