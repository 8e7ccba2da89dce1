"""The caller's side of running programs on three parties, on this machine or on hosts of their own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import math
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from ditto import tree
from ditto.runtime.caller.ahead import Ahead, AheadStats, PrepareError, check_can_be_prepared
from ditto.runtime.caller.fair_lock import FairLock
from ditto.runtime.caller.inputs import (
    GuardError,
    InputError,
    SharedArray,
    argument_structure,
    as_array,
    check_inputs,
    check_program,
    check_ranges,
    shared_inputs,
)
from ditto.runtime.caller.parties import Answer, ClusterError, LocalParties, Parties
from ditto.runtime.party.prepared import prepared_bytes
from ditto.runtime.protocols.opening import Part, combine
from ditto.runtime.protocols.sharing import SharingError, decode, encode, last_slot, pieces
from ditto.runtime.transport.wire import MAX_PROGRAMS
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import Encoding, plan_casts
from ditto_compiler.network import PARTIES, Network, load_network
from ditto_compiler.program import CallerTensor, Input, Program, Value
from ditto_compiler.showing import counted, format_bytes, format_seconds

T = TypeVar("T")

__all__ = [
    "ClusterError",
    "InputError",
    "LocalCluster",
    "RunStats",
    "SharedArray",
]


@dataclass(frozen=True, repr=False)
class RunStats:
    """What a run cost, summed over the parties and exact; without sharing inputs and opening outputs.

    Attributes:
        engine_bytes: sent by the engine's protocols.
        engine_messages: likewise.
        cast_bytes: sent by casts between rings.
        cast_messages: likewise.
        compare_bytes: sent by comparisons outside of the engine.
        compare_messages: likewise.
        beside_bytes: sent by the executor on shares.
        beside_messages: likewise.
        beside_rounds: of the executor on shares, one after another.
        input_bytes: shares that the caller sent to the parties.
        seconds: wall time of the slowest party, inputs already there.
        cpu_seconds: processor time of all parties.
        peak_memory: most bytes of memory that a party held at a time, inputs included.
        ahead: of a run that was prepared, what that cost, which is not in the other numbers; else None.
    """

    engine_bytes: int
    engine_messages: int
    cast_bytes: int
    cast_messages: int
    compare_bytes: int
    compare_messages: int
    beside_bytes: int
    beside_messages: int
    beside_rounds: int
    input_bytes: int
    seconds: float
    cpu_seconds: float
    peak_memory: int
    ahead: AheadStats | None = None

    def __repr__(self) -> str:
        ahead = "" if self.ahead is None else f", after {self.ahead!r}"
        return (
            f"<RunStats: {format_bytes(self.bytes)} in {counted(self.messages, 'message')}, "
            f"{format_seconds(self.seconds)}, inputs of {format_bytes(self.input_bytes)}, "
            f"{format_bytes(self.peak_memory)} of memory a party{ahead}>"
        )

    @property
    def bytes(self) -> int:
        """Bytes sent by all parties."""
        return self.engine_bytes + self.cast_bytes + self.compare_bytes + self.beside_bytes

    @property
    def messages(self) -> int:
        """Messages sent by all parties."""
        return self.engine_messages + self.cast_messages + self.compare_messages + self.beside_messages


AHEAD_BYTES = 4 << 30
"""That a party holds for prepared runs at most."""

LONGEST = 1_000_000
"""Seconds that a time-out may have; the engine's own counts milliseconds in 32 bits."""


@dataclass
class _Call:
    """A call that waits for its turn.

    Attributes:
        closings: how often the cluster had been closed when the call was made.
        dropped: nobody waits for its result any more.
    """

    closings: int
    dropped: bool = False


