"""Precision policies: which ring and how many fraction bits each op's result gets.

Sources, later wins: the map from front-end dtypes, the rules in order, and the attributes
`ditto.ring` and `ditto.frac` that the user put on an op. A policy is a TOML file or the same thing as
dataclasses; `policies/*.toml` are the presets.
"""

from __future__ import annotations

import fnmatch
import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from ditto_compiler.diagnostics import ErrorCollector, source_location
from ditto_compiler.dtypes import DTYPES
from ditto_compiler.encoding import RINGS, Encoding, EncodingError, Fxp, Int, parse_encoding
from ditto_compiler.errors import DittoError
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.extensions import Table, package_of
from ditto_compiler.files import parse_toml
from ditto_compiler.forms.table import DEFAULTS, EXACT, FORM_NAMES
from ditto_compiler.ir import element_type, ir
from ditto_compiler.oneshot.terms import MOST_LOOSE
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops import OPS
from ditto_compiler.options import did_you_mean
from ditto_compiler.scopes import scope_path
from ditto_compiler.showing import counted, quoted, set_fields
from ditto_compiler.structure import REDUCERS, reducer

RESCALES: tuple[str, ...] = ("engine", "explicit")
"""Who truncates products."""

COMPARES: tuple[str, ...] = ("engine", "explicit")
"""Who compares."""

BESIDES: tuple[str, ...] = ("none", "shares")
"""What the parties may compute beside the engine: nothing, or one-shot functions on shares."""

OPERANDS = "operands"
"""A rule's ring: the narrowest that the op runs in and that is at least as wide as every operand's.

Entry arguments and constants do not count, for they can be supplied in any ring."""


class PolicyError(DittoError):
    """A policy that cannot be read, or that asks for what does not exist."""


