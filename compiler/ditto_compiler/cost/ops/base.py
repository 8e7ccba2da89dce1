"""How the cost of a program is put together: what rules work with, and their registry.

Costs depend on the form in which the engine holds a value: `a` arithmetic share; `b`, `o` and `w`, boolean
share of one bit, of eight (the engine does not know that only one counts), and of all bits; `p` public.
A rule takes an op, the forms of its operands, and how many copies of the op run at once (in a reduction),
and gives the cost and the forms of its results. What the engine does with each op was read in its source
and is held to its own counts by test/e2e/test_estimate.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ditto_compiler.cost.measured import FREE, Cost, CostTable
from ditto_compiler.ir import element_type, ir, numel, ops_of
from ditto_compiler.structure import splat_of

Forms = list[str]

BOOLEAN = "bow"
"""Forms of boolean shares, from narrow to wide."""


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
            number = splat_of(op)
            result = None if number is None else int(number)
        elif name in FOLDS:
            operands = [self._constants.get(operand) for operand in op.operands]
            known = [operand for operand in operands if operand is not None]
            result = int(FOLDS[name](*known)) if len(known) == len(operands) else None
        self.set_constants([op.results[0]], [result])


Rule = Callable[[Rules, ir.Operation, Forms, int], tuple[Cost, Forms]]

RULES: dict[str, Rule] = {}
"""By pphlo op without its dialect. `register` adds to it."""


def register(rule: Rule, *names: str) -> None:
    """Gives ops of the engine a rule; a later one wins."""
    RULES.update(dict.fromkeys(names, rule))


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


def extents(value: ir.Value) -> list[int]:
    """Of a pphlo tensor."""
    return list(ir.RankedTensorType(value.type).shape)


def joined_form(forms: Sequence[str]) -> str:
    """The form that values of these forms have when they are put into one tensor."""
    secret = [form for form in forms if form != "p"]
    return "p" if not secret else secret[0] if len(set(secret)) == 1 else "a"


def free(result: str = "") -> Rule:
    """No cost, and results in the form of the first operand, or in `result`."""

    def rule(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
        return FREE, [result or forms[0]] * len(op.results)

    return rule


def unary(row: str, result: str = "a") -> Rule:
    """An op with a row of its own for an arithmetic share."""

    def rule(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
        if forms == ["p"]:
            return FREE, ["p"]
        elements = copies * numel(op.operands[0])
        return rules.arithmetic(forms[0], elements) + rules.row(row, "a", elements), [result]

    return rule
