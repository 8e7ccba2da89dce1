"""A caller's session with a party: what it may do, and the process that does it.

The server reads every frame of a caller itself. It forwards to the session's own process what is
well-formed, small enough and allowed, so that process merely executes; it never sees another session's data,
nor the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ditto.runtime.party.access import Access
from ditto.runtime.party.deposits import Deposits, DepositUnderWay, Piece
from ditto.runtime.party.links import SessionLinks
from ditto.runtime.party.spawn import PartyProcess, spawn_party
from ditto.runtime.protocols.prf import KEY_BYTES
from ditto.runtime.transport.identity import normal_name
from ditto.runtime.transport.wire import MAX_PROGRAMS, Closed, WireError, pack_header, read_header
from ditto_compiler.encoding import parse_encoding
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES, Network
from ditto_compiler.processes import cause_of_death
from ditto_compiler.program_file import FILE_BYTES

T = TypeVar("T")
Frame = tuple[dict[str, Any], list[int]]

CHUNK = 1 << 20
"""Bytes that are copied at a time."""

_ABOUT = 4 << 20
_ARRAYS = 1 << 14
_LINGER_S = 10.0
_DEATH_S = 2.0
_PROCESS_S = 120.0
_LONGEST_REASON = 2000

_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What comes of fields that are missing, or not of the type that they should have."""


class SessionError(DittoError):
    """A session that cannot go on."""


@dataclass(frozen=True)
class Origin:
    """Where a value of a session comes from.

    Attributes:
        sources: who gave what it was made of, by certificate names.
        deposits: those that it was made of.
        size: bytes of it that this party holds for the session.
    """

    sources: frozenset[str] = frozenset()
    deposits: frozenset[str] = frozenset()
    size: int = 0

    def __or__(self, other: Origin) -> Origin:
        """Where a value made of two others comes from."""
        return Origin(self.sources | other.sources, self.deposits | other.deposits)


@dataclass(frozen=True)
class Ahead:
    """A run that the session's process has prepared.

    Attributes:
        digest: of the program.
        inputs: where those come from that were there already.
        size: bytes that this party holds for it.
    """

    digest: str
    inputs: dict[int, Origin]
    size: int


