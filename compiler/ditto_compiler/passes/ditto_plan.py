"""The pass `ditto-plan`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.errors import DittoError
from ditto_compiler.ir import ir
from ditto_compiler.pass_base import Pass
from ditto_compiler.planning.equations import solve
from ditto_compiler.planning.modules import problem_of, write
from ditto_compiler.planning.objective import Objective
from ditto_compiler.planning.problem import PlanError
from ditto_compiler.remarks import Category
from ditto_compiler.rings.numbers import Limits, divisions_to_products


@dataclass(frozen=True)
class DittoPlan(Pass):
    """Choose fraction bits, rings and functions' errors for the least cost within a bound on noise.

    Each op that rounds adds noise, of a variance that is known: 1/4 of the squared last place on shares, 1/12
    where a number is known. How much of it the outputs see is the op's `ditto.gain`, which `ditto.plan`
    measures by reverse mode. What is minimised is linear in the bits that are sent, and a function's cost is
    a table; so the least cost is the solution of a mixed-integer linear program, which HiGHS finds, with a
    proof of how far off it may be at most. A remark says what was found. Equal layers are decided alike.

    What is decided: fraction bits of products and functions (`ditto.fraction`), with how many of them
    products read their factors (`ditto.factors`), how many integer bits a ring is made wider (`ditto.spare`)
    so that it need not be widened later, and which error functions have. ditto-assign-rings does as these
    say; what is not mentioned it decides itself. Where a bit is decided by numbers, as in comparisons, they
    keep what they have.

    Requires: casts inserted; gains on products and on one-shot functions. Keeps: everything else.

    Before, where noise may have a variance of 1e-4 in the sum over outputs:

        %0 = stablehlo.multiply %x, %y {ditto.gain = array<f64: 8.0, 2.0, 2.0>} : tensor<8xf32, #ditto.fxp<64,
        18>>

    After:

        %0 = stablehlo.multiply %x, %y {ditto.fraction = 9 : i32, ditto.factors = array<i64: 7, 7>, ...}

    Errors: a bound that nothing keeps, with the op that adds most; an op without gains; a module without
    explicit casts.
    """

    name: ClassVar[str] = "ditto-plan"
    noise: str = "1e-3"
    """Bound on the variance of noise, summed over all elements of all outputs."""
    objective: str = "bytes"
    """What is to be small: bytes, rounds, or seconds on a network: lan, wan, or BANDWIDTH,RTT."""
    seconds: int = 60
    """Time after which the best that was found is taken."""
    gap: str = "0.002"
    """How far off the best there is, relatively, the answer may be."""
    tie: bool = True
    """Decide the same for layers that are alike."""
    loose: int = 64
    """How many times as large as in the range that was measured a function's error may be in its margin."""
    margin_bits: int = Limits.margin_bits
    """Bits kept free above the known magnitude of every number, as in ditto-assign-rings."""
    large: int = Limits.large
    """Multiplications from which on a matrix product keeps to words of 32 bits, as in ditto-assign-rings."""

    def __post_init__(self) -> None:
        for name in ("noise", "gap"):
            text = getattr(self, name)
            try:
                number = float(text)
            except ValueError:
                number = math.nan
            if not 0 < number < math.inf:
                raise DittoError(f"{name} must be a number above 0, got '{text}'")
        if self.seconds < 1:
            raise DittoError(f"seconds must be at least 1, got {self.seconds}")
        Objective.parse(self.objective)

    def run(self, module: ir.Module) -> None:
        self.remarks.clear()
        errors = self.errors()
        entry = self.entry(module, after="ditto-insert-casts")
        divisions_to_products(entry)
        try:
            problem = problem_of(
                module,
                Objective.parse(self.objective),
                tie=self.tie,
                loose=self.loose,
                margin_bits=self.margin_bits,
                large=self.large,
            )
            decided = solve(problem, float(self.noise), seconds=self.seconds, gap=float(self.gap))
        except PlanError as error:
            errors.add(entry.operation, str(error))
            errors.raise_if_any()
            return
        write(module, decided, self.loose)
        self.note(
            "remark",
            entry.operation,
            f"{decided.cost:.6g} {problem.objective.unit} for a noise of {decided.noise:.3g}, within "
            f"{decided.gap:.2%} of the least",
            Category.PLAN,
        )
