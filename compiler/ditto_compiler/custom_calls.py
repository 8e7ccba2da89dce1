"""What front ends leave to libraries: custom calls by target, and what to do instead of them."""

from __future__ import annotations

import re

from ditto_compiler.ir import ir

RUNNING: tuple[str, ...] = ("mhlo.erf", "Sharding")
"""Targets that have a private implementation, or mean nothing to one."""

_LEAST_SQUARES = (
    "it is a singular value decomposition (svd, pinv, lstsq, matrix_rank, norm); for least squares solve the "
    "normal equations, jnp.linalg.solve(x.T @ x, x.T @ y)"
)
_EIGENVALUES = (
    "it finds eigenvalues (eigh, eig, schur), for as many steps as the numbers ask; iterate a fixed number "
    "of matrix products (power iteration), or use cholesky, qr or solve"
)
_FOURIER = "multiply by the matrices of cosines and sines of a Fourier transform instead"

_REMEDIES: tuple[tuple[str, str], ...] = (
    (
        r".*callback.*",
        "it calls back into Python (jax.debug.print, pure_callback, io_callback), which would learn what is "
        "secret; leave it out, or return the value",
    ),
    (r".*(gesdd|gesvd|svd).*", _LEAST_SQUARES),
    (r".*(syevd|heevd|geev|gees|gehrd|sytrd|hetrd|eig).*", _EIGENVALUES),
    (r".*fft.*", _FOURIER),
    (
        r"(lapack|blas)_[cz].*",
        "complex numbers cannot be shared; calculate with real and imaginary parts apart",
    ),
    (
        r"(lapack|blas)_.*",
        "factorizations that run are LU, Cholesky and QR of real matrices, and triangular systems "
        "(ditto-expand-linalg)",
    ),
    (r".*(tpu_custom_call|triton|mosaic).*", "it is a kernel for a device; write it in jax.numpy"),
)


def target_of(op: ir.Operation) -> str:
    """The target of a custom call."""
    return str(ir.StringAttr(op.attributes["call_target_name"]).value)


def call_problem(op: ir.Operation) -> str | None:
    """Why a custom call cannot run, and what to do instead; None if it can, and of any other op."""
    if op.name != "stablehlo.custom_call" or target_of(op) in RUNNING:
        return None
    target = target_of(op)
    default = "write it in jax.numpy, or compute it outside of the program and pass it in"
    remedy = next((remedy for pattern, remedy in _REMEDIES if re.fullmatch(pattern, target)), default)
    return f"there is no private implementation of the custom call @{target}: {remedy}"
