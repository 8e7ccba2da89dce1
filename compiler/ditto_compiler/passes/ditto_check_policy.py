"""The pass `ditto-check-policy`."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ditto_compiler.diagnostics import source_location
from ditto_compiler.ir import entry_function, ir, nested_ops
from ditto_compiler.options import NO_TEXT
from ditto_compiler.pass_base import Pass
from ditto_compiler.policy import Policy, policy_for
from ditto_compiler.scopes import scope_path


@dataclass(frozen=True)
class DittoCheckPolicy(Pass):
    """Report scopes that a policy speaks of and the program does not have.

    A misspelt scope would leave its rule without effect, and nobody would notice. Rules for ops that the
    program does not have are fine, for a policy is written for many programs. Changes nothing.

    Requires: calls inlined; nothing merged or replaced yet, or scopes are gone.

    Errors: a pattern of a rule or of forms.scopes that matches no op's scope; a policy that cannot be read.

    Example, with a rule for `scope = "*/layr0/*"`:

        %0 = stablehlo.tanh %x : tensor<4xf32> loc("jit(f)/layer0/tanh")
        // error: [ditto-check-policy] 'builtin.module' op: rule 'narrow layer' of policy 'mine':
        //     no scope of the program matches '*/layr0/*'; the closest: layer0
    """

    name: ClassVar[str] = "ditto-check-policy"
    policy: str = ""
    """A preset or the path of a TOML file; empty for none."""
    policy_object: Policy | None = field(default=None, metadata=NO_TEXT)
    """A policy made in Python, instead of `policy`."""

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = entry_function(module)
        given = self.policy_object or self.policy
        if not given:
            return
        policy = policy_for(module, given, errors)
        if entry is None:
            return
        stacks = sorted({source_location(op.location).scope for op in nested_ops(entry.operation)})
        patterns = [(f"rule '{rule.name}'", pattern) for rule in policy.rules for pattern in rule.scope]
        patterns += [(rule.name, pattern) for rule in policy.forms for pattern in rule.scope]
        known = {*stacks, *map(scope_path, stacks)}
        for who, pattern in patterns:
            if not fnmatch.filter(known, pattern):
                errors.add(
                    module.operation,
                    f"{who} of policy '{policy.name}': no scope of the program matches '{pattern}'; "
                    f"{_closest(pattern, stacks)}",
                )
        errors.raise_if_any()


def _closest(pattern: str, stacks: Sequence[str]) -> str:
    """What the program has instead."""
    named = {scope_path(stack): stack for stack in reversed(stacks)}
    named.pop("", None)
    if not named:
        return "it has no named scopes (see jax.named_scope)"
    wanted = pattern.strip("*/").split("/")
    parts: dict[str, str] = {}
    for path in named:
        words = path.split("/")
        for start in range(len(words) - len(wanted) + 1):
            parts.setdefault("/".join(words[start : start + len(wanted)]), path)
    close = difflib.get_close_matches("/".join(wanted), parts, n=3) or sorted(named)[:3]
    example = named[parts.get(close[0], close[0])]
    return (
        f"the closest: {', '.join(close)}. A pattern is for a whole name stack, such as '{example}', so it "
        "mostly begins and ends with *"
    )
