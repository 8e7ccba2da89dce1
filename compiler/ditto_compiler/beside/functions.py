"""Fitting the one-shot functions of a program: from `ditto.oneshot` to integer terms."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.intervals import Interval
from ditto_compiler.ir import attributes_of, func, ir, new_module, numel, ops_of, parse_module
from ditto_compiler.oneshot.fit import FitError, fit
from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.private_functions import callee
from ditto_compiler.structure import REPEATING, is_float, splat_attribute, splat_of
from ditto_compiler.xla import XlaFunction

ROWS = 1 << 14
"""Elements up to which a function may take many words: what it costs is rounds, not bytes."""

MOST_WORDS = 96
"""Words of a function of few elements."""

USUAL_WORDS = 40
"""Words of any other function."""

FEWER = 6
"""Fraction bits that a function's result does without, if there are no terms otherwise."""

POINTS = 4096
"""Arguments for which a function is evaluated at a time: it is compiled once."""

MOST_FRAC = 46
"""Fraction bits beyond which nothing is worth keeping."""

NOMINAL_BITS = 16
"""Significant bits of arguments and results of a function about which nothing is decided yet."""


def why_not(op: ir.Operation, low: float, high: float) -> str | None:
    """Why a `ditto.oneshot` cannot be fitted on a range, as far as that can be told beforehand."""
    function = callee(op)
    size = _largest(function, low, high)
    if not np.isfinite(size):
        return "it has no bounded values there"
    whole, argument_whole = (math.ceil(math.log2(max(bound, 2.0**-8))) for bound in (size, max(-low, high)))
    frac = max(0, NOMINAL_BITS - whole)
    # A relative one gets as many as it needs.
    argument = MOST_FRAC if names.RELATIVE in op.attributes else NOMINAL_BITS - argument_whole
    error = ir.FloatAttr(op.attributes[names.ERROR]).value
    terms = _fitted(op, function, low, high, error, argument, Fxp(max(2, whole + 3) + frac, frac))
    return terms if isinstance(terms, str) else None


def largest_value(op: ir.Operation) -> float:
    """The largest magnitude of a `ditto.oneshot` whose valid range is known, with its error."""
    low, high, error = (
        ir.FloatAttr(op.attributes[name]).value for name in (names.LOW, names.HIGH, names.ERROR)
    )
    size = _largest(callee(op), low, high)
    error *= names.get_int(op, names.LOOSE) or 1
    return float(size * (1 + error) if names.RELATIVE in op.attributes else size + error)


def least_error(op: ir.Operation) -> float:
    """The error that a `ditto.oneshot` may have where it may have least, in units of its values."""
    low, high, error = (
        ir.FloatAttr(op.attributes[name]).value for name in (names.LOW, names.HIGH, names.ERROR)
    )
    if names.RELATIVE not in op.attributes:
        return float(error)
    return float(error * np.abs(evaluator(callee(op))(np.linspace(low, high, 1025))).min())


def _largest(function: func.FuncOp, low: float, high: float) -> float:
    return float(np.abs(evaluator(function)(np.linspace(low, high, 1025))).max())


def fitted_terms(op: ir.Operation, frac: int, result: Fxp, core: Interval | None = None) -> Terms | str:
    """The terms of a `ditto.oneshot` whose valid range is known, or why there are none.

    Args:
        op: the op.
        frac: fraction bits of its argument; the terms may do with fewer.
        result: ring and scale of its result; if there are none for that, both may have up to `FEWER` less.
        core: arguments for which the op's error holds; for others, `loose` times as much does.
    """
    terms = terms_for(op, ir.FloatAttr(op.attributes[names.ERROR]).value, frac, result, core)
    if isinstance(terms, str):
        low, high = (ir.FloatAttr(op.attributes[name]).value for name in (names.LOW, names.HIGH))
        name = callee(op).name.value
        return f"'{name}' cannot be computed in one go on [{low:.4g}, {high:.4g}]: {terms}"
    return terms


def terms_for(
    op: ir.Operation, error: float, frac: int, result: Fxp, core: Interval | None = None, loose: int = 0
) -> Terms | str:
    """As `fitted_terms`, with another error than the op's, which may be `loose` times as large elsewhere."""
    low, high = (ir.FloatAttr(op.attributes[name]).value for name in (names.LOW, names.HIGH))
    loose = loose or names.get_int(op, names.LOOSE) or 1
    terms = _fitted(op, callee(op), low, high, error, frac, result, core, loose)
    if isinstance(terms, str) and loose > 1:
        # Some are found more easily where all arguments count alike.
        terms = _fitted(op, callee(op), low, high, error, frac, result)
    return terms


def _fitted(
    op: ir.Operation,
    function: func.FuncOp,
    low: float,
    high: float,
    error: float,
    frac: int,
    result: Fxp,
    core: Interval | None = None,
    loose: int = 1,
) -> Terms | str:
    """The terms, of an argument and a result with as many bits or fewer, or why there are none."""
    if frac <= 0:
        return "its argument has no fraction bits"
    try:
        return fit(
            evaluator(function),
            low,
            high,
            ring_frac=frac,
            result=(result.ring, result.frac),
            error=error,
            relative=names.RELATIVE in op.attributes,
            max_words=_most_words(op),
            fewer=FEWER,
            core=core,
            loose=loose,
        )
    except FitError as reason:
        return str(reason)


def _most_words(op: ir.Operation) -> int:
    most = names.get_int(op, names.WORDS)
    return most or (MOST_WORDS if numel(op.results[0]) <= ROWS else USUAL_WORDS)


def evaluator(function: func.FuncOp) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """An elementwise function of the module, in double precision."""
    compiled = _compiled(str(_in_double(function)))

    def evaluate(x: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = np.pad(x, (0, -len(x) % POINTS), mode="edge").reshape(-1, POINTS)
        return np.asarray(np.concatenate([compiled(part)[0] for part in parts])[: len(x)])

    return evaluate


@functools.lru_cache(maxsize=64)
def _compiled(text: str) -> XlaFunction:
    return XlaFunction(parse_module(text))


def _in_double(function: func.FuncOp) -> ir.Module:
    """A module with the function for `POINTS` numbers of double precision."""
    with function.context, ir.Location.unknown():
        points = ir.RankedTensorType.get([POINTS], ir.F64Type.get())
        module, block = new_module([points], [points])
        ip = ir.InsertionPoint(block)
        values: dict[ir.Value, ir.Value] = {function.arguments[0]: block.arguments[0]}
        *body, terminator = ops_of(function.entry_block)
        for op in body:
            result = op.results[0]
            if op.name in REPEATING or (op.name == "stablehlo.convert" and is_float(result)):
                # Every tensor is of the points' shape, and every float of their precision.
                values[result] = values[op.operands[0]]
                continue
            element = ir.RankedTensorType(result.type).element_type
            type_ = ir.RankedTensorType.get([POINTS], ir.F64Type.get() if is_float(result) else element)
            attributes = attributes_of(op)
            if op.name == "stablehlo.constant":
                number = splat_of(op)
                assert number is not None, "of one number, a constant is one number"
                attributes["value"] = splat_attribute(number, type_)
            made = ir.Operation.create(op.name, [type_], [values[v] for v in op.operands], attributes, ip=ip)
            values[result] = made.results[0]
        ir.Operation.create("func.return", operands=[values[terminator.operands[0]]], ip=ip)
    return module
