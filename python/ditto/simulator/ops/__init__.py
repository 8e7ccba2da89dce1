"""How each op computes in the value domains: exact and fast rules side by side.

The families are those of `ditto_compiler.ops`; a module registers its rules when it is imported.
"""

from ditto.simulator.ops import (
    bitwise,
    casts,
    control,
    conversions,
    elementwise,
    functions,
    indexing,
    integers,
    movement,
    products,
    reductions,
    shares,
    sorting,
    sources,
)
from ditto.simulator.ops.base import EXACT, FAST, register

__all__ = ["EXACT", "FAMILIES", "FAST", "register"]

FAMILIES = (
    shares,
    bitwise,
    casts,
    control,
    conversions,
    elementwise,
    functions,
    indexing,
    integers,
    movement,
    products,
    reductions,
    sorting,
    sources,
)
"""Their modules."""
