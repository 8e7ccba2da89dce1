"""Encodings and casts as plain data."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_compiler.encoding import (
    RINGS,
    Cast,
    Encoding,
    EncodingError,
    Fxp,
    Int,
    parse_encoding,
    plan_casts,
)

fixed = st.sampled_from(RINGS).flatmap(lambda ring: st.builds(Fxp, st.just(ring), st.integers(0, ring - 2)))
integers = st.builds(Int, st.sampled_from(RINGS))


@given(fixed | integers)
def test_text_round_trip(encoding: Encoding) -> None:
    assert parse_encoding(str(encoding)) == encoding


def test_spelling() -> None:
    assert str(Fxp(64, 18)) == "#ditto.fxp<64, 18>"
    assert str(Int(32)) == "#ditto.int<32>"


@pytest.mark.parametrize(
    "text",
    [
        *("#ditto.fxp<64,18>", "#ditto.fxp<64,  18>", "#ditto.fxp<64, 18> ", "#ditto.fxp<064, 18>"),
        *("#ditto.fxp<64, 018>", "#ditto.fxp<64>", "#ditto.int<64, 0>", "#ditto.int<>", "#ditto.fix<64, 18>"),
        *("#ditto.fxp<-64, 18>", "fxp<64, 18>", ""),
    ],
)
def test_only_the_canonical_spelling_is_read(text: str) -> None:
    with pytest.raises(EncodingError):
        parse_encoding(text)


@pytest.mark.parametrize(
    ("ring", "frac"), [(1, 0), (65, 8), (0, 0), (256, 8), (32, 31), (64, 63), (128, 127), (64, -1)]
)
def test_ranges(ring: int, frac: int) -> None:
    with pytest.raises(EncodingError):
        Fxp(ring, frac)


@pytest.mark.parametrize("ring", RINGS)
def test_extreme_fractions(ring: int) -> None:
    assert Fxp(ring, 0).frac == 0
    assert Fxp(ring, ring - 2).frac == ring - 2


@pytest.mark.parametrize(
    ("source", "target", "op"),
    [
        (Fxp(64, 18), Fxp(32, 10), "downcast"),
        (Fxp(32, 10), Fxp(64, 18), "upcast"),
        (Fxp(64, 18), Fxp(64, 10), "rescale"),
        (Fxp(64, 10), Fxp(64, 18), "rescale"),
        (Fxp(64, 10), Fxp(64, 10), "identity"),
        (Int(64), Int(32), "downcast"),
        (Int(32), Int(128), "upcast"),
    ],
)
def test_names_of_casts(source: Encoding, target: Encoding, op: str) -> None:
    assert Cast(source, target).op == op


def test_downcasts_end_where_the_wrap_around_no_longer_vanishes() -> None:
    # R - d >= r, so from 64 to 32 bits at most 32 bits may be dropped.
    Cast(Fxp(64, 32), Fxp(32, 0))
    with pytest.raises(EncodingError, match="fewer than the 32 of the result"):
        Cast(Fxp(64, 33), Fxp(32, 0))
    with pytest.raises(EncodingError, match="cannot add fraction bits"):
        Cast(Fxp(64, 8), Fxp(32, 9))


@pytest.mark.parametrize(("source", "target"), [(Fxp(64, 18), Int(64)), (Int(32), Fxp(64, 18))])
def test_fixed_point_and_integers_do_not_mix(source: Encoding, target: Encoding) -> None:
    with pytest.raises(EncodingError, match="do not mix"):
        Cast(source, target)
    with pytest.raises(EncodingError, match="do not mix"):
        plan_casts(source, target)


@pytest.mark.parametrize(
    ("cast", "cost"),
    [
        # An upcast sends 4 words of K - k bits, an in-ring truncation 4 words of t bits, packed to bytes;
        # of a value shifted left by s bits, s bits fewer matter.
        (Cast(Fxp(32, 10), Fxp(64, 10)), 16),
        (Cast(Fxp(32, 10), Fxp(64, 18)), 12),
        (Cast(Int(32), Int(128)), 48),
        (Cast(Fxp(32, 18), Fxp(64, 10)), 20),
        (Cast(Fxp(64, 36), Fxp(64, 18)), 12),
        (Cast(Fxp(64, 18), Fxp(64, 17)), 4),
        (Cast(Fxp(64, 18), Fxp(64, 36)), 0),
        (Cast(Fxp(64, 18), Fxp(32, 10)), 0),
    ],
)
def test_cost(cast: Cast, cost: int) -> None:
    assert cast.bytes_per_element == cost
    assert cast.rounds == (2 if cost else 0)


def apply(cast: Cast, value: int) -> int:
    """The cast on an integer that is far from the edges of both rings, rounding down."""
    return (value << cast.shift_left) >> cast.shift_right


@given(fixed, fixed)
def test_plans_lead_from_source_to_target(source: Fxp, target: Fxp) -> None:
    casts = plan_casts(source, target)
    assert len(casts) <= 2
    assert (not casts) == (source == target)
    encodings = [source, *(cast.target for cast in casts)]
    assert [cast.source for cast in casts] == encodings[:-1]
    assert encodings[-1] == target


@given(fixed, fixed, st.integers(-1000, 1000))
def test_plans_keep_the_number_as_exactly_as_the_target_can(source: Fxp, target: Fxp, number: int) -> None:
    value = number << max(0, source.frac - 10)
    result = value
    for cast in plan_casts(source, target):
        result = apply(cast, result)
    exact = Fraction(value, 2**source.frac) * 2**target.frac
    assert abs(result - exact) <= 2
