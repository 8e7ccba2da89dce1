"""Calibrated ranges: the least and the largest number in each tensor of a program, by stable names.

A name is `scope:op#k`, where scope is JAX's name stack without its `jit(...)` parts, and k numbers the
ops of that name in that scope; arguments are `argument#i`. So names survive recompilation, renaming of the
traced function, and changes in other scopes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ditto_compiler.diagnostics import source_location
from ditto_compiler.dtypes import FLOAT_TYPES
from ditto_compiler.errors import DittoError
from ditto_compiler.files import as_path, parse_json, write_whole
from ditto_compiler.intervals import Interval
from ditto_compiler.ir import element_type, func, ir, is_tensor, ops_of
from ditto_compiler.showing import counted

FORMAT = "ditto-ranges"
VERSION = 2
"""Files of version 1 have magnitudes only."""


class RangesError(DittoError):
    """A file of ranges that cannot be read."""


@dataclass(frozen=True, repr=False)
class Ranges:
    """What was seen of values, by name.

    Attributes:
        values: largest magnitudes.
        intervals: least and largest numbers, where more than a magnitude is known.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    def __repr__(self) -> str:
        largest = f", none above {max(self.values.values()):.4g} in magnitude" if self.values else ""
        return f"<Ranges of {counted(len(self.values), 'tensor')}{largest}>"

    @staticmethod
    def of(intervals: Mapping[str, Interval]) -> Ranges:
        """What was seen, from the least and the largest number of each value."""
        return Ranges({key: max(-low, high, 0.0) for key, (low, high) in intervals.items()}, dict(intervals))

    def merge(self, other: Ranges) -> Ranges:
        """What either saw."""
        keys = [*self.values, *(key for key in other.values if key not in self.values)]
        values = {key: max(self.values.get(key, 0.0), other.values.get(key, 0.0)) for key in keys}
        intervals = {}
        for key in keys:
            seen = [ranges.intervals.get(key) for ranges in (self, other) if key in ranges.values]
            known = [interval for interval in seen if interval is not None]
            if len(known) == len(seen):
                intervals[key] = min(low for low, _ in known), max(high for _, high in known)
        return Ranges(values, intervals)

    def widened(self, margin: float) -> Ranges:
        """Ranges whose ends are further out, see `wider`."""
        known = {key: self.intervals.get(key, (-value, value)) for key, value in self.values.items()}
        return Ranges.of({key: wider(interval, margin) for key, interval in known.items()})

    def save(self, path: str | Path) -> None:
        """Writes the ranges as JSON, whole or not at all."""
        ranges = {
            key: list(self.intervals[key]) if key in self.intervals else v for key, v in self.values.items()
        }
        document = {"format": FORMAT, "version": VERSION, "ranges": ranges}
        try:
            write_whole(
                as_path(path, "a file of ranges", RangesError), json.dumps(document, indent=1).encode()
            )
        except OSError as error:
            raise RangesError(f"cannot write '{path}': {error}") from None

    @staticmethod
    def load(path: str | Path) -> Ranges:
        """Reads what `save` wrote, in this version or an earlier one.

        Raises:
            RangesError: no such file, or not such a file.
        """
        file = as_path(path, "a file of ranges that ditto.calibrate measured", RangesError)
        try:
            document = parse_json(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RangesError(f"cannot read ranges from '{path}': {error}") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise RangesError(f"'{path}' is not a file of calibrated ranges; write one by ditto calibrate")
        if document.get("version") not in range(1, VERSION + 1):
            raise RangesError(f"'{path}' has version {document.get('version')}, this ditto reads {VERSION}")
        entries = document.get("ranges")
        if not isinstance(entries, dict) or not all(map(_is_entry, entries.values())):
            raise RangesError(
                f"'{path}': ranges must be a table of intervals [least, largest], or of non-negative numbers"
            )
        pairs = {str(key): (float(e[0]), float(e[1])) for key, e in entries.items() if isinstance(e, list)}
        plain = {str(key): float(e) for key, e in entries.items() if not isinstance(e, list)}
        known = Ranges.of(pairs)
        return Ranges({str(key): {**plain, **known.values}[str(key)] for key in entries}, known.intervals)


def _is_entry(entry: object) -> bool:
    if isinstance(entry, list):
        return len(entry) == 2 and all(map(_is_number, entry)) and entry[0] <= entry[1]
    return _is_number(entry) and isinstance(entry, (int, float)) and entry >= 0


def _is_number(value: object) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def wider(interval: Interval, margin: float) -> Interval:
    """An interval whose ends are further out by this part of the larger end.

    Signs stay: where all numbers are positive, the least is divided by 1 + margin, and 0 stays 0.
    """
    low, high = interval
    reach = margin * max(-low, high)
    least = low - reach if low < 0 else low / (1 + margin)
    most = high + reach if high > 0 else high / (1 + margin)
    return least, most


def argument_key(index: int) -> str:
    """The name of an entry argument's range."""
    return f"argument#{index}"


def value_keys(entry: func.FuncOp) -> dict[ir.Value, str]:
    """The names of all that calibration may know of: arguments, and the function's floats."""
    arguments = {argument: argument_key(index) for index, argument in enumerate(entry.arguments)}
    return arguments | result_keys(entry)


def result_keys(entry: func.FuncOp) -> dict[ir.Value, str]:
    """The name of every single float in the function's entry block.

    Integers and booleans have none: what a sample made of them says nothing of what an input decides.
    """
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