@dataclass(frozen=True)
class Client:
    """A caller's end of a session.

    Attributes:
        name: in its certificate.
        reader: of what it sends.
        writer: to it.
    """

    name: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Session:
    """One caller, admitted, and the process that works for it.

    Args:
        client: the caller and its connection.
        access: what callers may do.
        deposits: what is kept for owners and receivers.
        links: of this session, to the other parties.
        rank: this party's.
        folder: of the session, which only this user can open.
        report: told what happens, in one line each, never a value.
    """

    def __init__(
        self,
        client: Client,
        access: Access,
        deposits: Deposits,
        links: SessionLinks,
        rank: int,
        folder: Path,
        report: Callable[[str], None],
    ) -> None:
        self._caller = client.name
        self._reader = client.reader
        self._writer = client.writer
        self._access = access
        self._deposits = deposits
        self._links = links
        self._rank = rank
        self._folder = folder
        self._report = report
        self._next: asyncio.Task[Frame] | None = None
        self._programs: dict[str, tuple[dict[str, Any], int]] = {}
        self._inputs: dict[int, Origin] = {}
        self._kept: dict[Any, Origin] = {}
        self._ahead: dict[int, Ahead] = {}
        self._held = 0
        self._connected = False
        self._pending: DepositUnderWay | None = None

    async def serve(self) -> None:
        """Serves the caller until it leaves, or something goes wrong, which it is told."""
        try:
            with contextlib.ExitStack() as stack:
                process = self._start(stack)
                self._from_process, self._to_process = await asyncio.open_connection(
                    sock=process.sock, limit=CHUNK
                )
                # Waiting for what it has not read would leave its descriptor watched once it is closed.
                stack.callback(self._to_process.transport.abort)
                self._process = process
                await self._commands()
        except Closed:
            pass
        except (DittoError, TimeoutError) as error:
            self._report(f"failed: {error}")
            await self._refuse(str(error))
        finally:
            if self._next is not None:
                self._next.cancel()
                await asyncio.gather(self._next, return_exceptions=True)
            if self._pending is not None:
                self._pending.abandon()

    def _start(self, stack: contextlib.ExitStack) -> PartyProcess:
        try:
            process = spawn_party(self._rank, self._folder)
        except (OSError, DittoError) as error:
            raise SessionError(f"it cannot start a party process: {error}") from None

        def end() -> None:
            process.process.kill()
            process.process.wait()
            process.sock.close()

        stack.callback(end)
        return process

    async def _commands(self) -> None:
        await self._answer()
        while True:
            idle_s = self._access.idle_s
            late = f"the caller said nothing for {idle_s:g} s"
            header, sizes = await self._wait(self._peek(), time.monotonic() + idle_s, late)
            self._next = None
            command = header.pop("command", None)
            execute, buffers = _COMMANDS.get(command if isinstance(command, str) else "", (None, 0))
            if execute is None:
                raise SessionError(f"there is no command {str(command)[:40]!r}")
            if len(sizes) > buffers:
                raise SessionError(f"the command '{command}' has {len(sizes)} buffers; it takes {buffers}")
            try:
                await execute(self, header, sizes)
            except _MALFORMED as error:
                raise SessionError(f"the command '{command}' is malformed: {error!r}") from None

    def _peek(self) -> asyncio.Task[Frame]:
        """The header of the caller's next frame; also how its leaving is noticed."""
        if self._next is None:
            self._next = asyncio.create_task(read_header(self._reader))
        return self._next

    async def _wait(self, task: asyncio.Task[T], deadline: float, late: str) -> T:
        """What `task` gives, unless the caller leaves, a link breaks or it takes too long before."""
        watched: set[asyncio.Future[Any]] = {task, self._peek(), self._links.broken}
        while not task.done():
            await asyncio.wait(
                watched, timeout=deadline - time.monotonic(), return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                break
            if self._links.broken.done():
                # Links break when this party's own process dies, too, and when the caller has just left.
                await asyncio.sleep(0.1)
                if self._peek().done() and (error := self._peek().exception()) is not None:
                    task.cancel()
                    raise error
                task.cancel()
                if self._process.process.poll() is not None:
                    raise await self._death()
                raise SessionError(self._links.broken.result())
            if self._peek().done():
                if (error := self._peek().exception()) is not None:
                    task.cancel()
                    raise error
                watched.discard(self._peek())
            if time.monotonic() >= deadline:
                task.cancel()
                raise SessionError(late)
        return task.result()

    # What the caller sends.

    async def _buffer(self, size: int) -> AsyncIterator[bytes]:
        """A buffer of the caller's frame, as it comes."""
        while size:
            try:
                async with asyncio.timeout(self._access.idle_s):
                    chunk = await self._reader.read(min(size, CHUNK))
            except TimeoutError:
                raise SessionError(
                    f"the caller stopped within a frame for {self._access.idle_s:g} s"
                ) from None
            except OSError as error:
                raise Closed(str(error)) from None
            if not chunk:
                raise WireError("the connection was closed")
            size -= len(chunk)
            yield chunk

    async def _whole(self, size: int, most: int, what: str) -> bytes:
        if size > most:
            raise SessionError(f"{what} has {size} bytes; at most {most} are taken")
        return b"".join([chunk async for chunk in self._buffer(size)])

    def _hold(self, table: dict[Any, Origin], key: Any, origin: Origin) -> None:
        """Notes what the process is about to hold in place of what `table` has there."""
        self._reserve(origin.size - table.get(key, Origin()).size, new=key not in table)
        table[key] = origin

    def _reserve(self, size: int, *, new: bool) -> None:
        """Counts bytes that the process is about to hold."""
        held = self._held + size
        if held > self._access.memory_bytes:
            raise SessionError(
                f"this session would hold {held} bytes of inputs, kept arrays and prepared runs; its limit "
                f"is {self._access.memory_bytes} (memory_bytes of this party's access file)"
            )
        if new and len(self._inputs) + len(self._kept) + len(self._ahead) >= _ARRAYS:
            raise SessionError(f"a session may hold {_ARRAYS} arrays and prepared runs")
        self._held = held

    # The session's process.

    async def _forward(self, header: dict[str, Any], sizes: list[int] | None = None) -> None:
        """Passes a command on, with the caller's buffers."""
        await self._to_party(pack_header(header, sizes or []))
        for size in sizes or []:
            async for chunk in self._buffer(size):
                await self._to_party(chunk)

    async def _to_party(self, data: bytes) -> None:
        try:
            self._to_process.write(data)
            async with asyncio.timeout(_PROCESS_S):
                await self._to_process.drain()
        except TimeoutError:
            raise SessionError(f"the party process took nothing for {_PROCESS_S:g} s") from None
        except OSError:
            raise await self._death() from None

    async def _reply(self, seconds: float, late: str = "the party process gave no answer for") -> Frame:
        """The process's next answer within so many seconds, while it reports progress to the caller."""
        deadline = time.monotonic() + seconds
        while True:
            reply = asyncio.create_task(read_header(self._from_process))
            try:
                header, sizes = await self._wait(reply, deadline, f"{late} {seconds:g} s")
            except WireError:
                if reply.done() and not reply.cancelled():
                    raise await self._death() from None
                raise
            if "progress" not in header:
                break
            if time.monotonic() >= deadline:
                raise SessionError(f"{late} {seconds:g} s")
            await self._send(header)
        if "error" in header:
            raise SessionError(str(header["error"]))
        return header, sizes

    async def _answer(self) -> None:
        """Passes an answer without buffers on to the caller."""
        header, _ = await self._reply(_PROCESS_S)
        await self._send(header)

    async def _death(self) -> SessionError:
        """What is known of a process that ended its connection, or sent what is no answer."""
        deadline = time.monotonic() + _DEATH_S
        while (status := self._process.process.poll()) is None:
            if time.monotonic() > deadline:
                return SessionError("its process sent something that is not an answer")
            await asyncio.sleep(0.01)
        return SessionError(f"its process died {cause_of_death(status)}{self._process.last_words()}")

    async def _from_party(self, size: int) -> AsyncIterator[bytes]:
        while size:
            read = asyncio.create_task(self._from_process.read(min(size, CHUNK)))
            late = f"the party process sent nothing for {_PROCESS_S:g} s"
            try:
                chunk = await self._wait(read, time.monotonic() + _PROCESS_S, late)
            except OSError:
                chunk = b""
            if not chunk:
                raise await self._death()
            size -= len(chunk)
            yield chunk

    # Answers.

    async def _send(self, header: dict[str, Any], sizes: list[int] | None = None) -> None:
        await self._write(pack_header(header, sizes or []))

    async def _send_pieces(self, about: dict[str, Any], pieces: list[Piece]) -> None:
        """An answer with what is stored."""
        await self._send({"ok": True, **about}, [piece.size for piece in pieces])
        for piece in pieces:
            async for chunk in piece.chunks():
                await self._write(chunk)

    async def _write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            async with asyncio.timeout(self._access.idle_s):
                await self._writer.drain()
        except TimeoutError:
            raise SessionError(f"the caller read nothing for {self._access.idle_s:g} s") from None
        except OSError as error:
            raise Closed(f"the connection was lost: {error}") from None

    async def _refuse(self, reason: str) -> None:
        """Tells the caller why, and takes what it is still sending, so that it comes to read it."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
            self._next = None
        with contextlib.suppress(DittoError, OSError, TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                await self._send({"error": reason[:_LONGEST_REASON]})
                while await self._reader.read(CHUNK):
                    pass

    # Commands. Each checks what it is given; what it does not know of, it does not pass on.

    async def _connect(self, header: dict[str, Any], sizes: list[int]) -> None:
        if self._connected:
            raise SessionError("it is connected already")
        time_out = float(header["timeout_s"])
        if not 0 < time_out <= 1e6:
            raise ValueError(f"time-out of {time_out} s")
        between = header["network"]
        network = None if between is None else dataclasses.asdict(Network(**between))
        await self._forward(
            {
                "command": "connect",
                "rank": self._rank,
                "addresses": self._links.addresses,
                "timeout_s": min(time_out, self._access.run_s),
                "network": network,
            }
        )
        await self._answer()
        self._connected = True

    async def _load(self, header: dict[str, Any], sizes: list[int]) -> None:
        content = await self._whole(_only(sizes), FILE_BYTES, "the program file")
        digest = hashlib.sha256(content).hexdigest()
        if header["digest"] != digest:
            raise SessionError(f"the program file has digest {digest}, not {header['digest']}")
        others = {other: known for other, known in self._programs.items() if other != digest}
        if len(others) >= MAX_PROGRAMS:
            raise SessionError(f"a session may have {MAX_PROGRAMS} programs")
        await self._to_party(pack_header({"command": "load", "digest": digest}, [len(content)]) + content)
        answer, _ = await self._reply(_PROCESS_S)
        size = len(pack_header(answer))
        if size + sum(size for _, size in others.values()) > _ABOUT:
            raise SessionError("the programs of a session may not have so many inputs and outputs")
        self._programs = {**others, digest: (answer["about"], size)}
        await self._send({"ok": True})

    async def _unload(self, header: dict[str, Any], sizes: list[int]) -> None:
        digest = header["digest"]
        if digest not in self._programs:
            raise SessionError("the program was not loaded")
        del self._programs[digest]
        for number in [number for number, ahead in self._ahead.items() if ahead.digest == digest]:
            self._held -= self._ahead.pop(number).size
        await self._forward({"command": "unload", "digest": digest})

    async def _input(self, header: dict[str, Any], sizes: list[int]) -> None:
        number, encoding = _integer(header["value"]), str(parse_encoding(header["encoding"]))
        about = {"command": "input", "value": number, "encoding": encoding}
        if sizes:
            self._hold(self._inputs, number, Origin(frozenset({self._caller}), size=sizes[0]))
            await self._forward({**about, "secret": bool(header["secret"])}, sizes)
            return
        if "deposit" in header:
            key: Any = await self._fetch(
                str(header["deposit"]), _integer(header["array"]), str(header["digest"]), encoding
            )
        else:
            key = _integer(header["key"])
        if key not in self._kept:
            raise SessionError(f"it holds no array {key!r}")
        # What is held already counts once.
        self._hold(self._inputs, number, dataclasses.replace(self._kept[key], size=0))
        await self._forward({**about, "key": key})

    async def _last(self, header: dict[str, Any], sizes: list[int]) -> None:
        number, size = _integer(header["value"]), _only(sizes)
        encoding = str(parse_encoding(header["encoding"]))
        # The process makes a pair of slots of it.
        self._hold(self._inputs, number, Origin(frozenset({self._caller}), size=2 * size))
        await self._forward({"command": "last", "value": number, "encoding": encoding}, sizes)

    async def _fetch(self, name: str, array: int, digest: str, encoding: str) -> str:
        """The key under which the process has its share of a deposited array, which it is given now."""
        key = f"{name} {digest} {array} {encoding}"
        if key not in self._kept:
            piece = self._deposits.open(name, array, digest, encoding, self._caller)
            origin = Origin(frozenset({piece.owner}), frozenset({name}), piece.size)
            self._hold(self._kept, key, origin)
            about = {"command": "keep", "key": key, "encoding": encoding, "secret": piece.secret}
            await self._to_party(pack_header(about, [piece.size]))
            async for chunk in piece.chunks():
                await self._to_party(chunk)
        return key

    async def _keep(self, header: dict[str, Any], sizes: list[int]) -> None:
        key, size = _integer(header["key"]), _only(sizes)
        encoding = str(parse_encoding(header["encoding"]))
        # The process adds it to what it has there in other encodings, which may have come from others.
        before = self._kept.get(key, Origin())
        origin = dataclasses.replace(before | Origin(frozenset({self._caller})), size=before.size + size)
        self._hold(self._kept, key, origin)
        about = {"command": "keep", "key": key, "encoding": encoding, "secret": bool(header["secret"])}
        await self._forward(about, [size])

    async def _forget(self, header: dict[str, Any], sizes: list[int]) -> None:
        keys = [_integer(key) for key in header["keys"]]
        if self._inputs:
            # They may be what is to be forgotten, which would no longer count, and still be held.
            raise SessionError("nothing can be forgotten between the inputs of a run")
        for key in keys:
            self._held -= self._kept.pop(key, Origin()).size
        await self._forward({"command": "forget", "keys": keys})

    def _take_inputs(self) -> dict[int, Origin]:
        inputs, self._inputs = self._inputs, {}
        self._held -= sum(source.size for source in inputs.values())
        return inputs

    def _about(self, digest: Any) -> dict[str, Any]:
        """What there is to know of a program that is about to run."""
        if not self._connected:
            raise SessionError("it is not connected yet")
        if digest not in self._programs:
            raise SessionError("the program was not loaded")
        return self._programs[digest][0]

    async def _prepare(self, header: dict[str, Any], sizes: list[int]) -> None:
        """Whether such a run is allowed shows when it has all its inputs."""
        digest, number = header["digest"], _integer(header["number"])
        about = self._about(digest)
        if number in self._ahead:
            raise SessionError(f"run {number} is prepared already")
        slots = {str(slot) for slot in (self._rank, (self._rank + 1) % PARTIES) if slot < PARTIES - 1}
        keys = {slot: _key(header["slots"][slot]) for slot in slots}
        size = about["ahead"][self._rank]
        self._reserve(size, new=True)
        self._ahead[number] = Ahead(digest, self._take_inputs(), size)
        await self._forward({"command": "prepare", "digest": digest, "number": number, "slots": keys})
        answer, _ = await self._reply(self._access.run_s, "the preparation took longer than")
        await self._send(answer)
        self._report(f"prepared a run of program {digest} in {answer['seconds']:.2f} s")

    def _inputs_of(self, about: dict[str, Any], digest: str, number: int) -> dict[int, Origin]:
        """Where all inputs of a prepared run come from; those drawn ahead from the caller."""
        ahead = self._ahead.pop(number, None)
        if ahead is None or ahead.digest != digest:
            raise SessionError(f"no run {number} of that program is prepared")
        self._held -= ahead.size
        drawn = {int(value): Origin(frozenset({self._caller})) for value in about["owners"]}
        return {**drawn, **ahead.inputs, **self._take_inputs()}

    async def _run(self, header: dict[str, Any], sizes: list[int]) -> None:
        digest = header["digest"]
        about = self._about(digest)
        prepared = None if header.get("prepared") is None else _integer(header["prepared"])
        inputs = self._take_inputs() if prepared is None else self._inputs_of(about, digest, prepared)
        keep = {_integer(position): _integer(key) for position, key in header["keep"]}
        receiver, label = self._caller, ""
        if waits := "receiver" in header or "label" in header:
            if keep:
                raise SessionError("what waits for a receiver cannot be kept")
            receiver, label = normal_name(header["receiver"]), header["label"]
        origin = Origin()
        for number, source in inputs.items():
            origin |= source
            if owner := about["owners"].get(str(number)):
                self._access.check_owner(owner, source.sources, f"input {number} of program {digest[:12]}")
        self._access.check_run(
            caller=self._caller, digest=digest, deposits=origin.deposits, receiver=receiver
        )
        if waits:
            # Before the work is done.
            self._deposits.check_label(receiver, self._caller, label)
        using = f" on {', '.join(sorted(origin.deposits))}" if origin.deposits else ""
        towards = f", for {receiver}" if receiver != self._caller else ""
        self._report(f"runs program {digest}{using}{towards}")
        for position, key in keep.items():
            size = about["outputs"][position]["bytes"]
            self._hold(self._kept, key, dataclasses.replace(origin, size=size))
        command = {"command": "run", "digest": digest, "keep": list(keep.items())}
        await self._forward(command if prepared is None else {**command, "prepared": prepared})
        answer, lengths = await self._reply(self._access.run_s, "the run took longer than")
        if not waits:
            await self._send(answer, lengths)
            for size in lengths:
                async for chunk in self._from_party(size):
                    await self._write(chunk)
        else:
            parts = answer.pop("outputs")
            await self._deposits.leave(
                receiver,
                self._caller,
                label,
                {"digest": digest, **about["result"], "parts": parts},
                lengths,
                self._from_party,
            )
            await self._send({**answer, "outputs": []})
        self._report(f"ran program {digest} in {answer['seconds']:.2f} s")

    # Deposits and results.

    async def _deposit(self, header: dict[str, Any], sizes: list[int]) -> None:
        if self._pending is not None:
            self._pending.abandon()
        salts = [bytes.fromhex(salt) for salt in header["salts"]]
        self._pending = await self._deposits.begin(
            header["kind"], header["name"], self._caller, header["about"], salts
        )
        await self._send({"ok": True})

    async def _piece(self, header: dict[str, Any], sizes: list[int]) -> None:
        size = _only(sizes)
        await self._deposit_under_way().add(header["piece"], size, self._buffer(size))

    async def _seal(self, header: dict[str, Any], sizes: list[int]) -> None:
        digest = await self._deposit_under_way().seal(self._rank, header["leaves"])
        await self._send({"ok": True, "digest": digest})

    async def _commit(self, header: dict[str, Any], sizes: list[int]) -> None:
        pending = self._deposit_under_way()
        self._pending = None
        await pending.commit()
        self._report(f"deposits {pending.name}, digest {pending.digest}")
        await self._send({"ok": True})

    def _deposit_under_way(self) -> DepositUnderWay:
        if self._pending is None:
            raise SessionError("nothing is being deposited")
        return self._pending

    async def _deposited(self, header: dict[str, Any], sizes: list[int]) -> None:
        await self._send({"ok": True, **self._deposits.about(header["name"], self._caller)})

    async def _withdraw(self, header: dict[str, Any], sizes: list[int]) -> None:
        await self._deposits.withdraw(header["name"], self._caller)
        self._report(f"withdraws {header['name']}")
        await self._send({"ok": True})

    async def _program(self, header: dict[str, Any], sizes: list[int]) -> None:
        about, piece = self._deposits.program(header["name"], self._caller)
        await self._send_pieces(about, [piece])

    async def _receive(self, header: dict[str, Any], sizes: list[int]) -> None:
        sender = normal_name(header["sender"])
        about, pieces = self._deposits.collect(self._caller, sender, header["label"])
        await self._send_pieces(about, pieces)

    async def _received(self, header: dict[str, Any], sizes: list[int]) -> None:
        await self._deposits.collected(self._caller, normal_name(header["sender"]), header["label"])
        await self._send({"ok": True})


_COMMANDS: dict[
    str, tuple[Callable[[Session, dict[str, Any], list[int]], Coroutine[Any, Any, None]], int]
] = {
    "connect": (Session._connect, 0),
    "load": (Session._load, 1),
    "unload": (Session._unload, 0),
    "input": (Session._input, 1),
    "keep": (Session._keep, 1),
    "forget": (Session._forget, 0),
    "prepare": (Session._prepare, 0),
    "last": (Session._last, 1),
    "run": (Session._run, 0),
    "deposit": (Session._deposit, 0),
    "piece": (Session._piece, 1),
    "seal": (Session._seal, 0),
    "commit": (Session._commit, 0),
    "deposited": (Session._deposited, 0),
    "withdraw": (Session._withdraw, 0),
    "program": (Session._program, 0),
    "receive": (Session._receive, 0),
    "received": (Session._received, 0),
}
"""What executes a command, and how many buffers come with it at most."""


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise ValueError(f"{value!r} is not a number")
    return value


def _key(text: str) -> str:
    key = bytes.fromhex(text)
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes")
    return key.hex()


def _only(sizes: list[int]) -> int:
    (size,) = sizes
    return size
