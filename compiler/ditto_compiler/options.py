"""Pipelines as text: `builtin.module(inline-calls,ditto-annotate{policy=ditto},cse)`.

The grammar is MLIR's: pass names separated by commas, options in braces as `key=value` separated by
blanks, nesting in parentheses. A value with blanks, brackets or quotes stands in quotes, as in a shell.
Options become the fields of a pass's dataclass and print back as the same text.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import re
import shlex
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ditto_compiler.errors import DittoError

NO_TEXT: Mapping[str, bool] = types.MappingProxyType({"text": False})
"""Metadata of a dataclass field that can be set in Python only and is no option."""


class PipelineError(DittoError):
    """A pipeline's text is malformed, or names a pass or an option that does not exist."""


class UnknownPassError(PipelineError):
    """A name that is neither a pass of ours nor one of MLIR's."""


@dataclass(frozen=True)
class PipelineElement:
    """One element of a pipeline: a name, its option text, and what is nested in parentheses."""

    name: str
    options: str = ""
    nested: str | None = None

    def __str__(self) -> str:
        nested = "" if self.nested is None else f"({self.nested})"
        options = f"{{{self.options}}}" if self.options else ""
        return f"{self.name}{nested}{options}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known word is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def split_pipeline(text: str) -> list[PipelineElement]:
    """Splits the inside of a pipeline at its top-level commas.

    Raises:
        PipelineError: unbalanced brackets, or an element without a name.
    """
    elements: list[PipelineElement] = []
    start = 0
    closers: list[str] = []
    pairs = {"(": ")", "{": "}"}
    for position, char in _unquoted(text):
        if char in pairs:
            closers.append(pairs[char])
        elif char in ")}":
            if not closers or closers.pop() != char:
                raise PipelineError(f"unexpected '{char}' at position {position} of pipeline '{text}'")
        elif char == "," and not closers:
            elements.append(_element(text[start:position], text))
            start = position + 1
    if closers:
        raise PipelineError(f"expected '{closers[-1]}' at the end of pipeline '{text}'")
    if text.strip():
        elements.append(_element(text[start:], text))
    return elements


def _unquoted(text: str) -> Iterator[tuple[int, str]]:
    """The characters outside quotes, with their positions."""
    quote = ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            yield position, char


def _element(text: str, pipeline: str) -> PipelineElement:
    text = text.strip()
    name_end = min((i for i in (text.find("("), text.find("{")) if i >= 0), default=len(text))
    name = text[:name_end].strip()
    if not name:
        raise PipelineError(f"expected a pass name in pipeline '{pipeline}'")
    rest = text[name_end:]
    nested: str | None = None
    if rest.startswith("("):
        end = _matching(rest)
        nested, rest = rest[1:end], rest[end + 1 :]
    if not rest:
        return PipelineElement(name, "", nested)
    if not (rest.startswith("{") and _matching(rest) == len(rest) - 1):
        raise PipelineError(f"unexpected '{rest}' after '{name}' in pipeline '{pipeline}'")
    return PipelineElement(name, rest[1:-1].strip(), nested)


def _matching(text: str) -> int:
    depth = 0
    for position, char in _unquoted(text):
        depth += char in "({"
        depth -= char in ")}"
        if depth == 0:
            return position
    raise PipelineError(f"unbalanced brackets in '{text}'")


def parse_options(pass_name: str, cls: type, text: str) -> dict[str, Any]:
    """Option text as keyword arguments for the dataclass `cls`.

    Field `max_uses` is spelled `max-uses`. A bare key sets a boolean to true.

    Raises:
        PipelineError: unknown, repeated or ill-typed option.
    """
    fields = {_spelling(field): field for field in _option_fields(cls)}
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for word in _words(pass_name, text):
        key, has_value, value = word.partition("=")
        if key not in fields:
            known = ", ".join(fields) or "none"
            raise PipelineError(
                f"pass '{pass_name}' has no option '{key}' (it has: {known}){did_you_mean(key, fields)}"
            )
        name = fields[key].name
        if name in values:
            raise PipelineError(f"option '{key}' of pass '{pass_name}' is given twice")
        values[name] = _convert(pass_name, key, hints[name], value if has_value else "true")
    return values


def _option_fields(cls: type | Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.init and field.metadata.get("text", True)]


def _spelling(field: dataclasses.Field[Any]) -> str:
    return field.name.replace("_", "-")


def _words(pass_name: str, text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.escape = lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        raise PipelineError(f"unbalanced quotes in the options of pass '{pass_name}': {text}") from None


def _convert(pass_name: str, key: str, hint: Any, value: str) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
    expected = getattr(hint, "__name__", str(hint))
    if hint is bool:
        if value in ("true", "false"):
            return value == "true"
        expected = "true or false"
    elif hint is int:
        if re.fullmatch("-?[0-9]+", value):
            return int(value)
        expected = "an integer"
    elif hint is float:
        if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?", value):
            return float(value)
        expected = "a number"
    elif hint is str:
        return value
    elif typing.get_origin(hint) is tuple:
        return tuple(part for part in value.split(",") if part)
    raise PipelineError(f"option '{key}' of pass '{pass_name}' must be {expected}, got '{value}'")


def options_text(instance: Any) -> str:
    """The option text that `parse_options` reads back to `instance`; defaults are left out."""
    words = []
    for field in _option_fields(instance):
        value = getattr(instance, field.name)
        if value == field.default or value is None:
            continue
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, tuple):
            value = ",".join(value)
        words.append(f"{_spelling(field)}={shlex.quote(str(value))}")
    return " ".join(words)


def option_docs(cls: type) -> list[tuple[str, str, str]]:
    """(name, default, documentation) of each option: the string below a field documents it."""
    docs: dict[str, str] = {}
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    for node, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            docs[node.target.id] = inspect.cleandoc(str(following.value.value))
    return [(_spelling(field), str(field.default), docs.get(field.name, "")) for field in _option_fields(cls)]
