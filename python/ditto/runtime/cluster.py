"""Three party processes on this machine, and the caller's side of running programs on them."""

from __future__ import annotations

import hashlib
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditto import tree
from ditto.dtypes import numpy_dtype
from ditto.runtime.installation import installed_file
from ditto.runtime.network import LOOPBACK, Network, Relay, load_network
from ditto.runtime.sharing import decode, encode, raw_shape, reconstruct, share, word_dtype
from ditto.runtime.wire import WireError, recv_frame, send_frame
from ditto_compiler.errors import DittoError
from ditto_compiler.program import CallerTensor, Program

PARTIES = 3


class ClusterError(DittoError):
    """A party died, failed, or did not answer in time. The next run starts fresh parties."""


class InputError(DittoError):
    """Arguments that are not what the program was compiled for."""


@dataclass(frozen=True)
class RunStats:
    """What a run cost, summed over the parties and exact; without sharing inputs and opening outputs.

    Attributes:
        engine_bytes: sent by the engine's protocols.
        engine_messages: likewise.
        cast_bytes: sent by casts between rings.
        cast_messages: likewise.
        input_bytes: shares that the caller sent to the parties.
        seconds: wall time of the slowest party, inputs already there.
    """

    engine_bytes: int
    engine_messages: int
    cast_bytes: int
    cast_messages: int
    input_bytes: int
    seconds: float

    @property
    def bytes(self) -> int:
        """Bytes sent by all parties."""
        return self.engine_bytes + self.cast_bytes

    @property
    def messages(self) -> int:
        """Messages sent by all parties."""
        return self.engine_messages + self.cast_messages


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    sock: socket.socket
    log: Path


