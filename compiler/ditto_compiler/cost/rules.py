"""What each pphlo op costs, put together from the measured table.

Costs depend on the form in which the engine holds a value: `a` arithmetic share; `b`, `o` and `w`, boolean
share of one bit, of eight (the engine does not know that only one counts), and of all bits; `p` public.
A rule takes an op, the forms of its operands, and how many copies of the op run at once (in a reduction),
and gives the cost and the forms of its results. What the engine does with each op was read in its source
and is held to its own counts by test/e2e/test_estimate.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ditto_compiler.cost.table import FREE, Cost, CostTable
from ditto_compiler.ir import defining_op, element_type, ir, numel, ops_of

Forms = list[str]

BOOLEAN = "bow"
"""Forms of boolean shares, from narrow to wide."""

PRODUCT_MEMORY = 256 * 1024 * 1024
"""Bytes of shares of both operands above which the engine cuts a matrix product into blocks."""

MAX_ITERATIONS = 1_000_000


@dataclass
class Costed:
    """One op that was costed, with the ops inside it summed up.

    Attributes:
        op: the operation.
        cost: over all parties.
        truncated: elements of products that were truncated, those inside non-linear functions not counted.
    """

    op: ir.Operation
    cost: Cost
    truncated: int


@dataclass
class Rules:
    """The rules for one runtime.

    Attributes:
        table: measured costs.
        ring: of the runtime.
        frac: its fraction bits.
        unknown: names of ops that have no rule, or whose cost depends on values; they count as free.
    """

    table: CostTable
    ring: int
    frac: int
    unknown: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._forms: dict[ir.Value, str] = {}
        self._constants: dict[ir.Value, int] = {}
        """Public integer scalars that are known: loop counters."""
        self._truncated = 0

    def function(self, block: ir.Block, forms: Sequence[str]) -> tuple[list[Costed], Forms]:
        """The cost of each op of a function's body, and the forms of what it returns."""
        self._forms.update(zip(block.arguments, forms, strict=True))
        costed = []
        for op in ops_of(block)[:-1]:
            self._truncated = 0
            cost = self.op(op, 1)
            costed.append(Costed(op, cost, self._truncated))
        return costed, self.forms(ops_of(block)[-1].operands)

    def op(self, op: ir.Operation, copies: int) -> Cost:
        """The cost of `copies` of an op at once; notes the forms of its results."""
        name = op.name.removeprefix("pphlo.")
        rule = RULES.get(name)
        forms = self.forms(op.operands)
        if rule is None:
            self.unknown.add(name)
            cost, results = FREE, ["p" if set(forms) <= {"p"} else "a"] * len(op.results)
        else:
            cost, results = rule(self, op, forms, copies)
        self._forms.update(zip(op.results, results, strict=True))
        self._fold(op, name)
        return cost

    def forms(self, values: Sequence[ir.Value]) -> Forms:
        """In which form each value is held."""
        return [self._forms[value] for value in values]

    def row(self, name: str, forms: str, elements: int, frac: int | None = None) -> Cost:
        """A row of the table; a row that it does not have is noted as unknown."""
        if not self.table.has(name, forms, self.ring):
            self.unknown.add(name)
            return FREE
        return self.table.cost(name, forms, self.ring, elements, self.frac if frac is None else frac)

    def local(self, elements: int) -> Cost:
        """Arithmetic that each party does alone."""
        return self.row("local", "aa", elements)

    def arithmetic(self, form: str, elements: int) -> Cost:
        """What it costs to have a value as an arithmetic share, or public."""
        return self.row("to_arithmetic", form, elements) if form in BOOLEAN else FREE

    def boolean(self, form: str, elements: int) -> Cost:
        """What it costs to have a value as a boolean share, or public."""
        return self.row("to_boolean", "ap", elements) if form == "a" else FREE

    def truncate(self, elements: int, bits: int | None = None) -> Cost:
        """Dropping `bits`, by default the fraction bits."""
        self._truncated += elements
        return self.row("truncate", "ap", elements, self.frac if bits is None else bits)

    def product(self, x: str, y: str, elements: int) -> tuple[Cost, str]:
        """An element-wise product without truncation."""
        if "p" in (x, y):
            if x == y:
                return FREE, "p"
            return self.arithmetic(y if x == "p" else x, elements) + self.local(elements), "a"
        forms = "".join(sorted((x, y)))
        if self.table.has("product", forms, self.ring):
            return self.row("product", forms, elements), "b" if forms == "bb" else "a"
        converted = self.arithmetic(x, elements) + self.arithmetic(y, elements)
        return converted + self.row("product", "aa", elements), "a"

    def less(self, x: str, y: str, elements: int) -> tuple[Cost, str]:
        """A comparison."""
        if x == y == "p":
            return FREE, "p"
        return (
            self.arithmetic(x, elements) + self.arithmetic(y, elements) + self.row("less", "aa", elements),
            "b",
        )

    def select(self, predicate: str, x: str, y: str, elements: int) -> tuple[Cost, str]:
        """y + predicate * (x - y), in which y is converted twice."""
        if predicate == "p" and x == y == "p":
            return FREE, "p"
        cost = self.arithmetic(x, elements) + self.arithmetic(y, elements).times(2)
        difference = "p" if x == y == "p" else "a"
        product, _ = self.product(predicate, difference, elements)
        return cost + product, "a"

    def block(self, block: ir.Block, forms: Sequence[str], copies: int) -> tuple[Cost, Forms]:
        """One execution of a block inside an op, `copies` at once."""
        self._forms.update(zip(block.arguments, forms, strict=True))
        ops = ops_of(block)
        cost = FREE
        for op in ops[:-1]:
            cost += self.op(op, copies)
        return cost, self.forms(ops[-1].operands)

    def constant(self, value: ir.Value) -> int | None:
        """The value of a public integer scalar, if it is known."""
        return self._constants.get(value)

    def set_constants(self, values: Sequence[ir.Value], constants: Sequence[int | None]) -> None:
        """Makes known, or forgets, what integer scalars are."""
        for value, constant in zip(values, constants, strict=True):
            self._constants.pop(value, None)
            if constant is not None:
                self._constants[value] = constant

    def _fold(self, op: ir.Operation, name: str) -> None:
        """Computes public integer scalars, so that loops on counters have a known length."""
        if len(op.results) != 1 or numel(op.results[0]) != 1 or is_float(op.results[0]):
            return
        result: int | None = None
        if name == "constant":
            attribute = ir.DenseElementsAttr(op.attributes["value"])
            result = int(attribute.get_splat_value().value)
        elif name in FOLDS:
            operands = [self._constants.get(operand) for operand in op.operands]
            known = [operand for operand in operands if operand is not None]
            result = int(FOLDS[name](*known)) if len(known) == len(operands) else None
        self.set_constants([op.results[0]], [result])


