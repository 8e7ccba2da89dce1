"""README's examples are run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_python_examples(tmp_path):
    script = "\n".join(blocks("python"))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    private, plain = re.findall(r"\[\d+ \d+\]", done.stdout)
    assert private == plain
    assert (tmp_path / "classify.ditto").exists()


def test_ditto_opt_example():
    source, expected = blocks("mlir")
    (pipeline,) = re.findall(r"ditto-opt layer.mlir --pass-pipeline='(.*?)'", README)
    command = [sys.executable, "-m", "ditto_compiler.opt", f"--pass-pipeline={pipeline}"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected.strip()


def test_policy_example():
    from ditto_compiler.policy import parse_policy

    (text,) = blocks("toml")
    assert parse_policy(text, "README.md").rules[-1].name == "the last layer wants more bits"


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_links_lead_somewhere(link):
    assert (Path(__file__).parent.parent / link).exists()
