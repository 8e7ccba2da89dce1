"""What every emitter works with: types, pphlo values, and the place where ops are put.

pphlo is the dialect of SPU. Its ops are unregistered here, so they are built by name; the engine's own parser
checks them. Secret tensors have elements `!pphlo.secret<f32>`. The engine has one fixed-point format per
runtime, so f16, bf16 and f32 all become f32; f64 stays, for the sake of its constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from ditto_compiler.dtypes import FLOAT_TYPES
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import defining_op, element_type, encoding_of, ir, ops_of
from ditto_compiler.op_attributes import direction_of, shape_of
from ditto_compiler.ops.base import OPS, Share, Values, is_layout
from ditto_compiler.spu.literals import on_grid

_DTYPES: dict[str, DTypeLike] = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64}


@dataclass
class Emitter:
    """Emits the ops of one region.

    Attributes:
        is_secret: whether a StableHLO value is secret.
        ring: the region's ring.
        frac: the region's fraction bits.
        ip: where to emit.
        loc: location of the op being emitted.
    """

    is_secret: Callable[[ir.Value], bool]
    ring: int
    frac: int
    ip: ir.InsertionPoint
    loc: ir.Location

    def __post_init__(self) -> None:
        self.values: dict[ir.Value, ir.Value] = {}
        """pphlo value of each StableHLO value emitted so far."""
        self._arithmetic: dict[ir.Value, tuple[ir.Block, ir.Value]] = {}
        self.in_reducer = False
        """Whether a reduction's body is being emitted, which runs on whole tensors."""

    def element(self, value: ir.Value) -> str:
        """The pphlo element type, without secrecy, of a StableHLO value.

        The engine has one fixed-point format per runtime. A value in another one is an integer to it. Its
        integers are ring elements, whatever their type says, so there is one type for all but booleans.
        """
        dtype = element_type(value)
        encoding = encoding_of(value)
        if dtype in FLOAT_TYPES:
            if isinstance(encoding, Fxp) and encoding.frac != self.frac:
                return self.integer
            return "f64" if dtype == "f64" else "f32"
        return dtype if dtype == "i1" else self.integer

    @property
    def integer(self) -> str:
        """The integer type of ring elements; the engine cannot encode a 64-bit literal in ring 32."""
        return "i32" if self.ring == 32 else "i64"

    def as_integer(self, value: ir.Value) -> ir.Value:
        """A pphlo value as the integer that holds it: free."""
        return self.bitcast(value, self.integer)

    def bitcast(self, value: ir.Value, element: str) -> ir.Value:
        """The same bits as fixed point or as an integer: free."""
        old = plain_element(value)
        if old == element or (old[0] == "i") == (element[0] == "i"):
            return value
        shape = ir.RankedTensorType(value.type).shape
        return self.one("bitcast_convert", self.type(shape, element, is_secret(value)), value)

    def type(self, shape: Sequence[int], element: str, secret: bool) -> ir.Type:
        """A pphlo tensor type."""
        dims = "".join(f"{extent}x" for extent in shape)
        held = f"!pphlo.secret<{element}>" if secret else element
        return ir.Type.parse(f"tensor<{dims}{held}>", self.loc.context)

    def type_of(self, value: ir.Value, secret: bool | None = None) -> ir.Type:
        """The pphlo type of a StableHLO value."""
        tensor = ir.RankedTensorType(value.type)
        if secret is None:
            secret = self.is_secret(value)
        return self.type(tensor.shape, self.element(value), secret)

    def op(
        self,
        name: str,
        results: Sequence[ir.Type],
        operands: Sequence[ir.Value],
        regions: int = 0,
        **attributes: ir.Attribute,
    ) -> ir.Operation:
        """Emits a pphlo op."""
        return ir.Operation.create(
            f"pphlo.{name}",
            results=list(results),
            operands=list(operands),
            attributes=attributes,
            regions=regions,
            loc=self.loc,
            ip=self.ip,
        )

    def one(self, name: str, result: ir.Type, *operands: ir.Value, **attributes: ir.Attribute) -> ir.Value:
        """Emits a pphlo op with one result and gives that."""
        return self.op(name, [result], operands, **attributes).results[0]

    def constant(self, attribute: ir.Attribute) -> ir.Value:
        """A public constant, from a dense attribute."""
        return self.one("constant", ir.DenseElementsAttr(attribute).type, value=attribute)

    def splat(self, value: float, shape: Sequence[int], element: str) -> ir.Value:
        """A public constant with one value everywhere, rounded to the grid if it is fixed point."""
        is_float = element in ("f32", "f64")
        number = on_grid(value, Fxp(self.ring, self.frac), element) if is_float else int(value)
        return self.constant(self.dense([number], shape, element))

    def dense(self, numbers: Sequence[float], shape: Sequence[int], element: str) -> ir.Attribute:
        """Numbers, or one for all elements, as an attribute."""
        type_ = ir.RankedTensorType(self.type(shape, element, False))
        if len(numbers) != 1:
            return ir.DenseElementsAttr.get(np.array(numbers, _DTYPES[element]).reshape(shape))
        make = ir.FloatAttr.get if element in ("f32", "f64") else ir.IntegerAttr.get
        return ir.DenseElementsAttr.get_splat(type_, make(type_.element_type, numbers[0]))

    def secret(self, value: ir.Value) -> ir.Value:
        """`value`, converted to secret if it is public; the engine wants it so in regions' inputs."""
        text = str(value.type)
        if is_secret(value):
            return value
        head, _, element = text.removesuffix(">").rpartition("x" if "x" in text else "<")
        joint = "x" if "x" in text else "<"
        return self.one("convert", ir.Type.parse(f"{head}{joint}!pphlo.secret<{element}>>"), value)

    def operands(self, op: ir.Operation) -> Values:
        """The pphlo values of the operands of a StableHLO op."""
        return [self.values[operand] for operand in op.operands]

    def arithmetic_predicate(self, value: ir.Value) -> ir.Value:
        """A secret StableHLO boolean as an arithmetic share, converted at its first use in a block.

        The conversion takes 16/32/64 bytes (rings 32/64/128) and every product with it 12/24/48; a selection
        by a boolean share takes 32/64/128, and turning one into a number 160/368/....

        The engine holds the result of an equality in a whole word, and would convert all of its bits; `and`
        with a public true, a local step, tells it that there is one bit (50 bytes in all instead of 134).
        """
        block, converted = self._arithmetic.get(value, (None, None))
        if converted is None or block != self.ip.block:
            op = defining_op(value)
            if op is not None and is_layout(op) and len(op.operands) == 1:
                # Converted before it is cut up or repeated: once, and in one message per peer.
                inner = op.operands[0]
                boolean, self.values[inner] = self.values[inner], self.arithmetic_predicate(inner)
                (converted,) = _emit(self, op)
                self.values[inner] = boolean
            else:
                boolean = self.values[value]
                # A reducer runs on whole tensors, which its scalar constants do not match.
                if op is not None and _is_wide_boolean(op) and not self.in_reducer:
                    true = self.splat(1, shape_of(value), "i1")
                    boolean = self.one("and", boolean.type, boolean, true)
                converted = as_arithmetic(self, boolean)
            self._arithmetic[value] = self.ip.block, converted
        return converted

    def reshape(self, value: ir.Value, shape: Sequence[int], element: str, secret: bool) -> ir.Value:
        """A pphlo value in another shape."""
        if list(ir.RankedTensorType(value.type).shape) == list(shape):
            return value
        return self.one("reshape", self.type(shape, element, secret), value)

    def transpose(self, value: ir.Value, permutation: Sequence[int], element: str, secret: bool) -> ir.Value:
        """A pphlo value with its axes in another order."""
        if list(permutation) == sorted(permutation):
            return value
        old = ir.RankedTensorType(value.type).shape
        shape = [old[axis] for axis in permutation]
        return self.one("transpose", self.type(shape, element, secret), value, permutation=i64s(permutation))

    def laid_out(self, value: ir.Value) -> ir.Value:
        """A repeated or transposed pphlo value with its elements in order in memory.

        The engine keeps both as strides, and finds each element by divisions: arithmetic on a repeated tensor
        takes four times as long (140 instead of 31 ms for a product of 196,608 elements in ring 32), a
        product of batches of transposed matrices half as long again. It copies what a reshape cannot stride.
        """
        shape, element, secret = shape_of(value), plain_element(value), is_secret(value)
        if self.in_reducer or len(shape) < 2:
            return value
        return self.reshape(self.reshape(value, [math.prod(shape)], element, secret), shape, element, secret)

    def broadcast_scalar(self, value: ir.Value, like: ir.Value, element: str, secret: bool) -> ir.Value:
        """A scalar, in the shape of `like`."""
        shape = ir.RankedTensorType(like.type).shape
        if list(ir.RankedTensorType(value.type).shape) == list(shape):
            return value
        return self.one("broadcast", self.type(shape, element, secret), value, broadcast_dimensions=i64s([]))

    def block(self, source: ir.Block, region: ir.Region, secrets: Sequence[bool]) -> None:
        """Emits `source` into `region`, returning values as secret where `secrets` says."""
        types = [self.type_of(argument) for argument in source.arguments]
        target = region.blocks.append(*types, arg_locs=[self.loc] * len(types))
        self.values.update(zip(source.arguments, target.arguments, strict=True))
        outer_ip, outer_loc = self.ip, self.loc
        self.ip = ir.InsertionPoint(target)
        self.op("return", [], as_secret(self, inline_block(self, source), secrets))
        self.ip, self.loc = outer_ip, outer_loc

    def reducer(self, source: ir.Block, region: ir.Region, secrets: Sequence[bool]) -> None:
        """Emits the body of a reduction."""
        self.in_reducer = True
        self.block(source, region, secrets)
        self.in_reducer = False

    def emit(self, op: ir.Operation) -> None:
        """Emits one StableHLO op; its results are then in `values`."""
        self.loc = op.location
        results = _emit(self, op)
        self.values.update(zip(op.results, results, strict=True))


