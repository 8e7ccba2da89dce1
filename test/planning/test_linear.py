"""The solver: optimal values, programs without any, and an output that stays clean."""

from __future__ import annotations

import ctypes
import itertools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from ditto_compiler.planning import linear
from ditto_compiler.planning.linear import Infeasible, LinearProgram


def knapsack() -> LinearProgram:
    """Of things that weigh 3, 4 and 5 and are worth 4, 5 and 6, the best that weigh 8: first and last."""
    program = LinearProgram()
    things = [program.variable(0, 1, integer=True) for _ in range(3)]
    program.constrain(dict(zip(things, (3.0, 4.0, 5.0), strict=True)), high=8.0)
    program.cost(dict(zip(things, (-4.0, -5.0, -6.0), strict=True)))
    return program


def test_the_optimum_is_found() -> None:
    solution = knapsack().solve(seconds=10, gap=0)
    assert [solution.whole(thing) for thing in range(3)] == [1, 0, 1]
    assert solution.objective == pytest.approx(-10)
    assert solution.gap == pytest.approx(0)


def test_what_cannot_be_is_said() -> None:
    program = LinearProgram()
    x = program.variable(0.0, math.inf)
    program.constrain({x: 1.0}, low=2.0)
    program.constrain({x: 1.0}, high=1.0)
    with pytest.raises(Infeasible):
        program.solve(seconds=10, gap=0)


def test_what_the_solver_prints_is_no_output(monkeypatch: Any, capfd: Any) -> None:
    """`ditto-opt` writes IR there."""
    solve = linear.milp

    def chatty(*arguments: Any, **options: Any) -> Any:
        ctypes.CDLL(None).puts(b"thinking aloud")
        return solve(*arguments, **options)

    monkeypatch.setattr(linear, "milp", chatty)
    knapsack().solve(seconds=10, gap=0)
    print("result")
    captured = capfd.readouterr()
    assert captured.out == "result\n"
    assert "thinking aloud" in captured.err


def test_threads_leave_the_output_to_its_owner(monkeypatch: Any, capfd: Any) -> None:
    """However they overlap: what a thread puts aside is the process's output, not another thread's."""
    solve, calls, running = linear.milp, itertools.count(), (threading.Event(), threading.Event())

    def overlapping(*arguments: Any, **options: Any) -> Any:
        number = next(calls)
        running[number].set()
        if number == 0:
            running[1].wait(0.3)
        else:
            wait([first])
        return solve(*arguments, **options)

    monkeypatch.setattr(linear, "milp", overlapping)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(knapsack().solve, seconds=10, gap=0)
        running[0].wait()
        pool.submit(knapsack().solve, seconds=10, gap=0).result()
    os.write(1, b"result\n")
    assert capfd.readouterr().out == "result\n"
