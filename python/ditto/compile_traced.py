"""From traced StableHLO to a program."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

from ditto.compiled_program import Program
from ditto.frontend import Traced
from ditto.progress import Bar
from ditto_compiler.calibration import Ranges
from ditto_compiler.diagnostics import named
from ditto_compiler.errors import DittoWarning
from ditto_compiler.extract import extract_program
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import lowering_pipeline, precision_pipeline
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
    told: Bar | None = None,
) -> Program:
    """The program of a traced function, whose module is changed; all else as for `ditto.compile`.

    `told` is told of each pass.
    """
    measured = ranges if ranges is None or isinstance(ranges, Ranges) else Ranges.load(ranges)
    if guard and measured is not None:
        measured = measured.widened(GUARD_MARGIN)
    passes = precision_pipeline(policy, max_public_constant=max_public_constant, ranges=measured, guard=guard)
    start = time.perf_counter()
    module = traced.module
    last = lowering_pipeline(policy)

    def tell(doing: str) -> None:
        if told is not None:
            # Without the options of the pass. Each pipeline is verified first.
            told(doing.partition("{")[0].replace("'", ""), len(passes) + len(last) + 2)

    precision = PassManager(passes, verify_each=False, progress=tell)
    lowering = PassManager(last, verify_each=False, progress=tell)
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
        remarks=tuple(map(str, remarks)),
        nest=traced.nest,
    )
