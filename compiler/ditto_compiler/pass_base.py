"""The base class of every pass."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ditto_compiler.diagnostics import ErrorCollector, place_of
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import entry_function, func, ir, ops_of
from ditto_compiler.options import PipelineElement, options_text
from ditto_compiler.remarks import Category, Remark

_LEFT_BY: Mapping[str, tuple[Callable[[ir.Module], bool], str]] = {
    "ditto-annotate": (lambda module: names.has_reached(module, "annotated"), "the module is not annotated"),
    "ditto-insert-casts": (
        lambda module: names.has_reached(module, "cast"),
        "the module has no explicit casts",
    ),
    "ditto-expand-rescale": (names.is_explicit, "products are not exact yet"),
    "ditto-outline-regions": (
        lambda module: names.has_reached(module, "outlined"),
        "the module has no regions",
    ),
}
"""How to tell that a pass has run, and what to say when it has not."""


_AFTER_RINGS = (
    "ditto-check-constants",
    "ditto-check-digits",
    "ditto-outline-regions",
    "ditto-to-pphlo",
    "ditto-print-ranges",
)
"""Passes that take rings of any width."""


@dataclass(frozen=True)
class Pass(ABC):
    """A transformation or check of a module, in place.

    A pass is a frozen dataclass whose fields are its options; the string below a field documents
    it. The class docstring is the reference documentation: what the pass does, what the module must
    satisfy before, what holds after, IR before and after, and the errors it gives.

    The pass manager verifies the module after every pass, so `run` need not, but the module that
    it is given has been verified. A pass is deterministic and does no input or output. It reports
    bad input by an `ErrorCollector`, all errors at once, and never by another exception. What the user should
    know of a program that compiles goes to `remarks`.

    To add one: subclass in `passes/<name>.py`, set `name`, write `run`, list it in `registry.py`,
    and put its lit file at `test/passes/<name>.mlir`.
    """

    name: ClassVar[str]
    """The name in pipelines and of the `ditto-opt` flag, in kebab case."""
    remarks: list[Remark] = field(default_factory=list, init=False, compare=False, repr=False)
    """After a run: its warnings and remarks, in program order."""

    @abstractmethod
    def run(self, module: ir.Module) -> None:
        """Transforms `module` in place. Called with the module's context and an unknown location active.

        Raises:
            CompileError: the program cannot be compiled this way.
        """

    def errors(self) -> ErrorCollector:
        """An empty collector whose messages name this pass."""
        return ErrorCollector(self.name)

    def note(self, severity: str, op: ir.Operation, text: str, category: Category = Category.CHECK) -> None:
        """Adds a `warning` or a `remark` about an operation to `remarks`."""
        self.remarks.append(Remark(category, op.name, place_of(op), text, self.name, severity))

    def entry(self, module: ir.Module, after: str) -> func.FuncOp:
        """The entry function of a module that the pass named `after` has seen, and no later stage's.

        Raises:
            CompileError: that pass has not run, a later one has, or there is no entry function.
        """
        found = entry_function(module)
        has_run, what = _LEFT_BY[after]
        if found is None or not has_run(module):
            errors = self.errors()
            errors.add(module.operation, f"{what}; run {after} first")
            errors.raise_if_any()
        assert found is not None
        if self.name not in _AFTER_RINGS:
            assigned = any(names.BESIDE in op.attributes for op in ops_of(found.entry_block))
            self.check_before("ditto-assign-rings", module, has_run=assigned)
        if after == "ditto-outline-regions":
            self.check_before("ditto-to-pphlo", module, has_run=names.has_reached(module, "lowered"))
        else:
            self.check_before("ditto-outline-regions", module, has_run=names.has_reached(module, "outlined"))
        return found

    def check_before(self, later: str, module: ir.Module, *, has_run: bool) -> None:
        """For a pass that cannot run after the one named `later`.

        Raises:
            CompileError: that one has run.
        """
        if has_run:
            errors = self.errors()
            errors.add(module.operation, f"{later} has run already; run this pass before it")
            errors.raise_if_any()

    @classmethod
    def summary(cls) -> str:
        """The first line of the documentation."""
        return cls.documentation().split("\n", 1)[0]

    @classmethod
    def documentation(cls) -> str:
        """The class docstring, without indentation."""
        return inspect.cleandoc(cls.__doc__ or "")

    def __str__(self) -> str:
        return str(PipelineElement(self.name, options_text(self)))
