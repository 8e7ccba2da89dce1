"""Precision policies."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from ditto_compiler.dtypes import DTYPES
from ditto_compiler.encoding import RINGS, Encoding, Fxp, Int
from ditto_compiler.policy import (
    OPERANDS,
    PRESETS,
    OpFeatures,
    Policy,
    PolicyError,
    Rule,
    load_policy,
    parse_policy,
)

ADD = OpFeatures("stablehlo.add", "f32", 2, "jit(f)/encoder/layer0/add")


def policy_with(*rules: Rule) -> Policy:
    return dataclasses.replace(load_policy("uniform64"), name="test", rules=rules)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_cover_every_dtype(name: str) -> None:
    policy = load_policy(name)
    assert policy.name == name
    assert policy.description
    assert set(policy.dtypes) == set(DTYPES)


@pytest.mark.parametrize(("ring", "frac"), [(32, 8), (64, 18), (128, 40)])
def test_uniform_presets(ring: int, frac: int) -> None:
    policy = load_policy(f"uniform{ring}")
    assert {str(e) for e in policy.dtypes.values()} == {f"#ditto.fxp<{ring}, {frac}>", f"#ditto.int<{ring}>"}
    assert policy.rules == ()


def test_dtype_preset_is_the_papers_map() -> None:
    dtypes = load_policy("dtype").dtypes
    expected: dict[str, Encoding] = {
        **dict.fromkeys(("f16", "bf16"), Fxp(32, 8)),
        "f32": Fxp(64, 18),
        "f64": Fxp(128, 40),
        **dict.fromkeys(("i1", "i8", "i16", "i32", "ui8", "ui16", "ui32"), Int(32)),
        **dict.fromkeys(("i64", "ui64"), Int(64)),
    }
    assert dict(dtypes) == expected


@pytest.mark.parametrize(
    ("features", "ring"),
    [
        (OpFeatures("stablehlo.dot_general", "f32", 2), 32),
        (OpFeatures("stablehlo.convolution", "f32", 4), 32),
        (OpFeatures("stablehlo.reduce", "f32", 1, reducer="maximum"), 32),
        (OpFeatures("stablehlo.reduce", "f32", 1, reducer="add"), None),
        (OpFeatures("stablehlo.exponential", "f32", 1), None),
        (OpFeatures("stablehlo.rsqrt", "f32", 1), None),
        (OpFeatures("stablehlo.dot_general", "i32", 2), None),
    ],
)
def test_ditto_preset_is_the_papers_mapping(features: OpFeatures, ring: int | None) -> None:
    assert load_policy("ditto").choose(features).ring == ring


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"op": "dot_general"}, "no op matches 'dot_general'; did you mean 'stablehlo.dot_general'"),
        ({"op": "add"}, "no op matches 'add'; did you mean 'stablehlo.add'"),
        (
            {"op": ["*.add", "stablehlo.dot_generall"]},
            "'stablehlo.dot_generall'; did you mean 'stablehlo.dot_g",
        ),
        ({"op": "mhlo.*"}, "no op matches 'mhlo.*'"),
        ({"reducer": "max"}, "no reducer matches 'max'; did you mean 'maximum'"),
        ({"reducer": "stablehlo.add"}, "no reducer matches 'stablehlo.add'"),
        ({"dtype": "float32"}, "no dtype matches 'float32'"),
    ],
)
def test_patterns_that_can_match_nothing_are_errors(patterns: dict[str, object], message: str) -> None:
    lines = "\n".join(f"{key} = {value!r}" for key, value in patterns.items())
    text = f'base = "uniform64"\n[[rules]]\nname = "mine"\nring = 32\n{lines}\n'
    with pytest.raises(PolicyError, match=re.escape(message)) as error:
        parse_policy(text, "p.toml")
    assert str(error.value).startswith("p.toml: rule 'mine': ")
    with pytest.raises(PolicyError, match=re.escape(message)):
        Rule("mine", ring=32, **{k: (v,) if isinstance(v, str) else tuple(v) for k, v in patterns.items()})


@pytest.mark.parametrize("op", ["stablehlo.*", "chlo.erf", "*.dot*", "stablehlo.[a-c]*", "*"])
@pytest.mark.parametrize("reducer", ["add", "*imum", "", "*"])
def test_patterns_that_can_match_something_are_rules(op: str, reducer: str) -> None:
    Rule("mine", op=(op,), reducer=(reducer,), ring=32)


@pytest.mark.parametrize("policy", [3, None, b"ditto", ("ditto",), Rule("a", ring=32)])
def test_what_is_no_policy(policy: object) -> None:
    with pytest.raises(
        PolicyError, match=r"a policy is a preset \(.*\), the path of a \.toml file or a ditto\.Policy"
    ):
        load_policy(policy)  # type: ignore[arg-type]


def test_a_policy_is_itself() -> None:
    policy = load_policy("ditto")
    assert load_policy(policy) is policy


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule("", ring=32), True),
        (Rule("", op=("stablehlo.add",), ring=32), True),
        (Rule("", op=("*.add",), ring=32), True),
        (Rule("", op=("stablehlo.subtract",), ring=32), False),
        (Rule("", op=("stablehlo.multiply", "stablehlo.a*"), ring=32), True),
        (Rule("", op=("stablehlo.[!a]*",), ring=32), False),
        (Rule("", scope=("*/layer0/*",), ring=32), True),
        (Rule("", scope=("*layer?/add",), ring=32), True),
        (Rule("", scope=("layer0",), ring=32), False),
        (Rule("", dtype=("f*",), ring=32), True),
        (Rule("", dtype=("i32",), ring=32), False),
        (Rule("", rank=2, ring=32), True),
        (Rule("", rank=3, ring=32), False),
        (Rule("", reducer=("add",), ring=32), False),
        (Rule("", op=("*.add",), rank=3, ring=32), False),
    ],
)
def test_matching(rule: Rule, matches: bool) -> None:
    assert rule.matches(ADD) == matches


def test_no_rule_leaves_the_dtype_map() -> None:
    choice = policy_with().choose(ADD)
    assert (choice.ring, choice.frac, choice.source) == (None, None, "the dtype map of policy 'test'")


@pytest.mark.parametrize(
    ("rules", "ring", "frac", "source"),
    [
        ((Rule("a", ring=32, frac=8), Rule("b", ring=64, frac=20)), 64, 20, "b"),
        ((Rule("a", ring=32, frac=8), Rule("b", frac=12)), 32, 12, "b"),
        # Fraction bits of another ring mean nothing.
        ((Rule("a", ring=32, frac=8), Rule("b", ring=64)), 64, None, "b"),
        ((Rule("a", frac=12), Rule("b", ring=OPERANDS)), OPERANDS, None, "b"),
        ((Rule("a", ring=32, frac=8), Rule("b", op=("*.exp*",), ring=64)), 32, 8, "a"),
    ],
)
def test_later_rules_win(rules: tuple[Rule, ...], ring: int | str, frac: int | None, source: str) -> None:
    choice = policy_with(*rules).choose(ADD)
    assert (choice.ring, choice.frac) == (ring, frac)
    assert choice.source == f"rule '{source}' of policy 'test'"


def test_usual_fraction_bits_of_a_ring() -> None:
    policy = policy_with(Rule("a", ring=32), Rule("b", ring=32, frac=7), Rule("c", ring=32, frac=9))
    assert policy.frac_of(64) == 18
    assert policy.frac_of(32) == 7
    with pytest.raises(
        PolicyError, match="policy 'test' sets no fraction bits for ring 128; give the rule a frac"
    ):
        policy.frac_of(128)


def test_toml() -> None:
    policy = parse_policy(
        """
        name = "mine"
        description = "Wide sums."
        base = "ditto"

        [dtypes]
        "*f16" = "fxp<64, 12>"

        [[rules]]
        name = "sums"
        op = "stablehlo.reduce*"
        scope = ["*/a/*", "*/b/*"]
        reducer = "add"
        dtype = "f32"
        rank = 1
        ring = 128
        frac = 40
        """,
        "mine.toml",
    )
    base = load_policy("ditto")
    assert (policy.name, policy.description) == ("mine", "Wide sums.")
    assert policy.dtypes == {**base.dtypes, "f16": Fxp(64, 12), "bf16": Fxp(64, 12)}
    sums = Rule(
        "sums",
        ("stablehlo.reduce*",),
        ("*/a/*", "*/b/*"),
        ("f32",),
        rank=1,
        reducer=("add",),
        ring=128,
        frac=40,
    )
    assert policy.rules == (*base.rules, sums)


def test_a_file_is_named_after_itself_and_rules_by_their_number(tmp_path: Path) -> None:
    path = tmp_path / "narrow.toml"
    path.write_text('base = "uniform64"\n[[rules]]\nring = 32\nfrac = 8\n')
    policy = load_policy(path)
    assert policy.name == "narrow"
    assert policy.rules == (Rule("rules[0]", ring=32, frac=8),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "p.toml: not valid TOML: "),
        (f"name = {'9' * 5000}", "p.toml: not valid TOML: Exceeds the limit"),
        (f"name = {'[' * 5000}", "p.toml: not valid TOML: it nests too deep"),
        ("", "p.toml: policy 'p' has no encoding for dtype f16"),
        ('rule = "x"', "p.toml: policy has an unknown key 'rule'; did you mean 'rules'?"),
        ("name = 3", "p.toml: policy: name must be a string, got 3"),
        ("rules = 3", "p.toml: policy: rules must be a list, got 3"),
        ('base = "unifrom64"', "p.toml: no policy 'unifrom64'; did you mean 'uniform64'? (presets: "),
        ('[dtypes]\nf31 = "fxp<64, 18>"', "p.toml: unknown dtype 'f31' in [dtypes]; did you mean 'f32'?"),
        ("[dtypes]\nf32 = 64", 'p.toml: dtypes.f32 must be a string such as "fxp<64, 18>", got 64'),
        ('[dtypes]\nf32 = "fxp<64>"', "p.toml: dtypes.f32: '#ditto.fxp<64>' is not a ditto encoding"),
        ('[dtypes]\nf32 = "fxp<48, 8>"', "p.toml: dtypes.f32: ring width must be one of 32, 64, 128, got 48"),
        (
            'base = "dtype"\n[dtypes]\nf32 = "int<64>"',
            "p.toml: policy 'p' maps f32 to #ditto.int<64>, expected '#ditto.fxp<..>'",
        ),
        (
            'base = "dtype"\n[dtypes]\ni1 = "fxp<64, 1>"',
            "p.toml: policy 'p' maps i1 to #ditto.fxp<64, 1>, expected '#ditto.int<..>'",
        ),
        ('base = "dtype"\nrules = ["x"]', "p.toml: rules[0] must be a table, got 'x'"),
        ('base = "dtype"\n[[rules]]\nname = "a"', "p.toml: rule 'a' sets neither ring nor frac"),
        (
            'base = "dtype"\n[[rules]]\nrign = 3',
            "p.toml: rule 'rules[0]' has an unknown key 'rign'; did you mean 'ring'?",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = "a"\nring = 48',
            "p.toml: rule 'a': ring must be 32, 64, 128 or \"operands\", got 48",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = "a"\nring = "wide"',
            "p.toml: rule 'a': ring must be 32, 64, 128 or \"operands\", got 'wide'",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = "a"\nring = 32\nfrac = 31',
            "p.toml: rule 'a': frac must be in [0, 30], got 31",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = "a"\nfrac = -1',
            "p.toml: rule 'a': frac must be in [0, 126], got -1",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = "a"\nfrac = true',
            "p.toml: rule 'a': frac must be an integer, got True",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = "a"\nop = 3\nring = 32',
            "p.toml: rule 'a': op must be a string or a list, got 3",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = "a"\nop = [3]\nring = 32',
            "p.toml: rule 'a': op must be a string or a list of strings, got [3]",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = "a"\ndtype = "f31"\nring = 32',
            "p.toml: rule 'a': no dtype matches 'f31'; did you mean 'f32'?",
        ),
        (
            'base = "dtype"\n[[rules]]\nname = 7\nring = 32',
            "p.toml: rule '7': name must be a string, got 7",
        ),
    ],
)
def test_every_error_names_file_and_key(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse_policy(text, "p.toml")
    assert message in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"cannot read policy file '.*missing\.toml'"):
        load_policy(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match=r"cannot read policy file '.*binary\.toml'"):
        load_policy(tmp_path / "binary.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(PolicyError, match=r"cannot read policy file '.*folder\.toml'"):
        load_policy(tmp_path / "folder.toml")


def test_a_base_is_looked_up_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('base = "uniform64"\n[dtypes]\nf32 = "fxp<32, 5>"\n')
    (tmp_path / "mine.toml").write_text('base = "base.toml"\n')
    assert load_policy(tmp_path / "mine.toml").dtypes["f32"] == Fxp(32, 5)


def test_a_policy_based_on_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "b.toml"\n')
    (tmp_path / "b.toml").write_text('base = "a.toml"\n')
    with pytest.raises(PolicyError, match=r"a\.toml' is based on itself"):
        load_policy(tmp_path / "a.toml")


def test_rings_of_presets_exist() -> None:
    for name in PRESETS:
        policy = load_policy(name)
        assert {encoding.ring for encoding in policy.dtypes.values()} <= set(RINGS)
        assert {rule.ring for rule in policy.rules} <= {*RINGS, OPERANDS, None}


def test_other_policies_have_other_digests() -> None:
    presets = [load_policy(name) for name in PRESETS]
    assert len({policy.digest for policy in presets}) == len(PRESETS)
    assert load_policy("ditto").digest == load_policy("ditto").digest
    ditto = load_policy("ditto")
    rule = Rule("wide", op=("stablehlo.add",), ring=64)
    changed = [
        dataclasses.replace(ditto, rules=(*ditto.rules, rule)),
        dataclasses.replace(ditto, rules=(*ditto.rules, dataclasses.replace(rule, frac=18))),
        dataclasses.replace(ditto, rules=ditto.rules[::-1]),
        dataclasses.replace(ditto, rescale="engine"),
        dataclasses.replace(ditto, forms=()),
        dataclasses.replace(ditto, dtypes={**ditto.dtypes, "f32": Fxp(64, 17)}),
    ]
    assert len({policy.digest for policy in (ditto, *changed)}) == 1 + len(changed)
