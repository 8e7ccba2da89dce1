"""Measures what each op costs, and writes the table that the compiler's cost model reads.

    python -m ditto.bench.cost_table [-o cost_table.json] [--only beside]

Each case is a region of one op (and what it needs to get its operands into the right form), run among
three local parties. Bytes and messages are exact: the engine counts what it sends. They do not depend on
values, and are linear in elements, which is checked. How they depend on fraction bits is found by trying
every number of them. Rounds are found by delaying every message by a known time: a run becomes longer by
that time for each message that waits for the one before. Seconds are processor time of all three parties,
which other processes on the machine disturb less than wall time.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from ditto.bench.cost_table_beside import measure_beside
from ditto.runtime.caller.cluster import LocalCluster, RunStats
from ditto_compiler.cost.measured import TABLE_PATH, Segment, Sort
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import RINGS, Encoding, Fxp, Int
from ditto_compiler.errors import InternalError
from ditto_compiler.files import write_whole
from ditto_compiler.network import Network
from ditto_compiler.ops import WIDE
from ditto_compiler.program import (
    Call,
    CallerTensor,
    CastBatch,
    CompareBatch,
    Comparison,
    Input,
    Program,
    Region,
    Value,
)

DELAY_S = 0.03
"""One-way delay under which rounds are counted."""

DELAYED = Network("delayed", 1e12, 2 * DELAY_S)

USUAL_FRAC = {32: 10, 64: 18, 128: 40}

FRACS = {32: range(2, 21), 64: range(4, 32), 128: range(8, 64)}
"""Fraction bits of fixed-point ops: the engine's approximations fail on more."""

TRUNCATIONS = {32: range(1, 29), 64: range(1, 61), 128: range(1, 101)}
"""Bits that a truncation drops."""

FEW, MANY = 8, 32768
"""Elements: bytes are linear in them, and seconds nearly so."""

