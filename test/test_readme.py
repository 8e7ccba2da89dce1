"""README is short, its example runs as it stands there, and its links, commands and numbers are right."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ditto_tools.cli import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_python_example(tmp_path):
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    private, plain = re.findall(r"\[\d+ \d+\]", done.stdout)
    assert private == plain
    assert (tmp_path / "classify.ditto").exists()


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, re.MULTILINE))
def test_make_has_both_commands(target):
    assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_table_has_its_command():
    (line,) = re.findall(r"^    ditto bench (.*)$", README, re.MULTILINE)
    name, *arguments = shlex.split(line)
    context = cli.commands["bench"].commands[name].make_context(name, arguments)
    policies = re.findall(r"^\| `(.*?)` \|", README, re.MULTILINE)
    assert policies == context.params["policies"].split(",")


@pytest.mark.parametrize("row", re.findall(r"^\| (`.*) \|$", README, re.MULTILINE))
def test_the_table_agrees_with_the_page_of_measurements(row):
    page = (ROOT / "docs" / "reference" / "measurements.md").read_text()
    policy, _, megabytes, messages, seconds, error = row.split(" | ")
    (measured,) = re.findall(rf"^\| {re.escape(policy)}.* \| ({megabytes} .*) \|$", page, re.MULTILINE)
    found = re.split(r" *\| *", measured)
    assert (found[0], found[1], found[3], found[5]) == (megabytes, messages, seconds, error)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_every_kind_of_page_is_within_one_click():
    for folder in ("tutorial", "howto", "reference", "explanation"):
        assert f"](docs/{folder}/" in README


def test_it_is_short():
    assert len(README.splitlines()) < 120
