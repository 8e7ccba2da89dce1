"""Mixed-integer linear programs, solved by HiGHS."""

from __future__ import annotations

import ctypes
import math
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from ditto_compiler.errors import DittoError

INFEASIBLE = 2
"""What scipy calls a program without solutions."""

PRICE, SLACK = 1e4, 1e-4
"""Of missing constraints, in parts of the largest cost; and how much of it is nothing, over all of them."""

_OUTPUT = threading.Lock()
"""Of the process's standard output: threads that plan at once would take each other's for it."""

Linear = Mapping[int, float]
"""A linear expression: coefficients by the variables' numbers."""


class Infeasible(DittoError):
    """No values satisfy all constraints."""


class NothingFound(DittoError):
    """Time was up before any values were found that satisfy all constraints."""


@dataclass(frozen=True)
class Solution:
    """Values of all variables.

    Attributes:
        values: by variable; of integer ones, integers.
        objective: with these.
        bound: that no solution is below.
    """

    values: NDArray[np.float64]
    objective: float
    bound: float

    def whole(self, variable: int) -> int:
        """The value of an integer variable."""
        return round(float(self.values[variable]))

    @property
    def gap(self) -> float:
        """By how much, relatively, the best solution may be below this one."""
        return max(0.0, self.objective - self.bound) / abs(self.objective) if self.objective else 0.0


class LinearProgram:
    """Variables, linear constraints, and what is to be as small as possible."""

    def __init__(self) -> None:
        self._low: list[float] = []
        self._high: list[float] = []
        self._whole: list[bool] = []
        self._objective: dict[int, float] = {}
        self._rows: list[tuple[dict[int, float], float, float]] = []

    def variable(self, low: float, high: float, *, integer: bool = False) -> int:
        """A new variable."""
        self._low.append(low)
        self._high.append(high)
        self._whole.append(integer)
        return len(self._low) - 1

    def constrain(self, terms: Linear, low: float = -math.inf, high: float = math.inf) -> None:
        """Asks for low <= the sum of the terms <= high."""
        self._rows.append((dict(terms), low, high))

    def cost(self, terms: Linear) -> None:
        """Adds terms to what is to be as small as possible."""
        for variable, factor in terms.items():
            self._objective[variable] = self._objective.get(variable, 0.0) + factor

    def solve(self, *, seconds: float, gap: float) -> Solution:
        """The best values that are found in some time, or the first within `gap` of the best there are.

        Deterministic, unless time is up first.

        Raises:
            Infeasible: there are none.
            NothingFound: none were found in that time.
        """
        count = len(self._low)
        objective = np.zeros(count)
        for variable, factor in self._objective.items():
            objective[variable] = factor
        scale = float(np.abs(objective).max()) or 1.0
        for presolve in (True, False):
            found = self._run(objective / scale, seconds, gap, presolve=presolve)
            if found.status != INFEASIBLE:
                break
        else:
            # HiGHS has called programs infeasible that are not; with a little slack it finds what to do.
            return self._with_slack(objective, scale, seconds, gap)
        if found.x is None:
            raise NothingFound(f"nothing was found in {seconds:g} s: {found.message}")
        bound = found.mip_dual_bound if found.mip_dual_bound is not None else found.fun
        return Solution(np.asarray(found.x), float(found.fun) * scale, float(bound) * scale)

    def _run(self, objective: NDArray[np.float64], seconds: float, gap: float, *, presolve: bool) -> Any:
        with _printing_aside():
            return milp(
                objective,
                integrality=np.array(self._whole, np.uint8),
                bounds=Bounds(np.array(self._low), np.array(self._high)),
                constraints=[self._matrix(len(self._low))] if self._rows else [],
                options={"time_limit": seconds, "mip_rel_gap": gap, "presolve": presolve},
            )

    def _with_slack(
        self, objective: NDArray[np.float64], scale: float, seconds: float, gap: float
    ) -> Solution:
        """As `solve`, where constraints may be missed by next to nothing, at a high price."""
        count, loose = len(self._low), LinearProgram()
        loose._low, loose._high, loose._whole = list(self._low), list(self._high), list(self._whole)
        for terms, low, high in self._rows:
            above, below = loose.variable(0.0, math.inf), loose.variable(0.0, math.inf)
            loose.constrain({**terms, above: 1.0, below: -1.0}, low, high)
        price = np.full(len(loose._low) - count, PRICE)
        found = loose._run(np.concatenate([objective / scale, price]), seconds, gap, presolve=True)
        if found.x is None or float(found.x[count:].sum()) > SLACK:
            raise Infeasible("no values satisfy all constraints")
        bound = found.mip_dual_bound if found.mip_dual_bound is not None else found.fun
        values = np.asarray(found.x)[:count]
        return Solution(values, float(objective @ values), float(bound) * scale)

    def _matrix(self, count: int) -> LinearConstraint:
        rows, columns, data = [], [], []
        for number, (terms, _, _) in enumerate(self._rows):
            for variable, factor in terms.items():
                rows.append(number)
                columns.append(variable)
                data.append(factor)
        matrix = csr_array((data, (rows, columns)), shape=(len(self._rows), count))
        lows, highs = (np.array([row[end] for row in self._rows]) for end in (1, 2))
        return LinearConstraint(matrix, lows, highs)


@contextmanager
def _printing_aside() -> Iterator[None]:
    """Has what HiGHS prints, which it does at times unasked, go to the error stream: the output may be IR."""
    with _OUTPUT:
        sys.stdout.flush()
        try:
            output = os.dup(1)
        except OSError:
            # There is none.
            yield
            return
        try:
            os.dup2(2, 1)
            yield
        finally:
            ctypes.CDLL(None).fflush(None)
            os.dup2(output, 1)
            os.close(output)
