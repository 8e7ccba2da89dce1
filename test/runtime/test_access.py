"""Access files: what they may say, and what they allow."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto.runtime.party.access import (
    Access,
    AccessError,
    Denied,
    Deposit,
    Rule,
    load_access,
    read_store_key,
)

DIGEST, OTHER = "0123456789abcdef" * 4, "f" * 64
GOOD = f"""
sessions = 3
idle_s = 1.5
run_s = 60
memory_bytes = 1000
results_bytes = 0
store = "store"
store_key = "store.key"

[owners]
clinic = ["clinic.example", "spiffe://clinic/desk"]

[[deposit]]
name = "bert"
owner = "model.example"
max_bytes = 4000

[[deposit]]
name = "records/2024"
owner = "clinic.example"
max_bytes = 1

[[allow]]
programs = ["{DIGEST.upper()}"]
callers = ["clinic.example"]
deposits = ["bert", "records/2024"]
receivers = ["doctor.example"]

[[allow]]
programs = "any"
callers = ["guest.example"]
"""
GOOD_ACCESS = Access(
    sessions=3,
    idle_s=1.5,
    run_s=60.0,
    memory_bytes=1000,
    results_bytes=0,
    owners={"clinic": frozenset({"clinic.example", "spiffe://clinic/desk"})},
    deposits={
        "bert": Deposit("bert", "model.example", 4000),
        "records/2024": Deposit("records/2024", "clinic.example", 1),
    },
    rules=(
        Rule(
            frozenset({DIGEST}),
            frozenset({"clinic.example"}),
            frozenset({"bert", "records/2024"}),
            frozenset({"doctor.example"}),
        ),
        Rule(None, frozenset({"guest.example"})),
    ),
)


def write_key(path: Path, content: bytes = b"k" * 32, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def load(folder: Path, text: str) -> Access:
    write_key(folder / "store.key")
    (folder / "access.toml").write_text(text)
    return load_access(folder / "access.toml")


def test_every_key(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD)
    assert (found.store, found.store_key) == (tmp_path / "store", tmp_path / "store.key")
    assert {**vars(found), "store": None, "store_key": None} == vars(GOOD_ACCESS)
    assert isinstance(found.run_s, float)


def test_an_empty_file_allows_nothing(tmp_path: Path) -> None:
    access = load(tmp_path, "")
    assert access == Access(2, 600.0, 3600.0, 8589934592, 1073741824, None, None)
    assert not access.knows("clinic.example")
    with pytest.raises(Denied):
        access.may_deposit("bert", "model.example")
    with pytest.raises(Denied):
        access.check_run(caller="a", digest=DIGEST, deposits=frozenset(), receiver="a")


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, 1)


WRONG = [
    ("sessions = ", "cannot read access file"),
    ("sessions = 1\nsessions = 2", "cannot read access file"),
    ("sessions = " + "9" * 5000, "cannot read access file"),
    ("sessions = " + "[" * 100_000, "cannot read access file"),
    ("sesions = 2", "the file has an unknown key 'sesions'; did you mean 'sessions'?"),
    ("deposits = []", "the file has an unknown key 'deposits'; did you mean 'deposit'?"),
    *(
        (f"sessions = {value}", f"sessions must be a whole number from 1 to 1000, got {shown}")
        for value, shown in (
            *(("0", "0"), ("-1", "-1"), ("1001", "1001"), ("true", "True")),
            *(("2.0", "2.0"), ('"2"', "'2'"), ("[2]", "[2]")),
        )
    ),
    ("memory_bytes = 0", "memory_bytes must be a whole number from 1 to 1152921504606846976, got 0"),
    ("memory_bytes = 1e9", "memory_bytes must be a whole number from 1"),
    ("results_bytes = -1", "results_bytes must be a whole number from 0 to"),
    ("results_bytes = 0x2000000000000000", "results_bytes must be a whole number"),
    *(
        (f"{key} = {value}", f"{key} must be a number of seconds above 0 and at most 31622400, got")
        for key in ("idle_s", "run_s")
        for value in ("0", "-1.5", "inf", "nan", "false", '"1"', "31622401", "1" + "0" * 400, "1979-05-27")
    ),
    ('store = "store"', "store needs a store_key"),
    ('store_key = "store.key"', "store_key is for a store, and the file has no 'store'"),
    ('store = ""\nstore_key = "store.key"', "store must be text, not empty and without control"),
    ('store = "s"\nstore_key = "a\\u0000b"', "store_key must be text"),
    ('store = "s"\nstore_key = 3', "store_key must be text, not empty and without control characters, got 3"),
    ('store = "s"\nstore_key = "nowhere.key"', "there is no store key '"),
    ("owners = 3", "owners must be a table of labels, under [owners], got 3"),
    ("owners = []", "owners must be a table of labels"),
    ('[owners]\nclinic = "clinic.example"', "clinic in [owners] must be a list of names, got 'clinic.exa"),
    ("[owners]\nclinic = []", "clinic in [owners] must be a list of names, got []"),
    ('[owners]\nclinic = ["a", 3]', "a name in clinic in [owners] must be text"),
    ('[owners]\nclinic = [""]', "a name in clinic in [owners] must be text, not empty"),
    ('[owners]\n"" = ["a"]', "a label in [owners] must be text, not empty"),
    ('[owners]\nclinic = ["a\\nb"]', "without control characters, got 'a\\nb'"),
    ("deposit = 3", "deposit must be tables, each under [[deposit]], got 3"),
    ("deposit = [3]", "[[deposit]] number 1 must be a table with name, owner, max_bytes"),
    ('[deposit]\nname = "a"', "deposit must be tables, each under [[deposit]], got {'name': 'a'}"),
    (changed('name = "bert"\n', ""), "[[deposit]] number 1 has no 'name'"),
    (changed("max_bytes = 1\n", ""), "[[deposit]] number 2 has no 'max_bytes'"),
    (changed("max_bytes", "max_byte"), "number 1 has an unknown key 'max_byte'; did you mean 'max_bytes'?"),
    (changed("max_bytes = 4000", "max_bytes = 0"), "[[deposit]] number 1: max_bytes must be a whole number"),
    (changed('owner = "model.example"', 'owner = ""'), "[[deposit]] number 1: owner must be text"),
    (changed('name = "bert"', 'name = "be rt"'), "[[deposit]] number 1: name must be 1 to 255 letters"),
    (changed('name = "bert"', 'name = "../bert"'), "name must be 1 to 255 letters, digits"),
    (changed('name = "bert"', f'name = "{"a" * 256}"'), "name must be 1 to 255 letters, digits"),
    (changed('name = "bert"', "name = 3"), "[[deposit]] number 1: name must be text"),
    (
        changed('name = "records/2024"', 'name = "bert"'),
        "[[deposit]] number 2: there is another [[deposit]] of the name 'bert'",
    ),
    ("allow = 3", "allow must be tables, each under [[allow]], got 3"),
    (changed('callers = ["clinic.example"]\n', ""), "[[allow]] number 1 has no 'callers'"),
    (changed('programs = "any"\n', ""), "[[allow]] number 2 has no 'programs'"),
    (changed("receivers", "receiver"), "unknown key 'receiver'; did you mean 'receivers'?"),
    (changed('callers = ["clinic.example"]', "callers = []"), "[[allow]] number 1: callers must be a list"),
    (changed('receivers = ["doctor.example"]', "receivers = []"), "number 1: receivers must be a list"),
    (changed('receivers = ["doctor.example"]', "receivers = [true]"), "a name in [[allow]] number 1: receiv"),
    (changed('deposits = ["bert", "records/2024"]', 'deposits = "bert"'), "deposits must be a list of names"),
    (
        changed('deposits = ["bert",', 'deposits = ["brt",'),
        "[[allow]] number 1: there is no [[deposit]] of the name 'brt'; did you mean 'bert'?",
    ),
    (
        GOOD + 'deposits = ["bert"]\n',
        '[[allow]] number 2: programs = "any" allows no deposits',
    ),
    (
        changed('"any"', '"all"'),
        "[[allow]] number 2: programs must be \"any\" or a list of digests, got 'all'",
    ),
    (changed('"any"', "[]"), '[[allow]] number 2: programs must be "any" or a list of digests, got []'),
    (changed('"any"', "true"), "[[allow]] number 2: programs must be"),
    *(
        (
            changed('"any"', f"[{digest}]"),
            "[[allow]] number 2: programs: a digest is the 64 hexadecimal digits",
        )
        for digest in ('"any"', f'"{DIGEST[1:]}"', f'"{DIGEST}0"', f'"{DIGEST[1:]}g"', '""', "3")
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AccessError, match=re.escape(message)) as error:
        load(tmp_path, text)
    assert f"access file '{tmp_path / 'access.toml'}'" in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="cannot read access file"):
        load_access(tmp_path / "nowhere.toml")
    with pytest.raises(AccessError, match="expected the path of an access file, got 3"):
        load_access(3)  # type: ignore[arg-type]
    (tmp_path / "latin.toml").write_bytes('[owners]\nx = ["café"]'.encode("latin-1"))
    with pytest.raises(AccessError, match=r"cannot read access file '.*latin\.toml'"):
        load_access(tmp_path / "latin.toml")


def test_an_explicit_empty_list_of_deposits_is_the_default(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD + "deposits = []\n").rules == GOOD_ACCESS.rules


KEY = bytes(range(32))


@pytest.mark.parametrize(
    "content", [KEY, KEY.hex().encode(), KEY.hex().upper().encode() + b"\n", KEY.hex().encode() + b"\r\n"]
)
def test_keys_in_binary_and_in_digits(tmp_path: Path, content: bytes) -> None:
    assert read_store_key(write_key(tmp_path / "key", content)) == KEY


@pytest.mark.parametrize(
    "content",
    [b"", KEY[1:], KEY + b"\n", KEY + KEY, KEY.hex().encode()[1:], KEY.hex().encode() + b"0", b"\xff" * 64],
)
def test_keys_of_the_wrong_length(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(AccessError, match="must have 32 bytes or 64 hexadecimal digits, and has neither"):
        read_store_key(write_key(tmp_path / "key", content))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660])
def test_keys_that_others_can_read(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "key", KEY, mode)
    with pytest.raises(AccessError, match=re.escape(f"others can read store key '{path}'; run `chmod 600")):
        read_store_key(path)


def test_keys_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"there is no store key .*; make one by `\(umask 077; head -c 32"):
        read_store_key(tmp_path / "key")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(AccessError, match="is not a file"):
        read_store_key(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(AccessError, match=r"cannot read store key .*: Is a directory"):
        read_store_key(tmp_path / "folder")


def test_a_wrong_key_is_an_error_of_the_file(tmp_path: Path) -> None:
    write_key(tmp_path / "other.key", b"short")
    with pytest.raises(AccessError, match=r"access file '.*': store key '.*other\.key' must have 32 bytes"):
        load(tmp_path, GOOD.replace("store.key", "other.key"))


def test_whom_it_knows() -> None:
    known = ("clinic.example", "spiffe://clinic/desk", "model.example", "doctor.example", "guest.example")
    assert all(map(GOOD_ACCESS.knows, known))
    # Neither a label nor a deposit is somebody.
    assert not any(map(GOOD_ACCESS.knows, ("clinic", "bert", DIGEST, "any", "")))


def test_deposits() -> None:
    assert GOOD_ACCESS.may_deposit("bert", "model.example") == 4000
    assert GOOD_ACCESS.deposit_owner("bert") == "model.example"
    with pytest.raises(Denied, match=r"nobody may deposit 'brt': it takes a \[\[deposit\]\].*name = \"brt\""):
        GOOD_ACCESS.deposit_owner("brt")


def test_one_who_may_not_deposit_does_not_learn_what_exists() -> None:
    messages = []
    for name in ("bert", "nothing"):
        with pytest.raises(Denied) as error:
            GOOD_ACCESS.may_deposit(name, "eve.example")
        messages.append(str(error.value).replace(name, "NAME"))
    assert messages[0] == messages[1]
    assert messages[0] == (
        "'eve.example' may not deposit 'NAME': it takes a [[deposit]] in the access file with "
        'name = "NAME" and owner = "eve.example"'
    )


def run(
    access: Access, *deposits: str, caller: str = "clinic.example", digest: str = DIGEST, receiver: str = ""
) -> None:
    access.check_run(
        caller=caller, digest=digest, deposits=frozenset(deposits), receiver=receiver or "doctor.example"
    )


def test_runs() -> None:
    run(GOOD_ACCESS)
    run(GOOD_ACCESS, "bert")
    run(GOOD_ACCESS, "bert", "records/2024")
    run(GOOD_ACCESS, caller="guest.example", digest=OTHER, receiver="guest.example")
    for denied in (
        {"digest": OTHER},
        {"caller": "guest.example"},
        # Where receivers are listed, the caller is one only if he is.
        {"receiver": "clinic.example"},
        {"caller": "guest.example", "receiver": "doctor.example"},
        {"caller": "eve.example", "receiver": "eve.example"},
    ):
        with pytest.raises(Denied):
            run(GOOD_ACCESS, **denied)
    with pytest.raises(Denied):
        run(GOOD_ACCESS, "bert", caller="guest.example", receiver="guest.example")


def test_own_deposits_need_no_mention() -> None:
    access = Access(
        deposits=GOOD_ACCESS.deposits,
        rules=(Rule(frozenset({DIGEST}), frozenset({"clinic.example", "model.example"})),),
    )
    run(access, "records/2024", receiver="clinic.example")
    run(access, "bert", caller="model.example", receiver="model.example")
    with pytest.raises(Denied):
        run(access, "bert", receiver="clinic.example")
    # What was in the file when somebody deposited it, and is not any more, is nobody's own.
    with pytest.raises(Denied):
        run(access, "gone", receiver="clinic.example")


def test_two_rules_are_not_one() -> None:
    deposits = {name: Deposit(name, f"{name}.example", 1) for name in ("a", "b")}
    rules = tuple(Rule(frozenset({DIGEST}), frozenset({"c"}), frozenset({name})) for name in deposits)
    access = Access(deposits=deposits, rules=rules)
    for name in deposits:
        run(access, name, caller="c", receiver="c")
    with pytest.raises(Denied, match='on "a", "b" with outputs'):
        run(access, "a", "b", caller="c", receiver="c")


def test_what_a_denied_run_says() -> None:
    with pytest.raises(Denied) as error:
        run(GOOD_ACCESS, "bert", "secret-project", caller="eve.example", receiver="mallory.example")
    assert str(error.value) == (
        f'\'eve.example\' may not run program {DIGEST} on "bert", "secret-project" with outputs to '
        f"'mallory.example': it takes an [[allow]] in the access file with \"{DIGEST}\" in programs, "
        '"eve.example" in callers, "bert", "secret-project" in deposits, "mallory.example" in receivers'
    )


def test_the_entry_that_a_denial_asks_for_allows_it(tmp_path: Path) -> None:
    with pytest.raises(Denied) as error:
        run(GOOD_ACCESS, "bert", caller="eve.example", receiver="mallory.example")
    asked = str(error.value).rpartition(" with ")[2]
    lines = [f"{key} = [{names}]" for names, key in re.findall(r"((?:\"[^\"]+\"(?:, )?)+) in (\w+)", asked)]
    run(
        load(tmp_path, GOOD + "[[allow]]\n" + "\n".join(lines)),
        "bert",
        caller="eve.example",
        receiver="mallory.example",
    )


NAMES = st.sampled_from(["a", "b", "c"])
DEPOSITS = st.frozensets(st.sampled_from(["x", "y", "z"]))
DIGESTS = st.sampled_from([DIGEST, OTHER])
RULES = st.builds(
    Rule,
    st.none() | st.frozensets(DIGESTS),
    st.frozensets(NAMES),
    DEPOSITS,
    st.none() | st.frozensets(NAMES),
)


@given(
    st.lists(RULES, max_size=3),
    st.dictionaries(st.sampled_from(["x", "y"]), NAMES),
    *(NAMES, DIGESTS, DEPOSITS, NAMES),
)
def test_a_run_is_allowed_as_the_rule_says(
    rules: list[Rule],
    owners: dict[str, str],
    caller: str,
    digest: str,
    used: frozenset[str],
    receiver: str,
) -> None:
    access = Access(
        deposits={name: Deposit(name, owner, 1) for name, owner in owners.items()}, rules=tuple(rules)
    )
    expected = False
    for rule in rules:
        fits = rule.programs is None or digest in rule.programs
        fits = fits and caller in rule.callers
        for name in used:
            fits = fits and (owners.get(name) == caller or name in rule.deposits)
        fits = fits and (receiver == caller if rule.receivers is None else receiver in rule.receivers)
        expected = expected or fits
    try:
        access.check_run(caller=caller, digest=digest, deposits=used, receiver=receiver)
        found = True
    except Denied:
        found = False
    assert found == expected


def test_owners() -> None:
    def check(label: str, *sources: str) -> None:
        GOOD_ACCESS.check_owner(label, frozenset(sources), "input 0")

    check("clinic", "clinic.example", "spiffe://clinic/desk")
    # A label that the file does not have is the name itself, and one that it has is not.
    check("model.example", "model.example")
    for label, *sources in (
        ("clinic", "clinic"),
        ("clinic.example", "spiffe://clinic/desk"),
        ("model.example", "model.example", "clinic.example"),
    ):
        with pytest.raises(Denied):
            check(label, *sources)
    with pytest.raises(Denied) as error:
        check("clinic", "clinic.example", "eve.example")
    assert str(error.value) == (
        'input 0 must come from \'clinic\', and comes from "eve.example": it takes "eve.example" '
        "in clinic = [...] under [owners] in the access file"
    )
