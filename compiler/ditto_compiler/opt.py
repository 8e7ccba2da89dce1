"""`ditto-opt`: reads a program, runs passes on it, writes it. It follows `mlir-opt`.

MLIR ends the process over some input, so the work is done in a child process.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import mmap
import os
import re
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from ditto_compiler import __version__
from ditto_compiler.diagnostics import CompileError, Diagnostic, captured
from ditto_compiler.errors import DittoError, InternalError
from ditto_compiler.extensions import PluginError, active
from ditto_compiler.files import write_whole
from ditto_compiler.ir import ir
from ditto_compiler.options import PipelineElement, PipelineError, UnknownPassError, did_you_mean, option_docs
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import PassManager, parse_pipeline, pass_name, pipeline_text
from ditto_compiler.pipelines import EXTENSION_POINTS, PIPELINES, MorePasses
from ditto_compiler.plugins import installed, using
from ditto_compiler.reading import death_error, time_limit
from ditto_compiler.registry import PASSES
from ditto_compiler.remarks import Category, Remark, selection
from ditto_compiler.reproducers import Reproducer, read_reproducer
from ditto_compiler.source import decode_source, parse_source, split_source
from ditto_compiler.timing import DISPLAYS, Timing, timing_report
from ditto_compiler.verify_diagnostics import check_diagnostics

PROGRAM = "ditto-opt"
STANDARD_STREAM = "-"


@dataclass
class Optimizer:
    """What `ditto-opt` does between reading and writing.

    Attributes:
        passes: what to run.
        split: whether the input is chunks between lines `// -----`, each a program of its own.
        verify_diagnostics: check diagnostics against `expected-error` comments instead of reporting them.
        print_ir_before: passes, by name, before which the program goes to stderr; `("all",)` for all.
        print_ir_after: likewise, after.
        debug_info: print locations.
        generic: print ops in their generic form.
        report_unmatched: print remarks on costly ops that `ditto-approximate` left exact.
        remarks: print the remarks that this selects; warnings are always printed.
        print_ir_after_change: print the program to stderr after each pass that changed it.
        print_ir_after_failure: print it after a pass that failed.
        reproducer: the file to have after a failure.
        told: what to tell the user besides, after a failure.
        progress: told what is about to be done.
        expendable: whether this process may end over a program that cannot be read.
        timings: of parsing, of each pass, and of printing, after `run`; sums over all chunks.
        seconds: of all.
    """

    passes: Sequence[Pass]
    split: bool = False
    verify_diagnostics: bool = False
    print_ir_before: Sequence[str] = ()
    print_ir_after: Sequence[str] = ()
    debug_info: bool = False
    generic: bool = False
    report_unmatched: bool = False
    remarks: Callable[[Remark], bool] = lambda _: False
    print_ir_after_change: bool = False
    print_ir_after_failure: bool = False
    reproducer: Reproducer | None = None
    told: list[str] = field(default_factory=list)
    progress: Callable[[str], None] = lambda _: None
    expendable: bool = False
    timings: list[Timing] = field(default_factory=list)
    seconds: float = 0.0

    def run(self, content: bytes, file: str) -> tuple[str, list[Diagnostic]]:
        """Runs the passes on a source; `file` is its name in diagnostics.

        Returns:
            The text of what compiled, and every diagnostic.

        Raises:
            CompileError: the input is not a program, or has malformed expectations.
            InternalError: a pass is wrong.
        """
        start = time.perf_counter()
        source = decode_source(content, file)
        passes = [Timing(str(pass_), 0.0, [Timing("Verifier")]) for pass_ in self.passes]
        self.timings = [Timing("Parser"), *passes, Timing("Output")]
        if isinstance(source, bytes) and (self.split or self.verify_diagnostics):
            option = "--split-input-file" if self.split else "--verify-diagnostics"
            raise DittoError(f"{option} needs a text, but '{file}' is binary")
        outputs = []
        diagnostics: list[Diagnostic] = []
        for chunk in split_source(source) if self.split and isinstance(source, str) else [source]:
            output, found = self._run_chunk(chunk, file)
            if output is not None:
                outputs.append(output)
            if self.verify_diagnostics and isinstance(chunk, str):
                found = check_diagnostics(chunk, file, found)
            diagnostics += found
        self.seconds = time.perf_counter() - start
        return "// -----\n\n".join(outputs), diagnostics

    def _run_chunk(self, source: str | bytes, file: str) -> tuple[str | None, list[Diagnostic]]:
        """The printed result, or None when there is an error, and the diagnostics."""
        render = partial(self._render, file)
        manager = PassManager(
            self.passes,
            print_ir_after=self.print_ir_after,
            print_ir_before=self.print_ir_before,
            print_ir_after_change=self.print_ir_after_change,
            print_ir_after_failure=self.print_ir_after_failure,
            render=render,
            progress=self.progress,
        )
        reported: list[Diagnostic] = []
        try:
            if self.reproducer is not None and isinstance(source, str):
                self.reproducer.prepare(source, pipeline_text(self.passes))
            start = time.perf_counter()
            self.progress("parsing it")
            with time_limit(len(source)) if self.expendable else nullcontext():
                module = parse_source(source, file)
            self._count(0, time.perf_counter() - start)
            if self.reproducer is not None and isinstance(source, bytes):
                text = module.operation.get_asm(enable_debug_info=True)
                self.reproducer.prepare(text, pipeline_text(self.passes))
            with captured(module.context) as reported:
                manager.run(module)
            start = time.perf_counter()
            self.progress("printing it")
            text = render(module)
            self._count(-1, time.perf_counter() - start)
            for pass_ in self.passes:
                reported += [Diagnostic.of(one) for one in pass_.remarks if self._is_wanted(one)]
            errors: tuple[Diagnostic, ...] = ()
        except CompileError as error:
            text, errors = None, error.diagnostics
        except BaseException:
            self._keep_reproducer()
            raise
        if errors and not self.verify_diagnostics:
            self._keep_reproducer()
        elif self.reproducer is not None:
            self.reproducer.discard()
        for index, (_, seconds) in enumerate(manager.seconds):
            self._count(1 + index, seconds)
            self.timings[1 + index].parts[0].seconds += manager.verifying[index]
        return text, [diagnostic.in_file(file) for diagnostic in (*reported, *errors)]

    def _is_wanted(self, remark: Remark) -> bool:
        unmatched = self.report_unmatched and remark.category is Category.EXACT
        return remark.severity == "warning" or unmatched or self.remarks(remark)

    def _keep_reproducer(self) -> None:
        if self.reproducer is not None and (said := self.reproducer.keep()):
            self.told.append(said)

    def _count(self, index: int, seconds: float) -> None:
        self.timings[index].seconds += seconds

    def _render(self, file: str, module: ir.Module) -> str:
        text = module.operation.get_asm(enable_debug_info=self.debug_info, print_generic_op_form=self.generic)
        if self.debug_info:
            text = re.sub(r'"-"(?=:\d+:\d+)', lambda _: json.dumps(file), text)
        return text if text.endswith("\n") else f"{text}\n"


def make_passes(flag: str, value: str, more: MorePasses = MappingProxyType({})) -> tuple[Pass, ...]:
    """The passes that a flag `--flag` or `--flag=value` names: one of ours, one of MLIR's, or a pipeline.

    `more` is run at the extension points of pipelines.

    Raises:
        PipelineError: there is no such flag, or the value is wrong for it.
    """
    if flag in PIPELINES:
        return PIPELINES[flag](*((value,) if value else ()), passes=more)
    try:
        return parse_pipeline(str(PipelineElement(flag, value)))
    except UnknownPassError:
        hint = did_you_mean(flag, (*PASSES, *PIPELINES, *_OWN_FLAGS))
        raise PipelineError(f"there is no option or pass '--{flag}'{hint}") from None


def pass_help() -> str:
    """What `--help` says about pipelines and passes."""
    sections = ["Pipelines:"]
    for name, pipeline in PIPELINES.items():
        summary = inspect.cleandoc(pipeline.__doc__ or "")
        sections.append(f"  --{name}[=POLICY]\n\n{_indent(summary)}\n\n{_indent(pipeline_text(pipeline()))}")
    sections.append("Passes, in the order of the default pipeline:")
    for name, cls in PASSES.items():
        options = option_docs(cls)
        usage = f"  --{name}" + ("[='OPTION=VALUE ...']" if options else "")
        parts = [usage, _indent(cls.documentation())]
        for option, default, documentation in options:
            parts.append(_indent(f"{option} (default: {default})\n{_indent(documentation)}"))
        sections.append("\n\n".join(parts))
    sections.append("A pass of MLIR's own is a flag too: --canonicalize, --cse, --symbol-dce, ...")
    return "\n\n".join(sections)


def _indent(text: str) -> str:
    return textwrap.indent(text, "    ")


_FLAGS = "ditto_compiler.opt.flags"


class _OptCommand(click.Command):
    """A command that takes a flag for each pass, in order, besides its declared options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes the pass flags out of `args` into `ctx.meta`; click would lose their order."""
        rest: list[str] = []
        flags = ctx.meta[_FLAGS] = []
        for index, argument in enumerate(args):
            flag, _, value = argument.removeprefix("--").partition("=")
            if argument == "--":
                rest += args[index:]
                break
            if argument == "--remarks":
                rest.append("--remarks=")  # its value is optional, and the next word is not it
            elif not argument.startswith("--") or flag in _OWN_FLAGS:
                rest.append(argument)
            else:
                flags.append((flag, value))
        return super().parse_args(ctx, rest)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n{pass_help()}\n")


@click.command(cls=_OptCommand, context_settings={"max_content_width": 100})
@click.argument("file", default=STANDARD_STREAM)
@click.option("-o", "--output", default=STANDARD_STREAM, metavar="FILE", help="Where to write; - is stdout.")
@click.option(
    "--pass-pipeline", metavar="PIPELINE", help="Run 'builtin.module(pass,pass{option=value ...},...)'."
)
@click.option("--split-input-file", is_flag=True, help="Take the input as chunks between lines '// -----'.")
@click.option(
    "--verify-diagnostics",
    is_flag=True,
    help="Check diagnostics against 'expected-error' comments in the input.",
)
@click.option("--show-pipeline", is_flag=True, help="Print the pipeline that would run, and stop.")
@click.option(
    "--mlir-print-ir-before-all", is_flag=True, help="Print the program before each pass, to stderr."
)
@click.option("--mlir-print-ir-after-all", is_flag=True, help="Print the program after each pass, to stderr.")
@click.option("--mlir-print-ir-before", multiple=True, metavar="PASS", help="Print it before this pass.")
@click.option("--mlir-print-ir-after", multiple=True, metavar="PASS", help="Print it after this pass.")
@click.option("--mlir-print-ir-after-change", is_flag=True, help="Print it after passes that changed it.")
@click.option("--mlir-print-ir-after-failure", is_flag=True, help="Print it after a pass that failed.")
@click.option("--mlir-print-debuginfo", is_flag=True, help="Print the locations of ops.")
@click.option("--mlir-print-op-generic", is_flag=True, help="Print ops in their generic form.")
@click.option(
    "--report-unmatched",
    is_flag=True,
    help="Remark on costly ops on secrets that --ditto-approximate left exact, with their source lines.",
)
@click.option(
    "--remarks",
    metavar="WHICH",
    help="Print what passes decided, besides what they warn of: --remarks for all, or --remarks=WHICH, a "
    f"category ({', '.join(category.value for category in Category)}) or a regular expression.",
)
@click.option("--mlir-timing", is_flag=True, help="Print the time that each pass takes, to stderr.")
@click.option(
    "--mlir-timing-display",
    type=click.Choice(DISPLAYS),
    default="tree",
    show_default=True,
    help="In order, with the parts of each pass, or by time.",
)
@click.option(
    "--mlir-pass-pipeline-crash-reproducer",
    metavar="FILE",
    help="If anything fails, write a file that replays it.",
)
@click.option("--run-reproducer", is_flag=True, help="Run the pipeline that is in the input, on the input.")
@click.option(
    "--load-pass-plugin",
    multiple=True,
    metavar="MODULE",
    help="Load a plugin besides those that are installed: MODULE or MODULE:ATTRIBUTE.",
)
@click.option("--list-passes", is_flag=True, help="Print the name of every pass, and stop.")
@click.option("--version", is_flag=True, help="Print Ditto's version and those of its plugins, and stop.")
@click.option(
    "--ditto-extend",
    multiple=True,
    metavar="POINT=PIPELINE",
    help=f"Run passes within Ditto's pipelines, at {', '.join(EXTENSION_POINTS)}.",
)
@click.pass_context
def command(ctx: click.Context, /, file: str, output: str, **options: Any) -> None:
    """Run compiler passes on a program.

    FILE is StableHLO text, MLIR bytecode, or a StableHLO portable artifact as JAX exports it; without FILE,
    or with -, it is read from stdin. Passes are named in a --pass-pipeline, or by flags that run in the
    order given.
    """
    ctx.with_resource(using(*installed(), *options["load_pass_plugin"]))
    if options["version"] or options["list_passes"]:
        click.echo(version_text() if options["version"] else "\n".join(PASSES))
        return
    name = "<stdin>" if file == STANDARD_STREAM else file
    pipeline, content = options["pass_pipeline"], None
    if options["run_reproducer"]:
        if ctx.meta[_FLAGS] or pipeline is not None:
            raise PipelineError("--run-reproducer has its pipeline in the input; give no other passes")
        content = sys.stdin.buffer.read() if file == STANDARD_STREAM else _read(file)
        source = decode_source(content, name)
        text, pipeline = read_reproducer(source if isinstance(source, str) else "", name)
        content = text.encode()
    passes = _passes(ctx.meta[_FLAGS], pipeline, _more_passes(options["ditto_extend"]))
    if options["show_pipeline"]:
        click.echo(pipeline_text(passes))
        return
    reproducer = options["mlir_pass_pipeline_crash_reproducer"]
    optimizer = Optimizer(
        passes,
        split=options["split_input_file"],
        verify_diagnostics=options["verify_diagnostics"],
        print_ir_before=_wanted(passes, options["mlir_print_ir_before"], options["mlir_print_ir_before_all"]),
        print_ir_after=_wanted(passes, options["mlir_print_ir_after"], options["mlir_print_ir_after_all"]),
        debug_info=options["mlir_print_debuginfo"],
        generic=options["mlir_print_op_generic"],
        report_unmatched=options["report_unmatched"],
        remarks=(lambda _: False) if options["remarks"] is None else selection(options["remarks"]),
        print_ir_after_change=options["mlir_print_ir_after_change"],
        print_ir_after_failure=options["mlir_print_ir_after_failure"],
        reproducer=None if reproducer is None else Reproducer(Path(reproducer)),
        progress=lambda doing: ctx.obj and ctx.obj(name, doing),
        expendable=ctx.obj is not None,
    )
    if content is None:
        content = sys.stdin.buffer.read() if file == STANDARD_STREAM else _read(file)
    try:
        text, diagnostics = optimizer.run(content, name)
    except InternalError as error:
        command_line = f"{PROGRAM} --pass-pipeline='{pipeline_text(passes)}' {file}"
        raise DittoError("\n".join([f"{error}\nTo reproduce: {command_line}", *optimizer.told])) from error
    except PluginError as error:
        raise PluginError("\n".join([str(error), *optimizer.told])) from error
    for diagnostic in diagnostics:
        click.echo(str(diagnostic), err=True)
    for said in optimizer.told:
        click.echo(f"{PROGRAM}: note: {said}", err=True)
    failed = any(diagnostic.severity == "error" for diagnostic in diagnostics)
    if output == STANDARD_STREAM:
        click.echo(text, nl=False)
    elif not failed:
        _write(output, text)
    if options["mlir_timing"]:
        display = options["mlir_timing_display"]
        click.echo(timing_report(optimizer.timings, optimizer.seconds, display), err=True)
    if failed:
        ctx.exit(1)


_OWN_FLAGS = frozenset(
    flag.removeprefix("--")
    for parameter in command.params
    for flag in parameter.opts
    if flag.startswith("--")
) | {"help"}


def version_text() -> str:
    """Ditto's version, and those of the plugins that are loaded."""
    lines = [f"{PROGRAM} {__version__}"]
    return "\n".join([*lines, *(f"plugin {package}" for package in active().loaded)])