PREPARED = {"b": "less", "o": "equal", "w": "and"}
"""How boolean shares of one bit, of eight, and of all bits are made from two arithmetic shares."""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        row: its name.
        forms: of each operand, see `ditto_compiler.cost.ops.base`.
        op: the pphlo op.
        operands: element type of each operand.
        result: element type of the result.
        attributes: of the op, as printed.
        scaled: whether the cost may depend on fraction bits.
        rings: where the engine runs it.
    """

    row: str
    forms: str
    op: str
    operands: tuple[str, ...]
    result: str
    attributes: str = ""
    scaled: bool = False
    rings: tuple[int, ...] = RINGS


def _float(
    row: str, *forms: str, op: str = "", rings: tuple[int, ...] = RINGS, attributes: str = ""
) -> list[Case]:
    """Cases of an op on f32 whose cost may depend on the fraction bits."""
    return [
        Case(row, f, op or row, ("f32",) * len(f), "f32", attributes, scaled=True, rings=rings) for f in forms
    ]


def _plain(
    row: str, *forms: str, element: str = "i32", result: str = "", op: str = "", **options: Any
) -> list[Case]:
    return [Case(row, f, op or row, (element,) * len(f), result or element, **options) for f in forms]


CASES: tuple[Case, ...] = (
    # What the compound costs (products, reductions, selections) are made of.
    *_plain("product", "aa", op="multiply"),
    Case("product", "ab", "multiply", ("i32", "i1"), "i32"),
    *_plain("product", "bb", element="i1", op="multiply"),
    *_float("truncate", "ap", op="multiply"),
    *_plain("less", "aa", result="i1"),
    *_plain("equal", "aa", "ap", result="i1"),
    *_plain("and", "bb", element="i1"),
    *_plain("and", "ww"),
    *_plain(
        "to_arithmetic",
        "b",
        "o",
        element="i1",
        op="custom_call",
        attributes='call_target_name = "spu.prefer_a"',
    ),
    *_plain("to_arithmetic", "w", op="custom_call", attributes='call_target_name = "spu.prefer_a"'),
    *_plain("to_boolean", "ap", op="xor"),
    Case("seal", "p", "convert", ("i32",), "i32"),
    Case("seal_bit", "p", "convert", ("i1",), "i1"),
    *_plain("sign", "a", attributes="ignore_zero = false"),
    *_plain("abs", "a"),
    *_plain("popcnt", "a"),
    # What needs no message.
    *_plain("local", "aa", op="add"),
    *_plain("copy", "aa", op="concatenate", attributes="dimension = 0 : i64"),
    # Non-linear functions.
    *_float("exponential", "a"),
    *_float("tanh", "a"),
    *_float("sine", "a"),
    *_float("cosine", "a"),
    *_float("erf", "a", op="custom_call", attributes='call_target_name = "mhlo.erf"', rings=WIDE),
    *_float("log", "a", rings=WIDE),
    *_float("logistic", "a", rings=WIDE),
    *_float("reciprocal", "a", rings=WIDE),
    *_float("rsqrt", "a", rings=WIDE),
    *_float("sqrt", "a", rings=WIDE),
    *_float("divide", "aa", "ap", "pa", rings=WIDE),
    *_plain("divide_integer", "aa", "ap", "pa", op="divide", scaled=True, rings=WIDE),
    *_float("remainder", "aa", "ap", "pa", rings=WIDE),
    *_plain("remainder_integer", "aa", "ap", "pa", op="remainder", scaled=True, rings=WIDE),
    *_float("power", "aa", "ap", "pa", rings=WIDE),
    *_float("atan2", "aa", "ap", "pa", rings=WIDE),
    *_float("floor", "a"),
    *_float("ceil", "a"),
    *_float("round_nearest_afz", "a"),
    *_float("round_nearest_even", "a"),
    Case("to_integer", "a", "convert", ("f32",), "i32", scaled=True),
)


Arguments = list[tuple[str, bool]]
"""Element type of each, and whether it is secret."""


def region(case: Case, *, with_op: bool = True, elements: int) -> tuple[str, Arguments]:
    """pphlo that prepares the case's operands and, `with_op`, runs its op; and its arguments.

    Its result is one of its arguments, for an op's may be in a form that cannot leave a region.
    """
    arguments: Arguments = []
    lines: list[str] = []

    def type_of(element: str, secret: bool, count: int = elements) -> str:
        return f"tensor<{count}x!pphlo.secret<{element}>>" if secret else f"tensor<{count}x{element}>"

    def argument(element: str, secret: bool) -> str:
        arguments.append((element, secret))
        return f"%a{len(arguments) - 1}"

    def emit(op: str, values: Sequence[str], types: Sequence[str], result: str, attributes: str = "") -> str:
        name = f"%v{len(lines)}"
        braces = f" {{{attributes}}}" if attributes else ""
        lines.append(
            f'  {name} = "pphlo.{op}"({", ".join(values)}){braces} : ({", ".join(types)}) -> {result}'
        )
        return name

    values = []
    for form, element in zip(case.forms, case.operands, strict=True):
        if form in PREPARED:
            secret = type_of("i32", True)
            pair = [argument("i32", True), argument("i32", True)]
            values.append(emit(PREPARED[form], pair, [secret, secret], type_of(element, True)))
        else:
            values.append(argument(element, form == "a"))
    if with_op:
        types = [
            type_of(element, form != "p") for form, element in zip(case.forms, case.operands, strict=True)
        ]
        count = elements * len(values) if case.op == "concatenate" else elements
        emit(case.op, values, types, type_of(case.result, True, count), case.attributes)
    returned, returned_type = argument("i32", True), type_of("i32", True)
    signature = ", ".join(f"%a{i}: {type_of(*about)}" for i, about in enumerate(arguments))
    return _module(signature, lines, returned, returned_type), arguments


def _module(signature: str, lines: Iterable[str], returned: str, returned_type: str) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return (
        'module attributes {pphlo.version = "0.9.5"} {\n'
        f"func.func @main({signature}) -> {returned_type} {{\n{body}"
        f"  return {returned} : {returned_type}\n}}\n}}\n"
    )


@dataclass(frozen=True)
class Measured:
    """What a run, or an op in it, took: least of several times, and exact counts."""

    bytes: int
    messages: int
    seconds: float
    cpu_seconds: float

    def __sub__(self, other: Measured) -> Measured:
        return Measured(
            self.bytes - other.bytes,
            self.messages - other.messages,
            self.seconds - other.seconds,
            self.cpu_seconds - other.cpu_seconds,
        )


@dataclass
class Bench:
    """Runs regions among three parties.

    Attributes:
        cluster: the parties.
    """

    cluster: LocalCluster

    def run(
        self,
        code: str,
        arguments: Arguments,
        ring: int,
        frac: int,
        shapes: Sequence[tuple[int, ...]],
        repeat: int = 1,
    ) -> Measured:
        """What a region costs that returns its last argument."""

        def value(element: str, secret: bool, shape: tuple[int, ...]) -> Value:
            encoding: Encoding = Fxp(ring, frac) if element.startswith("f") else Int(ring)
            return Value(shape, element, encoding, secret)

        values = [value(*about, shape) for about, shape in zip(arguments, shapes, strict=True)]
        numbers = tuple(range(len(values)))
        program = Program(
            name="case",
            policy="",
            values=(*values, values[-1]),
            regions={"r0": Region("r0", ring, frac, code)},
            steps=(Call("r0", numbers, (len(values),)),),
            inputs=tuple(Input(number, number) for number in numbers),
            caller_inputs=tuple(CallerTensor(v.shape, v.dtype) for v in values),
            outputs=(len(values),),
        )
        inputs = [np.ones(v.shape, numpy_dtype(v.dtype)) for v in values]
        return self.program(program, inputs, repeat)

    def program(self, program: Program, inputs: Sequence[Any], repeat: int) -> Measured:
        """What a program costs, the making of its runtimes left out if it is repeated."""
        stats: list[RunStats] = []
        for _ in range(repeat):
            self.cluster.run(program, *inputs)
            assert self.cluster.stats is not None
            stats.append(self.cluster.stats)
        last = stats[-1]
        seconds, cpu_seconds = min(s.seconds for s in stats), min(s.cpu_seconds for s in stats)
        return Measured(last.bytes, last.messages, seconds, cpu_seconds)

    def cpu_seconds(self, program: Program, inputs: Sequence[Any]) -> float:
        """Least processor time of a program, of several runs."""
        return self.program(program, inputs, repeat=4).cpu_seconds

    def case(self, case: Case, ring: int, frac: int, elements: int, repeat: int = 1) -> Measured:
        """What the case's op alone costs."""
        found = []
        for with_op in (True, False):
            code, arguments = region(case, with_op=with_op, elements=elements)
            found.append(self.run(code, arguments, ring, frac, [(elements,)] * len(arguments), repeat))
        return found[0] - found[1]


