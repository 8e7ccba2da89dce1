"""The blocks of docs/howto/plugins.md run as they stand there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ditto_compiler.pipelines import EXTENSION_POINTS
from ditto_compiler.plugins import installed

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "howto" / "plugins.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_python_blocks_run(tmp_path: Path) -> None:
    file = tmp_path / "page.py"
    file.write_text("\n\n".join(blocks("python")))
    before = installed()
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(file.read_text(), str(file), "exec", dont_inherit=True), names)
    assert len(blocks("python")) >= 6 and "CountProducts" in names
    assert installed() == before


def test_the_entry_point_is_the_one_that_the_example_has() -> None:
    (block,) = blocks("toml")
    example = tomllib.loads((ROOT / "examples/ditto_example_plugin/pyproject.toml").read_text())
    (group,) = tomllib.loads(block)["project"]["entry-points"]
    assert group in example["project"]["entry-points"]


@pytest.mark.parametrize("point", EXTENSION_POINTS)
def test_every_extension_point_has_a_row(point: str) -> None:
    assert f"| `{point}` |" in PAGE


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", PAGE))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / "howto" / link).exists()
