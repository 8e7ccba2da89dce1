"""What one-shot functions cost, and how far off they are, for each error and number of fraction bits."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.beside.functions import MOST_FRAC, evaluator, terms_for
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.intervals import Interval
from ditto_compiler.ir import ir
from ditto_compiler.oneshot.terms import Terms, values
from ditto_compiler.private_functions import callee

Floats = NDArray[np.float64]

ERRORS = tuple(2.0**step for step in range(7, -5, -1))
"""In parts of the error that a function's form asks for."""

NEGLIGIBLE = 2.0**-11
"""The part of the noise's bound that is not worth more bits."""

NOISE = 0.6
"""The root mean square of what rounding adds, in units of the result's last place (see `oneshot.fit`)."""


class Choice(NamedTuple):
    """One way to compute a function.

    Attributes:
        error: that it is fitted with.
        frac: fraction bits of the result.
        bits: that travel for each element.
        words: of these, how many grow by one for each bit more of the result's ring.
        whole: integer bits that its argument's ring has to have.
        read: fraction bits of its argument that it reads.
        word: bits of its words, of which there are 64 at most.
        noise: mean square of what rounding adds to a result.
        variance: of what the terms are off by, over the arguments that were seen.
        bias: the mean of it.
    """

    error: float
    frac: int
    bits: int
    words: int
    whole: int
    read: int
    word: int
    noise: float
    variance: float
    bias: float

    def spread(self, gains: Gains) -> float:
        """What it adds to the noise of the outputs."""
        return self.noise * gains.rounding + self.variance * gains.each + self.bias**2 * gains.together


class Gains(NamedTuple):
    """How much of what is added to a function's result the outputs see, as sums of squares.

    Attributes:
        rounding: of what rounding adds, beyond what those who read the result count.
        each: of what is added to each element apart.
        together: of what is added to all of them alike.
    """

    rounding: float
    each: float
    together: float


def choices(
    op: ir.Operation,
    least: int,
    fracs: Sequence[int],
    enough: int,
    gains: Gains,
    budget: float,
    core: Interval,
    loose: int,
    banned: Collection[float] = (),
) -> list[Choice]:
    """Ways to compute a function that are not worse in everything than another.

    Args:
        op: a one-shot function whose range is known.
        least: integer bits of the result's ring.
        fracs: fraction bits of the result to choose from.
        enough: up to how many of these are looked at however little noise they have.
        gains: of the result.
        budget: of the noise of all outputs; what would take it all alone, or hardly any of it, is not looked
            at.
        core: arguments for which an error holds.
        loose: how many times as large it may be for others.
        banned: errors that are not to be chosen.
    """
    base = names.get_float(op, names.ERROR)
    assert base is not None
    parts = {frac: (NOISE * 2.0**-frac) ** 2 * gains.each / budget for frac in fracs}
    # With one bit more than is negligible, so that there is something to choose.
    useful = [frac for frac in fracs if parts[frac] <= 1 and (parts[frac] > NEGLIGIBLE or frac <= enough)]
    useful = useful or [max(fracs)]
    arguments = _arguments(op)
    smallest = float(np.abs(evaluator(callee(op))(arguments)).min())
    found: list[Choice] = []
    for error in (base * factor for factor in ERRORS if base * factor not in banned):
        spread = math.inf
        for frac in reversed(useful):
            terms = terms_for(op, error, MOST_FRAC, Fxp(least + frac, frac), core, loose)
            if isinstance(terms, str):
                continue
            off = _errors(op, terms, arguments)
            made = _choice(terms, error, off, smallest if terms.relative else 1.0)
            # Words are rounded as coarsely as the error allows.
            coarse = max(0.0, made.noise - (NOISE * 2.0**-frac) ** 2)
            spread = ((coarse + made.variance) * gains.each + made.bias**2 * gains.together) / budget
            if spread > 1:
                break
            found.append(made)
        if found and spread < NEGLIGIBLE:
            # Smaller errors are not worth more.
            break
    kept: list[Choice] = []
    # Of those that are alike, the one that promises least: it can be had with more arguments.
    for made in sorted(found, key=lambda made: (made.bits + 4 * made.whole, -made.error)):
        allowed = made.spread(gains) + NEGLIGIBLE * budget
        if not any(
            other.spread(gains) <= allowed and other.whole <= made.whole and other.frac >= made.frac
            for other in kept
        ):
            kept.append(made)
    return kept


def _choice(terms: Terms, error: float, off: Floats, smallest: float) -> Choice:
    rounding = max(NOISE * 2.0**-terms.result_frac, error * smallest / 8)
    words = 2 * len(terms.terms) + 2
    bits = sum(2 * terms.word_bits(term) for term in terms.terms) + 2 * terms.result_ring
    return Choice(
        error,
        terms.result_frac,
        bits,
        words,
        terms.ring - terms.frac,
        terms.frac,
        terms.word_ring,
        rounding**2,
        float(off.var()),
        float(off.mean()),
    )


def _errors(op: ir.Operation, terms: Terms, arguments: Floats) -> Floats:
    """What terms are off by at some arguments."""
    raw = np.rint(np.ldexp(arguments, terms.frac)).astype(np.int64)
    raw = np.clip(raw, terms.low, terms.high)
    exact = evaluator(callee(op))(np.ldexp(raw.astype(np.float64), -terms.frac))
    return np.asarray(values(terms, raw) - exact)


def _arguments(op: ir.Operation) -> Floats:
    """Those that were seen, or some all over the range."""
    low, high = names.get_float(op, names.LOW), names.get_float(op, names.HIGH)
    assert low is not None and high is not None
    seen = names.get_attribute(op, names.SAMPLES)
    if seen is None:
        return np.linspace(low, high, 257)
    return np.clip(np.array(list(ir.DenseF64ArrayAttr(seen)), np.float64), low, high)


def least_fraction(bound: float, significant: int) -> int:
    """Fraction bits with which a number that reaches `bound` has so many significant ones."""
    return max(0, significant - (math.ceil(math.log2(bound)) if bound > 0 else 0))
