"""Client side: numbers to ring elements to shares, and back.

`raw` arrays hold ring elements in one dimension: (n,) uint32 for ring 32, (n,) uint64 for ring 64,
(n, 2) uint64 for ring 128, low word first. `slots` arrays hold what one party keeps, the pair
(x_i, x_{i+1}) of each element: (n, 2), or (n, 2, 2) for ring 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ditto import _native
from ditto.runtime.protocols.prf import Stream, fresh_stream
from ditto_compiler.encoding import Encoding, Fxp, Int
from ditto_compiler.errors import DittoError

Ring = NDArray[np.unsignedinteger[Any]]
"""Ring elements: uint32, or uint64 words."""


class SharingError(DittoError):
    """A value that does not fit its encoding, or shares that do not belong together."""


def word_dtype(ring: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The numpy type of the words of a ring: uint32 for 32, else uint64."""
    return np.dtype("<u4") if ring == 32 else np.dtype("<u8")


def raw_shape(shape: tuple[int, ...], ring: int) -> tuple[int, ...]:
    """Shape of an array of ring elements: ring 128 has two words for each."""
    return (*shape, 2) if ring == 128 else shape


def encode(array: ArrayLike, encoding: Encoding) -> Ring:
    """The ring elements that hold `array`, flattened.

    Under `Fxp`, real x becomes the integer nearest to x * 2^frac, ties to even. Integers and
    booleans go through float64.

    Raises:
        SharingError: NaN, or |x| * 2^frac >= 2^(ring-2) under `Fxp`; an integer that does not fit
            the ring under `Int`; a dtype that the encoding cannot hold.
    """
    values = np.asarray(array)
    if isinstance(encoding, Int):
        return _encode_integers(values, encoding)
    if values.dtype.kind in "iub":
        values = values.astype(np.float64)
    elif values.dtype in (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)):
        values = values.astype(np.float32)
    if values.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise SharingError(f"cannot share dtype {values.dtype} as {encoding}: expected a float or an integer")
    raw = np.empty(raw_shape((values.size,), encoding.ring), word_dtype(encoding.ring))
    if not _native.encode(np.ascontiguousarray(values), encoding.ring, encoding.frac, raw):
        raise _out_of_range(values, encoding)
    return raw


def _out_of_range(values: NDArray[Any], encoding: Fxp) -> SharingError:
    size = np.abs(values.reshape(-1))
    worst = int(np.argmax(np.where(np.isnan(size), np.inf, size)))
    index = tuple(int(i) for i in np.unravel_index(worst, values.shape))
    limit = 2.0 ** (encoding.ring - 2 - encoding.frac)
    return SharingError(
        f"value {values.reshape(-1)[worst]!s} at index {index} does not fit {encoding}: "
        f"magnitudes must be less than {limit:g}"
    )


def _encode_integers(values: NDArray[Any], encoding: Int) -> Ring:
    ring = encoding.ring
    if values.dtype.kind not in "iub":
        raise SharingError(f"cannot share dtype {values.dtype} as {encoding}: expected integers or booleans")
    flat = np.ascontiguousarray(values).reshape(-1)
    fitting = encoding.numbers(signed=flat.dtype.kind == "i")
    if flat.size and not (int(flat.min()) in fitting and int(flat.max()) in fitting):
        worst = max(int(flat.min()), int(flat.max()), key=abs)
        raise SharingError(
            f"value {worst} does not fit {encoding}: it must be in [{fitting.start}, {fitting.stop})"
        )
    words = flat.astype(word_dtype(ring))
    return (
        words if ring < 128 else np.stack([words, np.where(flat < 0, ~np.uint64(0), np.uint64(0))], axis=-1)
    )


def share(raw: Ring, ring: int) -> tuple[Ring, Ring, Ring]:
    """Slots of the three parties: x_0, x_1 uniform, x_2 = raw - x_0 - x_1.

    The randomness is AES-128-CTR under a key drawn for this call and thrown away.
    """
    size = raw.size * raw.itemsize
    stream = fresh_stream()
    slots = tuple(np.empty(raw_shape((size // (ring // 8), 2), ring), word_dtype(ring)) for _ in range(3))
    _native.split(np.ascontiguousarray(raw), ring, stream.take(size), stream.take(size), *slots)
    return slots[0], slots[1], slots[2]


def pieces(raw: Ring, ring: int, *, secret: bool) -> tuple[Ring, Ring, Ring]:
    """What each party gets of an input: its slots, or all of what is public."""
    return share(raw, ring) if secret else (raw, raw, raw)


def slot_ahead(key: bytes, number: int, elements: int, ring: int) -> Ring:
    """x_0 or x_1 of an input that is not known yet, shape (n,), in ring 32 or 64.

    Args:
        key: for this slot of all inputs of one run; AES-128-CTR makes the slots of it.
        number: of the input's value.
        elements: n.
        ring: its bits.
    """
    words: Ring = Stream(key, number).take(elements * ring // 8).view(word_dtype(ring))
    return words


def last_slot(raw: Ring, ring: int, keys: tuple[bytes, bytes], number: int) -> Ring:
    """x_2 = raw - x_0 - x_1, shape (n,); x_0 and x_1 are those of `slot_ahead`, of one key each."""
    first, second = (slot_ahead(key, number, raw.size, ring) for key in keys)
    return raw - first - second


def reconstruct(slots: Sequence[Ring], ring: int) -> Ring:
    """The ring elements that the three parties' slots add up to, flattened.

    Raises:
        SharingError: sizes differ, or the two copies of a slot do.
    """
    sizes = [s.size * s.itemsize for s in slots]
    if len(sizes) != 3 or len(set(sizes)) != 1:
        raise SharingError(f"expected the slots of three parties, of one size, got sizes {sizes} in bytes")
    raw = np.empty(raw_shape((sizes[0] // (ring // 4),), ring), word_dtype(ring))
    first, second, third = (np.ascontiguousarray(s) for s in slots)
    if not _native.join(first, second, third, ring, raw):
        raise SharingError(
            "the parties' shares contradict each other: the two copies of a slot differ; "
            "they are of different values, or a party is faulty"
        )
    return raw


def decode(raw: Ring, encoding: Encoding, dtype: DTypeLike) -> NDArray[Any]:
    """The numbers that `raw` holds, shape (n,): two's complement, times 2^-frac under `Fxp`.

    Integers keep the low bits that `dtype` has, as integer arithmetic in that type would.

    Raises:
        SharingError: `Fxp` into integers, or `Int` into floats.
    """
    target = np.dtype(dtype)
    integral = target.kind in "iub"
    if integral != isinstance(encoding, Int):
        raise SharingError(f"cannot read {encoding} as dtype {target}")
    if not integral:
        values = np.empty(raw.shape[0], np.float64)
        _native.decode(np.ascontiguousarray(raw), encoding.ring, encoding.frac, values)
        return values.astype(target, copy=False)
    if target.kind == "b":
        return np.asarray(raw != 0 if encoding.ring < 128 else (raw != 0).any(axis=-1))
    words = raw[..., 0] if encoding.ring == 128 else raw
    integers: NDArray[Any] = words.view(np.int32 if encoding.ring == 32 else np.int64).astype(target)
    return integers
