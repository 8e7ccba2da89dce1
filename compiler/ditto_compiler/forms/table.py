"""The table of forms: every way that Ditto knows to compute a non-linear function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ditto_compiler.forms import activations, norm, softmax

EXACT = "exact"
"""The form of every function that leaves it as it is: what the engine computes."""

PUMA = "PUMA, arXiv 2307.12533"
MPCFORMER = "MPCFormer, arXiv 2211.01452"
DITTO = "Ditto, arXiv 2405.05525"
OURS = "this project"


@dataclass(frozen=True)
class Cost:
    """What a form sends, all three parties together.

    Attributes:
        element: bytes per element, by ring.
        row: bytes per row besides, by ring; negative where one element of a row is cheaper.
        messages: in all, whatever the number of elements, by ring; None when it grows with the row length.
    """

    element: Mapping[int, float]
    row: Mapping[int, float] = field(default_factory=dict)
    messages: Mapping[int, int] | None = None


@dataclass(frozen=True)
class Form:
    """One way to compute a function.

    Attributes:
        function: what it computes.
        name: what policies call it.
        formula: as text.
        source: who proposed it.
        valid: the range of inputs for which the error holds.
        max_error: largest absolute error in exact arithmetic over the range; None where it is another function,
            which a model must be trained for.
        cost: what it sends.
        build: writes it; takes a `Tensor`, or what the function's kind needs.
        exp: the form of exp within, unless the policy names another.
    """

    function: str
    name: str
    formula: str
    source: str
    valid: tuple[float, float]
    max_error: float | None
    cost: Cost
    build: Callable[..., Any]
    exp: str | None = None


ALL = (-math.inf, math.inf)
