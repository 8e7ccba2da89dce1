"""One party as a process: takes commands from its caller over a socket, talks to its peers over a link.

    python -m ditto.runtime.party.process FD FOLDER

FOLDER is for SPU's log; who started the party removes it. The caller at the other end of the socket FD is
`LocalCluster`, or a session of `ditto party` that checks what it passes on.

The process never outlives its caller: a thread reads the socket all the time, and the end of the
connection ends the process, whatever it is computing.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import socket
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from spu import libspu

from ditto.runtime.party.engine import Engine, Prepared, reason_of
from ditto.runtime.party.engine_shares import Held, shape_of
from ditto.runtime.party.memory import PeakMemory, protect_memory
from ditto.runtime.protocols.sharing import Ring, raw_shape, slot_ahead, word_dtype
from ditto.runtime.transport.wire import WireError, recv_frame, send_frame
from ditto_compiler.encoding import Encoding, parse_encoding, plan_casts
from ditto_compiler.errors import DittoError, InternalError
from ditto_compiler.network import Network
from ditto_compiler.program import Program

Frame = tuple[dict[str, Any], list[bytearray]]


class ProtocolError(DittoError):
    """A caller that sends what the program does not take."""


@dataclasses.dataclass(frozen=True)
class _Ahead:
    """A prepared run.

    Attributes:
        keys: of the slots of its inputs that were drawn ahead and that this party knows, by slot.
        prepared: what the engine has of it.
    """

    keys: dict[int, bytes]
    prepared: Prepared


class Party:
    """Executes commands one by one.

    Commands: `connect` (rank, addresses, receive time-out, network), `load` (a program file), `unload`,
    `input` (one share of the next run, or the key of a kept one), `run` (and what of the outputs to keep),
    `keep` (one share for later runs), `forget` (kept shares), `prepare` (a run whose inputs come later: keys
    of their slots x_0 and x_1), `last` (the slot x_2 of an input of a prepared run). `connect`, `load`,
    `prepare` and `run` are answered by `{"ok": ...}` or `{"error": ...}`; a party that is ready for commands
    says ok unasked, and while it runs it reports `{"progress": step}`.
    """

    def __init__(self, sock: socket.socket, folder: Path, peak_memory: PeakMemory) -> None:
        self._sock = sock
        self._folder = folder
        self._peak_memory = peak_memory
        self._engine: Engine | None = None
        self._programs: dict[str, Program] = {}
        self._inputs: dict[int, tuple[Encoding, Held]] = {}
        self._last: dict[int, Ring] = {}
        self._kept: dict[int | str, dict[Encoding, Held]] = {}
        self._prepared: dict[str, deque[_Ahead]] = {}

    def serve(self) -> None:
        """Answers commands until the caller closes the connection, which ends the process."""
        commands: queue.Queue[Frame] = queue.Queue()
        threading.Thread(target=_read_commands, args=(self._sock, commands), daemon=True).start()
        send_frame(self._sock, {"ok": True})
        while True:
            header, buffers = commands.get()
            try:
                answer, reply_buffers = self._execute(header, buffers)
            except (DittoError, InternalError) as error:
                answer, reply_buffers = {"error": str(error)}, []
            except RuntimeError as error:  # what SPU raises for anything
                answer, reply_buffers = {"error": f"SPU failed: {reason_of(error)}"}, []
            if answer:
                send_frame(self._sock, answer, reply_buffers)

    def _execute(self, header: dict[str, Any], buffers: list[bytearray]) -> tuple[dict[str, Any], list[Any]]:
        match header["command"]:
            case "connect":
                between = header["network"]
                network = None if between is None else Network(**between)
                self._connect(header["rank"], header["addresses"], header["timeout_s"], network)
                return {"ok": True}, []
            case "load":
                program = Program.from_bytes(bytes(buffers[0]))
                self._programs[header["digest"]] = program
                return {"ok": True, "about": _about(program)}, []
            case "unload":
                del self._programs[header["digest"]]
                self._prepared.pop(header["digest"], None)
                return {}, []
            case "prepare":
                return self._prepare(header["digest"], header["slots"]), []
            case "input":
                self._inputs[header["value"]] = self._input(header, buffers)
                return {}, []
            case "last":
                ring = parse_encoding(header["encoding"]).ring
                self._last[header["value"]] = np.frombuffer(buffers[0], word_dtype(ring))
                return {}, []
            case "keep":
                kept = self._kept.setdefault(header["key"], {})
                encoding, held = self._input(header, buffers)
                kept[encoding] = held
                return {}, []
            case "forget":
                for key in header["keys"]:
                    self._kept.pop(key, None)
                return {}, []
            case "run":
                ahead = self._next_prepared(header["digest"]) if header.get("prepared") else None
                return self._run(self._programs[header["digest"]], dict(header["keep"]), ahead)
        raise InternalError(f"unknown command {header['command']!r}")

    def _connect(self, rank: int, addresses: list[str], timeout_s: float, network: Network | None) -> None:
        log = self._folder / "spu.log"
        options = libspu.logging.LogOptions()
        options.enable_console_logger = False
        options.system_log_path = str(log)
        # The engine empties it. Were it renamed at some size, what is in it would not be found.
        options.max_log_file_size = 1 << 62
        libspu.logging.setup_logging(options)
        description = libspu.link.Desc()
        description.recv_timeout_ms = int(timeout_s * 1000)
        for number, address in enumerate(addresses):
            description.add_party(f"P{number}", address)
        self._engine = Engine(libspu.link.create_brpc(description, rank), log, network)

    def _input(self, header: dict[str, Any], buffers: list[bytearray]) -> tuple[Encoding, Held]:
        """What this party holds of an input: its share of what the caller sends, or of what it keeps."""
        encoding = parse_encoding(header["encoding"])
        if "key" in header and not buffers:
            kept = self._kept.get(header["key"], {})
            if encoding not in kept:
                raise ProtocolError(f"no array {header['key']!r} is kept as {encoding}")
            return encoding, kept[encoding]
        kind, width = ("arithmetic", 2) if header["secret"] else ("public", 1)
        if len(buffers[0]) % (width * encoding.ring // 8):
            raise ProtocolError(f"{len(buffers[0])} bytes are no {kind} share in {encoding}")
        words = np.frombuffer(buffers[0], word_dtype(encoding.ring))
        shape = (-1, 2) if header["secret"] else (-1,)
        return encoding, Held(kind, words.reshape(raw_shape(shape, encoding.ring)))

    def _check_inputs(self, program: Program) -> None:
        """Makes sure that the engine gets the inputs that it takes, for it does not check.

        Raises:
            ProtocolError: some are missing or too many, of another size, or secret but wanted as public.
        """
        wanted = {entry.value for entry in program.inputs}
        if self._last:
            raise ProtocolError("slots of inputs whose others were not drawn ahead")
        if wanted != self._inputs.keys():
            raise ProtocolError(f"the program takes the values {sorted(wanted)}, got {sorted(self._inputs)}")
        for number, (encoding, held) in self._inputs.items():
            value = program.values[number]
            if held.kind == "boolean":
                if value.dtype != "i1" or shape_of(held.share) != value.shape:
                    raise ProtocolError(f"input value {number} is a boolean of another shape")
                continue
            assert held.data is not None
            if len(held.data) != value.elements:
                raise ProtocolError(
                    f"input value {number} has {len(held.data)} elements, the program takes {value.elements}"
                )
            if held.kind == "arithmetic" and not value.secret:
                raise ProtocolError(f"input value {number} is secret, the program takes it as public")
            plan_casts(encoding, value.encoding)

    def _prepare(self, digest: str, slots: dict[str, str]) -> dict[str, Any]:
        """One run in which P0 goes ahead, with the keys of the slots that this party knows of the inputs."""
        engine, program = self._connected(), self._programs[digest]
        keys = {int(slot): bytes.fromhex(key) for slot, key in slots.items()}
        self._peak_memory.forget()
        start, cpu_start = time.perf_counter(), time.process_time()
        inputs = _inputs_ahead(program, engine.rank, keys, {}) if engine.rank == 0 else {}
        prepared, traffic = engine.prepare(program, inputs)
        self._prepared.setdefault(digest, deque()).append(_Ahead(keys, prepared))
        return {
            "ok": True,
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu_start,
            "peak_memory": self._peak_memory.read(),
            "traffic": dataclasses.asdict(traffic),
        }

    def _next_prepared(self, digest: str) -> _Ahead:
        """A prepared run, which nobody gets a second time."""
        left = self._prepared.get(digest)
        if not left:
            raise ProtocolError("no run of that program is prepared")
        return left.popleft()

    def _complete(self, program: Program, ahead: _Ahead) -> None:
        """Makes the inputs of a prepared run, of what was drawn ahead and what has come since."""
        rank, last = self._connected().rank, self._last
        wanted = {entry.value: program.values[entry.value].elements for entry in program.inputs}
        if self._inputs or {number: words.size for number, words in last.items()} != (wanted if rank else {}):
            raise ProtocolError("inputs that are not those of a prepared run")
        self._inputs = _inputs_ahead(program, rank, ahead.keys, last) if rank else {}
        self._last = {}

    def _connected(self) -> Engine:
        if self._engine is None:
            raise InternalError("the party is not connected")
        return self._engine

    def _run(
        self, program: Program, keep: dict[int, int], ahead: _Ahead | None
    ) -> tuple[dict[str, Any], list[Any]]:
        engine = self._connected()
        self._peak_memory.forget()
        start, cpu_start = time.perf_counter(), time.process_time()
        if ahead is None:
            self._check_inputs(program)
        else:
            self._complete(program, ahead)
        inputs, self._inputs = self._inputs, {}
        prepared = None if ahead is None else ahead.prepared
        outputs, traffic = engine.run(program, inputs, self._report, prepared)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        described: list[tuple[dict[str, Any], Any]] = []
        for position, held in enumerate(outputs):
            encoding = program.values[program.outputs[position]].encoding
            if position in keep:
                self._kept[keep[position]] = {encoding: held}
                described.append(({"kind": held.kind}, b""))
            else:
                part = engine.open(held, encoding.ring)
                described.append((part.about, part.data))
        answer = {
            "ok": True,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "peak_memory": self._peak_memory.read(),
            "traffic": dataclasses.asdict(traffic),
            "outputs": [about for about, _ in described],
        }
        return answer, [data for _, data in described]

    def _report(self, step: int) -> None:
        send_frame(self._sock, {"progress": step})


def _inputs_ahead(
    program: Program, rank: int, keys: dict[int, bytes], last: dict[int, Ring]
) -> dict[int, tuple[Encoding, Held]]:
    """What a party holds of inputs of which x_0 and x_1 were drawn ahead."""
    inputs = {}
    for number in (entry.value for entry in program.inputs):
        value = program.values[number]
        slots = {
            slot: slot_ahead(key, number, value.elements, value.encoding.ring) for slot, key in keys.items()
        }
        if number in last:
            slots[2] = last[number]
        words = np.stack([slots[rank], slots[(rank + 1) % 3]], axis=-1)
        inputs[number] = value.encoding, Held("arithmetic", words)
    return inputs


def _about(program: Program) -> dict[str, Any]:
    """What a session has to know of a program: owners of inputs by value, and what the outputs are."""
    owners = {str(i.value): program.caller_inputs[i.index].owner for i in program.inputs}
    values = [program.values[number] for number in program.outputs]
    outputs = [
        {
            "shape": value.shape,
            "dtype": value.dtype,
            "encoding": str(value.encoding),
            "bytes": value.elements * (value.encoding.ring // 8) * 2,
        }
        for value in values
    ]
    return {
        "owners": owners,
        "outputs": outputs,
        "result": {
            "name": program.name,
            "values": outputs,
            "tree": program.output_tree,
            "guard": None if program.guard is None else list(program.guard.assumptions),
        },
    }


def _read_commands(sock: socket.socket, commands: queue.Queue[Frame]) -> None:
    while True:
        try:
            commands.put(recv_frame(sock))
        except (WireError, OSError):
            # The caller is gone. The main thread may be deep in the engine, so do not ask it.
            os._exit(0)


def main() -> None:
    """Runs a party whose caller is at the other end of the inherited socket `argv[1]`."""
    peak_memory = PeakMemory()
    protect_memory()
    sock, folder = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    try:
        Party(sock, folder, peak_memory).serve()
    except OSError:
        # The caller is gone while it is being answered. SPU's threads do not end on their own.
        os._exit(0)


if __name__ == "__main__":
    main()
