"""What a program file may say, and that a hostile one is refused before it does harm."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ditto import tree
from ditto_compiler import program_file
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.program import (
    Call,
    CallerTensor,
    CastBatch,
    CompareBatch,
    Comparison,
    Guard,
    Input,
    Program,
    Region,
    Value,
    operands_of,
    results_of,
)
from ditto_compiler.program_file import VERSION, ProgramFileError

CODE = 'module {}\n// "quotes" \u00e9\n'
PROGRAM = Program(
    name="f",
    policy="p",
    values=(
        Value((3, 0), "bf16", Fxp(128, 126), True),
        Value((2,), "f32", Fxp(64, 18), True, "layer/0"),
        Value((2,), "f32", Fxp(32, 10), True),
        Value((2,), "i1", Int(32), True),
        Value((2,), "i1", Int(32), True),
        Value((), "i1", Int(32), False, "guard"),
        Value((2,), "f32", Fxp(64, 18), True),
    ),
    regions={"r0": Region("r0", 32, 0, CODE, (("layer/0", 2), ("", 1))), "r1": Region("r1", 128, 126, CODE)},
    steps=(
        CastBatch(((1, 2),)),
        CompareBatch((Comparison(2, (-3, 2**62), (3, 4)),)),
        Call("r0", (2, 3), (5,)),
    ),
    inputs=(Input(1, 0), Input(0, 1)),
    caller_inputs=(CallerTensor((2,), "f32", "clinic"), CallerTensor((3, 0), "bf16"), CallerTensor((), "i8")),
    outputs=(4, 4, 0, 5),
    input_tree=["tuple", ["*", ["dict", [["a", "*"], [3, None], [["b", 1.5, True], "*"]]]]],
    output_tree=["custom", ["*", ["list", ["*", "*"]]]],
    guard=Guard(("sum in [0, 1]",), {0: (-1.0, 2.5)}),
    annotated="module {}",
)


def members_of(program: Program) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(program.to_bytes())) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def zip_of(members: dict[str, str] | list[tuple[str, str]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, text in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, text)
    return buffer.getvalue()


MEMBERS = members_of(PROGRAM)
DOCUMENT = json.loads(MEMBERS["program.json"])


def file_of(document: Any) -> bytes:
    return zip_of({**MEMBERS, "program.json": json.dumps(document)})


def edited(**changes: Any) -> bytes:
    return file_of({**DOCUMENT, **changes})


def refused(content: bytes) -> str:
    with pytest.raises(ProgramFileError) as error:
        Program.from_bytes(content, "p.ditto")
    message = str(error.value)
    assert message.startswith("'p.ditto' ")
    return message


def use(program: Program) -> None:
    """What a party and a caller do with a program before they run it."""
    for step in program.steps:
        for number in (*operands_of(step), *results_of(step)):
            assert program.values[number].elements >= 0
    assert len(list(program.casts())) >= 0
    for entry in program.inputs:
        assert program.values[entry.value].shape == program.caller_inputs[entry.index].shape
    for region in program.regions.values():
        region.op_scopes()
    nested = tree.unflatten(program.input_tree, range(len(program.caller_inputs)))
    assert len(tree.flatten(program.input_tree, nested)) == len(program.caller_inputs)
    tree.unflatten(program.output_tree, range(program.results))
    assert Program.from_bytes(program.to_bytes()) == program


def test_programs_of_every_kind_of_entry_round_trip() -> None:
    loaded = Program.from_bytes(PROGRAM.to_bytes())
    assert loaded.replace(input_tree=PROGRAM.input_tree) == PROGRAM
    # JSON has no tuples; a list cannot be the key of a dict.
    nested: Any = loaded.input_tree[1][1]
    assert [key for key, _ in nested[1]] == ["a", 3, ("b", 1.5, True)]
    use(loaded)


OLD = Path(__file__).parent / "programs"
"""A program file of each version, written by the ditto of its time: relu(x @ w + b) for 2x3, 3x4 and 4
elements; version 3 with a guard."""


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_there_is_a_file_of_each_version(version: int) -> None:
    with zipfile.ZipFile(OLD / f"v{version}.ditto") as archive:
        assert json.loads(archive.read("program.json"))["version"] == version


@pytest.mark.parametrize(
    ("version", "steps", "guarded"),
    [(1, [Call], False), (2, [Call, CompareBatch, Call], False), (3, [Call, CompareBatch, Call], True)],
)
def test_older_files_are_upgraded(version: int, steps: list[type], guarded: bool) -> None:
    program = Program.load(OLD / f"v{version}.ditto")
    assert [type(step) for step in program.steps] == steps
    # Nobody owned anything in particular then.
    assert program.caller_inputs == tuple(CallerTensor(shape, "f32", "") for shape in ((2, 3), (3, 4), (4,)))
    assert (program.guard is not None) == guarded
    assert program.results == 1 and program.values[program.outputs[0]].shape == (2, 4)
    assert program.input_tree == ["tuple", ["*", "*", "*"]] and program.output_tree == "*"
    use(program)
    with zipfile.ZipFile(io.BytesIO(program.to_bytes())) as archive:
        assert json.loads(archive.read("program.json"))["version"] == VERSION


def test_truncated_files() -> None:
    content = PROGRAM.to_bytes()
    for length in range(len(content)):
        refused(content[:length])


def test_flipped_bytes_are_noticed_or_harmless() -> None:
    content = PROGRAM.to_bytes()
    expected = Program.from_bytes(content)
    for position in range(len(content)):
        for flip in (0xFF, 0x01, 0x80):
            damaged = bytearray(content)
            damaged[position] ^= flip
            try:
                loaded = Program.from_bytes(bytes(damaged))
            except ProgramFileError:
                continue
            assert loaded == expected, f"byte {position}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a ditto program file, or it is damaged"),
        (b"hello", "is not a ditto program file, or it is damaged"),
        (zip_of({"a.txt": "hello"}), "or it is damaged (there is no member 'program.json')"),
        (zip_of({"program.json": "{"}), "is not a ditto program file, or it is damaged"),
        (zip_of({"program.json": "[]"}), "is a zip archive but not a ditto program file"),
        (zip_of({"program.json": "{}"}), "is a zip archive but not a ditto program file"),
        (zip_of({"program.json": "[" * 10**5}), "or it is damaged (maximum recursion depth exceeded"),
        (zip_of({"program.json": "9" * 5000}), "or it is damaged (Exceeds the limit"),
        (zip_of({"program.json": "[NaN]"}), "or it is damaged (NaN is not a number)"),
        (zip_of({"program.json": "[-Infinity]"}), "or it is damaged (-Infinity is not a number)"),
        (
            edited(version=999),
            "was written by a newer ditto: it has format version 999, this ditto reads versions 1 to 4; "
            "update ditto here, or compile the program with this one",
        ),
        (edited(version=10**30), "was written by a newer ditto: it has format version 1000000"),
        (edited(version=0), "has format version 0, which there is not; this ditto reads versions 1 to 4"),
        (edited(version="4"), "has format version '4', which there is not"),
        (edited(version=True), "has format version True, which there is not"),
        (edited(version=None), "has format version None, which there is not"),
        # Upgraded although they are of the newest, and so damaged.
        (edited(version=3), "is damaged: caller_inputs[0]"),
        (edited(version=1, caller_inputs=3), "is damaged: caller_inputs"),
        (edited(version=2, caller_inputs=[3]), "is damaged: caller_inputs[0]"),
        (zip_of({**MEMBERS, "x": ""}), "is damaged: unknown member 'x'"),
        (zip_of({**MEMBERS, "regions/r2.mlir": ""}), "is damaged: unknown member 'regions/r2.mlir'"),
        (zip_of([*MEMBERS.items(), ("program.json", "{}")]), "two members have the same name"),
        (zip_of(MEMBERS, zipfile.ZIP_LZMA), "member 'program.json' is neither stored nor deflated"),
        (zip_of(MEMBERS, zipfile.ZIP_BZIP2), "member 'program.json' is neither stored nor deflated"),
    ],
)
def test_foreign_files(content: bytes, message: str) -> None:
    assert message in refused(content)


def test_code_that_is_no_text() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in MEMBERS.items():
            archive.writestr(name, b"\xff" if name == "annotated.mlir" else text)
    assert "or it is damaged ('utf-8' codec can't decode" in refused(buffer.getvalue())


def changed(path: list[Any], new: Any) -> bytes:
    document = copy.deepcopy(DOCUMENT)
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = new
    return file_of(document)


DEEP: Any = "*"
for _ in range(101):
    DEEP = ["tuple", [DEEP]]


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        (["name"], "x" * 5000, "name: expected a string of at most 4096 characters, got 'xxx"),
        (["policy"], "\ud800", "policy: expected a string that UTF-8 can write, got \"'\\\\ud800'\""),
        (["scopes", 0], None, "scopes[0]: expected a string of at most 65536 characters, got None"),
        (["values", 0, 0], [-1], "values[0]: extent: expected an integer in [0, 1099511627776), got -1"),
        (["values", 0, 0], [True], "values[0]: extent: expected an integer in [0, 1099511627776), got True"),
        (["values", 0, 0], [2.0], "values[0]: extent: expected an integer in [0, 1099511627776), got 2.0"),
        (["values", 0, 0], [2**20] * 2, "expected a shape of fewer than 1099511627776 elements, got [10485"),
        (["values", 0, 0], [0, 2**39, 2**39], "expected a shape of fewer than 1099511627776 elements"),
        (["values", 0, 0], [1] * 33, "values[0]: expected a shape of at most 32 dimensions"),
        (["values", 0, 1], "f33", "values[0]: expected one of the dtypes f16, bf16, "),
        (["values", 0, 2], "#ditto.fxp<65, 18>", "values[0]: ring width must be in [2, 64], or 128, got 65"),
        (["values", 0, 2], "nonsense", "values[0]: 'nonsense' is not a ditto encoding"),
        (["values", 0, 2], "#ditto.int<64>", "values[0]: expected an encoding of bf16, got '#ditto.int<64>'"),
        (["values", 0, 3], 1, "values[0]: secret: expected true or false, got 1"),
        (["values", 0, 4], 3, "values[0]: scope: expected an integer in [0, 3), got 3"),
        (["regions", 0, 0], "../../x", "regions[0]: expected a name of its own, got '../../x'"),
        (["regions", 0, 0], "r1", "regions[1]: expected a name of its own, got 'r1'"),
        (["regions", 0, 0], "r2", "regions[0]: there is no member 'regions/r2.mlir'"),
        (["regions", 0, 1], 48, "regions[0]: expected a ring of 32, 64, 128 bits, got 48"),
        (["regions", 0, 2], 31, "regions[0]: fraction bits: expected an integer in [0, 31), got 31"),
        (["regions", 0, 3, 0, 1], 10**9, "regions[0]: number of ops: expected an integer in [0, 2"),
        (["steps", 0], ["walk", []], "steps[0]: expected a call, a cast, a comparison or what"),
        (["steps", 2, 1], "r9", "steps[2]: expected the name of a region, got 'r9'"),
        (
            ["steps", 2, 1],
            "r1",
            "steps[2]: expected value 2 in the region's ring 128, got '#ditto.fxp<32, 10>'",
        ),
        (["steps", 2, 2, 0], 6, "steps[2]: nothing before makes value 6"),
        (["steps", 2, 2, 0], 7, "steps[2]: number of a value: expected an integer in [0, 7), got 7"),
        (["steps", 2, 2, 0], -1, "steps[2]: number of a value: expected an integer in [0, 7), got -1"),
        (["steps", 2, 3, 0], 2, "steps[2]: value 2 is made a second time"),
        (["steps", 0, 1], [[1, 2], [2, 6]], "steps[0]: nothing before makes value 2"),
        (["steps", 0, 1, 0, 1], 3, "steps[0]: no cast between #ditto.fxp<64, 18> and #ditto.int<32>"),
        (
            ["steps", 0, 1, 0, 1],
            6,
            "steps[0]: expected another encoding after a cast, got '#ditto.fxp<64, 18",
        ),
        (["values", 2, 0], [3], "steps[0]: expected value 2 of the shape of value 1, [2], got [3]"),
        (["values", 2, 1], "f16", "steps[0]: expected value 2 of the dtype of value 1, f32, got 'f16'"),
        (["values", 2, 3], False, "steps[0]: expected value 2 of the secrecy of value 1, True, got False"),
        (["steps", 1, 1, 0, 1], [1], "steps[1]: results: expected a list of 1, got [3, 4]"),
        (
            ["steps", 1, 1, 0, 1],
            [1, 2**63],
            "steps[1]: threshold: expected an integer in [-9223372036854775808",
        ),
        (["steps", 1, 1, 0], [2, [], []], "steps[1]: expected a threshold or more, got []"),
        (["steps", 1, 1, 0, 0], 0, "steps[1]: expected value 3 of the shape of value 0, [3, 0], got [2]"),
        (
            ["steps", 1, 1, 0, 2, 0],
            6,
            "steps[1]: expected value 6 to be an i1, #ditto.int<32>, got [[2], 'f32'",
        ),
        (["values", 4, 2], "#ditto.int<64>", "steps[1]: expected value 4 to be an i1, #ditto.int<32>, got"),
        (
            ["inputs", 0, 0],
            3,
            "inputs[0]: number of the caller's input: expected an integer in [0, 3), got 3",
        ),
        (["inputs", 0, 0], 0, "inputs[0]: expected value 0 to be the caller's f32 of shape [2], got ['bf16'"),
        (
            ["inputs", 0, 1],
            1,
            "inputs[0]: expected value 1 to be the caller's bf16 of shape [3, 0], got ['f32'",
        ),
        (["caller_inputs", 0], [[2], "f32"], "caller_inputs[0]: expected a list of 3, got [[2], 'f32']"),
        (["caller_inputs", 0, 2], "a b", "caller_inputs[0]: expected an owner's label, 1 to 100 of"),
        (["caller_inputs", 0, 2], None, "caller_inputs[0]: expected an owner's label, 1 to 100 of"),
        (["outputs", 0], 6, "outputs[0]: nothing before makes value 6"),
        (["outputs", 3], 4, "outputs: the last one of a guarded program must be one boolean"),
        (["outputs"], [], "outputs: the last one of a guarded program must be one boolean"),
        (["guard"], None, "output_tree has 3 arrays, but there are 4"),
        (
            ["guard", 1, 0],
            [0, 3.0, 2.0],
            "guard: inputs: expected the least and the largest number of an input",
        ),
        (["guard", 1, 0, 2], 10**400, "guard: inputs: expected the least and the largest number of an input"),
        (["guard", 1], [[0, 0, 1], [0, 0, 1]], "guard: two ranges of one input"),
        (["guard", 1, 0, 0], 3, "guard: number of the caller's input: expected an integer in [0, 3), got 3"),
        (["input_tree"], "*", "input_tree has 1 arrays, but there are 3"),
        (["input_tree", 0], "set", "input_tree: expected a tuple, list, dict or custom, got 'set'"),
        (["input_tree", 1, 1, 1, 1, 0], "a", "input_tree: a dict has one key twice"),
        (
            ["input_tree", 1, 1, 1, 1, 0],
            {},
            "input_tree: expected a string, a number or a tuple of these as a key",
        ),
        (["output_tree"], DEEP, "output_tree nests deeper than 100"),
        (["more"], 1, "missing or unknown entries ['more']"),
    ],
)
def test_what_a_file_may_not_say(path: list[Any], new: Any, message: str) -> None:
    found = refused(changed(path, new))
    assert found.startswith("'p.ditto' is damaged: ")
    assert message in found


def nodes(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each node of a document."""
    if path:
        yield path
    for key, child in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(child, (dict, list)):
            yield from nodes(child, (*path, key))
        else:
            yield (*path, key)


