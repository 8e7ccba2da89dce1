"""Compiled programs: plain data that a runtime executes without JAX or MLIR.

`ditto_compiler.program_file` says what a file of one looks like.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ditto_compiler.encoding import Cast, Encoding, parse_encoding
from ditto_compiler.executor.instruction import Instruction, Tensor, from_json, to_json
from ditto_compiler.files import as_path, write_whole
from ditto_compiler.program_file import (
    ANNOTATED,
    FILE_BYTES,
    ProgramFileError,
    pack,
    region_member,
    unpack,
)
from ditto_compiler.remarks import Remark
from ditto_compiler.showing import counted, quoted

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Value:
    """A tensor that the schedule passes around.

    Attributes:
        shape: extents.
        dtype: front-end element type, spelled as in MLIR (`f32`, `i1`, `ui8`).
        encoding: ring and scale it is held in.
        secret: whether it is held as shares; otherwise every party has it.
        scope: where the user wrote what made it, see `ditto_compiler.scopes`; empty for inputs.
    """

    shape: tuple[int, ...]
    dtype: str
    encoding: Encoding
    secret: bool
    scope: str = ""

    @property
    def tensor(self) -> Tensor:
        """What the executor on shares has to know of it."""
        return Tensor(self.shape, self.dtype == "i1", self.encoding, self.secret)

    @property
    def elements(self) -> int:
        """How many elements the tensor has."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count


@dataclass(frozen=True)
class Region:
    """A function that one engine runtime executes.

    Attributes:
        name: of the function it came from.
        ring: ring width in bits.
        frac: the runtime's fraction bits.
        code: a pphlo module with one function `@main`.
        scopes: where the user wrote each op of the code, in the order of its text, as runs of (scope, ops).
    """

    name: str
    ring: int
    frac: int
    code: str = field(repr=False)
    scopes: tuple[tuple[str, int], ...] = field(default=(), repr=False)

    def op_scopes(self) -> list[str]:
        """One scope per op of the code; ops inside another come after it."""
        return [scope for scope, count in self.scopes for _ in range(count)]


@dataclass(frozen=True)
class Call:
    """Runs a region. `operands` and `results` are numbers of values."""

    region: str
    operands: tuple[int, ...]
    results: tuple[int, ...]


@dataclass(frozen=True)
class CastBatch:
    """Casts that share messages: (value cast, value made) pairs."""

    casts: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Comparison:
    """A fixed-point value, public thresholds in units of its last place, and the boolean that each gives."""

    source: int
    thresholds: tuple[int, ...]
    results: tuple[int, ...]


@dataclass(frozen=True)
class CompareBatch:
    """Comparisons that share messages."""

    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Beside:
    """Instructions of the executor on shares, in program order; those that are ready share messages."""

    instructions: tuple[Instruction, ...]


Step = Call | CastBatch | CompareBatch | Beside


def operands_of(step: Step) -> tuple[int, ...]:
    """Numbers of the values that a step uses."""
    if isinstance(step, Call):
        return step.operands
    if isinstance(step, CastBatch):
        return tuple(source for source, _ in step.casts)
    if isinstance(step, Beside):
        made = set(results_of(step))
        used = (number for one in step.instructions for number in one.operands)
        return tuple(dict.fromkeys(number for number in used if number not in made))
    return tuple(comparison.source for comparison in step.comparisons)


def results_of(step: Step) -> tuple[int, ...]:
    """Numbers of the values that a step makes."""
    if isinstance(step, Call):
        return step.results
    if isinstance(step, CastBatch):
        return tuple(target for _, target in step.casts)
    if isinstance(step, Beside):
        return tuple(number for one in step.instructions for number in one.results)
    return tuple(result for comparison in step.comparisons for result in comparison.results)


@dataclass(frozen=True)
class Input:
    """An argument as the program wants it: one of the caller's inputs in one encoding."""

    index: int
    """Which of the caller's flat inputs."""
    value: int
    """Number of the value it becomes."""


@dataclass(frozen=True)
class Guard:
    """What a guarded program's last output, a boolean that all parties reveal to the caller, guarantees.

    Attributes:
        assumptions: values that were compared with their ranges, as text.
        inputs: ranges of the caller's flat inputs, by number, that the caller checks itself.
    """

    assumptions: tuple[str, ...]
    inputs: dict[int, tuple[float, float]]


@dataclass(frozen=True)
class CallerTensor:
    """What the caller gives or gets.

    Attributes:
        shape: extents.
        dtype: front-end element type, spelled as in MLIR.
        owner: label of whose data it is (see `ditto_compiler.owners`); empty if nobody's in particular.
    """

    shape: tuple[int, ...]
    dtype: str
    owner: str = ""


