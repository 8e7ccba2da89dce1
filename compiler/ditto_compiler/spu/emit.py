"""From StableHLO to pphlo, the dialect of SPU: one emitter per row of the op table.

pphlo's ops are unregistered here, so they are built by name; the engine's own parser checks them.
Secret tensors have elements `!pphlo.secret<f32>`. The engine has one fixed-point format per runtime, so
f16, bf16 and f32 all become f32; f64 stays, for the sake of its constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import DTypeLike

from ditto_compiler.dialect.encoding import Fxp
from ditto_compiler.ir import (
    defining_op,
    element_type,
    encoding_of,
    ir,
    ops_of,
)
from ditto_compiler.matcher import constant
from ditto_compiler.op_attributes import (
    convolution_layout,
    dimension_field,
    direction_of,
    dot_dimensions,
    get_i64s,
    get_padding,
    shape_of,
)
from ditto_compiler.spu.literals import held, on_grid, tiny_factor
from ditto_compiler.spu.op_table import FLOAT_TYPES, OP_TABLE, Kind, constant_through_layout, sort_key

Values = list[ir.Value]

_DTYPES: dict[str, DTypeLike] = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64}

LITERAL_BITS = 62
"""Bits of the largest integer literals; in ring 128 there are larger numbers."""

ENGINE_INT_BITS = 30
"""Fraction bits up to which the engine's rounding toward zero is right: it computes 2^frac in 32 bits."""


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
        self._in_reducer = False

    def element(self, value: ir.Value) -> str:
        """The pphlo element type, without secrecy, of a StableHLO value.

        The engine has one fixed-point format per runtime. A value in another one is an integer to it.
        """
        dtype = element_type(value)
        encoding = encoding_of(value)
        if dtype in FLOAT_TYPES:
            if isinstance(encoding, Fxp) and encoding.frac != self.frac:
                return self.integer
            return "f64" if dtype == "f64" else "f32"
        if self.ring == 32 and dtype in ("i64", "ui64"):
            # The engine cannot encode a 64-bit literal in ring 32; what is held is the same.
            return dtype.replace("64", "32")
        return dtype

    @property
    def integer(self) -> str:
        """The integer type that holds a fixed-point value exactly."""
        return "i32" if self.ring == 32 else "i64"

    def as_integer(self, value: ir.Value) -> ir.Value:
        """A pphlo value as the integer that holds it: free."""
        return self.bitcast(value, self.integer)

    def bitcast(self, value: ir.Value, element: str) -> ir.Value:
        """The same bits as fixed point or as an integer: free."""
        old = _plain_element(value)
        if old == element or (old[0] == "i") == (element[0] == "i"):
            return value
        shape = ir.RankedTensorType(value.type).shape
        return self.one(
            "bitcast_convert", self.type(shape, element, "!pphlo.secret<" in str(value.type)), value
        )

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
        if "!pphlo.secret<" in text:
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
            if op is not None and OP_TABLE[op.name].kind is Kind.LAYOUT and len(op.operands) == 1:
                # Converted before it is cut up or repeated: once, and in one message per peer.
                inner = op.operands[0]
                boolean, self.values[inner] = self.values[inner], self.arithmetic_predicate(inner)
                (converted,) = EMITTERS[op.name](self, op)
                self.values[inner] = boolean
            else:
                boolean = self.values[value]
                # A reducer runs on whole tensors, which its scalar constants do not match.
                if op is not None and _is_wide_boolean(op) and not self._in_reducer:
                    true = self.splat(1, shape_of(value), "i1")
                    boolean = self.one("and", boolean.type, boolean, true)
                converted = _as_arithmetic(self, boolean)
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
        self.op("return", [], _as_secret(self, _inline_block(self, source), secrets))
        self.ip, self.loc = outer_ip, outer_loc

    def reducer(self, source: ir.Block, region: ir.Region, secrets: Sequence[bool]) -> None:
        """Emits the body of a reduction."""
        self._in_reducer = True
        self.block(source, region, secrets)
        self._in_reducer = False

    def emit(self, op: ir.Operation) -> None:
        """Emits one StableHLO op; its results are then in `values`."""
        self.loc = op.location
        results = EMITTERS[op.name](self, op)
        self.values.update(zip(op.results, results, strict=True))


def i64(value: int) -> ir.Attribute:
    """An i64 attribute."""
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)


def i64s(values: Sequence[int]) -> ir.Attribute:
    """An array of i64."""
    return ir.DenseI64ArrayAttr.get(list(values))


