"""`ditto bench transformer`: a transformer under several policies, beside SPU as it comes.

All policies run on the same parties, processor limits, allocator and network, taking turns, so that what else
the machine does disturbs all of them alike. `spu` is the program of SPU's own compiler; `spu+puma` the same
after Ditto's rewrites for the policy `puma`, with SPU's option for one reciprocal per row.
"""

from __future__ import annotations

import dataclasses
import json
import os
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
from ditto.bench.plot import Bar, plot_bars
from ditto.bench.workloads import Workload, workload
from ditto.frontend import trace
from ditto.runtime.cluster import LocalCluster, RunStats
from ditto.xla import XlaFunction
from ditto_compiler.cost.model import estimate, seconds_on
from ditto_compiler.cost.network import Network, load_network
from ditto_compiler.cost.table import Cost
from ditto_compiler.files import write_whole
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.policy import load_policy
from ditto_compiler.program import Program
from ditto_compiler.report import Report, format_bytes, make_report

STOCK = "spu"


@dataclass
class Subject:
    """One policy in the comparison.

    Attributes:
        name: of the policy, or `spu` or `spu+FORMS`.
        program: compiled.
        report: its predicted cost; None for SPU's own programs, which the cost model cannot read.
        same: plaintext result by the same formulas.
        stats: of each measured run.
        outputs: result of the last run.
    """

    name: str
    program: Program
    report: Report | None
    same: NDArray[Any]
    stats: list[RunStats] = field(default_factory=list)
    output: NDArray[Any] = field(default_factory=lambda: np.zeros(0))

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return statistics.median(stats.seconds for stats in self.stats)


def forms_of(name: str) -> str | None:
    """The policy whose formulas a subject computes by, or None for the user's own."""
    if name == STOCK:
        return None
    return name.removeprefix(f"{STOCK}+")


def compile_subject(name: str, task: Workload, arguments: Sequence[Any]) -> Subject:
    """Compiles a policy's program; explicitly rescaled ones are calibrated on other random inputs."""
    forms = forms_of(name)
    if name == STOCK or name.startswith(f"{STOCK}+"):
        program = compile_stock(
            task.function, *task.shapes, forms=forms, reciprocal_per_row=forms is not None
        )
        report = None
    else:
        policy = load_policy(name)
        ranges = None
        if policy.rescale == "explicit":
            ranges = ditto.calibrate(task.function, [task.inputs(seed) for seed in (1, 2)], policy=policy)
        program = ditto.compile(task.function, *task.shapes, policy=policy, ranges=ranges)
        report = make_report(program, ())
    return Subject(name, program, report, plaintext(task, arguments, forms))


def plaintext(task: Workload, arguments: Sequence[Any], forms: str | None) -> NDArray[Any]:
    """The result in float arithmetic, by the formulas of a policy."""
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
        subjects.append(compile_subject(name, task, arguments))
    with LocalCluster(timeout, network=network) as cluster:
        for number in range(rounds):
            for subject in subjects:
                report(f"round {number + 1} of {rounds}: {subject.name}")
                subject.output = np.asarray(cluster.run(subject.program, *arguments))
                assert cluster.stats is not None
                subject.stats.append(cluster.stats)
    return subjects


def project(model: str, seq: int, policy: str, layers: int) -> Cost:
    """What a model of many layers costs, from programs of one and two layers. Nothing is run.

    Layers are alike, so each adds what the second adds to the first.
    """
    one, two = (
        estimate(ditto.compile(task.function, *task.shapes, policy=policy)).total
        for task in (workload(model, count, seq) for count in (1, 2))
    )
    return one + (two + one.times(-1)).times(layers - 1)


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
        "peak_memory": max(stats.peak_memory for stats in subject.stats),
        "time_ratio": first.seconds / subject.seconds,
        "bytes_ratio": first.stats[-1].bytes / last.bytes,
        "error_to_same_formulas": _error(subject.output, subject.same),
        "error_to_exact_model": _error(subject.output, plaintext_of_exact(subject, first)),
        "compile_seconds": subject.program.seconds,
    }
    if subject.report is not None:
        predicted = subject.report.cost.total
        about["predicted"] = {
            "bytes": predicted.bytes,
            "messages": predicted.messages,
            "rounds": predicted.rounds,
            "seconds": _predict(predicted, network),
        }
        about["scopes"] = [
            {"scope": f"{part.group}/{part.name}".strip("/"), "bytes": part.cost.bytes, "seconds": seconds}
            for part, seconds in zip(
                subject.report.parts, _scope_seconds(subject, network), strict=True
            )
        ]
    return about