def measure(bench: Bench, delayed: Bench, case: Case, ring: int) -> list[Segment]:
    """The case's costs in a ring, over all fraction bits.

    Raises:
        InternalError: bytes are not linear in elements, so the table could not hold them.
    """
    fracs: Sequence[int] = [USUAL_FRAC[ring]]
    if case.scaled:
        fracs = (TRUNCATIONS if case.row == "truncate" else FRACS)[ring]
    exact = []
    for frac in fracs:
        cost = bench.case(case, ring, frac, FEW)
        exact.append((frac, cost.bytes / FEW, int(cost.messages)))
    few = bench.case(case, ring, USUAL_FRAC[ring], FEW, repeat=7)
    many = bench.case(case, ring, USUAL_FRAC[ring], MANY, repeat=3)
    if many.bytes * FEW != few.bytes * MANY:
        raise InternalError(f"bytes of {case.row} {case.forms} in ring {ring} are not linear in elements")
    seconds = max(many.cpu_seconds - few.cpu_seconds, 0) / (MANY - FEW)
    waiting = delayed.case(case, ring, USUAL_FRAC[ring], FEW, repeat=4).seconds - few.seconds
    # With other fraction bits some steps are left out, and messages with them.
    rounds_per_message = max(round(waiting / DELAY_S), 1) / max(few.messages, 1)
    segments = []
    for start, end in _linear_runs(exact):
        frac, per_element, messages = exact[start]
        slope = (exact[start + 1][1] - per_element) if end > start else 0.0
        segments.append(
            Segment(
                frac=frac if case.scaled else 0,
                bytes=per_element,
                bytes_per_bit=slope,
                messages=messages,
                rounds=round(messages * rounds_per_message),
                ns=round(seconds * 1e9, 1),
                us=round(max(few.cpu_seconds - FEW * seconds, 0) * 1e6),
            )
        )
    return segments


