"""From JAX to StableHLO: everything of Ditto that touches JAX."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from ditto import tree
from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import copy_module, entry_function, ir, prepare
from ditto_compiler.source import decode_source, parse_source

Visibility = Any
"""\"secret\" or "public" for all arguments, or a pytree prefix of the arguments with these as leaves."""


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
    """

    module: ir.Module
    input_tree: Any
    output_tree: Any
    name: str
    seconds: float
    nest: Callable[[Sequence[Any]], Any] | None = None


def trace(
    fn: Callable[..., Any],
    example_args: Sequence[Any],
    *,
    visibility: Visibility = "secret",
    static_argnums: int | Sequence[int] = (),
) -> Traced:
    """Traces `fn` on arrays, numbers or `jax.ShapeDtypeStruct`s.

    Raises:
        TraceError: JAX cannot trace it, or `visibility` is not a prefix of the arguments.
    """
    start = time.perf_counter()
    static = {static_argnums} if isinstance(static_argnums, int) else set(static_argnums)
    try:
        lowered = jax.jit(fn, static_argnums=tuple(static), keep_unused=True).lower(*example_args)
    except (TypeError, ValueError, IndexError, jax.errors.JAXTypeError) as error:
        raise TraceError(f"JAX cannot trace {_name(fn)} on these arguments: {error}") from error
    # JAX caches what it lowered, so passes work on a copy.
    module = copy_module(lowered.compiler_ir("stablehlo"))
    dynamic = tuple(arg for i, arg in enumerate(example_args) if i not in static)
    set_visibility(module, _flat_visibility(visibility, dynamic))
    output = jax.tree_util.tree_unflatten(lowered.out_tree, [object()] * lowered.out_tree.num_leaves)
    seconds = time.perf_counter() - start
    nest = partial(jax.tree_util.tree_unflatten, lowered.out_tree)
    return Traced(module, tree.structure_of(dynamic), tree.structure_of(output), _name(fn), seconds, nest)


def _name(fn: Callable[..., Any]) -> str:
    return str(getattr(fn, "__name__", type(fn).__name__))


def _flat_visibility(visibility: Visibility, args: tuple[Any, ...]) -> list[str]:
    try:
        full = jax.tree_util.tree_map(
            lambda word, part: jax.tree_util.tree_map(lambda _: word, part),
            visibility if not isinstance(visibility, str) else (visibility,) * len(args),
            args,
        )
    except (ValueError, TypeError) as error:
        raise TraceError(
            f"visibility must be a string, or nest like the {len(args)} arguments: {error}"
        ) from None
    return [str(word) for word in jax.tree_util.tree_leaves(full)]


def read_stablehlo(
    source: str | bytes | ir.Module, *, visibility: Visibility = "secret", file: str = "<string>"
) -> Traced:
    """Reads StableHLO: text, MLIR bytecode, a portable artifact, or a module, which is then used as it is.

    `file` names the source in errors.

    Raises:
        CompileError: it does not parse.
        TraceError: `visibility` is not a string or a list with an entry per argument.
    """
    start = time.perf_counter()
    if isinstance(source, (str, bytes)):
        content = source.encode() if isinstance(source, str) else source
        module = parse_source(decode_source(content, file), file)
    else:
        module = prepare(source)
    entry = entry_function(module)
    if visibility != "secret" and entry is not None:
        words = [visibility] * len(entry.arguments) if isinstance(visibility, str) else list(visibility)
        set_visibility(module, words)
    return Traced(module, None, None, "", time.perf_counter() - start)


def set_visibility(module: ir.Module, words: Sequence[str]) -> None:
    """Sets `ditto.visibility` of every argument of the entry function.

    Raises:
        TraceError: a word that is not "secret" or "public", or the wrong number of them.
    """
    entry = entry_function(module)
    if entry is None:
        return
    for word in words:
        if word not in names.VISIBILITIES:
            raise TraceError(f"visibility must be one of {', '.join(names.VISIBILITIES)}, got '{word}'")
    if len(words) != len(entry.arguments):
        raise TraceError(
            f"the program has {len(entry.arguments)} arguments, visibility speaks of {len(words)}"
        )
    with module.context:
        attributes = names.argument_attributes(entry)
        for entry_attributes, word in zip(attributes, words, strict=True):
            entry_attributes[names.VISIBILITY] = ir.StringAttr.get(word)
        names.set_argument_attributes(entry, attributes)