def _same(name: str) -> Callable[[Emitter, ir.Operation], Values]:
    """An op that pphlo has under `name`, on the same operands."""

    def emit(e: Emitter, op: ir.Operation) -> Values:
        return [e.one(name, e.type_of(op.results[0]), *e.operands(op))]

    return emit


def _forward(e: Emitter, op: ir.Operation) -> Values:
    return e.operands(op)


def _constant(e: Emitter, op: ir.Operation) -> Values:
    return [_emit_constant(e, op, lambda x: x)]


def _emit_constant(e: Emitter, op: ir.Operation, function: Callable[[float], float]) -> ir.Value:
    """A constant, `function` applied to floats."""
    result = op.results[0]
    encoding = encoding_of(result)
    if not isinstance(encoding, Fxp):
        return e.constant(_integers(e, op))
    element = e.element(result)
    attribute = ir.DenseFPElementsAttr(op.attributes["value"])
    splat = attribute.is_splat
    numbers = [function(float(x)) for x in ([attribute.get_splat_value().value] if splat else attribute)]
    shape = shape_of(result)
    if element != e.integer:
        return e.constant(e.dense([on_grid(x, encoding, element) for x in numbers], shape, element))
    integers = [held(x, encoding) for x in numbers]
    # Ring 128 holds integers that no literal does.
    beyond = max(0, max((abs(x).bit_length() for x in integers), default=0) - LITERAL_BITS)
    literals = [round(Fraction(x, 2**beyond)) for x in integers]
    return _shift_left(e, e.constant(e.dense(literals, shape, element)), beyond)


def _integers(e: Emitter, op: ir.Operation) -> ir.Attribute:
    """The value of a constant of integers or booleans."""
    result = op.results[0]
    attribute = ir.DenseElementsAttr(op.attributes["value"])
    dtype, element = element_type(result), e.element(result)
    target = e.type(shape_of(result), element, False)
    text = str(attribute)
    if text.startswith('dense<"') and element != dtype:
        values = np.array(ir.DenseIntElementsAttr(attribute)).astype(
            np.int32 if dtype == "i64" else np.uint32
        )
        return ir.DenseElementsAttr.get(values, type=ir.RankedTensorType(target).element_type)
    return ir.Attribute.parse(f"{text[: text.rindex(' : ')]} : {target}")


def _iota(e: Emitter, op: ir.Operation) -> Values:
    (result,) = op.results
    dimension = i64(ir.IntegerAttr(op.attributes["iota_dimension"]).value)
    numbers = e.one("iota", e.type_of(result), iota_dimension=dimension)
    encoding = encoding_of(result)
    is_integer = isinstance(encoding, Fxp) and e.element(result) == e.integer
    return [_shift_left(e, numbers, encoding.frac) if is_integer and encoding else numbers]


def _shift_left(e: Emitter, value: ir.Value, bits: int) -> ir.Value:
    """An integer times 2^bits: local, for the factor is public."""
    while bits:
        step = min(bits, LITERAL_BITS)
        factor = e.splat(2**step, ir.RankedTensorType(value.type).shape, e.integer)
        value = e.one("multiply", value.type, value, factor)
        bits -= step
    return value


def _on_whole_words(e: Emitter, op: ir.Operation) -> Values:
    # The engine shifts arithmetically only what it holds in full width: not the few bits that `and` leaves.
    first, *rest = op.operands
    operands = [region_result(e, first), *(e.values[value] for value in rest)]
    return [e.one(op.name.removeprefix("stablehlo."), e.type_of(op.results[0]), *operands)]


def _shift_right(e: Emitter, op: ir.Operation) -> Values:
    is_logical = op.name == "stablehlo.shift_right_logical"
    (shifted,) = _same("shift_right_logical")(e, op) if is_logical else _on_whole_words(e, op)
    users = {use.owner.operation.name for use in op.results[0].uses}
    # The bits are converted back once, not by each op that calculates with them.
    return [_as_arithmetic(e, shifted) if e.is_secret(op.results[0]) and users - BITWISE else shifted]


def _rescale(e: Emitter, op: ir.Operation) -> Values:
    # Only those that add bits are lowered; the others are between regions.
    source, target = encoding_of(op.operands[0]), encoding_of(op.results[0])
    assert source is not None and target is not None
    shifted = _shift_left(e, e.as_integer(e.values[op.operands[0]]), target.frac - source.frac)
    return [e.bitcast(shifted, e.element(op.results[0]))]


