"""Measuring how large values get, on sample inputs, in plaintext."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from ditto.frontend import read_stablehlo, trace
from ditto.xla import XlaFunction
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.calibration import Ranges, argument_key, result_keys
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError, DittoWarning
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.intervals import INFINITE
from ditto_compiler.ir import (
    copy_module,
    element_type,
    entry_function,
    func,
    ir,
    numel,
    ops_of,
    set_function_type,
)
from ditto_compiler.ops.scales import is_constant
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.ditto_check_domains import DittoCheckDomains
from ditto_compiler.pipelines import checking_pipeline, front_end_pipeline
from ditto_compiler.policy import Policy, load_policy
from ditto_compiler.structure import constant


def calibrate(
    fn: Callable[..., Any] | str | bytes,
    batches: Iterable[Sequence[Any]],
    *,
    policy: str | Policy = "ditto",
    static_argnums: int | Sequence[int] = (),
    max_public_constant: int = 1024,
) -> Ranges:
    """Runs `fn` in plaintext and records the least and the largest number in every tensor.

    What stands for infinity among numbers, as in attention masks, is left out, and so is what loops and
    branches compute within. The inputs should be typical, and as extreme as those the program will see: a
    value that later exceeds its range by more than the margin (see ditto-assign-fractions) wraps around
    unnoticed. Pass the result to `ditto.compile(..., ranges=...)` with the same policy, or save it for later.

    Where what was measured leaves the domain of a function, compiling with it will be an error; a
    `DittoWarning` names the function, the range and the domain already here.

    Args:
        fn: the function, or StableHLO as text, bytecode or a portable artifact.
        batches: tuples of arguments, as `fn` takes them.
        policy: what the program will be compiled under: it decides by which formulas values are computed.
        static_argnums: as for `ditto.compile`.
        max_public_constant: as for `ditto.compile`.

    Raises:
        DittoError: no batches, or `fn` cannot be run privately.
    """
    policy = load_policy(policy) if isinstance(policy, str) else policy
    static = {static_argnums} if isinstance(static_argnums, int) else set(static_argnums)
    measure: XlaFunction | None = None
    keys: list[str] = []
    seen: list[NDArray[np.float64]] = []
    for arguments in batches:
        if measure is None:
            if isinstance(fn, (str, bytes)):
                module = read_stablehlo(fn).module
            else:
                module = trace(fn, arguments, static_argnums=static_argnums).module
            PassManager(front_end_pipeline(policy, max_public_constant=max_public_constant)).run(module)
            plain = copy_module(module)
            keys = instrument(module)
            measure = XlaFunction(module)
        dynamic = [argument for i, argument in enumerate(arguments) if i not in static]
        found = np.array(measure(*jax.tree_util.tree_leaves(dynamic)), np.float64).reshape(-1, 2)
        if np.isnan(found).any():
            bad = keys[int(np.argmax(np.isnan(found).any(axis=1)))]
            raise DittoError(f"calibration: '{bad}' is NaN on a sample; use samples on which the model works")
        seen.append(found)
    if measure is None:
        raise DittoError("calibration needs at least one batch of sample inputs")
    low, high = np.min([ends[:, 0] for ends in seen], 0), np.max([ends[:, 1] for ends in seen], 0)
    pairs = zip(keys, low.tolist(), high.tolist(), strict=True)
    # A tensor without any numbers says nothing.
    ranges = Ranges.of({key: (least, most) for key, least, most in pairs if least <= most})
    _check_domains(plain, policy, ranges)
    return ranges


def _check_domains(module: ir.Module, policy: Policy, ranges: Ranges) -> None:
    """Warns of functions whose arguments were measured outside of their domains."""
    try:
        PassManager(checking_pipeline(policy, ranges), verify_each=False).run(module)
    except CompileError as error:
        for diagnostic in error.diagnostics:
            # Anything else is for compilation to say.
            if diagnostic.message.startswith(f"[{DittoCheckDomains.name}]"):
                warnings.warn(f"{diagnostic.location}: {diagnostic.message}", DittoWarning, stacklevel=3)


def instrument(module: ir.Module) -> list[str]:
    """Makes `@main` return the least and the largest number of each value, in order of the names returned."""
    entry = entry_function(module)
    assert entry is not None
    names_of = {argument: argument_key(index) for index, argument in enumerate(entry.arguments)}
    names_of.update(result_keys(entry))
    # Constants need no measuring, and JAX's sort compares with NaN; its variance of no elements is NaN.
    values = [v for v in names_of if element_type(v) != "i1" and numel(v) and not _is_constant(v)]
    analysis = RangeAnalysis(entry)
    limits = [math.inf if analysis.of(value).is_numeric else INFINITE for value in values]
    terminator = ops_of(entry.entry_block)[-1]
    with module.context, terminator.location as location:
        builder = Builder(ir.InsertionPoint(terminator), location)
        returned = [
            end for v, limit in zip(values, limits, strict=True) for end in _ends(builder.tensor(v), limit)
        ]
        func.ReturnOp(returned, ip=ir.InsertionPoint(terminator))
        terminator.erase()
        if "res_attrs" in entry.attributes:
            del entry.attributes["res_attrs"]
        set_function_type(entry)
        names.set_argument_attributes(entry, [{} for _ in entry.arguments])
    return [names_of[value] for value in values]


def _is_constant(value: ir.Value) -> bool:
    return is_constant(value) or constant(value) is not None


def _ends(x: Tensor, limit: float) -> list[ir.Value]:
    """The least and the largest element below `limit` in magnitude, as f64; infinite if there is none."""
    x = x.converted(ir.F64Type.get())
    # So, NaN is found: it is not beyond any limit.
    beyond = x.larger(-x).compare("GE", limit)
    nothing = x.builder.full(-math.inf, x.shape, x.type.element_type)
    axes = range(len(x.shape))
    return [(-nothing.where(beyond, -x).max(axes)).value, nothing.where(beyond, x).max(axes).value]
