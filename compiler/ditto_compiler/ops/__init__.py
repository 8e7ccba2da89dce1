"""The ops that Ditto compiles: each has one home, which says all that the compiler knows of it.

`base` says what there is to know. The other modules are families of ops, and register theirs when they are
imported, as this package does. Plugins have homes for more (see `ditto_compiler.plugins`).
"""

from ditto_compiler.ops import (
    bitwise,
    control,
    conversions,
    elementwise,
    functions,
    indexing,
    integers,
    movement,
    oneshot,
    products,
    reductions,
    sorting,
    sources,
)
from ditto_compiler.ops.base import (
    OPS,
    WIDE,
    Kind,
    Op,
    Scale,
    Share,
    is_layout,
    is_source,
    register,
    supported_rings,
)

__all__ = [
    "FAMILIES",
    "OPS",
    "REMEDIES",
    "WIDE",
    "Kind",
    "Op",
    "Scale",
    "Share",
    "is_layout",
    "is_source",
    "register",
    "supported_rings",
]

FAMILIES = (
    sources,
    movement,
    indexing,
    elementwise,
    products,
    reductions,
    sorting,
    conversions,
    bitwise,
    integers,
    functions,
    oneshot,
    control,
)
"""Their modules."""

_RANDOM = "draw random numbers outside the program and pass them in"

REMEDIES: dict[str, str] = {
    "stablehlo.bitcast_convert": f"a shared float has no bits to look at; {_RANDOM}",
    "stablehlo.cbrt": "write jnp.sign(x) * jnp.abs(x) ** (1 / 3)",
    "stablehlo.rng": _RANDOM,
    "stablehlo.rng_bit_generator": _RANDOM,
    "stablehlo.scatter": "select by a mask (jnp.where), or write at a public index "
    "(jax.lax.dynamic_update_slice)",
    "stablehlo.tan": "write jnp.sin(x) / jnp.cos(x)",
}
"""What to do instead of some ops that have no home."""
