"""Measures what each engine op costs, and writes the table that the compiler's cost model reads.

    python -m ditto.bench.cost_table [-o cost_table.json]

Each case is a region of one op (and what it needs to get its operands into the right form), run among
three local parties. Bytes and messages are exact: the engine counts what it sends. They do not depend on
values, and are linear in elements, which is checked. How they depend on fraction bits is found by trying
every number of them. Rounds are found by delaying every message by a known time: a run becomes longer by
that time for each message that waits for the one before. Seconds are wall time on loopback, of three
parties that share this machine's cores, transfer included.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ditto_compiler.cost.table import TABLE_PATH
from ditto_compiler.dialect.encoding import RINGS, Encoding, Fxp, Int
from ditto_compiler.program import Call, CallerTensor, Input, Program, Region, Value
from ditto_compiler.spu.op_table import WIDE

from ditto.runtime.cluster import ClusterError, LocalCluster, RunStats
from ditto.runtime.network import Network

DELAY_S = 0.02
"""One-way delay under which rounds are counted."""

USUAL_FRAC = {32: 10, 64: 18, 128: 40}

FRACS = {32: range(1, 29), 64: range(1, 61), 128: range(1, 101)}
"""Fraction bits tried."""

PREPARED = {"b": "less", "w": "and"}
"""How a boolean share of one bit, or of all bits, is made from two arithmetic shares."""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        row: its name.
        forms: of each operand: `a` arithmetic share, `b` share of one bit, `w` of all bits, `p` public.
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


def _float(row: str, *forms: str, op: str = "", rings: tuple[int, ...] = RINGS, attributes: str = "") -> list[Case]:
    """Cases of an op on f32 whose cost may depend on the fraction bits."""
    return [
        Case(row, f, op or row, ("f32",) * len(f), "f32", attributes, scaled=True, rings=rings) for f in forms
    ]


def _plain(row: str, *forms: str, element: str = "i32", result: str = "", op: str = "", **options: Any) -> list[Case]:
    return [Case(row, f, op or row, (element,) * len(f), result or element, **options) for f in forms]


CASES: tuple[Case, ...] = (
    # What the compound costs (products, reductions, selections) are made of.
    *_plain("product", "aa", op="multiply"),
    Case("product", "ab", "multiply", ("i32", "i1"), "i32"),
    *_plain("product", "bb", element="i1", op="multiply"),
    *_float("truncate", "ap", op="multiply"),
    *_plain("less", "aa", result="i1"),
    *_plain("equal", "aa", "ap", result="i1"),
    *_plain("equal", "bb", "bp", element="i1"),
    *_plain("and", "bb", element="i1"),
    *_plain("and", "ww"),
    *_plain("to_arithmetic", "b", element="i1", op="custom_call", attributes='call_target_name = "spu.prefer_a"'),
    *_plain("to_arithmetic", "w", op="custom_call", attributes='call_target_name = "spu.prefer_a"'),
    *_plain("to_boolean", "ap", op="xor"),
    Case("seal", "p", "convert", ("i32",), "i32"),
    Case("seal_bit", "p", "convert", ("i1",), "i1"),
    *_plain("sign", "a", attributes="ignore_zero = false"),
    *_plain("abs", "a"),
    *_plain("popcnt", "a"),
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


def region(case: Case | None, forms: str, operands: Sequence[str], elements: int) -> tuple[str, list[tuple[str, bool]]]:
    """pphlo that prepares operands and runs the case's op, and its arguments as (element type, secret)."""
    arguments: list[tuple[str, bool]] = []
    lines: list[str] = []

    def type_of(element: str, secret: bool) -> str:
        return f"tensor<{elements}x!pphlo.secret<{element}>>" if secret else f"tensor<{elements}x{element}>"

    def argument(element: str, secret: bool) -> str:
        arguments.append((element, secret))
        return f"%a{len(arguments) - 1}"

    def emit(op: str, values: Sequence[str], types: Sequence[str], result: str, attributes: str = "") -> str:
        name = f"%v{len(lines)}"
        attributes = f" {{{attributes}}}" if attributes else ""
        lines.append(f'  {name} = "pphlo.{op}"({", ".join(values)}){attributes} : ({", ".join(types)}) -> {result}')
        return name

    values = []
    for form, element in zip(forms, operands, strict=True):
        if form in PREPARED:
            secret = type_of("i32", True)
            pair = [argument("i32", True), argument("i32", True)]
            values.append(emit(PREPARED[form], pair, [secret, secret], type_of("i1" if form == "b" else "i32", True)))
        else:
            values.append(argument(element, form == "a"))
    types = [type_of(element, form != "p") for form, element in zip(forms, operands, strict=True)]
    if case is not None:
        emit(case.op, values, types, type_of(case.result, True), case.attributes)
    # Results may be in forms that cannot leave a region, so something else does.
    returned, returned_type = argument("i32", True), type_of("i32", True)
    signature = ", ".join(f"%a{i}: {type_of(*about)}" for i, about in enumerate(arguments))
    body = "\n".join(lines)
    return (
        'module attributes {pphlo.version = "0.9.5"} {\n'
        f"func.func @main({signature}) -> {returned_type} {{\n{body}\n  return {returned} : {returned_type}\n}}\n}}\n"
    ), arguments


def program_of(code: str, arguments: Sequence[tuple[str, bool]], result: str, ring: int, frac: int, elements: int) -> Program:
    """A program of one region that takes and gives flat tensors."""

    def value(element: str, secret: bool) -> Value:
        encoding: Encoding = Fxp(ring, frac) if element.startswith("f") else Int(ring)
        return Value((elements,), element, encoding, secret)

    values = (*(value(*about) for about in arguments), value(result, True))
    numbers = tuple(range(len(arguments)))
    return Program(
        name="case",
        policy="",
        values=values,
        regions={"r0": Region("r0", ring, frac, code)},
        steps=(Call("r0", numbers, (len(arguments),)),),
        inputs=tuple(Input(number, number) for number in numbers),
        caller_inputs=tuple(CallerTensor((elements,), element) for element, _ in arguments),
        outputs=(len(arguments),),
    )