def _product_operands(e: Emitter, op: ir.Operation) -> tuple[Values, str]:
    """Operands of a product, and its pphlo element type: integers when it is to be exact.

    The engine truncates products of fixed-point values and leaves those of integers alone.
    """
    scales = {encoding_of(value) for value in (*op.operands, *op.results)}
    if len(scales) == 1 or not isinstance(encoding_of(op.results[0]), Fxp):
        return e.operands(op), e.element(op.results[0])
    return [e.as_integer(value) for value in e.operands(op)], e.integer


def _multiply(e: Emitter, op: ir.Operation) -> Values:
    operands, element = _product_operands(e, op)
    result = op.results[0]
    encoding = encoding_of(result)
    if len(operands) == 2 and isinstance(encoding, Fxp) and element != e.integer:
        for index in (1, 0):
            factor = tiny_factor(op.operands[index], encoding)
            if factor is not None:
                return [_times_tiny(e, op, operands[1 - index], factor)]
    left, right = operands if len(operands) == 2 else operands * 2
    product = e.one("multiply", e.type(shape_of(result), element, e.is_secret(result)), left, right)
    return [e.bitcast(product, e.element(result))]


def _times_tiny(e: Emitter, op: ir.Operation, value: ir.Value, factor: float) -> ir.Value:
    # The engine wants the literal as the operand itself, and takes its magnitude.
    type_ = e.type_of(op.results[0])
    magnitude = e.constant(e.dense([abs(factor)], shape_of(op.results[0]), e.element(op.results[0])))
    product = e.one("multiply", type_, value, magnitude)
    return product if factor > 0 else e.one("negate", type_, product)


def _logistic(e: Emitter, op: ir.Operation) -> Values:
    # 1 / (1 + exp(-x)), as the engine's own compiler expands it.
    (x,) = e.operands(op)
    type_ = e.type_of(op.results[0])
    one = e.splat(1.0, shape_of(op.results[0]), e.element(op.results[0]))
    exp = e.one("exponential", type_, e.one("negate", type_, x))
    return [e.one("reciprocal", type_, e.one("add", type_, exp, one))]


def _erf(e: Emitter, op: ir.Operation) -> Values:
    return [
        e.one(
            "custom_call",
            e.type_of(op.results[0]),
            *e.operands(op),
            call_target_name=ir.StringAttr.get("mhlo.erf"),
        )
    ]


def _erfc(e: Emitter, op: ir.Operation) -> Values:
    # erfc(x) = 1 - erf(x)
    (erf,) = _erf(e, op)
    one = e.splat(1.0, shape_of(op.results[0]), e.element(op.results[0]))
    return [e.one("subtract", e.type_of(op.results[0]), one, erf)]


def _custom_call(e: Emitter, op: ir.Operation) -> Values:
    target = ir.StringAttr(op.attributes["call_target_name"]).value
    return _erf(e, op) if target == "mhlo.erf" else e.operands(op)


def _is_finite(e: Emitter, op: ir.Operation) -> Values:
    # Fixed point has neither infinities nor NaNs.
    return [e.splat(1, shape_of(op.results[0]), "i1")]


_DIRECTIONS = {
    "EQ": "equal",
    "NE": "not_equal",
    "LT": "less",
    "LE": "less_equal",
    "GT": "greater",
    "GE": "greater_equal",
}


def _compare(e: Emitter, op: ir.Operation) -> Values:
    return [e.one(_DIRECTIONS[direction_of(op)], e.type_of(op.results[0]), *e.operands(op))]


def _select(e: Emitter, op: ir.Operation) -> Values:
    predicate, on_true, on_false = e.operands(op)
    if e.is_secret(op.operands[0]):
        predicate = e.arithmetic_predicate(op.operands[0])
    predicate = e.broadcast_scalar(predicate, op.results[0], "i1", e.is_secret(op.operands[0]))
    return [e.one("select", e.type_of(op.results[0]), predicate, on_true, on_false)]


def _clamp(e: Emitter, op: ir.Operation) -> Values:
    low, x, high = e.operands(op)
    element = e.element(op.results[0])
    low = e.broadcast_scalar(low, op.results[0], element, e.is_secret(op.operands[0]))
    high = e.broadcast_scalar(high, op.results[0], element, e.is_secret(op.operands[2]))
    return [e.one("clamp", e.type_of(op.results[0]), low, x, high)]


