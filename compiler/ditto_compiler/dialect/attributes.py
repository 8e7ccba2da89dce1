"""The discardable `ditto.*` attributes: their names, where they may stand, and what they may hold.

| attribute          | on                       | value                | meaning                          |
|--------------------|--------------------------|----------------------|----------------------------------|
| `ditto.visibility` | function arguments       | "secret" or "public" | who sees the argument            |
| `ditto.owner`      | entry function arguments | a label, see `owners.py` | whose data the argument is   |
| `ditto.input`      | entry function arguments | i32                  | which of the caller's inputs     |
| `ditto.ring`       | functions                | i32                  | the ring its region runs in      |
|                    | any other operation      | i32                  | the user's choice for its result |
| `ditto.frac`       | likewise                 | i32                  | likewise the fraction bits       |
| `ditto.stage`      | the module               | one of `STAGES`      | which invariants hold            |
| `ditto.max_abs`    | operations, arguments    | f64, or one a result | a bound on the magnitude         |
| `ditto.least`      | operations               | f64                  | where a form stops to be exact   |
| `ditto.range`      | operations, arguments    | two f64              | least and largest, as calibrated |
| `ditto.known_range` | operations, arguments   | string, or one a result | what ditto-print-ranges found |
| `ditto.explicit_rescale` | the module         | unit                 | c3 holds: products are exact     |
| `ditto.low_bits`   | comparisons of integers  | unit                 | reads only their own bits        |
| `ditto.infinity`   | operations               | f64                  | from here on, numbers are infinite |
| `ditto.guards`     | the entry function       | strings              | what its last result guarantees  |
| `ditto.beside`     | operations               | unit                 | runs beside the engine, on shares |
| `ditto.slack`      | reductions, comparisons  | f64                  | how far off their result may be  |
| `ditto.reach`      | operations               | f64                  | how large a value can get         |
| `ditto.gain`       | operations               | one or more f64      | how much noise there matters      |
| `ditto.samples`    | one-shot functions       | one or more f64      | arguments that were seen          |
| `ditto.fraction`   | operations               | i32                  | fraction bits beside the engine   |
| `ditto.spare`      | operations               | i32                  | integer bits its ring has to spare |
| `ditto.factors`    | products                 | two i64              | fraction bits it reads factors with |

One of the caller's inputs may be supplied in several encodings, so as several arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ditto_compiler.ir import func, ir

VISIBILITY = "ditto.visibility"
OWNER = "ditto.owner"
INPUT = "ditto.input"
ALIASING = "tf.aliasing_output"
"""JAX's, of arguments: the number of the result that takes their place."""
RING = "ditto.ring"
FRAC = "ditto.frac"
STAGE = "ditto.stage"
VERSION = "ditto.version"
DIALECT_VERSION = 1
"""Of the text that is read and written. A program without the attribute is of version 1."""
MAX_ABS = "ditto.max_abs"
LEAST = "ditto.least"
RANGE = "ditto.range"
KNOWN_RANGE = "ditto.known_range"
EXPLICIT = "ditto.explicit_rescale"
LOW_BITS = "ditto.low_bits"
INFINITY = "ditto.infinity"
GUARDS = "ditto.guards"
BESIDE = "ditto.beside"
SLACK = "ditto.slack"
REACH = "ditto.reach"
GAIN = "ditto.gain"
"""Sums of squares: of what all outputs change by for one unit of each element, of the first result, then of
each operand where this op reads it; of a one-shot function, then also for one unit of all elements."""
SAMPLES = "ditto.samples"
FRACTION, SPARE, FACTORS = "ditto.fraction", "ditto.spare", "ditto.factors"

NAMES: tuple[str, ...] = (
    *(VISIBILITY, OWNER, INPUT, RING, FRAC, STAGE, MAX_ABS, LEAST, RANGE, KNOWN_RANGE, EXPLICIT),
    *(LOW_BITS, INFINITY, GUARDS, BESIDE, SLACK, REACH),
    *(GAIN, SAMPLES, FRACTION, SPARE, FACTORS, VERSION),
)

STAGES: tuple[str, ...] = ("annotated", "cast", "outlined", "lowered")
"""In order: what `ditto-annotate`, `ditto-insert-casts`, `ditto-outline-regions`, `ditto-to-pphlo` ensure."""

VISIBILITIES: tuple[str, ...] = ("secret", "public")

