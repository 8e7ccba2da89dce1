"""From JAX to StableHLO: everything of Ditto that touches JAX."""

from __future__ import annotations

import functools
import operator
import os
import sysconfig
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import jax
from jax._src import source_info_util

from ditto import tree
from ditto_compiler.diagnostics import PARSED_TEXT
from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError, InternalError
from ditto_compiler.ir import copy_module, entry_function, ir, prepare
from ditto_compiler.options import did_you_mean
from ditto_compiler.owners import LABEL, is_label
from ditto_compiler.reading import read_program
from ditto_compiler.source import decode_source
from ditto_compiler.verifier import verify_module

# The innermost line that is neither JAX's nor ours is the user's. The demo and the benchmarks are users.
if hasattr(source_info_util, "register_exclusion"):  # JAX does not promise it
    for _path in Path(__file__).parent.iterdir():
        if _path.stem not in ("bench", "demo"):
            source_info_util.register_exclusion(f"{_path}{os.sep if _path.is_dir() else ''}")

_is_user_filename = getattr(source_info_util, "is_user_filename", lambda file: True)

_LIBRARIES = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))

Source: TypeAlias = Callable[..., Any] | str | bytes | Path | ir.Module
"""What can be compiled: a function, or StableHLO as text, MLIR bytecode, a portable artifact, a file that
holds one of these, or a module."""

Visibility = Any
"""One word for all arguments, or a pytree prefix of the arguments with words as leaves: "secret" or "public",
and behind it, if parties are to see to it, whose data it is: "secret:clinic"."""

WORDS = ", ".join(f'"{word}{owner}"' for owner in ("", ":OWNER") for word in names.VISIBILITIES)


class TraceError(DittoError):
    """The function cannot be traced on these example arguments."""


@dataclass(frozen=True)
class Traced:
    """A traced function.

    Attributes:
        module: StableHLO, with the visibility of each argument of `@main`.
        input_tree: structure of the (non-static) arguments, see `ditto.tree`.
        output_tree: structure of the result.
        name: of the function.
        seconds: wall time of tracing and lowering in JAX.
        nest: puts flat results into the function's containers.
        file: what to call the source where locations say that it is a text.
    """

    module: ir.Module
    input_tree: Any
    output_tree: Any
    name: str
    seconds: float
    nest: Callable[[Sequence[Any]], Any] | None = None
    file: str = PARSED_TEXT


def to_stablehlo(
    source: Source,
    example_args: Sequence[Any] = (),
    *,
    visibility: Visibility = "secret",
    static_argnums: int | Sequence[int] = (),
    donate_argnums: int | Sequence[int] = (),
) -> Traced:
    """Traces a function on example arguments, or reads StableHLO, which has none.

    Raises:
        TraceError: `source` is neither, or what `trace` and `read_stablehlo` raise.
        CompileError: it is StableHLO that does not parse.
    """
    if callable(source):
        return trace(
            source,
            example_args,
            visibility=visibility,
            static_argnums=static_argnums,
            donate_argnums=donate_argnums,
        )
    if not isinstance(source, (str, bytes, os.PathLike, ir.Module)):
        raise TraceError(
            "expected a function, or StableHLO as text, bytes, the pathlib.Path of a file, or a module, "
            f"got {_described(source)}"
        )
    if example_args or positions(static_argnums, 0) or positions(donate_argnums, 0, "donate_argnums"):
        raise TraceError(
            "StableHLO has its shapes in it: compile it without example arguments, static_argnums and "
            "donate_argnums"
        )
    return read_stablehlo(source, visibility=visibility)


def trace(
    fn: Callable[..., Any],
    example_args: Sequence[Any],
    *,
    visibility: Visibility = "secret",
    static_argnums: int | Sequence[int] = (),
    donate_argnums: int | Sequence[int] = (),
) -> Traced:
    """Traces `fn` on arrays, numbers or `jax.ShapeDtypeStruct`s.

    Raises:
        TraceError: JAX cannot trace it, `fn` itself raises something, or `visibility` is not a prefix of the
            arguments.
    """
    start = time.perf_counter()
    static = positions(static_argnums, len(example_args))
    donated = positions(donate_argnums, len(example_args), "donate_argnums")
    try:
        function = jax.jit(_anew(fn), static_argnums=static, donate_argnums=donated, keep_unused=True)
        lowered = function.lower(*example_args)
    except (DittoError, InternalError):
        raise
    except Exception as error:  # JAX runs the user's code, which may raise anything
        hint = "; it is a class: compile a function that returns arrays" if isinstance(fn, type) else ""
        raise TraceError(
            f"JAX cannot trace {_name(fn)} on these arguments{_place(error)}: "
            f"{type(error).__name__}: {error}{hint}"
        ) from error
    # JAX caches what it lowered, so passes work on a copy.
    module = copy_module(lowered.compiler_ir("stablehlo"))
    dynamic = tuple(arg for i, arg in enumerate(example_args) if i not in static)
    set_visibility(module, _flat_visibility(visibility, dynamic))
    output = jax.tree_util.tree_unflatten(lowered.out_tree, [object()] * lowered.out_tree.num_leaves)
    seconds = time.perf_counter() - start
    nest = functools.partial(jax.tree_util.tree_unflatten, lowered.out_tree)
    return Traced(module, tree.structure_of(dynamic), tree.structure_of(output), _name(fn), seconds, nest)