Rule = Callable[[Rules, ir.Operation, Forms, int], tuple[Cost, Forms]]

FOLDS: dict[str, Callable[..., int]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "equal": lambda x, y: x == y,
    "not_equal": lambda x, y: x != y,
    "convert": lambda x: x,
    "reshape": lambda x: x,
    "select": lambda p, x, y: x if p else y,
}


def is_float(value: ir.Value) -> bool:
    """Whether the engine holds a pphlo value in fixed point, and so truncates its products."""
    return element_type(value).removeprefix("!pphlo.secret<").removesuffix(">").startswith("f")


def product_blocks(m: int, k: int, n: int, ring: int) -> list[tuple[int, int]]:
    """The (rows, columns) of each product that the engine computes for one of [m, k] x [k, n].

    Where the operands' shares are large, it cuts all three dimensions, and each cut through `k` is one more
    product of the same size.
    """
    limit = PRODUCT_MEMORY / (ring // 8 * 2)
    if (m * k + k * n) < limit or 0 in (m, k, n):
        return [(m, n)]
    if k > 8 * (m + n):
        outer, inner = m + n, math.ceil(limit / (m + n))
    elif m + n > 8 * k:
        outer, inner = math.ceil(limit / k), k
    else:
        exact = math.sqrt(limit * (m + n) / k)
        outer, inner = math.ceil(exact), math.ceil(limit / exact)
    rows, columns = max(outer * m // (m + n), 1), max(outer * n // (m + n), 1)
    cuts = math.ceil(k / max(inner, 1))
    return [
        (min(rows, m - top), min(columns, n - left))
        for top in range(0, m, rows)
        for left in range(0, n, columns)
        for _ in range(cuts)
    ]


def _extent(value: ir.Value) -> list[int]:
    return list(ir.RankedTensorType(value.type).shape)


def _join(forms: Sequence[str]) -> str:
    """The form that values of these forms have when they are put into one tensor."""
    secret = [form for form in forms if form != "p"]
    return "p" if not secret else secret[0] if len(set(secret)) == 1 else "a"


def _free(result: str = "") -> Rule:
    """No cost, and results in the form of the first operand, or in `result`."""

    def rule(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
        return FREE, [result or forms[0]] * len(op.results)

    return rule


def _local(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if set(forms) == {"p"}:
        return FREE, ["p"]
    cost = rules.local(copies * numel(op.results[0]))
    for operand, form in zip(op.operands, forms, strict=True):
        cost += rules.arithmetic(form, copies * numel(operand))
    return cost, ["a"]


def _unary(row: str, result: str = "a") -> Rule:
    """An op with a row of its own for an arithmetic share."""

    def rule(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
        if forms == ["p"]:
            return FREE, ["p"]
        elements = copies * numel(op.operands[0])
        return rules.arithmetic(forms[0], elements) + rules.row(row, "a", elements), [result]

    return rule


def _binary(row: str) -> Rule:
    """An op with a row for each combination of secret and public operands, and others for integers."""

    def rule(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
        if forms == ["p", "p"]:
            return FREE, ["p"]
        elements = copies * numel(op.results[0])
        cost = FREE
        for form in forms:
            cost += rules.arithmetic(form, elements)
        combination = "".join("p" if form == "p" else "a" for form in forms)
        name = row if is_float(op.results[0]) else f"{row}_integer"
        return cost + rules.row(name, combination, elements), ["a"]

    return rule


def _multiply(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    elements = copies * numel(op.results[0])
    cost, form = rules.product(forms[0], forms[1], elements)
    if form == "p" or not all(is_float(operand) for operand in op.operands):
        return cost, [form]
    small = _small_constant(rules, op)
    # Pattern: x * c, 0 < |c| < 2^(2-frac) -> x * (c * 2^k), truncated by frac + k bits
    bits = rules.frac if small is None else rules.frac + math.ceil(math.log2(1 / small)) - 1
    return cost + rules.truncate(elements, bits), [form]


def _small_constant(rules: Rules, op: ir.Operation) -> float | None:
    """A constant factor that is too small for the fixed-point grid."""
    constants = [c for c in map(defining_op, reversed(list(op.operands))) if c and c.name == "pphlo.constant"]
    if not constants:
        return None
    attribute = ir.DenseElementsAttr(constants[0].attributes["value"])
    value = abs(float(attribute.get_splat_value().value)) if attribute.is_splat else 0.0
    return value if 0 < value < 2.0 ** (2 - rules.frac) else None


def _dot(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    left = _extent(op.operands[0])
    batch = left[0] if op.name == "pphlo.dot_general" else 1
    k = left[-1]
    m, n = math.prod(left[:-1]) // batch, numel(op.operands[1]) // k // batch
    cost, form = _matrix_product(rules, op, forms, m, k, n)
    return cost.times(batch), [form]


def _convolution(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    # The engine multiplies the windows of the image as a matrix with the kernel.
    kernel = _extent(op.operands[1])
    m = numel(op.results[0]) // kernel[-1]
    cost, form = _matrix_product(rules, op, forms, m, math.prod(kernel[:-1]), kernel[-1])
    return cost, [form]


def _matrix_product(rules: Rules, op: ir.Operation, forms: Forms, m: int, k: int, n: int) -> tuple[Cost, str]:
    if forms == ["p", "p"]:
        return FREE, "p"
    cost = Cost(seconds=m * k * n * rules.table.multiply_add_ns[rules.ring] * 1e-9)
    for form, elements in zip(forms, (m * k, k * n), strict=True):
        cost += rules.arithmetic(form, elements)
    if "p" not in forms:
        for rows, columns in product_blocks(m, k, n, rules.ring):
            cost += rules.row("product", "aa", rows * columns)
    if all(is_float(operand) for operand in op.operands):
        cost += rules.truncate(m * n)
    return cost, "a"


def _less(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    cost, form = rules.less(forms[0], forms[1], copies * numel(op.results[0]))
    return cost, [form]


def _equal(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms == ["p", "p"]:
        return FREE, ["p"]
    elements = copies * numel(op.results[0])
    if "a" in forms:
        cost = rules.arithmetic(forms[0], elements) + rules.arithmetic(forms[1], elements)
        return cost + rules.row("equal", "ap" if "p" in forms else "aa", elements), ["o"]
    # Pattern: x == y -> not (x < y) and not (y < x)
    cost, _ = rules.less(forms[0], forms[1], elements)
    return cost.times(2) + rules.row("and", "bb", elements), ["b"]


def _extremum(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    cost, form = _maximum(rules, forms[0], forms[1], copies * numel(op.results[0]))
    return cost, [form]


def _maximum(rules: Rules, x: str, y: str, elements: int) -> tuple[Cost, str]:
    compared, predicate = rules.less(x, y, elements)
    selected, form = rules.select(predicate, x, y, elements)
    return compared + selected, form


def _clamp(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    low, x, high = forms
    elements = copies * numel(op.results[0])
    raised, form = _maximum(rules, low, x, elements)
    lowered, form = _maximum(rules, form, high, elements)
    return raised + lowered, [form]


def _select(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    cost, form = rules.select(forms[0], forms[1], forms[2], copies * numel(op.results[0]))
    return cost, [form]


def _bitwise(conversions: int, ands: int, narrowest: bool) -> Rule:
    """`and`, `or`, `xor`: conversions of each operand, `and`s, and which operand's width the result has."""

    def rule(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
        if forms == ["p", "p"]:
            return FREE, ["p"]
        elements = copies * numel(op.results[0])
        cost = FREE
        for form in forms:
            cost += rules.boolean(form, elements).times(conversions)
        # What was an arithmetic share is one of all bits now; a public bit is one bit.
        public = "b" if element_type(op.results[0]).endswith("i1>") else "w"
        widths = sorted(BOOLEAN.index({"a": "w", "p": public}.get(form, form)) for form in forms)
        if "p" not in forms:
            cost += rules.row("and", "ww" if BOOLEAN[widths[0]] == "w" else "bb", elements).times(ands)
        return cost, [BOOLEAN[widths[0] if narrowest else widths[1]]]

    return rule


def _convert(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    (form,) = forms
    elements = copies * numel(op.operands[0])
    cost = FREE
    source, target = op.operands[0], op.results[0]
    if form == "p" and "!pphlo.secret<" in element_type(target):
        bit = element_type(source) == "i1"
        cost += rules.row("seal_bit" if bit else "seal", "p", elements)
        form = "b" if bit else "a"
    if form != "p" and is_float(source) and not is_float(target):
        cost += rules.arithmetic(form, elements) + rules.row("to_integer", "a", elements)
        form = "w"
    elif form in BOOLEAN and is_float(target):
        form = "w"
    return cost, [form]


def _shift_right(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms == ["p", "p"]:
        return FREE, ["p"]
    if forms[1] != "p":
        rules.unknown.add(f"{op.name.removeprefix('pphlo.')} by a secret amount")
    return rules.boolean(forms[0], copies * numel(op.results[0])), ["w"]


def _shift_left(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms[1] != "p":
        rules.unknown.add("shift_left by a secret amount")
    return FREE, ["w" if forms[0] in BOOLEAN else forms[0]]


def _floor(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms[0] in "pw":
        return FREE, forms
    return _unary(op.name.removeprefix("pphlo."), "w")(rules, op, forms, copies)


def _gathered(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    """Values put into one tensor: concatenate, pad, dynamic_update_slice."""
    values = 2 if op.name == "pphlo.dynamic_update_slice" else len(forms)
    form = _join(forms[:values])
    cost = rules.row("copy", "aa", copies * numel(op.results[0]) // 2) if form != "p" else FREE
    for operand, held in list(zip(op.operands, forms, strict=True))[:values]:
        elements = copies * numel(operand)
        if held == "p" and form != "p":
            cost += rules.row("seal", "p", elements)
        elif held != form:
            cost += rules.arithmetic(held, elements)
    return cost, [form]


def _custom_call(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    target = ir.StringAttr(op.attributes["call_target_name"]).value
    if target == "mhlo.erf":
        return _unary("erf")(rules, op, forms, copies)
    if target == "spu.prefer_a":
        form = "p" if forms[0] == "p" else "a"
        return rules.arithmetic(forms[0], copies * numel(op.operands[0])), [form]
    if target != "spu.gather":
        rules.unknown.add(f"custom_call @{target}")
    return FREE, [forms[0]] * len(op.results)


def _reduce(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    dimensions = list(ir.DenseI64ArrayAttr(op.attributes["dimensions"]))
    shape = _extent(op.operands[0])
    reduced = math.prod(shape[d] for d in dimensions)
    rows = copies * numel(op.operands[0]) // max(reduced, 1)
    # The engine leaves out the initial value unless dimension 0 is reduced.
    return _tree(rules, op, forms, rows, reduced, with_initial=0 in dimensions)


def _reduce_window(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    window = math.prod(ir.DenseI64ArrayAttr(op.attributes["window_dimensions"]))
    windows = numel(op.results[0])
    dilations = list(ir.DenseI64ArrayAttr(op.attributes["window_dilations"]))
    if any(dilation != 1 for dilation in dilations):
        # Then the engine reduces one window after the other.
        cost, results = _tree(rules, op, forms, copies, window, with_initial=False)
        return cost.times(windows), results
    return _tree(rules, op, forms, copies * windows, window, with_initial=False)


def _tree(
    rules: Rules, op: ir.Operation, forms: Forms, rows: int, length: int, *, with_initial: bool
) -> tuple[Cost, Forms]:
    """Reduces `rows` rows of `length`: halves against halves; odd ends, put aside, one by one afterwards."""
    count = len(forms) // 2
    block = op.regions[0].blocks[0]
    cost, held, ends = FREE, forms[:count], 0
    while length > 1:
        half = length // 2
        ends += length % 2
        step, held = rules.block(block, [*held, *held], rows * half)
        cost += step
        length = half
    for _ in range(ends):
        step, held = rules.block(block, [*held, *forms[:count]], rows)
        cost += step
    if with_initial:
        step, held = rules.block(block, [*held, *forms[count:]], rows)
        cost += step
    return cost, held


def _sort(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms[0] == "p":
        return FREE, forms
    shape = _extent(op.operands[0])
    length = shape[ir.IntegerAttr(op.attributes["dimension"]).value]
    rows = numel(op.operands[0]) // max(length, 1)
    sort = rules.table.sort[rules.ring]
    messages = sort.messages + sort.messages_per_doubling * math.log2(max(length, 1))
    payloads = len(forms) - 1
    one = Cost(
        bytes=sort.fixed_bytes + length * (sort.bytes + payloads * sort.payload_bytes),
        messages=messages + payloads * sort.payload_messages,
        rounds=messages * sort.rounds_per_message,
        seconds=(sort.us + length * sort.ns * 1e-3) * 1e-6,
    )
    cost = one.times(rows)
    for form, operand in zip(forms, op.operands, strict=True):
        cost += rules.arithmetic(form, numel(operand))
    return cost, ["a"] * len(forms)


def _if(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    # The condition is public, but not known here: the dearer branch counts.
    sides = [rules.block(region.blocks[0], [], copies) for region in op.regions]
    cost = max((cost for cost, _ in sides), key=lambda c: (c.bytes, c.rounds))
    return cost, [_join(pair) for pair in zip(*(results for _, results in sides), strict=True)]


def _while(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    condition, body = (region.blocks[0] for region in op.regions)
    held = forms
    constants = [rules.constant(operand) for operand in op.operands]
    cost = FREE
    for _ in range(MAX_ITERATIONS):
        rules.set_constants(condition.arguments, constants)
        step, _ = rules.block(condition, held, copies)
        cost += step
        goes_on = rules.constant(ops_of(condition)[-1].operands[0])
        if goes_on == 0:
            return cost, held
        rules.set_constants(body.arguments, constants)
        step, held = rules.block(body, held, copies)
        cost += step
        constants = [rules.constant(value) for value in ops_of(body)[-1].operands]
        if goes_on is None:
            break
    rules.unknown.add("while of unknown length (counted once)")
    return cost, held


RULES: dict[str, Rule] = {
    "constant": _free("p"),
    "iota": _free("p"),
    "free": _free(),
    **dict.fromkeys(("reshape", "transpose", "broadcast", "slice", "reverse", "bitcast_convert"), _free()),
    **dict.fromkeys(("dynamic_slice",), _free()),
    **dict.fromkeys(("concatenate", "pad", "dynamic_update_slice"), _gathered),
    **dict.fromkeys(("add", "subtract", "negate"), _local),
    "multiply": _multiply,
    **dict.fromkeys(("dot", "dot_general"), _dot),
    "convolution": _convolution,
    **dict.fromkeys(("less", "less_equal", "greater", "greater_equal"), _less),
    **dict.fromkeys(("equal", "not_equal"), _equal),
    **dict.fromkeys(("maximum", "minimum"), _extremum),
    "clamp": _clamp,
    "select": _select,
    "and": _bitwise(conversions=1, ands=1, narrowest=True),
    "or": _bitwise(conversions=2, ands=1, narrowest=False),
    "xor": _bitwise(conversions=1, ands=0, narrowest=False),
    "not": _free(),
    "convert": _convert,
    **dict.fromkeys(("shift_right_logical", "shift_right_arithmetic"), _shift_right),
    "shift_left": _shift_left,
    **dict.fromkeys(("floor", "ceil"), _floor),
    "round_nearest_afz": _unary("round_nearest_afz", "w"),
    "exponential_minus_one": _unary("exponential"),
    "log_plus_one": _unary("log"),
    **{
        name: _unary(name)
        for name in (
            *("abs", "cosine", "exponential", "log", "logistic", "popcnt", "reciprocal"),
            *("round_nearest_even", "rsqrt", "sign", "sine", "sqrt", "tanh"),
        )
    },
    **{name: _binary(name) for name in ("atan2", "divide", "power", "remainder")},
    "custom_call": _custom_call,
    "reduce": _reduce,
    "reduce_window": _reduce_window,
    "simple_sort": _sort,
    "if": _if,
    "while": _while,
}
