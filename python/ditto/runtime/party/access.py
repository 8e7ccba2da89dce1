"""The file in which a party's operator says who may do what there.

    sessions = 2                # callers that are served side by side; more wait in line
    idle_s = 600                # seconds that a caller may be silent while nothing runs
    run_s = 3600                # seconds that one run may take
    memory_bytes = 8589934592   # that one session's inputs and kept arrays may have
    results_bytes = 1073741824  # of results that wait for a receiver, per receiver
    store = "store"             # folder of deposits and results; without it they are gone with the process
    store_key = "store.key"     # 32 random bytes, or 64 hexadecimal digits; with `store` only

    [owners]                    # what programs call owners, and the names in certificates that are meant
    clinic = ["clinic.example"] # a label that is not here means the certificate's name itself

    [[deposit]]                 # who may deposit what
    name = "bert"
    owner = "model.example"
    max_bytes = 4000000000      # on disk

    [[allow]]                   # who may run what on whose deposits, and who may receive the outputs
    programs = ["<digest>"]     # SHA-256 of the program's file; or programs = "any", which allows no deposits
    callers = ["clinic.example"]
    deposits = ["bert"]         # default: none but the caller's own, which need no mention
    receivers = ["clinic.example"]  # default: whoever calls

Every key may be left out but those of `[[deposit]]`, and `programs` and `callers`; the numbers at the top are
the defaults. Nobody may do what the file does not allow. Each party has a file of its own; paths are relative
to it.

A run is allowed by one `[[allow]]` that has the program, the caller, every deposit of others that is used,
and the receiver. Two that have half of the deposits each do not allow it: nobody agreed to use them together.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ditto.runtime.party.store import KEY_BYTES, is_word
from ditto.runtime.transport.identity import normal_name
from ditto.runtime.transport.tables import check_keys, read_tables
from ditto_compiler.errors import DittoError
from ditto_compiler.files import as_path
from ditto_compiler.options import did_you_mean

_KEYS = (
    *("sessions", "idle_s", "run_s", "memory_bytes", "results_bytes"),
    *("store", "store_key", "owners", "deposit", "allow"),
)
_MOST_SESSIONS = 1000
_MOST_SECONDS = 366 * 24 * 3600
_MOST_BYTES = 1 << 60
_HEX = frozenset("0123456789abcdef")


class AccessError(DittoError):
    """An access file that cannot be read or says something wrong."""


class Denied(DittoError):
    """Somebody asks for what the access file does not allow; the message says what entry would."""


@dataclass(frozen=True)
class Deposit:
    """A `[[deposit]]`: `owner` may deposit up to `max_bytes` under `name`."""

    name: str
    owner: str
    max_bytes: int


@dataclass(frozen=True)
class Rule:
    """An `[[allow]]`.

    Attributes:
        programs: digests; None for any program.
        callers: who may run them.
        deposits: of others, that they may be run on.
        receivers: who may receive the outputs; None for whoever calls.
    """

    programs: frozenset[str] | None
    callers: frozenset[str]
    deposits: frozenset[str] = frozenset()
    receivers: frozenset[str] | None = None

    def allows(self, caller: str, digest: str, foreign: frozenset[str], receiver: str) -> bool:
        """Whether the rule covers a run; `foreign` are the deposits of others than the caller."""
        receivers = {caller} if self.receivers is None else self.receivers
        return (
            (self.programs is None or digest in self.programs)
            and caller in self.callers
            and foreign <= self.deposits
            and receiver in receivers
        )


@dataclass(frozen=True)
class Access:
    """An access file; see the top of this module for what its keys mean.

    Callers, owners and receivers are the names in certificates.
    """

    sessions: int = 2
    idle_s: float = 600.0
    run_s: float = 3600.0
    memory_bytes: int = 1 << 33
    results_bytes: int = 1 << 30
    store: Path | None = None
    store_key: Path | None = None
    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    deposits: Mapping[str, Deposit] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @cached_property
    def _known(self) -> frozenset[str]:
        names = {deposit.owner for deposit in self.deposits.values()}.union(*self.owners.values())
        for rule in self.rules:
            names |= rule.callers | (rule.receivers or frozenset())
        return frozenset(names)

    def knows(self, name: str) -> bool:
        """Whether the file has a name anywhere: as a caller, an owner or a receiver."""
        return name in self._known

    def may_deposit(self, name: str, caller: str) -> int:
        """How many bytes `caller` may deposit under `name`.

        Raises:
            Denied: none. Whether the name is another's is not said.
        """
        deposit = self.deposits.get(name)
        if deposit is None or deposit.owner != caller:
            raise Denied(
                f"'{caller}' may not deposit '{name}': it takes a [[deposit]] in the access file with "
                f'name = "{name}" and owner = "{caller}"'
            )
        return deposit.max_bytes

    def may_use(self, name: str, caller: str) -> None:
        """Checks that a caller may know what is deposited under a name, in order to run programs on it.

        Raises:
            Denied: it is another's, and no rule has both. Whether it exists is not said.
        """
        deposit = self.deposits.get(name)
        if deposit is not None and deposit.owner == caller:
            return
        if not any(caller in rule.callers and name in rule.deposits for rule in self.rules):
            raise Denied(
                f"'{caller}' may not use deposit '{name}': it takes an [[allow]] in the access file with "
                f'"{name}" in deposits, "{caller}" in callers'
            )

    def deposit_owner(self, name: str) -> str:
        """Who may deposit under `name`.

        Raises:
            Denied: nobody.
        """
        if name not in self.deposits:
            raise Denied(
                f"nobody may deposit '{name}': it takes a [[deposit]] in the access file with "
                f'name = "{name}"'
            )
        return self.deposits[name].owner

    def check_run(self, *, caller: str, digest: str, deposits: frozenset[str], receiver: str) -> None:
        """Checks that a run is allowed.

        Args:
            caller: who asks for it.
            digest: the program's, in lower case.
            deposits: all that its inputs came from, the caller's own among them or not.
            receiver: who gets the outputs.

        Raises:
            Denied: no rule allows it. Which part is missing is not said, nor whether a deposit exists.
        """
        foreign = frozenset(
            name for name in deposits if name not in self.deposits or self.deposits[name].owner != caller
        )
        if any(rule.allows(caller, digest, foreign, receiver) for rule in self.rules):
            return
        entry = [f'"{digest}" in programs', f'"{caller}" in callers']
        if foreign:
            entry.append(f"{_quoted(foreign)} in deposits")
        if receiver != caller:
            entry.append(f'"{receiver}" in receivers')
        using = f" on {_quoted(foreign)}" if foreign else ""
        raise Denied(
            f"'{caller}' may not run program {digest}{using} with outputs to '{receiver}': it takes an "
            f"[[allow]] in the access file with {', '.join(entry)}"
        )

    def check_owner(self, label: str, sources: frozenset[str], where: str) -> None:
        """Checks that what a program expects from `label` comes from those who are meant.

        Args:
            label: what the program calls the owner.
            sources: whom the data came from.
            where: says which input it is, for the error.

        Raises:
            Denied: somebody of `sources` is not meant.
        """
        if strangers := sources - self.owners.get(label, frozenset({label})):
            raise Denied(
                f"{where} must come from '{label}', and comes from {_quoted(strangers)}: it takes "
                f"{_quoted(strangers)} in {label} = [...] under [owners] in the access file"
            )


def load_access(path: str | Path) -> Access:
    """Reads an access file.

    Raises:
        AccessError: no such file, not TOML, or a key that is missing, unknown, of the wrong type or out of
            range; a deposit that is allowed and that nobody may make; or a store key that cannot be used.
    """
    path = as_path(path, "an access file", AccessError)
    data = read_tables(path, "access file", AccessError)
    try:
        return _access(data, path.parent)
    except AccessError as error:
        raise AccessError(f"access file '{path}': {error}") from None


def read_store_key(path: Path) -> bytes:
    """Reads the key of a store.

    Raises:
        AccessError: there is none, others can read it, or it is no key.
    """
    try:
        # A pipe would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise AccessError(f"store key '{path}' is not a file")
            if mode & 0o077:
                raise AccessError(f"others can read store key '{path}'; run `chmod 600 '{path}'`")
            # A line's end, and one byte more than it may have.
            content = file.read(2 * KEY_BYTES + 3)
    except FileNotFoundError:
        raise AccessError(
            f"there is no store key '{path}'; make one by "
            f"`(umask 077; head -c {KEY_BYTES} /dev/urandom > '{path}')`"
        ) from None
    except OSError as error:
        raise AccessError(f"cannot read store key '{path}': {error.strerror}") from None
    if len(content) == KEY_BYTES:
        return content
    digits = content.decode("ascii", errors="replace").strip().lower()
    if not _is_hex(digits, 2 * KEY_BYTES):
        raise AccessError(
            f"store key '{path}' must have {KEY_BYTES} bytes or {2 * KEY_BYTES} hexadecimal digits, and has "
            f"neither"
        )
    return bytes.fromhex(digits)


def _access(data: dict[str, Any], folder: Path) -> Access:
    check_keys(data, "the file", AccessError, (), _KEYS)
    values: dict[str, Any] = {}
    for key, least, most in (
        ("sessions", 1, _MOST_SESSIONS),
        ("memory_bytes", 1, _MOST_BYTES),
        ("results_bytes", 0, _MOST_BYTES),
    ):
        if key in data:
            values[key] = _whole(data[key], key, least, most)
    for key in ("idle_s", "run_s"):
        if key in data:
            values[key] = _seconds(data[key], key)
    for key in ("store", "store_key"):
        if key in data:
            values[key] = folder / _text(data[key], key)
    if "store" in values and "store_key" not in values:
        raise AccessError("store needs a store_key, the path of a file with 32 random bytes")
    if "store_key" in values:
        if "store" not in values:
            raise AccessError("store_key is for a store, and the file has no 'store'")
        read_store_key(values["store_key"])
    owners = data.get("owners", {})
    if not isinstance(owners, dict):
        raise AccessError(f"owners must be a table of labels, under [owners], got {owners!r}")
    values["owners"] = {
        _text(label, "a label in [owners]"): _names(names, f"{label} in [owners]")
        for label, names in owners.items()
    }
    values["deposits"] = deposits = {}
    for table, where in _tables(data, "deposit"):
        deposit = _deposit(table, where)
        if deposit.name in deposits:
            raise AccessError(f"{where}: there is another [[deposit]] of the name '{deposit.name}'")
        deposits[deposit.name] = deposit
    values["rules"] = tuple(_rule(table, where, deposits) for table, where in _tables(data, "allow"))
    return Access(**values)


def _tables(data: dict[str, Any], key: str) -> list[tuple[object, str]]:
    """The tables under `[[key]]`, each with a name for errors."""
    tables = data.get(key, [])
    if not isinstance(tables, list):
        raise AccessError(f"{key} must be tables, each under [[{key}]], got {tables!r}")
    return [(table, f"[[{key}]] number {number}") for number, table in enumerate(tables, 1)]


def _deposit(table: Any, where: str) -> Deposit:
    check_keys(table, where, AccessError, ("name", "owner", "max_bytes"))
    name = _text(table["name"], f"{where}: name")
    if not is_word(name):
        raise AccessError(
            f"{where}: name must be 1 to 255 letters, digits and . _ : / @ -, without '..', got {name!r}"
        )
    owner = _name(table["owner"], f"{where}: owner")
    return Deposit(name, owner, _whole(table["max_bytes"], f"{where}: max_bytes", 1, _MOST_BYTES))


def _rule(table: Any, where: str, known: Mapping[str, Deposit]) -> Rule:
    check_keys(table, where, AccessError, ("programs", "callers"), ("deposits", "receivers"))
    programs = _programs(table["programs"], f"{where}: programs")
    callers = _names(table["callers"], f"{where}: callers")
    deposits = _deposits(table.get("deposits", []), f"{where}: deposits")
    receivers = _names(table["receivers"], f"{where}: receivers") if "receivers" in table else None
    for name in sorted(deposits - set(known)):
        raise AccessError(f"{where}: there is no [[deposit]] of the name '{name}'{did_you_mean(name, known)}")
    if programs is None and deposits:
        raise AccessError(
            f'{where}: programs = "any" allows no deposits, for any program may be one that gives them out; '
            f"list the programs' digests"
        )
    return Rule(programs, callers, deposits, receivers)


def _programs(value: object, where: str) -> frozenset[str] | None:
    if value == "any":
        return None
    if not isinstance(value, list) or not value:
        raise AccessError(f'{where} must be "any" or a list of digests, got {value!r}')
    digests = [digest.lower() if isinstance(digest, str) else digest for digest in value]
    for digest in digests:
        if not isinstance(digest, str) or not _is_hex(digest, 64):
            raise AccessError(
                f"{where}: a digest is the 64 hexadecimal digits of a program file's SHA-256, got {digest!r}"
            )
    return frozenset(digests)


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and set(text) <= _HEX


def _deposits(value: object, where: str) -> frozenset[str]:
    if not isinstance(value, list):
        raise AccessError(f"{where} must be a list of names, got {value!r}")
    return frozenset(_text(name, f"a name in {where}") for name in value)


def _names(value: object, where: str) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise AccessError(f"{where} must be a list of names, got {value!r}")
    return frozenset(_name(name, f"a name in {where}") for name in value)


def _name(value: object, where: str) -> str:
    """A name in a certificate, as names are compared."""
    return normal_name(_text(value, where))


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise AccessError(f"{where} must be text, not empty and without control characters, got {value!r}")
    return value


def _whole(value: object, where: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise AccessError(f"{where} must be a whole number from {least} to {most}, got {value!r}")
    return value


def _seconds(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MOST_SECONDS:
        raise AccessError(
            f"{where} must be a number of seconds above 0 and at most {_MOST_SECONDS}, got {value!r}"
        )
    return float(value)


def _quoted(names: frozenset[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))
