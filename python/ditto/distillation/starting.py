"""Weights to start from where quadratics take the place of activations: least squares, no training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from ditto.distillation.examples import DistillationError
from ditto.models.layers import Params
from ditto.tapping import ScopeError, intermediates

AT_ONCE = 64
"""Examples that are run together."""

LEAST = 5e-3
"""Least curvature of a parabola: what is flatter would need large numbers around it."""

RIDGE = 1e-3
"""Of the mean square of features: how much changed weights have to gain."""

Floats = NDArray[np.float64]


def quadratic_start(
    teacher: Callable[..., Any],
    student: Callable[..., Any],
    params: Params,
    *inputs: Any,
    post_norm: bool,
    counted: Any = None,
) -> Params:
    """Weights with which quadratic activations give about what the original's gave.

    Of each neuron, what the activation gives is fitted by a parabola, over the arguments that it has. The
    parabola is then made of q(x) = x^2/8 + x/4 + 1/2 and the weights around it: any a x^2 + b x + c, a > 0,
    is q(s x + t) + d with s = sqrt(8 a), t = 4 b / s - 1, d = c - (t + 1)^2/8 - 3/8; with a < 0 it is the
    opposite of one. After that, layer by layer, the weights behind the activation are fitted to the
    original's hidden states, given what the layers below now give: linear least squares.

    Args:
        teacher: `(params, *inputs)` of one example: a model of `ditto.models`, or one with its scopes
            `layer<i>/mlp/up`, `/activation` and `/down`.
        student: the same with q in the activation's place (`hidden_act="quad"`).
        params: the teacher's; `params["layers"][i]` has `up` and `down`, each with `kernel` and `bias`.
        inputs: arrays of examples along the first axis; some hundred are enough.
        post_norm: whether residuals are added behind `down`, before a norm, as in BERT. Otherwise they are in
            what leaves it.
        counted: [examples, positions], where it is true; by default every position counts.

    Returns:
        Weights like `params`, as numpy arrays, of which only those named differ.

    Raises:
        DistillationError: the model has no such scopes or weights; numbers that are not finite.
    """
    found: Params = dict(jax.tree.map(np.asarray, params))
    layers = found.get("layers")
    if not isinstance(layers, list) or not all({"up", "down"} <= set(layer) for layer in layers):
        raise DistillationError("there are no weights 'up' and 'down' in params['layers'][i]")
    found["layers"] = layers = [dict(layer) for layer in layers]
    data = _Data(inputs, counted)
    original, changed = _Tapped(teacher, len(layers)), _Tapped(student, len(layers))
    fits = [_Moments(layer["up"]["bias"].size) for layer in layers]
    for batch, chosen in data:
        taps = original(params, batch)
        for fit, x, y in zip(fits, taps.up, taps.activation, strict=True):
            fit.add(_rows(x, chosen), _rows(y, chosen))
    for layer, fit in zip(layers, fits, strict=True):
        _absorb(layer, *fit.parabolas())
    for number, layer in enumerate(layers):
        fitted = _LeastSquares(layer["down"])
        for batch, chosen in data:
            before, after = original(params, batch), changed(found, batch)
            missing = before.down[number] - after.down[number]
            if post_norm:
                missing = missing + before.attention[number] - after.attention[number]
            fitted.add(_rows(after.activation[number], chosen), _rows(missing, chosen))
        layer["down"] = fitted.solved()
    return found


class _Data:
    """Examples in batches of one size, and which positions count in each."""

    def __init__(self, inputs: tuple[Any, ...], counted: Any) -> None:
        self._arrays = [np.asarray(array) for array in inputs]
        lengths = {len(array) for array in self._arrays}
        if len(lengths) != 1 or not (count := lengths.pop()):
            raise DistillationError("all inputs must have as many examples, and some")
        self._count = count
        self._counted = None if counted is None else np.asarray(counted, bool)

    def __iter__(self) -> Iterator[tuple[list[Any], NDArray[np.bool_]]]:
        for start in range(0, self._count, AT_ONCE):
            rows = np.arange(start, start + AT_ONCE)
            chosen = rows < self._count
            rows = rows % self._count
            if self._counted is not None:
                chosen = chosen[:, None] & self._counted[rows]
            yield [array[rows] for array in self._arrays], chosen


class _Taps(NamedTuple):
    """What leaves the scopes of each layer: [examples, positions, size]."""

    up: list[Any]
    activation: list[Any]
    down: list[Any]
    attention: list[Any]


class _Tapped:
    """A model that gives its taps for a batch."""

    def __init__(self, model: Callable[..., Any], layers: int) -> None:
        self._layers = layers
        parts = ("mlp/up", "mlp/activation", "mlp/down", "attention")
        patterns = [f"*/layer{number}/{part}" for part in parts for number in range(layers)]

        def run(params: Any, *example: Any) -> list[list[Any]]:
            _, found = intermediates(model, patterns)(params, *example)
            return [[v[0] for name, v in found.items() if name.endswith(f"/{part}")] for part in parts]

        self._run = jax.jit(lambda params, *batch: jax.vmap(run, (None, *[0] * len(batch)))(params, *batch))

    def __call__(self, params: Params, batch: list[Any]) -> _Taps:
        try:
            found = self._run(params, *batch)
        except ScopeError as error:
            raise DistillationError(f"the model has no layers as those of ditto.models: {error}") from None
        return _Taps(*([np.asarray(value, np.float64) for value in part] for part in found))


def _rows(value: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Those of the examples, or positions, that count."""
    return np.reshape(value[chosen], (-1, value.shape[-1]))


