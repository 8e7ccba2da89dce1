"""Every case of conformance to StableHLO, and the special ones: what an implementation is run against."""

import numpy as np
from case_builders import Case
from control_cases import CONTROL_CASES
from conversion_cases import CONVERSION_CASES, LARGE_CONVERSIONS
from elementwise_cases import ELEMENTWISE_CASES
from indexing_cases import INDEXING_CASES
from integer_cases import INTEGER_CASES
from movement_cases import MOVEMENT_CASES
from product_cases import PRODUCT_CASES
from reduction_cases import REDUCTION_CASES
from sort_cases import SORT_CASES
from special_cases import SPECIALS as SPECIAL_VALUES

FAMILIES = {
    "control": CONTROL_CASES,
    "conversion": CONVERSION_CASES,
    "elementwise": ELEMENTWISE_CASES,
    "indexing": INDEXING_CASES,
    "integer": INTEGER_CASES,
    "movement": MOVEMENT_CASES,
    "product": PRODUCT_CASES,
    "reduction": REDUCTION_CASES,
    "sort": SORT_CASES,
}

CASES = tuple(case for family in FAMILIES.values() for case in family)

SPECIALS = (*SPECIAL_VALUES, *LARGE_CONVERSIONS)

FINITE_SPECIALS = tuple(
    case for case in SPECIALS if all(np.isfinite(value.astype("f8")).all() for value in case.expected)
)
"""Special cases whose results are numbers: infinities and the like come up only on the way to them."""

__all__ = ["CASES", "FAMILIES", "FINITE_SPECIALS", "SPECIALS", "Case"]
