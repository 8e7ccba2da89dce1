"""What ops are called in a plan: op, scope, and number among the ops of that name there.

Layers are told from one another by the numbers in their scopes, such as `encoder/layer3/mlp`. Ops of layers
that are alike, in ops and shapes, are tied: what is decided is decided for all of them.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ditto_compiler.ir import element_type, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.scales import is_constant
from ditto_compiler.scopes import scope_of

_NUMBER = re.compile(r"\d+")

_MAGIC = re.compile(r"([*?[])")


class Key(NamedTuple):
    """What an op is called; constants, of which rules do not speak, are numbered down from -1."""

    op: str
    scope: str
    nth: int

    def __str__(self) -> str:
        return f"{self.scope}:{self.op}#{self.nth}"


def by_key(ops: Sequence[ir.Operation]) -> dict[Key, ir.Operation]:
    """The ops of an entry function by their names."""
    return dict(zip(keys_of(ops), ops, strict=True))


def keys_of(ops: Iterable[ir.Operation]) -> list[Key]:
    """The names of the ops of an entry function, in order."""
    counts: Counter[_Place] = Counter()
    found = []
    for op in ops:
        place = _place(op)
        nth = counts[place]
        found.append(Key(place.op, place.scope, -1 - nth if place.is_constant else nth))
        counts[place] += 1
    return found


def counts_of(ops: Sequence[ir.Operation]) -> list[int]:
    """For each op of an entry function, how many are numbered together with it."""
    counts = Counter(map(_place, ops))
    return [counts[_place(op)] for op in ops]


class _Place(NamedTuple):
    """Where ops are numbered. Equal constants of several layers stand in the first, so they are apart."""

    op: str
    scope: str
    is_constant: bool


def _place(op: ir.Operation) -> _Place:
    return _Place(op.name, scope_of(op), is_constant(op.results[0]))


def tied(ops: Sequence[ir.Operation], keys: Sequence[Key]) -> list[Key]:
    """For each op, the name of the first of those that it is tied to, which may be its own."""
    shapes = {
        key: tuple((*shape_of(v), element_type(v)) for v in (*op.results, *op.operands))
        for op, key in zip(ops, keys, strict=True)
        if not is_constant(op.results[0])
    }
    # A scope is like another if it has the same ops, of the same shapes.
    content: defaultdict[str, list[object]] = defaultdict(list)
    for key, shape in shapes.items():
        content[key.scope].append((key.op, key.nth, shape))
    first: dict[object, str] = {}
    like: dict[str, str] = {}
    for scope, held in content.items():
        like[scope] = first.setdefault((unnumbered(scope), tuple(held)), scope)
    return [Key(key.op, like.get(key.scope, key.scope), key.nth) for key in keys]


def unnumbered(scope: str) -> str:
    """A scope with stars for numbers: the same for layers that are alike."""
    return _NUMBER.sub("*", scope)


def patterns(scopes: Sequence[str], others: Iterable[str]) -> tuple[str, ...]:
    """Globs that match some scopes and none of the others: one with stars for numbers, if that does."""
    exact = tuple(dict.fromkeys(_MAGIC.sub(r"[\1]", scope) for scope in scopes))
    if len(exact) == 1:
        return exact
    pattern = unnumbered(exact[0])
    taken = any(fnmatch.fnmatchcase(other, pattern) for other in others)
    alike = all(fnmatch.fnmatchcase(scope, pattern) for scope in scopes)
    return (pattern,) if alike and not taken else exact
