"""Fitting the one-shot functions of a program: from `ditto.oneshot` to integer terms."""

from __future__ import annotations

from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import ir
from ditto_compiler.oneshot.terms import Terms


def fitted_terms(module: ir.Module, op: ir.Operation, frac: int, result: Fxp) -> Terms | str:
    raise NotImplementedError
