"""`ditto.compile`: from a function or StableHLO to a program."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ditto.compiled_program import Program
from ditto.frontend import Source, Visibility, to_stablehlo
from ditto_compiler.calibration import Ranges
from ditto_compiler.diagnostics import named
from ditto_compiler.errors import DittoWarning
from ditto_compiler.extract import extract_program
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import lowering_pipeline, precision_pipeline
from ditto_compiler.policy import Policy

GUARD_MARGIN = 0.25
"""How much wider than calibrated the ranges of a guarded program are, relatively."""


def compile(
    fn: Source,
    *example_args: Any,
    policy: str | Path | Policy = "ditto",
    visibility: Visibility = "secret",
    static_argnums: int | Sequence[int] = (),
    donate_argnums: int | Sequence[int] = (),
    max_public_constant: int = 1024,
    ranges: Ranges | str | Path | None = None,
    guard: bool = False,
) -> Program:
    """Compiles a function for private execution among three parties.

    Args:
        fn: any function that `jax.jit` takes, or StableHLO: as text, MLIR bytecode, a portable artifact,
            the `pathlib.Path` of a file, or a module (which is changed).
        example_args: arrays, numbers or `jax.ShapeDtypeStruct`s in the nesting that the program will be
            called with; for StableHLO, nothing.
        policy: preset, path of a TOML file, or a `Policy`.
        visibility: "secret", "public", or a pytree prefix of the arguments (for StableHLO, a list). Behind
            either may stand whose data it is: with "secret:clinic", parties take the argument only from
            whom they know as `clinic`.
        static_argnums: positions of arguments that are compiled in, as for `jax.jit`.
        donate_argnums: positions of arguments whose place a result takes in the next run, such as a cache, or
            weights in training; as for `jax.jit`, which finds the result by its shape and dtype. That result
            is kept as the argument is taken, so nothing is cast in between.
        max_public_constant: float constants of more elements are an error, for data that the function
            closes over becomes public; -1 allows any.
        ranges: what `ditto.calibrate` measured, or a file of it; gives values the most fraction bits that
            fit, where the policy rescales explicitly.
        guard: have the parties check what calibration assumes, and reveal one bit with each run: whether it
            held. A run for which it did not is a `GuardError`. Ranges are taken a quarter wider than they
            were seen, so that inputs a little more extreme than the samples pass.

    What the compiler warns of goes to Python's warnings, as a `DittoWarning`; all that it remarks on is in
    the program's `remarks`.

    Raises:
        CompileError: the program cannot be run privately; has one diagnostic per reason.
        TraceError: the arguments are wrong, or the function raises something while JAX traces it.
        PolicyError, RangesError: the policy or the ranges are wrong.
    """
    measured = ranges if ranges is None or isinstance(ranges, Ranges) else Ranges.load(ranges)
    if guard and measured is not None:
        measured = measured.widened(GUARD_MARGIN)
    passes = precision_pipeline(policy, max_public_constant=max_public_constant, ranges=measured, guard=guard)
    traced = to_stablehlo(
        fn, example_args, visibility=visibility, static_argnums=static_argnums, donate_argnums=donate_argnums
    )
    start = time.perf_counter()
    module = traced.module
    precision = PassManager(passes, verify_each=False)
    lowering = PassManager(lowering_pipeline(policy), verify_each=False)
    with named(traced.file):
        precision.run(module)
        # With locations, for the simulator's diagnostics.
        annotated = module.operation.get_asm(enable_debug_info=True)
        lowering.run(module)
    remarks = [*precision.remarks, *lowering.remarks]
    for remark in remarks:
        if remark.severity == "warning":
            warnings.warn(str(remark), DittoWarning, stacklevel=2)
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