JUNK: list[Any] = [
    None,
    -1,
    0,
    1,
    2,
    2**40,
    2**70,
    0.5,
    True,
    "",
    "x",
    "*",
    [],
    {},
    [[]],
    [0, 1],
    ["*"],
    DEEP,
]


@pytest.mark.parametrize("key", DOCUMENT)
def test_whatever_an_entry_is_replaced_by_there_is_an_error_or_a_program(key: str) -> None:
    found = 0
    for path in nodes(DOCUMENT[key], (key,)) if isinstance(DOCUMENT[key], list) else [(key,)]:
        for junk in JUNK:
            try:
                program = Program.from_bytes(changed(list(path), junk), "p.ditto")
            except ProgramFileError as error:
                found += 1
                assert str(error).startswith("'p.ditto' ")
                continue
            use(program)
    assert found


@pytest.mark.parametrize("key", [key for key in DOCUMENT if isinstance(DOCUMENT[key], list)])
@pytest.mark.parametrize(
    "change", [lambda entries, i: entries.pop(i), lambda entries, i: entries.insert(i, entries[i])]
)
def test_entries_that_are_missing_or_there_twice(key: str, change: Callable[[list[Any], int], None]) -> None:
    for path in nodes(DOCUMENT[key], (key,)):
        if isinstance(path[-1], int):
            document = copy.deepcopy(DOCUMENT)
            node = document
            for part in path[:-1]:
                node = node[part]
            change(node, path[-1])
            try:
                program = Program.from_bytes(file_of(document))
            except ProgramFileError:
                continue
            use(program)


