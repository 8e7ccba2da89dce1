"""The default pipeline, with the reasons for its order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ditto_compiler.calibration import Ranges
from ditto_compiler.options import PipelineError, did_you_mean
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import MlirPass, parse_pipeline
from ditto_compiler.passes.ditto_annotate import DittoAnnotate
from ditto_compiler.passes.ditto_apply_ranges import DittoApplyRanges
from ditto_compiler.passes.ditto_apply_rules import DittoApplyRules
from ditto_compiler.passes.ditto_approximate import DittoApproximate
from ditto_compiler.passes.ditto_assign_fractions import DittoAssignFractions
from ditto_compiler.passes.ditto_assign_rings import DittoAssignRings
from ditto_compiler.passes.ditto_check_constants import DittoCheckConstants
from ditto_compiler.passes.ditto_check_digits import DittoCheckDigits
from ditto_compiler.passes.ditto_check_domains import DittoCheckDomains
from ditto_compiler.passes.ditto_check_policy import DittoCheckPolicy
from ditto_compiler.passes.ditto_check_supported import DittoCheckSupported
from ditto_compiler.passes.ditto_choose_functions import DittoChooseFunctions
from ditto_compiler.passes.ditto_expand_bounds import DittoExpandBounds
from ditto_compiler.passes.ditto_expand_comparisons import DittoExpandComparisons
from ditto_compiler.passes.ditto_expand_functions import DittoExpandFunctions
from ditto_compiler.passes.ditto_expand_gather import DittoExpandGather
from ditto_compiler.passes.ditto_expand_linalg import DittoExpandLinalg
from ditto_compiler.passes.ditto_expand_ops import DittoExpandOps
from ditto_compiler.passes.ditto_expand_reductions import DittoExpandReductions
from ditto_compiler.passes.ditto_expand_rescale import DittoExpandRescale
from ditto_compiler.passes.ditto_expand_scatter import DittoExpandScatter
from ditto_compiler.passes.ditto_expand_sorts import DittoExpandSorts
from ditto_compiler.passes.ditto_fold_constants import DittoFoldConstants
from ditto_compiler.passes.ditto_fold_ranges import DittoFoldRanges
from ditto_compiler.passes.ditto_insert_casts import DittoInsertCasts
from ditto_compiler.passes.ditto_insert_guards import DittoInsertGuards
from ditto_compiler.passes.ditto_legalize_constants import DittoLegalizeConstants
from ditto_compiler.passes.ditto_legalize_integers import DittoLegalizeIntegers
from ditto_compiler.passes.ditto_normalize_late import DittoNormalizeLate
from ditto_compiler.passes.ditto_optimize_casts import DittoOptimizeCasts
from ditto_compiler.passes.ditto_optimize_rescale import DittoOptimizeRescale
from ditto_compiler.passes.ditto_outline_regions import DittoOutlineRegions
from ditto_compiler.passes.ditto_recover_oneshots import DittoRecoverOneshots
from ditto_compiler.passes.ditto_to_pphlo import DittoToPphlo
from ditto_compiler.passes.ditto_unroll_loops import DittoUnrollLoops
from ditto_compiler.passes.inline_calls import InlineCalls
from ditto_compiler.passes.legalize_chlo import LegalizeChlo
from ditto_compiler.policy import Policy, load_policy

GUARD_MARGIN = 0.25
"""How much wider than calibrated the ranges of a guarded program are, relatively."""

MorePasses = Mapping[str, Pass | str | Sequence[Pass | str]]
"""Passes besides Ditto's own, or texts of pipelines of them, by the extension point where they run."""

EXTENSION_POINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "before-annotation": "The program is StableHLO of supported ops; functions have their forms, and "
        "values their measured ranges. ditto-check-supported runs once more afterwards.",
        "after-casts": "Every value has a ring and fraction bits, and casts are explicit; functions of the "
        "engine are still themselves.",
        "before-lowering": "The program is what ditto.simulate computes: functions are written out, and "
        "rings and fraction bits are final.",
    }
)
"""Where in the default pipeline other passes may run, and what they find there."""


