"""Ditto: private inference among three parties in mixed rings, from JAX.

program = ditto.compile(f, *example_args, policy="ditto")
with ditto.LocalCluster() as cluster:
    y = cluster.run(program, *args)
"""

from ditto.api import compile
from ditto.calibrate import calibrate
from ditto.compiled_program import Program
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
from ditto_compiler.errors import DittoError, DittoWarning
from ditto_compiler.policy import Policy, Rule, load_policy

__all__ = [
    "ClusterError",
    "DittoError",
    "DittoWarning",
    "GuardError",
    "HostsError",
    "InputError",
    "LocalCluster",
    "Policy",
    "Program",
    "RemoteCluster",
    "Rule",
    "RunStats",
    "SharedArray",
    "Simulation",
    "calibrate",
    "compile",
    "load_policy",
    "simulate",
    "simulated",
]