def i64(value: int) -> ir.Attribute:
    """An i64 attribute."""
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)


def i64s(values: Sequence[int]) -> ir.Attribute:
    """An array of i64."""
    return ir.DenseI64ArrayAttr.get(list(values))


def is_secret(value: ir.Value) -> bool:
    """Whether a pphlo value is secret."""
    return "!pphlo.secret<" in str(value.type)


def plain_element(value: ir.Value) -> str:
    """The element type of a pphlo value, without secrecy."""
    text = str(ir.RankedTensorType(value.type).element_type)
    return text.removeprefix("!pphlo.secret<").removesuffix(">")


def as_arithmetic(e: Emitter, value: ir.Value) -> ir.Value:
    """A pphlo value as an arithmetic share; free if it is one already."""
    return e.one("custom_call", value.type, value, call_target_name=ir.StringAttr.get("spu.prefer_a"))


def _is_wide_boolean(op: ir.Operation) -> bool:
    """Whether the engine may hold the boolean result in more than one bit."""
    if op.name == "stablehlo.compare":
        return direction_of(op) in ("EQ", "NE")
    return op.name in ("stablehlo.and", "stablehlo.or", "stablehlo.xor", "stablehlo.not")


def inline_block(e: Emitter, block: ir.Block) -> Values:
    """Emits a block without arguments in place; gives what it returns."""
    ops = ops_of(block)
    for op in ops[:-1]:
        e.emit(op)
    return [e.values[value] for value in ops[-1].operands]


