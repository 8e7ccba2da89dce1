"""The default pipeline, with the reasons for its order."""

from __future__ import annotations

from collections.abc import Callable

from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import MlirPass
from ditto_compiler.passes.ditto_annotate import DittoAnnotate
from ditto_compiler.passes.ditto_check_supported import DittoCheckSupported
from ditto_compiler.passes.ditto_insert_casts import DittoInsertCasts
from ditto_compiler.passes.ditto_optimize_casts import DittoOptimizeCasts
from ditto_compiler.passes.ditto_outline_regions import DittoOutlineRegions
from ditto_compiler.passes.ditto_to_pphlo import DittoToPphlo
from ditto_compiler.passes.inline_calls import InlineCalls
from ditto_compiler.passes.legalize_chlo import LegalizeChlo
from ditto_compiler.policy import Policy


def precision_pipeline(
    policy: str | Policy = "ditto", *, max_public_constant: int = DittoCheckSupported.max_public_constant
) -> tuple[Pass, ...]:
    """From what JAX exports to StableHLO with rings, scales and explicit, few casts."""
    annotate = DittoAnnotate(policy) if isinstance(policy, str) else DittoAnnotate(policy.name, policy)
    return (
        # Every later pass looks at one function.
        InlineCalls(),
        # Before the check, which knows the expansions' ops but not every CHLO op.
        LegalizeChlo(),
        # Before anything else is rewritten, so that errors speak of the user's own ops.
        DittoCheckSupported(max_public_constant),
        # Equal constants and dead code would only be cast and outlined for nothing.
        MlirPass("canonicalize"),
        MlirPass("cse"),
        annotate,
        DittoInsertCasts(),
        DittoOptimizeCasts(),
        # Hoisting casts repeats layout ops in the other ring; equal ones are merged again.
        MlirPass("cse"),
    )


def lowering_pipeline() -> tuple[Pass, ...]:
    """From there to engine programs and a schedule."""
    return (DittoOutlineRegions(), DittoToPphlo())


def default_pipeline(policy: str | Policy = "ditto") -> tuple[Pass, ...]:
    """Everything, as `ditto.compile` runs it."""
    return precision_pipeline(policy) + lowering_pipeline()


PIPELINES: dict[str, Callable[..., tuple[Pass, ...]]] = {
    "ditto-precision-pipeline": precision_pipeline,
    "ditto-pipeline": default_pipeline,
}
"""The pipelines that `ditto-opt` has a flag for, each a function of the policy."""
