"""One party's execution of a program: engine runtimes, the schedule, and what is done between runtimes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ditto.runtime.party.engine_shares import (
    FIELDS,
    Held,
    boolean_share,
    boolean_words,
    from_share,
    held_of,
    to_share,
    value_of,
)
from ditto.runtime.party.executor import Dealt, Executor
from ditto.runtime.party.spu_library import libspu
from ditto.runtime.protocols import opening
from ditto.runtime.protocols.cast_engine import CastEngine
from ditto.runtime.protocols.comparison_engine import Comparison, ComparisonEngine
from ditto.runtime.protocols.local import Value
from ditto.runtime.protocols.prf import agree_streams
from ditto.runtime.protocols.sharing import Ring, raw_shape, word_dtype
from ditto.runtime.transport.channel import LinkChannel
from ditto_compiler.encoding import Cast, Encoding, Fxp, plan_casts
from ditto_compiler.errors import DittoError, InternalError
from ditto_compiler.network import Network
from ditto_compiler.program import (
    Beside,
    Call,
    CastBatch,
    CompareBatch,
    Program,
    Region,
    operands_of,
    results_of,
)

T = TypeVar("T")

RuntimeKey = tuple[int, int]
"""(ring, fraction bits)."""

_TRAFFIC = re.compile(
    r"Link details: total send bytes (\d+), recv bytes \d+, send actions (\d+), recv actions \d+\n"
)


class EngineError(DittoError):
    """The engine could not run a region."""


@dataclass
class Traffic:
    """What this party sent, exactly.

    Attributes:
        engine_bytes: by the engine's protocols.
        engine_messages: likewise.
        cast_bytes: by casts between rings.
        cast_messages: likewise.
        compare_bytes: by comparisons outside of the engine.
        compare_messages: likewise.
        beside_bytes: by the executor on shares.
        beside_messages: likewise.
        beside_rounds: that it took.
    """

    engine_bytes: int = 0
    engine_messages: int = 0
    cast_bytes: int = 0
    cast_messages: int = 0
    compare_bytes: int = 0
    compare_messages: int = 0
    beside_bytes: int = 0
    beside_messages: int = 0
    beside_rounds: int = 0


@dataclass(frozen=True)
class Prepared:
    """One run of a program in which P0 has gone ahead of the others.

    Attributes:
        steps: what there is of each step.
        outputs: what P0 holds of each output; nothing at the others.
    """

    steps: tuple[Dealt, ...]
    outputs: tuple[Held, ...]


@dataclass
class _Value:
    """Where a value is: in the variables of some runtimes, or held outside of all, for casts or beside."""

    runtimes: set[RuntimeKey] = field(default_factory=set)
    held: Held | None = None
    beside: Value | None = None


class Engine:
    """One party's engine. All parties make the same calls in the same order.

    Args:
        link: the party's root link context, connected to the two others.
        log: a file that only this process writes, where SPU logs its traffic.
        network: between the parties, by which casts choose their mode; the same at all parties.
    """

    def __init__(self, link: Any, log: Path, network: Network | None = None) -> None:
        self._link = link
        self._runtimes: dict[RuntimeKey, Any] = {}
        self._log = log
        self._channel = LinkChannel(link.spawn())
        streams = agree_streams(link.rank, self._channel)
        self._casts = CastEngine(link.rank, self._channel, streams, network=network)
        self._comparing = LinkChannel(link.spawn())
        self._comparisons = ComparisonEngine(
            link.rank, self._comparing, agree_streams(link.rank, self._comparing)
        )
        self._beside_channel = LinkChannel(link.spawn())
        self._executor = Executor(link.rank, self._beside_channel)
        self._opening_channel = LinkChannel(link.spawn())
        self._opening = agree_streams(link.rank, self._opening_channel)

    def run(
        self,
        program: Program,
        inputs: dict[int, tuple[Encoding, Held]],
        progress: Callable[[int], None],
        prepared: Prepared | None = None,
    ) -> tuple[list[Held], Traffic]:
        """Runs a program.

        Args:
            program: what to run.
            inputs: by value number, what this party holds and in which encoding; cast if the program wants
                another.
            progress: called after each step with its number.
            prepared: what `prepare` gave, which is used up; P0 then has nothing to do, and needs no inputs.

        Returns:
            what this party holds of each output, and what it sent.

        Raises:
            EngineError: SPU failed, or does not tell what it sent.
            ChannelError: a cast failed.
        """
        if prepared is not None and self.rank == 0:
            if program.steps:
                progress(len(program.steps) - 1)
            return list(prepared.outputs), Traffic()
        run = _Run(program, self)
        self._take_log()
        channels = (self._channel, self._comparing, self._beside_channel)
        before = [(channel.bytes_sent, channel.messages_sent) for channel in channels]
        rounds = self._executor.rounds
        run.take_inputs(inputs)
        for index, step in enumerate(program.steps):
            if isinstance(step, Call):
                run.call(step)
            elif isinstance(step, CastBatch):
                run.cast(step)
            elif isinstance(step, Beside):
                run.beside(step, index, None if prepared is None else prepared.steps[index])
            else:
                run.compare(step)
            run.free(index)
            progress(index)
        outputs = [run.hold(number) for number in program.outputs]
        run.free_all()
        told = self._take_log()
        calls = sum(isinstance(step, Call) for step in program.steps)
        if len(told) != calls:
            raise EngineError(
                f"SPU's log tells of {len(told)} regions that ran, not of {calls}, so what they sent is not "
                "known; is this party's disk for temporary files full?"
            )
        counts = [sum(sent) for sent in zip(*told, strict=True)] or [0, 0]
        for channel, (sent, messages) in zip(channels, before, strict=True):
            counts += [channel.bytes_sent - sent, channel.messages_sent - messages]
        counts.append(self._executor.rounds - rounds)
        return outputs, Traffic(*counts)

    def prepare(self, program: Program, inputs: dict[int, tuple[Encoding, Held]]) -> tuple[Prepared, Traffic]:
        """P0 goes ahead of the others in one run of a program that is all beside the engine.

        Args:
            program: the program.
            inputs: as for `run`, at P0; the others' are not known yet.

        Returns:
            what to pass to `run`, once, and what this party sent.

        Raises:
            EngineError: the program has to do with the engine.
            ChannelError: P0 is gone, or prepares something else.
        """
        run = _Run(program, self)
        channel = self._beside_channel
        before = channel.bytes_sent, channel.messages_sent
        if self.rank == 0:
            run.take_inputs(inputs)
        steps = []
        for index, step in enumerate(program.steps):
            if not isinstance(step, Beside):
                raise EngineError(f"program '{program.name}' is not all beside the engine")
            steps.append(run.deal(step, index))
            run.free(index)
        outputs = [run.hold(number) for number in program.outputs] if self.rank == 0 else []
        sent = channel.bytes_sent - before[0], channel.messages_sent - before[1]
        traffic = Traffic(beside_bytes=sent[0], beside_messages=sent[1])
        return Prepared(tuple(steps), tuple(outputs)), traffic

    def open(self, held: Held, ring: int) -> opening.Part:
        """What this party sends of an output to its receiver. All parties open the same, in one order."""
        if held.kind == "boolean":
            return opening.mask_booleans(*boolean_words(held.share), self._opening, self.rank)
        assert held.data is not None
        if held.kind == "public":
            return opening.publish(held.data, ring)
        return opening.mask(held.data, ring, self._opening, self.rank)

    @property
    def rank(self) -> int:
        """This party's."""
        rank: int = self._link.rank
        return rank

    @property
    def executor(self) -> Executor:
        """What runs beside the engine."""
        return self._executor

    def cast_many(self, batch: list[tuple[Cast, Ring]]) -> list[Ring]:
        """Casts that share messages, see `CastEngine.cast_many`."""
        return self._casts.cast_many(batch)

    def less_many(self, batch: list[Comparison]) -> list[list[NDArray[np.uint8]]]:
        """Comparisons that share messages, see `ComparisonEngine.less_many`."""
        return self._comparisons.less_many(batch)

    def runtime(self, key: RuntimeKey) -> Any:
        """The SPU runtime for a ring and scale, made at first use, by all parties alike."""
        if key not in self._runtimes:
            config = libspu.RuntimeConfig()
            config.protocol = libspu.ABY3
            config.field = FIELDS[key[0]]
            config.fxp_fraction_bits = key[1]
            # SPU tells its traffic only in its log, and only when it profiles.
            config.enable_pphlo_profile = True
            self._runtimes[key] = libspu.RuntimeWrapper(self._link.spawn(), config)
        return self._runtimes[key]

    def _take_log(self) -> list[tuple[int, int]]:
        """Bytes and messages of each region that SPU logged since the last call; the log is emptied."""
        if not self._log.exists():
            return []
        with self._log.open("r+", errors="replace") as log:
            found = _TRAFFIC.findall(log.read())
            # SPU appends to whatever is there.
            log.truncate(0)
        return [(int(sent), int(actions)) for sent, actions in found]


