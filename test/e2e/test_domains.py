"""Functions of arguments inside and outside of their domains: parties, simulator and plaintext.

Inside, the parties are within the simulator's bounds, and within the stated error of JAX. Outside, the
simulator has a finding, or the compiler an error.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax

import ditto
from ditto.simulator import OutOfDomain
from ditto_compiler.calibration import Ranges
from ditto_compiler.encoding import Fxp
from ditto_compiler.forms.table import ENGINE_FORMS
from ditto_compiler.ops import OPS
from ditto_compiler.policy import FormRule, Policy
from ditto_compiler.spu.domains import Domain, contains, error_at

SETTINGS = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

N = 16

# op -> (function, the engine's name for it)
UNARY: dict[str, tuple[Callable[..., Any], str]] = {
    "stablehlo.exponential": (jnp.exp, ""),
    "stablehlo.exponential_minus_one": (jnp.expm1, ""),
    "stablehlo.logistic": (jax.nn.sigmoid, ""),
    "stablehlo.log": (jnp.log, "log"),
    "stablehlo.log_plus_one": (jnp.log1p, "log_plus_one"),
    "stablehlo.rsqrt": (lax.rsqrt, "rsqrt"),
    "stablehlo.sqrt": (jnp.sqrt, "sqrt"),
    "stablehlo.tanh": (jnp.tanh, "tanh"),
    "stablehlo.sine": (jnp.sin, "sine"),
    "stablehlo.cosine": (jnp.cos, "cosine"),
    "chlo.erf": (lax.erf, "erf"),
    "chlo.erfc": (lax.erfc, "erf"),
}
BINARY: dict[str, tuple[Callable[..., Any], str]] = {
    "stablehlo.divide": (lax.div, "divide"),
    "stablehlo.power": (lax.pow, "power"),
    "stablehlo.atan2": (lax.atan2, "atan2"),
    "stablehlo.remainder": (lax.rem, "remainder"),
}

POLICIES = {
    "uniform64": ditto.load_policy("uniform64"),
    "explicit": dataclasses.replace(ditto.load_policy("uniform64"), rescale="explicit", compare="explicit"),
    "uniform128": ditto.load_policy("uniform128"),
}
ENCODINGS = {"uniform64": Fxp(64, 18), "explicit": Fxp(64, 18), "uniform128": Fxp(128, 40)}


def domain_of(op: str, encoding: Fxp) -> Domain:
    rule = OPS[op].domain
    assert rule is not None
    return rule(encoding.ring, encoding.frac)


def on_grid(x: np.ndarray, encoding: Fxp) -> np.ndarray:
    """x as the ring holds it, where there is one zero: atan2(-0, -1) of a ring is pi, not -pi."""
    return np.ldexp(np.rint(np.ldexp(x, encoding.frac)), -encoding.frac) + 0.0


def magnitudes(draw: st.DrawFn, low: float, high: float) -> float:
    """A number of any magnitude in (low, high)."""
    limit = high if low >= 0 or (high > 0 and draw(st.booleans())) else low
    exponent = draw(st.floats(-20.0, math.log2(min(abs(limit), 2.0**40))))
    return math.copysign(2.0**exponent, limit)


@st.composite
def inside(draw: st.DrawFn, op: str, encoding: Fxp) -> list[np.ndarray]:
    """Operands in the domain."""
    found, name = domain_of(op, encoding), op.partition(".")[2]
    columns = []
    for index in range(2 if op in BINARY else 1):
        low, high = found.low, found.high
        if index and name in ("divide", "remainder"):
            low, high = -found.divisor, found.divisor
        if name == "power":
            low, high = (2.0**-9, 2.0**9) if index == 0 else (-3.0, 3.0)
        columns.append(on_grid(np.array([magnitudes(draw, low, high) for _ in range(N)]), encoding))
    fits = contains(name, found, *columns)
    middle = [1.0] * len(columns)
    return [np.where(fits, column, one) for column, one in zip(columns, middle, strict=True)]


def error_of(op: str, encoding: Fxp, true: np.ndarray, operands: list[np.ndarray]) -> np.ndarray:
    found, (_, engine) = domain_of(op, encoding), {**UNARY, **BINARY}[op]
    if not engine or op == "chlo.erfc":
        return found.abs_error + found.rel_error * np.abs(true)
    stated = error_at(engine, encoding.ring, encoding.frac, true, *operands)
    if op == "stablehlo.remainder":
        # Where the quotient is near a whole number, it may be the next one.
        quotient = operands[0] / operands[1]
        unsure = 6e-5 * np.abs(quotient) + 2.0 ** (2 - encoding.frac) * (1 + 1 / np.abs(operands[1]))
        close = np.abs(quotient - np.rint(quotient)) <= unsure
        stated = stated + np.where(close, np.abs(operands[1]) * np.ceil(unsure), 0.0)
    return stated


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("op", [*UNARY, *BINARY])
@SETTINGS
@given(data=st.data())
def test_inside_of_the_domain_the_stated_error_holds(
    cluster: ditto.LocalCluster, op: str, policy: str, data: st.DataObject
) -> None:
    function, _ = {**UNARY, **BINARY}[op]
    encoding = ENCODINGS[policy]
    with jax.experimental.enable_x64():
        operands = data.draw(inside(op, encoding))
        program = ditto.compile(lambda *x: function(*x), *operands, policy=POLICIES[policy])
        simulation = ditto.simulate(program, *operands)
        found = cluster.run(program, *operands)
        true = np.asarray(function(*operands))
    assert not simulation.overflows, simulation.overflows
    assert np.isfinite(simulation.error_bounds).all()
    assert (np.abs(found - simulation.outputs) <= simulation.error_bounds).all()
    # The result is rounded to its dtype.
    assert (np.abs(found - true) <= error_of(op, encoding, true, operands) + 1e-15 * np.abs(true)).all()


@pytest.mark.parametrize("op", [*UNARY, *BINARY])
@SETTINGS
@given(data=st.data())
def test_operands_with_errors_stay_within_bounds(
    cluster: ditto.LocalCluster, op: str, data: st.DataObject
) -> None:
    """The operands are products, which parties and simulator truncate apart."""
    function, _ = {**UNARY, **BINARY}[op]
    with jax.experimental.enable_x64():
        operands = data.draw(inside(op, Fxp(64, 18)))
        third = np.float64(0.9)
        program = ditto.compile(
            lambda third, *x: function(*(v * third for v in x)), third, *operands, policy="uniform64"
        )
        simulation = ditto.simulate(program, third, *operands)
        found = cluster.run(program, third, *operands)
    assert (np.abs(found - simulation.outputs) <= simulation.error_bounds).all()


OUTSIDE: dict[str, list[tuple[float, ...]]] = {
    "stablehlo.exponential": [(18.5,), (25.0,), (1e4,)],
    "stablehlo.exponential_minus_one": [(18.5,), (1e3,)],
    "stablehlo.log": [(0.0,), (-1.0,), (6e5,), (1e12,)],
    "stablehlo.log_plus_one": [(-1.0,), (-3.0,), (1e6,)],
    "stablehlo.rsqrt": [(0.0,), (-1.0,), (1.32e5,), (1e9,)],
    "stablehlo.sqrt": [(-1.0,), (1.32e5,), (1e9,)],
    "stablehlo.sine": [(7e4,), (-1e6,)],
    "stablehlo.cosine": [(7e4,), (-1e6,)],
    "stablehlo.divide": [(1.0, 0.0), (4e7, 3.0), (1.0, 3e5), (1e6, 0.001)],
    "stablehlo.power": [(2.0, 33.0), (1e6, 1.0), (0.0, 0.5)],
    "stablehlo.atan2": [(3e5, 1.0), (1.0, -3e5)],
    "stablehlo.remainder": [(1.0, 0.0), (1.0, 3e5), (4e7, 3.0)],
}


@pytest.mark.parametrize("op", OUTSIDE)
def test_outside_of_the_domain_the_simulator_finds_it(op: str) -> None:
    function, _ = {**UNARY, **BINARY}[op]
    arguments = [np.float32(0.5), np.float32(0.5)][: 1 + (op in BINARY)]
    program = ditto.compile(lambda *x: function(*x), *arguments, policy="uniform64")
    assert not ditto.simulate(program, *arguments).overflows
    for outside in OUTSIDE[op]:
        simulation = ditto.simulate(program, *map(np.float32, outside))
        assert simulation.overflows, outside
        assert np.isinf(simulation.error_bounds)


def test_findings_say_where_what_and_what_would_be_right() -> None:
    def model(x: Any) -> Any:
        with jax.named_scope("norm"):
            return lax.rsqrt(x)

    x = np.float32([2.0, 3e5, 2e5])
    (finding,) = ditto.simulate(ditto.compile(model, x, policy="uniform64"), x).overflows
    assert isinstance(finding, OutOfDomain)
    line = model.__code__.co_firstlineno + 2
    assert str(finding).endswith(
        f"test_domains.py:{line}:19: stablehlo.rsqrt: 300000 is out of its domain: it is right for between "
        "3.815e-06 and 1.311e+05 in #ditto.fxp<64, 18>; elsewhere it gives 0 (2 elements are outside)"
    )
    assert finding.scope == "jit(model)/jit(main)/norm/rsqrt" and finding.elements == 2


def test_tiny_exponentials_are_zero(cluster: ditto.LocalCluster) -> None:
    """The engine's own would be 1 at -512, and 1e8 at -1000."""
    x = np.float32([-17.0, -100.0, -480.0, -512.0, -1000.0, -1e6, -1e12])
    for policy in (*POLICIES.values(), ditto.load_policy("ditto")):
        program = ditto.compile(lambda x: (jnp.exp(x), jax.nn.sigmoid(x), jnp.expm1(x)), x, policy=policy)
        power, logistic, minus_one = cluster.run(program, x)
        # In one go it is a form, with its error.
        error = 1e-3 if policy.beside == "shares" else 2.0**-17
        assert np.abs(power).max() <= 2.0**-18 and np.abs(logistic).max() <= error
        assert np.abs(minus_one + 1).max() <= 2.0**-18
        fast = ditto.simulate(program, x, mode="fast").outputs[0]
        assert np.abs(fast).max() <= 2.0**-18
        assert np.abs(cluster.run(program, -x)[1] - 1).max() <= error