def positions(argnums: int | Sequence[int], count: int, option: str = "static_argnums") -> tuple[int, ...]:
    """The positions that an option gives among `count` arguments; negative ones count from the end.

    Raises:
        TraceError: they are not integers, or less than -count.
    """
    several = isinstance(argnums, (tuple, list, set, frozenset, range))
    numbers: Any = argnums if several else (argnums,)
    if any(isinstance(number, bool) or not hasattr(number, "__index__") for number in numbers):
        raise TraceError(f"{option} must be one position of an argument or several, got {argnums!r}")
    found = [operator.index(number) for number in numbers]
    if min(found, default=0) < -count:
        raise TraceError(f"{option} has {min(found)}, but there are only {count} arguments")
    return tuple(sorted({position + count if position < 0 else position for position in found}))


def _anew(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as a function that JAX has not traced yet: what `fn` closes over may have changed since."""

    def anew(*args: Any) -> Any:
        return fn(*args)

    functools.update_wrapper(anew, fn, updated=())
    anew.__name__ = _name(fn)
    return anew


def _name(fn: Callable[..., Any]) -> str:
    return str(getattr(fn, "__name__", type(fn).__name__))


def _described(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _place(error: BaseException) -> str:
    """`, at model.py:3`: the user's line that raised `error`; nothing when none is known."""
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_user_filename(frame.f_code.co_filename)
    ]
    own = [place for place in frames if not place[0].startswith(_LIBRARIES)] or frames
    return f", at {own[-1][0]}:{own[-1][1]}" if own else ""


def _flat_visibility(visibility: Visibility, args: tuple[Any, ...]) -> list[Any]:
    outer = (visibility,) * len(args) if isinstance(visibility, str) else visibility
    try:
        full = jax.tree_util.tree_map(
            lambda word, part: jax.tree_util.tree_map(lambda _: word, part),
            tuple(outer) if isinstance(outer, list) else outer,
            args,
        )
    except (ValueError, TypeError):
        structure = str(jax.tree_util.tree_structure(args)).removeprefix("PyTreeDef")
        raise TraceError(
            f"visibility must be one of {WORDS}, or these nested like the arguments {structure}, "
            f"got {visibility!r}"
        ) from None
    return list(jax.tree_util.tree_leaves(full))


def read_stablehlo(
    source: str | bytes | os.PathLike[str] | ir.Module, *, visibility: Visibility = "secret"
) -> Traced:
    """Reads StableHLO: text, MLIR bytecode, a portable artifact, a file, or a module, which is used as it is.

    Raises:
        CompileError: it does not parse.
        TraceError: there is no such file, or `visibility` is neither a string nor a list with an entry for
            each argument.
    """
    start = time.perf_counter()
    file = "<string>"
    if isinstance(source, ir.Module):
        module = prepare(source)
        with module.context:
            verify_module(module)
    else:
        if isinstance(source, os.PathLike):
            file = os.fspath(source)
            content = _read(file)
        else:
            content = _content(source)
        module = read_program(decode_source(content, file), file)
    entry = entry_function(module)
    if visibility != "secret" and entry is not None:
        if not isinstance(visibility, (str, list, tuple)):
            raise TraceError(
                f"visibility must be one of {WORDS}, or a list of these for the {len(entry.arguments)} "
                f"arguments, got {visibility!r}"
            )
        words = [visibility] * len(entry.arguments) if isinstance(visibility, str) else list(visibility)
        set_visibility(module, words)
    return Traced(module, None, None, "", time.perf_counter() - start, file=file)


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


def set_visibility(module: ir.Module, words: Sequence[Any]) -> None:
    """Sets `ditto.visibility` of every argument of the entry function, and `ditto.owner` where words say it.

    Raises:
        TraceError: a word that is none (see `Visibility`), or the wrong number of them.
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
