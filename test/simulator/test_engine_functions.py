"""The emulation against the engine: bit by bit in plaintext, within the stated bounds among three parties."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from ditto.bench.measured_domains import TRUE, arguments, engine_result, sure
from ditto.bench.raw_engine import RawEngine, ring_elements
from ditto.simulator.engine_functions import BY_FLOAT32, FUNCTIONS, ULPS
from ditto.simulator.ring import as_raw, read
from ditto_compiler.encoding import Fxp
from ditto_compiler.spu.domains import LAWS, domain, error_at

CASES = [(32, 8), (32, 12), (64, 14), (64, 17), (64, 18), (64, 24), (128, 30), (128, 40)]
BINARY = ("atan2", "divide", "power", "remainder")


@cache
def engine(ring: int, frac: int, private: bool) -> RawEngine:
    return RawEngine(ring, frac, private=private)


@cache
def every_octave(ring: int) -> Any:
    """A few units, powers of two and their neighbours, random numbers of all magnitudes, and the limits."""
    random = np.random.default_rng(ring)
    values = list(range(-20, 21))
    for bit in range(ring - 1):
        near = [(1 << bit) + d for d in (-1, 0, 1)]
        values += [sign * v for v in near for sign in (1, -1)]
        values += [sign * ((int(random.integers(2**62)) << bit) >> 62) for sign in (1, -1) for _ in range(3)]
    return as_raw([*values, -(1 << (ring - 1)), (1 << (ring - 1)) - 1], ring)


def available(ring: int, frac: int) -> list[str]:
    return [name for name in LAWS if not domain(name, ring, frac).is_empty]


@pytest.mark.parametrize(("ring", "frac"), CASES)
def test_bit_by_bit_like_the_plaintext_protocol(ring: int, frac: int) -> None:
    """In the domains, and everywhere else."""
    x = every_octave(ring)
    y = np.random.default_rng(0).permutation(x)
    for name in available(ring, frac):
        operands = [x, y] if name in BINARY else [x]
        found = engine_result(engine(ring, frac, False), name, *operands)
        expected = FUNCTIONS[name](*operands, ring, frac)
        wrong = np.flatnonzero(found != expected)
        assert not len(wrong), (name, [o[wrong[0]] for o in operands], found[wrong[0]], expected[wrong[0]])


@pytest.mark.parametrize(("ring", "frac"), CASES)
def test_parties_are_within_the_bounds(ring: int, frac: int) -> None:
    """Of the emulation, by so many ulps, and of the true function, by what the domain states."""
    for name in available(ring, frac):
        operands = arguments(name, domain(name, ring, frac), Fxp(ring, frac), 80, np.random.default_rng(frac))
        numbers = [read(x, frac) for x in operands]
        found = engine_result(engine(ring, frac, True), name, *operands)
        expected = FUNCTIONS[name](*operands, ring, frac)
        bound = ULPS[name](frac, read(expected, frac), *numbers)
        assert (np.abs(found - expected).astype(np.float64) <= bound).all(), name
        true = np.asarray(TRUE[name](*numbers), np.float64)
        error = np.abs(read(found, frac) - true)
        fine = error <= error_at(name, ring, frac, true, *numbers)
        assert (fine | ~sure(name, frac, *numbers)).all(), name


@pytest.mark.parametrize("frac", [14, 17, 18])
def test_outside_of_domains_the_parties_get_what_the_emulation_gets(frac: int) -> None:
    """Where the engine does not fail at random. Truncations on shares may round up what they cut off."""
    unit, private = 1 << frac, engine(64, frac, True)
    large = as_raw([(3 << k) + 5 for k in range(2 * frac + 1, 60)], 64)
    zero = as_raw([0, 0, 0], 64)
    for name, x, ulps in (
        ("rsqrt", large, 1),
        ("rsqrt", -large, 1),
        ("sqrt", large, 2),
        ("reciprocal", large, 1),
        ("reciprocal", zero, 1),
        ("log", large, 17),
        ("log", -large, 17),
        ("log", zero, 17),
        ("tanh", as_raw([unit << k for k in range(3, 62 - frac)], 64), 17),
        ("erf", as_raw([unit << k for k in range(2, 62 - frac)], 64), 0),
    ):
        difference = engine_result(private, name, x) - FUNCTIONS[name](x, 64, frac)
        assert (np.abs(difference) <= ulps).all(), name


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("public", [0, 1])
def test_one_public_operand_of_two_changes_nothing(name: str, public: int) -> None:
    random = np.random.default_rng(2)
    x, y = random.integers(1 << 15, 1 << 20, (2, 50))
    found = engine(64, 18, False).op(name, x, y, public=[public])
    assert (found == FUNCTIONS[name](x, y, 64, 18)).all()


@pytest.mark.parametrize("name", sorted(set(BY_FLOAT32) - {"logistic", "erf"}))
def test_public_operands_are_computed_in_single_precision(name: str) -> None:
    x = ring_elements(np.linspace(0.1, 5.0, 40), 64, 18)
    operands = [x, x[::-1].copy()] if name in BINARY else [x]
    found = engine(64, 18, True).op(name, *operands, public=range(len(operands)))
    numbers = [read(raw, 18).astype(np.float32) for raw in operands]
    expected = BY_FLOAT32[name](*numbers).astype(np.float64)
    assert (np.abs(read(found, 18) - expected) <= 2.0**-18 + 2.0**-22 * np.abs(expected)).all()