class Cluster(ABC):
    """Three parties that run programs.

    The caller plays data owner, model owner and client: it shares the inputs, each party gets only its
    own shares, and the caller alone puts the outputs together.

    Threads may share a cluster. It does one thing at a time, in the order in which it was called: `start`,
    `run`, `share`, `forget` and `close` wait for their turn. Their time-out runs from there on. A call from
    inside another, such as from a progress callback, is a ClusterError, and so is one that waits when the
    cluster is closed, or one in a process that was forked from that which made the cluster.

    Args:
        timeout: seconds that a run may take, and that the parties may take to start.
        network: what lies between the parties.

    Attributes:
        stats: of the run that ended last, in whatever thread.
    """

    def __init__(self, timeout: float = 600.0, network: str | Network | None = None) -> None:
        if not isinstance(timeout, (int, float)) or not 0 < timeout <= LONGEST:
            raise InputError(f"timeout must be a number of seconds in (0, {LONGEST}], got {timeout!r}")
        self.timeout = timeout
        self.network = None if network is None else load_network(network)
        self.stats: RunStats | None = None
        self._loaded: dict[str, None] = {}
        """Digests of the programs that the parties have, the one that was used last at the end."""
        self._prepared: list[Ahead] = []
        """Runs that the parties have prepared."""
        self._keys = itertools.count()
        self._process = os.getpid()
        self._parties: Parties | None = None
        self._lock = FairLock()
        self._closings = 0
        self._worker: ThreadPoolExecutor | None = None
        self._submitting = threading.Lock()

    def __repr__(self) -> str:
        state = "not running" if self._parties is None else "running"
        between = "" if self.network is None else f", {self.network.name} between them"
        return f"<{type(self).__name__} of three parties: {state}{between}>"

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

    def start(self) -> None:
        """Starts and connects the parties, unless they are running.

        Raises:
            ClusterError: a party did not come up.
        """
        with self._turn(self._call()):
            self._start()

    def close(self) -> None:
        """Ends the parties and all shared arrays, when its turn has come. The next run starts new ones.

        Calls whose turn would come after it, of other threads or of `run_async`, fail with a ClusterError.
        In a forked process it does nothing: the parties are not that process's.
        """
        if self._process != os.getpid():
            return
        with self._lock:
            self._closings += 1
            self._end()
        with self._submitting:
            worker, self._worker = self._worker, None
        if worker is not None:
            # What it has left fails at once.
            worker.shutdown(wait=False)

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
            ClusterError: a party died, failed or was too slow, and all parties are then ended; or the cluster
                was closed before the run's turn came.
        """
        return nested(program, self._outputs(self._call(), program, args, keep, progress))

    async def run_async(
        self,
        program: Program,
        *args: Any,
        keep: Any = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Any:
        """As `run`, in a thread of the cluster's own: others may go on meanwhile.

        Any number may be under way; they run one after the other, in the order in which they were begun.
        When one is cancelled before its turn has come, it does not run; else it runs to its end, for a
        protocol that stops halfway cannot be resumed, and its result is dropped, kept arrays too. `progress`
        is called in the other thread.

        Raises:
            InputError, SharingError, GuardError, ClusterError: as `run`.
        """
        outputs = await self._later(lambda call: self._outputs(call, program, args, keep, progress))
        return nested(program, outputs)

    def _outputs(
        self,
        call: _Call,
        program: Program,
        args: Sequence[Any],
        keep: Any,
        progress: Callable[[int, int], None] | None,
        destination: Mapping[str, str] | None = None,
    ) -> list[Any]:
        """The outputs of a run; none when they go to the `receiver` of a `destination`, under its `label`."""
        leaves = check_inputs(program, args)
        kept = tree.prefix(program.output_tree, keep, program.results)
        with self._turn(call):
            # Everything that can be wrong with values shows here, before a party sees a share.
            encoded: dict[int, Any] = {}
            for entry in program.inputs:
                value, leaf = program.values[entry.value], leaves[entry.index]
                if isinstance(leaf, SharedArray):
                    encoded[entry.value] = self._held(program, entry.index, value, leaf)
                else:
                    encoded[entry.value] = encode(leaf, value.encoding)
            outputs = self._guarded(
                lambda parties, deadline: self._run(
                    parties, deadline, program, encoded, kept, progress, destination or {}
                )
            )
            if program.guard is not None and outputs and not outputs.pop():
                self._forget(outputs)
                raise GuardError(broken_guard(program.name, program.guard.assumptions))
        return outputs

    def prepare(self, program: Program, runs: int = 1, *, shared: Mapping[int, Any] | None = None) -> None:
        """Has the parties do what they can of runs of a program before the inputs are known.

        P0 plays its part of all protocols, and the others keep what it sends. A prepared run takes fewer
        rounds and bytes, among P1 and P2 alone. `run` takes one if there is one for its program and for the
        shared arrays among its arguments, each in the same place; else it runs as usual. `stats.ahead` tells
        what preparing cost. Prepared runs end with the parties, and with a program that makes room for others
        there.

        Args:
            program: one that runs beside the engine as a whole. Its inputs are secret, or shared arrays.
            runs: how many more to prepare.
            shared: by position, the arguments that will be shared arrays, as `share` gave them.

        Raises:
            PrepareError: the program cannot be prepared; or the parties would hold too much.
            InputError, ClusterError: as for `run`.
        """
        self._prepare_runs(self._call(), program, runs, shared or {})

    async def prepare_async(
        self, program: Program, runs: int = 1, *, shared: Mapping[int, Any] | None = None
    ) -> None:
        """As `prepare`, in a thread of the cluster's own; in line with, and cancelled as `run_async`.

        Raises:
            PrepareError, InputError, ClusterError: as `prepare`.
        """
        await self._later(lambda call: self._prepare_runs(call, program, runs, shared or {}))

    def prepared(self, program: Program) -> int:
        """How many prepared runs of a program are left."""
        check_program(program)
        return sum(ahead.digest == program.digest for ahead in list(self._prepared))

    def _prepare_runs(self, call: _Call, program: Program, runs: int, shared: Mapping[int, Any]) -> None:
        check_program(program)
        if type(runs) is not int or runs < 0:
            raise InputError(f"expected a number of runs to prepare, got {runs!r}")
        handles = shared_inputs(program, shared)
        check_can_be_prepared(program, handles)
        each = max(prepared_bytes(program))
        with self._turn(call):
            self._start()
            references = {
                entry.value: self._reference_for(program, entry, handles[entry.index])
                for entry in program.inputs
                if entry.index in handles
            }
            held = runs * each + sum(ahead.held for ahead in self._prepared)
            if held > AHEAD_BYTES:
                raise PrepareError(
                    f"a party would hold {held} bytes for prepared runs, at most {AHEAD_BYTES} are taken; a "
                    f"run of program '{program.name}' takes {each}"
                )
            for _ in range(runs):
                ahead = Ahead(program.digest, next(self._keys), references, each)
                self._guarded(functools.partial(self._prepare, program, ahead))

    def _reference_for(self, program: Program, entry: Input, handle: SharedArray) -> dict[str, Any]:
        """Where the parties find a shared array that a prepared run takes as it is."""
        value = program.values[entry.value]
        reference, encoding = self._held(program, entry.index, value, handle)
        if encoding != value.encoding:
            raise PrepareError(
                f"program '{program.name}' takes input {entry.index} as {value.encoding}, and the parties "
                f"hold it as {encoding}; share it for this program"
            )
        return reference

    def _prepare(self, program: Program, ahead: Ahead, parties: Parties, deadline: float) -> None:
        self._load(parties, deadline, program)
        for number, reference in ahead.references.items():
            encoding = str(program.values[number].encoding)
            parties.send(0, {"command": "input", "value": number, **reference, "encoding": encoding})
        command = {"command": "prepare", "digest": ahead.digest, "number": ahead.number}
        for rank in range(PARTIES):
            parties.send(rank, {**command, "slots": ahead.slots(rank)})
        ahead.take_stats(parties.answers(deadline, "preparing a run"))
        self._prepared.append(ahead)

    def share(self, program: Program | Sequence[Program], position: int, argument: Any) -> Any:
        """Shares one argument among the parties, once for many runs.

        Args:
            program: says in which encodings the argument is wanted. If several programs take it, give all
                of them: each finds it as it wants it, and need not cast it in every run.
            position: of the argument, in all of them.
            argument: its value, as for `run`.

        Returns:
            the argument with `SharedArray`s for its arrays; pass it to `run`.

        Raises:
            InputError, SharingError, ClusterError: as for `run`.
        """
        copies = argument_copies(program, position, argument)
        return copies.nested(self._shared(self._call(), copies))

    async def share_async(self, program: Program | Sequence[Program], position: int, argument: Any) -> Any:
        """As `share`, in a thread of the cluster's own; in line with, and cancelled as `run_async`.

        Raises:
            InputError, SharingError, ClusterError: as for `run`.
        """
        copies = argument_copies(program, position, argument)
        return copies.nested(await self._later(lambda call: self._shared(call, copies)))

    def _shared(self, call: _Call, copies: ArgumentCopies) -> list[SharedArray]:
        with self._turn(call):
            kept: list[SharedArray] = []
            try:
                for about, parts in copies.encoded():
                    kept.append(self._guarded(functools.partial(self._keep, about=about, copies=parts)))
            except SharingError:
                self._forget(kept)
                raise
            return kept

    def forget(self, shared: Any) -> None:
        """Lets the parties drop the shared arrays in `shared`, which may nest."""
        self._check_process()
        handles = tree.flatten(tree.structure_of(shared), shared)
        with self._turn(None):
            self._forget(handles)

    def _forget(self, handles: Sequence[Any]) -> None:
        running = self._parties
        keys = [h.key for h in handles if isinstance(h, SharedArray) and h.generation is running]
        if keys and running is not None:
            self._guarded(lambda parties, _: parties.send_all({"command": "forget", "keys": keys}))

    def _call(self) -> _Call:
        self._check_process()
        return _Call(self._closings)

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise ClusterError(
                f"this cluster belongs to process {self._process}, from which this one was forked; "
                "make a cluster in each process"
            )

    @contextlib.contextmanager
    def _turn(self, call: _Call | None) -> Iterator[None]:
        """Waits for the turn of a call; None for one that does not mind that the cluster was closed."""
        _check_wanted(call, self._closings)
        with self._lock:
            _check_wanted(call, self._closings)
            yield

    async def _later(self, action: Callable[[_Call], Any]) -> Any:
        """What `action` returns, in the thread of the cluster's own."""
        call = self._call()
        with self._submitting:
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, "ditto-cluster")
            worker = self._worker
            future = worker.submit(action, call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            call.dropped = True
            # A worker that was shut down leaves nothing to forget: the shared arrays have ended.
            with contextlib.suppress(RuntimeError):
                worker.submit(self._drop, future)
            raise

    def _drop(self, future: Future[Any]) -> None:
        """Forgets what an action made that has ended, and for which nobody waits."""
        if not future.cancelled() and future.exception() is None:
            self.forget(future.result())

    def _start(self) -> None:
        if self._parties is None:
            self._loaded, self._prepared = {}, []
            self._parties = self._connect()
            # Also when nobody has the cluster any more, and at the end of the process.
            self._ending = weakref.finalize(self, _close, self._parties, self._process)

    def _end(self) -> None:
        if self._parties is not None:
            self._ending()
            self._parties = None
            self._prepared = []

    def _guarded(self, action: Callable[[Parties, float], T]) -> T:
        """Has the parties do something until a deadline; what goes wrong ends them."""
        self._start()
        assert self._parties is not None
        try:
            return action(self._parties, self._parties.begin(self.timeout))
        except BaseException:
            # A protocol that stops halfway cannot be resumed.
            self._end()
            raise

    def _held(
        self, program: Program, index: int, value: Value, handle: SharedArray
    ) -> tuple[dict[str, Any], Encoding]:
        """Where the parties find a shared array, and the encoding to start from."""
        where = f"program '{program.name}', input {index}"
        reference = self._reference(handle, where)
        if handle.secret and not value.secret:
            raise InputError(f"{where}: the array is secret, but the program takes it as public")
        if value.encoding in handle.encodings:
            return reference, value.encoding
        if not handle.encodings:
            raise InputError(f"{where}: the array was shared for a program that does not use it")
        costs = {
            source: sum(cast.bytes_per_element for cast in plan_casts(source, value.encoding))
            for source in handle.encodings
        }
        return reference, min(costs, key=costs.__getitem__)

    def _reference(self, handle: SharedArray, where: str) -> dict[str, Any]:
        """How the parties are told which array is meant.

        Raises:
            InputError: they do not hold it.
        """
        if handle.generation is not self._parties or self._parties is None:
            raise InputError(f"{where}: the parties that held this array have ended; share it again")
        return {"key": handle.key}

    def _keep(
        self, parties: Parties, _: float, about: CallerTensor, copies: Sequence[tuple[Value, Any]]
    ) -> SharedArray:
        """Shares an array in all encodings that a program wants it in."""
        key = next(self._keys)
        for value, raw in copies:
            header = {"command": "keep", "key": key, "secret": value.secret}
            for rank, piece in enumerate(pieces(raw, value.encoding.ring, secret=value.secret)):
                parties.send(rank, {**header, "encoding": str(value.encoding)}, [piece])
        secret = all(value.secret for value, _ in copies)
        encodings = tuple(value.encoding for value, _ in copies)
        return SharedArray(about.shape, about.dtype, encodings, secret, key, parties)

    def _run(
        self,
        parties: Parties,
        deadline: float,
        program: Program,
        encoded: dict[int, Any],
        kept: Sequence[bool],
        progress: Callable[[int, int], None] | None,
        destination: Mapping[str, str],
    ) -> list[Any]:
        self._load(parties, deadline, program)
        ahead = self._take_prepared(program, encoded)
        input_bytes = 0
        for number, raw in encoded.items():
            header: dict[str, Any] = {"command": "input", "value": number}
            if isinstance(raw, tuple):
                reference, encoding = raw
                # P0 has used what it knew.
                for rank in range(PARTIES) if ahead is None else (1, 2):
                    parties.send(rank, {**header, **reference, "encoding": str(encoding)})
                continue
            value = program.values[number]
            if ahead is not None:
                about = {"command": "last", "value": number, "encoding": str(value.encoding)}
                slot = last_slot(raw, value.encoding.ring, ahead.keys, number)
                for rank in (1, 2):
                    parties.send(rank, about, [slot])
                    input_bytes += slot.nbytes
                continue
            header = {**header, "secret": value.secret, "encoding": str(value.encoding)}
            for rank, piece in enumerate(pieces(raw, value.encoding.ring, secret=value.secret)):
                parties.send(rank, header, [piece])
                input_bytes += piece.nbytes
        keys = {position: next(self._keys) for position, wanted in enumerate(kept) if wanted}
        command = {"command": "run", "digest": program.digest, "keep": list(keys.items()), **destination}
        parties.send_all({**command, "prepared": ahead.number} if ahead is not None else command)
        total = len(program.steps)

        def on_progress(steps: Sequence[int]) -> None:
            if progress is not None:
                progress(min(steps) + 1, total)

        answers = parties.answers(deadline, "running the program", on_progress)
        stats = None if ahead is None else ahead.stats
        try:
            return self._taken(program, answers, keys, input_bytes, stats, opened=not destination)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ClusterError(f"a party answered something else than its part of a run: {error!r}") from None

    def _take_prepared(self, program: Program, encoded: Mapping[int, Any]) -> Ahead | None:
        """The next prepared run of a program with these shared arrays among its inputs, if there is one."""
        references = {number: raw[0] for number, raw in encoded.items() if isinstance(raw, tuple)}
        for ahead in self._prepared:
            if (ahead.digest, ahead.references) == (program.digest, references):
                self._prepared.remove(ahead)
                return ahead
        return None

    def _load(self, parties: Parties, deadline: float, program: Program) -> None:
        """Sees to it that the parties have a program."""
        digest = program.digest
        if digest not in self._loaded:
            if len(self._loaded) == MAX_PROGRAMS:
                oldest = next(iter(self._loaded))
                del self._loaded[oldest]
                self._prepared = [ahead for ahead in self._prepared if ahead.digest != oldest]
                parties.send_all({"command": "unload", "digest": oldest})
            parties.send_all({"command": "load", "digest": digest}, [program.executable])
            parties.answers(deadline, "loading the program")
        self._loaded.pop(digest, None)
        self._loaded[digest] = None

    def _taken(
        self,
        program: Program,
        answers: Sequence[Answer],
        keys: Mapping[int, int],
        input_bytes: int,
        ahead: AheadStats | None,
        *,
        opened: bool,
    ) -> list[Any]:
        """What a run cost, and its outputs; `keys` are of those that the parties keep."""
        traffic = [header["traffic"] for header, _ in answers]
        self.stats = RunStats(
            **{key: _over_parties(key, [party[key] for party in traffic]) for key in traffic[0]},
            input_bytes=input_bytes,
            seconds=max(header["seconds"] for header, _ in answers),
            cpu_seconds=sum(header["cpu_seconds"] for header, _ in answers),
            peak_memory=max(header["peak_memory"] for header, _ in answers),
            ahead=ahead,
        )
        outputs: list[Any] = []
        for position, number in enumerate(program.outputs if opened else ()):
            parts = [(header["outputs"][position], buffers[position]) for header, buffers in answers]
            if position in keys:
                value, key = program.values[number], keys[position]
                secret = _is_secret(parts)
                held_in = (value.encoding,)
                outputs.append(SharedArray(value.shape, value.dtype, held_in, secret, key, self._parties))
            else:
                outputs.append(open_output(program.values[number], parts))
        return outputs


class LocalCluster(Cluster):
    """Three parties as processes on this machine, connected over Unix sockets::

        with LocalCluster() as cluster:
            y = cluster.run(program, x, w)
        cluster.stats   # bytes and messages of the last run

    Threads and coroutines may share it, see `Cluster`.

    Args:
        timeout: seconds that a run may take, and that the parties may take to start.
        network: what lies between the parties: "lan", "wan", "BANDWIDTH,RTT", a `Network`, or nothing.
    """

    @property
    def pids(self) -> list[int]:
        """Process ids of the parties, by rank; empty when they are not running."""
        parties = self._parties
        return parties.pids if isinstance(parties, LocalParties) else []

    def _connect(self) -> Parties:
        return LocalParties(self.timeout, self.network)


def broken_guard(program: str, assumptions: Sequence[str]) -> str:
    """What to tell whoever would have received the outputs of a guarded program of that name."""
    named = [text.removeprefix(":") for text in assumptions]
    some = "; ".join(named[:3]) + (f"; and {len(named) - 3} more" if len(named) > 3 else "")
    return (
        f"program '{program}': a value left the range that it was calibrated for, so what was computed "
        f"is void. Which one is not revealed; assumed are {some}. Calibrate with samples like these inputs; "
        "ditto.simulate with them says which value it is"
    )


@dataclass(frozen=True)
class ArgumentCopies:
    """An argument of programs that is to be shared.

    Attributes:
        structure: how it nests, see `ditto.tree`.
        arrays: it, flat.
        wanted: what the programs want each array as.
    """

    structure: Any
    arrays: Sequence[NDArray[Any]]
    wanted: Sequence[tuple[CallerTensor, Sequence[Value]]]

    def encoded(self) -> Iterator[tuple[CallerTensor, list[tuple[Value, Any]]]]:
        """Each array in each encoding.

        Raises:
            SharingError: a value does not fit its encoding.
        """
        for array, (tensor, values) in zip(self.arrays, self.wanted, strict=True):
            yield tensor, [(value, encode(array, value.encoding)) for value in values]

    def nested(self, shared: list[Any]) -> Any:
        """What became of the arrays, nested as the argument."""
        return tree.unflatten_argument(self.structure, shared)


def argument_copies(program: Program | Sequence[Program], position: int, argument: Any) -> ArgumentCopies:
    """Checks an argument of one or more programs.

    Raises:
        InputError, GuardError: it is wrong, or the programs do not take the same.
    """
    programs = tuple(program) if isinstance(program, (list, tuple)) else (program,)
    if not programs:
        raise InputError("sharing takes at least one program that says how")
    structure, first = argument_structure(programs[0], position)
    leaves = tree.flatten_argument(structure, argument, position)
    arrays = [as_array(leaf, f"program '{programs[0].name}', argument {position}") for leaf in leaves]
    tensors = programs[0].caller_inputs[first : first + len(arrays)]
    wanted: list[list[Value]] = [[] for _ in arrays]
    for each in programs:
        own, first = argument_structure(each, position)
        if own != structure:
            raise InputError(
                f"programs '{programs[0].name}' and '{each.name}' nest argument {position} differently"
            )
        for index, (array, tensor) in enumerate(zip(arrays, tensors, strict=True), first):
            expected, where = each.caller_inputs[index], f"program '{each.name}', input {index}"
            if array.shape != expected.shape:
                raise InputError(f"{where}: expected shape {expected.shape}, got {array.shape}")
            if expected.dtype != tensor.dtype:
                raise InputError(
                    f"{where}: '{programs[0].name}' takes it as {tensor.dtype}, this as {expected.dtype}"
                )
        check_ranges(each, enumerate(arrays, first))
        for entry in each.inputs:
            if first <= entry.index < first + len(arrays):
                wanted[entry.index - first].append(each.values[entry.value])
    if any(len({value.secret for value in values}) > 1 for values in wanted):
        raise InputError(f"argument {position} is secret for some of the programs and public for others")
    # One of each encoding.
    distinct = [tuple({value.encoding: value for value in values}.values()) for values in wanted]
    return ArgumentCopies(structure, arrays, list(zip(tensors, distinct, strict=True)))


def nested(program: Program, outputs: list[Any]) -> Any:
    """The outputs of a program as its function nests them."""
    return tree.unflatten(program.output_tree, outputs) if program.nest is None else program.nest(outputs)


def _over_parties(key: str, counts: Sequence[int]) -> int:
    """What a count of a run is over all parties: all take their rounds at the same time."""
    return max(counts) if key == "beside_rounds" else sum(counts)


def _close(parties: Parties, process: int) -> None:
    """Ends parties, but those of the process that this one was forked from."""
    if process == os.getpid():
        parties.close()


def _check_wanted(call: _Call | None, closings: int) -> None:
    if call is not None and (call.dropped or call.closings != closings):
        raise ClusterError("the cluster was closed while this call waited for its turn; nothing was run")


def _is_secret(parts: Sequence[tuple[dict[str, Any], bytearray]]) -> bool:
    """Whether the parties keep an output as shares."""
    kinds = [about.get("kind") for about, _ in parts]
    if len(set(kinds)) != 1:
        raise SharingError(f"the parties' shares contradict each other: they are of different kinds, {kinds}")
    return kinds[0] != "public"


def open_output(value: Value, sent: Sequence[tuple[dict[str, Any], bytearray]]) -> NDArray[Any]:
    """An output, from what the three parties send of it.

    Raises:
        SharingError: that does not belong together.
    """
    dtype = numpy_dtype(value.dtype)
    parts = [Part.read(rank, about, data) for rank, (about, data) in enumerate(sent)]
    raw = combine(parts, value.encoding.ring, math.prod(value.shape))
    if parts[0].kind == "boolean":
        return raw.astype(dtype).reshape(value.shape)
    return decode(raw, value.encoding, dtype).reshape(value.shape)
