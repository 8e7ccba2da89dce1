"""Words that say who may see an argument of a program, and whose data it is: "secret:clinic"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import TraceError
from ditto_compiler.ir import entry_function, ir
from ditto_compiler.options import did_you_mean
from ditto_compiler.owners import LABEL, is_label

WORDS = ", ".join(f'"{word}{owner}"' for owner in ("", ":OWNER") for word in names.VISIBILITIES)


def set_visibility(module: ir.Module, words: Sequence[Any]) -> None:
    """Sets `ditto.visibility` of every argument of the entry function, and `ditto.owner` where words say it.

    Raises:
        TraceError: a word that is none (see `WORDS`), or the wrong number of them.
    """
    entry = entry_function(module)
    if entry is None:
        return
    parsed = [_visibility_and_owner(word) for word in words]
    if len(words) != len(entry.arguments):
        raise TraceError(
            f"the program has {len(entry.arguments)} arguments, visibility speaks of {len(words)}"
        )
    with module.context:
        attributes = names.argument_attributes(entry)
        for entry_attributes, (visibility, owner) in zip(attributes, parsed, strict=True):
            entry_attributes[names.VISIBILITY] = ir.StringAttr.get(visibility)
            if owner is not None:
                entry_attributes[names.OWNER] = ir.StringAttr.get(owner)
        names.set_argument_attributes(entry, attributes)


def _visibility_and_owner(word: Any) -> tuple[str, str | None]:
    visibility, colon, owner = word.partition(":") if isinstance(word, str) else ("", "", "")
    if visibility not in names.VISIBILITIES:
        close = did_you_mean(visibility, names.VISIBILITIES)
        raise TraceError(f"visibility must be one of {WORDS}, got {word!r}{close}")
    if colon and not is_label(owner):
        raise TraceError(f"in visibility {word!r}, the label of the owner must be {LABEL}, got {owner!r}")
    return visibility, owner if colon else None
