"""The pass `ditto-apply-rules`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import ir
from ditto_compiler.ops.scales import is_product
from ditto_compiler.options import NO_TEXT
from ditto_compiler.pass_base import Pass
from ditto_compiler.planning.keys import Key, counts_of, keys_of
from ditto_compiler.planning.modules import state
from ditto_compiler.policy import OpFeatures, Policy, features_of, policy_for
from ditto_compiler.rings.numbers import divisions_to_products, ops_with_results


@dataclass(frozen=True)
class DittoApplyRules(Pass):
    """Put what a policy's rules say of numbers beside the engine on the ops that they are about.

    Rules with `fraction`, `spare`, `factors` or `error` speak of ops as ditto-assign-rings finds them, after
    functions, reductions and comparisons have been written out: by op, scope, and `nth`, the number among the
    ops of that name in that scope. What they say becomes `ditto.fraction`, `ditto.spare`, `ditto.factors`,
    and the error of a `ditto.oneshot`. A division by a constant is a product from here on.

    Rules that state a `count`, as those of plans do, are about a program whose scopes have so many ops of
    that name. A scope with more or fewer of them is another program's, where numbers mean other ops: there,
    rules with `nth` are left out, with a warning, and numbers are what the policy gives without.

    Requires: casts inserted, rings not yet assigned. Keeps: everything else.

    Before, with a rule that has `op = "stablehlo.dot_general"`, `fraction = 9` and `factors = [10, 12]`:

        %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
          : (tensor<2x8xf32, #ditto.fxp<64, 18>>, tensor<8x4xf32, #ditto.fxp<64, 18>>)
          -> tensor<2x4xf32, #ditto.fxp<64, 18>>

    After:

        %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
          {ditto.fraction = 9 : i32, ditto.factors = array<i64: 10, 12>}
          : (tensor<2x8xf32, #ditto.fxp<64, 18>>, tensor<8x4xf32, #ditto.fxp<64, 18>>)
          -> tensor<2x4xf32, #ditto.fxp<64, 18>>

    Errors: a rule with `factors` that matches an op which is no product, or one with `error` that matches one
    which is no one-shot function; a policy that cannot be read; a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-apply-rules"
    policy: str = "ditto"
    """A preset or the path of a TOML file."""
    policy_object: Policy | None = field(default=None, metadata=NO_TEXT)
    """A policy made in Python, instead of `policy`."""

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-insert-casts")
        policy = policy_for(module, self.policy_object or self.policy, errors)
        divisions_to_products(entry)
        ops = ops_with_results(entry)
        keys = keys_of(ops)
        others = self._scopes_of_others(policy, ops, keys)
        for op, key in zip(ops, keys, strict=True):
            features = features_of(op, nth=-1 if key.scope in others else key.nth)
            said = policy.choose_beside(features)
            if said.factors is not None and not is_product(op):
                errors.add(
                    op, f"{_who(policy, features)} sets the fraction bits of factors; it is not a product"
                )
            if (said.error, said.loose) != (None, None) and op.name != names.ONESHOT:
                errors.add(op, f"{_who(policy, features)} sets an error; it is not a one-shot function")
            if not errors.diagnostics:
                state(op, said)
        errors.raise_if_any()

    def _scopes_of_others(self, policy: Policy, ops: Sequence[ir.Operation], keys: Sequence[Key]) -> set[str]:
        """Scopes with other ops than rules count on."""
        counting = [rule for rule in policy.rules if rule.count is not None]
        found: set[str] = set()
        for op, key, count in zip(ops, keys, counts_of(ops), strict=True):
            if key.scope in found:
                continue
            features = features_of(op, nth=key.nth)
            for rule in counting:
                if rule.count != count and rule.matches(features):
                    found.add(key.scope)
                    self.note(
                        "warning",
                        op,
                        f"rule '{rule.name}' of policy '{policy.name}' is for {rule.count} such ops in a "
                        f"scope, found {count}: the program, or its ranges, are not those that were planned; "
                        f"what it says of single ops of '{key.scope}' is left out. Plan again",
                    )
                    break
        return found


def _who(policy: Policy, features: OpFeatures) -> str:
    rules = [rule.name for rule in policy.rules if rule.is_beside and rule.matches(features)]
    return f"rule '{rules[-1]}' of policy '{policy.name}'"
