"""Pipelines as text: `builtin.module(inline-calls,ditto-annotate{policy=ditto},cse)`.

The grammar is MLIR's: pass names separated by commas, options in braces as `key=value` separated by
blanks, nesting in parentheses. A value with blanks, brackets or quotes stands in quotes, as in a shell.
Options become the fields of a pass's dataclass and print back as the same text.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import dataclasses
import difflib
import enum
import inspect
import io
import itertools
import re
import shlex
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        PipelineError: unknown, repeated, missing or ill-typed option.
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
        default = _default(fields[key])
        values[name] = _convert(pass_name, key, hints[name], default, value if has_value else "true")
    for key, one in fields.items():
        if one.name not in values and _default(one) is dataclasses.MISSING:
            raise PipelineError(f"pass '{pass_name}' needs option '{key}'")
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


_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}")
_FLOAT = re.compile(r"[-+]?(inf|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)")
_NONE = "none"


@dataclass(frozen=True)
class _Type:
    """How values of one type stand in the text of a pipeline.

    Attributes:
        expected: what a value is, for errors.
        parse: reads the text of one; None if it is none.
        write: writes one.
    """

    expected: str
    parse: Callable[[str], Any]
    write: Callable[[Any], str] = str


_PLAIN: Mapping[Any, _Type] = {
    bool: _Type("true or false", {"true": True, "false": False}.get, lambda value: str(value).lower()),
    int: _Type("an integer", lambda text: int(text) if _INTEGER.fullmatch(text) else None),
    float: _Type("a number", lambda text: float(text) if _FLOAT.fullmatch(text) else None, repr),
    str: _Type("a string", str),
}


def _type_of(hint: Any, default: Any) -> _Type | None:
    """How to read and write values of a type; None for a type that an option cannot have."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        arms = [arm for arm in arguments if arm is not type(None)]
        inner = _type_of(arms[0], default) if len(arms) == 1 < len(arguments) else None
        if inner is None or default is None:
            return inner  # None is what is left out
        return None if arms[0] is str else _optional(inner)
    if typing.get_origin(hint) is typing.Literal and all(isinstance(value, str) for value in arguments):
        return _choice({value: value for value in arguments})
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice({_keyword(member): member for member in hint})
    if typing.get_origin(hint) in (tuple, list) and arguments:
        elements = arguments[:1] if arguments[-1] is Ellipsis else arguments
        inners = [_type_of(element, None) if element in _PLAIN else None for element in elements]
        if typing.get_origin(hint) is list or arguments[-1] is Ellipsis:
            return None if inners[0] is None else _sequence(typing.get_origin(hint), inners[0])
        plain = [inner for inner in inners if inner is not None]
        return _fixed(plain) if len(plain) == len(inners) else None
    return _PLAIN.get(hint)


def _keyword(member: enum.Enum) -> str:
    return member.value if isinstance(member.value, str) else member.name


def _choice(members: Mapping[str, Any]) -> _Type:
    words = {id(member): word for word, member in members.items()}
    return _Type(
        f"one of {', '.join(members)}",
        members.get,
        lambda value: value if isinstance(value, str) and value in members else words[id(value)],
    )


def _optional(inner: _Type) -> _Type:
    return _Type(
        f"{inner.expected} or {_NONE}",
        lambda text: _ABSENT if text == _NONE else inner.parse(text),
        lambda value: _NONE if value is None else inner.write(value),
    )


_ABSENT = object()
"""What stands for None where None stands for a text that cannot be read."""


def _sequence(make: Callable[[Iterable[Any]], Any], inner: _Type) -> _Type:
    def parse(text: str) -> Any:
        values = [inner.parse(part) for part in _parts(text)]
        return None if None in values else make(values)

    return _Type(
        f"{inner.expected} each, separated by commas",
        parse,
        lambda values: _joined(map(inner.write, values)),
    )


def _fixed(inners: Sequence[_Type]) -> _Type:
    def parse(text: str) -> Any:
        parts = _parts(text)
        if len(parts) != len(inners):
            return None
        values = tuple(inner.parse(part) for inner, part in zip(inners, parts, strict=True))
        return None if None in values else values

    def write(values: Sequence[Any]) -> str:
        return _joined(inner.write(value) for inner, value in zip(inners, values, strict=True))

    return _Type(f"({', '.join(inner.expected for inner in inners)}), separated by commas", parse, write)


def _parts(text: str) -> list[str]:
    """The elements of a list; those with commas in them, or empty ones, stand in double quotes."""
    return next(csv.reader([text]), [])


def _joined(parts: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(parts)
    return line.getvalue()


def _convert(pass_name: str, key: str, hint: Any, default: Any, value: str) -> Any:
    type_ = _type_of(hint, default)
    if type_ is None:
        raise PipelineError(
            f"option '{key}' of pass '{pass_name}' has a type that no text is read as: {hint}"
        )
    found = type_.parse(value)
    if found is None:
        raise PipelineError(f"option '{key}' of pass '{pass_name}' must be {type_.expected}, got '{value}'")
    return None if found is _ABSENT else found


def check_options(pass_name: str, cls: type) -> None:
    """For a pass from elsewhere: whether all of its options can stand in pipelines.

    Raises:
        PipelineError: one has a type that cannot be read back from text.
    """
    hints = typing.get_type_hints(cls)
    for one in _option_fields(cls):
        if _type_of(hints[one.name], _default(one)) is None:
            raise PipelineError(
                f"option '{_spelling(one)}' of pass '{pass_name}' is of type {hints[one.name]}; "
                "an option is a bool, int, float, str, enum or Literal, a tuple or list of the first four, "
                "or one of these or None (a str or None must be None by default). Metadata NO_TEXT makes a "
                "field no option"
            )


def _default(one: dataclasses.Field[Any]) -> Any:
    factory = one.default_factory
    return one.default if factory is dataclasses.MISSING else factory()


def options_text(instance: Any) -> str:
    """The option text that `parse_options` reads back to `instance`; defaults are left out."""
    words = []
    hints = typing.get_type_hints(type(instance))
    for one in _option_fields(instance):
        value, default = getattr(instance, one.name), _default(one)
        if value == default and type(value) is type(default):
            continue
        type_ = _type_of(hints[one.name], default)
        assert type_ is not None, f"{type(instance).__name__}.{one.name} is no option"
        words.append(f"{_spelling(one)}={shlex.quote(type_.write(value))}")
    return " ".join(words)


def option_docs(cls: type) -> list[tuple[str, str, str]]:
    """(name, default, documentation) of each option: the string below a field documents it."""
    docs: dict[str, str] = {}
    statements: list[ast.stmt] = []
    with contextlib.suppress(OSError):  # a class without a source, as of an interactive session
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        statements = body.body
    for node, following in itertools.pairwise(statements):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            docs[node.target.id] = inspect.cleandoc(str(following.value.value))
    return [(_spelling(one), str(_default(one)), docs.get(one.name, "")) for one in _option_fields(cls)]
