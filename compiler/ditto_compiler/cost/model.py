"""What a program costs, before it is run.

Bytes and messages are what the engine will count, to the few per cent by which sorting is only fitted. Rounds
and seconds are estimates: rounds add up what ops take one after the other, and seconds come from the
machine that measured the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ditto_compiler.cost import instructions
from ditto_compiler.cost.batches import casts_cost, comparisons_cost
from ditto_compiler.cost.measured import FREE, Cost, CostTable, load_table
from ditto_compiler.cost.ops import Rules
from ditto_compiler.errors import DittoError
from ditto_compiler.executor.instruction import Tensor
from ditto_compiler.executor.schedule import schedule
from ditto_compiler.ir import functions, ir, nested_ops, numel, parse_module
from ditto_compiler.network import PARTIES, Network
from ditto_compiler.program import Beside, Call, CastBatch, CompareBatch, Program, Region, Value, results_of
from ditto_compiler.protocols.comparison_batches import Group

_FREE_OPS = ("constant", "iota", "reshape", "broadcast", "transpose", "slice", "bitcast_convert")
"""Of the engine."""


class CostError(DittoError):
    """A program whose cost cannot be estimated."""


@dataclass(frozen=True)
class OpCost:
    """One op of a program.

    Attributes:
        op: pphlo op without its dialect, or what a custom call calls; or `downcast`, `upcast`, `rescale`, and
            `compare` for those outside of the engine; or an instruction of the executor on shares.
        scope: where the user wrote it, see `ditto_compiler.scopes`.
        step: of the program's schedule.
        region: of the program; empty for what runs outside of the engine.
        ring: that it is computed in; of a cast, the source's; beside the engine that of the result, which is
            1 for booleans.
        target_ring: of a cast between runtimes of the engine; otherwise `ring`.
        elements: of its first result, or of a sum's operand.
        truncated: elements that were truncated, not counting those inside non-linear functions.
        cost: over all parties.
        beside: kind of an instruction beside the engine (`cost.instructions`); empty for all else.
    """

    op: str
    scope: str
    step: int
    region: str
    ring: int
    target_ring: int
    elements: int
    truncated: int
    cost: Cost
    beside: str = ""

    @property
    def is_cast(self) -> bool:
        """Whether it moves a value from one ring to another."""
        return self.ring != self.target_ring

    @property
    def label(self) -> str:
        """What a report counts it under: the op, or the kind of an instruction beside the engine."""
        return f"beside: {self.beside}" if self.beside else self.op

    @property
    def is_view(self) -> bool:
        """Whether it does no more than make constants, or look at values in another way."""
        return self.op in (instructions.VIEWS if self.beside else _FREE_OPS)


@dataclass(frozen=True)
class Phases:
    """A run whose part of one party was prepared, see docs/explanation/protocols.md, "Dealing ahead".

    Attributes:
        ahead_bytes: sent before the inputs are known, in one round.
        bytes: sent then, over the parties.
        rounds: of these.
    """

    ahead_bytes: int
    bytes: int
    rounds: int


@dataclass(frozen=True)
class ProgramCost:
    """A program's ops with their costs, in the order in which they run.

    Attributes:
        ops: all of them.
        unknown: ops that count as free because their cost is not known.
        machine: what `seconds` refer to.
        prepared: what is sent when in a prepared run; None if nothing can be.
    """

    ops: tuple[OpCost, ...]
    unknown: tuple[str, ...]
    machine: str
    prepared: Phases | None = None

    @property
    def total(self) -> Cost:
        """Of the whole program."""
        return total(op.cost for op in self.ops)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum."""
    result = FREE
    for cost in costs:
        result += cost
    # Messages that several share count in parts.
    return replace(result, messages=round(result.messages, 6))