RESCALE = "ditto.rescale"
CASTS: tuple[str, ...] = ("ditto.downcast", "ditto.upcast", RESCALE)
LESS = "ditto.less"
"""`"ditto.less"(%x) {thresholds = array<i64: 0>}`: a boolean for each threshold t, [x < t * 2^-frac]."""
THRESHOLDS = "thresholds"
WRAP = "ditto.wrap"
"""`"ditto.wrap"(%x) {drop = 3 : i32}`: integers without the bits above their type's, shifted right."""
DROP = "drop"
QUOTIENT = "ditto.quotient"
"""`"ditto.quotient"(%x, %y) {bits = 8 : i32}` or `(%x) {divisor = 7 : ui64, limit = 99 : ui64}`: x / y."""
BITS, DIVISOR, LIMIT = "bits", "divisor", "limit"
INTEGER_OPS: tuple[str, ...] = (WRAP, QUOTIENT)
ONESHOT = "ditto.oneshot"
"""`"ditto.oneshot"(%x) {function = @f, otherwise = @g, error = 1.0e-3 : f64}`: f of each element, or g where
nothing is known of x; see docs/reference/attributes.md."""
TERMS, OF = "terms", "of"
"""Of a one-shot function that has been fitted: its integers (see `oneshot/terms.py`), and its name."""
FUNCTION, OTHERWISE, ERROR, RELATIVE, LOW, HIGH, WORDS, LOOSE = (
    *("function", "otherwise", "error", "relative"),
    *("low", "high", "words", "loose"),
)
CALL = "ditto.call"
"""`"ditto.call"(%x) {callee = @r0}`: runs a lowered region."""


def get_float(op: ir.Operation, name: str) -> float | None:
    """The number in the attribute `name` of `op`, or None when absent."""
    attribute = get_attribute(op, name)
    return None if attribute is None else float(ir.FloatAttr(attribute).value)


def int_attribute(value: int, context: ir.Context | None = None) -> ir.IntegerAttr:
    """`value : i32`."""
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(32, context), value)


def get_attribute(op: ir.Operation, name: str) -> ir.Attribute | None:
    """The attribute `name` of `op`, or None when absent."""
    attributes = op.attributes
    if name in attributes:
        return attributes[name]
    return None


def get_int(op: ir.Operation, name: str) -> int | None:
    """The integer attribute `name` of `op`, or None when absent."""
    attribute = get_attribute(op, name)
    return None if attribute is None else ir.IntegerAttr(attribute).value


def is_explicit(module: ir.Module) -> bool:
    """Whether products are exact and only casts change fraction bits (c3)."""
    return EXPLICIT in module.operation.attributes


def stage_of(module: ir.Module) -> int:
    """How many stages the module has passed: 0 when untouched, `len(STAGES)` when lowered."""
    attributes = module.operation.attributes
    if STAGE not in attributes:
        return 0
    return STAGES.index(ir.StringAttr(attributes[STAGE]).value) + 1


def has_reached(module: ir.Module, stage: str) -> bool:
    """Whether the module has passed `stage`."""
    return stage_of(module) > STAGES.index(stage)


def set_stage(module: ir.Module, stage: str) -> None:
    """Says that the module has passed `stage`, so that the verifier checks what the stage ensures."""
    module.operation.attributes[STAGE] = ir.StringAttr.get(stage, module.context)


def argument_attributes(function: func.FuncOp) -> list[dict[str, ir.Attribute]]:
    """The attributes of each argument, as one dictionary per argument."""
    if "arg_attrs" not in function.attributes:
        return [{} for _ in function.arguments]
    return [{entry.name: entry.attr for entry in attribute} for attribute in function.attributes["arg_attrs"]]


def secret_arguments(function: func.FuncOp) -> list[bool]:
    """Whether each argument is secret; one that does not say is."""
    attributes = [entries.get(VISIBILITY) for entries in argument_attributes(function)]
    return [attribute is None or attribute.value != "public" for attribute in attributes]


def argument_owners(function: func.FuncOp) -> list[str]:
    """The label of each argument's owner; empty for one that has none."""
    attributes = argument_attributes(function)
    return [entries[OWNER].value if OWNER in entries else "" for entries in attributes]


def set_argument_attributes(function: func.FuncOp, attributes: Sequence[Mapping[str, ir.Attribute]]) -> None:
    """Replaces the attributes of all arguments, given one dictionary per argument."""
    context = function.context
    function.attributes["arg_attrs"] = ir.ArrayAttr.get(
        [ir.DictAttr.get(dict(entry), context) for entry in attributes], context
    )
