"""Values that leave the range in which the protocols are right, and arguments that leave a domain."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ditto_compiler.diagnostics import SourceLocation
from ditto_compiler.encoding import Encoding, Int


@dataclass(frozen=True)
class Overflow:
    """A value that is made, widened or compared where its ring is too small for it.

    In the engine, and where a ring is widened, |x| * 2^frac < 2^(ring-2); beside it, 2^(ring-1).

    Attributes:
        op: its name, or `input 3`.
        location: where the user wrote it.
        value: the result's element of largest magnitude, as a real number; NaN when it is none.
        encoding: what the value is held in.
        truncated: fraction bits that the value has more than its encoding has while the op computes it:
            the engine truncates a product after it has multiplied.
        elements: how many elements of the result are out of range.
        dtype: of integers, the type that does not hold them; empty where it is the encoding that does not.
        spare: bits of the ring that magnitudes must leave free: the sign's, and in the engine one more.
    """

    op: str
    location: SourceLocation
    value: float
    encoding: Encoding
    truncated: int
    elements: int
    dtype: str = ""
    spare: int = 2

    @property
    def scope(self) -> str:
        """JAX's name stack around the op."""
        return self.location.scope

    @property
    def max_frac(self) -> int | None:
        """The most fraction bits of the result's encoding that would have fitted; None when none would.

        A product that the engine truncates has twice its encoding's.
        """
        if not math.isfinite(self.value) or isinstance(self.encoding, Int):
            return None
        # |x| < 2^exponent, so |x| * 2^frac < 2^(ring-spare) if and only if exponent + frac <= ring - spare.
        room = self.encoding.ring - self.spare - math.frexp(self.value)[1]
        frac = room // 2 if self.truncated else room
        return frac if frac >= 0 else None

    def __str__(self) -> str:
        bits = self.encoding.frac + self.truncated
        limit = 2.0 ** (self.encoding.ring - self.spare - bits)
        where = self.op if self.location == SourceLocation() else f"{self.location}: {self.op}"
        if math.isnan(self.value):
            return f"{where}: a value is not a number (0/0, or the logarithm or root of a negative number)"
        count = f" ({self.elements} elements do not fit)" if self.elements > 1 else ""
        if self.dtype:
            found = f"value {self.value:.6g} does not fit {self.dtype}"
            return f"{where}: {found}, and may become any integer{count}"
        moment = f" with {bits} fraction bits before it is truncated" if self.truncated else ""
        remedy = (
            f"at most {self.max_frac} fraction bits fit"
            if self.max_frac is not None
            else "no fraction fits, use a wider ring"
        )
        return (
            f"{where}: value {self.value:.6g} does not fit {self.encoding}{moment}, "
            f"whose magnitudes stay below {limit:.6g}; {remedy}{count}"
        )


@dataclass(frozen=True)
class OutOfDomain:
    """A function that is given arguments for which it is wrong, or a value that its form does not hold for.

    Attributes:
        op: the name of the op.
        location: where the user wrote it.
        value: the argument that is furthest outside, or the value.
        domain: for what it is right.
        outside: what the engine gives elsewhere; may be empty.
        elements: how many elements are outside.
    """

    op: str
    location: SourceLocation
    value: float
    domain: str
    outside: str
    elements: int

    @property
    def scope(self) -> str:
        """JAX's name stack around the op."""
        return self.location.scope

    def __str__(self) -> str:
        where = self.op if self.location == SourceLocation() else f"{self.location}: {self.op}"
        outside = f"; elsewhere it gives {self.outside}" if self.outside else ""
        count = f" ({self.elements} elements are outside)" if self.elements > 1 else ""
        return (
            f"{where}: {self.value:.6g} is out of its domain: it is right for {self.domain}{outside}{count}"
        )


Finding = Overflow | OutOfDomain