def seconds_on(cost: Cost, network: Network, processors: int = PARTIES) -> float:
    """Wall time over a network: computing, then transmitting, then waiting, with nothing at the same time.

    Args:
        cost: over the parties, who compute and send a third each.
        network: half of its round-trip time passes per round.
        processors: that the parties have together; on one machine, fewer than three may share the work.
    """
    computing = cost.seconds / min(processors, PARTIES)
    transmitting = cost.bytes / PARTIES / network.bandwidth_bytes_per_s
    return computing + transmitting + cost.rounds * network.rtt_s / 2


def estimate(program: Program, table: CostTable | None = None, network: Network | None = None) -> ProgramCost:
    """What the program costs.

    Args:
        program: compiled by our own lowering.
        table: by default the one that ships with the compiler.
        network: between the parties, by which they choose between the modes of casts; None for fewest bytes.

    Raises:
        CostError: the program is not of our own lowering.
    """
    table = load_table() if table is None else table
    forms = {entry.value: "a" if program.values[entry.value].secret else "p" for entry in program.inputs}
    waiting = {entry.value for entry in program.inputs}
    unknown: set[str] = set()
    ops: list[OpCost] = []
    for number, step in enumerate(program.steps):
        if isinstance(step, Call):
            region = program.regions[step.region]
            rules = Rules(table, region.ring, region.frac)
            costed, results = _region_cost(number, region, rules, [forms[value] for value in step.operands])
            placed = sum(program.values[value].elements for value in step.operands if value in waiting)
            waiting.difference_update(step.operands)
            overhead = table.call_us * 1e-6 + placed * table.place_ns[region.ring] * 1e-9
            ops += _with_overhead(costed, overhead)
            unknown |= rules.unknown
            forms.update(zip(step.results, results, strict=True))
        elif isinstance(step, CastBatch):
            ops += _casts_cost(number, program, step, forms, table, network)
            forms.update((target, forms[source]) for source, target in step.casts)
        elif isinstance(step, Beside):
            ops += _beside_cost(number, program, step, table)
            forms.update((made, _form(program.values[made])) for made in results_of(step))
            waiting.update(results_of(step))
        else:
            ops += _comparisons_cost(number, program, step, forms, table)
            for about in step.comparisons:
                forms.update(dict.fromkeys(about.results, "p" if forms[about.source] == "p" else "b"))
    return ProgramCost(tuple(ops), tuple(sorted(unknown)), table.machine, _prepared(program, ops))


def _prepared(program: Program, ops: Sequence[OpCost]) -> Phases | None:
    plans = [
        schedule(step.instructions, lambda number: program.values[number].tensor, ahead=True)
        for step in program.steps
        if isinstance(step, Beside)
    ]
    ahead = sum(sum(plan.dealt) for plan in plans)
    if not ahead:
        return None
    others = total(op.cost for op in ops if not op.beside)
    return Phases(
        ahead,
        round(others.bytes) + sum(plan.bytes for plan in plans),
        round(others.rounds) + sum(plan.rounds for plan in plans),
    )


def _region_cost(step: int, region: Region, rules: Rules, forms: list[str]) -> tuple[list[OpCost], list[str]]:
    try:
        module = parse_module(region.code)
    except ir.MLIRError:
        raise CostError(
            f"region {region.name} is in a form that only the engine reads, as SPU's own compiler writes it; "
            "its cost can only be measured"
        ) from None
    (function,) = functions(module)
    scopes = dict(zip(nested_ops(function.operation), region.op_scopes(), strict=False))
    costed, results = rules.function(function.entry_block, forms)
    return [
        OpCost(
            op=_name(about.op),
            scope=scopes.get(about.op, ""),
            step=step,
            region=region.name,
            ring=region.ring,
            target_ring=region.ring,
            elements=_elements(about.op),
            truncated=about.truncated,
            cost=about.cost,
        )
        for about in costed
        if about.op.name != "pphlo.free"
    ], results


def _with_overhead(ops: list[OpCost], seconds: float) -> list[OpCost]:
    """`ops`, the first of which also takes what the region takes as a whole."""
    if not ops:
        return ops
    first = dataclasses.replace(ops[0], cost=ops[0].cost + Cost(seconds=seconds))
    return [first, *ops[1:]]


