"""Every op of the table in both domains, against JAX."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from op_cases import CASES, EXPECTED, TEXTS, K, X, text_program

import ditto

FRACS = {32: 8, 64: 18, 128: 40}


def assert_near(found, expected, ring):
    """Constants are rounded to the grid, and so is each result: a few units of its last place."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    numbers = np.asarray(expected, np.float64)
    np.testing.assert_allclose(found.astype(np.float64), numbers, atol=2.0 ** (2 - FRACS[ring]), rtol=2e-6)


@pytest.mark.parametrize("mode", ["exact", "fast"])
@pytest.mark.parametrize(
    ("name", "ring"),
    [(name, ring) for name, (*_, tolerance) in CASES.items() for ring in (*tolerance, 128)],
)
def test_op_matches_jax(name, ring, mode):
    function, arguments, _ = CASES[name]
    program = ditto.compile(function, *arguments, policy=f"uniform{ring}")
    simulation = ditto.simulate(program, *arguments, mode=mode)
    assert not simulation.overflows
    expected = jax.jit(function)(*arguments)
    assert jax.tree.structure(simulation.outputs) == jax.tree.structure(expected)
    for ours, jaxs in zip(jax.tree.leaves(simulation.outputs), jax.tree.leaves(expected), strict=True):
        assert_near(ours, jaxs, ring)


@pytest.mark.parametrize("mode", ["exact", "fast"])
@pytest.mark.parametrize("name", TEXTS)
def test_op_in_text_matches_numpy(name, mode):
    program = ditto.compile(text_program(name), policy="uniform64")
    found = ditto.simulate(program, X, mode=mode).outputs
    assert_near(found, EXPECTED[name].astype(np.float32), 64)


def test_engine_functions_err_as_the_engine_does():
    """exp(x) is (1 + x/256)^256 there: 1e-3 from the exponential, at most."""
    x = -np.linspace(0, 4, 50, dtype=np.float32)
    program = ditto.compile(jax.numpy.exp, x, policy="uniform64")
    ideal, engine = (ditto.simulate(program, x, functions=f).outputs for f in ("ideal", "engine"))
    np.testing.assert_allclose(engine, (1 + x.astype(np.float64) / 256) ** 256, atol=5e-4)
    assert 5e-4 < np.abs(engine - ideal).max() < 2e-3


def test_dtypes_are_kept_and_64_bits_need_jax_s_permission():
    with jax.experimental.enable_x64():
        for dtype in (np.float16, np.float32, np.float64, np.int8, np.uint8, np.int64):
            value = np.array([1, 2, 3], dtype)
            program = ditto.compile(lambda a: a * a + a, value, policy="dtype")
            for mode in ("exact", "fast"):
                found = ditto.simulate(program, value, mode=mode).outputs
                assert found.dtype == dtype and found.tolist() == [2, 6, 12]


def test_integers_wrap_around_in_their_ring_and_come_back_in_their_dtype():
    program = ditto.compile(lambda i: i * 2**26, K, policy="uniform32")
    simulation = ditto.simulate(program, K)
    np.testing.assert_array_equal(simulation.outputs, K * np.int32(2**26))
    assert not simulation.overflows


def test_nesting_is_that_of_the_function():
    program = ditto.compile(lambda p: {"sum": p["a"] + p["b"][0], "none": None}, {"a": X, "b": [X]})
    for mode in ("exact", "fast"):
        outputs = ditto.simulate(program, {"a": X, "b": [X]}, mode=mode).outputs
        np.testing.assert_allclose(outputs["sum"], X + X, atol=1e-4)
        assert outputs["none"] is None


def test_wrong_arguments_are_refused():
    program = ditto.compile(lambda x: x + 1, X)
    with pytest.raises(ditto.InputError, match="expected shape"):
        ditto.simulate(program, X.T)
    with pytest.raises(ditto.InputError, match="takes shapes"):
        ditto.simulated(program)(X.T)
    with pytest.raises(ditto.DittoError, match="no mode 'exakt'"):
        ditto.simulate(program, X, mode="exakt")


def test_a_program_without_stablehlo_is_refused():
    program = ditto.compile(lambda x: x + 1, X).replace(annotated="module {}")
    with pytest.raises(ditto.DittoError, match="no StableHLO to simulate"):
        ditto.simulate(program, X)


def test_a_loaded_program_simulates_without_the_engine(tmp_path):
    """The engine is installed only where parties run."""
    ditto.compile(lambda x: x + 1.0, X).save(tmp_path / "program.ditto")
    code = f"""
import sys; sys.modules["spu"] = None
import numpy as np, ditto
program = ditto.Program.load({str(tmp_path / "program.ditto")!r})
assert np.allclose(ditto.simulate(program, np.zeros((3, 4), np.float32)).outputs, 1.0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
