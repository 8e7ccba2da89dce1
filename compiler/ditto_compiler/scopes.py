"""Where in the user's model an op belongs: the path of `jax.named_scope`s around it.

JAX's name stacks, such as `jit(f)/jit(main)/encoder/layer0/attention/qk,kd->qd/dot_general`, also have parts
that it makes itself. They end in the primitive's name.
"""

from __future__ import annotations

import re

from ditto_compiler.diagnostics import source_location
from ditto_compiler.ir import ir

_WRAPPED = re.compile(r"(?:vmap|jvp|transpose|remat|checkpoint|rematted_computation)\((.*)\)")

_MADE_BY_JAX = re.compile(
    r"p?jit(\(.*\))?|closed_call|custom_jvp_call|custom_vjp_call(_jaxpr)?|core_call|xla_call|checkpoint|"
    r"while|body|cond|scan|branch_\d+_fun|.*->.*"
)


def scope_of(op: ir.Operation) -> str:
    """The scope of an op, such as `encoder/layer0/attention`; empty outside of all."""
    return scope_path(source_location(op.location).scope)


def scope_path(name_stack: str) -> str:
    """The scopes in a name stack."""
    parts = name_stack.split("/")[:-1]
    kept = []
    for part in parts:
        while match := _WRAPPED.fullmatch(part):
            part = match[1]
        if part and not _MADE_BY_JAX.fullmatch(part):
            kept.append(part)
    return "/".join(kept)