def _more_passes(given: Sequence[str]) -> dict[str, list[Pass | str]]:
    """What to run at each extension point, from `POINT=PIPELINE`."""
    more: dict[str, list[Pass | str]] = {}
    for one in given:
        point, _, pipeline = one.partition("=")
        more.setdefault(point, []).append(pipeline)
    return more


def _passes(flags: list[tuple[str, str]], pipeline: str | None, more: MorePasses) -> tuple[Pass, ...]:
    if more and not any(flag in PIPELINES for flag, _ in flags):
        names = ", ".join(f"--{name}" for name in PIPELINES)
        raise PipelineError(f"--ditto-extend is for one of {names}, and there is none")
    if pipeline is None:
        return tuple(pass_ for flag, value in flags for pass_ in make_passes(flag, value, more))
    if flags:
        raise PipelineError(
            f"--pass-pipeline and --{flags[0][0]} exclude each other; put all passes into one"
        )
    return parse_pipeline(pipeline)


def _wanted(passes: Sequence[Pass], names: tuple[str, ...], every: bool) -> tuple[str, ...]:
    if every:
        return ("all",)
    known = [pass_name(pass_) for pass_ in passes]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise PipelineError(f"cannot print the program around '{name}': it is not in the pipeline{hint}")
    return names


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise DittoError(f"cannot read '{file}': {error.strerror}") from None


