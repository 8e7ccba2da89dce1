"""Arithmetic on ring elements, against Python's integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto.simulator import ring as rings

RINGS = st.sampled_from([32, 64, 128])


def signed(value: int, ring: int) -> int:
    return (value + (1 << (ring - 1))) % (1 << ring) - (1 << (ring - 1))


def elements(rng, shape, ring, bits):
    words = rng.integers(-(2**62), 2**62, (*shape, 3)).astype(object)
    mixed = words[..., 0] + (words[..., 1] << 40) + (words[..., 2] << 90)
    return rings.wrap(np.vectorize(lambda v: signed(v, bits), otypes=[object])(mixed), ring)


@given(RINGS, st.integers(-(2**200), 2**200))
def test_wrap_is_two_s_complement(ring, value):
    if ring < 128:
        value = signed(value, 64)
    assert int(rings.wrap(value, ring)) == signed(value, ring)


@given(RINGS, st.lists(st.integers(-(2**63), 2**64 - 1), max_size=4))
def test_integers_of_all_kinds_become_ring_elements(ring, values):
    expected = [signed(value, ring) for value in values]
    assert rings.of_integers(values, ring).tolist() == expected
    assert rings.of_integers(np.array(values, object), ring).tolist() == expected
    for dtype in (np.int64, np.uint64):
        limits = np.iinfo(dtype)
        for value in values:
            if limits.min <= value <= limits.max:
                for kind in (dtype(value), np.array(value, dtype), np.array([value], dtype)):
                    assert rings.of_integers(kind, ring).reshape(-1).tolist() == [signed(value, ring)]


@pytest.mark.parametrize("ring", [32, 64, 128])
@pytest.mark.parametrize("bits", [4, 20, 31, 60, 126])
@pytest.mark.parametrize(
    "shapes", [((3, 5), (5, 2)), ((2, 1, 700), (2, 700, 3)), ((0, 4), (4, 2)), ((2, 0), (0, 2))]
)
def test_matmul_is_exact_in_the_ring(ring, bits, shapes):
    rng = np.random.default_rng(bits)
    left, right = (elements(rng, shape, ring, min(bits, ring)) for shape in shapes)
    product, wide = rings.matmul(left, right, ring)
    expected = np.matmul(left.astype(object), right.astype(object))
    np.testing.assert_array_equal(rings.wrap(product, ring), rings.wrap(signed_array(expected, ring), ring))
    size = np.matmul(np.abs(left.astype(object)), np.abs(right.astype(object))).astype(np.float64)
    assert (np.abs(wide - expected.astype(np.float64)) <= 1e-14 * size).all()


def signed_array(values, ring):
    return np.vectorize(lambda v: signed(int(v), ring), otypes=[object])(values) if values.size else values


@given(RINGS, st.data())
def test_shift_right_rounds_to_nearest_with_ties_up(ring, data):
    value = data.draw(st.integers(-(2 ** (ring - 1)), 2 ** (ring - 1) - 1))
    bits = data.draw(st.integers(1, ring - 2))
    found = int(rings.shift_right(rings.as_raw(value, ring), bits))
    assert found == (value + (1 << (bits - 1))) >> bits


@given(RINGS, st.floats(-1e6, 1e6), st.integers(0, 60))
def test_quantize_rounds_to_nearest_or_holds_half_of_the_range(ring, value, frac):
    raw, wide = rings.quantize([value], ring, frac)
    exact = round(value * 2**frac) if abs(value) < 2**40 else 0
    if abs(exact) < 2 ** (ring - 2):
        assert int(raw[0]) == exact == int(wide[0])
    else:
        assert abs(int(raw[0])) == 2 ** (ring - 3) and (raw[0] > 0) == (value > 0)


def test_not_a_number_is_held_as_zero():
    raw, wide = rings.quantize([np.nan, np.inf, -np.inf], 64, 18)
    assert raw.tolist() == [0, 2**61, -(2**61)] and np.isnan(wide[0])


@pytest.mark.parametrize("ring", [32, 64, 128])
def test_integers_keep_their_low_bits(ring):
    raw = rings.as_raw([-1, 300, 2**31 - 1], ring)
    assert rings.to_integers(raw, np.uint8).tolist() == [255, 44, 255]
    assert rings.to_integers(raw, np.bool_).tolist() == [True, True, True]
