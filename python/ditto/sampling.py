"""Choosing a token by chance, from logits that the caller alone has."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.errors import DittoError


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: with probabilities softmax(logits / temperature), of the likeliest `top_k`.

    Attributes:
        temperature: above 0; the lower, the more often the likeliest token is drawn.
        top_k: how many tokens can be drawn; None for all. Of equal logits, the lower ids count as likelier.
        seed: of the draws, for a text that can be made again; None for the operating system's randomness.

    Raises:
        DittoError: a temperature that is not above 0, or a `top_k` that is not a number of tokens.
    """

    temperature: float = 1.0
    top_k: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (0 < self.temperature < math.inf):
            raise DittoError(
                f"the temperature must be a number above 0, got {self.temperature}; for the likeliest token, "
                "do without sampling"
            )
        if self.top_k is not None and self.top_k < 1:
            raise DittoError(f"top_k must be at least 1, got {self.top_k}")

    def chooser(self) -> Callable[[NDArray[Any]], int]:
        """A function that draws a token for logits [vocab], with draws of its own."""
        source = random.SystemRandom() if self.seed is None else random.Random(self.seed)
        return lambda logits: self.chosen(logits, source.random())

    def chosen(self, logits: NDArray[Any], draw: float) -> int:
        """The token that a number in [0, 1) picks, which their probabilities fill, likeliest first."""
        numbers = np.asarray(logits, np.float64)
        order = np.argsort(-numbers, kind="stable")[: self.top_k]
        with np.errstate(over="ignore"):
            weights = np.exp((numbers[order] - numbers[order[0]]) / self.temperature)
        ends = np.cumsum(weights)
        return int(order[min(np.searchsorted(ends, draw * ends[-1], side="right"), len(order) - 1)])
