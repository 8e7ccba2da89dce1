"""Programs as users hold them: what the compiler made, with reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import ditto_compiler.program
from ditto_compiler.network import Network
from ditto_compiler.report import render


@dataclass(frozen=True, repr=False)
class Program(ditto_compiler.program.Program):
    """A compiled program, see `ditto_compiler.program.Program`."""

    @classmethod
    def of(cls, program: ditto_compiler.program.Program) -> Self:
        """What the compiler made."""
        return cls(**{field.name: getattr(program, field.name) for field in dataclasses.fields(program)})

    def report(self, format: str = "text", networks: Sequence[str | Network] = ("lan", "wan")) -> str:
        """What the program will cost and where: rings, casts, bytes, rounds and time per scope.

        Args:
            format: `text`, which a notebook shows as a page; `json`; or `html`, that page as text.
            networks: that times are predicted for, by name or as `ditto_compiler.network.Network`.

        Raises:
            ReportError: no such format.
            NetworkError: no such network.
        """
        return render(self, format, networks)
