"""Ditto: private inference among three parties in mixed rings, from JAX.

program = ditto.compile(f, *example_args, policy="ditto")
with ditto.LocalCluster() as cluster:
    y = cluster.run(program, *args)

Names are loaded when they are first used, so a party's process does not load the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import ditto_compiler

__version__ = "0.1.0"

if ditto_compiler.__version__ != __version__:
    raise ImportError(
        f"ditto {__version__} has found the compiler of version {ditto_compiler.__version__}: ditto-mpc "
        "brings its own, and another was installed over it; run `pip uninstall ditto-compiler`, and "
        "install ditto-mpc again"
    )

if TYPE_CHECKING:
    from ditto.api import compile
    from ditto.calibrating import calibrate
    from ditto.compiled_program import Program
    from ditto.distillation.examples import Batches, DistillationError
    from ditto.distillation.stages import Stage
    from ditto.distillation.starting import quadratic_start
    from ditto.distillation.training import Distilled, distill
    from ditto.fake_quantizing import fake_quant
    from ditto.one_shot import oneshot
    from ditto.planning.planner import plan
    from ditto.planning.result import Plan
    from ditto.runtime.caller.ahead import AheadStats, PrepareError
    from ditto.runtime.caller.cluster import (
        ClusterError,
        InputError,
        LocalCluster,
        RunStats,
        SharedArray,
    )
    from ditto.runtime.caller.inputs import GuardError
    from ditto.runtime.caller.remote_cluster import RemoteCluster
    from ditto.runtime.transport.hosts import HostsError
    from ditto.simulator import Simulation, simulate, simulated
    from ditto.tapping import intermediates
    from ditto_compiler.errors import DittoError, DittoWarning
    from ditto_compiler.policy import Policy, Rule, load_policy

_HOMES = {
    "AheadStats": "ditto.runtime.caller.ahead",
    "Batches": "ditto.distillation.examples",
    "ClusterError": "ditto.runtime.caller.parties",
    "Distilled": "ditto.distillation.training",
    "DistillationError": "ditto.distillation.examples",
    "DittoError": "ditto_compiler.errors",
    "DittoWarning": "ditto_compiler.errors",
    "GuardError": "ditto.runtime.caller.inputs",
    "HostsError": "ditto.runtime.transport.hosts",
    "InputError": "ditto.runtime.caller.inputs",
    "LocalCluster": "ditto.runtime.caller.cluster",
    "Policy": "ditto_compiler.policy",
    "Plan": "ditto.planning.result",
    "PrepareError": "ditto.runtime.caller.ahead",
    "Program": "ditto.compiled_program",
    "RemoteCluster": "ditto.runtime.caller.remote_cluster",
    "Rule": "ditto_compiler.policy",
    "RunStats": "ditto.runtime.caller.cluster",
    "SharedArray": "ditto.runtime.caller.inputs",
    "Stage": "ditto.distillation.stages",
    "Simulation": "ditto.simulator",
    "calibrate": "ditto.calibrating",
    "compile": "ditto.api",
    "distill": "ditto.distillation.training",
    "fake_quant": "ditto.fake_quantizing",
    "intermediates": "ditto.tapping",
    "load_policy": "ditto_compiler.policy",
    "oneshot": "ditto.one_shot",
    "plan": "ditto.planning.planner",
    "quadratic_start": "ditto.distillation.starting",
    "simulate": "ditto.simulator",
    "simulated": "ditto.simulator",
}

__all__ = [
    "AheadStats",
    "Batches",
    "ClusterError",
    "DistillationError",
    "Distilled",
    "DittoError",
    "DittoWarning",
    "GuardError",
    "HostsError",
    "InputError",
    "LocalCluster",
    "Plan",
    "Policy",
    "PrepareError",
    "Program",
    "RemoteCluster",
    "Rule",
    "RunStats",
    "SharedArray",
    "Simulation",
    "Stage",
    "calibrate",
    "compile",
    "distill",
    "fake_quant",
    "intermediates",
    "load_policy",
    "oneshot",
    "plan",
    "quadratic_start",
    "simulate",
    "simulated",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ditto' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
