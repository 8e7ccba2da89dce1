"""The caller's side of running programs on three parties, on this machine or on hosts of their own."""

from __future__ import annotations

import hashlib
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ditto import tree
from ditto.runtime.caller.inputs import (
    GuardError,
    InputError,
    SharedArray,
    as_array,
    check_inputs,
    check_program,
    check_ranges,
)
from ditto.runtime.caller.parties import ClusterError, LocalParties, Parties
from ditto.runtime.caller.remote import RemoteParties
from ditto.runtime.protocols.sharing import decode, encode, raw_shape, reconstruct, share, word_dtype
from ditto.runtime.transport.hosts import HostsError, load_hosts
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import Encoding, plan_casts
from ditto_compiler.network import PARTIES, Network, load_network
from ditto_compiler.program import CallerTensor, Guard, Program, Value

__all__ = [
    "ClusterError",
    "HostsError",
    "InputError",
    "LocalCluster",
    "RemoteCluster",
    "RunStats",
    "SharedArray",
]


@dataclass(frozen=True)
class RunStats:
    """What a run cost, summed over the parties and exact; without sharing inputs and opening outputs.

    Attributes:
        engine_bytes: sent by the engine's protocols.
        engine_messages: likewise.
        cast_bytes: sent by casts between rings.
        cast_messages: likewise.
        compare_bytes: sent by comparisons outside of the engine.
        compare_messages: likewise.
        input_bytes: shares that the caller sent to the parties.
        seconds: wall time of the slowest party, inputs already there.
        cpu_seconds: processor time of all parties.
        peak_memory: most bytes of memory that a party held at a time, inputs included.
    """

    engine_bytes: int
    engine_messages: int
    cast_bytes: int
    cast_messages: int
    compare_bytes: int
    compare_messages: int
    input_bytes: int
    seconds: float
    cpu_seconds: float
    peak_memory: int

    @property
    def bytes(self) -> int:
        """Bytes sent by all parties."""
        return self.engine_bytes + self.cast_bytes + self.compare_bytes

    @property
    def messages(self) -> int:
        """Messages sent by all parties."""
        return self.engine_messages + self.cast_messages + self.compare_messages


LONGEST = 1_000_000
"""Seconds that a time-out may have; the engine's own counts milliseconds in 32 bits."""


