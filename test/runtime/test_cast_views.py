"""Casts of arrays of every shape and layout: scalars, empty, strided, unaligned, read-only, large."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditto.runtime.protocols.cast_engine import CastEngine
from ditto.runtime.protocols.prf import agree_streams
from ditto.runtime.protocols.sharing import raw_shape, reconstruct, share, word_dtype
from ditto.runtime.transport.channel import run_in_threads
from ditto_compiler.encoding import RINGS, Cast, Fxp, Int

CASTS = [
    *(Cast(Int(source), Int(target)) for source in RINGS for target in RINGS),
    *(Cast(Fxp(ring, 20), Fxp(ring, 4)) for ring in RINGS),
]


def cast_views(cast, slots, mode="two-round"):
    """The slots of the three parties after the cast."""

    def party(channel):
        engine = CastEngine(channel.rank, channel, agree_streams(channel.rank, channel), mode=mode)
        return engine.cast_many([(cast, slots[channel.rank])])[0]

    return run_in_threads(party)


def small_integers(shape, ring):
    """Multiples of 2^16 as ring elements, flattened, and the slots in the given shape."""
    size = int(np.prod(shape))
    values = (np.arange(size, dtype=np.int64) - size // 2 << 16) % (1 << 29)
    raw = values.astype(word_dtype(ring))
    if ring == 128:
        raw = np.stack([raw, np.zeros_like(raw)], axis=-1)
    return values, [s.reshape(raw_shape((*shape, 2), ring)) for s in share(raw, ring)]


def assert_cast(cast, values, shape, results):
    ring = cast.target.ring
    for result in results:
        assert result.shape == raw_shape((*shape, 2), ring)
        assert result.dtype == word_dtype(ring)
    raw = reconstruct([r.reshape(raw_shape((-1, 2), ring)) for r in results], ring)
    low = (raw[:, 0] if ring == 128 else raw).view(np.int32 if ring == 32 else np.int64)
    assert np.abs(low - (values >> cast.shift_right)).max(initial=0) <= (1 if cast.shift_right else 0)


@pytest.mark.parametrize("cast", CASTS, ids=str)
@pytest.mark.parametrize(
    "shape", [(), (0,), (3, 0, 2), (1,), (5,), (255,), (256,), (257,), (2, 3, 4)], ids=str
)
def test_shapes_are_kept(cast, shape):
    values, slots = small_integers(shape, cast.source.ring)
    assert_cast(cast, values, shape, cast_views(cast, slots))


@given(
    st.sampled_from(CASTS),
    st.lists(st.integers(0, 6), max_size=4),
    st.sampled_from(["two-round", "one-round"]),
)
@settings(max_examples=60, deadline=None)
def test_any_shape(cast, dims, mode):
    values, slots = small_integers(tuple(dims), cast.source.ring)
    assert_cast(cast, values, tuple(dims), cast_views(cast, slots, mode))


def strided(array):
    return np.repeat(array, 2, axis=0)[::2]


def backwards(array):
    return np.ascontiguousarray(array[::-1])[::-1]


def column_major(array):
    return np.asfortranarray(array)


def unaligned(array):
    buffer = np.empty(array.nbytes + 1, np.uint8)
    view = buffer[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array):
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def unaligned_read_only(array):
    return np.frombuffer(b"12345" + array.tobytes(), array.dtype, offset=5).reshape(array.shape)


@pytest.mark.parametrize("cast", CASTS, ids=str)
@pytest.mark.parametrize(
    "layout", [strided, backwards, column_major, unaligned, read_only, unaligned_read_only]
)
@pytest.mark.parametrize("mode", ["two-round", "one-round"])
def test_layouts(cast, layout, mode):
    shape = (41, 7)
    values, slots = small_integers(shape, cast.source.ring)
    views = [layout(s) for s in slots]
    for view, original in zip(views, slots, strict=True):
        assert np.array_equal(view, original)
    results = cast_views(cast, views, mode)
    assert_cast(cast, values, shape, results)
    for view, original in zip(views, slots, strict=True):
        assert np.array_equal(view, original), "the input was written to"


@pytest.mark.parametrize("cast", CASTS, ids=str)
def test_a_million_elements(cast):
    shape = (1000, 1000)
    values, slots = small_integers(shape, cast.source.ring)
    assert_cast(cast, values, shape, cast_views(cast, slots))


def test_results_do_not_share_memory_with_the_input():
    _, slots = small_integers((4,), 64)
    for cast in (Cast(Int(64), Int(64)), Cast(Int(64), Int(32))):
        for result, given_slots in zip(cast_views(cast, slots), slots, strict=True):
            assert not np.shares_memory(result, given_slots)
