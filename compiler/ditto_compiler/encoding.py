"""Tensor encodings: how a tensor is secret-shared, and what it costs to change that.

A tensor's encoding is the attribute in the last position of its type:

    tensor<128x768xf32, #ditto.fxp<64, 18>>    fixed point: x is held as round(x * 2^18) mod 2^64
    tensor<128xi32,     #ditto.int<32>>        an integer or a boolean, held mod 2^32

This module is plain data: it imports neither MLIR nor the engine, so the compiler, the runtime and
the cost model share one definition.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.errors import DittoError

RINGS: tuple[int, ...] = (32, 64, 128)
"""Ring widths in bits that the engine has."""

WIDTHS: tuple[int, ...] = (*range(2, 65), 128)
"""Ring widths in bits that there are beside the engine: shares are elements of Z_2^ring."""


class EncodingError(DittoError):
    """An encoding or a cast between two encodings that does not exist."""


def _check_ring(ring: int) -> None:
    if ring not in WIDTHS:
        raise EncodingError(f"ring width must be in [2, 64], or 128, got {ring}")


@dataclass(frozen=True, order=True)
class Fxp:
    """Fixed point: a real x is held as round(x * 2^frac) mod 2^ring, two's complement.

    Engine protocols that truncate or compare need |x| * 2^frac < 2^(ring-2).
    """

    ring: int
    """Ring width in bits."""
    frac: int
    """Fraction bits."""
    mnemonic: ClassVar[str] = "fxp"

    def __post_init__(self) -> None:
        _check_ring(self.ring)
        if not 0 <= self.frac <= self.ring - 2:
            raise EncodingError(
                f"fraction bits must be in [0, {self.ring - 2}] for ring {self.ring}, got {self.frac}"
            )

    def __str__(self) -> str:
        return f"#ditto.fxp<{self.ring}, {self.frac}>"


@dataclass(frozen=True, order=True)
class Int:
    """An integer or boolean in Z_2^ring: fixed point without fraction bits."""

    ring: int
    """Ring width in bits."""
    mnemonic: ClassVar[str] = "int"

    def __post_init__(self) -> None:
        _check_ring(self.ring)

    @property
    def frac(self) -> int:
        """Fraction bits: none."""
        return 0

    def numbers(self, *, signed: bool) -> range:
        """What integers of such a type can be."""
        return range(-1 << (self.ring - 1), 1 << (self.ring - 1)) if signed else range(1 << self.ring)

    def __str__(self) -> str:
        return f"#ditto.int<{self.ring}>"


Encoding = Fxp | Int

_FXP = re.compile(r"#ditto\.fxp<(\d+), (\d+)>")
_INT = re.compile(r"#ditto\.int<(\d+)>")


@functools.cache
def parse_encoding(text: str) -> Encoding:
    """The encoding that `text` spells.

    MLIR compares unregistered attributes as text, so only the canonical spelling is accepted:
    no blank but the one after the comma.

    Raises:
        EncodingError: unknown name, wrong spelling, or parameters out of range.
    """
    if match := _FXP.fullmatch(text):
        encoding: Encoding = Fxp(int(match[1]), int(match[2]))
    elif match := _INT.fullmatch(text):
        encoding = Int(int(match[1]))
    else:
        raise EncodingError(
            f"'{text}' is not a ditto encoding; expected '#ditto.fxp<ring, frac>' or '#ditto.int<ring>', "
            "spelled with one space after the comma"
        )
    if str(encoding) != text:
        raise EncodingError(f"'{text}' is not canonical; write '{encoding}'")
    return encoding


@dataclass(frozen=True)
class Cast:
    """A move of a secret value between two encodings, as arithmetic on shares.

    `source` and `target` are both `Fxp` or both `Int`. Costs are sums over the three parties, per
    element; the protocols and their proofs are in docs/explanation/protocols.md.

    Raises:
        EncodingError: from the constructor, when no protocol offers the pair.
    """

    source: Encoding
    target: Encoding

    def __post_init__(self) -> None:
        s, t = self.source, self.target
        if type(s) is not type(t):
            raise EncodingError(f"no cast between {s} and {t}: fixed point and integers do not mix")
        if self.op == "downcast":
            if t.frac > s.frac:
                raise EncodingError(
                    f"no downcast {s} -> {t}: it cannot add fraction bits ({s.frac} -> {t.frac}); "
                    "rescale first"
                )
            if s.ring - (s.frac - t.frac) < t.ring:
                raise EncodingError(
                    f"no downcast {s} -> {t}: dropping {s.frac - t.frac} bits leaves "
                    f"{s.ring - (s.frac - t.frac)} of {s.ring} bits, fewer than the {t.ring} of the result"
                )

    @property
    def op(self) -> str:
        """`downcast`, `upcast`, `rescale`, or `identity`."""
        if self.target.ring < self.source.ring:
            return "downcast"
        if self.target.ring > self.source.ring:
            return "upcast"
        return "identity" if self.source.frac == self.target.frac else "rescale"

    @property
    def shift_left(self) -> int:
        """Fraction bits added, a local step."""
        return max(0, self.target.frac - self.source.frac)

    @property
    def shift_right(self) -> int:
        """Fraction bits dropped: free in a downcast, interactive in an upcast or rescale."""
        return max(0, self.source.frac - self.target.frac)

    @property
    def wrap_bits(self) -> int:
        """Bits of the wrap count that the parties must compute together; 0 when the cast is local."""
        # A wrap weighs 2^(source ring - right + left), so its count matters only mod 2^(the rest).
        return max(0, self.target.ring - self.source.ring + self.shift_right - self.shift_left)

    @property
    def bytes_per_element(self) -> int:
        """Bytes sent by all parties: four words of `wrap_bits`, each packed to whole bytes."""
        return 4 * ((self.wrap_bits + 7) // 8)

    @property
    def rounds(self) -> int:
        """Rounds of messages."""
        return 2 if self.wrap_bits else 0


def plan_casts(source: Encoding, target: Encoding) -> list[Cast]:
    """The casts, at most two, that lead from one encoding to another; empty when they are equal.

    Where one downcast cannot do it, because it would add fraction bits or drop more than it may, the
    fraction is changed in the wider ring, where there is room, or after.

    Raises:
        EncodingError: fixed point and integers do not mix.
    """
    if source == target:
        return []
    if isinstance(source, Fxp) and isinstance(target, Fxp) and target.ring < source.ring:
        room = source.ring - target.ring
        if target.frac > source.frac:
            middle = Fxp(source.ring, target.frac)
            return [Cast(source, middle), Cast(middle, target)]
        if source.frac - target.frac > room:
            middle = Fxp(target.ring, source.frac - room)
            return [Cast(source, middle), Cast(middle, target)]
    return [Cast(source, target)]
