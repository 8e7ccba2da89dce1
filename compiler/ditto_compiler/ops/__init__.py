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
    "REAL_PARTS",
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

REAL_PARTS = "calculate with real and imaginary parts apart"

REMEDIES: dict[str, str] = {
    "stablehlo.bitcast_convert": "a shared float has no bits to look at but its sign; compare it, "
    "or calculate with it",
    **dict.fromkeys(("stablehlo.complex", "stablehlo.imag", "stablehlo.real"), REAL_PARTS),
    "stablehlo.fft": "multiply by the matrices of cosines and sines of a Fourier transform instead",
    "stablehlo.rng": _RANDOM,
    "stablehlo.rng_bit_generator": _RANDOM,
    "stablehlo.select_and_scatter": "it runs where it gives each window's number to its "
    "largest or smallest element, and windows do not reach beyond the tensor: pad it first",
}
"""What to do instead of some ops that have no home."""
