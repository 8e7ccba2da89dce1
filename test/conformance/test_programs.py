"""Random programs over all ops and types, against XLA; a few of them run by three parties."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from case_builders import is_float
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_modules import RandomModule, random_modules

import ditto
from ditto_compiler.ir import parse_module
from ditto_compiler.policy import load_policy
from ditto_compiler.source import parse_source
from ditto_compiler.xla import XlaFunction

POLICIES = {name: load_policy(name) for name in ("ditto", "uniform64", "uniform128")}

KNOWN = r"must start from the constant 0|no fraction bits|fewer than 4"
"""What a compiler may say of such programs."""

policies, visibilities = st.sampled_from(sorted(POLICIES)), st.sampled_from(["secret", "public"])


def compiled(program: RandomModule, policy: str, visibility: str) -> ditto.Program | None:
    """None where the program cannot run, for a known reason."""
    try:
        private = ditto.compile(
            parse_source(program.text.encode(), "random"),
            policy=POLICIES[policy],
            visibility=["secret", visibility][: len(program.arguments)],
        )
    except ditto.DittoError as error:
        assert re.search(KNOWN, str(error)), f"{error}\n{program}"
        return None
    # Whatever is compiled, its file can be read.
    assert ditto.Program.from_bytes(private.to_bytes()) == private
    return private


def assert_close(program: RandomModule, found: Any, bounds: Any) -> None:
    """Compares results with XLA's, but for floats that may be anything."""
    expected = XlaFunction(parse_module(program.text))(*program.arguments)
    flat = [list(v) if isinstance(v, (tuple, list)) else [v] for v in (found, bounds)]
    for number, (true, ours, bound, off) in enumerate(zip(expected, *flat, program.off, strict=True)):
        assert (ours.dtype, ours.shape) == (true.dtype, true.shape), (number, program)
        if is_float(true.dtype):
            right = np.abs(ours.astype(np.float64) - true.astype(np.float64)) <= off + bound
        else:
            right = (ours == true) | (np.asarray(bound) > 0)
        assert right.all(), f"result {number}: {ours[~right][:4]}, not {true[~right][:4]}\n{program}"


@settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_modules(), policies, visibilities)
def test_the_simulator_agrees_with_xla(program: RandomModule, policy: str, visibility: str) -> None:
    private = compiled(program, policy, visibility)
    if private is None:
        return
    simulation = ditto.simulate(private, *program.arguments)
    if not simulation.overflows:
        assert_close(program, simulation.outputs, simulation.error_bounds)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_modules(most_steps=5), policies, visibilities)
def test_the_parties_agree_with_both(
    cluster: ditto.LocalCluster, program: RandomModule, policy: str, visibility: str
) -> None:
    private = compiled(program, policy, visibility)
    if private is None:
        return
    simulation = ditto.simulate(private, *program.arguments)
    found = cluster.run(private, *program.arguments)
    if not simulation.overflows:
        assert_close(program, found, simulation.error_bounds)