def calibrated(function: Callable[..., Any], *arguments: Any, policy: Policy | str) -> ditto.Program:
    ranges = ditto.calibrate(function, [arguments], policy=policy)
    return ditto.compile(function, *arguments, policy=policy, ranges=ranges)


LARGE: dict[str, tuple[Callable[..., Any], tuple[Any, ...], float]] = {
    # function, arguments beyond the domain of 18 bits, relative error
    "rsqrt": (lax.rsqrt, (np.geomspace(1e-3, 4e6, 64),), 4e-3),
    "sqrt": (jnp.sqrt, (np.geomspace(1e-3, 4e6, 64),), 2e-3),
    "log": (jnp.log, (np.geomspace(1e-2, 1e7, 64),), 1e-3),
    "log1p": (jnp.log1p, (np.geomspace(1e-2, 1e7, 64),), 1e-3),
    "divide": (jnp.divide, (np.geomspace(1e-1, 1e6, 64), np.geomspace(1.0, 1e7, 64)), 1e-3),
    "divide by both signs": (
        jnp.divide,
        (np.full(64, 1e4), np.concatenate([-np.geomspace(1.0, 5e6, 32), np.geomspace(1.0, 5e6, 32)])),
        2e-3,
    ),
}


@pytest.mark.parametrize("mode", ["uniform64", "explicit"])
@pytest.mark.parametrize("name", LARGE)
def test_large_arguments_that_are_known_are_right(cluster: ditto.LocalCluster, name: str, mode: str) -> None:
    function, operands, tolerance = LARGE[name]
    arguments = [x.astype(np.float32) for x in operands]
    program = calibrated(function, *arguments, policy=POLICIES[mode])
    simulation = ditto.simulate(program, *arguments)
    assert not simulation.overflows
    found = cluster.run(program, *arguments)
    assert (np.abs(found - simulation.outputs) <= simulation.error_bounds).all()
    true = np.asarray(function(*(x.astype(np.float64) for x in arguments)))
    assert (np.abs(found - true) <= tolerance * np.abs(true) + 2.0**-15).all()
    # What nothing is known of is the engine's own, and found.
    unknown = ditto.compile(function, *arguments, policy=POLICIES[mode])
    assert ditto.simulate(unknown, *arguments).overflows


