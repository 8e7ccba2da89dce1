"""The documentation is true: generated pages are fresh, examples run, rules are tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ditto_compiler import verifier as verify
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.dialect import attributes as names
from ditto_compiler.source import parse_source
from ditto_compiler.verifier import verify_module
from ditto_tools import docs

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
ATTRIBUTES = (REFERENCE / "attributes.md").read_text()
EXAMPLES = re.findall(r"^```mlir\n(.*?)^```", ATTRIBUTES, re.MULTILINE | re.DOTALL)
RULES = re.findall(r"^- ([dc]\d): ", str(verify.__doc__), re.MULTILINE)


def test_the_generated_pages_are_fresh() -> None:
    result = CliRunner().invoke(docs.main, ["--check", "--folder", str(REFERENCE)])
    assert result.exit_code == 0, result.output


def test_a_stale_page_is_noticed_and_says_what_to_run(tmp_path: Path) -> None:
    folder = ["--folder", str(tmp_path)]
    assert CliRunner().invoke(docs.main, folder).exit_code == 0
    assert CliRunner().invoke(docs.main, ["--check", *folder]).exit_code == 0
    page = tmp_path / "passes.md"
    page.write_text(page.read_text().replace("### inline-calls", "### inline-all"))
    result = CliRunner().invoke(docs.main, ["--check", *folder])
    assert result.exit_code == 1
    assert "-### inline-all" in result.output
    assert "run: python -m ditto_tools.docs" in result.output


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_the_dialect(example: str) -> None:
    expected = re.match(r"// error: ([dc]\d)\n", example)
    module = parse_source(example, "attributes.md")
    if expected is None:
        verify_module(module)
        return
    with pytest.raises(CompileError) as error:
        verify_module(module)
    assert len(error.value.diagnostics) == 1
    assert f"op: {expected[1]}: " in str(error.value)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_section_an_example_and_a_test(rule: str) -> None:
    assert re.search(rf"^### {rule}: ", ATTRIBUTES, re.MULTILINE)
    assert any(example.startswith(f"// error: {rule}\n") for example in EXAMPLES)
    assert f"@{rule}_" in (ROOT / "test" / "dialect" / "invalid.mlir").read_text()


def test_rules_are_numbered_in_the_verifier() -> None:
    assert RULES == ["d1", "d2", "d3", "d4", "d5", "d6", "c1", "c2", "c3", "c4", "c5", "c6"]


@pytest.mark.parametrize("name", names.NAMES)
def test_every_attribute_has_a_row(name: str) -> None:
    assert f"| `{name}` |" in ATTRIBUTES
