"""Client side: encoding, sharing, reconstruction, and agreement with SPU's own."""

import ml_dtypes
import numpy as np
import pytest
import spu
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chi2
from spu import libspu

from ditto.runtime.party.engine_shares import FIELDS, from_share
from ditto.runtime.protocols.sharing import SharingError, decode, encode, reconstruct, share, word_dtype
from ditto_compiler.encoding import RINGS, Fxp, Int


def integers(raw, ring):
    flat = [int(lo) | int(hi) << 64 for lo, hi in raw] if ring == 128 else [int(v) for v in raw]
    return [v - (1 << ring) if v >> (ring - 1) else v for v in flat]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("encoding", [Fxp(32, 8), Fxp(64, 18), Fxp(128, 20)], ids=str)
def test_floats_land_on_the_nearest_grid_point_ties_to_even(dtype, encoding):
    steps = np.array([0, 0.5, 1.5, 2.5, -0.5, -1.5, 0.75, -0.75, 100, -100, 0.49])
    values = (steps * 2.0**-encoding.frac).astype(dtype)
    expected = np.rint(values.astype(np.float64) * 2.0**encoding.frac).astype(int)
    assert integers(encode(values, encoding), encoding.ring) == expected.tolist()
    assert expected.tolist()[:6] == [0, 0, 2, 2, 0, -2]


@given(
    hnp.arrays(np.float64, st.integers(0, 50), elements=st.floats(-(2.0**20), 2.0**20)),
    st.sampled_from(RINGS),
)
@settings(deadline=None)
def test_what_is_encoded_shared_and_decoded_comes_back_within_half_a_step(values, ring):
    encoding = Fxp(ring, 8)
    raw = reconstruct(share(encode(values, encoding), ring), ring)
    assert np.abs(decode(raw, encoding, np.float64) - values).max(initial=0) <= 2.0**-9


@given(st.sampled_from(RINGS), st.data())
@settings(deadline=None)
def test_float64_is_exact_when_the_grid_holds_it(ring, data):
    frac = data.draw(st.integers(0, ring - 2))
    scaled = data.draw(st.lists(st.integers(-(2 ** min(53, ring - 2)) + 1, 2 ** min(53, ring - 2) - 1)))
    values = np.array(scaled, np.float64) * 2.0**-frac
    raw = encode(values, Fxp(ring, frac))
    assert integers(raw, ring) == scaled
    assert np.array_equal(decode(raw, Fxp(ring, frac), np.float64), values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0.0, 1.0], [np.nan, 9e9]], r"value nan at index \(1, 0\)"),
        ([0.0, -np.inf], r"value -inf at index \(1,\)"),
        ([1e6, -4194304.0, 3.0], r"value -4194304.0 at index \(1,\) does not fit #ditto.fxp<32, 8>"),
        (1e30, r"value 1e\+30 at index \(\) .* magnitudes must be less than 4.1943e\+06"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_out_of_range_are_named(values, message, dtype):
    with pytest.raises(SharingError, match=message):
        encode(np.array(values, dtype), Fxp(32, 8))


def test_the_largest_values_fit():
    top = np.nextafter(np.float64(2.0**22), 0)
    assert integers(encode(np.array([top - 1, 1 - top]), Fxp(32, 8)), 32) == [2**30 - 256, 256 - 2**30]
    with pytest.raises(SharingError):  # rounds up to 2^30
        encode(np.array([top]), Fxp(32, 8))


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64]
)
@pytest.mark.parametrize("ring", RINGS)
def test_integers_come_back_exactly(dtype, ring):
    info = np.iinfo(dtype) if dtype is not np.bool_ else None
    values = np.array([False, True] if info is None else [info.min, info.min + 1, 0, 1, info.max], dtype)
    if info is not None and info.bits > ring:
        with pytest.raises(SharingError, match=r"does not fit #ditto.int<32>: it must be in \["):
            encode(values, Int(ring))
        values = values[2:4]
    raw = reconstruct(share(encode(values, Int(ring)), ring), ring)
    result = decode(raw, Int(ring), dtype)
    assert result.dtype == dtype
    assert np.array_equal(result, values)


def test_integers_are_numbers_under_fixed_point():
    assert integers(encode(np.array([3, -2]), Fxp(64, 18)), 64) == [3 << 18, -2 << 18]
    assert integers(encode(True, Fxp(32, 8)), 32) == [256]


