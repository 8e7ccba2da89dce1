"""Which functions a program computes, and in which other forms it could."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ditto.planning.policies import OtherForm
from ditto.planning.sampled import Sampled
from ditto_compiler.diagnostics import source_location
from ditto_compiler.forms.table import FORM_NAMES, FORMS
from ditto_compiler.ir import functions
from ditto_compiler.passes.ditto_approximate import DittoApproximate
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.planning.keys import patterns, unnumbered
from ditto_compiler.policy import Policy, form_of
from ditto_compiler.recognizers import recognize


def other_forms(program: Sampled, policy: Policy) -> Iterator[OtherForm]:
    """Each form that the policy does not choose, for each function; layers that are alike have the same."""
    passes = front_end_pipeline(policy, max_public_constant=program.max_public_constant)
    module = program.before(DittoApproximate, passes)
    scopes: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for body in functions(module):
        for one in recognize(body) if not body.is_external else ():
            scope = source_location(one.root.location).scope
            scopes[(one.function, unnumbered(scope))][scope] = None
    every = {scope for found in scopes.values() for scope in found}
    for (function, _), found in scopes.items():
        chosen = form_of(policy.forms, function, next(iter(found)))
        # They are not near the function: a model must be trained for them.
        trained = {form.name for form in FORMS[function].values() if form.max_error is None}
        for form in FORM_NAMES[function]:
            if form != chosen and form not in trained:
                yield OtherForm(function, form, patterns(list(found), every - set(found)))