def as_secret(e: Emitter, values: Values, secrets: Sequence[bool]) -> Values:
    """pphlo values, those secret for which `secrets` says so."""
    return [e.secret(value) if secret else value for value, secret in zip(values, secrets, strict=True)]


def _emit(e: Emitter, op: ir.Operation) -> Values:
    if op.name == "ditto.rescale":
        return [_more_bits(e, op)]
    emit = OPS[op.name].emit
    assert emit is not None, f"{op.name} is emitted by the op that holds it"
    return emit(e, op)


def _more_bits(e: Emitter, op: ir.Operation) -> ir.Value:
    """A rescale that adds bits; the others are between regions."""
    source, target = encoding_of(op.operands[0]), encoding_of(op.results[0])
    assert source is not None and target is not None
    shifted = shift_left(e, e.as_integer(e.values[op.operands[0]]), target.frac - source.frac)
    return e.bitcast(shifted, e.element(op.results[0]))


LITERAL_BITS = 62
"""Bits of the largest integer literals; in ring 128 there are larger numbers."""


def shift_left(e: Emitter, value: ir.Value, bits: int) -> ir.Value:
    """An integer times 2^bits: local, for the factor is public."""
    while bits:
        step = min(bits, LITERAL_BITS)
        factor = e.splat(2**step, ir.RankedTensorType(value.type).shape, e.integer)
        value = e.one("multiply", value.type, value, factor)
        bits -= step
    return value


