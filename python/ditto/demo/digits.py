"""A small network that reads digits, with its data: noisy images of ten glyphs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

_GLYPHS = """
.###. ..#.. .###. ####. #...# ##### .###. ##### .###. .###.
#...# .##.. #...# ....# #...# #.... #.... ....# #...# #...#
#..## ..#.. ....# ....# #...# #.... #.... ...#. #...# #...#
#.#.# ..#.. ..##. .###. ##### ####. ####. ..#.. .###. .####
##..# ..#.. .#... ....# ....# ....# #...# .#... #...# ....#
#...# ..#.. #.... ....# ....# ....# #...# .#... #...# ....#
.###. .###. ##### ####. ....# ####. .###. .#... .###. .###.
"""

SIDE = 8
DIGITS = 10
_HIDDEN = 32
_STEPS = 200
_NOISE = 0.25


def images(rng: np.random.Generator, digits: NDArray[np.int64]) -> NDArray[np.float32]:
    """Noisy images of some digits, anywhere in the frame: [count, 64], about 0 to 1."""
    rows = [line.split() for line in _GLYPHS.split("\n") if line]
    glyphs = np.array([[[c == "#" for c in row[d]] for row in rows] for d in range(DIGITS)], np.float32)
    _, height, width = glyphs.shape
    frames = np.zeros((len(digits), SIDE, SIDE), np.float32)
    for frame, digit in zip(frames, digits, strict=True):
        top, left = rng.integers(SIDE - height + 1), rng.integers(SIDE - width + 1)
        frame[top : top + height, left : left + width] = glyphs[digit]
    noise = rng.normal(0, _NOISE, frames.shape)
    return (frames + noise).astype(np.float32).reshape(len(digits), -1)


def read_digits(weights: dict[str, Any], x: Any) -> Any:
    """Probabilities of the ten digits: [count, 64] -> [count, 10]."""
    hidden = jax.nn.gelu(x @ weights["w1"] + weights["b1"])
    return jax.nn.softmax(hidden @ weights["w2"] + weights["b2"])


def train(rng: np.random.Generator) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Trained weights, and which part of 1000 new images the network reads right with them."""
    shapes = {"w1": (SIDE * SIDE, _HIDDEN), "b1": (_HIDDEN,), "w2": (_HIDDEN, DIGITS), "b2": (DIGITS,)}
    weights: Any = {
        name: jnp.asarray(rng.normal(0, shape[0] ** -0.5, shape) * (len(shape) > 1), jnp.float32)
        for name, shape in shapes.items()
    }

    def loss(weights: Any, x: Any, digits: Any) -> Any:
        chosen = jnp.take_along_axis(read_digits(weights, x), digits[:, None], axis=1)
        return -jnp.log(chosen + 1e-6).mean()

    def step(weights: Any, momentum: Any, x: Any, digits: Any) -> Any:
        slope = jax.grad(loss)(weights, x, digits)
        momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, slope)
        return jax.tree.map(lambda w, m: w - 0.1 * m, weights, momentum), momentum

    jitted = jax.jit(step)
    momentum = jax.tree.map(jnp.zeros_like, weights)
    for _ in range(_STEPS):
        digits = rng.integers(DIGITS, size=512)
        weights, momentum = jitted(weights, momentum, images(rng, digits), digits)
    digits = rng.integers(DIGITS, size=1000)
    read = np.argmax(read_digits(weights, images(rng, digits)), axis=1)
    return {name: np.asarray(value) for name, value in weights.items()}, float((read == digits).mean())
