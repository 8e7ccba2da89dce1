"""Text that every Python has: sentences of its reference, as `pydoc_data.topics` ships it, and docstrings."""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data import topics
from typing import NamedTuple

_LEAST, _MOST = 4, 40
"""Words of a sentence."""

_HELD_OUT = 5
"""One topic in so many."""

_PIECE, _STRIDE = 16, 7
"""Words of a piece of running text, and from the start of one to that of the next."""

_NOT_THE_LIBRARY = frozenset(
    {
        *("site-packages", "dist-packages", "test", "tests"),
        *("pydoc_data", "idlelib", "lib2to3", "turtledemo"),
    }
)
"""Folders beside the standard library's modules, and of what not every Python has."""


class Split(NamedTuple):
    """Sentences, in the order of their topics.

    Attributes:
        training, held_out: sentences.
        running: all text of the topics that are trained on, cut anywhere into pieces of some words.
    """

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    running: tuple[str, ...]


def sentences() -> Split:
    """English sentences, split by topic; what stands in both parts is left out of the second."""
    names = sorted(topics.topics)
    parts: list[list[str]] = [[], []]
    for number, name in enumerate(names):
        parts[number % _HELD_OUT == 0] += _sentences(topics.topics[name])
    training = dict.fromkeys(parts[0])
    held_out = dict.fromkeys(sentence for sentence in parts[1] if sentence not in training)
    pieces = [
        piece
        for number, name in enumerate(names)
        if number % _HELD_OUT
        for piece in _pieces(topics.topics[name])
    ]
    return Split(tuple(training), tuple(held_out), tuple(dict.fromkeys(pieces)))


def docstrings() -> tuple[str, ...]:
    """English sentences of the standard library's docstrings, none of which is held out."""
    held_out = set(sentences().held_out)
    found = dict.fromkeys(sentence for text in _documentation() for sentence in _sentences(text))
    return tuple(sentence for sentence in found if sentence not in held_out)


def _documentation() -> Iterator[str]:
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted(folder.rglob("*.py")):
        if _NOT_THE_LIBRARY.intersection(path.relative_to(folder).parts):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                yield ast.get_docstring(node) or ""


def _pieces(text: str) -> list[str]:
    words = [word for word in text.split() if re.search(r"[A-Za-z]", word)]
    starts = range(0, max(len(words) - _PIECE, 0) + 1, _STRIDE)
    return [" ".join(words[start : start + _PIECE]) for start in starts]


def _sentences(text: str) -> list[str]:
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        joined = re.sub(r"[*\"“”`]", "", " ".join(line.strip() for line in paragraph.split("\n"))).strip()
        for sentence in re.split(r"(?<=[.!?:])\s+(?=[A-Z])", joined):
            words = sentence.split()
            # Most of what is code, grammar or a heading has signs in its words, or no end.
            plain = sum(bool(re.fullmatch(r"\(?[A-Za-z'-]+\)?[,.;:?!]?", word)) for word in words)
            ends = sentence[0].isupper() and sentence[-1] in ".:?!" if words else False
            ends = ends and "|" not in words
            if _LEAST <= len(words) <= _MOST and plain >= 0.6 * len(words) and ends:
                found.append(sentence)
    return found
