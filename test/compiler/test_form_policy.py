"""Forms in policies: by function, by scope, in presets, and every way to get them wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ditto_compiler.forms.table import DEFAULTS, FORM_NAMES
from ditto_compiler.policy import PRESETS, FormRule, PolicyError, form_of, load_policy, parse_policy

SCOPED = """
base = "uniform64"
[forms]
gelu = "puma"
exp = "taylor6"
[[forms.scopes]]
scope = "*/layer0/*"
gelu = "quartic"
[[forms.scopes]]
scope = ["*/layer0/mlp/*", "*/head/*"]
gelu = "exact"
softmax = "2relu"
"""


@pytest.mark.parametrize(
    ("scope", "gelu", "softmax", "exp"),
    [
        ("", "puma", "exact", "taylor6"),
        ("jit(f)/layer1/gelu", "puma", "exact", "taylor6"),
        ("jit(f)/layer0/gelu", "quartic", "exact", "taylor6"),
        ("jit(f)/layer0/mlp/gelu", "exact", "2relu", "taylor6"),
        ("jit(f)/head/exp", "exact", "2relu", "taylor6"),
    ],
)
def test_the_last_that_matches_wins(scope: str, gelu: str, softmax: str, exp: str) -> None:
    forms = parse_policy(SCOPED, "p.toml").forms
    found = [form_of(forms, function, scope) for function in ("gelu", "softmax", "exp")]
    assert found == [gelu, softmax, exp]


def test_a_base_comes_first() -> None:
    policy = parse_policy('base = "puma"\n[forms]\ngelu = "sextic"\n', "p.toml")
    assert form_of(policy.forms, "gelu", "") == "sextic"
    assert form_of(policy.forms, "softmax", "") == "puma"


def test_without_forms_everything_is_as_the_engine_computes_it() -> None:
    for name in ("dtype", "uniform32", "uniform64", "uniform128"):
        assert load_policy(name).forms == ()
    for function in FORM_NAMES:
        assert form_of((), function, "any/scope") == DEFAULTS[function]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_choose_forms_that_exist(name: str) -> None:
    for rule in load_policy(name).forms:
        for function, form in rule.forms.items():
            assert form in FORM_NAMES[function]


def test_presets_of_papers() -> None:
    chosen = {
        name: [form_of(load_policy(name).forms, function, "") for function in ("gelu", "softmax")]
        for name in ("puma", "mpcformer", "ditto", "ditto-engine", "ditto-quad")
    }
    assert chosen == {
        "puma": ["puma", "puma"],
        "mpcformer": ["quad", "2quad"],
        "ditto": ["oneshot", "oneshot"],
        "ditto-engine": ["quartic", "narrow"],
        "ditto-quad": ["quad", "oneshot"],
    }


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[forms]\ngelo = "puma"', "[forms]: there are no forms of 'gelo'; did you mean 'gelu'?"),
        ('[forms]\ngelu = "pumas"', "[forms]: there is no form 'pumas' of gelu; did you mean 'puma'?"),
        ('[forms]\nexp = "exact"', "[forms]: there is no form 'exact' of exp"),
        ('[forms]\nembedding = "exact"', "there is no form 'exact' of embedding"),
        ("[forms]\ngelu = 3", "[forms]: gelu must be the name of a form, got 3"),
        ('[[forms.scopes]]\ngelu = "puma"', "forms.scopes[0] has no 'scope'"),
        ('[[forms.scopes]]\nscope = 3\ngelu = "puma"', "forms.scopes[0]: scope must be a string or a list"),
        ('[[forms.scopes]]\nscope = "a"\ngelu = "x"', "forms.scopes[0]: there is no form 'x' of gelu"),
        ('[forms]\nscopes = "layer0"', "forms.scopes must be a list of tables, got 'layer0'"),
        ('forms = "puma"', "policy: forms must be a table, got 'puma'"),
    ],
)
def test_errors(text: str, error: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(error)):
        parse_policy(_with_base(text), "p.toml")


def _with_base(text: str) -> str:
    return f'base = "uniform64"\n{text}\n'


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(_with_base('[forms]\ngelu = "pumas"'))
    with pytest.raises(PolicyError, match=re.escape(f"{path}: [forms]: there is no form 'pumas'")):
        load_policy(path)


def test_rules_made_in_python_are_checked_too() -> None:
    with pytest.raises(PolicyError, match="mine: there is no form"):
        FormRule("mine", {"gelu": "pumas"})