@pytest.mark.parametrize(
    ("values", "encoding", "message"),
    [
        (np.zeros(2, np.complex64), Fxp(64, 18), "cannot share dtype complex64"),
        (np.array(["x"]), Fxp(64, 18), "cannot share dtype <U1"),
        (np.array([2**100], object), Int(128), "cannot share dtype object"),
        (np.zeros(2, np.float32), Int(64), "expected integers or booleans"),
    ],
)
def test_dtypes_that_an_encoding_cannot_hold_are_errors(values, encoding, message):
    with pytest.raises(SharingError, match=message):
        encode(values, encoding)


@pytest.mark.parametrize(("encoding", "dtype"), [(Fxp(64, 18), np.int32), (Int(64), np.float32)])
def test_reading_one_kind_as_the_other_is_an_error(encoding, dtype):
    with pytest.raises(SharingError, match="cannot read"):
        decode(np.zeros(1, np.uint64), encoding, dtype)


def test_small_negative_numbers_of_ring_128_decode_exactly():
    raw = encode(np.array([-(2.0**-40), 2.0**-40, -3.0]), Fxp(128, 40))
    assert decode(raw, Fxp(128, 40), np.float64).tolist() == [-(2.0**-40), 2.0**-40, -3.0]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_decoding_gives_the_dtype_asked_for(dtype):
    raw = encode(np.array([1.5, -2.0]), Fxp(64, 18))
    assert decode(raw, Fxp(64, 18), dtype).dtype == dtype
    assert decode(raw, Fxp(64, 18), dtype).tolist() == [1.5, -2.0]


@pytest.mark.parametrize("ring", RINGS)
def test_slots_are_replicated_and_uniform_whatever_the_value(ring):
    n = 1 << 16
    raw = encode(np.full(n, 7), Int(ring))
    slots = share(raw, ring)
    assert slots[0].shape == ((n, 2, 2) if ring == 128 else (n, 2))
    for party in range(3):
        assert np.array_equal(slots[party][:, 1], slots[(party + 1) % 3][:, 0])
        for byte in slots[party][:, 0].copy().view(np.uint8).reshape(n, -1).T:
            counts = np.bincount(byte, minlength=256)
            assert chi2.sf(((counts - n / 256) ** 2 / (n / 256)).sum(), 255) > 1e-9
    assert not np.array_equal(share(raw, ring)[0], slots[0])


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("column", [0, 1])
def test_shares_that_contradict_each_other_are_an_error(ring, column):
    slots = [s.copy() for s in share(encode(np.arange(10), Int(ring)), ring)]
    slots[1][4, column] += np.uint32(1)
    with pytest.raises(SharingError, match="two copies of a slot differ"):
        reconstruct(slots, ring)


def test_shares_of_different_sizes_are_an_error():
    slots = share(encode(np.arange(10), Int(64)), 64)
    with pytest.raises(SharingError, match="of one size"):
        reconstruct([slots[0], slots[1][:9], slots[2]], 64)
    with pytest.raises(SharingError, match="three parties"):
        reconstruct(slots[:2], 64)


@pytest.mark.parametrize("ring", RINGS)
def test_empty_and_scalar_arrays(ring):
    for values in (np.zeros((0, 3)), np.float32(1.5)):
        raw = reconstruct(share(encode(values, Fxp(ring, 8)), ring), ring)
        assert decode(raw, Fxp(ring, 8), np.float64).tolist() == np.asarray(values).reshape(-1).tolist()


@pytest.mark.parametrize("ring", RINGS)
def test_strided_arrays(ring):
    values = np.arange(24.0).reshape(4, 6).T[::2]
    raw = reconstruct(share(encode(values, Fxp(ring, 8)), ring), ring)
    assert np.array_equal(decode(raw, Fxp(ring, 8), np.float64).reshape(values.shape), values)


@pytest.mark.parametrize("ring", RINGS)
def test_spu_shares_are_read_alike(ring):
    config = libspu.RuntimeConfig(protocol=libspu.ABY3, field=FIELDS[ring])
    values = np.array([-(2**30), -1, 0, 1, 2**30 - 1], np.int32)
    made = spu.Io(3, config).make_shares(values, libspu.VIS_SECRET)
    slots = [from_share(s, ring).data for s in made]
    assert slots[0].dtype == word_dtype(ring)
    assert decode(reconstruct(slots, ring), Int(ring), np.int32).tolist() == values.tolist()
