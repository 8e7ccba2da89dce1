"""`ditto.compile`: from a function or StableHLO to a program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ditto.compile_traced import compile_traced
from ditto.compiled_program import Program
from ditto.frontend import Source, Visibility, to_stablehlo
from ditto.planning.planner import plan
from ditto.planning.result import Plan
from ditto.progress import bar
from ditto_compiler.calibration import Ranges
from ditto_compiler.pipelines import MorePasses
from ditto_compiler.policy import Policy


def compile(
    fn: Source,
    *example_args: Any,
    policy: str | Path | Policy | Plan = "ditto",
    visibility: Visibility = "secret",
    static_argnums: int | Sequence[int] = (),
    donate_argnums: int | Sequence[int] = (),
    max_public_constant: int = 1024,
    ranges: Ranges | str | Path | None = None,
    guard: bool = False,
    progress: bool = False,
    passes: MorePasses = MappingProxyType({}),
) -> Program:
    """Compiles a function for private execution among three parties.

    Args:
        fn: any function that `jax.jit` takes, or StableHLO: as text, MLIR bytecode, a portable artifact,
            the `pathlib.Path` of a file, or a module (which is changed).
        example_args: arrays, numbers or `jax.ShapeDtypeStruct`s in the nesting that the program will be
            called with; for StableHLO, nothing.
        policy: preset, path of a TOML file, a `Policy`, or what `ditto.plan` made, with its ranges. "auto"
            plans with the example arguments, which must be numbers then, as the only sample: for as small an
            error as `ditto` has.
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
        progress: show what is being done, on a terminal or in a notebook.
        passes: passes of your own or of plugins, or pipelines of them as text, by where they run: at
            "before-annotation", "after-casts" or "before-lowering" (see docs/howto/plugins.md). What they
            leave is verified like what Ditto's own leave.

    What the compiler warns of goes to Python's warnings, as a `DittoWarning`; all that it remarks on is in
    the program's `remarks`.

    Raises:
        CompileError: the program cannot be run privately; has one diagnostic per reason.
        TraceError: the arguments are wrong, or the function raises something while JAX traces it.
        PolicyError, RangesError: the policy or the ranges are wrong.
        PipelineError: `passes` names what there is not.
        PluginError: a plugin cannot be loaded, or one of `passes` fails or leaves an invalid program.
    """
    if isinstance(policy, str) and policy == "auto":
        policy = plan(
            fn,
            [example_args],
            visibility=visibility,
            static_argnums=static_argnums,
            donate_argnums=donate_argnums,
            max_public_constant=max_public_constant,
            progress=progress,
        )
    if isinstance(policy, Plan):
        ranges = policy.ranges if ranges is None else ranges
        policy = policy.policy
    with bar(progress) as told:
        told("tracing")
        traced = to_stablehlo(
            fn,
            example_args,
            visibility=visibility,
            static_argnums=static_argnums,
            donate_argnums=donate_argnums,
        )
        return compile_traced(
            traced,
            policy,
            max_public_constant=max_public_constant,
            ranges=ranges,
            guard=guard,
            passes=passes,
            told=told,
        )