def _linear_runs(points: Sequence[tuple[int, float, int]]) -> list[tuple[int, int]]:
    """Index ranges (both ends included) in which bytes are linear in fraction bits and messages constant."""
    runs = []
    start = 0
    for end in range(len(points)):
        following = points[end + 1] if end + 1 < len(points) else None
        here = points[end]
        if following is not None and following[2] == here[2]:
            step = points[start + 1][1] - points[start][1]
            if following[1] - here[1] == step:
                continue
        runs.append((start, end))
        start = end + 1
    return runs


def measure_sort(bench: Bench, delayed: Bench, ring: int) -> Sort:
    """Fitted to sorting few and many elements, alone and with one payload."""
    small, large = 8, 256

    def run(where: Bench, elements: int, operands: int) -> Measured:
        type_ = f"tensor<{elements}x!pphlo.secret<i32>>"
        types = ", ".join([type_] * operands)
        names = ", ".join(f"%a{i}" for i in range(operands))
        line = (
            f'  %v:{operands} = "pphlo.simple_sort"({names}) {{dimension = 0 : i64, num_keys = 1 : i64, '
            f"sort_direction = #pphlo<sort_direction ASC>}} : ({types}) -> ({types})"
        )
        signature = ", ".join(f"%a{i}: {type_}" for i in range(operands))
        code = _module(signature, [line], f"%a{operands - 1}", type_)
        shapes = [(elements,)] * operands
        return where.run(code, [("i32", True)] * operands, ring, USUAL_FRAC[ring], shapes, repeat=2)

    low, high, pair = run(bench, small, 1), run(bench, large, 1), run(bench, small, 2)
    slope = (high.bytes - low.bytes) / (large - small)
    doublings = math.log2(large / small)
    per_doubling = (high.messages - low.messages) / doublings
    seconds = (high.cpu_seconds - low.cpu_seconds) / (large - small)
    waiting = run(delayed, small, 1).seconds - low.seconds
    return Sort(
        bytes=round(slope, 2),
        fixed_bytes=round(low.bytes - small * slope),
        messages=low.messages - per_doubling * math.log2(small),
        messages_per_doubling=per_doubling,
        payload_bytes=(pair.bytes - low.bytes) / small,
        payload_messages=pair.messages - low.messages,
        rounds_per_message=round(waiting / DELAY_S / low.messages, 3),
        ns=round(seconds * 1e9),
        us=round((low.cpu_seconds - small * seconds) * 1e6),
    )


def measure_product(bench: Bench, ring: int) -> float:
    """Nanoseconds per multiply-add of a matrix product, of all parties, its transfer included."""
    m, k, n = 128, 768, 768
    code = _module(
        f"%a0: tensor<{m}x{k}x!pphlo.secret<i32>>, %a1: tensor<{k}x{n}x!pphlo.secret<i32>>, "
        f"%a2: tensor<1x!pphlo.secret<i32>>",
        [
            f'  %v = "pphlo.dot"(%a0, %a1) : (tensor<{m}x{k}x!pphlo.secret<i32>>, '
            f"tensor<{k}x{n}x!pphlo.secret<i32>>) -> tensor<{m}x{n}x!pphlo.secret<i32>>"
        ],
        "%a2",
        "tensor<1x!pphlo.secret<i32>>",
    )
    shapes = [(m, k), (k, n), (1,)]
    empty = _module(
        code.partition("@main(")[2].partition(") ->")[0], [], "%a2", "tensor<1x!pphlo.secret<i32>>"
    )
    seconds = [
        bench.run(text, [("i32", True)] * 3, ring, USUAL_FRAC[ring], shapes, repeat=5).cpu_seconds
        for text in (code, empty)
    ]
    return round((seconds[0] - seconds[1]) / (m * k * n) * 1e9, 4)


