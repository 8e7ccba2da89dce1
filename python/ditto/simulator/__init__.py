"""Running programs in plaintext, as the parties' protocols would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from ditto import tree
from ditto.runtime.caller.inputs import InputError, SharedArray, check_inputs, check_program
from ditto.simulator import ring as rings
from ditto.simulator.exact import GUARD_SLACK, MEASURED_SLACK, Exact, Functions, Tensor
from ditto.simulator.fast import Fast
from ditto.simulator.interpreter import Entry, SimulationError
from ditto.simulator.ops import EXACT, FAST
from ditto.simulator.overflow import Finding, OutOfDomain, Overflow
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import element_type, encoding_of, ir
from ditto_compiler.program import Program
from ditto_compiler.showing import counted

__all__ = ["OutOfDomain", "Overflow", "Simulation", "SimulationError", "simulate", "simulated"]

KEPT = "_jitted_simulation"
"""Where a program keeps its fast simulation."""

SHOWN = 4
"""Outputs whose shapes a simulation shows; of more it says how many."""


@dataclass(frozen=True, repr=False)
class Simulation:
    """What a simulated run gives.

    Attributes:
        outputs: what the function computes, nested as it nests them.
        overflows: ops whose values left the range in which the protocols are right, and functions whose
            arguments left their domains, in program order; after one, the parties' results may be anything.
        error_bounds: nested as the outputs: how far the parties' results can be from each element; infinite
            after an overflow. None in fast mode.
    """

    outputs: Any
    overflows: tuple[Finding, ...] = ()
    error_bounds: Any = None

    def __repr__(self) -> str:
        arrays = [np.asarray(leaf) for leaf in jax.tree_util.tree_leaves(self.outputs)]
        shapes = [f"{array.dtype}[{','.join(map(str, array.shape))}]" for array in arrays]
        more = [f"{len(shapes) - SHOWN} more"] if len(shapes) > SHOWN else []
        parts = [" and ".join([", ".join(shapes[:SHOWN]) or "no outputs", *more])]
        if self.error_bounds is not None:
            largest = [float(np.max(b, initial=0.0)) for b in jax.tree_util.tree_leaves(self.error_bounds)]
            parts += [f"errors of at most {max(largest, default=0.0):.3g}"]
            parts += [counted(len(self.overflows), "overflow") if self.overflows else "no overflows"]
        return f"<Simulation: {'; '.join(parts)}>"


def simulate(
    program: Program,
    *args: Any,
    mode: Literal["exact", "fast"] = "exact",
    functions: Functions = "engine",
    seed: int | None = None,
) -> Simulation:
    """Runs a program in plaintext, with the parties' arithmetic.

    Args:
        program: a compiled program.
        args: as for `LocalCluster.run`.
        mode: "exact" computes with ring elements, and finds values that do not fit; "fast" rounds real
            numbers under XLA, see `simulated`: the first call with a program compiles it, further ones take a
            twentieth of the time of exact ones.
        functions: how exact mode computes division, roots and the like: "engine", as the engine
            approximates them, or "ideal", rounded from float64 and without bounds on errors.
        seed: of random shares, by which exact mode truncates as the parties do; by default it rounds to
            nearest, which errs less than a run.

    Raises:
        InputError: number, nesting, shapes or dtypes of `args` are wrong.
        SimulationError: the program holds no StableHLO; `mode` or `functions` is unknown.
    """
    if mode not in ("exact", "fast") or functions not in ("ideal", "engine"):
        raise SimulationError(f"there is no mode {mode!r} with functions {functions!r}")
    arrays = _arrays(program, args)
    if mode == "fast":
        arguments = tree.unflatten(program.input_tree or ["tuple", ["*"] * len(arrays)], arrays)
        return Simulation(jax.tree_util.tree_map(np.asarray, _jitted(program)(*arguments)))
    entry = Entry(program)
    slack = MEASURED_SLACK if program.guard is None else GUARD_SLACK
    generator = None if seed is None else np.random.default_rng(seed)
    exact = Exact(EXACT, functions, entry.is_secret, slack, generator)
    with np.errstate(all="ignore"):
        inputs = [exact.input(value, number, arrays[number]) for value, number in entry.arguments]
        results = exact.run(entry.block, inputs)
        pairs = [_open(tensor, value) for tensor, value in zip(results, entry.results, strict=True)]
        pairs = pairs[: program.results]
    outputs, bounds = zip(*pairs, strict=True) if pairs else ((), ())
    return Simulation(
        tree.unflatten(program.output_tree, outputs),
        tuple(exact.overflows.values()),
        tree.unflatten(program.output_tree, bounds),
    )


def _jitted(program: Program) -> Callable[..., Any]:
    """`simulated`, jitted, and kept with the program as `functools.cached_property` would.

    To trace and compile it takes as long as an exact simulation, to run it a twentieth of that.
    """
    kept = vars(program)
    if KEPT not in kept:
        kept[KEPT] = jax.jit(simulated(program))
    found: Callable[..., Any] = kept[KEPT]
    return found


def simulated(program: Program) -> Callable[..., Any]:
    """A program as a JAX function of the same arguments, that can be jitted and differentiated.

    Every fixed-point value is rounded to its grid and saturated. Gradients ignore both (straight-through
    estimation), so a model can be trained to work well at its precision. With `key=`, of `jax.random`, what
    the parties truncate is off at random as theirs is; without, all is rounded to nearest.

    Raises:
        InputError: it is no program.
        SimulationError: the program holds no StableHLO.
    """
    check_program(program)
    entry = Entry(program)

    def run(*args: Any, key: jax.Array | None = None) -> Any:
        leaves = _leaves(program, args)
        fast = Fast(FAST, key, entry.is_secret)
        # What does not depend on arguments, loop counters say, is known while JAX traces.
        with jax.ensure_compile_time_eval():
            inputs = [fast.hold(value, leaves[number]) for value, number in entry.arguments]
            results = fast.run(entry.block, inputs)
        dtypes = [numpy_dtype(element_type(value)) for value in entry.results]
        outputs = [
            result.astype(jax.dtypes.canonicalize_dtype(dtype))
            for result, dtype in zip(results, dtypes, strict=True)
        ]
        return tree.unflatten(program.output_tree, outputs[: program.results])

    return run


def _arrays(program: Program, args: Sequence[Any]) -> list[NDArray[Any]]:
    """The arguments as flat arrays."""
    arrays = []
    for index, value in enumerate(check_inputs(program, args)):
        if isinstance(value, SharedArray):
            raise InputError(
                f"program '{program.name}', input {index}: nobody has a SharedArray in plaintext; "
                "simulate with the numbers"
            )
        arrays.append(value)
    return arrays


def _leaves(program: Program, args: Sequence[Any]) -> list[Any]:
    """The arguments as a flat list, of arrays or of what stands for them while JAX traces."""
    try:
        leaves = tree.flatten(program.input_tree, args)
    except tree.TreeError as error:
        raise InputError(f"program '{program.name}': {error}") from None
    shapes = [jnp.shape(leaf) for leaf in leaves]
    expected = [tensor.shape for tensor in program.caller_inputs]
    if shapes != expected:
        raise InputError(f"program '{program.name}' takes shapes {expected}, got {shapes}")
    return leaves


def _open(tensor: Tensor, value: ir.Value) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A result as the caller gets it, and how far from that the parties' can be."""
    encoding = encoding_of(value)
    dtype = numpy_dtype(element_type(value))
    if not isinstance(encoding, Fxp):
        return rings.to_integers(tensor.raw, dtype), np.asarray(tensor.error, np.float64)
    numbers = rings.read(tensor.raw, encoding.frac)
    error = np.ldexp(tensor.error, -encoding.frac)
    # The parties' and the simulated numbers are rounded to the dtype apart.
    rounding = np.where(error > 0, 2 * float(ml_dtypes.finfo(dtype).eps) * (np.abs(numbers) + error), 0.0)
    return numbers.astype(dtype), np.asarray(error + rounding)
