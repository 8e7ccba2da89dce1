"""How much of the noise at each op the outputs see, by reverse mode on samples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import ArrayLike, NDArray

from ditto.simulator.fast import Fast, working_dtype
from ditto.simulator.interpreter import moved
from ditto.simulator.ops import FAST
from ditto_compiler.beside.functions import evaluator
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import copy_module, element_type, entry_function, ir, ops_of
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.scales import is_product
from ditto_compiler.planning.keys import by_key, keys_of
from ditto_compiler.private_functions import callee
from ditto_compiler.rings.numbers import factors, ops_with_results, prepare, product_readers, source_of
from ditto_compiler.structure import is_float

NODES = 1 << 14
"""Pieces of a straight line each that stand for a one-shot function: slopes are what counts."""

QUANTILES = 129
"""Of a function's arguments, over all samples."""

SIGNIFICANT = 4
"""Bits that every number keeps, so that inputs which have no more are exact."""

Site = tuple[int, int]
"""An op by its number, and where: -1 for its result, else the operand that it reads."""


def measure(module: ir.Module, batches: Sequence[Sequence[Any]], *, seed: int = 0) -> int:
    """Puts `ditto.gain` on products and one-shot functions, and `ditto.samples` on the latter.

    The outputs' noise is their Jacobian times that of an op, so what counts is the Jacobian's Frobenius norm.
    For a vector z of independent signs, E |J^T z|^2 is its square: one pullback for each sample gives the
    estimate for all ops at once (Hutchinson's).

    Args:
        module: annotated, with divisions by constants as products, before rings are assigned.
        batches: flat inputs of the program, one list for each sample.
        seed: of the signs.

    Returns:
        Elements of all outputs that are floats; if none is, of what decides them: numbers that are compared.
    """
    copy = copy_module(module)
    entry = entry_function(copy)
    assert entry is not None
    prepare(entry)
    ops = ops_with_results(entry)
    sites = dict(_sites(ops))
    inputs = [
        entries[names.INPUT].value if names.INPUT in entries else position
        for position, entries in enumerate(names.argument_attributes(entry))
    ]
    totals: defaultdict[Site, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    seen: defaultdict[int, list[NDArray[np.float64]]] = defaultdict(list)
    count = 0
    for number, batch in enumerate(batches):
        arrays = [jnp.asarray(batch[index]) for index in inputs]
        zeros = {site: jnp.zeros(shape, jnp.float32) for site, shape in sites.items()}
        tangent = _Tangent(entry.entry_block, ops, arrays)
        outputs, pullback = jax.vjp(tangent.run, zeros)
        key = jax.random.PRNGKey(seed + number)
        signs = [
            jax.random.rademacher(each, output.shape, output.dtype)
            for each, output in zip(jax.random.split(key, max(1, len(outputs))), outputs, strict=False)
        ]
        (slopes,) = pullback(signs)
        _read_alike(slopes, entry, ops)
        count = sum(output.size for output in outputs)
        for site, slope in slopes.items():
            numbers = np.asarray(slope, np.float64)
            totals[site] += np.array([(numbers**2).sum(), numbers.sum() ** 2]) / len(batches)
        for index, numbers in tangent.seen.items():
            seen[index].append(numbers)
    _ignore_exact(ops, entry, [[batch[index] for index in inputs] for batch in batches], totals)
    _write(module, keys_of(ops), ops, totals, seen)
    return count


def _read_alike(slopes: dict[Site, Array], entry: Any, ops: Sequence[ir.Operation]) -> None:
    """Arguments that only products read are rounded once for all of them: each is given an equal part."""
    number = {op.results[0]: index for index, op in enumerate(ops)}
    for argument in entry.arguments:
        sites = list(
            dict.fromkeys(
                (number[op.results[0]], list(dict.fromkeys(op.operands)).index(factors(op)[place]))
                for op, place in product_readers(argument) or ()
            )
        )
        shape = tuple(shape_of(argument))
        if len(sites) > 1 and all(site in slopes and slopes[site].shape == shape for site in sites):
            together = jnp.sum(jnp.stack([slopes[site] for site in sites]), axis=0)
            for site in sites:
                slopes[site] = together / math.sqrt(len(sites))


def _sites(ops: Sequence[ir.Operation]) -> Iterator[tuple[Site, tuple[int, ...]]]:
    """Where noise comes in, and the shape of what it is added to."""
    for index, op in enumerate(ops):
        if not is_float(op.results[0]) or (op.name != names.ONESHOT and not is_product(op)):
            continue
        yield (index, -1), tuple(shape_of(op.results[0]))
        for place, value in enumerate(dict.fromkeys(op.operands)):
            # What is cut off a number is cut off its copies alike.
            yield (index, place), tuple(shape_of(moved(value)[0]))


class _Tangent(Fast):
    """Runs a program on real numbers, with something added at each site."""

    def __init__(self, block: ir.Block, ops: Sequence[ir.Operation], arrays: Sequence[Array]) -> None:
        super().__init__({**FAST, names.ONESHOT: _interpolated})
        self._block, self._arrays = block, arrays
        self._number = {op.results[0]: index for index, op in enumerate(ops)}
        self._noise: dict[Site, Array] = {}
        self._deciding: list[Array] = []
        self.seen: dict[int, NDArray[np.float64]] = {}

    def hold(self, value: ir.Value, array: ArrayLike) -> Array:
        """As it is: nothing is rounded."""
        return jnp.asarray(array, working_dtype(element_type(value)))

    def run(self, argument: Any, arguments: Sequence[Array] | None = None) -> list[Array]:
        """The outputs, given what is added; or, of a region, what it returns, given its arguments."""
        if arguments is not None:
            return super().run(argument, arguments)
        self._noise, self._deciding = argument, []
        values: dict[ir.Value, Array] = self._values
        values.update(zip(self._block.arguments, map(self._real, self._arrays), strict=True))
        *ops, last = ops_of(self._block)
        with jax.ensure_compile_time_eval():
            for op in ops:
                values.update(
                    zip(op.results, self._results(op, [values[v] for v in op.operands]), strict=True)
                )
        returned = [values[v] for v in last.operands if is_float(v)]
        return returned or self._deciding

    def _real(self, array: Array) -> Array:
        return array.astype(jnp.float32) if jnp.issubdtype(array.dtype, jnp.floating) else array

    def _results(self, op: ir.Operation, operands: list[Array]) -> list[Array]:
        index = self._number.get(op.results[0], -1) if len(op.results) else -1
        places = {value: place for place, value in enumerate(dict.fromkeys(op.operands))}
        read = [
            value + self._spread(v, self._noise[(index, places[v])])
            if (index, places[v]) in self._noise
            else value
            for v, value in zip(op.operands, operands, strict=True)
        ]
        if op.name == names.ONESHOT:
            numbers = np.asarray(lax.stop_gradient(operands[0]), np.float64).reshape(-1)
            self.seen[index] = np.quantile(numbers, np.linspace(0, 1, QUANTILES)) if numbers.size else numbers
        if op.name in (names.LESS, "stablehlo.compare") and names.SLACK not in op.attributes:
            self._deciding += [x for v, x in zip(op.operands, operands, strict=True) if is_float(v)]
        results = self.rules[op.name](self, op, read)
        return [
            result + self._noise[(index, -1)] if (index, -1) in self._noise else result for result in results
        ]

    def _spread(self, value: ir.Value, noise: Array) -> Array:
        """What is added to a value if something is added to the numbers that it has copies of."""
        for op in moved(value)[1]:
            noise = self.rules[op.name](self, op, [noise])[0]
        return noise


def _interpolated(_: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    """A one-shot function between nodes; outside of its range as at its end."""
    low, high = names.get_float(op, names.LOW), names.get_float(op, names.HIGH)
    assert low is not None and high is not None
    nodes = jnp.asarray(evaluator(callee(op))(np.linspace(low, high, NODES)), x[0].dtype)
    place = (jnp.clip(x[0], low, high) - low) * ((NODES - 1) / (high - low))
    node = lax.stop_gradient(jnp.clip(jnp.floor(place), 0, NODES - 2)).astype(jnp.int32)
    return [nodes[node] + (place - node) * (nodes[node + 1] - nodes[node])]


def _ignore_exact(
    ops: Sequence[ir.Operation],
    entry: Any,
    batches: Sequence[Sequence[Any]],
    totals: defaultdict[Site, NDArray[np.float64]],
) -> None:
    """Takes the gains of inputs away that no reading rounds, such as masks of zeros and ones.

    If only products read them, that is: what others need with more bits is cut on shares, never exactly.
    """
    exact = {
        argument
        for place, argument in enumerate(entry.arguments)
        if product_readers(argument) and all(_is_coarse(batch[place]) for batch in batches)
    }
    for index, op in enumerate(ops):
        for place, value in enumerate(dict.fromkeys(op.operands)):
            if (index, place) in totals and source_of(value) in exact:
                totals[(index, place)] = np.zeros(2)


def _is_coarse(array: Any) -> bool:
    """Whether a few significant bits hold all numbers of an array."""
    numbers = np.abs(np.asarray(array, np.float64))
    if not numbers.size or not np.isfinite(numbers).all():
        return False
    largest = float(numbers.max())
    frac = SIGNIFICANT - (math.ceil(math.log2(largest)) if largest else 0)
    scaled = np.ldexp(numbers, frac)
    return bool((scaled == np.rint(scaled)).all())


def _write(
    module: ir.Module,
    keys: Sequence[Any],
    ops: Sequence[ir.Operation],
    totals: dict[Site, NDArray[np.float64]],
    seen: dict[int, list[NDArray[np.float64]]],
) -> None:
    entry = entry_function(module)
    assert entry is not None
    own = by_key(ops_with_results(entry))
    for index, (key, op) in enumerate(zip(keys, ops, strict=True)):
        if (index, -1) not in totals:
            continue
        places = {value: place for place, value in enumerate(dict.fromkeys(op.operands))}
        read = [op.operands[0]] if op.name == names.ONESHOT else list(factors(op))
        gains = [totals[(index, -1)][0], *(totals[(index, places[value])][0] for value in read)]
        if op.name == names.ONESHOT:
            gains.append(totals[(index, -1)][1])
            numbers = np.quantile(np.concatenate(seen[index]), np.linspace(0, 1, QUANTILES))
            own[key].attributes[names.SAMPLES] = ir.DenseF64ArrayAttr.get(numbers.tolist(), module.context)
        own[key].attributes[names.GAIN] = ir.DenseF64ArrayAttr.get(list(map(float, gains)), module.context)
