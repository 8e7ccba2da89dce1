"""A pass's name says where its file, its class and its tests are, and its docstring is its manual."""

from __future__ import annotations

import importlib
import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import ditto_compiler.passes
from ditto_compiler.options import option_docs
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import parse_pipeline, pass_name
from ditto_compiler.pipelines import PIPELINES
from ditto_compiler.registry import PASSES

GOLDEN = Path(__file__).resolve().parent.parent / "passes"
PASS_FOLDER = Path(ditto_compiler.passes.__path__[0])

passes = pytest.mark.parametrize("name", PASSES)


def documentation(name: str) -> str:
    return PASSES[name].documentation()


@passes
def test_name_file_and_class_agree(name: str) -> None:
    cls = PASSES[name]
    assert cls.name == name
    assert re.fullmatch("[a-z]+(-[a-z]+)*", name)
    assert cls.__name__ == "".join(word.capitalize() for word in name.split("-"))
    assert cls.__module__ == f"ditto_compiler.passes.{name.replace('-', '_')}"
    assert issubclass(cls, Pass) and is_dataclass(cls)


def test_every_file_in_the_folder_is_a_registered_pass() -> None:
    files = {path.stem for path in PASS_FOLDER.glob("*.py")} - {"__init__"}
    assert files == {name.replace("-", "_") for name in PASSES}


@passes
def test_modules_say_which_pass_they_hold(name: str) -> None:
    module = importlib.import_module(PASSES[name].__module__)
    assert module.__doc__ == f"The pass `{name}`."


@passes
def test_golden_files(name: str) -> None:
    stem = name.replace("-", "_")
    assert (GOLDEN / f"{stem}.mlir").is_file()
    gives_errors = "Errors: none." not in documentation(name)
    assert (GOLDEN / f"{stem}_invalid.mlir").is_file() == gives_errors


def test_golden_files_belong_to_passes() -> None:
    stems = {path.stem.removesuffix("_invalid") for path in GOLDEN.glob("*.mlir")}
    assert stems == {name.replace("-", "_") for name in PASSES}


@passes
def test_documentation_sections(name: str) -> None:
    text = documentation(name)
    summary = PASSES[name].summary()
    assert summary.endswith(".") and len(summary) <= 110
    assert re.search(r"^Requires: ", text, re.MULTILINE), "what must hold before"
    assert re.search(r"^Errors: ", text, re.MULTILINE), "what can go wrong"
    assert re.search(r"^(Before|Example)\b.*:$", text, re.MULTILINE), "an example"
    assert ("Before" in text) == ("After" in text)


@passes
def test_options_are_documented(name: str) -> None:
    for option, _, text in option_docs(PASSES[name]):
        assert text.endswith("."), f"option {option} of {name}"


@passes
def test_defaults_make_a_pass_that_prints_as_its_name(name: str) -> None:
    pass_ = PASSES[name]()
    assert str(pass_) == name
    assert parse_pipeline(name) == (pass_,)


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_use_registered_passes(name: str) -> None:
    pipeline = PIPELINES[name]("uniform64")
    ours = [pass_ for pass_ in pipeline if pass_name(pass_) in PASSES]
    assert len(ours) > 3
    assert PIPELINES[name].__doc__


def test_the_registry_is_in_the_order_of_the_default_pipeline() -> None:
    order = list(PASSES)
    names = [pass_name(p) for p in PIPELINES["ditto-pipeline"]("uniform64")]
    # Constants are folded twice: those of ops that are not to be expanded first.
    used = list(dict.fromkeys(name for name in names if name in PASSES))
    assert used == sorted(used, key=order.index)