def ring_elements(e: Emitter, numbers: Sequence[int], shape: Sequence[int]) -> ir.Value:
    """Public integers mod 2^ring, or one for all elements."""
    half = 1 << (e.ring - 1)
    signed = [(x + half) % (2 * half) - half for x in numbers]
    if all(-1 << 63 <= x < 1 << 63 for x in signed):
        return e.constant(e.dense(signed, shape, e.integer))
    # Ring 128 holds integers that no literal does.
    high, low = [x >> 62 for x in signed], [x % (1 << 62) for x in signed]
    highs = shift_left(e, e.constant(e.dense(high, shape, e.integer)), 62)
    return e.one("add", highs.type, highs, e.constant(e.dense(low, shape, e.integer)))


def aligned(e: Emitter, value: ir.Value, bits: int) -> ir.Value:
    """An integer with its low bits moved up by `bits`, in either kind of share: local."""
    if not bits:
        return value
    amount = e.splat(bits, ir.RankedTensorType(value.type).shape, e.integer)
    return e.one("shift_left", value.type, value, amount)


def bits_for_users(e: Emitter, op: ir.Operation, bits: ir.Value) -> ir.Value:
    """A result of `op` that is a boolean share, converted back once, not by each op that calculates."""
    users = {use.owner.operation.name for use in op.results[0].uses}
    reads_numbers = any(name not in OPS or not OPS[name].reads_bits for name in users)
    return as_arithmetic(e, bits) if e.is_secret(op.results[0]) and reads_numbers else bits


def region_result(e: Emitter, value: ir.Value) -> ir.Value:
    """What a region gives for a StableHLO value: an arithmetic share, which casts work on.

    Booleans may stay boolean shares: moving those between rings costs nothing.
    """
    if element_type(value) != "i1" and e.is_secret(value) and may_be_bitwise(value):
        return as_arithmetic(e, e.values[value])
    return e.values[value]


def may_be_bitwise(value: ir.Value) -> bool:
    """Whether the engine may hold `value` as a boolean share."""
    op = defining_op(value)
    if op is None:
        # Functions take arithmetic shares; what goes around in a loop may be either.
        owner: ir.Operation = value.owner.owner.operation
        return str(owner.name) != "func.func"
    entry = OPS.get(op.name)
    if entry is None:
        return False
    if entry.share is Share.MOVED:
        dtype = element_type(value)
        return any(may_be_bitwise(operand) for operand in op.operands if element_type(operand) == dtype)
    if entry.share is Share.REDUCED:
        returned = map(defining_op, ops_of(op.regions[0].blocks[0])[-1].operands)
        return any(inner is not None and OPS[inner.name].reads_bits for inner in returned)
    if entry.share is Share.PRODUCT:
        return all(map(may_be_bitwise, set(op.operands)))
    return entry.share is Share.BITWISE


def same(name: str) -> EmitRule:
    """An op that pphlo has under `name`, on the same operands."""

    def emit(e: Emitter, op: ir.Operation) -> Values:
        return [e.one(name, e.type_of(op.results[0]), *e.operands(op))]

    return emit


def on_whole_words(e: Emitter, op: ir.Operation) -> Values:
    """The same, on a first operand in full width: the engine shifts nothing else arithmetically.

    `and` leaves only the few bits that count.
    """
    first, *rest = op.operands
    operands = [region_result(e, first), *(e.values[value] for value in rest)]
    return [e.one(op.name.removeprefix("stablehlo."), e.type_of(op.results[0]), *operands)]


def forward(e: Emitter, op: ir.Operation) -> Values:
    """An op that gives its operands."""
    return e.operands(op)


EmitRule = Callable[[Emitter, ir.Operation], Values]
"""Emits an op and gives the pphlo values of its results."""