def measure_cast(bench: Bench) -> tuple[float, float]:
    """Nanoseconds per element and microseconds per batch of casts, of all parties, between runtimes."""

    def run(elements: int, target: int) -> Measured:
        type_ = f"tensor<{elements}x!pphlo.secret<i32>>"
        code = _module(f"%a0: {type_}", [], "%a0", type_)
        encodings = [Int(32), Int(32), Int(target), Int(target)]
        program = Program(
            name="cast",
            policy="",
            values=tuple(Value((elements,), "i32", encoding, True) for encoding in encodings),
            regions={"r0": Region("r0", 32, 0, code), "r1": Region("r1", target, 0, code)},
            steps=(Call("r0", (0,), (1,)), CastBatch(((1, 2),)), Call("r1", (2,), (3,))),
            inputs=(Input(0, 0),),
            caller_inputs=(CallerTensor((elements,), "i32"),),
            outputs=(3,),
        )
        if target == 32:
            # Nothing to cast: the value stays where it is.
            calls = (program.steps[0], Call("r1", (1,), (3,)))
            program = program.replace(steps=calls)
        return bench.program(program, [np.ones(elements, np.int32)], repeat=5)

    few, many = (run(elements, 64) - run(elements, 32) for elements in (FEW, 8 * MANY))
    seconds = (many.cpu_seconds - few.cpu_seconds) / (8 * MANY - FEW)
    return round(seconds * 1e9, 1), round(max(few.cpu_seconds, 0) * 1e6)


def measure_compare(bench: Bench) -> tuple[float, float]:
    """Nanoseconds per element and microseconds per batch of comparisons in ring 32, of all parties."""

    def run(elements: int, *, compared: bool) -> Measured:
        type_ = f"tensor<{elements}x!pphlo.secret<f32>>"
        held = Value((elements,), "f32", Fxp(32, USUAL_FRAC[32]), True)
        program = Program(
            name="compare",
            policy="",
            values=(held, held, Value((elements,), "i1", Int(32), True)),
            regions={"r0": Region("r0", 32, USUAL_FRAC[32], _module(f"%a0: {type_}", [], "%a0", type_))},
            steps=(
                Call("r0", (0,), (1,)),
                *([CompareBatch((Comparison(1, (0,), (2,)),))] if compared else []),
            ),
            inputs=(Input(0, 0),),
            caller_inputs=(CallerTensor((elements,), "f32"),),
            outputs=(2 if compared else 1,),
        )
        return bench.program(program, [np.ones(elements, np.float32)], repeat=5)

    few, many = (run(count, compared=True) - run(count, compared=False) for count in (FEW, 8 * MANY))
    seconds = (many.cpu_seconds - few.cpu_seconds) / (8 * MANY - FEW)
    return round(seconds * 1e9, 1), round(max(few.cpu_seconds, 0) * 1e6)


def measure_call(bench: Bench) -> float:
    """Microseconds that a region takes besides its ops, of all parties."""
    type_ = "tensor<1x!pphlo.secret<i32>>"
    code = _module(f"%a0: {type_}", [], "%a0", type_)

    def run(calls: int) -> Measured:
        program = Program(
            name="calls",
            policy="",
            values=(Value((1,), "i32", Int(64), True),) * (calls + 1),
            regions={"r0": Region("r0", 64, 18, code)},
            steps=tuple(Call("r0", (number,), (number + 1,)) for number in range(calls)),
            inputs=(Input(0, 0),),
            caller_inputs=(CallerTensor((1,), "i32"),),
            outputs=(calls,),
        )
        return bench.program(program, [np.ones(1, np.int32)], repeat=5)

    return round((run(50) - run(1)).cpu_seconds / 49 * 1e6)