class _Moments:
    """Sums of powers of arguments, and of these times values, for each neuron."""

    def __init__(self, neurons: int) -> None:
        self._powers, self._values = np.zeros((5, neurons)), np.zeros((3, neurons))

    def add(self, x: Floats, y: Floats) -> None:
        """Counts rows [rows, neurons] of arguments and values."""
        for power in range(5):
            self._powers[power] += (x**power).sum(0)
        for power in range(3):
            self._values[power] += (x**power * y).sum(0)

    def parabolas(self) -> tuple[Floats, Floats, Floats]:
        """a, b, c of those with the least squares, of curvatures that are not too small."""
        curved = self._solved(3, self._values)[2]
        a = np.where(curved < 0, -1.0, 1.0) * np.maximum(np.abs(curved), LEAST)
        c, b = self._solved(2, self._values[:2] - a * self._powers[2:4])
        return a, b, c

    def _solved(self, terms: int, values: Floats) -> Floats:
        matrix = np.stack([self._powers[row : row + terms] for row in range(terms)])
        scale = np.trace(matrix)[:, None, None] * 1e-9 * np.eye(terms)
        try:
            return np.linalg.solve(matrix.transpose(2, 0, 1) + scale, values[:terms].T[..., None])[..., 0].T
        except np.linalg.LinAlgError:
            raise DistillationError("activations are not finite on these examples") from None


def _absorb(layer: Params, a: Floats, b: Floats, c: Floats) -> None:
    """Puts parabolas into the weights around q."""
    sign = np.sign(a)
    s = np.sqrt(8 * np.abs(a))
    t = 4 * b * sign / s - 1
    d = c - sign * ((t + 1) ** 2 / 8 + 3 / 8)
    up, down = layer["up"], layer["down"]
    layer["up"] = {"kernel": np.float32(up["kernel"] * s), "bias": np.float32(up["bias"] * s + t)}
    layer["down"] = {
        "kernel": np.float32(down["kernel"] * sign[:, None]),
        "bias": np.float32(down["bias"] + d @ down["kernel"]),
    }


class _LeastSquares:
    """A linear layer that is to give what it does not yet."""

    def __init__(self, weights: Params) -> None:
        self._weights = np.vstack([weights["kernel"], weights["bias"][None]]).astype(np.float64)
        count = len(self._weights)
        self._squares, self._missing = np.zeros((count, count)), np.zeros(self._weights.shape)

    def add(self, features: Floats, missing: Floats) -> None:
        """Counts rows of the layer's arguments, and of what is to be added to what it gives."""
        rows = np.hstack([features, np.ones((len(features), 1))])
        self._squares += rows.T @ rows
        self._missing += rows.T @ missing

    def solved(self) -> Params:
        """The weights."""
        count = len(self._squares)
        ridge = RIDGE * np.trace(self._squares) / count * np.eye(count)
        found = self._weights + np.linalg.solve(self._squares + ridge, self._missing)
        if not np.isfinite(found).all():
            raise DistillationError("hidden states are not finite on these examples")
        return {"kernel": np.float32(found[:-1]), "bias": np.float32(found[-1])}
