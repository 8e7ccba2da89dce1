"""Which functions a program computes, in spite of how the front end spells them.

One file per function. `recognize` finds them all; `ditto-approximate` then replaces them by forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ditto_compiler.extensions import Table
from ditto_compiler.ir import BARE_REGIONS, func, ir, nested_ops
from ditto_compiler.recognizers.adaptive_step import ADAPTIVE_STEP
from ditto_compiler.recognizers.argmax import ARGMAX, ARGMIN
from ditto_compiler.recognizers.base import Finder, Found, Recognizer
from ditto_compiler.recognizers.division import DIVISION
from ditto_compiler.recognizers.embedding import EMBEDDING
from ditto_compiler.recognizers.gelu import GELU
from ditto_compiler.recognizers.logistic import LOGISTIC, TANH
from ditto_compiler.recognizers.norm import LAYER_NORM, RMS_NORM
from ditto_compiler.recognizers.silu import SILU
from ditto_compiler.recognizers.softmax import LOG_SOFTMAX, SOFTMAX

RECOGNIZERS: tuple[Finder, ...] = (
    GELU,
    SILU,
    SOFTMAX,
    LOG_SOFTMAX,
    LAYER_NORM,
    # After LayerNorm, which is the RMSNorm of a centred value.
    RMS_NORM,
    LOGISTIC,
    TANH,
    ARGMAX,
    ARGMIN,
    EMBEDDING,
    ADAPTIVE_STEP,
    # After everything that divides.
    DIVISION,
)

WHOLE: tuple[str, ...] = (*BARE_REGIONS, "stablehlo.reduce", "stablehlo.reduce_window")
"""Ops whose regions are not programs of their own."""

COSTLY: frozenset[str] = frozenset(
    {
        *("chlo.erf", "chlo.erfc", "stablehlo.custom_call", "stablehlo.divide", "stablehlo.exponential"),
        *("stablehlo.exponential_minus_one", "stablehlo.log", "stablehlo.log_plus_one", "stablehlo.logistic"),
        *("stablehlo.power", "stablehlo.rsqrt", "stablehlo.sqrt", "stablehlo.tanh"),
    }
)
"""Ops that are expensive under MPC: what forms are there to avoid."""

__all__ = ["ADDED", "COSTLY", "RECOGNIZERS", "WHOLE", "Finder", "Found", "Recognizer", "recognize"]


ADDED: Table[Finder] = Table("recognizer", {})
"""What finds the functions that plugins add, by function; they come before Ditto's own."""


def recognize(
    function: func.FuncOp,
    recognizers: Sequence[Finder] | None = None,
    wanted: Callable[[str, ir.Operation], bool] = lambda function, root: True,
) -> list[Found]:
    """The functions that the program computes, in program order; no op belongs to two of them.

    A function whose costly ops are also used for something else is left alone: they would have to be
    computed anyway, so a replacement would only add to them.

    Args:
        function: where to look.
        recognizers: what to look for; by default all that there are.
        wanted: whether to look for a plugin's function at an op; ops that it does not want stay for others.
    """
    own = RECOGNIZERS if recognizers is None else recognizers
    added = tuple(ADDED.values()) if recognizers is None else ()
    found: list[Found] = []
    taken: set[ir.Operation] = set()
    # Users come before what they use, so that the largest function wins.
    for op in reversed(nested_ops(function.operation, skip=WHOLE)):
        if op in taken:
            continue
        for recognizer in (*(one for one in added if wanted(one.function, op)), *own):
            candidate = recognizer.find(op)
            if candidate is not None and not _is_shared(candidate):
                found.append(candidate)
                taken |= candidate.ops
                break
    return found[::-1]


def _is_shared(candidate: Found) -> bool:
    """Whether something costly inside of the function is used outside of it."""
    inner = [op for op in candidate.ops if op != candidate.root and op.name in COSTLY]
    return any(use.owner.operation not in candidate.ops for op in inner for r in op.results for use in r.uses)
