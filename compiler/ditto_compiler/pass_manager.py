"""Runs pipelines that mix our passes with MLIR's."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from ditto_compiler.diagnostics import CompileError, from_mlir
from ditto_compiler.errors import DittoError, InternalError
from ditto_compiler.extensions import PluginError, active, package_of
from ditto_compiler.ir import PassManager as MlirPassManager
from ditto_compiler.ir import ir
from ditto_compiler.options import (
    PipelineError,
    UnknownPassError,
    did_you_mean,
    parse_options,
    split_pipeline,
)
from ditto_compiler.pass_base import Pass
from ditto_compiler.registry import PASSES
from ditto_compiler.remarks import Remark
from ditto_compiler.verifier import verify_module

ROOT = "builtin.module"


@dataclass(frozen=True)
class MlirPass(Pass):
    """A pass of MLIR's own, by its pipeline text."""

    name = "mlir"
    text: str = ""

    def run(self, module: ir.Module) -> None:
        """Runs it; operations seen before from Python are stale afterwards."""
        try:
            MlirPassManager.parse(f"{ROOT}({self.text})", module.context).run(module.operation)
        except ir.MLIRError as error:
            raise from_mlir(error) from None

    def __str__(self) -> str:
        return self.text


def parse_pipeline(text: str) -> tuple[Pass, ...]:
    """Reads a pipeline; names that are not ours are looked up in MLIR.

    Raises:
        PipelineError: malformed text, unknown pass, bad option.
    """
    elements = split_pipeline(text)
    if len(elements) == 1 and elements[0].name == ROOT:
        elements = split_pipeline(elements[0].nested or "")
    passes: list[Pass] = []
    for element in elements:
        cls = PASSES.get(element.name)
        if cls is None:
            _check_mlir_pass(str(element))
            passes.append(MlirPass(str(element)))
        elif element.nested is not None:
            raise PipelineError(f"pass '{element.name}' runs on the module and has no nested pipeline")
        else:
            options = parse_options(element.name, cls, element.options)
            try:
                passes.append(cls(**options))
            except ValueError as error:
                raise PipelineError(f"pass '{element.name}': {error}") from None
    return tuple(passes)


def is_mlir_pass(name: str) -> bool:
    """Whether MLIR has a pass of this name, which needs no options."""
    try:
        _check_mlir_pass(name)
    except UnknownPassError:
        return False
    except PipelineError:
        return True
    return True


def _check_mlir_pass(text: str) -> None:
    try:
        with ir.Context():
            MlirPassManager.parse(f"{ROOT}({text})")
    except ValueError as error:
        reason = (str(error).partition("error: ")[2] or str(error)).splitlines()[0]
        if "does not refer to a registered pass" not in reason:
            raise PipelineError(f"MLIR cannot read '{text}': {reason}") from None
        hint = did_you_mean(text.split("{")[0], PASSES)
        raise UnknownPassError(f"'{text}' is neither a pass of ditto nor one of MLIR{hint}") from None


def pipeline_text(passes: Sequence[Pass]) -> str:
    """The text that `parse_pipeline` reads back."""
    return f"{ROOT}({','.join(str(pass_) for pass_ in passes)})"


def pass_name(pass_: Pass) -> str:
    """The name alone, without options."""
    return str(pass_).split("{")[0]


def _package(pass_: Pass) -> str:
    """Who a pass is of, if it is not Ditto's own: a package, or else a module."""
    if isinstance(pass_, MlirPass) or type(pass_) is PASSES.own.get(pass_.name):
        return ""
    return package_of("pass", pass_.name) or type(pass_).__module__


@dataclass
class PassManager:
    """Runs passes in order, and verifies the module before them and after each.

    Attributes:
        passes: what to run.
        print_ir_after: print the module to `stream` after these passes (by name); `("all",)` for all.
        print_ir_before: likewise, before.
        print_ir_after_change: print it after each pass that changed it.
        print_ir_after_failure: print it after a pass that failed.
        stream: where to print.
        render: what to print of a module.
        verify_each: verify after each pass; otherwise after the last one only, which takes half as long.
        progress: told what is about to be done.
        seconds: wall time of each pass after `run`, verification included, in order.
        verifying: wall time of verification alone after each.
        remarks: what the passes warned of and remarked, in order.
    """

    passes: Sequence[Pass]
    print_ir_after: Sequence[str] = ()
    print_ir_before: Sequence[str] = ()
    print_ir_after_change: bool = False
    print_ir_after_failure: bool = False
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    render: Callable[[ir.Module], str] = str
    verify_each: bool = True
    progress: Callable[[str], None] = lambda _: None
    seconds: list[tuple[str, float]] = field(default_factory=list)
    verifying: list[float] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def run(self, module: ir.Module) -> None:
        """Runs the pipeline on `module`, in place.

        Raises:
            CompileError: bad input, to the verifier or to a pass.
            InternalError: a pass of ours left the module invalid.
        PluginError: a plugin's pass did, or raised what no pass may.
        """
        with module.context, ir.Location.unknown(module.context):
            self.progress("verifying it")
            # What is wrong with a plugin is told before anything is done with the program.
            active()
            verify_module(module)
            for pass_ in self.passes:
                self.progress(f"pass '{pass_}'")
                self._print(pass_, "Before", self.print_ir_before, module)
                before = self.render(module) if self.print_ir_after_change else ""
                start = time.perf_counter()
                pass_.remarks.clear()
                try:
                    self._run(pass_, module)
                except (DittoError, InternalError):
                    if self.print_ir_after_failure:
                        self._dump(f"After {pass_} Failed", module)
                    raise
                self.remarks += pass_.remarks
                self.seconds.append((str(pass_), time.perf_counter() - start))
                self._print(pass_, "After", self.print_ir_after, module)
                if self.print_ir_after_change and self.render(module) != before:
                    self._dump(f"After {pass_}", module)

    def _run(self, pass_: Pass, module: ir.Module) -> None:
        package = _package(pass_)
        if package:
            self._run_added(pass_, package, module)
        else:
            pass_.run(module)
        start = time.perf_counter()
        if self.verify_each or package or pass_ is self.passes[-1]:
            self._verify(pass_, package, module)
        self.verifying.append(time.perf_counter() - start)

    @staticmethod
    def _run_added(pass_: Pass, package: str, module: ir.Module) -> None:
        try:
            pass_.run(module)
        except (DittoError, InternalError):
            raise
        except Exception as error:  # it is somebody else's code, which may raise anything
            raise PluginError(
                f"pass '{pass_}' of package '{package}' fails: {type(error).__name__}: {error}"
            ) from error

    @staticmethod
    def _verify(pass_: Pass, package: str, module: ir.Module) -> None:
        try:
            verify_module(module)
        except CompileError as error:
            if isinstance(pass_, MlirPass):
                raise
            if package:
                message = f"pass '{pass_}' of package '{package}' left an invalid module:\n{error}"
                raise PluginError(message) from error
            raise InternalError(f"pass '{pass_}' left an invalid module:\n{error}") from error

    def _print(self, pass_: Pass, when: str, wanted: Sequence[str], module: ir.Module) -> None:
        if "all" in wanted or pass_name(pass_) in wanted:
            self._dump(f"{when} {pass_}", module)

    def _dump(self, when: str, module: ir.Module) -> None:
        print(f"// -----// IR Dump {when} //----- //", file=self.stream)
        print(self.render(module), file=self.stream)