def peak_bytes_of(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


GIB = 1 << 30


@pytest.fixture(scope="module")
def zeros() -> bytes:
    """1 GiB of zeros, deflated."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
    chunk = bytes(1 << 24)
    return b"".join([*(compressor.compress(chunk) for _ in range(GIB >> 24)), compressor.flush()])


def claiming(member: str, deflated: bytes, size: int, checksum: int = 0) -> bytes:
    """A program file one member of which is `deflated`, and said to be of `size` bytes."""
    buffer = io.BytesIO(zip_of({name: text for name, text in MEMBERS.items() if name != member}))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info := zipfile.ZipInfo(member), deflated)
    content = bytearray(buffer.getvalue())
    # Stored as it is; now both of its headers say that it is deflated.
    for method in (info.header_offset + 8, content.rindex(b"PK\x01\x02") + 10):
        content[method : method + 2] = zipfile.ZIP_DEFLATED.to_bytes(2, "little")
        content[method + 6 : method + 10] = checksum.to_bytes(4, "little")
        content[method + 14 : method + 18] = size.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize("member", ["annotated.mlir", "program.json", "regions/r0.mlir"])
@pytest.mark.parametrize("size", [GIB, 100 << 20, 1000, 1])
def test_bombs_are_refused_at_little_cost(zeros: bytes, size: int, member: str) -> None:
    content = claiming(member, zeros, size)
    assert len(content) < 8 << 20
    # What the directory says is too much, or else no more than it says is inflated.
    peak = peak_bytes_of(lambda: refused(content))
    assert peak < (3 * size if size == 100 << 20 else 8 << 20)


def test_a_member_that_is_shorter_than_it_says() -> None:
    text = MEMBERS["annotated.mlir"].encode()
    compressor = zlib.compressobj(wbits=-15)
    deflated = compressor.compress(text) + compressor.flush()
    honest = claiming("annotated.mlir", deflated, len(text), checksum=zlib.crc32(text))
    assert Program.from_bytes(honest).annotated == PROGRAM.annotated
    message = refused(claiming("annotated.mlir", deflated, len(text) + 1, checksum=zlib.crc32(text)))
    assert "member 'annotated.mlir' is smaller than it claims" in message


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("FILE_BYTES", 1 << 9, "it has more than 0 MiB"),
        ("INFLATED_BYTES", 1 << 10, "inflated it has more than 0 MiB"),
        ("DOCUMENT_BYTES", 1 << 10, "'program.json' has more than 0 MiB"),
        ("MEMBERS", 3, "it has more than 3 members"),
    ],
)
def test_limits_hold_for_reading_and_writing(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str
) -> None:
    content = PROGRAM.to_bytes()
    monkeypatch.setattr(program_file, limit, value)
    assert f"'p.ditto' is not a ditto program file: {message}" in refused(content)
    with pytest.raises(ProgramFileError, match=f"program 'f' cannot be written to a file: {message}"):
        PROGRAM.to_bytes()


def test_many_members_are_refused_before_they_are_listed() -> None:
    # Entries of a directory without members: 47 bytes each, of which the reader would make objects.
    entry = zip_of({"x": ""})
    entry = entry[entry.index(b"PK\x01\x02") : entry.index(b"PK\x05\x06")]
    directory = entry * (program_file.MEMBERS + 1)
    content = directory + b"PK\x05\x06" + bytes(8) + len(directory).to_bytes(4, "little") + bytes(6)
    assert peak_bytes_of(lambda: refused(content)) < 1 << 20
    assert "it has more than 100000 members" in refused(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_tree": ["dict", [[b"a", "*"]]]}, "Object of type bytes is not JSON serializable"),
        ({"name": "\ud800"}, "name: expected a string that UTF-8 can write"),
        ({"outputs": (6,)}, r"outputs\[0\]: nothing before makes value 6"),
        ({"guard": Guard((), {0: (float("nan"), 1.0)})}, "Out of range float values"),
        ({"annotated": "\ud800"}, "'utf-8' codec can't encode"),
    ],
)
def test_what_could_not_be_read_is_not_written(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramFileError, match=f"cannot be written to a file: {message}"):
        PROGRAM.replace(**change).to_bytes()


def test_endless_files_are_not_read_to_their_end() -> None:
    with pytest.raises(
        ProgramFileError, match="'/dev/zero' is not a ditto program file: it has more than 64 MiB"
    ):
        Program.load("/dev/zero")


def test_the_digest_is_of_what_is_executed() -> None:
    """Neither of how a file is compressed, nor of where the source was."""
    assert PROGRAM.digest == hashlib.sha256(PROGRAM.executable).hexdigest()
    other = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(PROGRAM.to_bytes())) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    loaded = Program.from_bytes(other.getvalue())
    assert loaded == Program.from_bytes(PROGRAM.to_bytes()) and loaded.digest == PROGRAM.digest
    assert PROGRAM.replace(annotated="elsewhere").digest == PROGRAM.digest
    assert PROGRAM.replace(name="else").digest != PROGRAM.digest
    received = Program.from_bytes(PROGRAM.executable)
    assert received == loaded.replace(annotated="")
    assert received.executable == PROGRAM.executable
    assert CODE.encode() in PROGRAM.executable
    assert b"elsewhere" not in PROGRAM.replace(annotated="elsewhere").executable