def _convert(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    old, new = (e.element(v) for v in (op.operands[0], op.results[0]))
    if old == "i1" and e.is_secret(op.operands[0]):
        x = e.arithmetic_predicate(op.operands[0])
    if new == "i1" and old != "i1":
        zero = e.splat(0, shape_of(op.operands[0]), old)
        return [e.one("not_equal", e.type_of(op.results[0]), x, zero)]
    if old in ("f32", "f64") and new[0] in "iu" and e.frac > ENGINE_INT_BITS:
        return [_by_magnitude(e, op, x, lambda m: e.one("convert", e.type_of(op.results[0]), m))]
    return [x if old == new else e.one("convert", e.type_of(op.results[0]), x)]


def _round_nearest_afz(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    type_ = e.type_of(op.results[0])
    if e.frac <= ENGINE_INT_BITS:
        return [e.one("round_nearest_afz", type_, x)]
    half = e.splat(0.5, shape_of(op.results[0]), e.element(op.results[0]))
    return [_by_magnitude(e, op, x, lambda m: e.one("floor", type_, e.one("add", type_, m, half)))]


def _by_magnitude(
    e: Emitter, op: ir.Operation, x: ir.Value, function: Callable[[ir.Value], ir.Value]
) -> ir.Value:
    """sign(x) * function(|x|): the engine adds 2^frac - 1, computed in 32 bits, to negative x only."""
    secret = e.is_secret(op.operands[0])
    zero = e.splat(0.0, shape_of(op.operands[0]), _plain_element(x))
    negative = e.one("less", e.type(shape_of(op.operands[0]), "i1", secret), x, zero)
    magnitude = function(e.one("abs", x.type, x))
    type_ = e.type_of(op.results[0])
    return e.one("select", type_, negative, e.one("negate", type_, magnitude), magnitude)


def _divide(e: Emitter, op: ir.Operation) -> Values:
    # Pattern: x / c -> x * (1/c)   [c a public constant]
    numerator = e.values[op.operands[0]]
    type_ = e.type_of(op.results[0])
    encoding = encoding_of(op.results[0])
    if isinstance(encoding, Fxp) and constant_through_layout(op.operands[1]) is not None:
        factor = tiny_factor(op.operands[1], encoding, reciprocal=True)
        if factor is not None:
            return [_times_tiny(e, op, numerator, factor)]
        return [e.one("multiply", type_, numerator, _reciprocal(e, op.operands[1]))]
    # Pattern: 1 / y -> reciprocal(y)
    if isinstance(encoding, Fxp) and constant(op.operands[0]) == 1.0:
        return [e.one("reciprocal", type_, e.values[op.operands[1]])]
    return [e.one("divide", type_, numerator, e.values[op.operands[1]])]


def _reciprocal(e: Emitter, value: ir.Value) -> ir.Value:
    """1/c for a constant seen through layout ops, with the same layout."""
    op = defining_op(value)
    assert op is not None
    if op.name == "stablehlo.constant":
        return _emit_constant(e, op, lambda x: 1.0 / x if x else math.inf)
    inner = _reciprocal(e, op.operands[0])
    if op.name == "stablehlo.reshape":
        return e.one("reshape", e.type_of(op.results[0]), inner)
    dimensions = i64s(get_i64s(op, "broadcast_dimensions"))
    return e.one("broadcast", e.type_of(op.results[0]), inner, broadcast_dimensions=dimensions)


def _broadcast(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    dimensions = i64s(get_i64s(op, "broadcast_dimensions"))
    return [e.one("broadcast", e.type_of(op.results[0]), x, broadcast_dimensions=dimensions)]


def _reshape(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    return [e.one("reshape", e.type_of(op.results[0]), x)]


def _transpose(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    permutation = i64s(get_i64s(op, "permutation"))
    return [e.one("transpose", e.type_of(op.results[0]), x, permutation=permutation)]


def _reverse(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    return [e.one("reverse", e.type_of(op.results[0]), x, dimensions=i64s(get_i64s(op, "dimensions")))]


def _slice(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    names = ("start_indices", "limit_indices", "strides")
    return [e.one("slice", e.type_of(op.results[0]), x, **{name: i64s(get_i64s(op, name)) for name in names})]


def _concatenate(e: Emitter, op: ir.Operation) -> Values:
    secret = e.is_secret(op.results[0])
    parts = [e.secret(part) if secret else part for part in e.operands(op)]
    dimension = ir.IntegerAttr(op.attributes["dimension"]).value
    return [e.one("concatenate", e.type_of(op.results[0]), *parts, dimension=i64(dimension))]


def _pad(e: Emitter, op: ir.Operation) -> Values:
    x, value = e.operands(op)
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    low, high, interior = (get_i64s(op, name) for name in names)
    if e.is_secret(op.results[0]):
        x, value = e.secret(x), e.secret(value)
    return [_emit_pad(e, x, value, low, high, interior, e.is_secret(op.results[0]))]


def _emit_pad(
    e: Emitter,
    x: ir.Value,
    value: ir.Value,
    low: Sequence[int],
    high: Sequence[int],
    interior: Sequence[int],
    secret: bool,
) -> ir.Value:
    """Pads; negative edges, which the engine does not take, are cut off afterwards."""
    element = _plain_element(x)
    old = shape_of(x)
    grown = [max(p, 0) for p in low], [max(p, 0) for p in high]
    inner = [n + max(n - 1, 0) * p for n, p in zip(old, interior, strict=True)]
    shape = [n + a + b for n, a, b in zip(inner, *grown, strict=True)]
    if any(grown[0]) or any(grown[1]) or any(interior):
        x = e.one(
            "pad",
            e.type(shape, element, secret),
            x,
            value,
            edge_padding_low=i64s(grown[0]),
            edge_padding_high=i64s(grown[1]),
            interior_padding=i64s(interior),
        )
    if min([*low, *high], default=0) < 0:
        starts = [max(-p, 0) for p in low]
        limits = [n - max(-p, 0) for n, p in zip(shape, high, strict=True)]
        cut = [b - a for a, b in zip(starts, limits, strict=True)]
        x = e.one(
            "slice",
            e.type(cut, element, secret),
            x,
            start_indices=i64s(starts),
            limit_indices=i64s(limits),
            strides=i64s([1] * len(cut)),
        )
    return x


def _plain_element(value: ir.Value) -> str:
    """The element type of a pphlo value, without secrecy."""
    text = str(ir.RankedTensorType(value.type).element_type)
    return text.removeprefix("!pphlo.secret<").removesuffix(">")


def _dynamic_slice(e: Emitter, op: ir.Operation) -> Values:
    sizes = i64s(get_i64s(op, "slice_sizes"))
    return [e.one("dynamic_slice", e.type_of(op.results[0]), *e.operands(op), slice_sizes=sizes)]


def _dynamic_update_slice(e: Emitter, op: ir.Operation) -> Values:
    values = e.operands(op)
    if e.is_secret(op.results[0]):
        values[:2] = [e.secret(value) for value in values[:2]]
    return [e.one("dynamic_update_slice", e.type_of(op.results[0]), *values)]


def _gather(e: Emitter, op: ir.Operation) -> Values:
    numbers = op.attributes["dimension_numbers"]
    attributes = {
        "collapsed_slice_dims": i64s(dimension_field(numbers, "collapsed_slice_dims")),
        "index_vector_dim": i64((dimension_field(numbers, "index_vector_dim") or [0])[0]),
        "offset_dims": i64s(dimension_field(numbers, "offset_dims")),
        "slice_sizes": i64s(get_i64s(op, "slice_sizes")),
        "start_index_map": i64s(dimension_field(numbers, "start_index_map")),
    }
    extra = {"pphlo.attributes": ir.DictAttr.get(attributes)}
    target = ir.StringAttr.get("spu.gather")
    return [e.one("custom_call", e.type_of(op.results[0]), *e.operands(op), call_target_name=target, **extra)]


def _dot_general(e: Emitter, op: ir.Operation) -> Values:
    """As [m, k] x [k, n], or [b, m, k] x [b, k, n] when there are batching dimensions."""
    lb, rb, lc, rc = dot_dimensions(op)
    (lhs, rhs), element = _product_operands(e, op)
    sl, sr = shape_of(op.operands[0]), shape_of(op.operands[1])
    left_secret, right_secret = (e.is_secret(v) for v in op.operands)
    lm = [d for d in range(len(sl)) if d not in (*lb, *lc)]
    rn = [d for d in range(len(sr)) if d not in (*rb, *rc)]
    b = [math.prod(sl[d] for d in lb)] if lb else []
    m, k, n = math.prod(sl[d] for d in lm), math.prod(sl[d] for d in lc), math.prod(sr[d] for d in rn)
    lhs = e.transpose(lhs, [*lb, *lm, *lc], element, left_secret)
    rhs = e.transpose(rhs, [*rb, *rc, *rn], element, right_secret)
    lhs = e.reshape(lhs, [*b, m, k], element, left_secret)
    rhs = e.reshape(rhs, [*b, k, n], element, right_secret)
    secret = e.is_secret(op.results[0])
    type_ = e.type([*b, m, n], element, secret)
    if lb:
        dims = ir.Attribute.parse(
            "#pphlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], "
            "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]>"
        )
        product = e.one("dot_general", type_, lhs, rhs, dot_dimension_numbers=dims)
    else:
        product = e.one("dot", type_, lhs, rhs)
    product = e.reshape(product, shape_of(op.results[0]), element, secret)
    return [e.bitcast(product, e.element(op.results[0]))]


def _convolution(e: Emitter, op: ir.Operation) -> Values:
    """As NHWC x HWIO -> NHWC, with padding and dilation made explicit."""
    lhs_spec, rhs_spec, out_spec = convolution_layout(op)
    rank = len(lhs_spec)
    spatial = [str(d) for d in range(rank - 2)]
    (lhs, rhs), element = _product_operands(e, op)
    left_secret, right_secret = (e.is_secret(v) for v in op.operands)
    lhs = e.transpose(lhs, [lhs_spec.index(d) for d in ("b", *spatial, "f")], element, left_secret)
    rhs = e.transpose(rhs, [rhs_spec.index(d) for d in (*spatial, "i", "o")], element, right_secret)
    ones = [1] * (rank - 2)
    low, high = get_padding(op, rank - 2)
    lhs_dilation, rhs_dilation = get_i64s(op, "lhs_dilation", ones), get_i64s(op, "rhs_dilation", ones)
    zero = e.splat(0, [], element)

    def padded(
        x: ir.Value, lo: list[int], hi: list[int], dilation: list[int], edge: tuple[int, int], secret: bool
    ) -> ir.Value:
        before, after = [0] * edge[0], [0] * edge[1]
        return _emit_pad(
            e,
            x,
            e.secret(zero) if secret else zero,
            [*before, *lo, *after],
            [*before, *hi, *after],
            [*before, *(d - 1 for d in dilation), *after],
            secret,
        )

    lhs = padded(lhs, low, high, lhs_dilation, (1, 1), left_secret)
    rhs = padded(rhs, [0] * (rank - 2), [0] * (rank - 2), rhs_dilation, (0, 2), right_secret)
    if "window_reversal" in op.attributes and any(ir.DenseBoolArrayAttr(op.attributes["window_reversal"])):
        flags = list(ir.DenseBoolArrayAttr(op.attributes["window_reversal"]))
        dims = [d for d, flag in enumerate(flags) if flag]
        rhs = e.one("reverse", rhs.type, rhs, dimensions=i64s(dims))
    out_shape = shape_of(op.results[0])
    order = [out_spec.index(d) for d in ("b", *spatial, "f")]
    names = ", ".join(spatial)
    dims_attr = ir.Attribute.parse(f"#pphlo.conv<[b, {names}, f]x[{names}, i, o]->[b, {names}, f]>")
    secret = e.is_secret(op.results[0])
    result = e.one(
        "convolution",
        e.type([out_shape[d] for d in order], element, secret),
        lhs,
        rhs,
        dimension_numbers=dims_attr,
        window_strides=i64s(get_i64s(op, "window_strides", ones)),
    )
    result = e.transpose(result, [order.index(d) for d in range(rank)], element, secret)
    return [e.bitcast(result, e.element(op.results[0]))]


def _reduce(e: Emitter, op: ir.Operation) -> Values:
    return _emit_reduction(e, op, "reduce", dimensions=i64s(get_i64s(op, "dimensions")))


def _reduce_window(e: Emitter, op: ir.Operation) -> Values:
    rank = len(shape_of(op.operands[0]))
    ones = [1] * rank
    low, high = get_padding(op, rank)
    interior = [d - 1 for d in get_i64s(op, "base_dilations", ones)]
    half = len(op.operands) // 2
    values = e.operands(op)
    secret = e.is_secret(op.results[0])
    inits = [e.secret(v) if secret else v for v in values[half:]]
    inputs = [e.secret(v) if secret else v for v in values[:half]]
    inputs = [
        _emit_pad(e, x, init, low, high, interior, secret) for x, init in zip(inputs, inits, strict=True)
    ]
    return _emit_reduction(
        e,
        op,
        "reduce_window",
        [*inputs, *inits],
        window_dimensions=i64s(get_i64s(op, "window_dimensions")),
        window_strides=i64s(get_i64s(op, "window_strides", ones)),
        window_dilations=i64s(get_i64s(op, "window_dilations", ones)),
    )


def _emit_reduction(
    e: Emitter, op: ir.Operation, name: str, operands: Values | None = None, **attributes: ir.Attribute
) -> Values:
    secret = e.is_secret(op.results[0])
    values = e.operands(op) if operands is None else operands
    if secret:
        values = [e.secret(value) for value in values]
    types = [e.type_of(result) for result in op.results]
    reduction = e.op(name, types, values, regions=1, **attributes)
    e.reducer(op.regions[0].blocks[0], reduction.regions[0], [secret] * len(op.results))
    return list(reduction.results)


def _sort(e: Emitter, op: ir.Operation) -> Values:
    key = sort_key(op)
    assert key is not None
    direction = "ASC" if key[1] == "LT" else "DES"
    types = [e.type_of(result) for result in op.results]
    secret = e.is_secret(op.results[0])
    values = [e.secret(v) if secret else v for v in e.operands(op)]
    dimension = ir.IntegerAttr(op.attributes["dimension"]).value if "dimension" in op.attributes else -1
    if dimension < 0:
        dimension += len(shape_of(op.results[0]))
    sort = e.op(
        "simple_sort",
        types,
        values,
        dimension=i64(dimension),
        num_keys=i64(1),
        sort_direction=ir.Attribute.parse(f"#pphlo<sort_direction {direction}>"),
    )
    return list(sort.results)


def _while(e: Emitter, op: ir.Operation) -> Values:
    secrets = [e.is_secret(result) for result in op.results]
    values = _as_secret(e, e.operands(op), secrets)
    loop = e.op("while", [e.type_of(result) for result in op.results], values, regions=2)
    e.block(op.regions[0].blocks[0], loop.regions[0], [False])
    e.block(op.regions[1].blocks[0], loop.regions[1], secrets)
    return list(loop.results)


def _case(e: Emitter, op: ir.Operation) -> Values:
    # Pattern: case i [b0, b1, ..., bn] -> if i == 0 b0 else if i == 1 b1 ... else bn
    # The engine has no case. An index out of range chooses the last branch, as in StableHLO.
    return _emit_choice(e, op, [region.blocks[0] for region in op.regions], 0)


def _emit_choice(e: Emitter, op: ir.Operation, blocks: Sequence[ir.Block], number: int) -> Values:
    if len(blocks) == 1:
        return _inline_block(e, blocks[0])
    index = e.values[op.operands[0]]
    secret = e.is_secret(op.operands[0])
    chosen = e.one("equal", e.type([], "i1", secret), index, e.splat(number, [], _plain_element(index)))
    return _emit_if(
        e,
        op,
        chosen,
        lambda: _inline_block(e, blocks[0]),
        lambda: _emit_choice(e, op, blocks[1:], number + 1),
    )


def _if(e: Emitter, op: ir.Operation) -> Values:
    on_true, on_false = (region.blocks[0] for region in op.regions)
    (condition,) = e.operands(op)
    return _emit_if(e, op, condition, lambda: _inline_block(e, on_true), lambda: _inline_block(e, on_false))


def _emit_if(
    e: Emitter,
    op: ir.Operation,
    condition: ir.Value,
    on_true: Callable[[], Values],
    on_false: Callable[[], Values],
) -> Values:
    """A branch on a public condition; on a secret one, both sides and a selection."""
    if e.is_secret(op.operands[0]):
        if len(op.results) > 1:
            # As an arithmetic share the condition is converted once for all selections.
            condition = _as_arithmetic(e, condition)
        sides = zip(op.results, on_true(), on_false(), strict=True)
        return [
            e.one("select", e.type_of(result), e.broadcast_scalar(condition, result, "i1", True), true, false)
            for result, true, false in sides
        ]
    secrets = [e.is_secret(result) for result in op.results]
    branch = e.op("if", [e.type_of(result) for result in op.results], [condition], regions=2)
    outer = e.ip
    for region, emit_side in zip(branch.regions, (on_true, on_false), strict=True):
        e.ip = ir.InsertionPoint(region.blocks.append())
        e.op("return", [], _as_secret(e, emit_side(), secrets))
    e.ip = outer
    return list(branch.results)


def _as_arithmetic(e: Emitter, value: ir.Value) -> ir.Value:
    """A pphlo value as an arithmetic share; free if it is one already."""
    return e.one("custom_call", value.type, value, call_target_name=ir.StringAttr.get("spu.prefer_a"))


def _is_wide_boolean(op: ir.Operation) -> bool:
    """Whether the engine may hold the boolean result in more than one bit."""
    if op.name == "stablehlo.compare":
        return direction_of(op) in ("EQ", "NE")
    return op.name in ("stablehlo.and", "stablehlo.or", "stablehlo.xor", "stablehlo.not")


BITWISE: frozenset[str] = frozenset(
    f"stablehlo.{name}"
    for name in ["and", "or", "xor", "not", "shift_left", "shift_right_arithmetic", "shift_right_logical"]
)
"""Ops that take boolean shares as they are."""

LEAVES_BOOLEAN_SHARES: frozenset[str] = frozenset(
    f"stablehlo.{name}"
    for name in [
        "and",
        "or",
        "xor",
        "not",
        "ceil",
        "floor",
        "round_nearest_afz",
        "round_nearest_even",
        "shift_left",
        "shift_right_arithmetic",
        "shift_right_logical",
        "popcnt",
        "convert",
        "while",
        "case",
        "if",
        "select",
        "sort",
    ]
)
"""Ops after which the engine may hold the result bitwise."""


def _is_layout(op: ir.Operation) -> bool:
    row = OP_TABLE.get(op.name)
    return row is not None and row.kind is Kind.LAYOUT


def region_result(e: Emitter, value: ir.Value) -> ir.Value:
    """What a region gives for a StableHLO value: an arithmetic share, which casts work on.

    Booleans may stay boolean shares: moving those between rings costs nothing.
    """
    if element_type(value) != "i1" and e.is_secret(value) and _may_be_bitwise(value):
        return _as_arithmetic(e, e.values[value])
    return e.values[value]


def _may_be_bitwise(value: ir.Value) -> bool:
    """Whether the engine may hold `value` as a boolean share."""
    while (op := defining_op(value)) is not None and _is_layout(op):
        value = op.operands[0]
    if op is None:
        return False
    # A product of single bits is a conjunction.
    return op.name in LEAVES_BOOLEAN_SHARES or (
        op.name in ("stablehlo.multiply", "chlo.square") and all(map(_may_be_bitwise, set(op.operands)))
    )


def _inline_block(e: Emitter, block: ir.Block) -> Values:
    """Emits a block without arguments in place; gives what it returns."""
    ops = ops_of(block)
    for op in ops[:-1]:
        e.emit(op)
    return [e.values[value] for value in ops[-1].operands]


def _as_secret(e: Emitter, values: Values, secrets: Sequence[bool]) -> Values:
    return [e.secret(value) if secret else value for value, secret in zip(values, secrets, strict=True)]


EMITTERS: dict[str, Callable[[Emitter, ir.Operation], Values]] = {
    **{
        f"stablehlo.{name}": _same(name)
        for name in [
            "abs",
            "add",
            "and",
            "atan2",
            "ceil",
            "cosine",
            "exponential",
            "exponential_minus_one",
            "log",
            "log_plus_one",
            "maximum",
            "minimum",
            "negate",
            "not",
            "or",
            "popcnt",
            "power",
            "remainder",
            "rsqrt",
            "shift_left",
            "sign",
            "sine",
            "sqrt",
            "subtract",
            "tanh",
            "xor",
        ]
    },
    "stablehlo.floor": _on_whole_words,
    "stablehlo.round_nearest_even": _on_whole_words,
    "stablehlo.shift_right_arithmetic": _shift_right,
    "stablehlo.shift_right_logical": _shift_right,
    "stablehlo.constant": _constant,
    "stablehlo.iota": _iota,
    "stablehlo.broadcast_in_dim": _broadcast,
    "stablehlo.concatenate": _concatenate,
    "stablehlo.pad": _pad,
    "stablehlo.reshape": _reshape,
    "stablehlo.reverse": _reverse,
    "stablehlo.slice": _slice,
    "stablehlo.transpose": _transpose,
    "stablehlo.optimization_barrier": _forward,
    "stablehlo.reduce_precision": _forward,
    "stablehlo.dynamic_slice": _dynamic_slice,
    "stablehlo.dynamic_update_slice": _dynamic_update_slice,
    "stablehlo.gather": _gather,
    "stablehlo.compare": _compare,
    "stablehlo.is_finite": _is_finite,
    "stablehlo.clamp": _clamp,
    "stablehlo.convert": _convert,
    "stablehlo.round_nearest_afz": _round_nearest_afz,
    "stablehlo.divide": _divide,
    "stablehlo.dot": _dot_general,
    "stablehlo.dot_general": _dot_general,
    "stablehlo.convolution": _convolution,
    "stablehlo.logistic": _logistic,
    "stablehlo.select": _select,
    "stablehlo.reduce": _reduce,
    "stablehlo.reduce_window": _reduce_window,
    "stablehlo.sort": _sort,
    "stablehlo.custom_call": _custom_call,
    "stablehlo.while": _while,
    "stablehlo.case": _case,
    "stablehlo.if": _if,
    "chlo.square": _multiply,
    "stablehlo.multiply": _multiply,
    "ditto.rescale": _rescale,
    "chlo.erf": _erf,
    "chlo.erfc": _erfc,
}
