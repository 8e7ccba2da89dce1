"""How the teachers are trained that have no weights yet: in plaintext, with their exact functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from ditto.models.layers import Params

WARMUP = 0.1
"""Part of the steps in which the rate rises."""


def trained(
    params: Params,
    loss: Callable[..., jax.Array],
    batch: Callable[[int], tuple[Any, ...]],
    *,
    steps: int,
    rate: float,
    decay: float,
) -> Params:
    """Weights after so many steps of AdamW, with gradients clipped to norm 1.

    Args:
        params: to start from.
        loss: of weights and a batch.
        batch: the one of a step.
        steps, rate, decay: updates, the largest rate of learning, and the decay of weights.
    """
    rates = optax.warmup_cosine_decay_schedule(0.0, rate, round(WARMUP * steps), steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rates, weight_decay=decay))
    state = optimizer.init(params)

    def step(params: Any, state: Any, *inputs: Any) -> Any:
        changes, state = optimizer.update(jax.grad(loss)(params, *inputs), state, params)
        return optax.apply_updates(params, changes), state

    jitted = jax.jit(step)
    for number in range(steps):
        params, state = jitted(params, state, *batch(number))
    return params
