"""Every pass, by name, in the order in which the default pipeline runs them; then those of plugins."""

from __future__ import annotations

from ditto_compiler.extensions import Table
from ditto_compiler.pass_base import Pass
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
from ditto_compiler.passes.ditto_plan import DittoPlan
from ditto_compiler.passes.ditto_print_ranges import DittoPrintRanges
from ditto_compiler.passes.ditto_recover_oneshots import DittoRecoverOneshots
from ditto_compiler.passes.ditto_to_pphlo import DittoToPphlo
from ditto_compiler.passes.ditto_unroll_loops import DittoUnrollLoops
from ditto_compiler.passes.inline_calls import InlineCalls
from ditto_compiler.passes.legalize_chlo import LegalizeChlo

PASSES: Table[type[Pass]] = Table(
    "pass",
    {
        cls.name: cls
        for cls in (
            InlineCalls,
            DittoRecoverOneshots,
            DittoFoldConstants,
            DittoExpandOps,
            DittoExpandLinalg,
            LegalizeChlo,
            DittoCheckSupported,
            DittoCheckPolicy,
            DittoUnrollLoops,
            DittoExpandSorts,
            DittoFoldRanges,
            DittoExpandScatter,
            DittoExpandGather,
            DittoApproximate,
            DittoNormalizeLate,
            DittoApplyRanges,
            DittoChooseFunctions,
            DittoPrintRanges,
            DittoAnnotate,
            DittoInsertCasts,
            DittoOptimizeCasts,
            DittoCheckDomains,
            DittoCheckDigits,
            DittoExpandFunctions,
            DittoLegalizeConstants,
            DittoExpandRescale,
            DittoAssignFractions,
            DittoApplyRules,
            DittoPlan,
            DittoAssignRings,
            DittoOptimizeRescale,
            DittoCheckConstants,
            DittoInsertGuards,
            DittoExpandReductions,
            DittoLegalizeIntegers,
            DittoExpandBounds,
            DittoExpandComparisons,
            DittoOutlineRegions,
            DittoToPphlo,
        )
    },
)
