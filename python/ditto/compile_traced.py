"""From traced StableHLO to a program."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from types import MappingProxyType

from ditto.compiled_program import Program
from ditto.frontend import Traced
from ditto_compiler.calibration import Ranges
from ditto_compiler.diagnostics import named
from ditto_compiler.errors import DittoWarning
from ditto_compiler.extract import extract_program
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import MorePasses, lowering_pipeline, precision_pipeline
from ditto_compiler.policy import Policy

GUARD_MARGIN = 0.25
"""How much wider than calibrated the ranges of a guarded program are, relatively."""


def compile_traced(
    traced: Traced,
    policy: str | Path | Policy,
    *,
    max_public_constant: int = 1024,
    ranges: Ranges | str | Path | None = None,
    guard: bool = False,
    passes: MorePasses = MappingProxyType({}),
) -> Program:
    """The program of a traced function, whose module is changed; all else as for `ditto.compile`."""
    measured = ranges if ranges is None or isinstance(ranges, Ranges) else Ranges.load(ranges)
    if guard and measured is not None:
        measured = measured.widened(GUARD_MARGIN)
    pipeline = precision_pipeline(
        policy, max_public_constant=max_public_constant, ranges=measured, guard=guard, passes=passes
    )
    start = time.perf_counter()
    module = traced.module
    precision = PassManager(pipeline, verify_each=False)
    lowering = PassManager(lowering_pipeline(policy), verify_each=False)
    with named(traced.file):
        precision.run(module)
        # With locations, for the simulator's diagnostics.
        annotated = module.operation.get_asm(enable_debug_info=True)
        lowering.run(module)
    remarks = [*precision.remarks, *lowering.remarks]
    for remark in remarks:
        if remark.severity == "warning":
            warnings.warn(str(remark), DittoWarning, stacklevel=3)
    name = policy.name if isinstance(policy, Policy) else str(policy)
    program = Program.of(extract_program(module, policy=name, annotated=annotated))
    seconds = {"JAX tracing": traced.seconds, "Ditto passes": time.perf_counter() - start}
    return program.replace(
        name=traced.name or program.name,
        input_tree=traced.input_tree,
        output_tree=traced.output_tree,
        seconds=seconds,
        remarks=tuple(remarks),
        nest=traced.nest,
    )