@dataclass(frozen=True, repr=False)
class Rule:
    """Sets the ring and the fraction bits of the ops that match all its patterns, in the engine or beside it.

    Patterns are shell globs; a tuple matches if one of its members does. An empty tuple matches all.
    `fraction`, `spare`, `factors` and `error` are about ops as they are computed beside the engine, after
    functions have been written out (see ditto-apply-rules); `ditto.plan` writes such rules.
    """

    name: str
    """Shown when the rule leads to an error."""
    op: tuple[str, ...] = ()
    """Op names, e.g. `stablehlo.dot_general`."""
    scope: tuple[str, ...] = ()
    """JAX's name stacks, of `jax.named_scope`s and function names, e.g. `*/layer0/*`; or just scopes, e.g.
    `encoder/layer0/mlp`. One that a program does not have is an error when that is compiled, see
    ditto-check-policy."""
    dtype: tuple[str, ...] = ()
    """Element types of the first result."""
    rank: int | None = None
    """Rank of the first result."""
    reducer: tuple[str, ...] = ()
    """What a reduction reduces with, `add`, `maximum`, ...; empty for all other ops."""
    ring: int | str | None = None
    """32, 64, 128, or "operands"."""
    frac: int | None = None
    """Fraction bits."""
    fallback: int | None = None
    """A wider ring for results whose known range does not fit `ring`, or that of their operands; without it
    they are an error."""
    nth: tuple[int, ...] = ()
    """Which of the ops of a name in a scope, counted from 0; beside the engine only."""
    count: int | None = None
    """How many ops are counted with `nth`; in a scope with more or fewer, rules with `nth` are left out: a
    plan is of the ops that it was made for."""
    fraction: int | None = None
    """Fraction bits of the result beside the engine."""
    spare: int | None = None
    """Integer bits that its ring has there beyond those that its magnitude needs."""
    factors: tuple[int, int] | None = None
    """Fraction bits with which a product reads its factors there."""
    error: float | None = None
    """Largest error of a one-shot function, for arguments in the range that was measured."""
    loose: int | None = None
    """How many times as large it may be in the margin around that range."""

    def __repr__(self) -> str:
        return set_fields(self)

    def __post_init__(self) -> None:
        if self.ring is None and self.frac is None and not self.is_beside:
            raise PolicyError(f"rule '{self.name}' sets neither ring nor frac")
        self._check_beside()
        if self.ring not in (None, OPERANDS, *RINGS):
            raise PolicyError(
                f"rule '{self.name}': ring must be 32, 64, 128 or \"{OPERANDS}\", got {self.ring!r}"
            )
        widest = self.ring if isinstance(self.ring, int) else max(RINGS)
        if self.frac is not None and not 0 <= self.frac <= widest - 2:
            raise PolicyError(f"rule '{self.name}': frac must be in [0, {widest - 2}], got {self.frac}")
        least = self.ring if isinstance(self.ring, int) else min(RINGS)
        if self.fallback is not None and (
            self.ring is None or self.fallback not in RINGS or self.fallback <= least
        ):
            raise PolicyError(
                f"rule '{self.name}': fallback must be a ring wider than ring, got {self.fallback}"
            )
        for key, known in (("op", OPS), ("dtype", DTYPES), ("reducer", ("", *REDUCERS))):
            for pattern in getattr(self, key):
                if not fnmatch.filter(known, pattern):
                    # An op is easily written without its dialect.
                    full = next((name for name in known if name.endswith(f".{pattern}")), pattern)
                    raise PolicyError(
                        f"rule '{self.name}': no {key} matches '{pattern}'{did_you_mean(full, known)}"
                    )

    def _check_beside(self) -> None:
        bits = [("fraction", self.fraction), ("spare", self.spare)]
        bits += [(f"factors[{place}]", each) for place, each in enumerate(self.factors or ())]
        for key, value in bits:
            if value is not None and not 0 <= value <= WIDEST - 2:
                raise PolicyError(f"rule '{self.name}': {key} must be in [0, {WIDEST - 2}], got {value}")
        if self.factors is not None and len(self.factors) != 2:
            raise PolicyError(
                f"rule '{self.name}': factors must be two numbers of fraction bits, got {list(self.factors)}"
            )
        if self.error is not None and not 0 < self.error < math.inf:
            raise PolicyError(f"rule '{self.name}': error must be a number above 0, got {self.error}")
        if self.loose is not None and not 1 <= self.loose <= MOST_LOOSE:
            raise PolicyError(f"rule '{self.name}': loose must be in [1, {MOST_LOOSE}], got {self.loose}")
        if self.nth and not self.is_beside:
            raise PolicyError(
                f"rule '{self.name}': nth counts ops beside the engine, so the rule must set fraction, "
                "spare, factors, error or loose"
            )
        if any(number < 0 for number in self.nth):
            raise PolicyError(f"rule '{self.name}': nth counts from 0, got {list(self.nth)}")
        if self.count is not None and self.count <= max(self.nth, default=self.count):
            raise PolicyError(
                f"rule '{self.name}': count is how many ops nth counts, so more than each of these, "
                f"got {self.count} with nth = {list(self.nth)}"
            )

    @property
    def is_beside(self) -> bool:
        """Whether it says anything of ops beside the engine."""
        return any(getattr(self, one.name) is not None for one in fields(BesideChoice))

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str] | None]:
        def compiled(globs: tuple[str, ...]) -> re.Pattern[str] | None:
            return re.compile("|".join(fnmatch.translate(glob) for glob in globs)) if globs else None

        return {key: compiled(getattr(self, key)) for key in ("op", "scope", "dtype", "reducer")}

    def matches(self, features: OpFeatures) -> bool:
        """Whether the op with these features fits every pattern of the rule."""
        if self.rank is not None and self.rank != features.rank:
            return False
        if self.nth and features.nth not in self.nth:
            return False
        found: dict[str, tuple[str, ...]] = {
            key: (getattr(features, key),) for key in ("op", "dtype", "reducer", "scope")
        }
        found["scope"] += (scope_path(features.scope),)
        return all(
            pattern is None or any(pattern.fullmatch(text) for text in found[key])
            for key, pattern in self._patterns.items()
        )


