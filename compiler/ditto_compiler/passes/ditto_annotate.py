"""The pass `ditto-annotate`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from ditto_compiler.analyses.headroom import Headroom
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import FLOAT_TYPES, INT_TYPES, width
from ditto_compiler.encoding import RINGS, Encoding, EncodingError, Fxp, Int
from ditto_compiler.ir import (
    BARE_REGIONS,
    defining_op,
    element_type,
    encoding_of,
    entry_function,
    ir,
    is_tensor,
    nested_ops,
    ops_of,
    set_encoding,
    set_function_type,
)
from ditto_compiler.op_attributes import index_operands
from ditto_compiler.ops import OPS, Kind, supported_rings
from ditto_compiler.ops.base import IsSecret
from ditto_compiler.ops.integers import DIVISIONS, Division
from ditto_compiler.ops.scales import is_product
from ditto_compiler.options import NO_TEXT
from ditto_compiler.pass_base import Pass
from ditto_compiler.policy import OPERANDS, Choice, Policy, PolicyError, features_of, policy_for
from ditto_compiler.remarks import Category
from ditto_compiler.structure import is_float, sort_key
from ditto_compiler.supported import problems


@dataclass(frozen=True)
class DittoAnnotate(Pass):
    """Give every tensor a ring and a scale, by the precision policy.

    Each op's result gets the encoding that the policy chooses: from the map of front-end dtypes, then
    the rules, then attributes `ditto.ring` and `ditto.frac` on the op. Where the policy says nothing,
    ops that only move elements, and comparisons, follow their operands; and an op that cannot run in its
    dtype's ring gets the next wider encoding of the map that can run it. A loop or a branch stays whole in
    one ring, the widest that something in it asks for. Entry arguments get their dtype's encoding;
    ditto-optimize-casts later supplies them in the encodings that are used.

    Requires: calls inlined. Ensures: c1 (every tensor has an encoding) and c4 (every op is in a
    ring that runs it). Operands of an op may still be in other rings: ditto-insert-casts is next.

    Before:

        %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
          : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>

    After, with policy=ditto:

        %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
          : (tensor<2x8xf32, #ditto.fxp<64, 18>>, tensor<8x4xf32, #ditto.fxp<64, 18>>)
          -> tensor<2x4xf32, #ditto.fxp<32, 10>>

    Errors: an op that the policy puts in a ring that cannot run it (names rule, op and location);
    a result whose known range does not fit its ring, when the rule has no fallback;
    an op without a row in the table of supported ops; a policy that cannot be read.
    """

    name: ClassVar[str] = "ditto-annotate"
    policy: str = "ditto"
    """A preset (dtype, uniform32, uniform64, uniform128, ditto) or the path of a TOML file."""
    policy_object: Policy | None = field(default=None, metadata=NO_TEXT)
    """A policy made in Python, instead of `policy`."""

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = entry_function(module)
        if entry is None:
            errors.add(module.operation, "there is no entry function to annotate")
            errors.raise_if_any()
            return
        if names.has_reached(module, "cast") or names.is_explicit(module):
            errors.add(module.operation, "the module has casts already; annotate the program it came from")
            errors.raise_if_any()
        policy = policy_for(module, self.policy_object or self.policy, errors)
        for op, problem in problems(entry):
            errors.add(
                op, f"cannot be annotated; run inline-calls and ditto-check-supported first ({problem})"
            )
        errors.raise_if_any()
        is_secret = VisibilityAnalysis(module).is_secret
        # Beside the engine, ditto-assign-rings decides.
        note = self._note if policy.beside == "none" else None
        annotator = _Annotator(policy, RangeAnalysis(entry), is_secret, errors, note)
        for argument in entry.arguments:
            annotator.set_argument(argument)
        for op in ops_of(entry.entry_block):
            try:
                annotator.annotate(op)
            except (PolicyError, EncodingError) as error:
                errors.add(op, str(error))
        errors.raise_if_any()
        set_function_type(entry)
        names.set_stage(module, "annotated")

    def _note(self, op: ir.Operation, encoding: Fxp, source: str) -> None:
        fraction = f" with {encoding.frac} fraction bits" if is_float(op.results[0]) else ""
        self.note("remark", op, f"computes in ring {encoding.ring}{fraction}, by {source}", Category.RING)


LEAST_BITS = 4
"""Fraction bits that an operand supplied to a product, or a value that is only added, must at least keep."""


_READS_ALL_BITS = ("stablehlo.popcnt", "stablehlo.shift_left")
"""Modular ops of which an operand, an amount say, is read whole."""

_READS_HIGH_BITS = ("stablehlo.popcnt", "stablehlo.shift_right_logical")
"""Ops to which a negative integer has as many bits as its type."""


class _Annotator:
    def __init__(
        self,
        policy: Policy,
        ranges: RangeAnalysis,
        is_secret: IsSecret,
        errors: ErrorCollector,
        note: Callable[[ir.Operation, Fxp, str], None] | None,
    ) -> None:
        self._note = note
        self._policy = policy
        self._is_secret = is_secret
        self._headroom = Headroom(ranges, margin_bits=0)
        self._errors = errors
        self._free: set[ir.Value] = set()
        """Values that can be had in any ring: arguments, constants, and what layout ops make of them."""

    def set_argument(self, argument: ir.Value) -> None:
        set_encoding(argument, self._of_dtype(argument))
        self._free.add(argument)

    def _of_dtype(self, value: ir.Value) -> Encoding:
        """The encoding of the value's dtype, in a ring that holds it."""
        encoding = self._policy.dtypes[element_type(value)]
        return encoding if isinstance(encoding, Fxp) else Int(max(encoding.ring, self._least_ring([value])))

    def _least_ring(self, values: Iterable[ir.Value]) -> int:
        """The narrowest ring that holds the integers and booleans among the values."""
        ring = min(RINGS)
        for value in values:
            dtype = element_type(value)
            if dtype in INT_TYPES and width(dtype) > ring:
                known, half = self._headroom.ranges.of(value), 1 << (ring - 1)
                if not (known.is_bounded and -half <= known.low and known.high < half):
                    ring = width(dtype)
        return ring

    def _needed_ring(self, op: ir.Operation) -> int:
        """The narrowest ring in which integers do not lose bits that the op has to see."""
        ring = self._least_ring(op.results)
        if not OPS[op.name].modular(op) or op.name in _READS_ALL_BITS:
            ring = max(ring, self._least_ring(op.operands))
        if op.name in _READS_HIGH_BITS and self._headroom.ranges.of(op.operands[0]).low < 0:
            ring = max(ring, width(element_type(op.operands[0])))
        if op.name in DIVISIONS and not is_float(op.results[0]):
            division = Division.of(*map(self._headroom.ranges.of, op.operands))
            ring = max(ring, next(wide for wide in RINGS if wide >= division.ring_bits))
        if op.name == "stablehlo.sort" and not self._is_secret(op.results[0]):
            ring = max(ring, self._ring_of_differences(op))
        if OPS[op.name].kind is Kind.CONTROL:
            for region in op.regions:
                inner = [op for op in ops_of(region.blocks[0]) if OPS[op.name].kind is not Kind.TERMINATOR]
                ring = max(ring, self._least_ring(region.blocks[0].arguments), *map(self._needed_ring, inner))
        return ring

    def _ring_of_differences(self, op: ir.Operation) -> int:
        """The narrowest ring for a public sort: the engine orders by the signs of differences."""
        found = sort_key(op)
        assert found is not None, "ditto-check-supported lets no other sort pass"
        key = op.operands[found[0]]
        known = self._headroom.ranges.of(key)
        if is_float(key) or not known.has_numbers:
            return min(RINGS)
        span = int(known.high) - int(known.low)
        return next(ring for ring in RINGS if span < 1 << (ring - 1))

    def annotate(self, op: ir.Operation) -> None:
        kind = OPS[op.name].kind
        if kind is Kind.TERMINATOR:
            return
        if kind is Kind.CONTROL:
            self._annotate_whole(op, self._control_encoding(op))
            return
        choice = self._choice(op)
        encoding = self._resolve(op, choice)
        if encoding is None:
            return
        self._annotate_whole(op, encoding)
        if self._note is not None and kind is Kind.ARITHMETIC and self._is_secret(op.results[0]):
            wider = isinstance(choice.ring, int) and encoding.ring > choice.ring
            widened = f", wider than its {choice.ring}, which its numbers do not fit" if wider else ""
            self._note(op, encoding, choice.source + widened)
        if kind is Kind.SOURCE or (kind is Kind.LAYOUT and self._free.issuperset(op.operands)):
            self._free.update(op.results)
        has_scale = any(element_type(result) in FLOAT_TYPES for result in op.results)
        scales = [e for e in self._encodings(op.operands) if isinstance(e, Fxp)]
        if not has_scale and any(scale != encoding for scale in scales):
            # No result says in which scale the operands are read, so the op does.
            op.attributes[names.FRAC] = names.int_attribute(encoding.frac)

    def _annotate_whole(self, op: ir.Operation, encoding: Fxp) -> None:
        """Gives the op's results and all values in its regions `encoding`, or its ring's integers."""
        for result in op.results:
            _set(result, encoding)
        if op.name in BARE_REGIONS:
            return
        for region in op.regions:
            for block in region.blocks:
                for argument in block.arguments:
                    _set(argument, encoding)
            for inner in ops_of(region.blocks[0]):
                # What a form asks for does not hold within a loop or a branch.
                for name in (names.RING, names.FRAC):
                    if name in inner.attributes:
                        del inner.attributes[name]
                if OPS[inner.name].kind is not Kind.TERMINATOR:
                    self._check_ring(inner, encoding.ring, f"the '{op.name}' that holds it")
                self._annotate_whole(inner, encoding)

    def _choice(self, op: ir.Operation) -> Choice:
        """What attributes and policy say of the op, with the default for its kind filled in."""
        choice = self._policy.choose(features_of(op))
        ring = names.get_int(op, names.RING)
        frac = names.get_int(op, names.FRAC)
        if ring is not None or frac is not None:
            return Choice(
                ring or choice.ring, frac if frac is not None else choice.frac, "what the op itself asks for"
            )
        if choice.ring is None and OPS[op.name].kind in (Kind.LAYOUT, Kind.PREDICATE):
            return Choice(OPERANDS, choice.frac, choice.source)
        return choice

    def _resolve(self, op: ir.Operation, choice: Choice) -> Fxp | None:
        """The ring and scale the op works in. Integer ops have a scale too: it is just not used."""
        default = self._default(op)
        indices = index_operands(op)
        operands = self._encodings(v for v in op.operands if v not in self._free and v not in indices)
        floats = [e for e in operands if isinstance(e, Fxp)]
        frac = choice.frac
        if choice.ring == OPERANDS:
            wanted = max((e.ring for e in operands), default=None)
            if wanted is None:
                # Everything is free, so no operand has an opinion: the widest of the dtypes.
                every = self._encodings(v for v in op.operands if v not in indices)
                wanted = max((e.ring for e in every), default=default.ring)
                floats = floats or [e for e in every if isinstance(e, Fxp)]
            ring = next((r for r in supported_rings(op) if r >= wanted), None) or wanted
        elif choice.ring is not None:
            assert isinstance(choice.ring, int)
            ring = choice.ring
        else:
            ring = default.ring
            if isinstance(default, Int) and floats:
                # A float read into an integer (a conversion) is read in its own ring.
                ring = max(ring, *(e.ring for e in floats))
            elif isinstance(default, Fxp) and frac is None:
                frac = default.frac
        if not self._check_ring(op, ring, choice.source):
            return None
        needed = self._needed_ring(op)
        if ring < needed:
            if isinstance(choice.ring, int) and (choice.fallback or 0) < needed:
                self._add_too_narrow(op, ring, needed, choice.source)
                return None
            ring = needed
        if frac is None:
            frac = max((e.frac for e in floats if e.ring == ring), default=None)
        if frac is None and not any(map(is_float, (*op.operands, *op.results))):
            # Nobody reads it.
            frac = 0
        if frac is None:
            frac = (
                default.frac
                if isinstance(default, Fxp) and default.ring == ring
                else self._policy.frac_of(ring)
            )
        return self._fitting(op, Fxp(ring, frac), choice) if isinstance(default, Fxp) else Fxp(ring, frac)

    def _default(self, op: ir.Operation) -> Encoding:
        """The dtype map's encoding of an op; where it cannot run there, the map's next wider one that can."""
        default = self._of_dtype(op.results[0])
        rings = supported_rings(op)
        if default.ring in rings or OPS[op.name].kind is not Kind.ARITHMETIC:
            return default
        others = [e for e in self._policy.dtypes.values() if type(e) is type(default)]
        able = [e for e in others if e.ring in rings and e.ring > default.ring]
        return min(able, key=lambda e: e.ring, default=default)

    def _fitting(self, op: ir.Operation, encoding: Fxp, choice: Choice) -> Fxp | None:
        """`encoding`, or that of the fallback ring, if the result's known range fits it."""
        bound = self._headroom.ranges.bound(op.results[0])
        if math.isinf(bound):
            return encoding
        room = self._headroom.bits(bound, encoding.ring)
        if self._policy.rescale == "explicit":
            needed = encoding.frac + LEAST_BITS if is_product(op) else min(encoding.frac, LEAST_BITS)
        else:
            # The engine divides by multiplying.
            multiplies = is_product(op) or op.name == "stablehlo.divide"
            needed = 2 * encoding.frac if multiplies else encoding.frac
        if room >= needed:
            return encoding
        wider = choice.fallback
        if wider is not None and wider > encoding.ring and self._check_ring(op, wider, choice.source):
            return Fxp(wider, self._policy.frac_of(wider))
        self._errors.add(
            op,
            f"its result reaches {bound:.3g}, but {choice.source} puts it in ring {encoding.ring}, which "
            f"then has room for {max(room, 0)} fraction bits where {needed} are needed; give the rule fewer "
            "frac bits, a wider ring, or a fallback",
        )
        return None

    def _add_too_narrow(self, op: ir.Operation, ring: int, needed: int, source: str) -> None:
        self._errors.add(
            op,
            f"{source} puts it in ring {ring}, but its integers need ring {needed}; give it a rule with "
            f"ring = {needed}, or convert them to the dtype that fits them",
        )

    def _control_encoding(self, op: ir.Operation) -> Fxp:
        """The widest encoding that anything in the loop or branch asks for, or that enters it."""
        wanted: list[Encoding] = self._encodings(v for v in op.operands if v not in self._free)
        inside = set(nested_ops(op))
        for inner in inside:
            wanted += self._encodings(
                v for v in inner.operands if v not in self._free and _is_outside(v, inside, op)
            )
            if OPS[inner.name].kind is not Kind.ARITHMETIC:
                continue
            choice, default = self._choice(inner), self._default(inner)
            if isinstance(choice.ring, int):
                scale = self._policy.frac_of(choice.ring) if choice.frac is None else choice.frac
                wanted.append(Fxp(choice.ring, scale) if isinstance(default, Fxp) else Int(choice.ring))
            elif choice.ring is None:
                wanted.append(default)
        if not any(isinstance(encoding, Fxp) for encoding in wanted):
            wanted += [self._policy.dtypes[element_type(result)] for result in op.results]
        own = self._choice(op) if len(op.results) else None
        ring, needed = max((e.ring for e in wanted), default=min(RINGS)), self._needed_ring(op)
        if own is not None and isinstance(own.ring, int):
            ring = own.ring
            if ring < needed:
                self._add_too_narrow(op, ring, needed, own.source)
        ring = max(ring, needed)
        frac = max((e.frac for e in wanted if e.ring == ring and isinstance(e, Fxp)), default=None)
        if own is not None and own.frac is not None:
            frac = own.frac
        if frac is None:
            frac = self._policy.frac_of(ring) if any(isinstance(e, Fxp) for e in wanted) else 0
        return Fxp(ring, frac)

    def _encodings(self, values: Iterable[ir.Value]) -> list[Encoding]:
        found = [encoding_of(value) for value in values if is_tensor(value.type)]
        return [encoding for encoding in found if encoding is not None]

    def _check_ring(self, op: ir.Operation, ring: int, source: str) -> bool:
        rings = supported_rings(op)
        if ring in rings:
            return True
        self._errors.add(
            op,
            f"{source} puts it in ring {ring}, but the engine runs it only in ring "
            f"{' or '.join(map(str, rings))}; give it a rule with ring = {rings[0]}",
        )
        return False


def _set(value: ir.Value, encoding: Fxp) -> None:
    set_encoding(value, encoding if element_type(value) in FLOAT_TYPES else Int(encoding.ring))


def _is_outside(value: ir.Value, inside: set[ir.Operation], op: ir.Operation) -> bool:
    owner = defining_op(value)
    if owner is None:
        holder = value.owner.owner.operation
        return holder not in inside and holder != op
    return owner not in inside
