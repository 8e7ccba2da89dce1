"""Measures what instructions of the executor on shares take the parties' processors.

Each case is a program of one instruction, many times over, in one step. What one of them takes is the
difference between more and fewer of them, so that neither inputs nor rounds count; how it depends on elements
and on bytes, that between many and few elements, and between rings in which more and fewer bytes are sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ditto_compiler.encoding import Encoding, Fxp, Int
from ditto_compiler.executor.instruction import Attribute, Instruction
from ditto_compiler.executor.schedule import schedule
from ditto_compiler.oneshot.terms import EXPONENT_FRAC, Term, Terms
from ditto_compiler.program import Beside, CallerTensor, Input, Program, Value

FEW, MANY = 8, 3 * 65536
"""Elements."""

WEIGHTS = 3 << 20
"""Elements of what is narrowed: large operands of products, mostly."""

TURNS = 3
"""In which everything is measured; the least time counts."""

SOME, MORE = 1, 5
"""Instructions of many elements."""

Seconds = Callable[[Program, Sequence[Any]], float]
"""Least processor time of a program on its inputs, of several runs."""

WORDS = (32, 64)

DOT = {"left_batch": (), "right_batch": (), "left_contracting": (1,), "right_contracting": (0,)}


@dataclass(frozen=True)
class Case:
    """An instruction on secret tensors.

    Attributes:
        op: its name.
        operands: for each, its encoding, or None for a boolean.
        results: likewise.
        attributes: of the instruction.
        shapes: of the operands and the result for so many elements of the result; by default all are alike.
        back: encoding in which the result is an operand again, by a cast, when they are chained.
    """

    op: str
    operands: tuple[Encoding | None, ...]
    results: tuple[Encoding | None, ...]
    attributes: dict[str, Attribute]
    shapes: Callable[[int], tuple[tuple[int, ...], ...]] | None = None
    back: Encoding | None = None

    def program(self, elements: int, count: int, *, chained: bool = False) -> Program:
        """A program with `count` of them; `chained`, one after the other."""
        alike = ((elements,),) * (len(self.operands) + 1)
        *shapes, shape = alike if self.shapes is None else self.shapes(elements)
        values: list[Value] = []
        instructions = []

        def value(encoding: Encoding | None, shape: tuple[int, ...]) -> int:
            dtype = "i1" if encoding is None else "f32"
            values.append(Value(shape, dtype, encoding or Int(32), True))
            return len(values) - 1

        def whole(encoding: Encoding | None) -> Encoding | None:
            """What an input is held in: a ring of whole words."""
            return None if encoding is None else Fxp(word_bits(encoding.ring), encoding.frac)

        operands = [value(whole(e), extents) for e, extents in zip(self.operands, shapes, strict=True)]
        inputs = tuple(operands)
        for position, encoding in enumerate(self.operands):
            if encoding != whole(encoding):
                made = value(encoding, values[operands[position]].shape)
                instructions.append(Instruction("cast", (operands[position],), (made,)))
                operands[position] = made
        for _ in range(count):
            results = [value(encoding, shape) for encoding in self.results]
            instructions.append(Instruction(self.op, tuple(operands), tuple(results), self.attributes))
            if chained:
                operands[0] = results[0]
            if chained and self.back is not None:
                operands[0] = value(self.back, shape)
                instructions.append(Instruction("cast", (results[0],), (operands[0],), {}))
        return Program(
            name="case",
            policy="",
            values=tuple(values),
            regions={},
            steps=(Beside(tuple(instructions)),),
            inputs=tuple(Input(number, number) for number in inputs),
            caller_inputs=tuple(CallerTensor(values[i].shape, values[i].dtype) for i in inputs),
            outputs=(operands[0] if chained else 0,),
        )

    def bytes(self, elements: int) -> int:
        """That one of them sends."""
        program = self.program(elements, 1)
        (step,) = program.steps
        assert isinstance(step, Beside)
        return schedule(step.instructions, lambda number: program.values[number].tensor).bytes


def word_bits(ring: int) -> int:
    """Bits of the words of a ring."""
    return 32 if ring <= 32 else 64


def _product(ring: int, drop: int) -> Case:
    """By element."""
    number = Fxp(ring, (ring - 2) // 2)
    return Case("multiply", (number, number), (Fxp(ring - drop, 2 * number.frac - drop),), {})


DEPTH = 16
"""Of products that are mostly results."""


def _matrices(ring: int, drop: int, m: int = 0, k: int = DEPTH, n: int = 0) -> Case:
    """Matrix products, of that shape or of as many results as are asked for."""
    number = Fxp(ring, (ring - 2) // 2)
    result = Fxp(ring - drop, 2 * number.frac - drop)

    def shapes(elements: int) -> tuple[tuple[int, ...], ...]:
        rows = m or min(elements, 256)
        columns = n or elements // rows
        return (rows, k), (k, columns), (rows, columns)

    return Case("dot_general", (number, number), (result,), dict(DOT), shapes)


def _function(kind: str, ring: int, terms: int) -> Case:
    """A one-shot function; what it computes does not matter."""
    term = Term(1, 1, 1, 4, 0) if kind == "fourier" else Term(0, -(1 << EXPONENT_FRAC), 1, 4, 0)
    made = Terms(
        kind=kind,  # type: ignore[arg-type]
        ring=16,
        frac=8,
        low=-(1 << 14),
        high=(1 << 14) - 1,
        result_ring=ring - 4,
        result_frac=8,
        drop=4,
        coefficient_frac=20,
        constant=0,
        terms=(term,) * terms,
    )
    attributes = {
        name: tuple(about) if isinstance(about, list) else about
        for name, about in made.to_attributes().items()
    }
    return Case("oneshot", (Fxp(16, 8),), (Fxp(made.result_ring, 8),), attributes)


def _cases() -> dict[str, dict[int, tuple[Case, Case]]]:
    """For each row and word, two cases, of which the second sends more for each element."""

    def number(ring: int) -> Fxp:
        return Fxp(ring, 8)

    def less(ring: int) -> Case:
        return Case("less", (number(ring),), (None,), {"thresholds": (0,)})

    def widen(source: int, target: int) -> Case:
        return Case("cast", (number(source),), (number(target),), {})

    def select(ring: int) -> Case:
        return Case("select", (None, number(ring), number(ring)), (number(ring),), {})

    def convert(ring: int) -> Case:
        return Case("convert", (None,), (Fxp(ring, 0),), {})

    def narrow(ring: int) -> Case:
        wide, less = Fxp(ring, ring // 2), Fxp(ring - 10, ring // 2 - 10)
        return Case("cast", (wide,), (less,), {}, back=wide)

    def add(ring: int) -> Case:
        return Case("add", (number(ring), number(ring)), (number(ring),), {})

    conjunction = Case("and", (None, None), (None,), {})
    return {
        "multiply": {32: (_product(32, 20), _product(32, 6)), 64: (_product(64, 28), _product(64, 12))},
        "product": {32: (_matrices(32, 20), _matrices(32, 6)), 64: (_matrices(64, 28), _matrices(64, 12))},
        "widen": {32: (widen(30, 32), widen(12, 32)), 64: (widen(60, 64), widen(36, 64))},
        "less": {32: (less(10), less(30)), 64: (less(34), less(60))},
        "select": {32: (select(12), select(32)), 64: (select(34), select(64))},
        "convert": {32: (convert(12), convert(32)), 64: (convert(34), convert(64))},
        "join": {32: (conjunction, conjunction)},
        "fourier": {32: (_function("fourier", 28, 3), _function("fourier", 28, 9))}
        | {64: (_function("fourier", 40, 3), _function("fourier", 40, 9))},
        "exponential": {32: (_function("exponential", 28, 1), _function("exponential", 28, 4))}
        | {64: (_function("exponential", 40, 1), _function("exponential", 40, 4))},
        "narrow": {32: (narrow(32), narrow(32)), 64: (narrow(64), narrow(64))},
        "local": {32: (add(32), add(32)), 64: (add(64), add(64))},
    }


class _Runs:
    """Runs of cases, and the least processor time of each program, however often it has been run."""

    def __init__(self, seconds: Seconds) -> None:
        self._seconds = seconds
        self._least: dict[str, float] = {}

    def run(self, case: Case, elements: int, count: int, *, chained: bool = False) -> float:
        """So many instructions, and what a program takes without them."""
        program = case.program(elements, count, chained=chained)
        inputs = [
            np.ones(tensor.shape, bool if tensor.dtype == "i1" else np.float32)
            for tensor in program.caller_inputs
        ]
        found = min(self._least.get(program.digest, math.inf), self._seconds(program, inputs))
        self._least[program.digest] = found
        return found

    def of_one(self, case: Case, elements: int, some: int = SOME, more: int = MORE) -> float:
        """One instruction on so many elements."""
        # What is local runs only if something needs it.
        chained = not case.bytes(elements)
        most, least = (self.run(case, elements, count, chained=chained) for count in (more, some))
        return (most - least) / (more - some)

    def row(self, fewer: Case, more: Case) -> list[float]:
        """Nanoseconds per element and per byte, and microseconds per instruction."""
        seconds = self.of_one(more, FEW, 1, 40)
        many = MANY if more.back is None else WEIGHTS
        low, high = ((self.of_one(case, many) - seconds) / many * 1e9 for case in (fewer, more))
        first, last = (case.bytes(many) / many for case in (fewer, more))
        byte_ns = max(0.0, (high - low) / (last - first)) if last > first else 0.0
        if byte_ns * last > high:
            byte_ns = high / last
        casts = 1 if more.back is None else 2
        return [
            round(max(0.0, high - byte_ns * last) / casts, 1),
            round(byte_ns, 2),
            round(seconds * 1e6 / casts),
        ]

    def matrices(self, word: int) -> tuple[float, float]:
        """Nanoseconds per multiplication of matrix products, and per element of a large operand."""

        def product(m: int, k: int, n: int) -> float:
            return self.of_one(_matrices(word, 10, m, k, n), m * n) * 1e9

        deep = product(128, 1152, 768) - product(128, 384, 768)
        # More than a processor's caches hold: each element is multiplied once, and read.
        shapes = ((4096, 8192), (4096, 11008))
        once = sum(product(1, *shape) / math.prod(shape) for shape in shapes) / len(shapes)
        added = 768 * 768
        multiply_add = (deep - added * once) / (127 * added)
        return round(multiply_add, 4), round(once - multiply_add, 3)

    def round(self) -> float:
        """Microseconds of a round."""
        case = Case("multiply", (Fxp(32, 0), Fxp(32, 0)), (Fxp(32, 0),), {})
        waiting = self.run(case, FEW, 40, chained=True) - self.run(case, FEW, 40)
        return round(waiting / 39 * 1e6)


def measure_beside(seconds: Seconds, report: Callable[[str], None]) -> dict[str, Any]:
    """The table's part about what runs beside the engine, as plain data.

    Args:
        seconds: runs programs.
        report: told of each row as it is done.
    """
    runs = _Runs(seconds)
    # Other processes disturb for seconds at a time.
    for turn in range(1, TURNS + 1):
        rows: dict[str, dict[int, list[float]]] = {}
        for name, by_word in _cases().items():
            rows[name] = {word: runs.row(*cases) for word, cases in by_word.items()}
            report(f"{name} beside the engine, turn {turn}")
        multiply_add, read = {}, {}
        for word in WORDS:
            multiply_add[word], read[word] = runs.matrices(word)
            results = rows["product"][word]
            results[0] = round(max(0.0, results[0] - DEPTH * multiply_add[word]), 1)
            report(f"matrix products beside the engine, words of {word} bits, turn {turn}")
        round_us = runs.round()
    return {
        "columns": ["ns", "byte_ns", "us"],
        "rows": rows,
        "multiply_add_ns": multiply_add,
        "read_ns": read,
        "round_us": round_us,
    }
