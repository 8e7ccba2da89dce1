"""Instructions of the executor on shares under construction, and three parties that run them."""

import numpy as np
from seats import bits, numbers, opened

from ditto.compiled_program import Program
from ditto.runtime.party.executor import Executor
from ditto.runtime.protocols.local import Public
from ditto.runtime.protocols.shared import word_of
from ditto.runtime.transport.channel import run_in_threads
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.executor.instruction import Instruction, Tensor, check
from ditto_compiler.executor.schedule import schedule
from ditto_compiler.program import Beside, CallerTensor, Input, Value

RNG = np.random.default_rng(11)


class Sketch:
    """Instructions under construction, and secret numbers for them."""

    def __init__(self):
        self.tensors = []
        self.instructions = []
        self.inputs = {}

    def value(self, shape, encoding, *, is_bit=False, secret=True):
        self.tensors.append(Tensor(tuple(shape), is_bit, encoding, secret))
        return len(self.tensors) - 1

    def number(self, *shape, ring=20, frac=8, secret=True):
        """An input, of magnitude below 1."""
        found = self.value(shape, Fxp(ring, frac), secret=secret)
        self.inputs[found] = RNG.integers(-(1 << frac), 1 << frac, shape)
        return found

    def bit(self, *shape):
        found = self.value(shape, Int(2), is_bit=True)
        self.inputs[found] = RNG.integers(0, 2, shape)
        return found

    def add(self, op, operands, shape, encoding=None, *, is_bit=False, **attributes):
        encoding = encoding or self.tensors[operands[0]].encoding
        secret = any(self.tensors[number].secret for number in operands)
        results = [
            self.value(shape, encoding, is_bit=is_bit, secret=secret)
            for _ in attributes.get("thresholds", (0,))
        ]
        one = Instruction(op, tuple(operands), tuple(results), attributes)
        check(one, [self.tensors[n] for n in operands], [self.tensors[n] for n in results])
        self.instructions.append(one)
        return results[0]

    @property
    def planned(self):
        """When the instructions run."""
        return schedule(self.instructions, self.tensors.__getitem__)

    @property
    def planned_ahead(self):
        """When they run after P0 has gone ahead."""
        return schedule(self.instructions, self.tensors.__getitem__, ahead=True)

    def program(self):
        """A program of one step."""
        return Program(
            name="sketch",
            policy="none",
            values=tuple(
                Value(about.shape, "i1" if about.is_bit else "f32", about.encoding, about.secret, "scope")
                for about in self.tensors
            ),
            regions={},
            steps=(Beside(tuple(self.instructions)),),
            inputs=tuple(Input(index, number) for index, number in enumerate(self.inputs)),
            caller_inputs=tuple(
                CallerTensor(self.tensors[n].shape, "i1" if self.tensors[n].is_bit else "f32")
                for n in self.inputs
            ),
            outputs=(len(self.tensors) - 1,),
        )

    def shares(self):
        """What each party holds of the inputs."""
        held = [{}, {}, {}]
        for number, plain in self.inputs.items():
            about = self.tensors[number]
            if about.is_bit:
                slots = bits(plain, number)
            elif about.secret:
                slots = numbers(plain, about.ring, number)
            else:
                slots = [Public(about.ring, plain.astype(np.uint64).astype(word_of(about.ring)))] * 3
            for party, mine in zip(held, slots, strict=True):
                party[number] = mine
        return held

    def run(self):
        """The three parties' (rounds, bytes, messages, values)."""

        held = self.shares()

        def party(channel):
            executor = Executor(channel.rank, channel)
            before = channel.bytes_sent, channel.messages_sent
            values = held[channel.rank]
            executor.run(self.instructions, self.tensors.__getitem__, values, lambda number: True)
            sent = channel.bytes_sent - before[0], channel.messages_sent - before[1]
            return executor.rounds, *sent, values

        return run_in_threads(party)

    def run_ahead(self, wanted=lambda number: True):
        """As `run`, after P0 has gone ahead without the others' shares; and what it has sent then."""

        held = self.shares()

        def party(channel):
            executor = Executor(channel.rank, channel)
            before = channel.bytes_sent, channel.messages_sent
            values = held[channel.rank]
            about = self.tensors.__getitem__
            first = values if channel.rank == 0 else {}
            dealt = executor.deal(self.instructions, about, first, wanted)
            assert executor.rounds == 0
            ahead = channel.bytes_sent - before[0], channel.messages_sent - before[1]
            before = channel.bytes_sent, channel.messages_sent
            if channel.rank:
                executor.run(self.instructions, about, values, wanted, dealt)
                assert not dealt.messages
            sent = channel.bytes_sent - before[0], channel.messages_sent - before[1]
            return executor.rounds, *sent, values, ahead

        return run_in_threads(party)

    def check_ahead(self):
        """As `check`, after P0 has gone ahead."""
        planned = self.planned_ahead
        found = self.run_ahead()
        rounds, sent, messages, values, ahead = zip(*found, strict=True)
        assert rounds == (0, planned.rounds, planned.rounds)
        assert (sum(sent), sum(messages)) == (planned.bytes, len(planned.messages))
        assert sent[0] == 0
        assert ahead == ((sum(planned.dealt), len(planned.deals)), (0, 0), (0, 0))
        return planned, list(values)

    def check(self):
        """Holds what is sent to what is predicted; the schedule, and what each party holds at the end."""
        planned = self.planned
        found = self.run()
        assert {rounds for rounds, *_ in found} == {planned.rounds}
        assert sum(sent for _, sent, *_ in found) == planned.bytes
        assert sum(messages for *_, messages, _ in found) == len(planned.messages)
        return planned, [values for *_, values in found]

    @staticmethod
    def open(values, number):
        """A value of a run."""
        return opened([held[number] for held in values])
