"""Factorizations of small matrices, against plaintext JAX, from three parties."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import jax.scipy.linalg as sl
import numpy as np
import pytest

import ditto

RNG = np.random.default_rng(1)
Matrix = np.ndarray[Any, Any]


def with_singular_values(values: Any, batch: tuple[int, ...] = ()) -> Matrix:
    n = len(values)
    left, right = (np.linalg.qr(RNG.normal(size=(*batch, n, n)))[0] for _ in range(2))
    return np.asarray((left * values) @ right, np.float32)


def well(n: int, batch: tuple[int, ...] = ()) -> Matrix:
    """Of condition 4."""
    return with_singular_values(np.linspace(0.5, 2, n), batch)


def positive(n: int, batch: tuple[int, ...] = ()) -> Matrix:
    a = well(n, batch)
    return np.asarray(a @ np.swapaxes(a, -1, -2), np.float32)


def normal(*shape: int) -> Matrix:
    return np.asarray(RNG.normal(size=shape), np.float32)


X, Y = normal(20, 4) * np.float32(0.3), normal(20)

CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "cholesky": (jnp.linalg.cholesky, (positive(4),)),
    "cholesky of a batch": (jnp.linalg.cholesky, (positive(3, (2,)),)),
    "cholesky of one number": (jnp.linalg.cholesky, (np.float32([[2.5]]),)),
    "the gradient of cholesky": (jax.grad(lambda a: jnp.linalg.cholesky(a).sum()), (positive(3),)),
    "cho_solve": (lambda a, b: sl.cho_solve(sl.cho_factor(a), b), (positive(4), normal(4, 2))),
    "lu": (sl.lu, (well(4),)),
    "lu_factor of a batch": (sl.lu_factor, (well(3, (2,)),)),
    "lu of more columns": (sl.lu_factor, (np.hstack([well(3), normal(3, 2)]),)),
    "inv": (jnp.linalg.inv, (well(4),)),
    "inv of a batch": (jnp.linalg.inv, (well(3, (2,)),)),
    "inv of one number": (jnp.linalg.inv, (np.float32([[-2.5]]),)),
    "inv of what must be pivoted": (jnp.linalg.inv, (np.float32([[0, 2, 0], [0, 0, -1], [1, 0, 0]]),)),
    "inv of 8": (jnp.linalg.inv, (well(8),)),
    "the gradient of inv": (jax.grad(lambda a: (jnp.linalg.inv(a) ** 2).sum()), (well(3),)),
    "solve": (jnp.linalg.solve, (well(4), normal(4, 2))),
    "solve one vector": (jnp.linalg.solve, (well(4), normal(4))),
    "solve each": (jax.vmap(jnp.linalg.solve), (well(3, (2,)), normal(2, 3))),
    "solve for a batch": (jnp.linalg.solve, (well(3), normal(2, 3, 3))),
    "det": (jnp.linalg.det, (well(5),)),
    "slogdet": (jnp.linalg.slogdet, (well(4, (2,)),)),
    "the gradient of slogdet": (jax.grad(lambda a: jnp.linalg.slogdet(a)[1]), (well(4),)),
    "qr": (jnp.linalg.qr, (normal(5, 3),)),
    "complete qr": (lambda a: jnp.linalg.qr(a, mode="complete"), (normal(4, 2),)),
    "qr of more columns": (jnp.linalg.qr, (normal(2, 4),)),
    "qr of a triangle": (jnp.linalg.qr, (np.float32([[2, 1, 0.5], [0, -1, 1], [0, 0, 3]]),)),
    "solve_triangular": (
        lambda a, b: sl.solve_triangular(a, b, lower=True, trans=1),
        (np.tril(well(4)) + 2 * np.eye(4, dtype=np.float32), normal(4, 2)),
    ),
    "solve_triangular of ones": (
        lambda a, b: sl.solve_triangular(a, b, unit_diagonal=True),
        (well(4), normal(4, 2)),
    ),
    "ridge regression": (lambda x, y: jnp.linalg.solve(x.T @ x + jnp.eye(4), x.T @ y), (X, Y)),
}


def check(cluster: ditto.LocalCluster, name: str, policy: str) -> None:
    function, arguments = CASES[name]
    program = ditto.compile(function, *arguments, policy=policy)
    expected = jax.tree.leaves(jax.jit(function)(*arguments))
    for ours, jaxs in zip(jax.tree.leaves(cluster.run(program, *arguments)), expected, strict=True):
        assert (ours.dtype, ours.shape) == (jaxs.dtype, jaxs.shape)
        true = np.asarray(jaxs, float)
        error = 4e-3 if "gradient" in name else 1e-3
        np.testing.assert_allclose(ours.astype(float), true, atol=error * (1 + np.abs(true).max()), rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_well_conditioned_matrices(cluster: ditto.LocalCluster, name: str) -> None:
    check(cluster, name, "ditto")


@pytest.mark.parametrize("name", ["cholesky", "inv", "qr", "lu"])
def test_in_the_engine_alone(cluster: ditto.LocalCluster, name: str) -> None:
    check(cluster, name, "uniform64")


@pytest.mark.parametrize("name", ["inv", "cholesky", "solve"])
def test_singular_matrices_are_findings(name: str) -> None:
    functions: dict[str, Callable[..., Any]] = {
        "inv": jnp.linalg.inv,
        "cholesky": jnp.linalg.cholesky,
        "solve": lambda a: jnp.linalg.solve(a, jnp.ones(3)),
    }
    singular = np.ones((3, 3), np.float32)
    program = ditto.compile(functions[name], singular)
    assert any(
        word in str(ditto.simulate(program, singular).overflows) for word in ("divide", "rsqrt", "oneshot")
    )


def test_calibration_warns_of_small_pivots() -> None:
    """Of condition 20000: what is left after the first steps has few digits."""
    a = with_singular_values([1, 0.5, 5e-5])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ranges = ditto.calibrate(jnp.linalg.inv, [(a,)])
        try:
            ditto.compile(jnp.linalg.inv, a, ranges=ranges)
        except ditto.DittoError:
            return
    assert [warning for warning in caught if issubclass(warning.category, ditto.DittoWarning)]


def test_large_matrices_are_refused() -> None:
    with pytest.raises(ditto.DittoError, match=r"a matrix of 17 rows or columns.*up to 16 \(max-size\)"):
        ditto.compile(jnp.linalg.inv, well(17))


UNSUPPORTED: dict[str, tuple[Callable[..., Any], str]] = {
    "eigh": (jnp.linalg.eigh, "it finds eigenvalues.*power iteration"),
    "svd": (jnp.linalg.svd, "singular value decomposition.*normal equations"),
    "pinv": (jnp.linalg.pinv, "singular value decomposition.*normal equations"),
    "lstsq": (lambda a: jnp.linalg.lstsq(a, a), "singular value decomposition.*normal equations"),
    "schur": (sl.schur, "it finds eigenvalues"),
    "complex": (lambda a: jnp.fft.fft(a).real, "real and imaginary parts apart"),
    "debug.print": (lambda a: (jax.debug.print("{}", a), a)[1], "calls back into Python.*leave it out"),
    "pure_callback": (
        lambda a: jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct((3, 3), np.float32), a),
        "calls back into Python.*return the value",
    ),
    "io_callback": (
        lambda a: (jax.experimental.io_callback(lambda x: None, None, a), a)[1],
        "calls back into Python",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_other_calls_say_what_to_do(name: str) -> None:
    function, message = UNSUPPORTED[name]
    with pytest.raises(ditto.DittoError, match=message) as error:
        ditto.compile(function, positive(3))
    assert "tuple" not in str(error.value)
