"""docs/reference/forms.md: the table of forms, with what each costs."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ditto
from ditto_compiler.cost.model import estimate
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.dtypes import DTYPES
from ditto_compiler.encoding import Encoding, Fxp, Int
from ditto_compiler.forms.exponential import EXPONENTIALS
from ditto_compiler.forms.table import DEFAULTS, EXACT, FORM_NAMES, FORMS
from ditto_compiler.policy import FormRule, Policy, Rule, form_of, load_policy

HEADER = """\
<!-- Written by `python -m ditto_tools.docs` from compiler/ditto_compiler/forms; change that. -->

# Forms of non-linear functions

Multiplying shared numbers is cheap; comparing, dividing and exponentiating them is not. So Ditto finds GeLU,
softmax, LayerNorm and others in a program, however the front end spells them, and computes each by a
*form* that the policy chooses: a piecewise polynomial, one reciprocal per row instead of a division per
element, and so on. The pass is [`ditto-approximate`](passes.md#ditto-approximate); alone, it works on any
StableHLO:

    ditto-opt model.mlir --inline-calls --canonicalize --cse \\
      --ditto-approximate='gelu=puma softmax=ditto' --report-unmatched

`--report-unmatched` says which costly ops on secrets stayed exact, with their source lines. A policy file
chooses forms for each function, everywhere and by scope; of two entries that match, the later wins:

    [forms]
    gelu = "quartic"
    softmax = "narrow"
    exp = "quadratic8"            # exp within softmax, instead of the form's own

    [[forms.scopes]]
    scope = "*/layer0/*"          # JAX name stacks, as in rules
    gelu = "exact"

What no policy names is `exact`: left as it is, for the engine to compute. A scope that the program does not
have is an error.
"""

COLUMNS = """\
How to read the tables. *Error* is the largest absolute error in exact arithmetic, tested on dense grids;
fixed point adds some units of the last place, and much more for the forms marked ring 64 in ring 32.
*Bytes* are sent by all parties together for each element (for softmax, of rows of 128; for lookups, for
each id and row of the table), with the engine truncating every product; explicit rescaling saves some.
*Rounds* count messages that wait for each other, whatever the number of elements. Both are for x in ring
32 and in ring 64, estimated by the cost model and tested against the engine; what ring 32 cannot run
(division, erf, ...) runs in ring 64 in either case, casts included. A dash: its values do not fit.

`oneshot` forms rest on [one-shot functions](attributes.md#one-shot-functions), which run beside the engine
where the policy says `beside = "shares"` and something guarantees their arguments: range analysis,
calibration, or a clip. See [`ditto-choose-functions`](passes.md#ditto-choose-functions). Otherwise the parts
fall back, and under any other policy the form named behind *engine* stands for the whole. Their errors are
those of the fits; for the norms and division, the fit's is relative.
"""

NOTES = {
    "gelu": """\
With a = |x|, GeLU is relu(x) + r(a), and r is soon 0. So `quartic` and `sextic` need two comparisons where
PUMA needs three, and a polynomial in a, with odd and even powers, is ten times as accurate as one in x² of
the same cost. `quartic` is computed as k((y + a + d - c)y - cd) with y = a(a + b) + c: two products, and one
by a constant.
PUMA's paper states an error of 0.01403; its published coefficients are off by 0.0199 at x = 3.""",
    "softmax": """\
Whatever is subtracted from a row before exp is recognised as long as it is the same for the whole row. A mask
may be `where=`, a selection of a large negative number, or added; such constants are raised to -4096, which
hides as well and survives casts. `2quad` does not fall for small x, so it takes scores without their mask,
and weights as 0 where that subtracts more than 64: a selection of a constant, a table, or a smaller tensor
that is added. Errors are for rows of up to 512 normally distributed scores.""",
    "layer_norm": """\
Recognised with the variance as mean((x - mean)²) and as mean(x²) - mean², which loses in fixed point what
cancels.
The scale stays a product: folding it into the next layer's weights would cost a product for each weight.""",
    "embedding": """\
The engine cannot look up by secret ids. `one-hot` compares each id with each row's number; `digits` compares
its high and low bits with 2 sqrt(rows) numbers, and takes one product for each row. Either reads the whole
table, whatever the id. One out of range gives what it gives in JAX, the nearest row for `table[ids]` and
`mode="clip"`, zeros where `jnp.take` has NaN, and nobody learns that it did. (A negative index counts from
the end, as in JAX.) Or the client supplies the one-hot matrix as the argument, as
`ditto.models.minilm.one_hot` makes it: then the lookup is one matrix product, at 12 to 52 bytes for each
element of the *result* and nothing for each row; the price is that the client shares a row of the table's
length for each id instead of one number. Ids that are public stay a lookup, which is free.""",
    "argmax": """\
Of equal values the first wins, for neighbours are compared; JAX's own reducer compares indices too.""",
    "adaptive_step": """\
x / (sqrt(v) + eps), or with rsqrt, where v has an element for each of x: the step of Adam, RMSProp, Adagrad
and the like, x and v being running means of gradients and of their squares. Squares of what is below 2^-9
are nothing with 18 fraction bits, so a step would be any number. `wide` holds x, v and what adds up to them
with 50 fraction bits in ring 128: steps are right to a few percent for gradients from 2^-17 on, and bounded
for smaller ones.
`exact` warns. An eps of 0.05 or more hides the error, and needs no form.""",
    "division": """\
For a divisor that is repeated: a row statistic, or a scalar. A product with a power of two costs nothing
under explicit rescaling, where it is a change of fraction: see
[`ditto-assign-fractions`](passes.md#ditto-assign-fractions).""",
}


def _row(x: Any) -> Any:
    return x.sum(-1, keepdims=True)


@dataclass(frozen=True)
class Site:
    """A program that computes one function.

    Attributes:
        fn: the program.
        shapes: of its arguments, with their dtypes.
        elements: that the costs are divided by.
    """

    fn: Callable[..., Any]
    shapes: tuple[tuple[tuple[int, ...], Any], ...]
    elements: int


def _elementwise(fn: Callable[..., Any]) -> Site:
    return Site(fn, (((4096,), np.float32),), 4096)


def _rows(fn: Callable[..., Any]) -> Site:
    return Site(fn, (((64, 128), np.float32),), 64 * 128)


def _normalized(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


SITES: dict[str, Site] = {
    "gelu": _elementwise(lambda x: jax.nn.gelu(x, approximate=False)),
    "silu": _elementwise(jax.nn.silu),
    "tanh": _elementwise(jnp.tanh),
    "logistic": _elementwise(jax.nn.sigmoid),
    "softmax": _rows(jax.nn.softmax),
    "log_softmax": _rows(jax.nn.log_softmax),
    "layer_norm": _rows(_normalized),
    "rms_norm": _rows(lambda x: x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)),
    "argmax": _rows(lambda x: jnp.argmax(x, -1)),
    "argmin": _rows(lambda x: jnp.argmin(x, -1)),
    "embedding": Site(
        lambda table, ids: jnp.take(table, ids, axis=0, mode="clip"),
        (((4096, 16), np.float32), ((16,), np.int32)),
        4096 * 16,
    ),
    "adaptive_step": Site(
        lambda x, v: x / (jnp.sqrt(v) + 1e-8), (((4096,), np.float32), ((4096,), np.float32)), 4096
    ),
    "division": Site(lambda x, y: x / y, (((64, 128), np.float32), ((64, 1), np.float32)), 64 * 128),
}

TITLES = {
    "gelu": "GeLU",
    "silu": "SiLU",
    "layer_norm": "LayerNorm",
    "rms_norm": "RMSNorm",
    "log_softmax": "log-softmax",
    "embedding": "embedding: lookup by secret ids",
    "adaptive_step": "adaptive steps: Adam and its kin",
    "division": "division by a repeated value",
}


def measuring_policy(ring: int, forms: dict[str, str]) -> Policy:
    """Everything in one ring, 32 with 10 fraction bits or 64 with 18, but for what only ring 64 can run."""
    frac = {32: 10, 64: 18}[ring]
    dtypes: dict[str, Encoding] = {name: Fxp(ring, frac) if "f" in name else Int(ring) for name in DTYPES}
    wide = ("divide", "rsqrt", "sqrt", "log", "logistic", "power")
    ops = (*(f"stablehlo.{name}" for name in wide), "chlo.erf", "chlo.erfc")
    rules = (Rule("what ring 32 cannot run", op=ops, dtype=("f32",), ring=64, frac=18),)
    return Policy(f"ring {ring}", dtypes, rules, forms=(FormRule("measured", forms),))


def compile_site(function: str, ring: int, forms: dict[str, str]) -> ditto.Program:
    """The program of a function's site with these forms.

    Raises:
        CompileError: it does not fit the ring.
    """
    site = SITES[function]
    examples = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in site.shapes]
    with warnings.catch_warnings():
        # What is measured need not be right.
        warnings.simplefilter("ignore", ditto.DittoWarning)
        return ditto.compile(site.fn, *examples, policy=measuring_policy(ring, forms))


@dataclass(frozen=True)
class FormCost:
    """Bytes per element and rounds of a form in one ring."""

    bytes: float
    rounds: float


def cost_of(function: str, ring: int, forms: dict[str, str]) -> FormCost | None:
    """What forms cost at a function's site, or None where they do not fit the ring."""
    try:
        total = estimate(compile_site(function, ring, forms)).total
    except CompileError:
        return None
    return FormCost(total.bytes / SITES[function].elements, total.rounds)


@functools.cache
def forms_page() -> str:
    """The text of docs/reference/forms.md."""
    sections = [HEADER, "## Presets\n", _presets(), COLUMNS]
    for function in FORMS:
        if function == "argmin":
            continue
        sections.append(f"## {TITLES.get(function, function)}\n")
        sections.append(_function_table(function))
        if function in NOTES:
            sections.append(f"{NOTES[function]}\n")
        if function == "softmax":
            sections += ["### exp within softmax\n", _exponentials_table()]
    sections.append(
        "What the presets do to a real model: [forms_minilm.md](forms_minilm.md), which "
        "`python -m ditto.bench.forms` writes.\n"
    )
    return "\n".join(sections)


def _presets() -> str:
    names = ("uniform64", "puma", "mpcformer", "ditto", "ditto-quad")
    policies = [load_policy(name) for name in names]
    lines = [_line(["", *names]), _line(["---"] * (len(names) + 1))]
    for function in FORM_NAMES:
        chosen = [form_of(policy.forms, function, "") for policy in policies]
        if any(form != DEFAULTS[function] for form in chosen):
            forms = [form or "the form's own" for form in chosen]
            lines.append(_line([TITLES.get(function, function), *forms]))
    descriptions = [f"- `{policy.name}`: {policy.description}" for policy in policies]
    return "\n".join([*descriptions, "", *lines, ""])


def _function_table(function: str) -> str:
    head = ["form", "formula", "source", "valid for", "error", "bytes, 32", "64", "rounds, 32", "64"]
    lines = [_line(head), _line(["---"] * 5 + ["---:"] * 4)]
    if EXACT in FORM_NAMES[function]:
        costs = _costs(function, {function: EXACT})
        lines.append(_line([EXACT, "what the engine does", "SPU", "", "", *costs]))
    for form in FORMS[function].values():
        error = "" if form.max_error is None else "none" if form.max_error == 0 else f"{form.max_error:g}"
        cells = [f"`{form.name}`", form.formula, form.source, form.valid, error]
        if form.engine is not None:
            cells[1] += f"; engine: `{form.engine}`"
        if form.exp is not None:
            cells[1] += f"; exp `{form.exp}`"
        # The cost model knows what the engine runs.
        costs = ["n/a"] * 4 if form.engine is not None else _costs(function, {function: form.name})
        lines.append(_line([*cells, *costs]))
    return "\n".join([*lines, ""])


def _exponentials_table() -> str:
    head = ["exp", "formula, for x ≤ 0", "source", "error", "bytes, `narrow`", "bytes, `puma` in 64"]
    lines = [_line(head), _line(["---"] * 4 + ["---:"] * 2)]
    for name, exp in EXPONENTIALS.items():
        narrow = cost_of("softmax", 32, {"softmax": "narrow", "exp": name})
        wide = cost_of("softmax", 64, {"softmax": "puma", "exp": name})
        costs = [_bytes(cost) for cost in (narrow, wide)]
        lines.append(_line([f"`{name}`", exp.formula, exp.source, f"{exp.max_error:g}", *costs]))
    return "\n".join([*lines, "", inspect.cleandoc(_EXP_NOTE), ""])


_EXP_NOTE = """
The quadratics are fitted as a whole, with the error of small values weighted more: a row has many of them,
and what matters is that their sum is right. Below the limit they are exactly 0. So `quadratic16` makes a
softmax more accurate than the engine's own exp, with three squarings fewer."""


def _costs(function: str, forms: dict[str, str]) -> list[str]:
    costs = [cost_of(function, ring, forms) for ring in (32, 64)]
    return [_bytes(cost) for cost in costs] + [
        "–" if cost is None else f"{cost.rounds:.0f}" for cost in costs
    ]


def _bytes(cost: FormCost | None) -> str:
    if cost is None:
        return "–"
    return f"{cost.bytes:.0f}" if cost.bytes >= 20 else f"{cost.bytes:.1f}"


def _line(cells: list[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
