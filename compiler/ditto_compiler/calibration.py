"""Calibrated ranges: the largest magnitude of each float value of a program, by stable names.

A name is `scope:op#k`, where scope is JAX's name stack without its `jit(...)` parts, and k numbers the
ops of that name in that scope; arguments are `argument#i`. So names survive recompilation, renaming of the
traced function, and changes in other scopes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ditto_compiler.diagnostics import source_location
from ditto_compiler.dtypes import FLOAT_TYPES
from ditto_compiler.errors import DittoError
from ditto_compiler.files import as_path, write_whole
from ditto_compiler.ir import element_type, func, ir, is_tensor, ops_of

FORMAT = "ditto-ranges"
VERSION = 1


class RangesError(DittoError):
    """A file of ranges that cannot be read."""


@dataclass(frozen=True)
class Ranges:
    """Largest magnitudes seen, by name."""

    values: Mapping[str, float]

    def merge(self, other: Ranges) -> Ranges:
        """The larger of both, name by name."""
        keys = [*self.values, *(key for key in other.values if key not in self.values)]
        return Ranges({key: max(self.values.get(key, 0.0), other.values.get(key, 0.0)) for key in keys})

    def save(self, path: str | Path) -> None:
        """Writes the ranges as JSON, whole or not at all."""
        document = {"format": FORMAT, "version": VERSION, "ranges": dict(self.values)}
        try:
            write_whole(
                as_path(path, "a file of ranges", RangesError), json.dumps(document, indent=1).encode()
            )
        except OSError as error:
            raise RangesError(f"cannot write '{path}': {error}") from None

    @staticmethod
    def load(path: str | Path) -> Ranges:
        """Reads what `save` wrote.

        Raises:
            RangesError: no such file, or not such a file.
        """
        file = as_path(path, "a file of ranges that ditto.calibrate measured", RangesError)
        try:
            document = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise RangesError(f"cannot read ranges from '{path}': {error}") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise RangesError(f"'{path}' is not a file of calibrated ranges; write one by ditto calibrate")
        if document.get("version") != VERSION:
            raise RangesError(f"'{path}' has version {document.get('version')}, this ditto reads {VERSION}")
        values = document.get("ranges")
        if not isinstance(values, dict) or not all(_is_magnitude(value) for value in values.values()):
            raise RangesError(f"'{path}': ranges must be a table of non-negative numbers")
        return Ranges({str(key): float(value) for key, value in values.items()})


def _is_magnitude(value: object) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )


def argument_key(index: int) -> str:
    """The name of an entry argument's range."""
    return f"argument#{index}"


def result_keys(entry: func.FuncOp) -> dict[ir.Value, str]:
    """The name of every single float result in the function's entry block."""
    counts: Counter[str] = Counter()
    keys: dict[ir.Value, str] = {}
    for op in ops_of(entry.entry_block):
        if len(op.results) != 1 or not is_tensor(op.results[0].type):
            continue
        scope = "/".join(
            part
            for part in source_location(op.location).scope.split("/")[:-1]
            if not part.startswith(("jit(", "pjit"))
        )
        stem = f"{scope}:{op.name}"
        if element_type(op.results[0]) in FLOAT_TYPES:
            keys[op.results[0]] = f"{stem}#{counts[stem]}"
        counts[stem] += 1
    return keys
