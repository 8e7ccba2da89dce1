"""What the compiler decided, as records: for people, and for tools that look some of it up.

{remark.scope for remark in program.remarks if remark.category is Category.EXACT}
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ditto_compiler.errors import DittoError


class Category(enum.Enum):
    """What a remark is about."""

    FUNCTION = "function"
    """A function that was recognised."""
    FORM = "form"
    """What is computed instead of it, and why."""
    EXACT = "exact"
    """What stayed as it is, and why."""
    FOLD = "fold"
    """What became a constant."""
    RING = "ring"
    """The ring and the fraction bits that an op computes in, and why."""
    CAST = "cast"
    """A cast between two encodings, and what it is for."""
    BESIDE = "beside"
    """What runs beside the engine, in which ring, and why."""
    RANGE = "range"
    """How large values were taken to be."""
    PLAN = "plan"
    """What a plan came to."""
    CHECK = "check"
    """What a check found, or could not find out."""


DETAILS = frozenset({Category.FUNCTION, Category.FOLD, Category.RING, Category.CAST, Category.BESIDE})
"""What there is one remark on for each op, and nothing to do about."""


@dataclass(frozen=True)
class SourceLocation:
    """Where an operation comes from."""

    file: str | None = None
    line: int = 0
    column: int = 0
    scope: str = ""
    """JAX's name stack, e.g. `jit(f)/encoder/layer0/dot_general`."""

    def __str__(self) -> str:
        if self.file is not None:
            return f"{self.file}:{self.line}:{self.column}"
        return self.scope or "<unknown location>"


@dataclass(frozen=True)
class Remark:
    """One decision about one op.

    Attributes:
        category: what it is about.
        op: its name, e.g. `stablehlo.exponential`.
        location: where the user wrote it. Layers that one line of a model makes differ in `scope`.
        message: what was decided, and why.
        pass_name: the pass that did.
        severity: `remark`, or `warning` where the results may be wrong.
    """

    category: Category
    op: str
    location: SourceLocation
    message: str
    pass_name: str
    severity: str = "remark"

    @property
    def scope(self) -> str:
        """JAX's name stack, e.g. `jit(f)/encoder/layer0/dot_general`."""
        return self.location.scope

    @property
    def text(self) -> str:
        """The message as a diagnostic has it: with the pass and the op."""
        return f"[{self.pass_name}] '{self.op}' op: {self.message}"

    def __str__(self) -> str:
        return f"{self.location}: {self.severity}: {self.text}"


def selection(wanted: str) -> Callable[[Remark], bool]:
    """Which remarks `wanted` asks for: a category, or a regular expression for their text; all if empty.

    Raises:
        DittoError: it is neither.
    """
    if wanted in [category.value for category in Category]:
        return lambda remark: remark.category.value == wanted
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        raise DittoError(
            f"remarks are asked for by a category ({', '.join(one.value for one in Category)}) or a regular "
            f"expression, got '{wanted}': {error}"
        ) from None
    return lambda remark: pattern.search(str(remark)) is not None


_NUMBERS = re.compile(r"\d+")


def grouped(remarks: Iterable[Remark]) -> list[str]:
    """Remarks as lines, those that say the same of several ops as one: of the layers of a model, say."""
    groups: dict[tuple[str, str], list[Remark]] = {}
    for remark in remarks:
        groups.setdefault((str(remark), _NUMBERS.sub("*", remark.scope)), []).append(remark)
    return [_line(text, scope, group) for (text, scope), group in groups.items()]


def _line(text: str, scope: str, group: Sequence[Remark]) -> str:
    if len(group) == 1:
        return text
    where = f", in {scope}" if len({remark.scope for remark in group}) > 1 else ""
    return f"{text} ({len(group)} times{where})"
