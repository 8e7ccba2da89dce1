"""The documentation is true: generated pages are fresh, examples run, rules are tested."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ditto
from ditto_compiler import verifier as verify
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.dialect import attributes as names
from ditto_compiler.policy import parse_policy
from ditto_compiler.source import parse_source
from ditto_compiler.verifier import verify_module
from ditto_tools import docs
from ditto_tools.cli import cli

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
ATTRIBUTES = (REFERENCE / "attributes.md").read_text()
EXAMPLES = re.findall(r"^```mlir\n(.*?)^```", ATTRIBUTES, re.MULTILINE | re.DOTALL)
PAGES = sorted((ROOT / "docs").glob("*/*.md"))
DIALECT = {*names.CASTS, *(name for name in vars(names).values() if isinstance(name, str))}
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


def page_id(page: Path) -> str:
    return page.stem


def python_of(page: Path) -> str:
    """The code of a page, and what its comments `<!-- first: ... -->` say comes before a block."""
    code = r"^( *)```python\n(?P<shown>.*?)^\1```|^<!-- first:\n(?P<hidden>.*?)^-->"
    found = re.finditer(code, page.read_text(), re.MULTILINE | re.DOTALL)
    return "\n".join(textwrap.dedent(match["shown"] or match["hidden"]) for match in found)


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in page.read_text()], ids=page_id)
def test_python_on_pages_runs(page: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", python_of(page)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if "```toml" in page.read_text()], ids=page_id)
def test_toml_on_pages_parses(page: Path) -> None:
    for text in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if "base" in tomllib.loads(text):
            parse_policy(text, page.name)


def commands_of(page: Path) -> list[str]:
    """What a line of its own has after four spaces or a prompt; what is piped elsewhere is left out."""
    lines = re.findall(r"^    (?:\w* ?\d? ?\$ )?(ditto [a-z].*)$", page.read_text(), re.MULTILINE)
    return [re.split(r"  +#|  +[A-Z]| [|>] ", line)[0] for line in lines]


COMMANDS = [(page, line) for page in PAGES for line in commands_of(page)]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=lambda value: str(getattr(value, "stem", value)))
def test_commands_on_pages_exist(page: Path, line: str) -> None:
    """They are parsed, and not run."""
    _, name, *arguments = shlex.split(line)
    command = cli.commands[name]
    while isinstance(command, click.Group) and arguments:
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)


def test_commands_are_found() -> None:
    assert {page.stem for page, _ in COMMANDS} >= {"first_program", "hosts", "distillation"}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=page_id)
def test_names_on_pages_exist(page: Path) -> None:
    """`ditto.something` is what the package has."""
    for dotted in re.findall(r"`ditto\.([a-zA-Z_.]+)[`(]", page.read_text()):
        if f"ditto.{dotted}" in DIALECT:
            continue
        thing: object = ditto
        for part in dotted.split("."):
            try:
                thing = getattr(thing, part)
            except AttributeError:
                thing = importlib.import_module(f"{getattr(thing, '__name__', '')}.{part}")


def test_every_public_name_is_in_the_reference() -> None:
    reference = (REFERENCE / "api.md").read_text()
    listed = re.findall(r"^\.\. auto(?:function|class|exception):: (\w+)$", reference, re.MULTILINE)
    assert sorted(listed) == sorted(ditto.__all__)


def build_site(folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    """The site of one page, besides what every site has."""
    (folder / "howto").mkdir()
    (folder / "conf.py").write_text((ROOT / "docs" / "conf.py").read_text())
    (folder / "index.md").write_text("# Site\n\n```{toctree}\n:glob:\n\nhowto/*\n```\n")
    (folder / "howto" / "page.md").write_text(page)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(folder), str(folder / "site")]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_a_good_page_becomes_part_of_the_site_by_itself(tmp_path: Path) -> None:
    page = "# Page\n\n## A part\n\n[part](#a-part), [site](../index.md)\n\n```mlir\nfunc.func @f()\n```\n"
    done = build_site(tmp_path, page)
    assert done.returncode == 0, done.stderr
    assert 'href="howto/page.html"' in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("[away](nowhere.md)", "nowhere.md"),
        ("[part](../index.md#no-such-part)", "no-such-part"),
        ("[part](#no-such-part)", "no-such-part"),
        ("```toml\n= = =\n```", "highlight"),
        ("```{eval-rst}\n.. autofunction:: ditto.no_such_function\n```", "no_such_function"),
        ("```{eval-rst}\n:py:func:`ditto.no_such_function`\n```", "no_such_function"),
    ],
    ids=["page", "anchor", "own anchor", "code", "function", "reference"],
)
def test_the_site_is_not_built_with(wrong: str, complaint: str, tmp_path: Path) -> None:
    done = build_site(tmp_path, f"# Page\n\n{wrong}\n")
    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_example_of_ditto_opt() -> None:
    page = (ROOT / "docs" / "howto" / "ditto_opt.md").read_text()
    source, expected = re.findall(r"```mlir\n(.*?)```", page, re.DOTALL)
    (pipeline,) = re.findall(r"ditto-opt layer.mlir --pass-pipeline='(.*?)'", page)
    command = [sys.executable, "-m", "ditto_compiler.opt", f"--pass-pipeline={pipeline}"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected.strip()
