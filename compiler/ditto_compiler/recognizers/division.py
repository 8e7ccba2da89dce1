"""Division by a value that is repeated: a row statistic, or a scalar."""

from __future__ import annotations

from ditto_compiler.ir import numel
from ditto_compiler.matcher import Match, Var, View, constant, op
from ditto_compiler.recognizers.base import Recognizer


def _divisor_is_repeated(view: View, match: Match) -> bool:
    divisor = match.views["y"].value
    return constant(divisor) is None and numel(divisor) < numel(view.value)


DIVISION = Recognizer(
    "division", ("stablehlo.divide",), (op("divide", Var("x"), Var("y")),), _divisor_is_repeated
)