class LocalCluster:
    """Three parties as processes on this machine, connected over loopback.

    The caller plays data owner, model owner and client: it shares the inputs, each party gets only its
    own shares, and the caller alone puts the outputs together.

        with LocalCluster() as cluster:
            y = cluster.run(program, x, w)
        cluster.stats   # bytes and messages of the last run

    Args:
        timeout: seconds that a run may take, start of the parties included.
        network: what to put between the parties: "lan", "wan", a text such as "400mbit,40ms" (bandwidth,
            round-trip time), or a `Network`. None is bare loopback, as fast as this machine is.

    Raises:
        NetworkError: from the constructor, when there is no such network.
    """

    def __init__(self, timeout: float = 600.0, network: str | Network | None = None) -> None:
        self.timeout = timeout
        self.stats: RunStats | None = None
        self._parties: list[_Process] = []
        self._relay: Relay | None = None
        self._loaded: set[str] = set()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if timeout <= 0:
            raise InputError(f"timeout must be positive, got {timeout}")
        self.network = None if network is None else load_network(network)

    def __enter__(self) -> LocalCluster:
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
        if self._parties:
            return
        self._folder = tempfile.TemporaryDirectory(prefix="ditto-")
        self._loaded = set()
        deadline = time.monotonic() + self.timeout
        try:
            ports = _free_ports(PARTIES)
            addresses = [[f"{LOOPBACK}:{port}" for port in ports]] * PARTIES
            if self.network is not None:
                self._relay = Relay(self.network, ports)
                addresses = [self._relay.addresses(rank) for rank in range(PARTIES)]
            self._parties = [_spawn(rank, Path(self._folder.name)) for rank in range(PARTIES)]
            # Links connect at once when all try at the same time, otherwise after seconds.
            self._answers(deadline, "starting", None)
            for rank, party in enumerate(self._parties):
                header = {"command": "connect", "rank": rank, "addresses": addresses[rank]}
                self._send(rank, party, {**header, "timeout_s": self.timeout})
            self._answers(deadline, "starting", None)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the parties; nothing is left behind. The next run starts new ones."""
        for party in self._parties:
            party.process.kill()
            party.sock.close()
        for party in self._parties:
            party.process.wait()
        self._parties = []
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def run(self, program: Program, *args: Any, progress: Callable[[int, int], None] | None = None) -> Any:
        """Runs a program on shares of `args` and returns what it computes.

        Args:
            program: a compiled program.
            args: as for the function it was compiled from, without static arguments; arrays or numbers.
            progress: called with steps done and steps in all, as the slowest party proceeds.

        Returns:
            arrays of the function's dtypes, nested as the function nests them.

        Raises:
            InputError: number, nesting, shapes or dtypes of `args` are wrong; nothing was sent.
            SharingError: a value does not fit the encoding that the policy gives it.
            ClusterError: a party died, failed or was too slow. All parties are then ended.
        """
        arrays = check_inputs(program, args)
        # Everything that can be wrong with values shows here, before a party sees a share.
        encoded = {}
        for entry in program.inputs:
            value = program.values[entry.value]
            encoded[entry.value] = encode(arrays[entry.index], value.encoding)
        self.start()
        deadline = time.monotonic() + self.timeout
        try:
            return self._run(program, encoded, deadline, progress)
        except BaseException:
            # A protocol that stops halfway cannot be resumed.
            self.close()
            raise

    def _run(
        self,
        program: Program,
        encoded: dict[int, Any],
        deadline: float,
        progress: Callable[[int, int], None] | None,
    ) -> Any:
        content = program.to_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._loaded:
            for rank, party in enumerate(self._parties):
                self._send(rank, party, {"command": "load", "digest": digest}, [content])
            self._answers(deadline, "loading the program", None)
            self._loaded.add(digest)
        input_bytes = 0
        for number, raw in encoded.items():
            value = program.values[number]
            ring = value.encoding.ring
            pieces = share(raw, ring) if value.secret else (raw,) * PARTIES
            for rank, (party, piece) in enumerate(zip(self._parties, pieces, strict=True)):
                self._send(rank, party, {"command": "input", "value": number, "ring": ring}, [piece])
                input_bytes += piece.nbytes
        for rank, party in enumerate(self._parties):
            self._send(rank, party, {"command": "run", "digest": digest})
        total = len(program.steps)

        def on_progress(steps: Sequence[int]) -> None:
            if progress is not None:
                progress(min(steps) + 1, total)

        answers = self._answers(deadline, "running the program", on_progress)
        traffic = [header["traffic"] for header, _ in answers]
        self.stats = RunStats(
            **{key: sum(party[key] for party in traffic) for key in traffic[0]},
            input_bytes=input_bytes,
            seconds=max(header["seconds"] for header, _ in answers),
        )
        outputs = []
        for position, number in enumerate(program.outputs):
            parts = [(header["outputs"][position], buffers[position]) for header, buffers in answers]
            outputs.append(_open(program, number, parts))
        return tree.unflatten(program.output_tree, outputs)

    def _send(self, rank: int, party: _Process, header: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        try:
            send_frame(party.sock, header, buffers)
        except OSError:
            raise self._death(rank, "was sent data") from None

    def _answers(
        self, deadline: float, doing: str, on_progress: Callable[[Sequence[int]], None] | None
    ) -> list[tuple[dict[str, Any], list[bytearray]]]:
        """One answer per party; a death or an error of one ends the wait for all."""
        answers: dict[int, tuple[dict[str, Any], list[bytearray]]] = {}
        steps = [-1] * PARTIES
        with selectors.DefaultSelector() as selector:
            for rank, party in enumerate(self._parties):
                selector.register(party.sock, selectors.EVENT_READ, rank)
            if self._relay is not None:
                selector.register(self._relay.output, selectors.EVENT_READ, None)
            while len(answers) < PARTIES:
                left = deadline - time.monotonic()
                ready = selector.select(max(left, 0)) if left > 0 else []
                if not ready:
                    late = ", ".join(f"P{rank}" for rank in range(PARTIES) if rank not in answers)
                    raise ClusterError(
                        f"{doing} took longer than the time-out of {self.timeout:g} s "
                        f"(no answer from {late}); "
                        "give LocalCluster a larger timeout"
                    )
                # Without the relay the parties fail as well, but they cannot know why.
                if self._relay is not None and self._relay.process.poll() is not None:
                    raise ClusterError(f"{self._relay.epitaph()} while {doing}")
                for key, _ in ready:
                    rank = key.data
                    if rank is None:
                        continue
                    party = self._parties[rank]
                    party.sock.settimeout(max(deadline - time.monotonic(), 0.1))
                    try:
                        header, buffers = recv_frame(party.sock)
                    except (WireError, OSError):
                        raise self._death(rank, f"was {doing}") from None
                    if "progress" in header:
                        steps[rank] = header["progress"]
                        if on_progress is not None:
                            on_progress(steps)
                    elif "error" in header:
                        raise ClusterError(f"party P{rank} failed while {doing}: {header['error']}")
                    else:
                        answers[rank] = (header, buffers)
                        selector.unregister(party.sock)
        return [answers[rank] for rank in range(PARTIES)]

    def _death(self, rank: int, doing: str) -> ClusterError:
        party = self._parties[rank]
        try:
            status = party.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return ClusterError(f"party P{rank} closed its connection while it {doing}")
        cause = f"by signal {-status}" if status < 0 else f"with exit code {status}"
        lines = party.log.read_text(errors="replace").strip().splitlines()
        last = f"; it last said: {lines[-1]}" if lines else ""
        return ClusterError(f"party P{rank} died {cause} while it {doing}{last}")


def check_inputs(program: Program, args: Sequence[Any]) -> list[NDArray[Any]]:
    """The caller's arguments as flat arrays of the shapes and dtypes that the program takes.

    Raises:
        InputError: they are not; says which argument, what was found and what is expected.
    """
    try:
        leaves = tree.flatten(program.input_tree, args)
    except tree.TreeError as error:
        raise InputError(f"program '{program.name}': {error}") from None
    if len(leaves) != len(program.caller_inputs):
        raise InputError(
            f"program '{program.name}' takes {len(program.caller_inputs)} arrays, got {len(leaves)}"
        )
    pairs = zip(program.caller_inputs, leaves, strict=True)
    return [_check_input(program.name, i, expected, leaf) for i, (expected, leaf) in enumerate(pairs)]


def _check_input(program: str, index: int, expected: CallerTensor, value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    wanted = numpy_dtype(expected.dtype)
    if array.shape != expected.shape:
        raise InputError(
            f"program '{program}', input {index}: expected shape {expected.shape}, got {array.shape}; "
            "compile again for other shapes"
        )
    if array.dtype != wanted:
        # A Python number has no dtype of its own, so it takes the program's.
        if isinstance(value, (bool, int, float)) and np.can_cast(array.dtype, wanted, "same_kind"):
            return array.astype(wanted)
        raise InputError(f"program '{program}', input {index}: expected dtype {wanted}, got {array.dtype}")
    return array


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


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago."""
    socks = [socket.socket() for _ in range(count)]
    try:
        for sock in socks:
            sock.bind((LOOPBACK, 0))
        return [sock.getsockname()[1] for sock in socks]
    finally:
        for sock in socks:
            sock.close()


def _spawn(rank: int, folder: Path) -> _Process:
    ours, theirs = socket.socketpair()
    log = folder / f"party{rank}.log"
    with theirs, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ditto.runtime.party", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=party_environment(),
        )
    return _Process(process, ours, log)


def party_environment() -> dict[str, str]:
    """The environment that SPU needs.

    `OMP_THREAD_LIMIT=1`, for Eigen would otherwise start four threads per product, which makes products
    several times slower; and a malloc that aligns to 64 bytes, for products in ring 32 read with
    aligned vector loads from buffers that glibc aligns to 16.
    """
    library = installed_file("libditto_malloc.so")
    preload = os.environ.get("LD_PRELOAD")
    return {
        **os.environ,
        "OMP_THREAD_LIMIT": "1",
        "LD_PRELOAD": f"{library}:{preload}" if preload else str(library),
    }
