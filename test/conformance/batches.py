"""Many cases as one program: a compilation and a run cost more than most cases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from case_builders import Case, type_of

import ditto
from ditto_compiler.policy import Policy
from ditto_compiler.source import parse_source


def merged(cases: Sequence[Case]) -> str:
    """A module whose @main calls that of each case, on arguments of its own."""
    parameters, calls, results, functions = [], [], [], []
    for number, case in enumerate(cases):
        body = case.text[case.text.index("{") + 1 : case.text.rindex("}")]
        for name in re.findall(r"func\.func (?:public |private )?@(\w+)", body):
            body = re.sub(rf"@{name}\b", f"@of_{number}_{name}", body)
        functions.append(body.replace("func.func public", "func.func private"))
        inputs, outputs = ([type_of(value) for value in values] for values in (case.arguments, case.expected))
        names = [f"%a{number}_{index}" for index in range(len(inputs))]
        parameters += [f"{name}: {type_}" for name, type_ in zip(names, inputs, strict=True)]
        calls.append(
            f"%r{number}:{len(outputs)} = func.call @of_{number}_main({', '.join(names)}) "
            f": ({', '.join(inputs)}) -> ({', '.join(outputs)})"
        )
        results += [(f"%r{number}#{index}", type_) for index, type_ in enumerate(outputs)]
    types = ", ".join(type_ for _, type_ in results)
    lines = [*calls, f"return {', '.join(name for name, _ in results)} : {types}"]
    body = "\n".join(lines)
    return (
        f"module {{\nfunc.func public @main({', '.join(parameters)}) -> ({types}) {{\n{body}\n}}\n"
        f"{''.join(functions)}}}\n"
    )


def compiled(cases: Sequence[Case], policy: Policy) -> ditto.Program:
    """The program of these cases; arguments are secret but for those that steer control flow."""
    text = merged(cases) if len(cases) > 1 else cases[0].text
    return ditto.compile(
        parse_source(text.encode(), cases[0].name),
        policy=policy,
        visibility=[
            "public" if index in case.public else "secret"
            for case in cases
            for index in range(len(case.arguments))
        ],
        max_public_constant=-1,
    )


def arguments_of(cases: Sequence[Case]) -> list[np.ndarray[Any, Any]]:
    return [argument for case in cases for argument in case.arguments]


def split(cases: Sequence[Case], outputs: Any) -> list[list[np.ndarray[Any, Any]]]:
    """The outputs of each case."""
    flat = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    values = iter(flat)
    return [[np.asarray(next(values)) for _ in case.expected] for case in cases]
