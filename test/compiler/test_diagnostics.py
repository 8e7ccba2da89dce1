"""Locations and diagnostics, and the comments that tests expect them by."""

from __future__ import annotations

import pytest

from ditto_compiler.diagnostics import (
    CompileError,
    Diagnostic,
    ErrorCollector,
    SourceLocation,
    captured,
    from_mlir,
    parse_location,
)
from ditto_compiler.errors import InternalError
from ditto_compiler.ir import ir, nested_ops, new_context, parse_module
from ditto_compiler.source import split_source
from ditto_compiler.verify_diagnostics import Expectation, check_diagnostics, parse_expectations

FILE = "model.mlir"


def error_at(line: int, message: str, *notes: Diagnostic) -> Diagnostic:
    return Diagnostic("error", SourceLocation(FILE, line, 1), message, notes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loc(unknown)", SourceLocation()),
        ('loc("model.py":3:9)', SourceLocation("model.py", 3, 9)),
        ('loc("jit(f)/add"("model.py":3:9))', SourceLocation("model.py", 3, 9, "jit(f)/add")),
        ('loc("jit(f)/add")', SourceLocation(scope="jit(f)/add")),
        # As JAX nests them: the innermost user line comes first.
        (
            'loc("jit(f)/layer0/sin"(callsite("layer"("m.py":6:27) at '
            'callsite("f"("m.py":8:11) at "g"("m.py":9:2)))))',
            SourceLocation("m.py", 6, 27, "jit(f)/layer0/sin"),
        ),
        # Newer JAX gives ranges.
        ('loc("jit(f)/sin"("f"("m.py":6:27 to :37)))', SourceLocation("m.py", 6, 27, "jit(f)/sin")),
        (r'loc("a \"quoted\" name"("m.py":1:2))', SourceLocation("m.py", 1, 2, r"a \"quoted\" name")),
    ],
)
def test_locations(text: str, expected: SourceLocation) -> None:
    assert parse_location(text) == expected


def test_printing() -> None:
    assert str(SourceLocation("m.py", 3, 9, "scope")) == "m.py:3:9"
    assert str(SourceLocation(scope="jit(f)/add")) == "jit(f)/add"
    assert str(SourceLocation()) == "<unknown location>"
    diagnostic = error_at(3, "wrong", Diagnostic("note", SourceLocation(FILE, 1, 2), "here"))
    assert str(diagnostic) == "model.mlir:3:1: error: wrong\nmodel.mlir:1:2: note: here"


def test_parse_errors_of_mlir_carry_their_place() -> None:
    with pytest.raises(ir.MLIRError) as error:
        parse_module("func.func @f() {\n  %0 = stablehlo.add %1, %1 : tensor<f32>\n  return\n}")
    converted = from_mlir(error.value).in_file(FILE)
    assert str(converted) == "model.mlir:2:22: error: use of undeclared SSA value name"


def test_in_file_renames_notes_and_leaves_other_files_alone() -> None:
    note = Diagnostic("note", SourceLocation("-", 4, 5), "there")
    error = CompileError(
        [
            Diagnostic("error", SourceLocation("-", 1, 2), "a", (note,)),
            Diagnostic("error", SourceLocation("model.py", 1, 2), "b"),
        ]
    ).in_file(FILE)
    assert [d.location.file for d in error.diagnostics] == [FILE, "model.py"]
    assert error.diagnostics[0].notes[0].location.file == FILE


def test_collector_reports_all_at_once_with_notes() -> None:
    module = parse_module(
        "func.func @f(%x: tensor<f32>) {\n"
        '  %0 = stablehlo.negate %x : tensor<f32> loc("m.py":7:1)\n'
        "  return\n}"
    )
    function, negate, _ = nested_ops(module.operation)
    errors = ErrorCollector("some-pass")
    errors.raise_if_any()
    errors.add(negate, "is bad", (function, "declared here"))
    errors.add_at(negate.location, "and so is this")
    with pytest.raises(CompileError) as error:
        errors.raise_if_any()
    assert str(error.value) == (
        "m.py:7:1: error: [some-pass] 'stablehlo.negate' op: is bad\n"
        "-:1:1: note: declared here\n"
        "m.py:7:1: error: [some-pass] and so is this"
    )


