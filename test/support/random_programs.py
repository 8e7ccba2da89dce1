"""Random small programs of ops whose error is bounded, as hypothesis draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

Array = Any

UNARY: dict[str, Callable[[Array], Array]] = {
    "negate": lambda x: -x,
    "abs": jnp.abs,
    "times_constant": lambda x: x * 0.37,
    "times_negative_power_of_two": lambda x: x * -0.25,
    "times_tiny": lambda x: x * -3e-6,
    "divided": lambda x: x / 7.0,
    "plus_constant": lambda x: x + 1.3,
    "square": lambda x: x * x,
    "clamp": lambda x: jnp.clip(x, -1.5, 2.0),
    "floor": jnp.floor,
    "round": jnp.round,
    "sign": jnp.sign,
    "to_integer": lambda x: x.astype(jnp.int32).astype(jnp.float32),
    "integer_arithmetic": lambda x: (((x * 4).astype(jnp.int32) * 3 - 5) >> 1).astype(jnp.float32),
    "parity": lambda x: (x.astype(jnp.int32) & 1).astype(jnp.float32),
    "masked_max": lambda x: jnp.where(x > -1, x, -50.0).max(0, keepdims=True),
    "count": lambda x: (x > 0).sum(0, keepdims=True).astype(jnp.float32) - 1.5,
    "relu": lambda x: jnp.maximum(x, 0),
    "transpose": lambda x: x.T,
    "reshape": lambda x: x.reshape(x.shape[1], x.shape[0]),
    "reverse": lambda x: x[::-1],
    "slice": lambda x: x[:, 1:] if x.shape[1] > 1 else x,
    "pad": lambda x: jnp.pad(x, ((0, 0), (1, 0)), constant_values=0.5),
    "sum_rows": lambda x: x.sum(0, keepdims=True),
    "mean_columns": lambda x: x.mean(1, keepdims=True),
    "max_columns": lambda x: x.max(1, keepdims=True),
    "product": lambda x: jnp.clip(x[:, :3], -2, 2).prod(1, keepdims=True),
    "pool": lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 1), (1, 1), "SAME"),
    "sort": lambda x: jnp.sort(x, 1),
    "gather": lambda x: x[np.array([0, x.shape[0] - 1, 0])],
    "update": lambda x: lax.dynamic_update_slice(x, x[-1:, :1] * 2, (0, 0)),
    "cumsum": lambda x: jnp.cumsum(x, 1),
    "gram": lambda x: x @ x.T,
    "batched": lambda x: jnp.einsum("ij,kj->jik", x, x)[0],
    "convolution": lambda x: lax.conv(x[None, None], x[None, None, :2, :2], (1, 1), "SAME")[0, 0],
    "outer": lambda x: x[:, :1] * x[:1, :],
    "loop": lambda x: lax.fori_loop(0, 2, lambda _, a: a * 0.5 + 1, x),
    "branch": lambda x: lax.cond(x[0, 0] > 0, lambda a: a * 1.5, lambda a: -a, x),
}
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "select": lambda x, y: jnp.where(x < y, x, y * 2),
    "compare": lambda x, y: (x >= y).astype(jnp.float32) + x,
    "dot": lambda x, y: x @ y.T,
    "concatenate": lambda x, y: jnp.concatenate([x, y], 1)[:, :6],
}
LARGEST = 30.0
"""Larger values are not multiplied, so that most programs fit ring 32."""


@dataclass(frozen=True, eq=False)
class RandomProgram:
    """Arguments, and steps: an op and the numbers of the values that it reads, arguments first."""

    arguments: tuple[np.ndarray[Any, np.dtype[np.float32]], ...]
    steps: tuple[tuple[str, tuple[int, ...]], ...]

    def __call__(self, *arguments: Array) -> tuple[Array, ...]:
        values = list(arguments)
        for name, operands in self.steps:
            values.append(_apply(name, [values[index] for index in operands]))
        return tuple(values[len(arguments) :])


def _apply(name: str, operands: Sequence[Array]) -> Array:
    return UNARY[name](operands[0]) if name in UNARY else BINARY[name](*operands)


@st.composite
def random_programs(draw: st.DrawFn, most_steps: int = 10) -> RandomProgram:
    """Programs on two matrices; their values stay below a few hundred."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    arguments = tuple(rng.uniform(-3, 3, (3, 4)).astype(np.float32) for _ in range(2))
    values: list[Array] = list(arguments)
    steps = []
    for _ in range(draw(st.integers(most_steps // 2, most_steps))):
        first = draw(st.integers(0, len(values) - 1))
        partners = [i for i, value in enumerate(values) if value.shape == values[first].shape]
        name = draw(st.sampled_from([*UNARY, *BINARY]))
        operands = (first,) if name in UNARY else (first, draw(st.sampled_from(partners)))
        if max(float(abs(values[i]).max()) for i in operands) > LARGEST:
            continue
        values.append(_apply(name, [values[i] for i in operands]))
        steps.append((name, operands))
    return RandomProgram(arguments, tuple(steps))
