"""Program files: a zip archive, in which `program.json` holds everything but code.

A file may come from anybody, so nothing in it is believed: `unpack` bounds what it reads before it inflates
it, and passes on only a document in which every number, name and shape is one that a program can have.
docs/reference/program_file.md says what is promised between versions.

The document, `N: T` meaning a number of an entry in the list N:

    format, version         "ditto-program" and VERSION; older files are upgraded first
    name, policy            strings
    scopes                  [string]
    values                  [[[extent], dtype, encoding, secret, scopes: scope]]
    regions                 [[name, ring, frac, [[scopes: scope, ops]]]], with the code in regions/<name>.mlir
    steps                   [["call", region, [values: operand], [values: result]]],
                            [["cast", [[values: source, values: target]]]], or
                            [["compare", [[values: source, [threshold], [values: result]]]]]
    inputs                  [[caller_inputs: index, values: value]]
    caller_inputs           [[[extent], dtype, owner]]
    outputs                 [values: value]
    input_tree, output_tree null or as `ditto.tree` says
    guard                   null or [[assumption], [[caller_inputs: index, low, high]]]
"""

from __future__ import annotations

import io
import json
import math
import re
import reprlib
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ditto_compiler.dtypes import DTYPES, FLOAT_TYPES
from ditto_compiler.encoding import RINGS, Cast, Encoding, EncodingError, Fxp, Int, parse_encoding
from ditto_compiler.errors import DittoError
from ditto_compiler.executor.instruction import Tensor, check, from_json
from ditto_compiler.owners import LABEL, is_label
from ditto_compiler.program_upgrades import VERSION, upgraded

FORMAT = "ditto-program"

FILE_BYTES = 64 << 20
"""The largest file."""
INFLATED_BYTES = 512 << 20
"""The most that all members have together."""
DOCUMENT_BYTES = 32 << 20
"""The largest `program.json`, for parsing makes up to 25 times as much of it; BERT-base has 0.4 MB."""
MEMBERS = 100_000
"""The most members."""
ELEMENTS = 1 << 40
"""Tensors have fewer elements."""
RANK = 32
"""The most dimensions of a tensor, numpy's limit."""
DEPTH = 100
"""How deep arguments and results may nest."""
NAME_LENGTH = 4096
SCOPE_LENGTH = 1 << 16

DOCUMENT = "program.json"
ANNOTATED = "annotated.mlir"

_CHUNK = 1 << 20
_HEADER = b"PK\x01\x02"
"""What a member's entry in the directory of a zip archive begins with."""

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What the zip and JSON readers raise for damaged bytes, depending on where they are; a RecursionError is a
RuntimeError, and so is what a method says that is not implemented."""

_KEYS = {
    *("format", "version", "name", "policy", "scopes", "values", "regions", "steps"),
    *("inputs", "caller_inputs", "outputs", "input_tree", "output_tree", "guard"),
}
_REGION_NAME = re.compile(r"[A-Za-z0-9_.$-]{1,200}")


class ProgramFileError(DittoError):
    """A file that is not a program, is damaged, or was written by another version."""


class _WrongError(Exception):
    """What is wrong, and where."""


def region_member(name: str) -> str:
    """The member that holds a region's code."""
    return f"regions/{name}.mlir"


def pack(document: Mapping[str, Any], texts: Mapping[str, str], *, compressed: bool = True) -> bytes:
    """A program file's content, of the document without `format` and `version`, and all other members.

    Raises:
        ProgramFileError: `unpack` would not take it.
    """
    document = {"format": FORMAT, "version": VERSION, **document}
    try:
        members = {DOCUMENT: json.dumps(document, indent=1, allow_nan=False), **texts}
        encoded = {name: text.encode() for name, text in members.items()}
        _check_sizes({name: len(data) for name, data in encoded.items()})
        _check(document, members)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in encoded.items():
                # A fixed time stamp, so that equal programs are equal files.
                info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
                archive.writestr(info, data)
        content = buffer.getvalue()
        _check_length(content)
    except (_WrongError, TypeError, ValueError, RecursionError) as error:
        raise ProgramFileError(
            f"program {reprlib.repr(document.get('name'))} cannot be written to a file: {error}"
        ) from None
    return content


