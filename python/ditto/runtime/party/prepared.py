"""What parties hold of a run in which P0 has gone ahead: docs/explanation/protocols.md, "Dealing ahead"."""

from __future__ import annotations

from ditto_compiler.executor.schedule import schedule
from ditto_compiler.program import Beside, Program


def prepared_bytes(program: Program) -> tuple[int, int, int]:
    """Bytes that each party holds of a prepared run.

    P0 has its slots of the outputs, P1 what P0 has sent it. P2 has nothing but a key.
    """
    dealt = 0
    for step in program.steps:
        if isinstance(step, Beside):
            planned = schedule(step.instructions, lambda n: program.values[n].tensor, ahead=True)
            dealt += sum(planned.dealt)
    outputs = [program.values[number] for number in program.outputs]
    return sum(2 * value.elements * (value.encoding.ring // 8) for value in outputs), dealt, 0
