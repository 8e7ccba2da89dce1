"""From traced StableHLO to a program."""

from __future__ import annotations

import time
from pathlib import Path
from types import MappingProxyType

from ditto.compiled_program import Program
from ditto.frontend import Traced
from ditto.progress import Bar
from ditto_compiler.calibration import Ranges
from ditto_compiler.driver import compile_module
from ditto_compiler.pipelines import MorePasses
from ditto_compiler.policy import Policy


def compile_traced(
    traced: Traced,
    policy: str | Path | Policy,
    *,
    max_public_constant: int = 1024,
    ranges: Ranges | str | Path | None = None,
    guard: bool = False,
    passes: MorePasses = MappingProxyType({}),
    told: Bar | None = None,
) -> Program:
    """The program of a traced function, whose module is changed; all else as for `ditto.compile`.

    `told` is told of each pass.
    """
    start = time.perf_counter()
    program = compile_module(
        traced.module,
        policy,
        max_public_constant=max_public_constant,
        ranges=ranges,
        guard=guard,
        passes=passes,
        file=traced.file,
        stacklevel=4,
        told=told,
    )
    seconds = {"JAX tracing": traced.seconds, "Ditto passes": time.perf_counter() - start}
    return Program.of(program).replace(
        name=traced.name or program.name,
        input_tree=traced.input_tree,
        output_tree=traced.output_tree,
        seconds=seconds,
        nest=traced.nest,
    )
