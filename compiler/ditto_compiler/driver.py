"""From StableHLO to a program."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from ditto_compiler.calibration import Ranges
from ditto_compiler.diagnostics import named
from ditto_compiler.errors import DittoWarning, TraceError
from ditto_compiler.extract import extract_program
from ditto_compiler.ir import copy_module, entry_function, ir, prepare
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import MorePasses, lowering_pipeline, precision_pipeline
from ditto_compiler.policy import Policy
from ditto_compiler.program import Program
from ditto_compiler.reading import read_program
from ditto_compiler.source import decode_source
from ditto_compiler.verifier import verify_module
from ditto_compiler.visibility_words import WORDS, set_visibility

Stablehlo: TypeAlias = "str | bytes | os.PathLike[str] | ir.Module"
"""StableHLO as text, MLIR bytecode or a portable artifact, a file that holds one of these, or a module."""


def compile(
    source: Stablehlo,
    *,
    policy: str | Path | Policy = "ditto",
    visibility: str | Sequence[str] = "secret",
    max_public_constant: int = 1024,
    ranges: Ranges | str | Path | None = None,
    guard: bool = False,
    passes: MorePasses = MappingProxyType({}),
) -> Program:
    """Compiles StableHLO for private execution among three parties, with nothing but JAX installed.

        lowered = jax.jit(fn, keep_unused=True).lower(*example_args)
        ditto_compiler.compile(lowered.as_text()).save("fn.ditto")

    The program takes a flat sequence of arrays and gives a tuple, or the only array, for StableHLO does not
    say how they nest.

    Args:
        source: what to compile; it is not changed.
        policy: preset, path of a TOML file, or a `Policy`.
        visibility: "secret" or "public" for all arguments, or a list with one word for each. Behind a word
            may stand whose data it is: with "secret:clinic", parties take the argument only from whom they
            know as `clinic`.
        max_public_constant: float constants of more elements are an error, for they are public; -1 allows
            any.
        ranges: calibrated ranges, or a file of them, as for `ditto.compile`.
        guard: have the parties check what calibration assumes, as for `ditto.compile`.
        passes: of your own or of plugins, by where they run, as for `ditto.compile`.

    What the compiler warns of goes to Python's warnings, as a `DittoWarning`; all that it remarks on is in
    the program's `remarks`.

    Raises:
        CompileError: it does not parse, or cannot be run privately; has one diagnostic per reason.
        TraceError: there is no such file, or `visibility` does not fit the arguments.
        PolicyError, RangesError: the policy or the ranges are wrong.
    """
    given = copy_module(source) if isinstance(source, ir.Module) else source
    module, file = read_source(given, visibility=visibility)
    return compile_module(
        module,
        policy,
        max_public_constant=max_public_constant,
        ranges=ranges,
        guard=guard,
        passes=passes,
        file=file,
    )


def compile_module(
    module: ir.Module,
    policy: str | Path | Policy,
    *,
    max_public_constant: int = 1024,
    ranges: Ranges | str | Path | None = None,
    guard: bool = False,
    passes: MorePasses = MappingProxyType({}),
    file: str,
    stacklevel: int = 3,
    told: Callable[[str, int], None] | None = None,
) -> Program:
    """The program of a module, which is changed; all else as for `compile`.

    Args:
        module: StableHLO that is verified.
        policy, max_public_constant, ranges, guard, passes: as for `compile`.
        file: what to call the source where locations say that it is a text.
        stacklevel: of Python's warnings: whose line they are to name.
        told: told of each pass that begins: its name, and how many things there are to do.
    """
    measured = ranges if ranges is None or isinstance(ranges, Ranges) else Ranges.load(ranges)
    first = precision_pipeline(
        policy, max_public_constant=max_public_constant, ranges=measured, guard=guard, passes=passes
    )
    last = lowering_pipeline(policy)

    def tell(doing: str) -> None:
        if told is not None:
            # Without the options of the pass. Each pipeline is verified first.
            told(doing.partition("{")[0].replace("'", ""), len(first) + len(last) + 2)

    precision = PassManager(first, verify_each=False, progress=tell)
    lowering = PassManager(last, verify_each=False, progress=tell)
    with named(file):
        precision.run(module)
        # With locations, for the simulator's diagnostics.
        annotated = module.operation.get_asm(enable_debug_info=True)
        lowering.run(module)
    remarks = [*precision.remarks, *lowering.remarks]
    for remark in remarks:
        if remark.severity == "warning":
            warnings.warn(str(remark), DittoWarning, stacklevel=stacklevel)
    name = policy.name if isinstance(policy, Policy) else str(policy)
    program = extract_program(module, policy=name, annotated=annotated)
    return program.replace(remarks=tuple(remarks))


def read_source(source: Stablehlo, *, visibility: str | Sequence[str] = "secret") -> tuple[ir.Module, str]:
    """Reads a program from outside; a module is used as it is. Returns it, and its name in errors.

    Raises:
        CompileError: it does not parse, or is not valid.
        TraceError: there is no such file, or `visibility` is neither a string nor a list with an entry for
            each argument.
    """
    file = "<string>"
    if isinstance(source, ir.Module):
        module = prepare(source)
        with module.context:
            verify_module(module)
    elif isinstance(source, (str, bytes, os.PathLike)):
        if isinstance(source, os.PathLike):
            file = os.fspath(source)
            content = _read(file)
        else:
            content = _content(source)
        module = read_program(decode_source(content, file), file)
    else:
        raise TraceError(
            "expected StableHLO as text, bytes, the pathlib.Path of a file, or a module, got a value of type "
            f"{type(source).__name__}"
        )
    entry = entry_function(module)
    if visibility != "secret" and entry is not None:
        if not isinstance(visibility, (str, list, tuple)):
            raise TraceError(
                f"visibility must be one of {WORDS}, or a list of these for the {len(entry.arguments)} "
                f"arguments, got {visibility!r}"
            )
        words = [visibility] * len(entry.arguments) if isinstance(visibility, str) else list(visibility)
        set_visibility(module, words)
    return module, file


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise TraceError(f"cannot read '{file}': {error.strerror}") from None


def _content(source: str | bytes) -> bytes:
    """StableHLO given as a string, unless that is a path."""
    if isinstance(source, bytes):
        return source
    is_word = source.strip() != "" and len(source) < 1000 and not set("\n{(") & set(source)
    if is_word or os.path.exists(source):
        raise TraceError(
            f"'{source}' is no StableHLO; if it is the path of a file, write pathlib.Path({source!r})"
        )
    return source.encode(errors="surrogatepass")
