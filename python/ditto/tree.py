"""How arguments and results nest, as plain data that a program file can hold.

A structure is `"*"` for an array, `None` for nothing, or a list `[kind, ...]`: `["tuple", children]`,
`["list", children]`, `["dict", [[key, child], ...]]`. Containers of other kinds (named tuples, dataclasses
registered with
JAX) are written as `["custom", children]` and come back as tuples.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ditto_compiler.errors import DittoError

LEAF = "*"


class TreeError(DittoError):
    """Arguments that nest differently from what the program was compiled for."""


def structure_of(value: Any) -> Any:
    """The structure of nested containers, as JAX flattens them."""
    if value is None:
        return None
    if type(value) in (tuple, list):
        return [type(value).__name__, [structure_of(child) for child in value]]
    if type(value) is dict:
        return ["dict", [[key, structure_of(value[key])] for key in sorted(value)]]
    children = _children(value)
    return LEAF if children is None else ["custom", [structure_of(child) for child in children]]


def flatten(structure: Any, value: Any, path: str = "arguments") -> list[Any]:
    """The arrays in `value`, which must nest as `structure` says, in JAX's order.

    `structure` None stands for a flat sequence of any length.

    Raises:
        TreeError: it does not; says where.
    """
    if structure is None:
        if path == "arguments":
            return list(value)
        if value is not None:
            raise TreeError(f"{path}: expected None, got {_kind(value)}")
        return []
    if structure == LEAF:
        if value is None or isinstance(value, (dict, tuple, list)):
            raise TreeError(f"{path}: expected an array, got {_kind(value)}")
        return [value]
    kind, children = structure
    if kind == "dict":
        return _flatten_dict(children, value, path)
    custom = _children(value) if kind == "custom" else None
    if custom is None and not isinstance(value, (tuple, list)):
        raise TreeError(f"{path}: expected a {kind}, got {_kind(value)}")
    found = value if custom is None else custom
    if len(found) != len(children):
        raise TreeError(f"{path}: expected {len(children)} entries, got {len(found)}")
    pairs = enumerate(zip(children, found, strict=True))
    return [leaf for i, (child, entry) in pairs for leaf in flatten(child, entry, f"{path}[{i}]")]


def _flatten_dict(children: Sequence[Any], value: Any, path: str) -> list[Any]:
    if not isinstance(value, dict):
        raise TreeError(f"{path}: expected a dict, got {_kind(value)}")
    keys = [key for key, _ in children]
    missing = [key for key in keys if key not in value]
    extra = [key for key in value if key not in keys]
    if missing or extra:
        raise TreeError(
            f"{path}: dict keys differ: missing {missing or 'none'}, unexpected {extra or 'none'}"
        )
    return [leaf for key, child in children for leaf in flatten(child, value[key], f"{path}[{key!r}]")]


def unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    """Containers of `structure` around `leaves`; without a structure, one leaf or a tuple of them."""
    if structure is None:
        return leaves[0] if len(leaves) == 1 else tuple(leaves)
    remaining = iter(leaves)

    def build(part: Any) -> Any:
        if part is None:
            return None
        if part == LEAF:
            return next(remaining)
        kind, children = part
        if kind == "dict":
            return {key: build(child) for key, child in children}
        built = [build(child) for child in children]
        return built if kind == "list" else tuple(built)

    return build(structure)


def count(structure: Any) -> int:
    """How many arrays a structure holds."""
    if structure is None:
        return 0
    if structure == LEAF:
        return 1
    kind, children = structure
    return sum(count(child) for child in ([part for _, part in children] if kind == "dict" else children))


def flatten_argument(structure: Any, value: Any, position: int) -> list[Any]:
    """The arrays in one argument.

    Raises:
        TreeError: it nests differently from `structure`.
    """
    return flatten(["tuple", [structure]], (value,), f"argument {position}")


def unflatten_argument(structure: Any, leaves: Sequence[Any]) -> Any:
    """Containers of one argument around `leaves`."""
    (value,) = unflatten(["tuple", [structure]], leaves)
    return value


def prefix(structure: Any, marks: Any, leaves: int) -> list[bool]:
    """One boolean per array of `structure`, from booleans that nest like its outer part.

    Raises:
        TreeError: `marks` nests differently.
    """
    if isinstance(marks, bool):
        return [marks] * leaves
    if structure is None:
        structure = ["tuple", [LEAF] * leaves]
    if structure == LEAF or not isinstance(marks, (tuple, list, dict)):
        raise TreeError(f"expected booleans that nest like the result, got {_kind(marks)}")
    kind, children = structure
    if kind == "dict":
        if not isinstance(marks, dict) or set(marks) != {key for key, _ in children}:
            raise TreeError(f"expected booleans for the keys {[key for key, _ in children]}, got {marks!r}")
        pairs = [(part, marks[key]) for key, part in children]
    else:
        if isinstance(marks, dict) or len(marks) != len(children):
            raise TreeError(f"expected {len(children)} booleans, got {marks!r}")
        pairs = list(zip(children, marks, strict=True))
    return [mark for part, inner in pairs for mark in prefix(part, inner, count(part))]


def _children(value: Any) -> list[Any] | None:
    """The children of a container that is registered with JAX, or None for an array."""
    if isinstance(value, tuple):
        return list(value)
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    leaves = jax.tree_util.tree_leaves(value, is_leaf=lambda part: part is not value)
    return None if len(leaves) == 1 and leaves[0] is value else list(leaves)


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
