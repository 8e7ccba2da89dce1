"""Measuring how large values get, on sample inputs, in plaintext."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence, Sized
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from ditto import tree
from ditto.frontend import Source, Visibility, positions, to_stablehlo
from ditto.progress import bar
from ditto.runtime.caller.inputs import InputError, as_array, is_number_for
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.building import joined
from ditto_compiler.calibration import Ranges, result_keys, value_keys
from ditto_compiler.diagnostics import CompileError, named
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.errors import DittoError, DittoWarning
from ditto_compiler.forms.builder import Builder, Tensor, stacked
from ditto_compiler.intervals import INFINITE
from ditto_compiler.ir import (
    clone_op,
    copy_module,
    defining_op,
    element_type,
    entry_function,
    func,
    ir,
    nested_ops,
    numel,
    ops_of,
    set_function_type,
)
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.scales import is_constant
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.ditto_check_domains import DittoCheckDomains
from ditto_compiler.pipelines import checking_pipeline, front_end_pipeline
from ditto_compiler.policy import Policy, load_policy
from ditto_compiler.structure import constant, is_float
from ditto_compiler.xla import MANY, XlaFunction


def calibrate(
    fn: Source,
    batches: Iterable[Sequence[Any]],
    *,
    policy: str | Path | Policy = "ditto",
    visibility: Visibility = "secret",
    static_argnums: int | Sequence[int] = (),
    max_public_constant: int = 1024,
    progress: bool = False,
) -> Ranges:
    """Runs `fn` in plaintext and records the least and the largest number in every tensor.

    What stands for infinity among numbers, as in attention masks, is left out, and so is what loops and
    branches compute within. The inputs should be typical, and as extreme as those the program will see: a
    value that later exceeds its range by more than the margin (see ditto-assign-fractions) wraps around
    unnoticed. Pass the result to `ditto.compile(..., ranges=...)` with the same policy, or save it for later.

    Where what was measured leaves the domain of a function, compiling with it will be an error; a
    `DittoWarning` names the function, the range and the domain already here.

    Args:
        fn: the function, or StableHLO, as for `ditto.compile`; a module is not changed.
        batches: tuples of arguments, as `fn` takes them, all of the same shapes and dtypes.
        policy: what the program will be compiled under: it decides by which formulas values are computed.
        visibility: as for `ditto.compile`.
        static_argnums: as for `ditto.compile`.
        max_public_constant: as for `ditto.compile`.
        progress: show which batch is being measured, on a terminal or in a notebook.

    Raises:
        InputError: no batches, or one that does not fit the first.
        DittoError: `fn` cannot be run privately.
    """
    policy = load_policy(policy)
    if not isinstance(batches, Iterable):
        raise InputError(f"calibration takes an iterable of tuples of arguments, got {batches!r}")
    probe: _Probe | None = None
    count = len(batches) if isinstance(batches, Sized) else None
    with bar(progress, None if count is None else count + 1) as told:
        for number, arguments in enumerate(batches):
            if not isinstance(arguments, (tuple, list)):
                kind = type(arguments).__name__
                raise InputError(f"calibration: batch {number} must be a tuple of arguments, got a {kind}")
            if probe is None:
                told("compiling what measures")
                runs = MANY if count is None else count
                probe = _Probe(fn, arguments, policy, visibility, static_argnums, max_public_constant, runs)
            told(f"measuring batch {number + 1}")
            probe.add(arguments, number)
        if probe is None:
            raise InputError("calibration needs at least one batch of sample inputs")
        ranges = probe.ranges()
    _check_domains(probe.module, policy, ranges)
    return ranges


LONG = 1 << 18
"""Elements of a value, in all runs, from which XLA should optimize: that takes 3 ms a value, and saves about
20 ns an element."""


class _Probe:
    """A program that measures its values, compiled for the first batch.

    Attributes:
        module: what is measured.
        keys: names of its values.
        low, high: the least and the largest number of each that were seen.
    """

    def __init__(
        self,
        fn: Source,
        arguments: Sequence[Any],
        policy: Policy,
        visibility: Visibility,
        static_argnums: int | Sequence[int],
        max_public_constant: int,
        runs: int,
    ) -> None:
        self._static = positions(static_argnums, len(arguments) if callable(fn) else 0)
        self._statics = self._static_values(arguments)
        source = copy_module(fn) if isinstance(fn, ir.Module) else fn
        examples = arguments if callable(fn) else ()
        traced = to_stablehlo(source, examples, visibility=visibility, static_argnums=static_argnums)
        module = traced.module
        with named(traced.file):
            PassManager(front_end_pipeline(policy, max_public_constant=max_public_constant)).run(module)
        entry = entry_function(module)
        assert entry is not None
        self.module = copy_module(module)
        self._tree = traced.input_tree
        self._types = [(tuple(shape_of(a)), numpy_dtype(element_type(a))) for a in entry.arguments]
        self.keys = instrument(module)
        self.low = np.full(len(self.keys), math.inf)
        self.high = np.full(len(self.keys), -math.inf)
        # One function for both: compiling it is most of the work.
        switch = _new_argument(module)
        self._switches = [0.0, 1.0] if add_slack(module, switch) else [0.0]
        long = runs * len(self._switches) * _mean_size(self.module) >= LONG
        self._measure = XlaFunction(module, MANY if long else 1)

    def add(self, arguments: Sequence[Any], number: int) -> None:
        """Takes the values of batch `number` into account; maxima with slack without it, and with all."""
        arrays = self._arrays(arguments, f"batch {number}")
        for switch in self._switches:
            self._note(self._measure(*arrays, np.float32(switch))[0])

    def _note(self, found: NDArray[np.float64]) -> None:
        if np.isnan(found).any():
            bad = self.keys[int(np.argmax(np.isnan(found).any(axis=1)))]
            raise DittoError(f"calibration: '{bad}' is NaN on a sample; use samples on which the model works")
        self.low, self.high = np.minimum(self.low, found[:, 0]), np.maximum(self.high, found[:, 1])

    def ranges(self) -> Ranges:
        """What was seen; a tensor without any numbers says nothing."""
        pairs = zip(self.keys, self.low.tolist(), self.high.tolist(), strict=True)
        return Ranges.of({key: (least, most) for key, least, most in pairs if least <= most})

    def _static_values(self, arguments: Sequence[Any]) -> list[Any]:
        return [argument for i, argument in enumerate(arguments) if i in self._static]

    def _arrays(self, arguments: Sequence[Any], batch: str) -> list[Any]:
        """A batch as the flat arrays that the program takes."""
        dynamic = tuple(argument for i, argument in enumerate(arguments) if i not in self._static)
        statics = self._static_values(arguments)
        if statics != self._statics:
            raise InputError(
                f"calibration: {batch} has other static arguments than the first, {statics} instead of "
                f"{self._statics}; calibrate for each"
            )
        try:
            leaves = tree.flatten(self._tree, dynamic)
        except tree.TreeError as error:
            raise InputError(f"calibration: {batch}: {error}") from None
        if len(leaves) != len(self._types):
            raise InputError(
                f"calibration: {batch} has {len(leaves)} arrays, the program takes {len(self._types)}"
            )
        arrays = []
        for index, (leaf, (shape, dtype)) in enumerate(zip(leaves, self._types, strict=True)):
            array = as_array(leaf, f"calibration: {batch}, array {index}")
            # JAX holds 64-bit numbers in 32, unless it is told not to.
            if is_number_for(leaf, array, dtype) or jax.dtypes.canonicalize_dtype(array.dtype) == dtype:
                array = array.astype(dtype)
            if (array.shape, array.dtype) != (shape, dtype):
                raise InputError(
                    f"calibration: {batch}, array {index}: expected {dtype} of shape {shape}, "
                    f"got {array.dtype} of shape {array.shape}"
                )
            arrays.append(array)
        return arrays


def _mean_size(module: ir.Module) -> float:
    """Elements that a value of `@main` has on average."""
    entry = entry_function(module)
    assert entry is not None
    sizes = [numel(value) for value in result_keys(entry)]
    return sum(sizes) / max(1, len(sizes))


def _new_argument(module: ir.Module) -> ir.Value:
    """A number that `@main` takes after all else."""
    entry = entry_function(module)
    assert entry is not None
    with module.context, entry.location as location:
        number = entry.entry_block.add_argument(ir.RankedTensorType.get([], ir.F32Type.get()), location)
        set_function_type(entry)
        names.set_argument_attributes(entry, [{} for _ in entry.arguments])
    return number


def add_slack(module: ir.Module, switch: ir.Value | None = None) -> bool:
    """Makes each maximum that has slack as large as it may be; whether there is any.

    A `switch` is a number that slack is multiplied by: 0 for none.
    """
    reductions = [op for op in nested_ops(module.operation) if op.name == "stablehlo.reduce"]
    found = [op for op in reductions if names.SLACK in op.attributes]
    for op in found:
        with module.context, op.location:
            builder = Builder.before(op)
            maximum = builder.tensor(clone_op(op, {}, ir.InsertionPoint(op)).results[0])
            slack: Tensor | float = names.get_float(op, names.SLACK) or 0.0
            if switch is not None:
                factor = builder.tensor(switch).converted(maximum.type.element_type)
                slack = factor.spread(maximum.shape, ()) * slack
            op.results[0].replace_all_uses_with((maximum + slack).value)
            op.erase()
    return bool(found)


def _check_domains(module: ir.Module, policy: Policy, ranges: Ranges) -> None:
    """Warns of functions whose arguments were measured outside of their domains."""
    try:
        PassManager(checking_pipeline(policy, ranges), verify_each=False).run(module)
    except CompileError as error:
        for diagnostic in error.diagnostics:
            # Anything else is for compilation to say.
            if diagnostic.message.startswith(f"[{DittoCheckDomains.name}]"):
                warnings.warn(f"{diagnostic.location}: {diagnostic.message}", DittoWarning, stacklevel=3)


GROUP = 1 << 22
"""Elements of values that are measured together. They are all held until then."""


def instrument(module: ir.Module) -> list[str]:
    """Makes `@main` return the least and the largest number of each value, f64 [values, 2].

    The names of the values, in order, are returned.
    """
    entry = entry_function(module)
    assert entry is not None
    names_of = value_keys(entry)
    # JAX's sort compares with NaN, and its variance of no elements is NaN.
    values = [v for v in names_of if is_float(v) and numel(v) and not _is_known(v)]
    analysis = RangeAnalysis(entry)
    groups = _grouped(values, lambda value: math.inf if analysis.of(value).is_numeric else INFINITE)
    terminator = ops_of(entry.entry_block)[-1]
    with module.context, terminator.location as location:
        builder = Builder(ir.InsertionPoint(terminator), location)
        ends = [_ends([builder.tensor(value) for value in group], limit) for limit, group in groups]
        none = [builder.full(0.0, (0, 2), ir.F64Type.get())]
        func.ReturnOp(
            [joined([end.value for end in ends or none], before=terminator)], ip=ir.InsertionPoint(terminator)
        )
        terminator.erase()
        if "res_attrs" in entry.attributes:
            del entry.attributes["res_attrs"]
        set_function_type(entry)
        names.set_argument_attributes(entry, [{} for _ in entry.arguments])
    return [names_of[value] for _, group in groups for value in group]


def _grouped(
    values: Sequence[ir.Value], limit_of: Callable[[ir.Value], float]
) -> list[tuple[float, list[ir.Value]]]:
    """Values that can be measured by one loop, as XLA takes long to compile many, and their limits."""
    groups: list[tuple[float, list[ir.Value]]] = []
    open_groups: dict[tuple[str, int, float], list[ir.Value]] = {}
    for value in values:
        kind = element_type(value), numel(value), limit_of(value)
        group = open_groups.get(kind)
        if group is None or (len(group) + 1) * numel(value) > GROUP:
            group = open_groups[kind] = []
            groups.append((kind[2], group))
        group.append(value)
    return groups


_MOVING = ("stablehlo.broadcast_in_dim", "stablehlo.reshape", "stablehlo.reverse", "stablehlo.transpose")


def _is_known(value: ir.Value) -> bool:
    """Whether a value is a constant, or has just the elements of another one."""
    op = defining_op(value)
    return is_constant(value) or constant(value) is not None or (op is not None and op.name in _MOVING)


def _ends(tensors: Sequence[Tensor], limit: float) -> Tensor:
    """The least and the largest element of each tensor, below `limit` in magnitude, as f64 [tensors, 2].

    Infinite if there is none.
    """
    rows = stacked(tensors)
    # What reads the matrix would otherwise compute its tensors again.
    held = rows.builder.op("optimization_barrier", [rows.type], [rows.value]).results[0]
    x = rows.builder.tensor(held).converted(ir.F64Type.get())
    # So, NaN is found: it is not beyond any limit.
    beyond = x.larger(-x).compare("GE", limit)
    low, high = x.unless(beyond, math.inf), x.unless(beyond, -math.inf)
    # Together, for XLA compiles one loop faster than two.
    ends = x.builder.reduction(
        [-low, high],
        [-math.inf, -math.inf],
        [1],
        lambda left, right: [mine.larger(other) for mine, other in zip(left, right, strict=True)],
    )
    pair = stacked([-ends[0], ends[1]])
    permutation = ir.DenseI64ArrayAttr.get([1, 0])
    type_ = ir.RankedTensorType.get([len(tensors), 2], ir.F64Type.get())
    return pair.builder.tensor(
        pair.builder.op("transpose", [type_], [pair.value], {"permutation": permutation}).results[0]
    )
