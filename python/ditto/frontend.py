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
from ditto_compiler.driver import read_source
from ditto_compiler.errors import DittoError, InternalError
from ditto_compiler.errors import TraceError as TraceError
from ditto_compiler.ir import copy_module, ir
from ditto_compiler.visibility_words import WORDS, set_visibility

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
    """Reads StableHLO, as `ditto_compiler.driver.read_source` does."""
    start = time.perf_counter()
    module, file = read_source(source, visibility=visibility)
    return Traced(module, None, None, "", time.perf_counter() - start, file=file)
