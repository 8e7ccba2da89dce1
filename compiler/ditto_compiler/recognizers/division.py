"""Division by a value that is repeated: a row statistic, or a scalar."""

from __future__ import annotations

from ditto_compiler.ir import numel
from ditto_compiler.matcher import Match, Var, View, op
from ditto_compiler.recognizers.base import Recognizer
from ditto_compiler.structure import constant, constant_through_layout, is_float


def _divisor_is_repeated(view: View, match: Match) -> bool:
    divisor = match.views["y"].value
    if not is_float(divisor):
        # Integers have no reciprocals.
        return False
    # A division by a constant is a multiplication.
    is_constant = constant(divisor) is not None or constant_through_layout(divisor) is not None
    return not is_constant and numel(divisor) < numel(view.value)


DIVISION = Recognizer(
    "division", ("stablehlo.divide",), (op("divide", Var("x"), Var("y")),), _divisor_is_repeated
)
