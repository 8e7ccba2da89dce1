"""What a recogniser is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ditto_compiler.ir import ir
from ditto_compiler.matcher import Match, Pattern, View, matched_ops


@dataclass(frozen=True)
class Found:
    """A function found in a program.

    Attributes:
        function: its name, e.g. `gelu`.
        root: the op whose result is the function's value.
        match: what its inputs are.
        ops: the ops that compute it, root included; idle when the root is replaced.
    """

    function: str
    root: ir.Operation
    match: Match
    ops: frozenset[ir.Operation]

    def value(self, name: str) -> ir.Value:
        """An input, of the root's shape unless the recogniser says otherwise."""
        return self.match.views[name].source


class Finder(Protocol):
    """Something that finds one function."""

    @property
    def function(self) -> str:
        """Its name."""

    def find(self, root: ir.Operation) -> Found | None:
        """The function that `root` is the last op of, or None."""


@dataclass(frozen=True)
class Recognizer:
    """Finds one function by patterns of its value.

    Attributes:
        function: its name.
        roots: ops that can be the last of it.
        patterns: in order of preference.
        accept: what must hold of the root and the match besides.
    """

    function: str
    roots: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    accept: Callable[[View, Match], bool] = lambda view, match: True

    def find(self, root: ir.Operation) -> Found | None:
        """The function that `root` is the last op of, or None."""
        if root.name not in self.roots or len(root.results) != 1:
            return None
        value = root.results[0]
        view = View.of(value)
        for pattern in self.patterns:
            for match in pattern.match(view, Match()):
                if self.accept(view, match):
                    return Found(self.function, root, match, frozenset(matched_ops(value, match)))
        return None
