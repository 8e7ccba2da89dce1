"""SPU's share objects, made from and read into arrays without protobuf's copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditto.runtime.party.spu_library import libspu
from ditto.runtime.protocols import local
from ditto.runtime.protocols.local import Public, Value
from ditto.runtime.protocols.shared import Bits, Shared, as_words, low_bit
from ditto.runtime.protocols.sharing import Ring, raw_shape, word_dtype
from ditto_compiler.errors import InternalError

CHUNK_BYTES = 64 << 20
"""Shares are passed to the engine in chunks of at most this many bytes."""

FIELDS = {32: libspu.FM32, 64: libspu.FM64, 128: libspu.FM128}


@dataclass(frozen=True)
class Held:
    """What one party holds of a tensor.

    Attributes:
        kind: `arithmetic` (slots, shape (n, 2)), `boolean` (an engine share that fits any ring)
            or `public` (ring elements, shape (n,)).
        data: slots or ring elements; ring 128 has two words each. None for `boolean`.
        share: the engine's own object for `boolean`.
    """

    kind: str
    data: Ring | None = None
    share: Any = None


def data_type(dtype: str, ring: int) -> Any:
    """The engine's data type for a front-end dtype; integers are ring elements, whatever their width."""
    if dtype in ("f16", "bf16", "f32"):
        return libspu.DT_F32
    if dtype == "f64":
        return libspu.DT_F64
    if dtype == "i1":
        return libspu.DT_I1
    return libspu.DT_I32 if ring == 32 else libspu.DT_I64


def to_share(held: Held, shape: tuple[int, ...], dtype: str, ring: int) -> Any:
    """The engine's object for what a party holds, to be set in a runtime of `ring`."""
    if held.kind == "boolean":
        return held.share
    assert held.data is not None
    storage = f"Pub2k<FM{ring}>" if held.kind == "public" else f"aby3.AShr<FM{ring}>"
    return _share(held.data, shape, data_type(dtype, ring), storage)


def boolean_share(bits: NDArray[np.uint8], shape: tuple[int, ...]) -> Any:
    """The engine's object for boolean slots, shape (..., 2), of one bit each; it fits any ring."""
    return _share(bits, shape, libspu.DT_I1, "aby3.BShr<PT_U8,1>")


def _share(data: NDArray[Any], shape: tuple[int, ...], dtype: Any, storage: str) -> Any:
    meta = libspu.ValueMeta()
    meta.data_type = dtype
    meta.is_complex = False
    # Not meta.shape.dims: an unset shape is a default that all metas of the process share.
    meta.shape = list(shape)
    meta.visibility = libspu.VIS_PUBLIC if storage.startswith("Pub2k") else libspu.VIS_SECRET
    meta.storage_type = storage
    share = libspu.Share()
    share.meta = meta.SerializeToString()
    share.share_chunks = list(_chunks(np.ascontiguousarray(data)))
    return share


def value_of(held: Held, shape: tuple[int, ...], ring: int, is_bit: bool) -> Value:
    """What a party holds, for the executor on shares: views where that is possible."""
    if held.kind == "boolean":
        words, _ = boolean_words(held.share)
        slots = (low_bit(words[:, slot]).reshape(shape) for slot in (0, 1))
        return Bits(*slots)
    assert held.data is not None
    if held.kind == "public":
        words = held.data.reshape(shape)
        return Public(1, low_bit(words)) if is_bit else Public(ring, as_words(words, ring))
    shared = Shared(ring, *(as_words(held.data[:, slot], ring).reshape(shape) for slot in (0, 1)))
    return local.low_bits(shared) if is_bit else shared


def held_of(value: Value, ring: int) -> Held:
    """The other way round, in a ring of the engine."""
    if isinstance(value, Public):
        return Held("public", np.ascontiguousarray(as_words(value.words, ring)).reshape(-1))
    slots = np.stack([value.own.reshape(-1), value.next.reshape(-1)], axis=-1)
    if isinstance(value, Bits):
        return Held("boolean", share=boolean_share(slots, value.shape))
    return Held("arithmetic", slots)


def from_share(share: Any, ring: int) -> Held:
    """What a party holds, out of an engine object from a runtime of `ring`.

    Raises:
        InternalError: a share in a form that casts do not work on.
    """
    meta = libspu.ValueMeta()
    meta.ParseFromString(share.meta)
    storage = str(meta.storage_type)
    if storage.startswith("aby3.BShr"):
        return Held("boolean", share=share)
    content = b"".join(_content(chunk) for chunk in share.share_chunks)
    words = np.frombuffer(content, word_dtype(ring))
    if storage == f"aby3.AShr<FM{ring}>":
        return Held("arithmetic", words.reshape(raw_shape((-1, 2), ring)))
    if storage == f"Pub2k<FM{ring}>":
        return Held("public", words.reshape(raw_shape((-1,), ring)))
    raise InternalError(f"the engine holds a value as '{storage}' in ring {ring}")


def boolean_words(share: Any) -> tuple[NDArray[np.unsignedinteger[Any]], int]:
    """The words (n, 2) of a boolean share, and how many of their low bits count.

    Of words of 128 bits the low halves: what stays a boolean share has one bit.
    """
    meta = libspu.ValueMeta()
    meta.ParseFromString(share.meta)
    back_type, bits = str(meta.storage_type).removeprefix("aby3.BShr<").removesuffix(">").split(",")
    width = int(back_type.strip().removeprefix("PT_U"))
    content = b"".join(_content(chunk) for chunk in share.share_chunks)
    if width == 128:
        return np.frombuffer(content, "<u8").reshape(-1, 2, 2)[:, :, 0], min(int(bits), 64)
    return np.frombuffer(content, np.dtype(f"<u{width // 8}")).reshape(-1, 2), int(bits)


def shape_of(share: Any) -> tuple[int, ...]:
    """The shape of an engine object."""
    meta = libspu.ValueMeta()
    meta.ParseFromString(share.meta)
    return tuple(meta.shape.dims)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _chunks(array: NDArray[Any]) -> Iterator[bytes]:
    """ValueChunk messages: total_bytes = 1, chunk_offset = 2, content = 3."""
    raw = array.reshape(-1).view(np.uint8).data
    total = len(raw)
    for start in range(0, total, CHUNK_BYTES) if total else (0,):
        piece = raw[start : start + CHUNK_BYTES]
        offset = b"\x10" + _varint(start) if start else b""
        yield b"".join((b"\x08", _varint(total), offset, b"\x1a", _varint(len(piece)), piece))


def _content(chunk: bytes) -> memoryview:
    """The content field of a ValueChunk message."""
    view = memoryview(chunk)
    at = 0
    while at < len(view):
        tag = view[at]
        value, at = _read_varint(view, at + 1)
        if tag == 0x1A:
            return view[at : at + value]
    return view[:0]


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