@dataclass(frozen=True)
class OpFeatures:
    """What rules look at."""

    op: str
    dtype: str
    rank: int
    scope: str = ""
    reducer: str = ""
    nth: int = -1
    """Of the ops of its name in its scope; -1 where nobody counts."""


def features_of(op: ir.Operation, nth: int = -1) -> OpFeatures:
    """What rules see of an op that has a result."""
    return OpFeatures(
        op=op.name,
        dtype=element_type(op.results[0]),
        rank=len(shape_of(op.results[0])),
        scope=source_location(op.location).scope,
        reducer=(reducer(op) or "") if op.name.startswith("stablehlo.reduce") and len(op.regions) else "",
        nth=nth,
    )


@dataclass(frozen=True)
class BesideChoice:
    """What a policy says of one op beside the engine, as the fields of a `Rule` that are named alike."""

    fraction: int | None = None
    spare: int | None = None
    factors: tuple[int, int] | None = None
    error: float | None = None
    loose: int | None = None


@dataclass(frozen=True)
class Choice:
    """What a policy says of one op."""

    ring: int | str | None
    frac: int | None
    source: str
    """Where it comes from, for errors: "rule 'linear layers'"."""
    fallback: int | None = None
    """The ring for results whose range does not fit `ring`."""


@dataclass(frozen=True)
class FormRule:
    """Which forms of non-linear functions to use, everywhere or in some scopes.

    Functions and forms are those of `forms.table.FORM_NAMES`; docs/reference/forms.md describes them.
    """

    name: str
    """Shown when the rule leads to an error."""
    forms: Mapping[str, str]
    """A form by function, e.g. `{"gelu": "puma"}`."""
    scope: tuple[str, ...] = ()
    """JAX name stacks, as in `Rule`; empty for everywhere."""

    def __post_init__(self) -> None:
        for function, form in self.forms.items():
            if function not in FORM_NAMES:
                raise PolicyError(
                    f"{self.name}: there are no forms of '{function}'{did_you_mean(function, FORM_NAMES)} "
                    f"(functions: {', '.join(FORM_NAMES)})"
                )
            known = FORM_NAMES[function]
            if form not in known:
                raise PolicyError(
                    f"{self.name}: there is no form '{form}' of {function}{did_you_mean(form, known)} "
                    f"(forms: {', '.join(known)})"
                )

    def matches(self, scope: str) -> bool:
        """Whether the rule speaks of a scope."""
        return not self.scope or any(fnmatch.fnmatchcase(scope, glob) for glob in self.scope)


def form_of(rules: Sequence[FormRule], function: str, scope: str) -> str:
    """The form that rules choose; of two that match, the later wins. The default when none speaks of it."""
    rule = choosing(rules, function, scope)
    return DEFAULTS.get(function, EXACT) if rule is None else rule.forms[function]


def choosing(rules: Sequence[FormRule], function: str, scope: str) -> FormRule | None:
    """The rule that `form_of` goes by."""
    return next((rule for rule in reversed(rules) if function in rule.forms and rule.matches(scope)), None)


