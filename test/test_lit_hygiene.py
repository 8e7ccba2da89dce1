"""Golden files check what they seem to check: a test that cannot fail is worse than none.

pip's filecheck ignores prefixes that no RUN line enables and lets variables survive a CHECK-LABEL, and lit
is content with a RUN line that checks nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEST = Path(__file__).resolve().parent
GOLDEN = sorted(TEST.rglob("*.mlir"))

_RUN = re.compile(r"^// RUN: (.*)$", re.MULTILINE)
_SUFFIXES = "NEXT|SAME|NOT|DAG|LABEL|EMPTY|COUNT-\\d+"
_DIRECTIVE = re.compile(rf"^\s*// ([A-Z][A-Z0-9_-]*?)(?:-({_SUFFIXES}))?:(?: |$)(.*)$")
_KEYWORDS = ("RUN", "REQUIRES", "UNSUPPORTED", "XFAIL")
_CAPTURE = re.compile(r"\[\[#?(\w+):")
_USE = re.compile(r"\[\[#?(\w+)\]\]")


def problems(text: str) -> list[str]:
    """What makes a golden file check less than it seems to."""
    found = []
    runs = _RUN.findall(text)
    if not runs:
        found.append("no RUN line")
    enabled: set[str] = set()
    for run in runs:
        checked = "| filecheck %s" in run or "filecheck %s <" in run
        if not _reads_file(run) and "--show-pipeline" not in run:
            found.append(f"RUN line without %s: {run}")
        if not checked and "--verify-diagnostics" not in run:
            found.append(f"RUN line without a checker: {run}")
        if checked:
            enabled.update(re.findall(r"--check-prefix=([\w-]+)", run) or ["CHECK"])
    expects = re.search(r"// expected-(error|warning|note|remark)", text) is not None
    if not enabled and any("--verify-diagnostics" in run for run in runs) and not expects:
        found.append("--verify-diagnostics without an expectation")
    used: set[str] = set()
    labelled: set[str] = set()
    captured: dict[str, set[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _DIRECTIVE.match(line)
        if match is None or match[1] in _KEYWORDS:
            continue
        prefix, suffix, pattern = match.groups()
        used.add(prefix)
        known = captured.setdefault(prefix, set())
        if prefix not in enabled:
            found.append(f"line {number}: prefix {prefix} is not enabled by any RUN line")
        if not pattern.strip() and suffix != "EMPTY":
            found.append(f"line {number}: nothing to check")
        if suffix == "LABEL":
            labelled.add(prefix)
            known.clear()
        for name in _USE.findall(pattern):
            if name not in known and f"[[{name}:" not in pattern:
                found.append(f"line {number}: [[{name}]] is not captured after the last {prefix}-LABEL")
        known.update(_CAPTURE.findall(pattern))
    found += [f"prefix {prefix} is enabled but never used" for prefix in sorted(enabled - used)]
    if "CHECK" in enabled and text.count("func.func @") > 1 and "CHECK" not in labelled:
        found.append("several functions but no CHECK-LABEL")
    succeeding = [run for run in runs if _reads_file(run) and not run.startswith("not ")]
    whole = [run for run in succeeding if "--split-input-file" not in run]
    if whole and re.search(r"^// -----", text, re.MULTILINE):
        found.append("chunks without --split-input-file")
    return found


def _reads_file(run: str) -> bool:
    return re.search(r"ditto-opt[^|]* %s", run) is not None


def names_of_functions(text: str) -> list[str]:
    return re.findall(r"func\.func (?:public )?@(\w+)", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: str(path.relative_to(TEST)))
def test_golden_files_check_what_they_seem_to(path: Path) -> None:
    assert problems(path.read_text()) == []


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: str(path.relative_to(TEST)))
def test_functions_are_named_by_what_they_show(path: Path) -> None:
    names = [name for name in names_of_functions(path.read_text()) if name not in ("main", "act", "relu")]
    assert len(names) == len(set(names)), "the same name twice"


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) > 30


GOOD = """\
// RUN: ditto-opt %s --cse | filecheck %s
// CHECK-LABEL: func.func @a(
// CHECK:         %[[X:.*]] = stablehlo.add
// CHECK-NEXT:    return %[[X]]
func.func @a() {
}
"""


def test_a_good_file_has_no_problems() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (GOOD.splitlines()[0], "", "no RUN line"),
        ("ditto-opt %s", "ditto-opt", "RUN line without %s"),
        (" | filecheck %s", "", "RUN line without a checker"),
        ("| filecheck %s", "--verify-diagnostics", "--verify-diagnostics without an expectation"),
        ("filecheck %s", "filecheck %s --check-prefix=OTHER", "line 3: prefix CHECK is not enabled"),
        ("filecheck %s", "filecheck %s --check-prefix=OTHER", "prefix OTHER is enabled but never used"),
        ("CHECK-NEXT", "CHEKC-NEXT", "line 4: prefix CHEKC is not enabled"),
        ("return %[[X]]", "return %[[Y]]", "line 4: [[Y]] is not captured"),
        (
            "// CHECK-NEXT",
            "// CHECK-LABEL: @b\n// CHECK-NEXT",
            "line 5: [[X]] is not captured after the last",
        ),
        ("return %[[X]]", "", "line 4: nothing to check"),
        (
            "CHECK-LABEL: func.func @a(",
            "CHECK: func.func @a(\nfunc.func @b()",
            "several functions but no CHECK-LABEL",
        ),
        ("func.func @a() {", "func.func @a() {\n// -----", "chunks without --split-input-file"),
    ],
)
def test_the_check_sees_problems(old: str, new: str, problem: str) -> None:
    assert old in GOOD
    assert any(found.startswith(problem) for found in problems(GOOD.replace(old, new, 1)))