def test_ranges_that_leave_a_domain_are_errors_and_calibration_warns() -> None:
    x = np.float32([1.0, 30.0])
    with pytest.warns(ditto.DittoWarning, match=r"'stablehlo.exponential' op: its argument is in \[1, 30\]"):
        ranges = ditto.calibrate(jnp.exp, [(x,)], policy="uniform64")
    with pytest.raises(ditto.DittoError, match="it is right for between"):
        ditto.compile(jnp.exp, x, policy="uniform64", ranges=ranges)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ditto.calibrate(jnp.exp, [(x / 2,)], policy="uniform64")


def test_remarks_say_what_is_not_known(tmp_path: Any) -> None:
    program = ditto.compile(lambda x: jnp.log(x), np.float32([1.0]), policy="uniform64")
    (remark,) = (str(one) for one in program.remarks if one.pass_name == "ditto-check-domains")
    assert "1 x stablehlo.log: between 3.815e-06 and 5.243e+05" in remark
    assert not any("check-domains" in str(one) for one in ditto.compile(jnp.tanh, np.float32([1.0])).remarks)
    program.save(tmp_path / "program.ditto")
    loaded = ditto.Program.load(tmp_path / "program.ditto")
    assert loaded == program and loaded.remarks == ()


def test_warnings_of_the_compiler_are_pythons() -> None:
    x = np.float32([0.1])
    (name,) = (
        key for key in ditto.calibrate(jnp.tanh, [(x,)], policy="uniform64").intervals if "tanh" in key
    )
    ranges = Ranges.of({name: (3.0, 4.0)})
    with pytest.warns(ditto.DittoWarning, match="the measurement is believed"):
        program = ditto.compile(jnp.tanh, x, policy="uniform64", ranges=ranges)
    assert any(one.severity == "warning" for one in program.remarks)


