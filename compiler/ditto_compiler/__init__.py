"""Ditto's compiler: from StableHLO to programs that SPU runs among three parties.

    program = compile(jax.jit(fn).lower(*example_args).as_text(), policy="ditto")
    program.save("fn.ditto")

or step by step:

    policy = load_policy("ditto")
    PassManager(precision_pipeline(policy)).run(module)      # rings, scales and casts, as StableHLO
    annotated = str(module)
    PassManager(lowering_pipeline()).run(module)             # engine programs and a schedule
    program = extract_program(module, policy=policy.name, annotated=annotated)

Names are imported when first used, because passes need jaxlib while programs do not: a machine that only
runs a `Program` has none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ditto_compiler.diagnostics import CompileError as CompileError
    from ditto_compiler.driver import compile as compile
    from ditto_compiler.encoding import Cast as Cast
    from ditto_compiler.encoding import Encoding as Encoding
    from ditto_compiler.encoding import Fxp as Fxp
    from ditto_compiler.encoding import Int as Int
    from ditto_compiler.errors import DittoError as DittoError
    from ditto_compiler.errors import DittoWarning as DittoWarning
    from ditto_compiler.errors import InternalError as InternalError
    from ditto_compiler.errors import TraceError as TraceError
    from ditto_compiler.extract import extract_program as extract_program
    from ditto_compiler.pass_base import Pass as Pass
    from ditto_compiler.pass_manager import PassManager as PassManager
    from ditto_compiler.pass_manager import parse_pipeline as parse_pipeline
    from ditto_compiler.pipelines import default_pipeline as default_pipeline
    from ditto_compiler.pipelines import lowering_pipeline as lowering_pipeline
    from ditto_compiler.pipelines import precision_pipeline as precision_pipeline
    from ditto_compiler.policy import Policy as Policy
    from ditto_compiler.policy import Rule as Rule
    from ditto_compiler.policy import load_policy as load_policy
    from ditto_compiler.program import Program as Program
    from ditto_compiler.source import parse_source as parse_source
    from ditto_compiler.verifier import verify_module as verify_module

_HOMES: dict[str, str] = {
    "Cast": "encoding",
    "CompileError": "diagnostics",
    "DittoError": "errors",
    "DittoWarning": "errors",
    "Encoding": "encoding",
    "Fxp": "encoding",
    "Int": "encoding",
    "InternalError": "errors",
    "Pass": "pass_base",
    "PassManager": "pass_manager",
    "Policy": "policy",
    "Program": "program",
    "Rule": "policy",
    "TraceError": "errors",
    "compile": "driver",
    "default_pipeline": "pipelines",
    "extract_program": "extract",
    "load_policy": "policy",
    "lowering_pipeline": "pipelines",
    "parse_pipeline": "pass_manager",
    "parse_source": "source",
    "precision_pipeline": "pipelines",
    "verify_module": "verifier",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
