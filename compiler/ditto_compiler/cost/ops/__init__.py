"""What each op of the engine costs, put together from the measured table.

The families are those of `ditto_compiler.ops`; a module registers its rules when it is imported.
"""

from ditto_compiler.cost.ops import (
    bitwise,
    control,
    conversions,
    elementwise,
    functions,
    movement,
    products,
    reductions,
    sorting,
    sources,
)
from ditto_compiler.cost.ops.base import RULES, Costed, Rule, Rules, register

__all__ = ["FAMILIES", "RULES", "Costed", "Rule", "Rules", "register"]

FAMILIES = (
    bitwise,
    control,
    conversions,
    elementwise,
    functions,
    movement,
    products,
    reductions,
    sorting,
    sources,
)
"""Their modules."""