class _Run:
    """The state of one run: where each value is, and when it is last used."""

    def __init__(self, program: Program, engine: Engine) -> None:
        self.program = program
        self.values: dict[int, _Value] = {}
        self._engine = engine
        self._last_use: dict[int, list[int]] = {}
        last: dict[int, int] = {}
        for index, step in enumerate(program.steps):
            last.update(dict.fromkeys((*operands_of(step), *results_of(step)), index))
        for number, index in last.items():
            if number not in program.outputs:
                self._last_use.setdefault(index, []).append(number)

    def call(self, step: Call) -> None:
        region = self.program.regions[step.region]
        key = (region.ring, region.frac)
        runtime = self._engine.runtime(key)
        for number in step.operands:
            self._place(number, key)
        executable = libspu.Executable(
            name=region.name,
            input_names=[f"v{number}" for number in step.operands],
            output_names=[f"v{number}" for number in step.results],
            code=region.code.encode(),
        )
        try:
            runtime.Run(executable)
        except RuntimeError as error:
            raise EngineError(_engine_message(region, error)) from None
        for number in step.results:
            self.values[number] = _Value({key})

    def take_inputs(self, inputs: dict[int, tuple[Encoding, Held]]) -> None:
        """Takes the inputs, and lets go of the caller's references to them."""
        casts = []
        for number, (encoding, held) in inputs.items():
            plan = plan_casts(encoding, self.program.values[number].encoding)
            self.values[number] = _Value(held=held)
            casts.append([(number, cast) for cast in plan])
        inputs.clear()
        # A plan has up to two casts; equal positions of all plans share messages.
        for batch in zip_longest(*casts):
            self._cast_many([(number, self.hold(number), cast) for number, cast in filter(None, batch)])

    def cast(self, step: CastBatch) -> None:
        """Casts that share messages."""
        casts = [
            (target, self.hold(source), self.program.cast(source, target)) for source, target in step.casts
        ]
        self._cast_many(casts)

    def _cast_many(self, casts: list[tuple[int, Held, Cast]]) -> None:
        """Secret values share messages; public and boolean values need none."""
        secret: list[tuple[int, Cast, Ring]] = []
        for target, held, cast in casts:
            if held.kind == "arithmetic":
                assert held.data is not None
                secret.append((target, cast, held.data))
            elif held.kind == "public":
                assert held.data is not None
                self.values[target] = _Value(held=Held("public", cast_public(cast, held.data)))
            else:
                self.values[target] = _Value(held=held)
        results = self._engine.cast_many([(cast, data) for _, cast, data in secret])
        for (target, _, _), data in zip(secret, results, strict=True):
            self.values[target] = _Value(held=Held("arithmetic", data))

    def compare(self, step: CompareBatch) -> None:
        """Comparisons that share messages; what is public needs none."""
        secret = []
        for about in step.comparisons:
            held = self.hold(about.source)
            ring = self.program.values[about.source].encoding.ring
            assert held.data is not None
            if held.kind == "public":
                for number, threshold in zip(about.results, about.thresholds, strict=True):
                    bits = less_public(held.data, ring, threshold)
                    self.values[number] = _Value(held=Held("public", bits))
            else:
                secret.append((about.results, Comparison(ring, held.data, about.thresholds)))
        found = self._engine.less_many([comparison for _, comparison in secret])
        for (results, _), predicates in zip(secret, found, strict=True):
            for number, bits in zip(results, predicates, strict=True):
                share = boolean_share(bits, self.program.values[number].shape)
                self.values[number] = _Value(held=Held("boolean", share=share))

    def deal(self, step: Beside, index: int) -> Dealt:
        """Instructions of the executor on shares, in which P0 goes ahead of the others."""
        if self._engine.rank == 0:
            return self._beside(step, index, self._engine.executor.deal)
        about = self.program.values
        return self._engine.executor.deal(
            step.instructions, lambda number: about[number].tensor, {}, lambda number: False
        )

    def beside(self, step: Beside, index: int, dealt: Dealt | None) -> None:
        """Instructions of the executor on shares."""
        self._beside(step, index, functools.partial(self._engine.executor.run, dealt=dealt))

    def _beside(self, step: Beside, index: int, execute: Callable[..., T]) -> T:
        about = self.program.values
        values = {number: self._value_beside(number) for number in operands_of(step)}
        gone = set(self._last_use.get(index, ()))
        for number in gone.intersection(values):
            self._delete(number)
        results = [number for number in results_of(step) if number not in gone]
        needed = set(results)
        given = execute(step.instructions, lambda number: about[number].tensor, values, needed.__contains__)
        for number in results:
            self.values[number] = _Value(beside=values[number])
        return given

    def _value_beside(self, number: int) -> Value:
        value = self.values[number]
        if value.beside is None:
            about = self.program.values[number]
            value.beside = value_of(self.hold(number), about.shape, about.encoding.ring, about.dtype == "i1")
        return value.beside

    def hold(self, number: int) -> Held:
        """The value outside of the runtimes."""
        value = self.values[number]
        if value.held is None and value.beside is not None:
            value.held = held_of(value.beside, self.program.values[number].encoding.ring)
        if value.held is None:
            key = min(value.runtimes)
            share = self._engine.runtime(key).GetVar(f"v{number}")
            held = from_share(share, key[0])
            if held.kind == "boolean" and self.program.values[number].dtype != "i1":
                raise InternalError(f"value {number} left its region as a boolean share")
            return held
        return value.held

    def _place(self, number: int, key: RuntimeKey) -> None:
        """Makes the value a variable of a runtime of its ring."""
        value = self.values[number]
        if key not in value.runtimes:
            about = self.program.values[number]
            # A value at another scale than the runtime's is an integer to it.
            foreign = isinstance(about.encoding, Fxp) and about.encoding.frac != key[1]
            share = to_share(self.hold(number), about.shape, "i64" if foreign else about.dtype, key[0])
            self._engine.runtime(key).SetVar(f"v{number}", share)
            value.runtimes.add(key)
            value.held = None

    def free(self, step: int) -> None:
        """Deletes the values that no step after `step` uses."""
        for number in self._last_use.get(step, ()):
            self._delete(number)

    def free_all(self) -> None:
        for number in list(self.values):
            self._delete(number)

    def _delete(self, number: int) -> None:
        value = self.values.pop(number, None)
        if value is not None:
            for key in value.runtimes:
                self._engine.runtime(key).DelVar(f"v{number}")