@dataclass(frozen=True, repr=False)
class Policy:
    """A precision policy.

    Attributes:
        name: shown in reports.
        description: one sentence.
        dtypes: encoding of each front-end dtype when no rule sets another.
        rules: in order; of two that match, the later wins, ring and frac separately, but a rule that
            sets a ring drops earlier fraction bits, which were meant for another.
        rescale: who truncates products: "engine", after each, or "explicit", by ops that the compiler
            places (see ditto-expand-rescale).
        compare: who compares secret numbers: "engine", or "explicit", by ops that the parties run outside of
            it (see ditto-expand-comparisons).
        beside: what may be computed beside the engine: "none", or one-shot functions on "shares" (see
            ditto-choose-functions).
        forms: how non-linear functions are computed; in order, the later wins.
    """

    name: str
    dtypes: Mapping[str, Encoding]
    rules: tuple[Rule, ...] = ()
    description: str = ""
    rescale: str = "engine"
    compare: str = "engine"
    beside: str = "none"
    forms: tuple[FormRule, ...] = ()
    _fracs: dict[int, int] = field(init=False, compare=False, default_factory=dict)

    def __repr__(self) -> str:
        parts = (
            counted(len(self.rules), "rule"),
            counted(len(self.forms), "choice") + " of forms",
            f"rescale={self.rescale!r}, compare={self.compare!r}, beside={self.beside!r}",
        )
        return f"<Policy {quoted(self.name)}: {', '.join(parts)}>"

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that the policy says; other policies have others."""
        said = [(each.name, getattr(self, each.name)) for each in fields(self) if each.compare]
        return hashlib.sha256(repr(said).encode()).hexdigest()

    def __post_init__(self) -> None:
        for key, value, allowed in (
            ("rescale", self.rescale, RESCALES),
            ("compare", self.compare, COMPARES),
            ("beside", self.beside, BESIDES),
        ):
            if value not in allowed:
                raise PolicyError(
                    f"policy '{self.name}': {key} must be one of {', '.join(allowed)}, got '{value}'"
                )
        for dtype in DTYPES:
            if dtype not in self.dtypes:
                raise PolicyError(f"policy '{self.name}' has no encoding for dtype {dtype}")
            wanted = Fxp if "f" in dtype else Int
            if not isinstance(self.dtypes[dtype], wanted):
                found = self.dtypes[dtype]
                raise PolicyError(
                    f"policy '{self.name}' maps {dtype} to {found}, expected '#ditto.{wanted.mnemonic}<..>'"
                )
        for encoding in self.dtypes.values():
            if isinstance(encoding, Fxp):
                self._fracs.setdefault(encoding.ring, encoding.frac)
        for rule in self.rules:
            if isinstance(rule.ring, int) and rule.frac is not None:
                self._fracs.setdefault(rule.ring, rule.frac)

    def frac_of(self, ring: int) -> int:
        """Fraction bits of a ring when nothing more specific is said.

        They are the dtype map's, or those of the first rule that sets ring and frac.

        Raises:
            PolicyError: neither sets any.
        """
        if ring not in self._fracs:
            raise PolicyError(
                f"policy '{self.name}' sets no fraction bits for ring {ring}; give the rule a frac"
            )
        return self._fracs[ring]

    def choose(self, features: OpFeatures) -> Choice:
        """What the rules say of an op; ring None when none speaks of it."""
        ring: int | str | None = None
        frac: int | None = None
        fallback: int | None = None
        source = f"the dtype map of policy '{self.name}'"
        for rule in self.rules:
            if (rule.ring is not None or rule.frac is not None) and rule.matches(features):
                source = f"rule '{rule.name}' of policy '{self.name}'"
                if rule.ring is not None:
                    ring, fallback = rule.ring, rule.fallback
                    frac = None
                if rule.frac is not None:
                    frac = rule.frac
        return Choice(ring, frac, source, fallback)

    @property
    def is_planned(self) -> bool:
        """Whether any rule is about ops beside the engine."""
        return any(rule.is_beside for rule in self.rules)

    def choose_beside(self, features: OpFeatures) -> BesideChoice:
        """What the rules say of an op beside the engine; of two that match, the later wins, key by key."""
        said: dict[str, Any] = {}
        for rule in self.rules:
            if rule.is_beside and rule.matches(features):
                values = {one.name: getattr(rule, one.name) for one in fields(BesideChoice)}
                said.update({key: value for key, value in values.items() if value is not None})
        return BesideChoice(**said)


PRESETS: tuple[str, ...] = (
    *("dtype", "uniform32", "uniform64", "uniform128"),
    *("puma", "mpcformer", "ditto-engine", "ditto", "ditto-quad"),
)

POLICIES: Table[str] = Table("policy", {name: f"{name}.toml" for name in PRESETS})
"""Policies by name: of a preset, the file in `policies/`; of a plugin's, its text."""


