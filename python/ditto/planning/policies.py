"""Plans as policies: a rule for each decision, as text that can be read, edited and committed."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ditto_compiler.ir import numel
from ditto_compiler.planning.keys import Key, patterns
from ditto_compiler.planning.problem import Decided, Decision, Problem
from ditto_compiler.policy import Policy, load_policy, parse_policy


@dataclass(frozen=True)
class PlannedRule:
    """One rule, and why it is there.

    Attributes:
        op: that it is about.
        scopes: patterns of these.
        nth: which of the ops of a name.
        count: how many there are of these.
        decision: what it says.
        loose: of a function, how many times as large errors may be in the margin.
        bound: the largest number there.
        elements: of one result.
        noise: the part of all noise that it adds.
    """

    op: str
    scopes: tuple[str, ...]
    nth: tuple[int, ...]
    count: int
    decision: Decision
    loose: int
    bound: float
    elements: int
    noise: float

    def text(self) -> str:
        """As TOML."""
        where = " ".join(self.scopes[:1]) or "outside of scopes"
        short = self.op.partition(".")[2]
        lines = [
            f"# {self.elements} numbers up to {self.bound:.3g}; {100 * self.noise:.2g} % of the noise",
            "[[rules]]",
            f"name = {_quoted(f'{where}: {short} {_numbers(self.nth)}')}",
            f"op = {_quoted(self.op)}",
            f"scope = {_texts(self.scopes)}",
            f"nth = {_numbers(self.nth)}",
            f"count = {self.count}",
        ]
        decision = self.decision
        if decision.frac is not None:
            lines.append(f"fraction = {decision.frac}")
        if decision.spare:
            lines.append(f"spare = {decision.spare}")
        if decision.factors is not None:
            lines.append(f"factors = [{decision.factors[0]}, {decision.factors[1]}]")
        if decision.error is not None:
            lines += [f"error = {decision.error!r}", f"loose = {self.loose}"]
        return "\n".join(lines)


def planned_rules(problem: Problem, decided: Decided) -> list[PlannedRule]:
    """The decisions as rules, in program order; those that say the same of ops of one name are one."""
    groups: defaultdict[Key, list[Key]] = defaultdict(list)
    for own, decision in decided.decisions.items():
        groups[decision.key].append(own)
    rules: dict[object, PlannedRule] = {}
    for first, keys in groups.items():
        decision = decided.decisions[keys[0]]
        others = [key.scope for key in problem.keys if key[::2] == first[::2] and key not in set(keys)]
        scopes = patterns([key.scope for key in keys], others)
        number = problem.number(first)
        same = (first.op, scopes, problem.counts[first], decision[1:5])
        known = rules.get(same)
        rules[same] = PlannedRule(
            first.op,
            scopes,
            (*known.nth, first.nth) if known else (first.nth,),
            problem.counts[first],
            decision,
            problem.loose,
            max(number.bound, known.bound if known else 0.0),
            numel(problem.instances[first][0].results[0]),
            decision.noise / (decided.noise or 1.0) + (known.noise if known else 0.0),
        )
    return list(rules.values())


@dataclass(frozen=True)
class OtherForm:
    """A form of a function that is not the base policy's.

    Attributes:
        function: such as "gelu".
        form: one of `forms.table.FORM_NAMES`.
        scopes: patterns of the scopes where it is taken.
    """

    function: str
    form: str
    scopes: tuple[str, ...]

    def text(self) -> str:
        """As TOML."""
        return f"[[forms.scopes]]\nscope = {_texts(self.scopes)}\n{self.function} = {_quoted(self.form)}\n"


@dataclass(frozen=True)
class Base:
    """What a plan stands on.

    Attributes:
        name: of a preset, or the path of a policy file.
        forms: that are taken instead of that policy's.
    """

    name: str
    forms: tuple[OtherForm, ...] = ()

    @functools.cached_property
    def policy(self) -> Policy:
        """The policy that they are together.

        Raises:
            PolicyError: there is none of that name.
        """
        if not self.forms:
            return load_policy(self.name)
        text = policy_text(load_policy(self.name).name, self, "With other forms.", [])
        return parse_policy(text, str(Path.cwd() / "base.toml"))


def policy_text(name: str, base: Base, description: str, rules: Sequence[PlannedRule]) -> str:
    """A policy file."""
    path = str(Path(base.name).resolve()) if base.name.endswith(".toml") else base.name
    lines = [
        f"name = {_quoted(name)}",
        f"base = {_quoted(path)}",
        f"description = {_quoted(description)}",
        "",
        *(form.text() for form in base.forms),
    ]
    for rule in rules:
        lines += [rule.text(), ""]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    escaped = re.sub(r'["\\]', lambda match: "\\" + match[0], text)
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'


def _texts(texts: Sequence[str]) -> str:
    return _quoted(texts[0]) if len(texts) == 1 else "[" + ", ".join(map(_quoted, texts)) + "]"


def _numbers(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else "[" + ", ".join(map(str, numbers)) + "]"
