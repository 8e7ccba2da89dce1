"""Every op of the table on the real engine, against JAX.

Tolerances come from the fraction bits: inputs are multiples of 1/16, so only the op itself rounds. A
truncation errs by at most 2 units in the last place; non-linear functions by what SPU's own approximations
of them err.
"""

import dataclasses

import jax
import numpy as np
import pytest
from op_cases import CASES, EXPECTED, TEXTS, X, text_program

import ditto


def run(cluster, function, arguments, policy):
    program = ditto.compile(function, *arguments, policy=policy)
    return jax.tree.leaves(cluster.run(program, *arguments))


@pytest.mark.parametrize("ring", [32, 64])
@pytest.mark.parametrize("name", CASES)
def test_op_matches_jax(cluster, name, ring):
    function, arguments, tolerance = CASES[name]
    if ring not in tolerance:
        with pytest.raises(ditto.DittoError, match="ring"):
            ditto.compile(function, *arguments, policy=f"uniform{ring}")
        return
    expected = jax.tree.leaves(jax.jit(function)(*arguments))
    found = run(cluster, function, arguments, f"uniform{ring}")
    assert len(found) == len(expected)
    for ours, jaxs in zip(found, expected, strict=True):
        assert ours.dtype == jaxs.dtype and ours.shape == jaxs.shape
        np.testing.assert_allclose(
            ours.astype(np.float64), np.asarray(jaxs, np.float64), atol=tolerance[ring], rtol=0
        )


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if 64 in case[2]])
def test_op_matches_jax_on_wide_values(cluster, name):
    """With explicit rescaling, operands that are exact products have 36 fraction bits."""
    function, arguments, tolerance = CASES[name]
    policy = dataclasses.replace(ditto.load_policy("uniform64"), rescale="explicit")

    def on_products(one, *values):
        return function(*(v * one if v.dtype == np.float32 else v for v in values))

    expected = jax.tree.leaves(jax.jit(function)(*arguments))
    found = run(cluster, on_products, (np.float32(1), *arguments), policy)
    for ours, jaxs in zip(found, expected, strict=True):
        # A rescale moves operands by up to 1.5 units of 2^-18 before the op.
        np.testing.assert_allclose(
            ours.astype(np.float64), np.asarray(jaxs, np.float64), atol=2 * tolerance[64] + 2**-12, rtol=0
        )


@pytest.mark.parametrize("name", TEXTS)
def test_op_in_text_matches_numpy(cluster, name):
    program = ditto.compile(text_program(name), policy="uniform64")
    np.testing.assert_allclose(cluster.run(program, X), EXPECTED[name], atol=2e-3, rtol=0)