def unpack(content: bytes, origin: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The document in a program file, which is sound, and all other members; `origin` is for errors.

    Raises:
        ProgramFileError: not a program file, damaged, too large, or of another version.
    """
    try:
        members = _members(content)
        document = json.loads(members.pop(DOCUMENT), parse_constant=_refuse_constant)
    except _DAMAGED as error:
        raise ProgramFileError(
            f"'{origin}' is not a ditto program file, or it is damaged ({error}); "
            "write it again by Program.save"
        ) from None
    except _WrongError as error:
        raise ProgramFileError(f"'{origin}' is not a ditto program file: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ProgramFileError(f"'{origin}' is a zip archive but not a ditto program file")
    version: Any = document.get("version")
    if not _is_integer(version) or version < 1:
        raise ProgramFileError(
            f"'{origin}' has format version {reprlib.repr(version)}, which there is not; this ditto reads "
            f"versions 1 to {VERSION}; compile the program again"
        )
    if version > VERSION:
        raise ProgramFileError(
            f"'{origin}' was written by a newer ditto: it has format version {reprlib.repr(version)}, this "
            f"ditto reads versions 1 to {VERSION}; update ditto here, or compile the program with this one"
        )
    document = upgraded(document, version)
    try:
        _check(document, members)
    except _WrongError as error:
        raise ProgramFileError(f"'{origin}' is damaged: {error}") from None
    return document, members


def _members(content: bytes) -> dict[str, str]:
    _check_length(content)
    # Every member has this header; the archive's own count may lie, and the reader does not look at it.
    if content.count(_HEADER) > MEMBERS:
        raise _WrongError(f"it has more than {MEMBERS} members")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        sizes = {info.filename: info.file_size for info in infos}
        if len(sizes) < len(infos):
            raise _WrongError("two members have the same name")
        if DOCUMENT not in sizes:
            raise zipfile.BadZipFile(f"there is no member '{DOCUMENT}'")
        _check_sizes(sizes)
        return {info.filename: _inflated(archive, info).decode() for info in infos}


def _inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    # Other methods need memory for dictionaries whose sizes the file chooses.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _WrongError(f"member {reprlib.repr(info.filename)} is neither stored nor deflated")
    # The reader stops at the size that a member claims; but reading all at once would inflate it whole first.
    data = bytearray()
    with archive.open(info) as member:
        while chunk := member.read(_CHUNK):
            data += chunk
    if len(data) != info.file_size:
        raise _WrongError(f"member {reprlib.repr(info.filename)} is smaller than it claims")
    return bytes(data)


def _check_length(content: bytes) -> None:
    if len(content) > FILE_BYTES:
        raise _WrongError(f"it has more than {FILE_BYTES >> 20} MiB; pass large constants as arguments")


def _check_sizes(sizes: Mapping[str, int]) -> None:
    if len(sizes) > MEMBERS:
        raise _WrongError(f"it has more than {MEMBERS} members")
    if sizes[DOCUMENT] > DOCUMENT_BYTES:
        raise _WrongError(f"'{DOCUMENT}' has more than {DOCUMENT_BYTES >> 20} MiB")
    if sum(sizes.values()) > INFLATED_BYTES:
        raise _WrongError(
            f"inflated it has more than {INFLATED_BYTES >> 20} MiB; pass large constants as arguments"
        )


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _check(document: Mapping[str, Any], members: Mapping[str, str]) -> None:
    """Raises a _WrongError unless a program can be made of the document and run."""
    if document.keys() != _KEYS:
        different = sorted(document.keys() ^ _KEYS)
        raise _WrongError(f"missing or unknown entries {reprlib.repr(different)}")
    for key in ("name", "policy"):
        _text(document[key], key, NAME_LENGTH)
    scopes = _list(document["scopes"], "scopes")
    for number, scope in enumerate(scopes):
        _text(scope, f"scopes[{number}]", SCOPE_LENGTH)
    rings = _check_regions(document["regions"], members, len(scopes))
    callers = _check_caller_inputs(document["caller_inputs"])
    schedule = _Schedule(document["values"], len(scopes))
    schedule.check_inputs(document["inputs"], callers)
    schedule.check_steps(document["steps"], rings)
    schedule.check_outputs(document["outputs"], guarded=document["guard"] is not None)
    if document["guard"] is not None:
        _check_guard(document["guard"], len(callers))
    results = len(document["outputs"]) - (document["guard"] is not None)
    for key, expected in (("input_tree", len(callers)), ("output_tree", results)):
        leaves = _check_tree(document[key], key)
        # Without a structure there is a flat sequence of any length.
        if document[key] is not None and leaves != expected:
            raise _WrongError(f"{key} has {leaves} arrays, but there are {expected}")


def _check_regions(entries: Any, members: Mapping[str, str], scopes: int) -> dict[str, int]:
    """The ring of each region."""
    rings: dict[str, int] = {}
    for number, entry in enumerate(_list(entries, "regions")):
        where = f"regions[{number}]"
        name, ring, frac, runs = _list(entry, where, 4)
        if not isinstance(name, str) or not _REGION_NAME.fullmatch(name) or name in rings:
            _fail(where, "a name of its own", name)
        if not _is_integer(ring) or ring not in RINGS:
            _fail(where, f"a ring of {', '.join(map(str, RINGS))} bits", ring)
        _integer(frac, f"{where}: fraction bits", ring - 1)
        rings[name] = ring
        if region_member(name) not in members:
            raise _WrongError(f"{where}: there is no member '{region_member(name)}'")
        ops, length = 0, len(members[region_member(name)])
        for run in _list(runs, f"{where}: scopes"):
            scope, count = _list(run, f"{where}: scopes", 2)
            _integer(scope, f"{where}: scopes", scopes)
            # Each op takes some text.
            ops += _integer(count, f"{where}: number of ops", length - ops + 1)
    unknown = members.keys() - {DOCUMENT, ANNOTATED, *map(region_member, rings)}
    if unknown or ANNOTATED not in members:
        raise _WrongError(f"unknown member {reprlib.repr(min(unknown))}" if unknown else f"no '{ANNOTATED}'")
    return rings


def _check_caller_inputs(entries: Any) -> list[tuple[Any, Any]]:
    """Shape and dtype of each."""
    found = []
    for number, entry in enumerate(_list(entries, "caller_inputs")):
        where = f"caller_inputs[{number}]"
        shape, dtype, owner = _list(entry, where, 3)
        _check_tensor(shape, dtype, where)
        if owner != "" and not is_label(owner):
            _fail(where, f"an owner's label, {LABEL}, or nothing", owner)
        found.append((shape, dtype))
    return found


def _check_tensor(shape: Any, dtype: Any, where: str) -> None:
    if len(_list(shape, f"{where}: shape")) > RANK:
        _fail(where, f"a shape of at most {RANK} dimensions", shape)
    for extent in shape:
        _integer(extent, f"{where}: extent", ELEMENTS)
    # Of a shape without elements numpy multiplies the other extents.
    if math.prod(max(extent, 1) for extent in shape) >= ELEMENTS:
        _fail(where, f"a shape of fewer than {ELEMENTS} elements", shape)
    if not isinstance(dtype, str) or dtype not in DTYPES:
        _fail(where, f"one of the dtypes {', '.join(DTYPES)}", dtype)


class _Schedule:
    """Values, and which of them there are when a step runs."""

    def __init__(self, values: Any, scopes: int) -> None:
        self._encodings: list[Encoding] = []
        self._values = _list(values, "values")
        self._made: set[int] = set()
        for number, entry in enumerate(self._values):
            where = f"values[{number}]"
            shape, dtype, encoding, secret, scope = _list(entry, where, 5)
            _check_tensor(shape, dtype, where)
            try:
                parsed = parse_encoding(_text(encoding, f"{where}: encoding", 40))
            except EncodingError as error:
                raise _WrongError(f"{where}: {error}") from None
            if isinstance(parsed, Fxp) != (dtype in FLOAT_TYPES):
                _fail(where, f"an encoding of {dtype}", encoding)
            if not isinstance(secret, bool):
                _fail(f"{where}: secret", "true or false", secret)
            _integer(scope, f"{where}: scope", scopes)
            self._encodings.append(parsed)

    def check_inputs(self, inputs: Any, callers: Sequence[tuple[Any, Any]]) -> None:
        for number, entry in enumerate(_list(inputs, "inputs")):
            where = f"inputs[{number}]"
            index, value = _list(entry, where, 2)
            _integer(index, f"{where}: number of the caller's input", len(callers))
            self._make(value, where)
            shape, dtype = self._values[value][:2]
            if callers[index] != (shape, dtype):
                expected = "{1} of shape {0}".format(*callers[index])
                _fail(where, f"value {value} to be the caller's {expected}", [dtype, shape])

    def check_steps(self, steps: Any, rings: Mapping[str, int]) -> None:
        for number, entry in enumerate(_list(steps, "steps")):
            where = f"steps[{number}]"
            match _list(entry, where):
                case ["call", region, operands, results]:
                    self._check_call(region, operands, results, rings, where)
                case ["cast", casts]:
                    self._check_casts(casts, where)
                case ["compare", comparisons]:
                    self._check_comparisons(comparisons, where)
                case ["beside", instructions]:
                    self._check_instructions(instructions, where)
                case _:
                    _fail(where, "a call, a cast, a comparison or what runs beside the engine", entry)

    def check_outputs(self, outputs: Any, *, guarded: bool) -> None:
        for number, value in enumerate(_list(outputs, "outputs")):
            self._use(value, f"outputs[{number}]")
        if guarded and (not outputs or self._values[outputs[-1]][:2] != [[], "i1"]):
            raise _WrongError("outputs: the last one of a guarded program must be one boolean")

    def _check_call(
        self, region: Any, operands: Any, results: Any, rings: Mapping[str, int], where: str
    ) -> None:
        if not isinstance(region, str) or region not in rings:
            _fail(where, "the name of a region", region)
        for value in _list(operands, f"{where}: operands"):
            self._use(value, where)
        for value in _list(results, f"{where}: results"):
            self._make(value, where)
        for value in (*operands, *results):
            if self._encodings[value].ring != rings[region]:
                _fail(
                    where, f"value {value} in the region's ring {rings[region]}", str(self._encodings[value])
                )

    def _check_casts(self, casts: Any, where: str) -> None:
        for pair in _list(casts, where):
            self._use(_list(pair, where, 2)[0], where)
        for source, target in casts:
            self._make(target, where)
            try:
                cast = Cast(self._encodings[source], self._encodings[target])
            except EncodingError as error:
                raise _WrongError(f"{where}: {error}") from None
            if cast.op == "identity":
                _fail(where, "another encoding after a cast", str(cast.target))
            self._check_alike(source, target, [0, 1, 3], where)

    def _check_comparisons(self, comparisons: Any, where: str) -> None:
        for comparison in _list(comparisons, where):
            self._use(_list(comparison, where, 3)[0], where)
        for source, thresholds, results in comparisons:
            encoding = self._encodings[source]
            if not isinstance(encoding, Fxp):
                _fail(where, "a comparison of a fixed-point value", str(encoding))
            if not _list(thresholds, f"{where}: thresholds"):
                _fail(where, "a threshold or more", thresholds)
            for threshold in thresholds:
                _integer(threshold, f"{where}: threshold", 2**63, -(2**63))
            for result in _list(results, f"{where}: results", len(thresholds)):
                self._make(result, where)
                self._check_alike(source, result, [0, 3], where)
                if self._values[result][1] != "i1" or self._encodings[result] != Int(encoding.ring):
                    _fail(where, f"value {result} to be an i1, {Int(encoding.ring)}", self._values[result])

    def _check_instructions(self, instructions: Any, where: str) -> None:
        for number, entry in enumerate(_list(instructions, where)):
            here = f"{where}: instruction {number}"
            name, operands, results, attributes = _list(entry, here, 4)
            _text(name, f"{here}: name", NAME_LENGTH)
            if not isinstance(attributes, dict):
                _fail(here, "attributes by name", attributes)
            for key, value in attributes.items():
                _text(key, f"{here}: attribute", NAME_LENGTH)
                if isinstance(value, list):
                    for one in value:
                        _integer(one, f"{here}: {key}", 1 << 64, -(1 << 63))
                elif isinstance(value, str):
                    _text(value, f"{here}: {key}", NAME_LENGTH)
                else:
                    _integer(value, f"{here}: {key}", 1 << 64, -(1 << 63))
            for value in _list(operands, f"{here}: operands"):
                self._use(value, here)
            for value in _list(results, f"{here}: results"):
                self._make(value, here)
            try:
                check(
                    from_json(entry), [self._tensor(v) for v in operands], [self._tensor(v) for v in results]
                )
            except DittoError as error:
                raise _WrongError(f"{here}: {error}") from None

    def _tensor(self, value: int) -> Tensor:
        shape, dtype, _, secret, _ = self._values[value]
        return Tensor(tuple(shape), dtype == "i1", self._encodings[value], secret)

    def _check_alike(self, source: int, target: int, fields: Sequence[int], where: str) -> None:
        """Raises unless two values have the same shape, dtype or secrecy, whichever `fields` are."""
        for field in fields:
            if self._values[source][field] != self._values[target][field]:
                what = ("shape", "dtype", "", "secrecy")[field]
                expected = f"value {target} of the {what} of value {source}, {self._values[source][field]}"
                _fail(where, expected, self._values[target][field])

    def _use(self, value: Any, where: str) -> None:
        if _integer(value, f"{where}: number of a value", len(self._values)) not in self._made:
            raise _WrongError(f"{where}: nothing before makes value {value}")

    def _make(self, value: Any, where: str) -> None:
        if _integer(value, f"{where}: number of a value", len(self._values)) in self._made:
            raise _WrongError(f"{where}: value {value} is made a second time")
        self._made.add(value)


def _check_guard(guard: Any, callers: int) -> None:
    assumptions, inputs = _list(guard, "guard", 2)
    for assumption in _list(assumptions, "guard: assumptions"):
        _text(assumption, "guard: assumption", SCOPE_LENGTH)
    seen = set()
    for entry in _list(inputs, "guard: inputs"):
        index, low, high = _list(entry, "guard: inputs", 3)
        seen.add(_integer(index, "guard: number of the caller's input", callers))
        if not _is_finite(low) or not _is_finite(high) or low > high:
            _fail("guard: inputs", "the least and the largest number of an input", entry)
    if len(seen) < len(inputs):
        raise _WrongError("guard: two ranges of one input")


def _check_tree(structure: Any, where: str, depth: int = 0) -> int:
    """How many arrays a structure holds."""
    if structure is None:
        return 0
    if structure == "*":
        return 1
    if depth == DEPTH:
        raise _WrongError(f"{where} nests deeper than {DEPTH}")
    kind, children = _list(structure, where, 2)
    if kind == "dict":
        keys = set()
        for pair in _list(children, where):
            key = _list(pair, where, 2)[0]
            keys.add(_key(key, where))
        if len(keys) < len(children):
            raise _WrongError(f"{where}: a dict has one key twice")
        children = [child for _, child in children]
    elif kind not in ("tuple", "list", "custom"):
        _fail(where, "a tuple, list, dict or custom", kind)
    return sum(_check_tree(child, where, depth + 1) for child in _list(children, where))


def _key(key: Any, where: str, depth: int = 0) -> Any:
    if isinstance(key, (list, tuple)) and depth < DEPTH:
        return tuple(_key(part, where, depth + 1) for part in key)
    if isinstance(key, str):
        return _text(key, f"{where}: key", SCOPE_LENGTH)
    if key is not None and not isinstance(key, bool) and not _is_finite(key):
        _fail(where, "a string, a number or a tuple of these as a key", key)
    return key


def _fail(where: str, expected: str, found: Any) -> NoReturn:
    raise _WrongError(f"{where}: expected {expected}, got {reprlib.repr(found)}")


def _list(value: Any, where: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or length not in (None, len(value)):
        _fail(where, "a list" if length is None else f"a list of {length}", value)
    return value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _integer(value: Any, where: str, stop: int, start: int = 0) -> int:
    if not _is_integer(value) or not start <= value < stop:
        _fail(where, f"an integer in [{start}, {stop})", value)
    return int(value)


def _is_finite(value: Any) -> bool:
    return (isinstance(value, float) or _is_integer(value)) and abs(value) <= sys.float_info.max


def _text(value: Any, where: str, limit: int) -> str:
    if not isinstance(value, str) or len(value) > limit:
        _fail(where, f"a string of at most {limit} characters", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        _fail(where, "a string that UTF-8 can write", ascii(value))
    return value