def cast_public(cast: Cast, raw: Ring) -> Ring:
    """A public value in another encoding: everybody does it alone. Ties are rounded up."""
    signed = _signed(raw, cast.source.ring)
    shifted = signed << cast.shift_left
    if cast.shift_right:
        shifted = (signed + (1 << (cast.shift_right - 1))) >> cast.shift_right
    return _wrapped(shifted, cast.target.ring)


def less_public(raw: Ring, ring: int, threshold: int) -> Ring:
    """[x < threshold] of a public value, as ring elements: everybody compares it alone."""
    return _wrapped(_signed(raw, ring) < threshold, ring)


def _signed(raw: Ring, ring: int) -> NDArray[Any]:
    """Ring elements as Python integers."""
    if ring == 128:
        low, high = (raw[:, word].astype(object) for word in (0, 1))
        integers = low + (high << 64)
    else:
        integers = raw.astype(object)
    return np.array([int(x) - (1 << ring) if int(x) >> (ring - 1) else int(x) for x in integers], object)


def _wrapped(integers: NDArray[Any], ring: int) -> Ring:
    """Integers as ring elements."""
    wrapped = [int(x) % (1 << ring) for x in integers]
    if ring < 128:
        return np.array(wrapped, word_dtype(ring))
    words = [[x & (2**64 - 1), x >> 64] for x in wrapped]
    return np.array(words, word_dtype(ring)).reshape(raw_shape((-1,), ring))


def reason_of(error: RuntimeError) -> str:
    """The engine's reason, without its stack trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and line.strip() != "what:"]
    return lines[0] if lines else "no reason given"


def _engine_message(region: Region, error: RuntimeError) -> str:
    reason = reason_of(error)
    if "Get data timeout" in reason:
        return f"a peer sent nothing within the time-out in region {region.name} (ring {region.ring})"
    return f"SPU failed on region {region.name} (ring {region.ring}, {region.frac} fraction bits): {reason}"