def measure_placing(bench: Bench, ring: int) -> float:
    """Nanoseconds per element that an input takes until it is in its runtime, of all parties."""
    one = "tensor<1x!pphlo.secret<i32>>"

    def run(elements: int) -> Measured:
        code = _module(f"%a0: tensor<{elements}x!pphlo.secret<i32>>, %a1: {one}", [], "%a1", one)
        return bench.run(code, [("i32", True)] * 2, ring, USUAL_FRAC[ring], [(elements,), (1,)], repeat=5)

    return round((run(32 * MANY) - run(FEW)).cpu_seconds / (32 * MANY - FEW) * 1e9, 1)


def measure_all(report: Callable[[str], None]) -> dict[str, Any]:
    """The whole table as plain data; `report` is told of each row as it is done."""
    rows: dict[str, dict[str, dict[int, list[Segment]]]] = {}
    with LocalCluster() as local, LocalCluster(network=DELAYED) as slow:
        bench, delayed = Bench(local), Bench(slow)
        products = {ring: measure_product(bench, ring) for ring in RINGS}
        report("products")
        for case in CASES:
            by_ring = {ring: measure(bench, delayed, case, ring) for ring in case.rings}
            rows.setdefault(case.row, {})[case.forms] = by_ring
            report(f"{case.row} {case.forms}")
        sort = {ring: measure_sort(bench, delayed, ring) for ring in RINGS}
        report("sort")
        cast = measure_cast(bench)
        report("casts")
        compare = measure_compare(bench)
        report("comparisons")
        call = measure_call(bench)
        placing = {ring: measure_placing(bench, ring) for ring in RINGS}
        beside = measure_beside(bench.cpu_seconds, report)
    return {
        "engine": f"SPU {version('spu')}, ABY3",
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "columns": [field.name for field in dataclasses.fields(Segment)],
        "rows": {
            row: {
                forms: {
                    ring: [list(dataclasses.astuple(s)) for s in segments]
                    for ring, segments in by_ring.items()
                }
                for forms, by_ring in by_form.items()
            }
            for row, by_form in rows.items()
        },
        "sort_columns": [field.name for field in dataclasses.fields(Sort)],
        "sort": {ring: list(dataclasses.astuple(values)) for ring, values in sort.items()},
        "multiply_add_ns": products,
        "cast": list(cast),
        "compare": list(compare),
        "call_us": call,
        "place_ns": placing,
        "beside": beside,
    }


def measure_new(table: Path, report: Callable[[str], None]) -> dict[str, Any]:
    """A table with what runs beside the engine measured anew."""
    with LocalCluster() as local:
        measured = measure_beside(Bench(local).cpu_seconds, report)
    return {**json.loads(table.read_text()), "beside": measured}


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def to_text(document: dict[str, Any]) -> str:
    """JSON with one line per ring."""
    text = json.dumps(document, indent=1)
    # Lists of numbers go on one line each.
    return re.sub(r"\[[^\[\]{}]*\]", lambda match: " ".join(match[0].split()), text) + "\n"


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=TABLE_PATH, show_default=True)
@click.option("--only", type=click.Choice(["beside"]), help="Measure only what runs beside the engine.")
def main(output: Path, only: str | None) -> None:
    """Measure what each op costs; takes twenty minutes, or some for what runs beside the engine."""
    console = Console(stderr=True)
    with console.status("measuring") as status:

        def report(done: str) -> None:
            status.update(f"measured {done}")

        document = measure_all(report) if only is None else measure_new(output, report)
    write_whole(output, to_text(document).encode())


if __name__ == "__main__":
    main()
