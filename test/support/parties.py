"""What the tests of protocols share: ring elements as integers, and channels that watch."""

import numpy as np
import spu
from spu import libspu

from ditto.runtime.party.engine_shares import FIELDS
from ditto.runtime.protocols.sharing import word_dtype

KEYS = {frozenset(pair): bytes([number + 1]) * 16 for number, pair in enumerate([(0, 1), (1, 2), (0, 2)])}
"""Of the streams, by the two parties that share each."""


def to_raw(values, ring):
    """Python integers as ring elements."""
    mask = (1 << ring) - 1
    if ring == 128:
        words = [(v & mask & (2**64 - 1), (v & mask) >> 64) for v in values]
        return np.array(words, np.uint64).reshape(-1, 2)
    return np.array([v & mask for v in values], word_dtype(ring))


def to_integers(raw, ring):
    """Ring elements as signed Python integers."""
    flat = [int(lo) | int(hi) << 64 for lo, hi in raw] if ring == 128 else [int(v) for v in raw]
    return [v - (1 << ring) if v >> (ring - 1) else v for v in flat]


class Depths:
    """A channel that notes the longest chain of messages in which each one waits for the one before."""

    def __init__(self, channel, depths):
        self.channel, self.depths, self.depth = channel, depths, 0

    def send(self, dst, message):
        self.depths[self.channel.rank, dst].append(self.depth + 1)
        self.channel.send(dst, message)

    def recv(self, src):
        message = self.channel.recv(src)
        self.depth = max(self.depth, self.depths[src, self.channel.rank].popleft())
        return message


class Tapped:
    """A channel that keeps what it sent and received."""

    def __init__(self, channel):
        self.channel, self.sent, self.received = channel, [], []

    def send(self, dst, message):
        self.sent.append(np.frombuffer(message, np.uint8))
        self.channel.send(dst, message)

    def recv(self, src):
        message = self.channel.recv(src)
        self.received.append(np.frombuffer(message, np.uint8))
        return message


def spu_share(slots, ring):
    """SPU's object for a party's slots of an integer tensor."""
    meta = libspu.ValueMeta()
    meta.data_type = libspu.DT_I32 if ring == 32 else libspu.DT_I64
    meta.visibility = libspu.VIS_SECRET
    meta.shape = [len(slots)]
    meta.storage_type = f"aby3.AShr<FM{ring}>"
    chunk = libspu.ValueChunk()
    chunk.total_bytes, chunk.content = slots.nbytes, slots.tobytes()
    share_of_party = libspu.Share()
    share_of_party.meta = meta.SerializeToString()
    share_of_party.share_chunks = [chunk.SerializeToString()]
    return share_of_party


PRODUCT = """
module @product attributes {{pphlo.version = "0.9.5"}} {{
  func.func @main(%a: {0}, %b: {0}) -> {0} {{
    %0 = "pphlo.multiply"(%a, %b) : ({0}, {0}) -> {0}
    return %0 : {0}
  }}
}}
"""


def spu_product(link, ring, slots, ones):
    """SPU's own shares of the product of two secret integer tensors, in a new runtime of `ring`."""
    tensor = f"tensor<{len(slots)}x!pphlo.secret<{'i32' if ring == 32 else 'i64'}>>"
    executable = libspu.Executable(
        name="product", input_names=["a", "b"], output_names=["y"], code=PRODUCT.format(tensor).encode()
    )
    config = libspu.RuntimeConfig(protocol=libspu.ABY3, field=FIELDS[ring])
    runtime = spu.Runtime(link.spawn(), config)
    for name, data in (("a", slots), ("b", ones)):
        runtime.set_var(name, spu_share(data, ring))
    runtime.run(executable)
    return runtime.get_var("y")
