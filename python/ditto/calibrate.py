"""Measuring how large values get, on sample inputs, in plaintext."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from ditto.frontend import read_stablehlo, trace
from ditto.xla import XlaFunction
from ditto_compiler.calibration import Ranges, argument_key, result_keys
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import FLOAT_TYPES
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import element_type, entry_function, func, ir, numel, ops_of, set_function_type
from ditto_compiler.ops.scales import is_constant
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.policy import Policy, load_policy


def calibrate(
    fn: Callable[..., Any] | str | bytes,
    batches: Iterable[Sequence[Any]],
    *,
    policy: str | Policy = "ditto",
    static_argnums: int | Sequence[int] = (),
    max_public_constant: int = 1024,
) -> Ranges:
    """Runs `fn` in plaintext and records the largest |x| of every float tensor outside of loops and branches.

    The inputs should be typical, and as extreme as those the program will see: a value that later exceeds
    its range by more than the margin (see ditto-assign-fractions) wraps around unnoticed. Pass the result
    to `ditto.compile(..., ranges=...)` with the same policy, or save it for later.

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
    largest = np.zeros(0)
    for arguments in batches:
        if measure is None:
            if isinstance(fn, (str, bytes)):
                module = read_stablehlo(fn).module
            else:
                module = trace(fn, arguments, static_argnums=static_argnums).module
            PassManager(front_end_pipeline(policy, max_public_constant=max_public_constant)).run(module)
            keys = instrument(module)
            measure = XlaFunction(module)
            largest = np.zeros(len(keys))
        dynamic = [argument for i, argument in enumerate(arguments) if i not in static]
        found = np.array([float(x) for x in measure(*jax.tree_util.tree_leaves(dynamic))])
        if np.isnan(found).any():
            bad = keys[int(np.argmax(np.isnan(found)))]
            raise DittoError(f"calibration: '{bad}' is NaN on a sample; use samples on which the model works")
        # Infinities stand for masks; a file holds numbers, and range analysis takes large ones for infinite.
        found = np.minimum(found, np.finfo(np.float32).max)
        largest = np.maximum(largest, found)
    if measure is None:
        raise DittoError("calibration needs at least one batch of sample inputs")
    return Ranges(dict(zip(keys, largest.tolist(), strict=True)))


def instrument(module: ir.Module) -> list[str]:
    """Makes `@main` return max |x| of each float value, in order of the names that this returns."""
    entry = entry_function(module)
    assert entry is not None
    names_of = {argument: argument_key(index) for index, argument in enumerate(entry.arguments)}
    names_of.update(result_keys(entry))
    # Constants need no measuring, and JAX's sort compares with NaN.
    values = [
        value
        for value in names_of
        if element_type(value) in FLOAT_TYPES and numel(value) and not is_constant(value)
    ]
    terminator = ops_of(entry.entry_block)[-1]
    with module.context, terminator.location:
        returned = [_magnitude(value, ir.InsertionPoint(terminator)) for value in values]
        func.ReturnOp(returned, ip=ir.InsertionPoint(terminator))
        terminator.erase()
        if "res_attrs" in entry.attributes:
            del entry.attributes["res_attrs"]
        set_function_type(entry)
        names.set_argument_attributes(entry, [{} for _ in entry.arguments])
    return [names_of[value] for value in values]


def _magnitude(value: ir.Value, ip: ir.InsertionPoint) -> ir.Value:
    """reduce(maximum, abs(value)), as f32."""
    tensor = ir.RankedTensorType(value.type)
    scalar = ir.RankedTensorType.get([], tensor.element_type)
    absolute = ir.Operation.create("stablehlo.abs", [value.type], [value], ip=ip).results[0]
    zero = ir.Operation.create(
        "stablehlo.constant",
        [scalar],
        attributes={
            "value": ir.DenseElementsAttr.get_splat(scalar, ir.FloatAttr.get(tensor.element_type, 0.0))
        },
        ip=ip,
    ).results[0]
    reduction = ir.Operation.create(
        "stablehlo.reduce",
        [scalar],
        [absolute, zero],
        attributes={"dimensions": ir.DenseI64ArrayAttr.get(list(range(tensor.rank)))},
        regions=1,
        ip=ip,
    )
    block = reduction.regions[0].blocks.append(scalar, scalar, arg_locs=[ir.Location.unknown()] * 2)
    inside = ir.InsertionPoint(block)
    larger = ir.Operation.create("stablehlo.maximum", [scalar], list(block.arguments), ip=inside)
    ir.Operation.create("stablehlo.return", [], [larger.results[0]], ip=inside)
    single = ir.RankedTensorType.get([], ir.F32Type.get())
    return ir.Operation.create("stablehlo.convert", [single], [reduction.results[0]], ip=ip).results[0]
