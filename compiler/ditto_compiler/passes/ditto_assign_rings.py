"""The pass `ditto-assign-rings`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from ditto_compiler.errors import DittoError
from ditto_compiler.ir import (
    drop_unused_functions,
    ir,
    set_function_type,
)
from ditto_compiler.ops import is_layout, is_source
from ditto_compiler.pass_base import Pass
from ditto_compiler.remarks import Category
from ditto_compiler.rings.deciding import Decider
from ditto_compiler.rings.numbers import Limits, Numbers, ops_with_results, prepare
from ditto_compiler.rings.writing import Writer

MOST_BITS = 30
"""What options in bits may be at most."""


@dataclass(frozen=True)
class DittoAssignRings(Pass):
    """Move what can run on shares beside the engine, and give its numbers the narrowest rings they fit.

    Beside the engine ([protocols](../explanation/protocols.md)) a ring may have any width up to 64 bits, a
    product truncates for nothing, and widening costs by the bit. So each number gets as many fraction bits
    as make `significant_bits` of its magnitude, or `fraction_bits` if that is more, and a ring of just the
    bits that its magnitude needs, with `margin_bits` to spare; where nothing is known of its magnitude,
    what the policy gives it in the engine. Ops that run there get the attribute `ditto.beside`.

    - a product of numbers with a and b fraction bits in ring k has a result with f in ring k - (a + b - f):
      the dropped bits and their place in the ring go together
    - a number is widened (`ditto.upcast`) once, to what its most demanding use needs, where that costs
      fewest bits: after a sum rather than before, before a broadcast rather than after
    - operands of large matrix products give up fraction bits, down to `least_bits` significant ones, to stay
      in words of 32 bits
    - a function (`ditto.oneshot`) is fitted here, for the rings that its argument and result have
    - what is returned is shifted left into a ring of 32 or 64 bits, which is free; in place of an argument
      (`tf.aliasing_output`: JAX's donated ones) it is as that

    Every other op stays in the engine, in the ring and at the scale that it has; casts lead there and back.

    Requires: casts inserted, reductions and comparisons expanded. Ensures: c2, c6.

    Before:

        %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] {ditto.range = array<f64: -5.0, 5.0>}
          : (tensor<2x8xf32, #ditto.fxp<64, 18>>, tensor<8x4xf32, #ditto.fxp<64, 18>>)
          -> tensor<2x4xf32, #ditto.fxp<64, 18>>

    After:

        %0 = stablehlo.dot_general %1, %2, contracting_dims = [1] x [0] {ditto.beside, ...}
          : (tensor<2x8xf32, #ditto.fxp<32, 13>>, tensor<8x4xf32, #ditto.fxp<32, 13>>)
          -> tensor<2x4xf32, #ditto.fxp<19, 13>>

    Errors: numbers that do not fit 64 bits at any useful scale; a function that cannot be fitted (both name
    the op and what to do); a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-assign-rings"
    significant_bits: int = Limits.significant_bits
    """Bits of each number, from that of its largest magnitude on, that are worth keeping."""
    fraction_bits: int = Limits.fraction_bits
    """Fraction bits that measured numbers keep, however large, where the policy gives as many."""
    margin_bits: int = Limits.margin_bits
    """Bits kept free above the known magnitude of every number."""
    least_bits: int = Limits.least_bits
    """Significant bits that an operand of a large product keeps at least."""
    large: int = Limits.large
    """Multiplications from which on a matrix product is large."""
    round_bits: int = Limits.round_bits
    """How many bits are sent rather than wait for another round."""

    def __post_init__(self) -> None:
        for name in ("significant_bits", "fraction_bits", "least_bits"):
            if not 1 <= getattr(self, name) <= MOST_BITS:
                raise DittoError(f"{name} must be from 1 to {MOST_BITS}, got {getattr(self, name)}")
        if not 0 <= self.margin_bits <= MOST_BITS:
            raise DittoError(f"margin_bits must be from 0 to {MOST_BITS}, got {self.margin_bits}")
        for name in ("large", "round_bits"):
            if getattr(self, name) < 0:
                raise DittoError(f"{name} must be at least 0, got {getattr(self, name)}")

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-insert-casts")
        prepare(entry)
        limits = Limits(**{one.name: getattr(self, one.name) for one in fields(Limits)})
        known = Numbers(module, entry, limits)
        decided = Decider(known, errors)
        decided.run()
        errors.raise_if_any()
        for op in ops_with_results(entry):
            self._note(op, known)
        Writer(known, decided.scales, decided.terms).run()
        set_function_type(entry)
        drop_unused_functions(module)

    def _note(self, op: ir.Operation, known: Numbers) -> None:
        """What was decided of an op that does more than move values."""
        if is_source(op) or is_layout(op) or not known.is_secret(op.results[0]):
            return
        home, number = known.home(op), known.of.get(op.results[0])
        if known.effect(op) is None:
            where = "" if home is None else f", in ring {home.ring} with {home.frac} fraction bits"
            text = f"runs in the engine{where}: the parties have no protocol of their own for it"
            self.note("remark", op, text, Category.RING)
            return
        text = "runs beside the engine"
        if number is not None:
            how = "as is known" if number.is_known else "which is assumed, for nothing is known of it"
            text += f", in ring {number.made + number.frac} with {number.frac} fraction bits"
            text += f": its magnitude is at most {number.bound:.4g}, {how}"
        self.note("remark", op, text, Category.BESIDE)