def load_policy(source: str | Path | Policy) -> Policy:
    """A preset or a plugin's policy by name, a policy file by path (with a suffix), or a policy, as it is.

    Raises:
        PolicyError: no such preset or file, or the file is not a policy; names the key that is wrong.
    """
    if isinstance(source, Policy):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise PolicyError(
            f"a policy is a preset ({', '.join(POLICIES)}), the path of a .toml file or a ditto.Policy, "
            f"got {source!r}"
        )
    return _load(os.fspath(source), ())


def policy_for(module: ir.Module, given: Policy | str, errors: ErrorCollector) -> Policy:
    """The policy that a pass was given.

    Raises:
        CompileError: it cannot be read.
    """
    try:
        return load_policy(given)
    except PolicyError as error:
        errors.add(module.operation, str(error))
        errors.raise_if_any()
        raise


def _load(text: str, dependents: tuple[str, ...]) -> Policy:
    """The policy `text`, the base of the first of `dependents`, that of the second, and so on."""
    if text in PRESETS:
        source = resources.files("ditto_compiler").joinpath("policies", POLICIES[text]).read_text()
        return parse_policy(source, f"{text}.toml")
    if text in dependents:
        raise PolicyError(f"policy '{text}' is based on itself")
    if text in POLICIES:
        try:
            return _parse(POLICIES[text], text, dependents)
        except PolicyError as error:
            raise PolicyError(f"of {package_of('policy', text)}: {error}") from None
    path = Path(text)
    if path.suffix != ".toml":
        raise PolicyError(
            f"no policy '{text}'{did_you_mean(text, POLICIES)} "
            f"(presets: {', '.join(POLICIES)}; or the path of a .toml file)"
        )
    try:
        return _parse(path.read_text(), text, dependents)
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"cannot read policy file '{text}': {error}") from None


def parse_policy(text: str, file: str) -> Policy:
    """Reads the TOML text of a policy; `file` is for errors, and the folder of a `base` file is its own.

    Raises:
        PolicyError: not TOML, an unknown or ill-typed key, or values out of range.
    """
    return _parse(text, file, ())


def _parse(text: str, file: str, dependents: tuple[str, ...]) -> Policy:
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise PolicyError(f"{file}: not valid TOML: {error}") from None
    try:
        _check_keys(data, _POLICY_KEYS, "policy")
        base = _load(_base_path(data["base"], file), (file, *dependents)) if "base" in data else None
        dtypes: dict[str, Encoding] = dict(base.dtypes) if base else {}
        for key, value in data.get("dtypes", {}).items():
            for dtype in _dtypes_of(key):
                dtypes[dtype] = _encoding(key, value)
        rules = tuple(_rule(index, entry) for index, entry in enumerate(data.get("rules", [])))
        return Policy(
            name=data.get("name", Path(file).stem),
            description=data.get("description", ""),
            dtypes=dtypes,
            rules=(base.rules if base else ()) + rules,
            rescale=data.get("rescale", base.rescale if base else "engine"),
            compare=data.get("compare", base.compare if base else "engine"),
            beside=data.get("beside", base.beside if base else "none"),
            forms=(base.forms if base else ()) + _form_rules(data.get("forms", {})),
        )
    except PolicyError as error:
        raise PolicyError(f"{file}: {error}") from None


def _base_path(base: str, file: str) -> str:
    return base if base in POLICIES or not base.endswith(".toml") else str(Path(file).parent / base)


def _dtypes_of(key: str) -> list[str]:
    matched = fnmatch.filter(DTYPES, key)
    if not matched:
        raise PolicyError(f"unknown dtype '{key}' in [dtypes]{did_you_mean(key, DTYPES)}")
    return matched


def _encoding(dtype: str, value: object) -> Encoding:
    """`fxp<64, 18>` or `int<32>`; `fxp<128, 40>` and so on."""
    if not isinstance(value, str):
        raise PolicyError(f'dtypes.{dtype} must be a string such as "fxp<64, 18>", got {value!r}')
    try:
        encoding = parse_encoding(f"#ditto.{value}")
        if encoding.ring not in RINGS:
            raise EncodingError(f"ring width must be one of 32, 64, 128, got {encoding.ring}")
        return encoding
    except EncodingError as error:
        raise PolicyError(f"dtypes.{dtype}: {error}") from None