def test_warnings_of_mlir_are_captured() -> None:
    context = new_context()
    with captured(context) as reported, context:
        ir.Location.file("m.py", 3, 4, context).emit_error("not raised, only reported")
    assert [str(diagnostic) for diagnostic in reported] == ["m.py:3:4: error: not raised, only reported"]


def test_internal_errors_ask_for_a_report() -> None:
    assert "This is a bug in Ditto; please report it" in str(InternalError("oops"))


def test_chunks_keep_their_line_numbers() -> None:
    text = "one\n// -----\ntwo\nthree\n// ----- \n// -----x\nfour"
    chunks = split_source(text)
    lines = text.split("\n")
    assert [chunk.strip() for chunk in chunks] == ["one", "two\nthree", "// -----x\nfour"]
    for chunk in chunks:
        for number, line in enumerate(chunk.split("\n")):
            assert line in ("", lines[number])


def test_one_chunk_without_separator() -> None:
    assert split_source("a\nb\n") == ["a\nb\n"]


@pytest.mark.parametrize(
    ("place", "line"),
    [("", 3), ("@+1 ", 4), ("@-2 ", 1), ("@above ", 2), ("@below ", 5), ("@unknown ", None)],
)
def test_places_of_expectations(place: str, line: int | None) -> None:
    text = f"one\ntwo\n// expected-error {place}{{{{bad}}}}\n// expected-note @below {{{{x}}}}\nfive"
    assert parse_expectations(text, FILE)[0] == Expectation("error", line, "bad", 3)


@pytest.mark.parametrize("severity", ["error", "warning", "note", "remark"])
def test_severities(severity: str) -> None:
    text = f"x // expected-{severity} {{{{bad}}}}"
    assert check_diagnostics(text, FILE, [Diagnostic(severity, SourceLocation(FILE, 1, 5), "very bad")]) == []


@pytest.mark.parametrize(
    "comment",
    [
        "// expected-error bad",
        "// expected-error {bad}",
        "// expected-error @1 {{bad}}",
        "// expected-error @+1 {{bad}} and more",
        "// expected-error-re {{bad}}",
        "// expected-error @next {{bad}}",
    ],
)
def test_what_looks_like_an_expectation_must_be_one(comment: str) -> None:
    with pytest.raises(CompileError, match=r"model\.mlir:1:1: error: malformed expectation"):
        parse_expectations(comment, FILE)


def test_expected_diagnostics_that_come_are_fine() -> None:
    text = "a // expected-error {{first}}\n// expected-error @+1 {{second}}\nb"
    assert check_diagnostics(text, FILE, [error_at(3, "the second"), error_at(1, "the first")]) == []


@pytest.mark.parametrize(
    ("diagnostics", "problem"),
    [
        ([], 'model.mlir:1:1: error: expected error "first" was not produced'),
        ([error_at(2, "first")], "model.mlir:2:1: error: unexpected error: first"),
        ([error_at(1, "other")], "model.mlir:1:1: error: unexpected error: other"),
        ([error_at(1, "first"), error_at(1, "first")], "model.mlir:1:1: error: unexpected error: first"),
        (
            [Diagnostic("warning", SourceLocation(FILE, 1, 1), "first")],
            "model.mlir:1:1: error: unexpected warning: first",
        ),
        (
            [Diagnostic("error", SourceLocation("elsewhere.py", 1, 1), "first")],
            "elsewhere.py:1:1: error: unexpected error: first",
        ),
        (
            [error_at(1, "first", Diagnostic("note", SourceLocation(FILE, 1, 1), "because"))],
            "model.mlir:1:1: error: unexpected note: because",
        ),
    ],
)
def test_what_is_wrong_with_diagnostics(diagnostics: list[Diagnostic], problem: str) -> None:
    problems = check_diagnostics("a // expected-error {{first}}", FILE, diagnostics)
    assert problem in [str(found) for found in problems]


@pytest.mark.parametrize(
    "location", [SourceLocation(), SourceLocation(FILE, 0, 0), SourceLocation("m.py", 1, 1)]
)
def test_unknown_means_no_line_in_this_file(location: SourceLocation) -> None:
    text = "// expected-error @unknown {{bad}}"
    assert check_diagnostics(text, FILE, [Diagnostic("error", location, "bad")]) == []
