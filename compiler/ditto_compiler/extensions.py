"""Tables that packages other than Ditto add to, and which packages do so here and now.

A `Table` gives what Ditto itself has of one kind (ops, passes, policies, ...), and what plugins add. Which
plugins these are depends on the context, never on what was imported: those of the innermost
`ditto_compiler.plugins.using`, else the installed ones, which are loaded when a name is asked for that is not
Ditto's own. A new thread starts with the installed ones.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Generic, TypeVar

from ditto_compiler.errors import DittoError

V = TypeVar("V")

GROUP = "ditto.plugins"
"""The group of entry points that names plugins."""

ONLY = "DITTO_PLUGINS"
"""The environment variable that says which installed plugins are loaded, by entry point, separated by commas;
all if it is not set, none if it is empty."""


@dataclass(frozen=True)
class Additions:
    """What plugins add.

    Attributes:
        tables: of each kind of table, what is added, by name.
        packages: which package adds it, by kind and name.
        loaded: the packages, in order, as errors and `ditto-opt --version` name them.
        specs: how another process loads the same plugins: `module:attribute`.
    """

    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    packages: Mapping[tuple[str, str], str] = field(default_factory=dict)
    loaded: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()


NONE = Additions()

ACTIVE: ContextVar[Additions | None] = ContextVar("ditto_plugins", default=None)
"""What is added in this context; None for what the installed plugins add."""


class PluginError(DittoError):
    """A plugin cannot be loaded, or one of its passes did what no pass may; names its package."""


def active() -> Additions:
    """What is added in this context.

    Raises:
        PluginError: an installed plugin cannot be loaded.
    """
    found = ACTIVE.get()
    return _installed(os.environ.get(ONLY)) if found is None else found


@functools.cache
def _installed(allowed: str | None) -> Additions:
    """What the installed plugins add, or those of them that `allowed` names."""
    points = sorted(metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    known = dict.fromkeys(point.name for point in points)
    names = [*known] if allowed is None else [name for part in allowed.split(",") if (name := part.strip())]
    for name in names:
        if name not in known:
            raise PluginError(
                f"{ONLY} names the plugin '{name}', which is not installed (installed: "
                f"{', '.join(known) or 'none'})"
            )
    if not names:
        return NONE
    # Plugins stand on everything else; only where there are any is that imported.
    load = importlib.import_module("ditto_compiler.plugins").additions_of
    found: Additions = load([point for point in points if point.name in names])
    return found


def package_of(kind: str, name: str) -> str:
    """Who adds an entry, in this context; empty for Ditto's own."""
    return active().packages.get((kind, name), "")


class Table(Mapping[str, V], Generic[V]):
    """What there is of one kind, by name: Ditto's own first.

    Attributes:
        kind: what an entry is called, e.g. `op`.
        own: Ditto's own entries.
    """

    def __init__(self, kind: str, own: Mapping[str, V]) -> None:
        self.kind = kind
        self.own = dict(own)

    @property
    def added(self) -> Mapping[str, V]:
        """What plugins add in this context."""
        return active().tables.get(self.kind, {})

    def __getitem__(self, name: str) -> V:
        if name in self.own:
            return self.own[name]
        return self.added[name]

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.added

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.added

    def __len__(self) -> int:
        return len(self.own) + len(self.added)