MASKS = ["-1e4", "-1e9", "min", "-inf"]
SCORES = np.random.default_rng(1).normal(size=(4, 8)) * 3
MASK = np.arange(8) < np.array([[1], [3], [5], [8]])
SOFTMAX_ERROR = {"puma": 0.03, "ditto": 0.004, "ditto-quad": 0.004}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("policy", ["dtype", "uniform64", "uniform128", "puma", "ditto", "ditto-quad"])
def test_masks_hide_under_every_preset(cluster: ditto.LocalCluster, policy: str, dtype: str) -> None:
    """Selected and added, of every usual size."""
    kind = jnp.dtype(dtype)
    sizes = {"-1e4": -1e4, "-1e9": -1e9, "min": float(jnp.finfo(kind).min), "-inf": -math.inf}
    masks = [sizes[name] for name in MASKS if not (dtype == "float16" and name == "-1e9")]

    def weights(x: Any, mask: Any) -> Any:
        lowest = [jnp.asarray(size, kind) for size in masks]
        selected = [jax.nn.softmax(jnp.where(mask, x, low)) for low in lowest]
        return selected, [jax.nn.softmax(x + jnp.where(mask, jnp.zeros_like(low), low)) for low in lowest]

    x = np.asarray(jnp.asarray(SCORES, kind))
    program = ditto.compile(weights, x, MASK, policy=policy)
    simulation = ditto.simulate(program, x, MASK)
    assert not simulation.overflows
    found = jax.tree.leaves(cluster.run(program, x, MASK))
    hidden = np.where(MASK, np.asarray(x, np.float64), -math.inf)
    expected = np.exp(hidden) / np.exp(hidden).sum(-1, keepdims=True)
    # Ring 32 has 8 fraction bits for half precision.
    rough = 0.0 if dtype == "float32" else 0.016
    assert len(found) == 2 * len(masks)
    for one in found:
        one = one.astype(np.float64)
        np.testing.assert_allclose(one, expected, atol=SOFTMAX_ERROR.get(policy, 1e-4) + rough, rtol=0)
        # The smallest weight of `narrow` is 2^-14; rounding on shares adds a unit of it, and two of 2^-18.
        assert np.abs(one[~MASK]).max() <= rough / 2 + 2.0**-13 + 2.0**-17


def layer_norm(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def rms_norm(x: Any) -> Any:
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)


NORMS = {"layer_norm": layer_norm, "rms_norm": rms_norm}


@pytest.mark.parametrize("base", ["uniform64", "ditto"])
@pytest.mark.parametrize(
    ("norm", "form"), [(norm, form) for norm in NORMS for form in ("exact", *ENGINE_FORMS[norm])]
)
@pytest.mark.parametrize("scale", [100.0, 1e3, 1e4])
def test_norms_of_large_rows_are_right_or_found(
    cluster: ditto.LocalCluster, base: str, norm: str, form: str, scale: float
) -> None:
    policy = ditto.load_policy(base)
    policy = dataclasses.replace(policy, forms=(*policy.forms, FormRule("test", {norm: form})))
    x = (np.random.default_rng(2).normal(size=(4, 32)) * scale).astype(np.float32)
    expected = np.asarray(NORMS[norm](x.astype(np.float64)))
    # 1/deviation has 18 bits, and what it is multiplied by is as large as the row.
    error = 2e-3 + 16 * np.abs(x).max() * 2.0**-18
    unknown = ditto.compile(NORMS[norm], x, policy=policy)
    if not ditto.simulate(unknown, x).overflows:
        np.testing.assert_allclose(cluster.run(unknown, x), expected, atol=error, rtol=0)
    else:
        assert scale >= 1e3
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ditto.DittoWarning)
            known = calibrated(NORMS[norm], x, policy=policy)
    except ditto.DittoError as refusal:
        assert scale >= 1e3 and "[ditto-" in str(refusal), str(refusal)
        return
    assert not ditto.simulate(known, x).overflows
    np.testing.assert_allclose(cluster.run(known, x), expected, atol=error, rtol=0)
