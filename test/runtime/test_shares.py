"""SPU's share objects, against SPU's own reading of them."""

import numpy as np
import pytest
import spu
from spu import libspu

from ditto.runtime.party import engine_shares as shares
from ditto.runtime.party.engine_shares import FIELDS, Held, from_share, to_share
from ditto.runtime.protocols.sharing import encode, share
from ditto_compiler.encoding import Fxp, Int


def io(ring, frac=10):
    config = libspu.RuntimeConfig()
    config.protocol, config.field, config.fxp_fraction_bits = libspu.ABY3, FIELDS[ring], frac
    return spu.Io(3, config)


@pytest.mark.parametrize("ring", [32, 64, 128])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 3), (4, 1, 2)])
def test_spu_reconstructs_what_is_shared(ring, shape):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape) / 8 - 1
    slots = share(encode(values, Fxp(ring, 10)), ring)
    made = [to_share(Held("arithmetic", part), shape, "f32", ring) for part in slots]
    np.testing.assert_array_equal(np.asarray(io(ring).reconstruct(made)).reshape(shape), values)


def test_the_shape_is_in_the_share_and_nowhere_else():
    made = to_share(Held("arithmetic", share(encode(np.zeros(6), Fxp(64, 10)), 64)[0]), (2, 3), "f32", 64)
    meta, other = libspu.ValueMeta(), libspu.ValueMeta()
    meta.ParseFromString(made.meta)
    assert list(meta.shape.dims) == [2, 3]
    assert list(other.shape.dims) == []


@pytest.mark.parametrize("ring", [32, 64, 128])
def test_what_is_made_is_read_back(ring, monkeypatch):
    monkeypatch.setattr(shares, "CHUNK_BYTES", 64)  # several chunks
    slots = share(encode(np.arange(50), Int(ring)), ring)[1]
    found = from_share(to_share(Held("arithmetic", slots), (50,), "i32", ring), ring)
    assert found.kind == "arithmetic"
    np.testing.assert_array_equal(found.data, slots)


def test_public_values():
    raw = encode(np.array([1.5, -2.0]), Fxp(64, 10))
    made = to_share(Held("public", raw), (2,), "f32", 64)
    np.testing.assert_array_equal(io(64).reconstruct([made] * 3), [1.5, -2.0])
    assert from_share(made, 64).kind == "public"


@pytest.mark.parametrize(
    "dtype", ["i1", "i8", "ui8", "i16", "ui16", "i32", "ui32", "i64", "ui64", "f16", "f64"]
)
def test_every_dtype_has_an_engine_type(dtype):
    for ring in (32, 64, 128):
        assert shares.data_type(dtype, ring) is not None
    assert shares.data_type("i64", 32) == libspu.DT_I32
