"""A program with samples of its arguments: what policies are calibrated on, and measured with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from ditto import tree
from ditto.calibrating import calibrate
from ditto.compile_traced import compile_traced
from ditto.compiled_program import Program
from ditto.frontend import Source, Traced, Visibility, positions, to_stablehlo
from ditto.planning.result import Measured, PlanningError
from ditto.simulator import simulate
from ditto.simulator.overflow import Overflow
from ditto_compiler.calibration import Ranges
from ditto_compiler.cost.model import estimate, seconds_on
from ditto_compiler.diagnostics import named
from ditto_compiler.ir import copy_module, ir
from ditto_compiler.network import Network
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.policy import Policy
from ditto_compiler.xla import XlaFunction

Quality = Callable[[Any, Any], float]
"""Of private and of plaintext outputs: how good the former are."""

RUNS = 3
"""Simulated at least, with shares of their own each."""

ENOUGH = 1 << 14
"""Outputs of which one run, or one sample, says enough."""


class Sampled:
    """A program, and samples, of which the last third is held out; of one, it is the same.

    Args:
        fn, visibility, static_argnums, donate_argnums, max_public_constant: as for `ditto.compile`.
        samples: tuples of arguments.

    Attributes:
        held_out: how many samples are.
        max_public_constant: see above.
        largest: magnitude of the outputs that are floats.

    Raises:
        PlanningError: samples that do not fit. CompileError, TraceError: as for `ditto.compile`.
    """

    def __init__(
        self,
        fn: Source,
        samples: Iterable[Sequence[Any]],
        *,
        visibility: Visibility,
        static_argnums: int | Sequence[int],
        donate_argnums: int | Sequence[int],
        max_public_constant: int,
    ) -> None:
        listed = _listed(samples)
        self.held_out = len(listed) // 3 or (1 if len(listed) > 1 else 0)
        self._training = listed[: len(listed) - self.held_out]
        self._fn, self._visibility, self._static_argnums = fn, visibility, static_argnums
        self.max_public_constant = max_public_constant
        examples = listed[0] if callable(fn) else ()
        self._traced = to_stablehlo(
            copy_module(fn) if isinstance(fn, ir.Module) else fn,
            examples,
            visibility=visibility,
            static_argnums=static_argnums,
            donate_argnums=donate_argnums,
        )
        self._static = positions(static_argnums, len(examples) if callable(fn) else 0)
        plain = XlaFunction(self._traced.module, self.held_out)
        self._inputs = [self._dynamic(sample) for sample in listed[-self.held_out :]]
        self._exact = [plain(*self._flat(inputs)) for inputs in self._inputs]
        floats = [np.asarray(each) for outputs in self._exact for each in outputs if _is_float(each)]
        self.largest = max(
            (float(np.abs(each).max()) for each in floats if each.size and np.isfinite(each).all()),
            default=0.0,
        )

    def before(self, kind: type[Pass], passes: Sequence[Pass]) -> ir.Module:
        """The program as it is when the first pass of a kind is due."""
        due = next(index for index, one in enumerate(passes) if isinstance(one, kind))
        traced = self._copy()
        with named(traced.file):
            PassManager(passes[:due], verify_each=False).run(traced.module)
        return traced.module

    def _copy(self) -> Traced:
        return replace(self._traced, module=copy_module(self._traced.module))

    def training(self, most: int) -> list[list[Any]]:
        """Flat inputs of as many samples, or fewer, that are not held out."""
        return [self._flat(self._dynamic(sample)) for sample in self._training[: self._times(most)]]

    def calibrate(self, policy: Policy) -> Ranges:
        """Ranges of what is not held out."""
        return calibrate(
            self._fn,
            self._training,
            policy=policy,
            visibility=self._visibility,
            static_argnums=self._static_argnums,
            max_public_constant=self.max_public_constant,
        )

    def compiled(self, policy: Policy, ranges: Ranges) -> Program:
        """The program under a policy."""
        limit = self.max_public_constant
        return compile_traced(self._copy(), policy, max_public_constant=limit, ranges=ranges)

    def measured(
        self, program: Program, networks: dict[str, Network], quality: Quality | None = None
    ) -> Measured:
        """Simulated with random shares on what was held out."""
        worst, squares, count, least = 0.0, 0.0, 0, math.inf
        for number, (inputs, exact) in enumerate(zip(self._inputs, self._exact, strict=True)):
            for seed in range(-(-self._times(RUNS) // len(self._inputs))):
                found = simulate(program, *inputs, seed=RUNS * number + seed)
                outputs = jax.tree_util.tree_leaves(found.outputs)
                for mine, other in zip(outputs, exact, strict=True):
                    off = _difference(np.asarray(mine), other)
                    worst = max(worst, float(off.max(initial=0.0)))
                    squares, count = squares + float((off**2).sum()), count + off.size
                if any(isinstance(finding, Overflow) for finding in found.overflows):
                    worst = math.inf
                if quality is not None:
                    nested = tree.unflatten(program.output_tree, exact)
                    least = min(least, float(quality(found.outputs, nested)))
        cost = estimate(program).total
        return Measured(
            worst,
            math.sqrt(squares / count) if count else 0.0,
            None if quality is None else least,
            cost.bytes,
            cost.messages,
            cost.rounds,
            {name: seconds_on(cost, network) for name, network in networks.items()},
        )

    def _times(self, most: int) -> int:
        """How often something random is looked at: once, if there is much to see."""
        return 1 if sum(np.size(each) for each in self._exact[0]) >= ENOUGH else most

    def _dynamic(self, sample: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(argument for index, argument in enumerate(sample) if index not in self._static)

    def _flat(self, arguments: Sequence[Any]) -> list[Any]:
        try:
            leaves = tree.flatten(self._traced.input_tree, arguments)
        except tree.TreeError as error:
            raise PlanningError(f"a sample does not fit the first: {error}") from None
        return [np.asarray(leaf) for leaf in leaves]


def _listed(samples: Any) -> list[tuple[Any, ...]]:
    if not isinstance(samples, Iterable):
        raise PlanningError(f"samples must be an iterable of tuples of arguments, got {samples!r}")
    found = list(samples)
    if not found:
        raise PlanningError("planning needs at least one sample, a tuple of arguments")
    for number, sample in enumerate(found):
        if not isinstance(sample, (tuple, list)):
            raise PlanningError(
                f"sample {number} must be a tuple of arguments, got a {type(sample).__name__}"
            )
    return [tuple(sample) for sample in found]


def _is_float(array: Any) -> bool:
    return bool(jax.numpy.issubdtype(np.asarray(array).dtype, jax.numpy.floating))


def _difference(mine: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Absolute differences; of integers and booleans 1 where they differ, of equal infinities 0."""
    if not _is_float(other):
        return np.asarray(mine != other, np.float64)
    left, right = np.asarray(mine, np.float64), np.asarray(other, np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(left - right)
    return np.where(left == right, 0.0, np.where(np.isnan(off), math.inf, off))