def _write(file: str, text: str) -> None:
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise DittoError(f"cannot write '{file}': {error.strerror}") from None


Note = Callable[[str, str], None]
"""Told of each step: the name of the source, and what is about to be done with it."""


def main() -> int:
    """The tool as a command: works in a child process, and outlives it. Returns the exit code."""
    last = mmap.mmap(-1, mmap.PAGESIZE)  # what the child does, to be read when it is dead

    def note(file: str, doing: str) -> None:
        last[:] = f"{file}\0{doing}".encode()[: len(last)].ljust(len(last), b"\0")

    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        return run(sys.argv[1:], note)
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:
        return 130
    if code < 0:
        file, doing, *_ = last[:].decode(errors="replace").split("\0")
        click.echo(str(death_error(file or PROGRAM, doing or "starting", -code)), err=True)
        reproducer = Reproducer.asked_for(sys.argv[1:])
        if reproducer is not None and (said := reproducer.keep()):
            click.echo(f"{PROGRAM}: note: {said}", err=True)
        return 1
    return code


_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that a process gets when its parent ends."""


def run(arguments: Sequence[str], note: Note | None = None) -> int:
    """Runs the tool in this process, which is expendable if there is a `note`; returns the exit code."""
    try:
        result = command.main(list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=note)
    except CompileError as error:
        click.echo(str(error), err=True)
        return 1
    except click.Abort:
        return 130
    except (DittoError, click.ClickException) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"{PROGRAM}: error: {message}", err=True)
        return 1
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
