"""Runs that are prepared before their inputs are known: docs/explanation/protocols.md, "Dealing ahead"."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from ditto.runtime.caller.parties import Answer
from ditto.runtime.protocols.prf import KEY_BYTES
from ditto_compiler.errors import DittoError
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.network import PARTIES
from ditto_compiler.program import Beside, Call, CastBatch, Program, Step
from ditto_compiler.showing import counted, format_bytes, format_seconds

_OP = re.compile(r'"pphlo\.(\w+)"')


class PrepareError(DittoError):
    """A program whose runs cannot be prepared, or more of them than the parties may hold."""


@dataclass(frozen=True, repr=False)
class AheadStats:
    """What the preparation of a run cost, summed over the parties and exact.

    Attributes:
        bytes: that P0 sent.
        messages: likewise; they follow one another without an answer.
        input_bytes: keys that the caller sent to the parties.
        seconds: wall time of the slowest party.
        cpu_seconds: processor time of all parties.
        peak_memory: most bytes of memory that a party held at a time.
    """

    bytes: int
    messages: int
    input_bytes: int
    seconds: float
    cpu_seconds: float
    peak_memory: int

    def __repr__(self) -> str:
        return (
            f"<AheadStats: {format_bytes(self.bytes)} in {counted(self.messages, 'message')}, "
            f"{format_seconds(self.seconds)}>"
        )


def _keys() -> tuple[bytes, bytes]:
    return os.urandom(KEY_BYTES), os.urandom(KEY_BYTES)


@dataclass
class Ahead:
    """A prepared run, as its caller knows it.

    Attributes:
        digest: of its program.
        number: by which the parties know it.
        references: by value number, the inputs that are shared arrays, as the parties are told of them.
        held: bytes that a party holds for it.
        keys: of the slots x_0 and x_1 of its inputs: P0 knows both, P1 the second, P2 the first.
        stats: what the preparation cost, once it is done.
    """

    digest: str
    number: int
    references: dict[int, dict[str, Any]]
    held: int
    keys: tuple[bytes, bytes] = field(default_factory=_keys, repr=False)
    stats: AheadStats | None = None

    def slots(self, rank: int) -> dict[int, str]:
        """The keys that a party gets, by slot, in hexadecimal."""
        return {slot: key.hex() for slot, key in enumerate(self.keys) if slot in (rank, (rank + 1) % 3)}

    def take_stats(self, answers: Sequence[Answer]) -> None:
        """Takes what the preparation cost from the parties' answers."""
        told = [header for header, _ in answers]
        self.stats = AheadStats(
            bytes=sum(header["traffic"]["beside_bytes"] for header in told),
            messages=sum(header["traffic"]["beside_messages"] for header in told),
            input_bytes=sum(len(self.slots(rank)) for rank in range(PARTIES)) * KEY_BYTES,
            seconds=max(header["seconds"] for header in told),
            cpu_seconds=sum(header["cpu_seconds"] for header in told),
            peak_memory=max(header["peak_memory"] for header in told),
        )


def check_can_be_prepared(program: Program, shared: Container[int]) -> None:
    """Makes sure that P0 can play its part of a program before the inputs are known.

    Args:
        program: the program.
        shared: which of the caller's inputs are shared arrays, and so known by then.

    Raises:
        PrepareError: some op stays in the engine, or another input is public.
    """
    if not program.steps:
        raise PrepareError(f"program '{program.name}' computes nothing that could be prepared")
    for step in program.steps:
        if not isinstance(step, Beside):
            raise PrepareError(
                f"program '{program.name}' cannot be prepared: {_engine_op(program, step)} stays in the "
                "engine; only a program that runs all beside it can be"
            )
    for entry in program.inputs:
        value = program.values[entry.value]
        if entry.index not in shared and value.encoding.ring > WIDEST:
            raise PrepareError(
                f"program '{program.name}' cannot be prepared: input {entry.index} is in ring "
                f"{value.encoding.ring}; {WIDEST} bits are the most beside the engine"
            )
        if entry.index not in shared and not value.secret:
            raise PrepareError(
                f"program '{program.name}' cannot be prepared: input {entry.index} is public, and what is "
                "computed of it has to wait for it; share it before"
            )


def _engine_op(program: Program, step: Step) -> str:
    """The first op of a step that is not beside the engine."""
    if isinstance(step, Call):
        region = program.regions[step.region]
        names = _OP.findall(region.code)
        first = next((i for i, name in enumerate(names) if name != "constant"), None)
        if first is None:
            return f"'{step.region}'"
        # Before the first there are constants only, so it has the same place in both lists.
        scope = region.op_scopes()[first : first + 1]
        return f"'{names[first]}'" + "".join(f" in {name}" for name in scope if name)
    return "a cast" if isinstance(step, CastBatch) else "a comparison"
