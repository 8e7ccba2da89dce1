"""The engine on exact ring elements, in this process: for measuring its functions one by one."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spu import libspu

from ditto.runtime.transport.runtime_folder import RuntimeFolder
from ditto.simulator.ring import Raw, as_raw

_FIELDS = {32: "FM32", 64: "FM64", 128: "FM128"}

_CODE = """module @m attributes {{pphlo.version = "0.9.5"}} {{
  func.func @main({arguments}) -> {result} {{
    {body}
    return %r : {result}
  }}
}}
"""


@functools.cache
def _quiet() -> None:
    """Keeps the engine's messages off the terminal."""
    options = libspu.logging.LogOptions()
    options.enable_console_logger = False
    # The folder is there as long as this process.
    options.system_log_path = str(RuntimeFolder().path / "spu.log")
    libspu.logging.setup_logging(options)


class RawEngine:
    """Three parties as threads, or the engine's plaintext protocol, with the engine's defaults.

    Args:
        ring: of all values.
        frac: their fraction bits.
        private: ABY3 among three parties; otherwise REF2K, which rounds to nearest where ABY3 rounds at
            random.
    """

    def __init__(self, ring: int, frac: int, *, private: bool = True) -> None:
        _quiet()
        self.ring, self.frac, self.private = ring, frac, private
        self._random = np.random.default_rng(0)
        config = libspu.RuntimeConfig()
        config.protocol = libspu.ABY3 if private else libspu.REF2K
        config.field = getattr(libspu, _FIELDS[ring])
        config.fxp_fraction_bits = frac
        parties = 3 if private else 1
        link = libspu.link.Desc()
        for rank in range(parties):
            link.add_party(f"party{rank}", f"thread{rank}")
        self._pool = ThreadPoolExecutor(parties)
        self._runtimes = list(
            self._pool.map(
                lambda rank: libspu.RuntimeWrapper(libspu.link.create_mem(link, rank), config), range(parties)
            )
        )

    def op(self, name: str, *operands: Raw, public: Sequence[int] = ()) -> Raw:
        """One pphlo op, or `@` a custom call, on vectors of ring elements.

        Args:
            name: without its dialect.
            operands: of one length.
            public: numbers of the operands that everybody sees.
        """
        types = [self._type(len(x), index in public) for index, x in enumerate(operands)]
        result = self._type(len(operands[0]), len(public) == len(operands))
        values = ", ".join(f"%a{index}" for index in range(len(operands)))
        head = f"pphlo.custom_call {name}" if name.startswith("@") else f'"pphlo.{name}"'
        body = f"%r = {head}({values}) : ({', '.join(types)}) -> {result}"
        return self.run(body, *operands, public=public)

    def run(self, body: str, *operands: Raw, public: Sequence[int] = ()) -> Raw:
        """Lines of pphlo that make %r out of %a0, %a1, ..., vectors of ring elements."""
        types = [self._type(len(x), index in public) for index, x in enumerate(operands)]
        executable = libspu.Executable()
        executable.name = "raw"
        executable.input_names = [f"a{index}" for index in range(len(operands))]
        executable.output_names = ["r"]
        executable.code = _CODE.format(
            arguments=", ".join(f"%a{index}: {type_}" for index, type_ in enumerate(types)),
            result=self._type(len(operands[0]), len(public) == len(operands)),
            body=body,
        ).encode()
        shares = [self._shares(x, index in public) for index, x in enumerate(operands)]

        def party(rank: int) -> Any:
            runtime = self._runtimes[rank]
            for name, share in zip(executable.input_names, shares, strict=True):
                runtime.SetVar(name, share[rank])
            runtime.Run(executable)
            return runtime.GetVar("r")

        return self._opened(list(self._pool.map(party, range(len(self._runtimes)))))

    @staticmethod
    def _type(length: int, public: bool) -> str:
        return f"tensor<{length}x{'f32' if public else '!pphlo.secret<f32>'}>"

    def _shares(self, raw: Raw, public: bool) -> list[Any]:
        elements = [int(x) % (1 << self.ring) for x in raw]
        if public or not self.private:
            storage = f"Pub2k<{_FIELDS[self.ring]}>" if public else f"ref2k.Sec<{_FIELDS[self.ring]}>"
            return [self._share(elements, (), storage, public)] * len(self._runtimes)
        slots = [[self._any() for _ in elements] for _ in range(2)]
        slots.append([(x - a - b) % (1 << self.ring) for x, a, b in zip(elements, *slots, strict=True)])
        storage = f"aby3.AShr<{_FIELDS[self.ring]}>"
        return [self._share(slots[i], slots[(i + 1) % 3], storage, False) for i in range(3)]

    def _any(self) -> int:
        return int.from_bytes(self._random.bytes(self.ring // 8), "little")

    def _share(self, first: Sequence[int], second: Sequence[int], storage: str, public: bool) -> Any:
        meta = libspu.ValueMeta()
        meta.data_type = libspu.DT_F32
        meta.is_complex = False
        meta.shape = [len(first)]
        meta.visibility = libspu.VIS_PUBLIC if public else libspu.VIS_SECRET
        meta.storage_type = storage
        rows = zip(first, second, strict=True) if second else zip(first, strict=True)
        content = b"".join(x.to_bytes(self.ring // 8, "little") for row in rows for x in row)
        chunk = libspu.ValueChunk()
        chunk.total_bytes, chunk.chunk_offset, chunk.content = len(content), 0, content
        share = libspu.Share()
        share.meta = meta.SerializeToString()
        share.share_chunks = [chunk.SerializeToString()]
        return share

    def _opened(self, shares: Sequence[Any]) -> Raw:
        meta = libspu.ValueMeta()
        meta.ParseFromString(shares[0].meta)
        storage, width = str(meta.storage_type), self.ring // 8
        slots = []
        for share in shares:
            content = b""
            for piece in share.share_chunks:
                chunk = libspu.ValueChunk()
                chunk.ParseFromString(piece)
                content += bytes(chunk.content)
            stride = 2 * width if storage.startswith("aby3.AShr") else width
            slots.append(
                [int.from_bytes(content[i : i + width], "little") for i in range(0, len(content), stride)]
            )
        if not storage.startswith("aby3.AShr"):
            assert storage.startswith(("Pub2k", "ref2k")), storage
            slots = slots[:1]
        totals = [sum(parts) % (1 << self.ring) for parts in zip(*slots, strict=True)]
        half = 1 << (self.ring - 1)
        return as_raw([(x + half) % (1 << self.ring) - half for x in totals], self.ring)


def ring_elements(numbers: NDArray[np.float64], ring: int, frac: int) -> Raw:
    """Numbers as vectors of ring elements, to nearest."""
    return as_raw([round(float(x) * 2.0**frac) for x in numbers], ring)