def _at(point: str, passes: MorePasses) -> tuple[Pass, ...]:
    """The passes to run at an extension point, and the checks that make them as safe as Ditto's own."""
    given = passes.get(point, ())
    found: list[Pass] = []
    for one in [given] if isinstance(given, (str, Pass)) else given:
        found += parse_pipeline(one) if isinstance(one, str) else [one]
    # Constants that are too large for the user's program may be a pass's own.
    return (*found, DittoCheckSupported(max_public_constant=-1)) if found else ()


def check_points(passes: MorePasses) -> None:
    """For what a user gave.

    Raises:
        PipelineError: there is no such extension point, or something there is neither a pass nor text.
    """
    if not isinstance(passes, Mapping):
        raise PipelineError(
            f"passes must be by extension point ({', '.join(EXTENSION_POINTS)}), got {passes!r}"
        )
    for point, given in passes.items():
        if point not in EXTENSION_POINTS:
            raise PipelineError(
                f"there is no extension point {point!r}{did_you_mean(str(point), EXTENSION_POINTS)} "
                f"(there are: {', '.join(EXTENSION_POINTS)})"
            )
        every: Sequence[Any] = given if isinstance(given, (list, tuple)) else [given]
        for one in every:
            if not isinstance(one, (str, Pass)):
                raise PipelineError(f"at {point}: expected passes, or pipelines as text, got {one!r}")


def front_end_pipeline(
    policy: str | Path | Policy, *, max_public_constant: int = DittoCheckSupported.max_public_constant
) -> tuple[Pass, ...]:
    """From what JAX exports to one function of supported ops. Calibration measures its values here."""
    text, policy = _text_and_policy(policy)
    # What falls back before values are measured has ranges of its own.
    engine_alone = (DittoChooseFunctions(beside="none"),)
    return (
        # Every later pass looks at one function.
        InlineCalls(),
        # The only calls that are left.
        DittoRecoverOneshots(),
        # What XLA computes need not be expanded, and is more exact.
        DittoFoldConstants(foreign_only=True),
        # Before the check, which knows the expansions' ops but not what they are of.
        DittoExpandOps(),
        DittoExpandLinalg(wide=policy.rescale == "explicit"),
        LegalizeChlo(),
        # Before anything else is rewritten, so that errors speak of the user's own ops.
        DittoCheckSupported(max_public_constant),
        # Before ops are merged, and their scopes with them.
        DittoCheckPolicy(text, policy),
        # Where there is more to gain in straight code than in the engine's loops.
        *((DittoUnrollLoops(),) if policy.beside == "shares" else ()),
        # Before constants are folded, of which it makes some.
        DittoExpandSorts(),
        # Before ranges are asked for, which know more of numbers than of how they came about.
        DittoFoldConstants(),
        DittoFoldRanges(),
        # Equal constants and dead code would only be cast and outlined for nothing.
        MlirPass("canonicalize"),
        MlirPass("cse"),
        # Once all indices that are known are constants, and before values are measured.
        DittoExpandScatter(),
        DittoExpandGather(),
        MlirPass("cse"),
        DittoApproximate(text, policy_object=policy),
        *((DittoNormalizeLate(),) if policy.beside == "shares" else engine_alone),
        # Forms repeat constants.
        MlirPass("cse"),
    )


def _text_and_policy(policy: str | Path | Policy) -> tuple[str, Policy]:
    """The text that a policy is asked for by, which may be a path, and the policy."""
    loaded = load_policy(policy)
    return (loaded.name if isinstance(policy, Policy) else str(policy)), loaded


