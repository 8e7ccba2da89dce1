"""The verifier of the ditto dialect: what MLIR would generate for a registered one, and the invariants.

The rules, by number; `docs/reference/attributes.md` is their normative text and lit tests name them.

- d1: every `ditto.*` attribute and op is known, stands where it may, and holds a value it may.
- d2: every tensor encoding is a canonical `#ditto.fxp<..>` or `#ditto.int<..>` that fits the
  element type: fixed point for floats, int for integers and booleans.
- d3: a cast op keeps shape and element type, and a protocol offers its pair of encodings.
- d4: a `ditto.less` has one fixed-point operand, and for each of its thresholds a boolean of the same shape
  and ring.
- d5: a `ditto.wrap` and a `ditto.quotient` have integers of one type, and their numbers fit it.
- d6: a `ditto.oneshot` has floats of one shape and type, its functions take and give tensors like these, and
  its numbers make sense.
- c1: once annotated, every op is one that the compiler knows, and every value a tensor of static shape with
  an encoding, but for those in the comparator of a sort.
- c2: once casts are in, all operands and results of any other op are in one ring, and all its
  fixed-point operands and results have one number of fraction bits; likewise the arguments of its
  regions and what they return.
- c3: once rescaling is explicit, a product has exactly the sum of its operands' fraction bits, but for
  products in loops and branches, which the engine truncates itself.
- c4: once annotated, an op sits only in a ring in which the engine can run it.
- c5: once outlined, the entry function holds only calls, casts, comparisons, ops beside the engine and the
  return, and every other function says its ring and fraction bits.
- c6: an op beside the engine is an instruction that its executor can run, in rings of at most 64 bits; c2 to
  c4 do not hold for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ditto_compiler.beside.placement import effect_of
from ditto_compiler.beside.translate import translated
from ditto_compiler.diagnostics import ErrorCollector, from_mlir
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import FLOAT_TYPES, width
from ditto_compiler.encoding import RINGS, Cast, EncodingError, Fxp, Int
from ditto_compiler.errors import DittoError
from ditto_compiler.executor.instruction import WIDEST, check
from ditto_compiler.ir import (
    BARE_REGIONS,
    Encoding,
    attributes_of,
    entry_function,
    func,
    functions,
    ir,
    is_private,
    is_tensor,
    nested_ops,
    type_encoding,
)
from ditto_compiler.ops import OPS, Kind, supported_rings
from ditto_compiler.ops.scales import is_product
from ditto_compiler.options import did_you_mean
from ditto_compiler.owners import LABEL, is_label
from ditto_compiler.structure import reducer
from ditto_compiler.supported import function_problems, op_problem, type_problem

ANNOTATED, CAST, OUTLINED = (names.STAGES.index(stage) + 1 for stage in ("annotated", "cast", "outlined"))

ON_ARGUMENTS: tuple[str, ...] = (names.VISIBILITY, names.OWNER, names.INPUT)


def verify_module(module: ir.Module) -> None:
    """Checks MLIR's own rules, then the dialect's.

    Raises:
        CompileError: every violation, with op, location, what was found and what would be right.
    """
    try:
        module.operation.verify()
    except ir.MLIRError as error:
        raise from_mlir(error) from None
    errors = ErrorCollector("verify")
    entry = entry_function(module)
    for op in (module.operation, *nested_ops(module.operation)):
        _verify_names(op, errors, is_entry=entry is not None and op == entry.operation)
    errors.raise_if_any()
    stage = names.stage_of(module)
    callees = {function.name.value: function for function in functions(module)}
    called: set[str] = set()
    for op in nested_ops(module.operation):
        if op.name == names.ONESHOT and names.TERMS not in op.attributes:
            called |= _verify_oneshot(op, callees, errors)
    errors.raise_if_any()
    types = _Types()
    for function in functions(module):
        if function.is_external or stage == len(names.STAGES):
            continue
        outlined = stage >= OUTLINED and function.name.value not in called
        annotated = outlined or (entry is not None and function == entry)
        _verify_function(
            function, stage if annotated else 0, types, errors, explicit=names.is_explicit(module)
        )
    if stage >= OUTLINED and entry is not None:
        for region in functions(module):
            says = all(name in region.attributes for name in (names.RING, names.FRAC))
            if region != entry and not says and region.name.value not in called:
                errors.add(region.operation, "c5: a region must have 'ditto.ring' and 'ditto.frac'")
        for op in nested_ops(entry.operation):
            outside = (*names.CASTS, names.LESS, names.CALL, "func.call", "func.return")
            if op.name not in outside and not _is_beside(op):
                errors.add(
                    op,
                    "c5: the entry function of an outlined module holds only calls, casts, comparisons, ops "
                    "beside the engine and a return; move it into a function with attribute 'ditto.ring'",
                )
    errors.raise_if_any()


class _Types:
    """What there is to say of types, found out once for each: a program has many values and few types."""

    def __init__(self) -> None:
        self._problems: dict[tuple[ir.Type, bool], str | None] = {}
        self._encodings: dict[ir.Type, Encoding | None] = {}

    def problem(self, type_: ir.Type, *, annotated: bool) -> str | None:
        """Which rule the type itself breaks, or None."""
        key = (type_, annotated)
        if key not in self._problems:
            self._problems[key] = _type_problem(type_, annotated=annotated)
        return self._problems[key]

    def encodings(self, values: Iterable[ir.Value]) -> list[Encoding]:
        """The encodings of the values that have one."""
        found = []
        for value in values:
            type_ = value.type
            if type_ not in self._encodings:
                self._encodings[type_] = type_encoding(type_)
            encoding = self._encodings[type_]
            if encoding is not None:
                found.append(encoding)
        return found


def _verify_function(
    function: func.FuncOp, stage: int, types: _Types, errors: ErrorCollector, *, explicit: bool
) -> None:
    """Checks types, then ops, as far as the function has come."""
    ops = nested_ops(function.operation, skip=BARE_REGIONS)
    found = len(errors.diagnostics)
    for op, value, which, index in _values(function, ops):
        problem = types.problem(value.type, annotated=stage >= ANNOTATED)
        if problem is not None:
            errors.add(op, f"{problem} ({which} {index} has type '{value.type}')")
    if len(errors.diagnostics) == found and stage >= ANNOTATED:
        for op, problem in (*function_problems(function), *_unknown(function, stage)):
            errors.add(op, f"c1: {problem}")
    if len(errors.diagnostics) > found:
        return
    for op in ops:
        if op.name in names.INTEGER_OPS:
            _verify_integer_op(op, errors)
        if _is_beside(op):
            _verify_beside(op, errors)
        elif op.name in names.CASTS:
            _verify_cast(op, errors)
        elif op.name == names.LESS:
            _verify_less(op, errors)
        elif stage >= ANNOTATED and op.name in OPS and op.name != "func.return":
            top_level = op.parent is not None and op.parent.name == "func.func"
            if explicit and top_level and is_product(op):
                _verify_product(op, types, errors)
            else:
                _verify_ring(op, types, errors, cast=stage >= CAST)


def _unknown(function: func.FuncOp, stage: int) -> Iterator[tuple[ir.Operation, str]]:
    """Ops that have no place in an annotated function, and why."""
    ours = (*names.CASTS, names.LESS, *names.INTEGER_OPS)
    for op in nested_ops(function.operation):
        is_call = stage >= OUTLINED and op.name == "func.call"
        problem = None if op.name in ours or is_call else op_problem(op)
        if problem is not None:
            yield op, problem


def _verify_names(op: ir.Operation, errors: ErrorCollector, *, is_entry: bool) -> None:
    known = (*names.CASTS, names.LESS, *names.INTEGER_OPS, names.ONESHOT, names.CALL)
    if op.name.startswith("ditto.") and op.name not in known:
        errors.add(op, f"d1: unknown op of the ditto dialect{did_you_mean(op.name, known)}")
    if not len(op.attributes):
        return
    if op.name == "stablehlo.constant" and "complex<" in str(op.results[0].type):
        # Some bindings end the process when they are asked for its value.
        errors.add(op, str(type_problem(op.results[0].type)))
        return
    try:
        attributes = attributes_of(op)
        signature = [
            (which, index, entry.name, entries[entry.name])
            for which, key in (("argument", "arg_attrs"), ("result", "res_attrs"))
            for index, entries in enumerate(attributes.get(key, ()) if op.name == "func.func" else ())
            for entry in entries
        ]
    except (RuntimeError, TypeError):  # the bindings have no class for an array of complex numbers
        unreadable = "it has an attribute of complex numbers, which cannot be read; remove it"
        problems = (problem for result in op.results if (problem := type_problem(result.type)))
        errors.add(op, next(problems, unreadable))
        return
    for name, value in attributes.items():
        if name.startswith("ditto."):
            _add_if(errors, op, f"attribute '{name}'", _attribute_problem(op, name, value))
    for which, index, name, value in signature:
        if name.startswith("ditto."):
            problem = _signature_problem(which, name, value, is_entry=is_entry)
            _add_if(errors, op, f"attribute '{name}' of {which} {index}", problem)


def _add_if(
    errors: ErrorCollector, op: ir.Operation, what: str, problem: str | None, *, rule: str = "d1"
) -> None:
    if problem is not None:
        errors.add(op, f"{rule}: {what} {problem}")


def _attribute_problem(op: ir.Operation, name: str, value: ir.Attribute) -> str | None:
    if name not in names.NAMES:
        return f"is unknown{did_you_mean(name, names.NAMES)}"
    if name == names.STAGE:
        if op.name != "builtin.module":
            return "may stand only on the module"
        return _string_problem(value, names.STAGES)
    if name == names.VERSION:
        return "may stand only on the module" if op.name != "builtin.module" else _version_problem(value)
    if name in ON_ARGUMENTS:
        return "may stand only on function arguments"
    if name == names.EXPLICIT:
        return None if op.name == "builtin.module" else "may stand only on the module"
    if name == names.BESIDE:
        return None if isinstance(value, ir.UnitAttr) else f"must be a unit attribute, got {value}"
    if name == names.LOW_BITS:
        return None if op.name == "stablehlo.compare" else "may stand only on a comparison"
    if name in (names.INFINITY, names.REACH, names.LEAST):
        return None if _is_magnitude(value) else f"must be a non-negative f64, got {value}"
    if name == names.GUARDS:
        return _guards_problem(op, value)
    if name == names.SLACK:
        is_maximum = op.name == "stablehlo.reduce" and reducer(op) == "maximum"
        if not is_maximum and op.name not in ("stablehlo.compare", names.LESS):
            return "may stand only on a reduction by maximum, or on a comparison"
        return None if _is_magnitude(value) else f"must be a non-negative f64, got {value}"
    if name == names.MAX_ABS:
        return _magnitudes_problem(value, len(op.results))
    if name == names.RANGE:
        return _range_problem(value)
    if name == names.KNOWN_RANGE:
        return _texts_problem(value, len(op.results))
    if name in (names.GAIN, names.SAMPLES):
        return _numbers_problem(op, name, value)
    if name == names.FACTORS:
        return _factors_problem(op, value)
    if name in (names.FRACTION, names.SPARE):
        return _integer_problem(value, range(WIDEST - 1))
    return _integer_problem(value, RINGS if name == names.RING else range(max(RINGS) - 1))


def _signature_problem(which: str, name: str, value: ir.Attribute, *, is_entry: bool) -> str | None:
    if name not in names.NAMES:
        return f"is unknown{did_you_mean(name, names.NAMES)}"
    if which == "argument" and name == names.MAX_ABS:
        return _magnitudes_problem(value, 1)
    if which == "argument" and name == names.RANGE:
        return _range_problem(value)
    if which == "argument" and name == names.KNOWN_RANGE:
        return _texts_problem(value, 1)
    if which == "result" or name not in ON_ARGUMENTS:
        return f"may not stand on a function's {which}s"
    if name == names.VISIBILITY:
        return _string_problem(value, names.VISIBILITIES)
    if name == names.OWNER:
        return _owner_problem(value, is_entry=is_entry)
    return _integer_problem(value, range(2**31))


def _owner_problem(value: ir.Attribute, *, is_entry: bool) -> str | None:
    if not is_entry:
        return "may stand only on arguments of the entry function, which the caller gives"
    if isinstance(value, ir.StringAttr) and is_label(value.value):
        return None
    return f"must be a string of {LABEL}, got {value}"


def _magnitudes_problem(value: ir.Attribute, count: int) -> str | None:
    entries = list(value) if isinstance(value, ir.ArrayAttr) else [value]
    if len(entries) == count and all(_is_magnitude(entry) for entry in entries):
        return None
    return f"must be a non-negative f64, or an array of {count} for as many results, got {value}"


def _range_problem(value: ir.Attribute) -> str | None:
    ends = list(value) if isinstance(value, ir.DenseF64ArrayAttr) else []
    if len(ends) == 2 and -math.inf < ends[0] <= ends[1] < math.inf:
        return None
    return f"must be an array of two f64, the least and the largest number, got {value}"


def _numbers_problem(op: ir.Operation, name: str, value: ir.Attribute) -> str | None:
    numbers = list(value) if isinstance(value, ir.DenseF64ArrayAttr) else []
    if name == names.SAMPLES and op.name != names.ONESHOT:
        return "may stand only on a one-shot function"
    least = 0.0 if name == names.GAIN else -math.inf
    if numbers and all(math.isfinite(number) and number >= least for number in numbers):
        return None
    kind = "non-negative f64" if name == names.GAIN else "f64"
    return f"must be an array of one or more finite {kind}, got {value}"


def _factors_problem(op: ir.Operation, value: ir.Attribute) -> str | None:
    if op.name not in OPS or not is_product(op):
        return "may stand only on a product"
    bits = list(value) if isinstance(value, ir.DenseI64ArrayAttr) else []
    if len(bits) == 2 and all(0 <= each <= WIDEST - 2 for each in bits):
        return None
    return f"must be an array of two i64 from 0 to {WIDEST - 2}, one for each factor, got {value}"


def _texts_problem(value: ir.Attribute, count: int) -> str | None:
    entries = list(value) if isinstance(value, ir.ArrayAttr) else [value]
    if len(entries) == count and all(isinstance(entry, ir.StringAttr) for entry in entries):
        return None
    return f"must be a string, or an array of {count} for as many results, got {value}"


def _version_problem(value: ir.Attribute) -> str | None:
    if not isinstance(value, ir.IntegerAttr) or str(value.type) != "i32" or value.value < 1:
        return f"must be an i32 from 1 on, got {value}"
    if value.value > names.DIALECT_VERSION:
        return (
            f"says {value.value}, so a newer ditto wrote this program; this one reads versions up to "
            f"{names.DIALECT_VERSION}: update it"
        )
    return None


def _guards_problem(op: ir.Operation, value: ir.Attribute) -> str | None:
    if op.name != "func.func":
        return "may stand only on a function"
    if isinstance(value, ir.ArrayAttr) and all(isinstance(entry, ir.StringAttr) for entry in value):
        return None
    return f"must be an array of strings, got {value}"


def _is_magnitude(value: ir.Attribute) -> bool:
    return isinstance(value, ir.FloatAttr) and str(value.type) == "f64" and value.value >= 0


def _string_problem(value: ir.Attribute, allowed: tuple[str, ...]) -> str | None:
    if isinstance(value, ir.StringAttr) and value.value in allowed:
        return None
    expected = ", ".join(f'"{word}"' for word in allowed)
    return f"must be one of {expected}, got {value}"


def _integer_problem(value: ir.Attribute, allowed: Sequence[int]) -> str | None:
    if isinstance(value, ir.IntegerAttr) and str(value.type) == "i32" and value.value in allowed:
        return None
    if isinstance(allowed, range):
        return f"must be an i32 in [{allowed[0]}, {allowed[-1]}], got {value}"
    return f"must be one of {', '.join(map(str, allowed))} as an i32, got {value}"


def _values(
    function: func.FuncOp, ops: list[ir.Operation]
) -> Iterator[tuple[ir.Operation, ir.Value, str, int]]:
    """Each value with the op to blame for it, what it is of that op, and its number there."""
    for index, argument in enumerate(function.arguments):
        yield function.operation, argument, "argument", index
    for op in ops:
        for index, result in enumerate(op.results):
            yield op, result, "result", index
        for region in () if op.name in BARE_REGIONS else op.regions:
            for block in region.blocks:
                for index, argument in enumerate(block.arguments):
                    yield op, argument, "region argument", index


def _type_problem(type_: ir.Type, *, annotated: bool) -> str | None:
    problem = type_problem(type_) if annotated else None
    if problem is not None:
        return f"c1: {problem}"
    try:
        encoding = type_encoding(type_)
    except EncodingError as error:
        return f"d2: {error}"
    if encoding is None:
        return (
            "c1: a tensor of an annotated program must have an encoding; run ditto-annotate"
            if annotated
            else None
        )
    element = str(ir.RankedTensorType(type_).element_type)
    if element in FLOAT_TYPES and isinstance(encoding, Int):
        return f"d2: a float tensor is held in fixed point, so '{encoding}' should be '#ditto.fxp<..>'"
    if element not in FLOAT_TYPES and isinstance(encoding, Fxp):
        return (
            f"d2: an integer or boolean tensor has no fraction bits, so '{encoding}' "
            "should be '#ditto.int<..>'"
        )
    return None


def _verify_cast(op: ir.Operation, errors: ErrorCollector) -> None:
    if len(op.operands) != 1 or len(op.results) != 1:
        errors.add(
            op, f"d3: a cast has one operand and one result, got {len(op.operands)} and {len(op.results)}"
        )
        return
    source, target = op.operands[0].type, op.results[0].type
    if not (is_tensor(source) and is_tensor(target)) or not same_tensor(source, target):
        errors.add(op, f"d3: a cast keeps shape and element type, got '{source}' -> '{target}'")
        return
    old, new = type_encoding(source), type_encoding(target)
    if old is None or new is None:
        errors.add(op, f"d3: both sides of a cast need an encoding, got '{source}' -> '{target}'")
        return
    try:
        cast = Cast(old, new)
    except EncodingError as error:
        errors.add(op, f"d3: {error}")
        return
    if f"ditto.{cast.op}" != op.name:
        errors.add(op, f"d3: {old} -> {new} is 'ditto.{cast.op}'")


def _is_beside(op: ir.Operation) -> bool:
    """Whether `op`, or the op that holds it, runs beside the engine."""
    while op.parent is not None and op.parent.name not in ("func.func", "builtin.module"):
        op = op.parent
    return names.BESIDE in op.attributes


def _verify_beside(op: ir.Operation, errors: ErrorCollector) -> None:
    if names.BESIDE not in op.attributes:
        return
    if effect_of(op) is None:
        errors.add(op, "c6: the executor on shares has no such op; it is the engine's")
        return
    try:
        check(*translated(op))
    except DittoError as error:
        errors.add(op, f"c6: {error}")


def _verify_less(op: ir.Operation, errors: ErrorCollector) -> None:
    if len(op.operands) != 1 or not isinstance(type_encoding(op.operands[0].type), Fxp):
        found = ", ".join(f"'{operand.type}'" for operand in op.operands) or "none"
        errors.add(op, f"d4: '{names.LESS}' has one fixed-point operand, got {found}")
        return
    thresholds = names.get_attribute(op, names.THRESHOLDS)
    if not isinstance(thresholds, ir.DenseI64ArrayAttr) or not len(thresholds):
        found = "none" if thresholds is None else str(thresholds)
        errors.add(op, f"d4: '{names.THRESHOLDS}' must be an array of one i64 or more, got {found}")
        return
    operand = ir.RankedTensorType(op.operands[0].type)
    encoding = type_encoding(operand)
    assert encoding is not None
    extents = "".join(f"{extent}x" for extent in operand.shape)
    expected = f"tensor<{extents}i1, {Int(encoding.ring)}>"
    results = [str(result.type) for result in op.results]
    if results != [expected] * len(thresholds):
        got = ", ".join(results) or "none"
        errors.add(op, f"d4: {len(thresholds)} threshold(s) give as many '{expected}', got {got}")


def _verify_integer_op(op: ir.Operation, errors: ErrorCollector) -> None:
    types = {str(value.type) for value in (*op.operands, *op.results)}
    encodings = [type_encoding(value.type) for value in op.results]
    if len(types) != 1 or len(encodings) != 1 or not isinstance(encodings[0], Int):
        errors.add(op, f"d5: it has integers of one type and one result, got {', '.join(sorted(types))}")
        return
    dtype = str(ir.RankedTensorType(op.results[0].type).element_type)
    counts = {names.DROP: range(width(dtype)), names.BITS: range(1, encodings[0].ring + 1)}
    expected: list[tuple[str, ...]] = [(names.DROP,), ()]
    if op.name == names.QUOTIENT:
        expected = [(names.BITS,)] if len(op.operands) == 2 else [(names.DIVISOR, names.LIMIT)]
    attributes = {name: value for name, value in attributes_of(op).items() if not name.startswith("ditto.")}
    operands = 2 if names.BITS in expected[0] else 1
    if len(op.operands) != operands or tuple(sorted(attributes)) not in expected:
        errors.add(
            op,
            f"d5: with {len(op.operands)} operand(s) it has the attributes {list(expected[0])}, got "
            f"{sorted(attributes)}",
        )
        return
    for name, value in attributes.items():
        problem = _integer_problem(value, counts[name]) if name in counts else _natural_problem(value)
        _add_if(errors, op, f"attribute '{name}'", problem, rule="d5")


def _verify_oneshot(op: ir.Operation, callees: Mapping[str, func.FuncOp], errors: ErrorCollector) -> set[str]:
    """Checks a `ditto.oneshot`, and gives the names of its functions."""
    attributes = {name: value for name, value in attributes_of(op).items() if not name.startswith("ditto.")}
    values = [value.type for value in (*op.operands, *op.results)]
    if len(op.operands) != 1 or len(op.results) != 1 or not all(map(_is_of_floats, values)):
        errors.add(op, f"d6: it has one operand and one result of floats, got {', '.join(map(str, values))}")
        return set()
    if not same_tensor(*values):
        errors.add(op, f"d6: it keeps shape and element type, got '{values[0]}' -> '{values[1]}'")
        return set()
    found = set()
    for name in (names.FUNCTION, names.OTHERWISE):
        problem = _callee_problem(attributes.pop(name, None), callees, values[0])
        if problem is not None:
            errors.add(op, f"d6: attribute '{name}' {problem}")
        else:
            found.add(ir.FlatSymbolRefAttr(op.attributes[name]).value)
    error, ends = (
        attributes.pop(names.ERROR, None),
        [attributes.pop(n, None) for n in (names.LOW, names.HIGH)],
    )
    if error is None or not _is_magnitude(error) or not 0 < error.value < math.inf:
        errors.add(op, f"d6: attribute '{names.ERROR}' must be a positive f64, got {error}")
    if any(end is not None for end in ends) and not _is_interval(ends):
        found_ends = " and ".join("none" if end is None else str(end) for end in ends)
        errors.add(op, f"d6: '{names.LOW}' and '{names.HIGH}' must be f64, low < high, got {found_ends}")
    if not isinstance(attributes.pop(names.RELATIVE, ir.UnitAttr.get(op.context)), ir.UnitAttr):
        errors.add(op, f"d6: attribute '{names.RELATIVE}' must be a unit")
    for name in (names.WORDS, names.LOOSE):
        number = attributes.pop(name, None)
        if number is not None and not (
            isinstance(number, ir.IntegerAttr) and str(number.type) == "i32" and number.value > 0
        ):
            errors.add(op, f"d6: attribute '{name}' must be an i32 above 0, got {number}")
    if attributes:
        errors.add(op, f"d6: unknown attribute(s) {', '.join(attributes)}")
    return found


def _is_of_floats(type_: ir.Type) -> bool:
    return is_tensor(type_) and str(ir.RankedTensorType(type_).element_type) in FLOAT_TYPES


def _callee_problem(
    value: ir.Attribute | None, callees: Mapping[str, func.FuncOp], type_: ir.Type
) -> str | None:
    if not isinstance(value, ir.FlatSymbolRefAttr):
        return f"must be the symbol of a function, got {value}"
    callee = callees.get(value.value)
    if callee is None or callee.is_external:
        return f"speaks of @{value.value}, which is not a function with a body"
    if not is_private(callee):
        return f"speaks of @{value.value}, which must be private"
    inputs, results = list(callee.type.inputs), list(callee.type.results)
    if len(inputs) != 1 or inputs != results or not is_tensor(inputs[0]) or not same_tensor(inputs[0], type_):
        return f"speaks of @{value.value}, which must take and give tensors like '{type_}', not {callee.type}"
    return None


def _is_interval(ends: Sequence[ir.Attribute | None]) -> bool:
    if not all(isinstance(end, ir.FloatAttr) and str(end.type) == "f64" for end in ends):
        return False
    low, high = (ir.FloatAttr(end).value for end in ends)
    return bool(-math.inf < low < high < math.inf)


def _natural_problem(value: ir.Attribute) -> str | None:
    if isinstance(value, ir.IntegerAttr) and str(value.type) == "ui64" and value.value:
        return None
    return f"must be a ui64 other than 0, got {value}"


def same_tensor(left: ir.Type, right: ir.Type) -> bool:
    """Whether two tensor types differ at most in their encodings."""
    a, b = ir.RankedTensorType(left), ir.RankedTensorType(right)
    return list(a.shape) == list(b.shape) and a.element_type == b.element_type


def _verify_ring(op: ir.Operation, types: _Types, errors: ErrorCollector, *, cast: bool) -> None:
    rings = supported_rings(op)
    for encoding in types.encodings(op.results):
        if encoding.ring not in rings:
            errors.add(op, f"c4: cannot run in ring {encoding.ring}, only in {', '.join(map(str, rings))}")
            return
    if not cast:
        return
    encodings = types.encodings(_joined_values(op))
    if len({e.ring for e in encodings}) > 1 or len({e for e in encodings if isinstance(e, Fxp)}) > 1:
        errors.add(
            op,
            f"c2: operands and results must be in one ring and scale, found {_list(encodings)}; "
            "run ditto-insert-casts",
        )


def _joined_values(op: ir.Operation) -> list[ir.Value]:
    """What must agree: an op's operands and results, its regions' arguments and what they return."""
    values = [*op.operands, *op.results]
    if OPS[op.name].kind is Kind.TERMINATOR and op.parent is not None:
        return [*values, *op.parent.results]
    if op.name not in BARE_REGIONS:
        for region in op.regions:
            values += region.blocks[0].arguments
    return values


def _verify_product(op: ir.Operation, types: _Types, errors: ErrorCollector) -> None:
    encodings = types.encodings([*op.operands, *op.results])
    fracs = [encoding.frac for encoding in types.encodings(op.operands)]
    expected = sum(fracs) if len(fracs) == 2 else 2 * sum(fracs)
    found = encodings[-1]
    if len({e.ring for e in encodings}) > 1:
        errors.add(op, f"c2: operands and results must be in one ring, found {_list(encodings)}")
    elif found.frac != expected:
        errors.add(
            op,
            f"c3: a product has the sum of its operands' fraction bits, so {expected}, "
            f"found {_list(encodings)}; only casts change the fraction",
        )


def _list(encodings: list[Encoding]) -> str:
    return ", ".join(str(encoding) for encoding in encodings)
