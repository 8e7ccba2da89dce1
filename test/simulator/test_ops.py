"""Every op of the table in both domains, against JAX."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from op_cases import CASES, EXPECTED, TEXTS, K, X, text_program

import ditto
from ditto_compiler.ops import OPS
from ditto_compiler.spu import domains

FRACS = {32: 8, 64: 18, 128: 40}

MODES = {"engine": {}, "ideal": {"functions": "ideal"}, "fast": {"mode": "fast"}}
"""With the engine's functions, with functions rounded from float64, and under XLA."""

WRITTEN_OUT = ("exponential", "exponential_minus_one", "logistic")
"""Functions that are approximated by what ditto-expand-functions writes, so in every mode."""


def stated_error(name, ring, expected, operands, mode):
    """How far a function may be from the true one, by its domain; 0 for other ops."""
    frac = FRACS[ring]
    if name in WRITTEN_OUT or (name == "erfc" and mode == "engine"):
        stated = OPS[f"{'chlo' if name == 'erfc' else 'stablehlo'}.{name}"].domain(ring, frac)
        return stated.abs_error + stated.rel_error * np.abs(expected)
    if name not in domains.LAWS or mode != "engine":
        return 0.0
    return domains.error_at(name, ring, frac, np.asarray(expected, np.float64), *operands)


def assert_near(found, expected, ring, error=0.0):
    """Constants are rounded to the grid, and so is each result: a few units of its last place."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    numbers = np.asarray(expected, np.float64)
    off = np.abs(found.astype(np.float64) - numbers)
    assert (off <= 2.0 ** (2 - FRACS[ring]) + 2e-6 * np.abs(numbers) + error).all(), off.max()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "ring"),
    [(name, ring) for name, (*_, tolerance) in CASES.items() for ring in (*tolerance, 128)],
)
def test_op_matches_jax(name, ring, mode):
    function, arguments, _ = CASES[name]
    program = ditto.compile(function, *arguments, policy=f"uniform{ring}")
    # XLA's single precision has less digits than ring 128.
    with jax.experimental.enable_x64(ring == 128):
        simulation = ditto.simulate(program, *arguments, **MODES[mode])
    assert not simulation.overflows
    expected = jax.jit(function)(*arguments)
    assert jax.tree.structure(simulation.outputs) == jax.tree.structure(expected)
    operands = (*arguments, np.float64(2.5)) if name == "power" else arguments
    for ours, jaxs in zip(jax.tree.leaves(simulation.outputs), jax.tree.leaves(expected), strict=True):
        assert_near(ours, jaxs, ring, stated_error(name, ring, jaxs, operands, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", TEXTS)
def test_op_in_text_matches_numpy(name, mode):
    program = ditto.compile(text_program(name), policy="uniform64")
    found = ditto.simulate(program, X, **MODES[mode]).outputs
    expected = EXPECTED[name].astype(np.float32)
    function = "erf" if name == "custom_call" else name
    assert_near(found, expected, 64, stated_error(function, 64, expected, (X,), mode))


def test_engine_functions_err_as_the_engine_does():
    """tanh is off by up to 4.9e-3, and 1.0027 from 5 on."""
    x = np.linspace(-4.5, 6, 500, dtype=np.float32)
    program = ditto.compile(jax.numpy.tanh, x, policy="uniform64")
    ideal, engine = (ditto.simulate(program, x, functions=f).outputs for f in ("ideal", "engine"))
    np.testing.assert_allclose(ideal, np.tanh(x.astype(np.float64)), atol=2.0**-18)
    stated = domains.domain("tanh", 64, 18).abs_error
    assert stated / 2 < np.abs(engine - ideal).max() <= stated
    np.testing.assert_allclose(engine[x >= 5.0], 1.0027, atol=1e-4)


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