def precision_pipeline(
    policy: str | Path | Policy = "ditto",
    *,
    max_public_constant: int = DittoCheckSupported.max_public_constant,
    ranges: Ranges | None = None,
    guard: bool = False,
    passes: MorePasses = MappingProxyType({}),
) -> tuple[Pass, ...]:
    """From what JAX exports to StableHLO with rings, scales and explicit, few casts."""
    check_points(passes)
    lowerable = _at("before-lowering", passes)
    front_end = front_end_pipeline(policy, max_public_constant=max_public_constant)
    text, policy = _text_and_policy(policy)
    # Names of ranges are those of the ops that calibration saw.
    margin = GUARD_MARGIN if guard else 0.0
    applied = DittoApplyRanges(ranges_object=ranges, needed_only=guard, margin=margin)
    measured = () if ranges is None else (applied,)
    # What is guarded is at its final scale, or gets its ring with regard to that.
    guards = (DittoInsertGuards(beside=policy.beside == "shares"),) if guard else ()
    # Which depends on what was measured.
    chosen = (
        (DittoChooseFunctions(), DittoExpandBounds(), MlirPass("cse")) if policy.beside == "shares" else ()
    )
    encoded = (
        *front_end,
        *measured,
        *chosen,
        *_at("before-annotation", passes),
        *_encoding_passes(text, policy, _at("after-casts", passes)),
        # Functions are still themselves, and encodings are final.
        *((DittoCheckDigits(),) if policy.beside == "none" and policy.rescale == "engine" else ()),
        # Depends on encodings; and products are not exact yet.
        DittoExpandFunctions(),
        # Formulas repeat constants.
        MlirPass("cse"),
        # Every constant is now in the encodings that it is used in.
        DittoLegalizeConstants(beside=policy.beside == "shares"),
        MlirPass("cse"),
    )
    if policy.beside == "shares":
        return (
            *encoded,
            *guards,
            # Rings are chosen for what is really computed.
            *_elementary_passes(policy),
            MlirPass("cse"),
            *((DittoApplyRules(text, policy),) if policy.is_planned else ()),
            DittoAssignRings(),
            MlirPass("cse"),
            DittoCheckConstants(),
            # A plan has measured what each rounding does to the results.
            *(() if policy.is_planned else (DittoCheckDigits(),)),
            *lowerable,
        )
    if policy.rescale == "engine":
        return (*encoded, DittoCheckConstants(), *guards, *lowerable)
    return (
        *encoded,
        DittoExpandRescale(),
        DittoAssignFractions(),
        DittoOptimizeRescale(),
        # The rescales of inputs and constants become inputs and constants at those scales.
        DittoOptimizeCasts(),
        MlirPass("cse"),
        # Every constant has the scale that it is held at.
        DittoCheckConstants(),
        DittoCheckDigits(),
        *guards,
        *lowerable,
    )


def _encoding_passes(text: str, policy: Policy, after_casts: tuple[Pass, ...] = ()) -> tuple[Pass, ...]:
    return (
        DittoAnnotate(text, policy),
        DittoInsertCasts(),
        DittoOptimizeCasts(),
        # Hoisting casts repeats layout ops in the other ring; equal ones are merged again.
        MlirPass("cse"),
        *after_casts,
        # Before functions are written out, while they still are what the user called.
        DittoCheckDomains(),
    )


def checking_pipeline(policy: Policy, ranges: Ranges) -> tuple[Pass, ...]:
    """From what `front_end_pipeline` leaves, with what was measured there, to the check of domains."""
    return (DittoApplyRanges(ranges_object=ranges), *_encoding_passes(policy.name, policy))


def lowering_pipeline(policy: str | Path | Policy = "ditto") -> tuple[Pass, ...]:
    """From there to engine programs, instructions for the executor on shares, and a schedule."""
    _, policy = _text_and_policy(policy)
    elementary = _elementary_passes(policy) if policy.beside == "none" else ()
    return (*elementary, DittoOutlineRegions(), DittoToPphlo())


def _elementary_passes(policy: Policy) -> tuple[Pass, ...]:
    # Before regions are outlined, for each comparison ends one.
    beside = policy.beside == "shares"
    comparisons = (DittoExpandComparisons(equality=beside),) if policy.compare == "explicit" else ()
    return (
        DittoExpandReductions(),
        # After reducers became ops of tensors, and before comparisons leave the engine.
        DittoLegalizeIntegers(),
        *comparisons,
    )


def default_pipeline(
    policy: str | Path | Policy = "ditto", *, passes: MorePasses = MappingProxyType({})
) -> tuple[Pass, ...]:
    """Everything, as `ditto.compile` runs it."""
    return precision_pipeline(policy, passes=passes) + lowering_pipeline(policy)


PIPELINES: dict[str, Callable[..., tuple[Pass, ...]]] = {
    "ditto-precision-pipeline": precision_pipeline,
    "ditto-pipeline": default_pipeline,
}
"""The pipelines that `ditto-opt` has a flag for, each a function of the policy."""
