"""What instructions beside the engine cost: bytes, messages and rounds as scheduled, seconds by the table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ditto_compiler.cost.measured import Cost, WorkTable
from ditto_compiler.encoding import Cast
from ditto_compiler.executor.instruction import Instruction, Tensor
from ditto_compiler.executor.schedule import PRODUCTS, Tensors, schedule
from ditto_compiler.protocols.costs import ProtocolCost

KINDS: Mapping[str, str] = {
    **dict.fromkeys(PRODUCTS, "products"),
    "cast": "widening",
    "less": "comparisons",
    "select": "selections",
    "oneshot": "functions",
    **dict.fromkeys(("and", "or", "any", "all", "convert"), "bits"),
}
"""What a report calls a protocol, by its instruction."""

LOCAL = "local"
"""What it calls all that each party does alone."""

VIEWS = ("constant", "iota", "reshape", "transpose", "broadcast_in_dim", "slice", "dynamic_slice", "reverse")
"""Instructions that only look at values in another way."""


@dataclass(frozen=True)
class InstructionCost:
    """One instruction that something secret goes into.

    Attributes:
        instruction: which.
        ring: of its results; 1 for booleans.
        elements: of its results.
        truncated: elements whose low bits it drops.
        kind: what a report calls it: of `KINDS`, or `LOCAL`.
        cost: over all parties. A message that several share counts as a part of one; rounds are those on
            the longest chain of protocols (`Schedule.critical`), so that they add up to those of the step.
    """

    instruction: Instruction
    ring: int
    elements: int
    truncated: int
    kind: str
    cost: Cost


def instruction_costs(
    instructions: Sequence[Instruction], tensors: Tensors, table: WorkTable
) -> list[InstructionCost]:
    """What the instructions of one step cost, in program order.

    Args:
        instructions: in program order.
        tensors: what there is to know of a value, by number.
        table: what they take the parties' processors.
    """
    planned = schedule(instructions, tensors)
    messages: defaultdict[int, float] = defaultdict(float)
    for sharing in planned.messages:
        for index in sharing:
            messages[index] += 1 / len(sharing)
    critical = set(planned.critical)
    found = []
    for index, (one, sent) in enumerate(zip(instructions, planned.costs, strict=True)):
        if not any(tensors(number).secret for number in one.operands):
            continue
        rounds = sent.rounds if index in critical else 0
        seconds = _seconds(one, tensors, sent, table) + rounds * table.round_us * 1e-6
        result = tensors(one.results[0])
        found.append(
            InstructionCost(
                instruction=one,
                ring=1 if result.is_bit else result.ring,
                elements=result.size * len(one.results),
                truncated=result.size if _drops(one, tensors(one.operands[0]), result) else 0,
                kind=KINDS[one.op] if sent.rounds else LOCAL,
                cost=Cost(sent.bytes, messages[index], rounds, seconds),
            )
        )
    return found


def _seconds(one: Instruction, tensors: Tensors, sent: ProtocolCost, table: WorkTable) -> float:
    """Processor time of all parties, without that of rounds."""
    operands = [tensors(number) for number in one.operands]
    result = tensors(one.results[0])
    row, ring = _row(one, operands, result, bool(sent.rounds))
    word = word_bits(ring)
    work = table.rows[row][word]
    units = 0 if _is_view(one, operands[0], result) else max(x.size for x in (*operands, result))
    seconds = 0.0
    if one.op in ("dot_general", "convolution"):
        units = result.size
        read = operands[0].size + operands[1].size
        seconds += multiply_adds(one, operands, result) * table.multiply_add_ns[word] * 1e-9
        seconds += read * table.read_ns[word] * 1e-9
    elif one.op == "less":
        units *= len(one.results)
    return seconds + work.seconds(units, sent.bytes)


def _row(one: Instruction, operands: Sequence[Tensor], result: Tensor, is_protocol: bool) -> tuple[str, int]:
    """The table's row for an instruction, and the ring that says which words it works on."""
    first = operands[0]
    if result.is_bit and one.op != "less":
        return ("join" if is_protocol else LOCAL), 32
    if not is_protocol:
        return ("narrow" if one.op == "cast" else LOCAL), max(first.ring, result.ring)
    match one.op:
        case "cast":
            return "widen", max(first.ring, result.ring)
        case "oneshot":
            drop = one.integer("drop", 0)
            return str(one.attributes["kind"]), result.ring + drop
        case "dot_general" | "convolution":
            return "product", first.ring
        case "select" | "convert":
            return one.op, result.ring
    return one.op, first.ring


def _is_view(one: Instruction, first: Tensor, result: Tensor) -> bool:
    """Whether a local instruction touches no words: bits above those of a ring do not matter."""
    if one.op != "cast" or first.is_bit:
        return one.op in VIEWS
    same_words = word_bits(first.ring) == word_bits(result.ring)
    return same_words and result.ring <= first.ring and result.encoding.frac == first.encoding.frac


def multiply_adds(one: Instruction, operands: Sequence[Tensor], result: Tensor) -> int:
    """Scalar multiplications of a matrix product or convolution."""
    left, right = operands
    if one.op == "convolution":
        features = right.shape[one.integers("kernel")[0]]
        return result.size * (right.size // features) if features else 0
    used = (*one.integers("right_batch"), *one.integers("right_contracting"))
    return left.size * math.prod(n for d, n in enumerate(right.shape) if d not in used)


def word_bits(ring: int) -> int:
    """Bits of the machine words that elements of a ring stand in."""
    return 32 if ring <= 32 else 64


def _drops(one: Instruction, first: Tensor, result: Tensor) -> bool:
    """Whether an instruction truncates: a product or a cast that leaves fewer fraction bits."""
    if one.op == "cast":
        return not result.is_bit and Cast(first.encoding, result.encoding).shift_right > 0
    return one.op in PRODUCTS and result.ring < first.ring
