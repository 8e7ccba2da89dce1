"""Compiles programs where there is nothing but the compiler and JAX: `python compile_alone.py FOLDER`.

Of each it writes NAME.ditto, NAME.npz with inputs (in0, ...) and what plain JAX gives (out0, ...), and in
found.json which functions the compiler recognised and what the program will cost.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

RNG = np.random.default_rng(3)


class Task(NamedTuple):
    """A function, its arguments, and the functions that a reader sees in it."""

    fn: Callable[..., Any]
    arguments: tuple[Any, ...]
    written: tuple[str, ...] = ()
    visibility: str | tuple[str, ...] = "secret"


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def normalized(x: Any) -> Any:
    """LayerNorm without weights."""
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(jnp.var(x, axis=-1, keepdims=True) + 1e-5)


def causal_attention(x: Any, q: Any, k: Any, v: Any) -> Any:
    scores = (x @ q) @ (x @ k).T / np.sqrt(q.shape[1]).astype(np.float32)
    seen = jnp.tril(jnp.ones(scores.shape, bool))
    return jax.nn.softmax(jnp.where(seen, scores, -1e9), axis=-1) @ (x @ v)


def encoder_layer(x: Any, q: Any, k: Any, v: Any, up: Any, down: Any) -> Any:
    x = normalized(x + causal_attention(x, q, k, v))
    return normalized(x + jax.nn.gelu(x @ up, approximate=False) @ down)


TASKS: dict[str, Task] = {
    "mlp": Task(
        lambda x, w, b, v: jax.nn.softmax(jax.nn.relu(x @ w + b) @ v),
        (normal(4, 8), normal(8, 16) / 4, normal(16), normal(16, 5) / 4),
        ("softmax",),
    ),
    "encoder_layer": Task(
        encoder_layer,
        (normal(12, 8), *(normal(8, 8) / 4 for _ in range(3)), normal(8, 16) / 4, normal(16, 8) / 4),
        ("gelu", "layer_norm", "layer_norm", "softmax"),
    ),
    "gelu": Task(jax.nn.gelu, (normal(5, 7),), ("gelu",)),
    "silu": Task(jax.nn.silu, (normal(9),), ("silu",)),
    "log_softmax": Task(lambda x: jax.nn.log_softmax(x), (normal(3, 6),), ("log_softmax",)),
    "rms_norm": Task(
        lambda x: x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-6), (normal(3, 8),), ("rms_norm",)
    ),
    "variance": Task(lambda x: jnp.var(x, axis=-1), (normal(4, 8),)),
    "argmax": Task(lambda x: jnp.argmax(x, axis=-1), (normal(4, 8),), ("argmax",)),
    "sort": Task(jnp.sort, (normal(7),)),
    "scan": Task(
        lambda c, w: lax.scan(lambda c, _: (jnp.tanh(c @ w), c.sum()), c, None, length=3),
        (normal(2, 4), normal(4, 4) / 2),
    ),
    "lookup": Task(
        lambda table, ids: jnp.take(table, ids, axis=0, mode="clip"),
        (normal(10, 4), np.array([1, 9, 3], np.int32)),
        visibility=("secret", "public"),
    ),
    "masks": Task(  # constants of booleans, of more elements than are printed one by one
        lambda x: (jnp.where(np.arange(300).reshape(15, 20) % 7 == 1, x, -x), np.arange(300) % 3 == 0),
        (normal(15, 20),),
    ),
    "integers": Task(lambda x, y: (x * y - (x >> 2), x % y, x < y), (RNG.integers(1, 99, 6, np.int32),) * 2),
}


def main(folder: Path) -> None:
    """Compiles all of them."""
    import ditto_compiler
    from ditto_compiler.driver import read_source
    from ditto_compiler.ir import entry_function
    from ditto_compiler.pass_manager import PassManager, pass_name
    from ditto_compiler.pipelines import precision_pipeline
    from ditto_compiler.recognizers import recognize
    from ditto_compiler.report import render

    found = {}
    for name, task in TASKS.items():
        text = jax.jit(task.fn, keep_unused=True).lower(*task.arguments).as_text()
        module, _ = read_source(text)
        passes = precision_pipeline("ditto")
        PassManager(passes[: [*map(pass_name, passes)].index("ditto-approximate")]).run(module)
        entry = entry_function(module)
        assert entry is not None
        recognized = sorted(one.function for one in recognize(entry))
        program = ditto_compiler.compile(text, visibility=task.visibility)
        program.save(folder / f"{name}.ditto")
        found[name] = {"recognized": recognized, **json.loads(render(program, "json", ("lan",)))["total"]}
        results = jax.tree_util.tree_leaves(jax.jit(task.fn)(*task.arguments))
        inputs = {f"in{number}": array for number, array in enumerate(task.arguments)}
        outputs = {f"out{number}": np.asarray(array) for number, array in enumerate(results)}
        np.savez(folder / f"{name}.npz", **inputs, **outputs)
    assert not {"ditto", "spu"} & set(sys.modules)
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