@dataclass(frozen=True, repr=False)
class Program:
    """A compiled program.

    Attributes:
        name: of the function it was compiled from.
        policy: name of the precision policy.
        values: every tensor that the schedule passes around.
        regions: by name.
        steps: the schedule.
        inputs: what to share, in which encodings; unused inputs are not here.
        caller_inputs: shape, dtype and owner of each of the caller's flat inputs.
        outputs: numbers of the values that the caller gets; of a guarded program, the last says whether all
            were in their ranges.
        input_tree: how the caller's arguments nest (see `ditto.tree`), or None for flat ones.
        output_tree: how results nest, or None.
        guard: what is guarded, or None.
        annotated: StableHLO with encodings and casts, before outlining.
        seconds: wall time of each compilation stage, for reports; not saved.
        remarks: what the compiler decided, and what it warned of, in the order of its passes; not saved.
        nest: nests results in the function's own containers; not saved, so a loaded program gives tuples
            for containers that are neither tuple, list nor dict.
    """

    name: str
    policy: str
    values: tuple[Value, ...]
    regions: dict[str, Region]
    steps: tuple[Step, ...]
    inputs: tuple[Input, ...]
    caller_inputs: tuple[CallerTensor, ...]
    outputs: tuple[int, ...]
    input_tree: Any = None
    output_tree: Any = None
    guard: Guard | None = None
    annotated: str = ""
    seconds: dict[str, float] = field(default_factory=dict, compare=False)
    remarks: tuple[Remark, ...] = field(default=(), compare=False)
    nest: Callable[[Sequence[Any]], Any] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        parts = (
            f"policy {quoted(self.policy)}",
            counted(len(self.caller_inputs), "input"),
            counted(self.results, "output"),
            counted(len(self.steps), "step"),
            *(("guarded",) if self.guard is not None else ()),
        )
        return f"<Program {quoted(self.name)}: {', '.join(parts)}>"

    @property
    def results(self) -> int:
        """How many outputs are the function's."""
        return len(self.outputs) - (self.guard is not None)

    def cast(self, source: int, target: int) -> Cast:
        """The cast from the value numbered `source` to the one numbered `target`."""
        return Cast(self.values[source].encoding, self.values[target].encoding)

    def casts(self) -> Iterator[tuple[Value, Cast]]:
        """Every cast of a secret value, with the value it casts; beside the engine, of a secret number."""
        for step in self.steps:
            pairs: Sequence[tuple[int, int]] = ()
            if isinstance(step, CastBatch):
                pairs = step.casts
            elif isinstance(step, Beside):
                casts = (one for one in step.instructions if one.op == "cast")
                pairs = [(one.operands[0], one.results[0]) for one in casts]
                pairs = [pair for pair in pairs if self.values[pair[0]].dtype != "i1"]
            for source, target in pairs:
                if self.values[source].secret:
                    yield self.values[source], self.cast(source, target)

    @functools.cached_property
    def executable(self) -> bytes:
        """The program file that parties get, without the StableHLO, which says where the source was.

        It is not compressed, so the same source gives the same bytes wherever it is compiled.

        Raises:
            ProgramFileError: a file cannot hold the program, see `ditto_compiler.program_file`.
        """
        return self.replace(annotated="")._packed(compressed=False)

    @functools.cached_property
    def digest(self) -> str:
        """What parties know the program by, in hexadecimal; the SHA-256 of `executable`."""
        return hashlib.sha256(self.executable).hexdigest()

    def to_bytes(self) -> bytes:
        """The program file's content; equal programs give equal bytes.

        Raises:
            ProgramFileError: a file cannot hold the program, see `ditto_compiler.program_file`.
        """
        return self._packed(compressed=True)

    def _packed(self, *, compressed: bool) -> bytes:
        regions = self.regions.values()
        scopes = sorted({v.scope for v in self.values} | {scope for r in regions for scope, _ in r.scopes})
        number = {scope: index for index, scope in enumerate(scopes)}
        document = {
            "name": self.name,
            "policy": self.policy,
            "scopes": scopes,
            "values": [
                [list(v.shape), v.dtype, str(v.encoding), v.secret, number[v.scope]] for v in self.values
            ],
            "regions": [
                [r.name, r.ring, r.frac, [[number[scope], count] for scope, count in r.scopes]]
                for r in regions
            ],
            "steps": [_step_to_json(step) for step in self.steps],
            "inputs": [[i.index, i.value] for i in self.inputs],
            "caller_inputs": [[list(t.shape), t.dtype, t.owner] for t in self.caller_inputs],
            "outputs": list(self.outputs),
            "input_tree": self.input_tree,
            "output_tree": self.output_tree,
            "guard": None if self.guard is None else _guard_to_json(self.guard),
        }
        texts = {region_member(region.name): region.code for region in regions}
        return pack(document, {**texts, ANNOTATED: self.annotated}, compressed=compressed)

    def save(self, path: str | Path) -> None:
        """Writes the program file, whole or not at all.

        Raises:
            ProgramFileError: the file cannot be written, or cannot hold the program.
        """
        try:
            write_whole(as_path(path, "a program file", ProgramFileError), self.to_bytes())
        except OSError as error:
            raise ProgramFileError(f"cannot write program file '{path}': {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a program file.

        Raises:
            ProgramFileError: no such file, not a program file, damaged, too large, or of another version.
        """
        file = as_path(path, "a program file", ProgramFileError)
        try:
            with file.open("rb") as opened:
                content = opened.read(FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            raise ProgramFileError(f"cannot read program file '{path}': {error}") from None
        return cls.from_bytes(content, str(path))

    @classmethod
    def from_bytes(cls, content: bytes, origin: str = "<bytes>") -> Self:
        """The program in a program file's content, which anybody may have written; `origin` is for errors.

        Raises:
            ProgramFileError: not a program file, damaged, too large, or of another version.
        """
        return cls(**_fields(*unpack(content, origin)))

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def _step_to_json(step: Step) -> list[Any]:
    if isinstance(step, Call):
        return ["call", step.region, list(step.operands), list(step.results)]
    if isinstance(step, CastBatch):
        return ["cast", [list(pair) for pair in step.casts]]
    if isinstance(step, Beside):
        return ["beside", [to_json(one) for one in step.instructions]]
    return ["compare", [[c.source, list(c.thresholds), list(c.results)] for c in step.comparisons]]


def _guard_to_json(guard: Guard) -> list[Any]:
    return [list(guard.assumptions), [[index, *ends] for index, ends in guard.inputs.items()]]


def _guard_from_json(assumptions: list[str], inputs: list[list[Any]]) -> Guard:
    return Guard(tuple(assumptions), {index: (low, high) for index, low, high in inputs})


def _step_from_json(entry: list[Any]) -> Step:
    if entry[0] == "call":
        return Call(entry[1], tuple(entry[2]), tuple(entry[3]))
    if entry[0] == "cast":
        return CastBatch(tuple((source, target) for source, target in entry[1]))
    if entry[0] == "beside":
        return Beside(tuple(map(from_json, entry[1])))
    return CompareBatch(
        tuple(
            Comparison(source, tuple(thresholds), tuple(results)) for source, thresholds, results in entry[1]
        )
    )


def _tree_from_json(structure: Any) -> Any:
    """A structure (see `ditto.tree`), in which JSON has lists for tuples that are keys of dicts."""
    if not isinstance(structure, list):
        return structure
    kind, children = structure
    if kind == "dict":
        return [kind, [[_key_from_json(key), _tree_from_json(child)] for key, child in children]]
    return [kind, [_tree_from_json(child) for child in children]]


def _key_from_json(key: Any) -> Any:
    return tuple(map(_key_from_json, key)) if isinstance(key, list) else key


def _fields(document: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    scopes = document["scopes"]
    return dict(
        name=document["name"],
        policy=document["policy"],
        values=tuple(
            Value(tuple(shape), dtype, parse_encoding(encoding), secret, scopes[scope])
            for shape, dtype, encoding, secret, scope in document["values"]
        ),
        regions={
            name: Region(
                name,
                ring,
                frac,
                texts[region_member(name)],
                tuple((scopes[scope], count) for scope, count in runs),
            )
            for name, ring, frac, runs in document["regions"]
        },
        steps=tuple(_step_from_json(entry) for entry in document["steps"]),
        inputs=tuple(Input(index, value) for index, value in document["inputs"]),
        caller_inputs=tuple(CallerTensor(tuple(s), d, o) for s, d, o in document["caller_inputs"]),
        outputs=tuple(document["outputs"]),
        input_tree=_tree_from_json(document["input_tree"]),
        output_tree=_tree_from_json(document["output_tree"]),
        guard=None if document["guard"] is None else _guard_from_json(*document["guard"]),
        annotated=texts[ANNOTATED],
    )