class Cluster(ABC):
    """Three parties that run programs.

    The caller plays data owner, model owner and client: it shares the inputs, each party gets only its
    own shares, and the caller alone puts the outputs together.

    Args:
        timeout: seconds that a run may take, and that the parties may take to start.
        network: what lies between the parties.
    """

    # Of the class, for a cluster that could not be made is closed too.
    _parties: Parties | None = None

    def __init__(self, timeout: float = 600.0, network: str | Network | None = None) -> None:
        if not isinstance(timeout, (int, float)) or not 0 < timeout <= LONGEST:
            raise InputError(f"timeout must be a number of seconds in (0, {LONGEST}], got {timeout!r}")
        self.timeout = timeout
        self.network = None if network is None else load_network(network)
        self.stats: RunStats | None = None
        self._loaded: set[str] = set()
        self._keys = itertools.count()

    @abstractmethod
    def _connect(self) -> Parties:
        """Connects to parties of its own."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def start(self) -> None:
        """Starts and connects the parties, unless they are running.

        Raises:
            ClusterError: a party did not come up.
        """
        if self._parties is None:
            self._loaded = set()
            self._parties = self._connect()

    def close(self) -> None:
        """Ends the parties and all shared arrays. The next run starts new ones."""
        if self._parties is not None:
            self._parties.close()
            self._parties = None

    def run(
        self,
        program: Program,
        *args: Any,
        keep: Any = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Any:
        """Runs a program on shares of `args` and returns what it computes.

        Args:
            program: a compiled program.
            args: as for the function it was compiled from, without static arguments; arrays, numbers, or
                shared arrays of this cluster.
            keep: which outputs stay with the parties and come back as `SharedArray`s that nobody sees: True,
                or a tuple, list or dict that nests like the result, down to booleans.
            progress: called with steps done and steps in all, as the slowest party proceeds.

        Returns:
            arrays of the function's dtypes, nested as the function nests them.

        Raises:
            InputError: number, nesting, shapes or dtypes of `args` are wrong; nothing was sent.
            SharingError: a value does not fit the encoding that the policy gives it.
            GuardError: the program is guarded, and an input or a value left the range that it assumes.
            ClusterError: a party died, failed or was too slow. All parties are then ended.
        """
        leaves = check_inputs(program, args)
        kept = tree.prefix(program.output_tree, keep, program.results)
        # Everything that can be wrong with values shows here, before a party sees a share.
        encoded: dict[int, Any] = {}
        for entry in program.inputs:
            value, leaf = program.values[entry.value], leaves[entry.index]
            if isinstance(leaf, SharedArray):
                encoded[entry.value] = self._held(program, entry.index, value, leaf)
            else:
                encoded[entry.value] = encode(leaf, value.encoding)
        outputs = self._guarded(lambda deadline: self._run(program, encoded, kept, deadline, progress))
        if program.guard is not None and not outputs.pop():
            self.forget(outputs)
            raise GuardError(_broken_guard(program, program.guard))
        return tree.unflatten(program.output_tree, outputs) if program.nest is None else program.nest(outputs)

    def share(self, program: Program, position: int, argument: Any) -> Any:
        """Shares one argument among the parties, once for many runs.

        Args:
            program: says in which encodings the argument is wanted.
            position: of the argument.
            argument: its value, as for `run`.

        Returns:
            the argument with `SharedArray`s for its arrays; pass it to `run`.

        Raises:
            InputError, SharingError, ClusterError: as for `run`.
        """
        check_program(program)
        structure = ["tuple", ["*"] * len(program.caller_inputs)]
        if program.input_tree is not None:
            structure = program.input_tree
        children = structure[1]
        if not 0 <= position < len(children):
            raise InputError(f"program '{program.name}' has {len(children)} arguments, so none at {position}")
        first = sum(tree.count(child) for child in children[:position])
        leaves = tree.flatten_argument(children[position], argument, position)
        arrays = [as_array(leaf, f"program '{program.name}', argument {position}") for leaf in leaves]
        for index, array in enumerate(arrays, first):
            expected = program.caller_inputs[index].shape
            if array.shape != expected:
                where = f"program '{program.name}', input {index}"
                raise InputError(f"{where}: expected shape {expected}, got {array.shape}")
        check_ranges(program, enumerate(arrays, first))
        copies: list[list[tuple[Value, Any]]] = [[] for _ in arrays]
        for entry in program.inputs:
            offset = entry.index - first
            if 0 <= offset < len(arrays):
                value = program.values[entry.value]
                copies[offset].append((value, encode(arrays[offset], value.encoding)))

        def keep(_: float) -> list[SharedArray]:
            return [self._keep(program.caller_inputs[i], parts) for i, parts in enumerate(copies, first)]

        return tree.unflatten_argument(children[position], self._guarded(keep))

    def forget(self, shared: Any) -> None:
        """Lets the parties drop the shared arrays in `shared`, which may nest."""
        handles = tree.flatten(tree.structure_of(shared), shared)
        keys = [h.key for h in handles if isinstance(h, SharedArray) and h.generation is self._parties]
        if keys and self._parties is not None:
            self._parties.send_all({"command": "forget", "keys": keys})

    def _guarded(self, action: Callable[[float], Any]) -> Any:
        """Runs `action` with a deadline; what goes wrong ends the parties."""
        self.start()
        try:
            return action(time.monotonic() + self.timeout)
        except BaseException:
            # A protocol that stops halfway cannot be resumed.
            self.close()
            raise

    def _held(self, program: Program, index: int, value: Value, handle: SharedArray) -> tuple[int, Encoding]:
        """Where the parties find a shared array: its key, and the encoding to start from."""
        where = f"program '{program.name}', input {index}"
        if handle.generation is not self._parties or self._parties is None:
            raise InputError(f"{where}: the parties that held this array have ended; share it again")
        if handle.secret and not value.secret:
            raise InputError(f"{where}: the array is secret, but the program takes it as public")
        if value.encoding in handle.encodings:
            return handle.key, value.encoding
        if not handle.encodings:
            raise InputError(f"{where}: the array was shared for a program that does not use it")
        costs = {
            source: sum(cast.bytes_per_element for cast in plan_casts(source, value.encoding))
            for source in handle.encodings
        }
        return handle.key, min(costs, key=costs.__getitem__)

    def _keep(self, about: CallerTensor, copies: Sequence[tuple[Value, Any]]) -> SharedArray:
        """Shares an array in all encodings that a program wants it in."""
        assert self._parties is not None
        key = next(self._keys)
        for value, raw in copies:
            pieces = share(raw, value.encoding.ring) if value.secret else (raw,) * PARTIES
            header = {"command": "keep", "key": key, "secret": value.secret}
            for rank, piece in enumerate(pieces):
                self._parties.send(rank, {**header, "encoding": str(value.encoding)}, [piece])
        secret = all(value.secret for value, _ in copies)
        encodings = tuple(value.encoding for value, _ in copies)
        return SharedArray(about.shape, about.dtype, encodings, secret, key, self._parties)

    def _run(
        self,
        program: Program,
        encoded: dict[int, Any],
        kept: Sequence[bool],
        deadline: float,
        progress: Callable[[int, int], None] | None,
    ) -> list[Any]:
        parties = self._parties
        assert parties is not None
        content = program.to_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._loaded:
            parties.send_all({"command": "load", "digest": digest}, [content])
            parties.answers(deadline, "loading the program", time_out=self.timeout)
            self._loaded.add(digest)
        input_bytes = 0
        for number, raw in encoded.items():
            header: dict[str, Any] = {"command": "input", "value": number}
            if isinstance(raw, tuple):
                parties.send_all({**header, "key": raw[0], "encoding": str(raw[1])})
                continue
            value = program.values[number]
            pieces = share(raw, value.encoding.ring) if value.secret else (raw,) * PARTIES
            header = {**header, "secret": value.secret, "encoding": str(value.encoding)}
            for rank, piece in enumerate(pieces):
                parties.send(rank, header, [piece])
                input_bytes += piece.nbytes
        keys = {position: next(self._keys) for position, wanted in enumerate(kept) if wanted}
        parties.send_all({"command": "run", "digest": digest, "keep": list(keys.items())})
        total = len(program.steps)

        def on_progress(steps: Sequence[int]) -> None:
            if progress is not None:
                progress(min(steps) + 1, total)

        answers = parties.answers(deadline, "running the program", on_progress, self.timeout)
        traffic = [header["traffic"] for header, _ in answers]
        self.stats = RunStats(
            **{key: sum(party[key] for party in traffic) for key in traffic[0]},
            input_bytes=input_bytes,
            seconds=max(header["seconds"] for header, _ in answers),
            cpu_seconds=sum(header["cpu_seconds"] for header, _ in answers),
            peak_memory=max(header["peak_memory"] for header, _ in answers),
        )
        outputs: list[Any] = []
        for position, number in enumerate(program.outputs):
            parts = [(header["outputs"][position], buffers[position]) for header, buffers in answers]
            if position in keys:
                value, key = program.values[number], keys[position]
                secret = parts[0][0]["kind"] != "public"
                held_in = (value.encoding,)
                outputs.append(SharedArray(value.shape, value.dtype, held_in, secret, key, parties))
            else:
                outputs.append(_open(program, number, parts))
        return outputs


class LocalCluster(Cluster):
    """Three parties as processes on this machine, connected over Unix sockets.

        with LocalCluster() as cluster:
            y = cluster.run(program, x, w)
        cluster.stats   # bytes and messages of the last run

    Args:
        timeout: seconds that a run may take, and that the parties may take to start.
        network: what lies between the parties: "lan", "wan", "BANDWIDTH,RTT", a `Network`, or nothing.
    """

    @property
    def pids(self) -> list[int]:
        """Process ids of the parties, by rank; empty when they are not running."""
        return self._parties.pids if isinstance(self._parties, LocalParties) else []

    def _connect(self) -> Parties:
        return LocalParties(self.timeout, self.network)


class RemoteCluster(Cluster):
    """Three parties on hosts of their own, each running `ditto party`.

        with RemoteCluster("hosts.toml") as cluster:
            y = cluster.run(program, x, w)

    Args:
        hosts: path of the hosts file, see `ditto.runtime.transport.hosts`.
        timeout: seconds that a run may take, and that connecting may take.
        network: what lies between the parties, by which casts choose their mode, as for `LocalCluster`.

    Raises:
        HostsError: the file or its certificates cannot be used.
    """

    def __init__(
        self, hosts: str | Path, timeout: float = 600.0, network: str | Network | None = None
    ) -> None:
        super().__init__(timeout, network)
        self.hosts = load_hosts(hosts)

    def _connect(self) -> Parties:
        return RemoteParties(self.hosts, self.timeout, self.network)


def _broken_guard(program: Program, guard: Guard) -> str:
    named = [text.removeprefix(":") for text in guard.assumptions]
    some = "; ".join(named[:3]) + (f"; and {len(named) - 3} more" if len(named) > 3 else "")
    return (
        f"program '{program.name}': a value left the range that it was calibrated for, so what was computed "
        f"is void. Which one is not revealed; assumed are {some}. Calibrate with samples like these inputs; "
        "ditto.simulate with them says which value it is"
    )


def _open(program: Program, number: int, parts: list[tuple[dict[str, Any], bytearray]]) -> NDArray[Any]:
    """An output, from what the three parties hold of it."""
    value = program.values[number]
    ring = value.encoding.ring
    dtype = numpy_dtype(value.dtype)
    kind = parts[0][0]["kind"]
    if kind == "boolean":
        about = parts[0][0]
        words = [np.frombuffer(data, f"<u{about['word_bytes']}").reshape(-1, 2) for _, data in parts]
        opened: NDArray[Any] = words[0][:, 0] ^ words[0][:, 1] ^ words[1][:, 1]
        opened &= opened.dtype.type((1 << about["bits"]) - 1)
        return opened.astype(dtype).reshape(value.shape)
    arrays = [np.frombuffer(data, word_dtype(ring)) for _, data in parts]
    if kind == "public":
        raw = arrays[0].reshape(raw_shape((-1,), ring))
    else:
        raw = reconstruct([array.reshape(raw_shape((-1, 2), ring)) for array in arrays], ring)
    return decode(raw, value.encoding, dtype).reshape(value.shape)
