"""Writing the CHECK lines of a golden file from what its RUN lines print.

One block of lines stands before each function: its signature, then its ops, line by line. SSA names become
FileCheck variables, named after the op or the argument that they are of.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ditto_compiler.errors import DittoError
from ditto_compiler.source import split_source

NOTE = "// NOTE: ditto-update-checks writes the CHECK lines of this file; run it again after a change."

TOOL = "ditto-opt"

_OTHER = re.compile(r"&&|;|\|\||\d*>|--mlir-print-debuginfo")

_RUN = re.compile(r"^\s*//\s*RUN:\s*(.*?)\s*$")
_CHECK = re.compile(r"^\s*//\s*([A-Za-z][\w-]*?)(-(?:LABEL|SAME|NEXT|NOT|DAG|COUNT-\d+|EMPTY))?:")
_FUNCTION = re.compile(r"^\s*(?:func\.)?func\b[^@]*@([\w$.-]+|\"[^\"]*\")\s*\(")
_DEFINED = re.compile(r"%([\w$.-]+)(?=(?::\d+)? = |: )")
_NAME = re.compile(r"%([\w$.-]+)")
_OP = re.compile(r'^\s*(?:%[\w$.:, %-]+ = )?"?(?:[a-z_]+\.)*([a-z_0-9]+)')


class CheckLinesError(DittoError):
    """A file whose check lines cannot be written, or must not be."""


@dataclass(frozen=True)
class Run:
    """A RUN line `ditto-opt ARGUMENTS | filecheck %s`.

    Attributes:
        arguments: of ditto-opt, with `%s` for the file.
        prefix: of the check lines that its output is compared with.
    """

    arguments: tuple[str, ...]
    prefix: str


def runs_of(text: str) -> tuple[list[Run], list[str]]:
    """The RUN lines that check lines can be written for, and the others.

    Lines that are continued, whose output has line numbers in it (what goes to stderr, and debug info), or
    that do anything but check what ditto-opt prints, are the others: their check lines stay as they are.
    """
    found: list[Run] = []
    others: list[str] = []
    for line in text.splitlines():
        match = _RUN.match(line)
        run = None if match is None else _run(match[1])
        if run is not None and run.prefix not in [one.prefix for one in found]:
            found.append(run)
        elif match is not None and run is None:
            others.append(match[1])
    return found, others


def _run(command: str) -> Run | None:
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if words.count("|") != 1 or words[0] != TOOL or any(map(_OTHER.match, words)):
        return None
    pipe = words.index("|")
    left, right = words[1:pipe], words[pipe + 1 :]
    if right[:1] not in (["filecheck"], ["FileCheck"]) or "%s" not in right:
        return None
    rest = [word for word in right[1:] if word != "%s"]
    prefix = "CHECK"
    if len(rest) == 1 and (match := re.fullmatch(r"--?check-prefix=([A-Za-z][\w-]*)", rest[0])):
        prefix = match[1]
    elif rest:
        return None
    if left[-2:] == ["<", "%s"]:
        left = [*left[:-2], "%s"]
    return Run(tuple(left), prefix) if left.count("%s") == 1 and "%t" not in " ".join(left) else None


def updated(text: str, run: Callable[[Run], str], *, force: bool = False, file: str = "<string>") -> str:
    """A golden file with new check lines.

    Args:
        text: the file.
        run: what a RUN line prints.
        force: whether check lines that were written by hand may be replaced.
        file: its name, for errors.

    Raises:
        CheckLinesError: it has no RUN line that this is for, or has check lines that were written by hand; or
            what is printed is not as many programs as the file has.
    """
    runs, _ = runs_of(text)
    if not runs:
        raise CheckLinesError(
            f"{file}: there is no line '// RUN: {TOOL} %s ... | filecheck %s [--check-prefix=X]'"
        )
    prefixes = {run.prefix for run in runs}
    lines = text.split("\n")
    old = [number for number, line in enumerate(lines, 1) if _is_check(line, prefixes)]
    if old and NOTE not in lines and not force:
        raise CheckLinesError(
            f"{file}:{old[0]}: has check lines that were written by hand; give --force to replace those of "
            f"{', '.join(sorted(prefixes))}"
        )
    kept = [line for line in lines if not _is_check(line, prefixes) and line != NOTE]
    chunks = _chunks(kept)
    for one in runs:
        split = any(word.startswith("--split-input-file") for word in one.arguments)
        printed = split_source(run(one)) if split else [run(one)]
        places = chunks if split else [_Chunk([line for chunk in chunks for line in chunk.lines])]
        if len(printed) != len(places):
            raise CheckLinesError(
                f"{file}: '{TOOL} {' '.join(one.arguments)}' prints {len(printed)} programs, and the file "
                f"has {len(places)}"
            )
        offset = 0
        for place, output in zip(places, printed, strict=True):
            blocks = _blocks(output, one.prefix)
            for line, block in place.placed(blocks):
                _chunk_at(chunks, offset + line).append(block)
            offset += len(place.lines)
    body = [line for chunk in chunks for line in chunk.written()]
    last_run = max(index for index, line in enumerate(body) if _RUN.match(line))
    return "\n".join([*body[: last_run + 1], NOTE, *body[last_run + 1 :]])


def _is_check(line: str, prefixes: set[str]) -> bool:
    match = _CHECK.match(line)
    return match is not None and match[1] in prefixes


@dataclass
class _Chunk:
    """The lines of one program, and what to put before some of them."""

    lines: list[str]
    before: dict[int, list[list[str]]] = field(default_factory=dict)

    def placed(self, blocks: Sequence[tuple[str, list[str]]]) -> Iterator[tuple[int, list[str]]]:
        """Each block, and the line that it stands before: its function's, or that of the function after it.

        Checks are found in order. Where the output has another order than the source, all of them stand
        before the first function.
        """
        functions = {m[1]: i for i, line in enumerate(self.lines) if (m := _FUNCTION.match(line))}
        first = min(functions.values(), default=len(self.lines))
        places = [functions.get(name) for name, _ in blocks]
        known = [place for place in places if place is not None]
        ordered = known == sorted(known)
        current = first
        for place, (_, block) in zip(places, blocks, strict=True):
            current = (place if place is not None else current) if ordered else first
            yield current, block

    def written(self) -> Iterator[str]:
        """The lines, with what stands before them."""
        for index in range(len(self.lines) + 1):
            for block in self.before.get(index, ()):
                yield from block
            if index < len(self.lines):
                yield self.lines[index]


def _chunk_at(chunks: Sequence[_Chunk], line: int) -> list[list[str]]:
    """What stands before a line, counted over all chunks."""
    for chunk in chunks:
        if line < len(chunk.lines) or chunk is chunks[-1]:
            return chunk.before.setdefault(min(line, len(chunk.lines)), [])
        line -= len(chunk.lines)
    raise AssertionError("there is always a last chunk")


def _chunks(lines: Sequence[str]) -> list[_Chunk]:
    chunks = [_Chunk([])]
    for line in lines:
        if re.fullmatch(r"// -----[ \t]*", line):
            chunks.append(_Chunk([]))
        chunks[-1].lines.append(line)
    return chunks


def _blocks(output: str, prefix: str) -> list[tuple[str, list[str]]]:
    """The name of each function of the output, and its check lines."""
    blocks: list[tuple[str, list[str]]] = []
    names = _Names()
    depth = 0
    for line in output.splitlines():
        match = _FUNCTION.match(line)
        if match is not None and depth == 0:
            names = _Names()
            head, rest = line[: match.end()], line[match.end() :]
            block = [f"// {prefix}-LABEL: {_literal(head.strip())}"]
            block.append(f"// {prefix}-SAME:  {names.written(rest, line)}")
            blocks.append((match[1], block))
            depth = 1 if line.rstrip().endswith("{") else 0
            indent = len(line) - len(line.lstrip())
        elif depth and line.strip():
            blocks[-1][1].append(f"// {prefix}-NEXT:  {names.written(line[indent:], line)}")
            depth = 0 if line.strip() == "}" and len(line) - len(line.lstrip()) == indent else 1
    return blocks


class _Names:
    """FileCheck variables for the SSA names of one function."""

    def __init__(self) -> None:
        self._variables: dict[str, str] = {}
        self._taken: set[str] = set()

    def written(self, text: str, line: str) -> str:
        """A part of a line, with variables."""
        defined = {match.start() for match in _DEFINED.finditer(text)}
        op = _OP.match(line)
        parts, end = [], 0
        for match in _NAME.finditer(text):
            parts.append(_literal(text[end : match.start()]))
            name, end = match[1], match.end()
            if match.start() in defined:
                is_result = not text[: match.start()].strip() and " = " in text[end : end + 8]
                base = op[1] if is_result and op is not None else name
                self._variables[name] = self._fresh(base)
                parts.append(f"%[[{self._variables[name]}:[^ ,:]+]]")
            elif name.partition("#")[0] in self._variables:
                parts.append(f"%[[{self._variables[name]}]]")
            else:
                parts.append(f"%{_literal(name)}")
        return "".join([*parts, _literal(text[end:])])

    def _fresh(self, base: str) -> str:
        stem = re.sub(r"\W", "_", base).upper()
        stem = stem if re.match(r"[A-Z_]", stem) else f"V{stem}"
        name, count = stem, 0
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name


def _literal(text: str) -> str:
    """Text that FileCheck takes as it is."""
    return re.sub(r"\[\[+|\{\{+", lambda m: "{{" + "".join(f"\\{c}" for c in m[0]) + "}}", text)
