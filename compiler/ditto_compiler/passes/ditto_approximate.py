"""The pass `ditto-approximate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ditto_compiler import building
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.diagnostics import ErrorCollector, source_location
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.forms.moments import pin_moments
from ditto_compiler.forms.replace import Replacer
from ditto_compiler.forms.table import COLLECTED, DEFAULTS, EXACT, FORMS, Form
from ditto_compiler.ir import element_type, func, functions, ir, nested_ops
from ditto_compiler.options import NO_TEXT
from ditto_compiler.pass_base import Pass
from ditto_compiler.policy import FormRule, Policy, PolicyError, choosing, features_of, form_of, policy_for
from ditto_compiler.private_functions import referred_to
from ditto_compiler.recognizers import COSTLY, Found, recognize
from ditto_compiler.recognizers.embedding import filled_lookup
from ditto_compiler.recognizers.logistic import LOGISTIC
from ditto_compiler.recognizers.silu import SILU
from ditto_compiler.remarks import Category
from ditto_compiler.structure import constant


@dataclass(frozen=True)
class DittoApproximate(Pass):
    """Replace non-linear functions by forms that cost less under MPC.

    GeLU, softmax, LayerNorm and others are recognised however the front end spells them, and each is
    replaced by the form that the policy chooses for it and its scope: a piecewise polynomial, a reciprocal
    per row instead of a division per element, and so on. [Forms](forms.md) lists the forms, with formulas,
    errors and costs. Options name forms directly and win over the policy; what neither names stays
    exact, and so does everything public, which costs nothing. Where the policy runs nothing beside the
    engine, `oneshot` stands for the form that comes closest there. A logistic function that is spelled out
    by an exponential becomes one op first. A lookup by public ids gives zeros where JAX gives NaN, for ids
    that are out of range.

    Replacements have the location of the op they replace, so they stay in its scope. Some pin the ring
    and the fraction bits of their ops by `ditto.ring` and `ditto.frac`.

    Functions that plugins add are recognised where the policy chooses a form for them, before Ditto's own.

    Requires: calls inlined; canonicalized and without common subexpressions, or less is recognised.

    Before:

        %0 = stablehlo.divide %x, %row : tensor<4x8xf32>     // %row = broadcast of %y : tensor<4xf32>

    After, with division=reciprocal:

        %0 = stablehlo.divide %one, %y : tensor<4xf32>
        %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<4xf32>) -> tensor<4x8xf32>
        %2 = stablehlo.multiply %x, %1 : tensor<4x8xf32>

    Errors: a form that does not exist; a policy that cannot be read; an annotated module.
    """

    name: ClassVar[str] = "ditto-approximate"
    policy: str = ""
    """A preset or the path of a TOML file, whose forms are used; empty for none."""
    gelu: str = ""
    """exact, puma, quartic, sextic, quad, oneshot."""
    silu: str = ""
    """exact, quartic, sextic, oneshot."""
    tanh: str = ""
    """exact, cubic, sextic, oneshot."""
    logistic: str = ""
    """exact, sextic, oneshot."""
    softmax: str = ""
    """exact, puma, ditto, narrow, 2quad, 2quad_oneshot, 2relu, oneshot."""
    log_softmax: str = ""
    """exact, puma, narrow, oneshot."""
    exp: str = ""
    """exp within softmax and log-softmax: engine, taylor4 to taylor8, quadratic8, quadratic16; empty for the
    form's own."""
    layer_norm: str = ""
    """exact, rsqrt, wide, octaves, oneshot."""
    rms_norm: str = ""
    """exact, rsqrt, wide, octaves, oneshot."""
    division: str = ""
    """Division by a value that is repeated along an axis: exact, reciprocal, oneshot."""
    adaptive_step: str = ""
    """The step of Adam and its kin, x / (sqrt(v) + eps): exact, wide."""
    argmax: str = ""
    """exact, tournament."""
    argmin: str = ""
    """exact, tournament."""
    embedding: str = ""
    """Lookup by secret ids: one-hot, digits; the engine has none of its own."""
    policy_object: Policy | None = field(default=None, metadata=NO_TEXT)
    """A policy made in Python, instead of `policy`."""

    def run(self, module: ir.Module) -> None:
        """Recognises, replaces, and drops what has become idle."""
        self.remarks.clear()
        self.check_before("ditto-annotate", module, has_run=names.has_reached(module, "annotated"))
        errors = self.errors()
        given = self.policy_object or self.policy
        policy = policy_for(module, given, errors) if given else None
        rules = self._rules(module, policy, errors)
        errors.raise_if_any()
        engine_alone = policy is not None and policy.beside == "none"
        visibility = VisibilityAnalysis(module)
        # What is computed in one go is to be exact.
        apart = referred_to(module)
        bodies = [f for f in functions(module) if not f.is_external and f.name.value not in apart]
        for function in bodies:
            _collect(function)

        def wanted(function: str, root: ir.Operation) -> bool:
            return form_of(rules, function, source_location(root.location).scope) != EXACT

        every = [one for function in bodies for one in recognize(function, wanted=wanted)]
        found = [one for one in every if visibility.is_secret(_what_costs(one))]
        public = [one for one in every if not visibility.is_secret(_what_costs(one))]
        replacer = Replacer()
        kept: list[Found] = []
        forms = [form_of(rules, one.function, source_location(one.root.location).scope) for one in found]
        for one, name in zip(found, forms, strict=True):
            if one.function == "adaptive_step" and name != EXACT:
                pin_moments(one.value("x"), one.value("v"))
        for one, name in zip(found, forms, strict=True):
            scope = source_location(one.root.location).scope
            self.note("remark", one.root, f"computes {one.function}, with {_ops(one)}", Category.FUNCTION)
            if name == EXACT:
                kept.append(one)
                if one.function == "adaptive_step" and policy is not None:
                    self._warn_of_steps(one.root, policy)
                continue
            form = FORMS[one.function][name]
            if engine_alone and form.engine is not None:
                form = FORMS[one.function][form.engine]
            self._note_form(one, name, form, choosing(rules, one.function, scope), policy)
            replacer.replace(one, form, form_of(rules, "exp", scope))
        replacer.finish()
        for one in public:
            if one.function == "embedding" and filled_lookup(one.root) is not None:
                _fill_with_zeros(one.root)
        for function in bodies:
            self._remark(function, visibility, kept, set(replacer.ops))

    def _note_form(
        self, one: Found, name: str, form: Form, rule: FormRule | None, policy: Policy | None
    ) -> None:
        why = "by default" if rule is None else f"by {rule.name}"
        if policy is not None and rule in policy.forms:
            why += f" of policy '{policy.name}'"
        if form.name != name:
            why += f", in the place of {name}, which nothing runs here"
        kept = f", at most {form.max_error:g} off" if form.max_error else ""
        text = f"{one.function} becomes its form {form.name} ({form.formula}){kept}: {why}"
        self.note("remark", one.root, text, Category.FORM)

    def _rules(
        self, module: ir.Module, policy: Policy | None, errors: ErrorCollector
    ) -> tuple[FormRule, ...]:
        chosen = {name: getattr(self, name) for name in DEFAULTS if getattr(self, name)}
        try:
            return (*(policy.forms if policy else ()), FormRule("the options", chosen))
        except PolicyError as error:
            errors.add(module.operation, str(error))
            return ()

    def _warn_of_steps(self, root: ir.Operation, policy: Policy) -> None:
        frac = policy.choose(features_of(root)).frac
        encoding = policy.dtypes[element_type(root.results[0])]
        if frac is None and isinstance(encoding, Fxp):
            frac = encoding.frac
        if frac is not None and frac < FINE_ENOUGH:
            self.note(
                "warning",
                root,
                f"the square of a number below 2^-{frac // 2} is nothing in steps of 2^-{frac}, and a "
                "quotient by its root is any number: choose the form 'wide' of adaptive_step, or ring 128",
            )

    def _remark(
        self,
        function: func.FuncOp,
        visibility: VisibilityAnalysis,
        kept: list[Found],
        made: set[ir.Operation],
    ) -> None:
        holders = {op: one.function for one in kept for op in one.ops}
        for op in nested_ops(function.operation):
            if op.name not in COSTLY or op in made or not visibility.is_secret(op.results[0]):
                continue
            if op.name == "stablehlo.divide" and constant(op.operands[1]) is not None:
                continue
            reason = "it belongs to no function that was recognised"
            if op in holders:
                reason = f"it belongs to {holders[op]}, whose form is exact"
            self.note("remark", op, f"stays exact: {reason}", Category.EXACT)


def _ops(one: Found) -> str:
    return "1 op" if len(one.ops) == 1 else f"{len(one.ops)} ops"


FINE_ENOUGH = 40
"""Fraction bits with which quotients by roots of squares are right where numbers are above 2^-18."""


def _fill_with_zeros(root: ir.Operation) -> None:
    """Has a lookup by public ids give zeros, not NaN, where an id is out of range: fixed point has no NaN."""
    root.operands[2] = building.splat(0, root.operands[2].type, before=root)


def _collect(function: func.FuncOp) -> None:
    """Pattern: 1 / (1 + exp(-x)) -> logistic(x), x / (1 + exp(-x)) -> x logistic(x)

    exp(-x) does not fit for x that is well below zero, where the logistic function is 0.
    """
    replacer = Replacer()
    for found in recognize(function, (SILU, LOGISTIC)):
        if any(op.name == "stablehlo.exponential" for op in found.ops):
            replacer.replace(found, COLLECTED[found.function], "")
    replacer.finish()


def _what_costs(found: Found) -> ir.Value:
    """The value that must be secret for the function to be worth replacing."""
    return found.value("ids") if found.function == "embedding" else found.root.results[0]
