"""The policies that are compared: cheap functions, in each ring."""

from __future__ import annotations

import dataclasses

from ditto.bench.quantization import with_linear_fraction
from ditto_compiler.policy import Policy, load_policy

FORMS = {"gelu": "quad", "softmax": "2quad_oneshot"}
"""MPCFormer's functions."""


def quadratic(base: str, name: str) -> Policy:
    """A preset with MPCFormer's functions."""
    found = load_policy(base)
    forms = tuple(
        dataclasses.replace(rule, forms={**rule.forms, **FORMS}) if not rule.scope else rule
        for rule in found.forms
    )
    return dataclasses.replace(found, name=name, forms=forms)


def quadratic_on_shares() -> Policy:
    """`ditto`, with these forms."""
    return quadratic("ditto", "ditto-2quad")


def quantized(frac: int) -> Policy:
    """These forms in the engine's mixed rings, with so many fraction bits in ring 32: the paper's setting."""
    policy = quadratic("ditto-engine", f"quadratic-{frac}-bits")
    return with_linear_fraction(policy, frac)