def _name(op: ir.Operation) -> str:
    if op.name == "pphlo.custom_call":
        return str(ir.StringAttr(op.attributes["call_target_name"]).value).rpartition(".")[2]
    return str(op.name).removeprefix("pphlo.")


def _elements(op: ir.Operation) -> int:
    """Of the result, or of what a reduction reads."""
    values = [*op.operands, *op.results] if op.name.startswith("pphlo.reduce") else list(op.results)
    return numel(values[0]) if values else 0


def _casts_cost(
    step: int,
    program: Program,
    batch: CastBatch,
    forms: dict[int, str],
    table: CostTable,
    network: Network | None,
) -> list[OpCost]:
    """The casts of secret values; the messages that they share are counted with the first that needs any."""
    secret = [(source, target) for source, target in batch.casts if forms[source] != "p"]
    sent = {
        target: program.values[source].elements * program.cast(source, target).bytes_per_element
        for source, target in secret
        if forms[source] == "a" and program.cast(source, target).wrap_bits
    }
    elements = sum(program.values[target].elements for target in sent)
    together = casts_cost(elements, sum(sent.values()), network)
    factor = together.bytes / (sum(sent.values()) or 1)
    shared = dataclasses.replace(together, bytes=0.0, seconds=table.cast_us * 1e-6 if sent else 0.0)
    ops = []
    for source, target in secret:
        cast = program.cast(source, target)
        value = program.values[source]
        cost = Cost(seconds=value.elements * table.cast_ns * 1e-9)
        if target in sent:
            cost += Cost(bytes=sent[target] * factor) + shared
            shared = FREE
        ops.append(
            OpCost(
                op=cast.op,
                scope=program.values[target].scope,
                step=step,
                region="",
                ring=cast.source.ring,
                target_ring=cast.target.ring,
                elements=value.elements,
                truncated=value.elements if cast.op == "rescale" and cast.shift_right else 0,
                cost=cost,
            )
        )
    return ops


def _comparisons_cost(
    step: int, program: Program, batch: CompareBatch, forms: dict[int, str], table: CostTable
) -> list[OpCost]:
    """The comparisons of secret values; the messages that they share are counted with the first."""
    secret = [about for about in batch.comparisons if forms[about.source] != "p"]
    groups = []
    for about in secret:
        value = program.values[about.source]
        groups.append(Group(value.encoding.ring, value.elements, len(about.thresholds)))
    together = comparisons_cost(groups)
    alone = [comparisons_cost([group]).bytes for group in groups]
    factor = together.bytes / (sum(alone) or 1)
    shared = dataclasses.replace(together, bytes=0.0, seconds=table.compare_us * 1e-6 if secret else 0.0)
    ops = []
    for about, group, sent in zip(secret, groups, alone, strict=True):
        seconds = group.elements * group.thresholds * table.compare_ns * 1e-9
        ops.append(
            OpCost(
                op="compare",
                scope=program.values[about.results[0]].scope,
                step=step,
                region="",
                ring=group.ring,
                target_ring=group.ring,
                elements=group.elements,
                truncated=0,
                cost=shared + Cost(bytes=sent * factor, seconds=seconds),
            )
        )
        shared = FREE
    return ops


def _form(value: Value) -> str:
    """In which a value beside the engine gets into it."""
    return "p" if not value.secret else "b" if value.dtype == "i1" else "a"


def _beside_cost(step: int, program: Program, batch: Beside, table: CostTable) -> list[OpCost]:
    """The instructions that something secret goes into."""

    def tensor(number: int) -> Tensor:
        return program.values[number].tensor

    return [
        OpCost(
            op=about.instruction.op,
            scope=program.values[about.instruction.results[0]].scope,
            step=step,
            region="",
            ring=about.ring,
            target_ring=about.ring,
            elements=about.elements,
            truncated=about.truncated,
            cost=about.cost,
            beside=about.kind,
        )
        for about in instructions.instruction_costs(batch.instructions, tensor, table.beside)
    ]
