"""Pipelines as text."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_compiler.options import (
    NO_TEXT,
    PipelineElement,
    PipelineError,
    check_options,
    did_you_mean,
    option_docs,
    options_text,
    parse_options,
    split_pipeline,
)
from ditto_compiler.pass_manager import parse_pipeline, pipeline_text


class Mode(enum.Enum):
    FAST = "fast"
    EXACT = "exact"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Sample:
    name: ClassVar[str] = "sample"
    flag: bool = False
    """Whether."""
    max_uses: int = 1
    """How often;
    at most."""
    limit: int | None = None
    path: str = "x"
    names: tuple[str, ...] = ()
    rate: float = 0.5
    most: float | None = 1.0
    """None for any."""
    mode: Mode = Mode.FAST
    level: Level | None = None
    kind: Literal["left", "right"] = "left"
    sizes: list[int] = field(default_factory=lambda: [1])
    shares: tuple[float, ...] = (0.5,)
    pair: tuple[int, str] = (0, "")
    title: str | None = None


numbers = st.floats(allow_nan=False)
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
samples = st.builds(
    Sample,
    flag=st.booleans(),
    max_uses=st.integers(),
    limit=st.none() | st.integers(),
    path=words,
    names=st.lists(words, max_size=3).map(tuple),
    rate=numbers,
    most=st.none() | numbers,
    mode=st.sampled_from(Mode),
    level=st.none() | st.sampled_from(Level),
    kind=st.sampled_from(["left", "right"]),
    sizes=st.lists(st.integers(), max_size=3),
    shares=st.lists(numbers, max_size=3).map(tuple),
    pair=st.tuples(st.integers(), words),
    title=st.none() | words,
)


@given(samples)
def test_options_round_trip(sample: Sample) -> None:
    text = options_text(sample)
    assert Sample(**parse_options("sample", Sample, text)) == sample


@given(samples, samples)
def test_pipelines_of_any_options_split_into_their_elements(first: Sample, second: Sample) -> None:
    elements = [PipelineElement("sample", options_text(s)) for s in (first, second)]
    assert split_pipeline(",".join(map(str, elements))) == elements


def test_defaults_are_left_out() -> None:
    assert options_text(Sample()) == ""
    assert options_text(Sample(flag=True, max_uses=3)) == "flag=true max-uses=3"


def test_bare_key_is_true() -> None:
    assert parse_options("sample", Sample, "flag") == {"flag": True}


def test_quotes() -> None:
    assert parse_options("sample", Sample, "path='a b.toml' max-uses=2") == {
        "path": "a b.toml",
        "max_uses": 2,
    }
    assert parse_options("sample", Sample, 'path="it\'s {this}"') == {"path": "it's {this}"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "max_uses=1",
            "pass 'sample' has no option 'max_uses' (it has: flag, max-uses, limit, path, names, rate, most, "
            "mode, level, kind, sizes, shares, pair, title); "
            "did you mean 'max-uses'?",
        ),
        ("max-uses=1 max-uses=2", "option 'max-uses' of pass 'sample' is given twice"),
        ("max-uses=one", "option 'max-uses' of pass 'sample' must be an integer, got 'one'"),
        ("max-uses=--5", "must be an integer, got '--5'"),
        ("max-uses=²", "must be an integer, got '²'"),
        ("max-uses=", "must be an integer, got ''"),
        ("max-uses", "must be an integer, got 'true'"),
        ("limit=1.5", "option 'limit' of pass 'sample' must be an integer, got '1.5'"),
        ("flag=yes", "option 'flag' of pass 'sample' must be true or false, got 'yes'"),
        ("path='x", "unbalanced quotes in the options of pass 'sample': path='x"),
    ],
)
def test_bad_options(text: str, message: str) -> None:
    with pytest.raises(PipelineError) as error:
        parse_options("sample", Sample, text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate=+.5e1", 5.0),
        ("rate=2.", 2.0),
        ("rate=1E3", 1000.0),
        ("rate=-inf", -float("inf")),
        ("max-uses=+3", 3),
        ("most=none", None),
        ("mode=exact", Mode.EXACT),
        ("level=HIGH", Level.HIGH),
        ("sizes=", []),
        ("sizes=1,-2", [1, -2]),
        ("""names='"a,b",c,""'""", ("a,b", "c", "")),
        ("pair=3,x", (3, "x")),
        ("title=none", "none"),
    ],
)
def test_values_of_every_type(text: str, expected: Any) -> None:
    (value,) = parse_options("sample", Sample, text).values()
    assert value == expected and type(value) is type(expected)


@dataclass(frozen=True)
class Needs:
    count: int


@dataclass(frozen=True)
class Odd:
    table: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ambiguous:
    title: str | None = "none"


def test_an_option_without_default_must_be_given() -> None:
    assert parse_options("needs", Needs, "count=2") == {"count": 2}
    with pytest.raises(PipelineError, match="pass 'needs' needs option 'count'"):
        parse_options("needs", Needs, "")


@pytest.mark.parametrize("cls", [Odd, Ambiguous])
def test_types_that_no_text_is_read_as(cls: type) -> None:
    check_options("sample", Sample)
    with pytest.raises(PipelineError, match="of pass 'odd' is of type"):
        check_options("odd", cls)


def test_python_only_fields_are_no_options() -> None:
    from dataclasses import field

    @dataclass(frozen=True)
    class WithObject:
        policy: str = "a"
        """Which."""
        policy_object: object | None = field(default=None, metadata=NO_TEXT)

    assert options_text(WithObject("b", object())) == "policy=b"
    with pytest.raises(PipelineError, match="has no option 'policy-object'"):
        parse_options("p", WithObject, "policy-object=x")


def test_option_docs_come_from_the_string_below_the_field() -> None:
    docs = {name: (default, text) for name, default, text in option_docs(Sample)}
    assert docs["flag"] == ("False", "Whether.")
    assert docs["max-uses"] == ("1", "How often;\nat most.")
    assert docs["limit"] == ("None", "")


def test_split_nests_and_keeps_commas_inside() -> None:
    assert split_pipeline("a, b{x=1,2 y=3},func.func(c,d{e=f}){g=h}") == [
        PipelineElement("a"),
        PipelineElement("b", "x=1,2 y=3"),
        PipelineElement("func.func", "g=h", "c,d{e=f}"),
    ]
    assert split_pipeline("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a(b", "expected ')' at the end of pipeline 'a(b'"),
        ("a{b", "expected '}' at the end"),
        ("a)", "unexpected ')' at position 1"),
        ("a{b)", "unexpected ')' at position 3"),
        ("a,,b", "expected a pass name in pipeline 'a,,b'"),
        (",a", "expected a pass name"),
        ("{x=1}", "expected a pass name"),
        ("a{x=1}{y=2}", "unexpected '{x=1}{y=2}' after 'a'"),
        ("a(b)c", "unexpected 'c' after 'a'"),
    ],
)
def test_malformed_pipelines(text: str, message: str) -> None:
    with pytest.raises(PipelineError) as error:
        split_pipeline(text)
    assert message in str(error.value)


@given(st.text(st.sampled_from("ab(){}',\"= "), max_size=20))
def test_any_text_is_a_pipeline_or_an_error(text: str) -> None:
    try:
        elements = split_pipeline(text)
    except PipelineError:
        return
    assert split_pipeline(",".join(map(str, elements))) == elements


@pytest.mark.parametrize(
    "text",
    [
        "builtin.module()",
        "builtin.module(inline-calls)",
        "builtin.module(inline-calls,canonicalize,ditto-annotate{policy=uniform64},func.func(cse))",
        "builtin.module(ditto-annotate{policy='my policy.toml'},ditto-to-pphlo{free-above=-1})",
    ],
)
def test_parsed_pipelines_print_as_they_were(text: str) -> None:
    assert pipeline_text(parse_pipeline(text)) == text


def test_the_root_may_be_left_out() -> None:
    assert parse_pipeline("inline-calls,cse") == parse_pipeline("builtin.module(inline-calls,cse)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ditto-anotate",
            "'ditto-anotate' is neither a pass of ditto nor one of MLIR; did you mean 'ditto-annotate'?",
        ),
        ("func.func(nonsense)", "'func.func(nonsense)' is neither a pass of ditto nor one of MLIR"),
        ("canonicalize{nonsense=1}", "MLIR cannot read 'canonicalize{nonsense=1}'"),
        ("inline-calls(cse)", "pass 'inline-calls' runs on the module and has no nested pipeline"),
        ("inline-calls{x=1}", "pass 'inline-calls' has no option 'x' (it has: none)"),
    ],
)
def test_pipelines_of_unknown_things(text: str, message: str) -> None:
    with pytest.raises(PipelineError) as error:
        parse_pipeline(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_did_you_mean() -> None:
    assert did_you_mean("unifrom64", ["uniform64", "ditto"]) == "; did you mean 'uniform64'?"
    assert did_you_mean("zzz", ["uniform64", "ditto"]) == ""
