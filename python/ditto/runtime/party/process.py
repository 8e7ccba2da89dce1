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
from pathlib import Path
from typing import Any

import numpy as np

from ditto.runtime.party.engine import Engine, Prepared, reason_of
from ditto.runtime.party.engine_shares import Held, shape_of
from ditto.runtime.party.memory import PeakMemory, protect_memory
from ditto.runtime.party.prepared import prepared_bytes
from ditto.runtime.party.spu_library import libspu
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
        digest: of its program.
        keys: by slot, of those slots of its inputs that are drawn ahead and that this party knows.
        prepared: what the engine has of it.
    """

    digest: str
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
        self._prepared: dict[int, _Ahead] = {}

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
                for number in [n for n, ahead in self._prepared.items() if ahead.digest == header["digest"]]:
                    del self._prepared[number]
                return {}, []
            case "prepare":
                return self._prepare(header["digest"], header["number"], header["slots"]), []
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
                return self._run(header["digest"], dict(header["keep"]), header.get("prepared"))
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
            raise ProtocolError("inputs of a prepared run that the program does not take, or for no such run")
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

    def _prepare(self, digest: str, number: int, slots: dict[str, str]) -> dict[str, Any]:
        """One run in which P0 goes ahead, with the keys of the slots that this party knows of the inputs."""
        engine, program = self._connected(), self._programs[digest]
        keys = {int(slot): bytes.fromhex(key) for slot, key in slots.items()}
        self._peak_memory.forget()
        start, cpu_start = time.perf_counter(), time.process_time()
        if engine.rank == 0:
            self._complete(program, keys)
        elif self._inputs:
            raise ProtocolError("a party that does not go ahead needs no inputs to prepare a run")
        inputs, self._inputs = self._inputs, {}
        prepared, traffic = engine.prepare(program, inputs)
        self._prepared[number] = _Ahead(digest, keys, prepared)
        return {
            "ok": True,
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu_start,
            "peak_memory": self._peak_memory.read(),
            "traffic": dataclasses.asdict(traffic),
        }

    def _take_prepared(self, number: int, digest: str) -> Prepared:
        """A prepared run, whose inputs are now complete; nobody gets it a second time."""
        ahead = self._prepared.pop(number, None)
        if ahead is None or ahead.digest != digest:
            raise ProtocolError(f"no run {number} of that program is prepared")
        if self._connected().rank:
            self._complete(self._programs[digest], ahead.keys)
        elif self._inputs or self._last:
            raise ProtocolError("a party that went ahead takes no more inputs")
        return ahead.prepared

    def _complete(self, program: Program, keys: dict[int, bytes]) -> None:
        """Adds to the inputs those of which x_0 and x_1 are drawn ahead, and x_2 has come, except to P0.

        Raises:
            ProtocolError: some are missing, too many, or not such that P0 can go ahead.
        """
        rank, last = self._connected().rank, self._last
        for value, number in ((program.values[entry.value], entry.value) for entry in program.inputs):
            if number in self._inputs:
                if self._inputs[number][0] != value.encoding:
                    raise ProtocolError(f"input value {number} of a prepared run would have to be cast")
                continue
            if not value.secret:
                raise ProtocolError(f"input value {number} of a prepared run is public, and not kept")
            if rank and (number not in last or last[number].size != value.elements):
                raise ProtocolError(f"input value {number} of a prepared run lacks its last slot")
            ring = value.encoding.ring
            slots = {slot: slot_ahead(key, number, value.elements, ring) for slot, key in keys.items()}
            if rank:
                slots[2] = last.pop(number)
            words = np.stack([slots[rank], slots[(rank + 1) % 3]], axis=-1)
            self._inputs[number] = value.encoding, Held("arithmetic", words)
        self._check_inputs(program)

    def _connected(self) -> Engine:
        if self._engine is None:
            raise InternalError("the party is not connected")
        return self._engine

    def _run(self, digest: str, keep: dict[int, int], number: int | None) -> tuple[dict[str, Any], list[Any]]:
        engine, program = self._connected(), self._programs[digest]
        self._peak_memory.forget()
        prepared = None if number is None else self._take_prepared(number, digest)
        if prepared is None:
            self._check_inputs(program)
        inputs, self._inputs = self._inputs, {}
        start, cpu_start = time.perf_counter(), time.process_time()
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


def _about(program: Program) -> dict[str, Any]:
    """What a session has to know of a program: owners of inputs by value, what the outputs are, sizes."""
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
        "ahead": prepared_bytes(program),
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
