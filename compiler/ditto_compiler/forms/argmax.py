"""Forms of argmax and argmin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from ditto_compiler.forms.builder import Tensor
from ditto_compiler.ir import ir


def tournament(x: Tensor, axis: int, index_type: ir.Type, direction: str, worst: float) -> list[Tensor]:
    """The best value and its index, by one comparison and two selections per match.

    Of equal values the first wins: ditto-expand-reductions plays neighbours against each other.
    """
    indices = x.builder.iota(x.shape, axis, ir.RankedTensorType(index_type).element_type)

    def play(left: Sequence[Tensor], right: Sequence[Tensor]) -> list[Tensor]:
        wins = left[0].compare(direction, right[0])
        return [mine.where(wins, other) for mine, other in zip(left, right, strict=True)]

    return x.builder.reduction([x, indices], [worst, 0.0], [axis], play)


argmax = partial(tournament, direction="GE", worst=-math.inf)
argmin = partial(tournament, direction="LE", worst=math.inf)