_POLICY_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "description": str,
    "base": str,
    "rescale": str,
    "compare": str,
    "beside": str,
    "dtypes": dict,
    "rules": list,
    "forms": dict,
}

_RULE_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "op": (str, list),
    "scope": (str, list),
    "dtype": (str, list),
    "reducer": (str, list),
    "rank": int,
    "ring": (int, str),
    "frac": int,
    "fallback": int,
    "nth": (int, list),
    "count": int,
    "fraction": int,
    "spare": int,
    "factors": list,
    "error": (int, float),
    "loose": int,
}


def _form_rules(table: dict[str, Any]) -> tuple[FormRule, ...]:
    """`[forms]` with a form by function, then each of `[[forms.scopes]]` with its `scope` besides."""
    everywhere = {key: value for key, value in table.items() if key != "scopes"}
    scoped = table.get("scopes", [])
    if not isinstance(scoped, list) or not all(isinstance(entry, dict) for entry in scoped):
        raise PolicyError(f"forms.scopes must be a list of tables, got {scoped!r}")
    rules = [FormRule("[forms]", _strings(everywhere, "[forms]"))]
    for index, entry in enumerate(scoped):
        name = f"forms.scopes[{index}]"
        if "scope" not in entry:
            raise PolicyError(f"{name} has no 'scope'; forms for everywhere stand in [forms]")
        scope = (entry["scope"],) if isinstance(entry["scope"], str) else entry["scope"]
        if not isinstance(scope, (list, tuple)) or not all(isinstance(glob, str) for glob in scope):
            raise PolicyError(f"{name}: scope must be a string or a list of strings, got {scope!r}")
        forms = {key: value for key, value in entry.items() if key != "scope"}
        rules.append(FormRule(name, _strings(forms, name), tuple(scope)))
    return tuple(rule for rule in rules if rule.forms)


def _strings(table: dict[str, Any], where: str) -> dict[str, str]:
    for key, value in table.items():
        if not isinstance(value, str):
            raise PolicyError(f"{where}: {key} must be the name of a form, got {value!r}")
    return table


def _rule(index: int, entry: Any) -> Rule:
    if not isinstance(entry, dict):
        raise PolicyError(f"rules[{index}] must be a table, got {entry!r}")
    name = entry.get("name", f"rules[{index}]")
    _check_keys(entry, _RULE_KEYS, f"rule '{name}'")
    values: dict[str, Any] = {}
    for key, value in entry.items():
        if key in ("op", "scope", "dtype", "reducer"):
            values[key] = (value,) if isinstance(value, str) else tuple(value)
            if not all(isinstance(pattern, str) for pattern in values[key]):
                raise PolicyError(
                    f"rule '{name}': {key} must be a string or a list of strings, got {value!r}"
                )
        elif key in ("nth", "factors"):
            values[key] = tuple(value) if isinstance(value, list) else (value,)
            if not all(type(number) is int for number in values[key]):
                raise PolicyError(f"rule '{name}': {key} must be integers, got {value!r}")
        else:
            values[key] = value
    return Rule(**{"name": name, **values})


def _check_keys(entry: dict[str, Any], known: Mapping[str, type | tuple[type, ...]], where: str) -> None:
    for key, value in entry.items():
        if key not in known:
            raise PolicyError(f"{where} has an unknown key '{key}'{did_you_mean(key, known)}")
        expected = known[key]
        if not isinstance(value, expected) or isinstance(value, bool):
            kinds = expected if isinstance(expected, tuple) else (expected,)
            wanted = " or ".join(
                {str: "a string", int: "an integer", float: "a number", list: "a list", dict: "a table"}[k]
                for k in kinds
            )
            raise PolicyError(f"{where}: {key} must be {wanted}, got {value!r}")
