"""Writes the .mlir files of this folder: what JAX, Flax and Hugging Face's Flax models give for the functions
that ditto_compiler.recognizers look for.

    pip install 'jax[cpu]==0.4.34' 'numpy<2' flax==0.10.0 transformers==4.57.6
    python test/recognizers/capture.py
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

FOLDER = Path(__file__).resolve().parent

RUN = (
    "ditto-opt %s --inline-calls --legalize-chlo --canonicalize --cse "
    "--ditto-approximate='{options}' | filecheck %s"
)


def array(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


X, CUBE, MASK = array(2, 8), array(2, 4, 8), array(2, 8, dtype=jnp.bool_)
TABLE, IDS, ONE_SENTENCE = array(10, 4), array(3, dtype=jnp.int32), array(1, 4, dtype=jnp.int32)


@dataclass(frozen=True)
class Capture:
    """One program to capture.

    Attributes:
        what: it is, in words.
        lower: gives it.
        functions: the functions in it, in program order.
        options: forms for all of them.
        gone: ops that these forms leave nothing of.
        packages: whose versions matter, besides JAX.
    """

    what: str
    lower: Callable[[], Any]
    functions: tuple[str, ...]
    options: str
    gone: tuple[str, ...]
    packages: tuple[str, ...] = ()


def plain(what: str, fn: Callable[..., Any], *args: Any, functions: str, options: str, gone: str) -> Capture:
    """A function of JAX itself."""
    return Capture(what, lambda: jax.jit(fn).lower(*args), (functions,), options, tuple(gone.split()))


def flax(
    what: str, make: Callable[[Any], Any], *args: Any, functions: str, options: str, gone: str
) -> Capture:
    """A module of Flax linen; `make` is given `flax.linen`."""

    def lower() -> Any:
        from flax import linen

        module = make(linen)
        examples = [jnp.zeros(arg.shape, arg.dtype) for arg in args]
        variables = jax.eval_shape(lambda: module.init(jax.random.PRNGKey(0), *examples))
        return jax.jit(module.apply).lower(variables, *args)

    return Capture(what, lower, (functions,), options, tuple(gone.split()), ("flax",))


def hugging_face(what: str, family: str, sizes: dict[str, int], functions: str, options: str) -> Capture:
    """A model of transformers with random weights, one layer, on token ids and an attention mask."""

    def lower() -> Any:
        import transformers

        config = getattr(transformers, f"{family}Config")(**sizes)
        model = getattr(transformers, f"Flax{family}Model")(config, input_shape=(1, 4))

        def run(params: Any, ids: Any, mask: Any) -> Any:
            return model(ids, mask, params=params).last_hidden_state

        return jax.jit(run).lower(model.params, ONE_SENTENCE, ONE_SENTENCE)

    gone = ("stablehlo.exponential",)
    return Capture(what, lower, tuple(functions.split()), options, gone, ("flax", "transformers"))


GELU = {"functions": "gelu", "options": "gelu=quartic"}
SOFTMAX = {"functions": "softmax", "options": "softmax=narrow", "gone": "stablehlo.exponential"}
LOG_SOFTMAX = {"functions": "log_softmax", "options": "log-softmax=narrow", "gone": "stablehlo.exponential"}
LAYER_NORM = {"functions": "layer_norm", "options": "layer-norm=rsqrt", "gone": "stablehlo.divide"}
EMBEDDING = {"functions": "embedding", "options": "embedding=one-hot", "gone": '"stablehlo.gather"(%arg0'}

CAPTURES: dict[str, Capture] = {
    "gelu_erf": plain(
        "jax.nn.gelu, exact", partial(jax.nn.gelu, approximate=False), X, gone="chlo.erf", **GELU
    ),
    "gelu_tanh": plain(
        "jax.nn.gelu, approximate", partial(jax.nn.gelu, approximate=True), X, gone="stablehlo.tanh", **GELU
    ),
    "gelu_erf_bf16": plain(
        "jax.nn.gelu, exact, in bf16",
        partial(jax.nn.gelu, approximate=False),
        array(2, 8, dtype=jnp.bfloat16),
        gone="chlo.erf",
        **GELU,
    ),
    "gelu_tanh_f16": plain(
        "jax.nn.gelu, approximate, in f16",
        partial(jax.nn.gelu, approximate=True),
        array(2, 8, dtype=jnp.float16),
        gone="stablehlo.tanh",
        **GELU,
    ),
    "silu": plain(
        "jax.nn.silu",
        jax.nn.silu,
        X,
        functions="silu",
        options="silu=quartic",
        gone="stablehlo.exponential stablehlo.divide",
    ),
    "softmax": plain("jax.nn.softmax", jax.nn.softmax, CUBE, **SOFTMAX),
    "softmax_bf16": plain(
        "jax.nn.softmax in bf16, summed in f32", jax.nn.softmax, array(2, 8, dtype=jnp.bfloat16), **SOFTMAX
    ),
    "softmax_middle_axis": plain(
        "jax.nn.softmax over axis 1", partial(jax.nn.softmax, axis=1), CUBE, **SOFTMAX
    ),
    "softmax_two_axes": plain(
        "jax.nn.softmax over axes 1 and 2", partial(jax.nn.softmax, axis=(1, 2)), CUBE, **SOFTMAX
    ),
    "softmax_where": plain(
        "jax.nn.softmax with a mask", lambda x, m: jax.nn.softmax(x, where=m), X, MASK, **SOFTMAX
    ),
    "log_softmax": plain("jax.nn.log_softmax", jax.nn.log_softmax, X, **LOG_SOFTMAX),
    "log_softmax_where": plain(
        "jax.nn.log_softmax with a mask",
        lambda x, m: jax.nn.log_softmax(x, where=m),
        X,
        MASK,
        **LOG_SOFTMAX,
    ),
    "standardize": plain("jax.nn.standardize", jax.nn.standardize, X, **LAYER_NORM),
    "standardize_bf16": plain(
        "jax.nn.standardize in bf16, its means in f32",
        jax.nn.standardize,
        array(2, 8, dtype=jnp.bfloat16),
        **LAYER_NORM,
    ),
    "variance": plain(
        "(x - mean) / sqrt(var + eps) by jnp.mean and jnp.var",
        lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5),
        X,
        **LAYER_NORM,
    ),
    "argmax": plain(
        "jnp.argmax",
        lambda x: jnp.argmax(x, -1),
        X,
        functions="argmax",
        options="argmax=tournament",
        gone="stablehlo.or",
    ),
    "take": plain("jnp.take", lambda t, i: jnp.take(t, i, axis=0), TABLE, IDS, **EMBEDDING),
    "take_clip": plain(
        "jnp.take, mode='clip'", lambda t, i: jnp.take(t, i, axis=0, mode="clip"), TABLE, IDS, **EMBEDDING
    ),
    "index": plain("table[ids]", lambda t, i: t[i], TABLE, IDS, **EMBEDDING),
    "flax_layer_norm": flax("flax.linen.LayerNorm", lambda nn: nn.LayerNorm(), X, **LAYER_NORM),
    "flax_layer_norm_bf16": flax(
        "flax.linen.LayerNorm in bf16",
        lambda nn: nn.LayerNorm(dtype=jnp.bfloat16),
        array(2, 8, dtype=jnp.bfloat16),
        **LAYER_NORM,
    ),
    "flax_layer_norm_slow": flax(
        "flax.linen.LayerNorm without the fast variance",
        lambda nn: nn.LayerNorm(use_fast_variance=False),
        X,
        **LAYER_NORM,
    ),
    "flax_layer_norm_plain": flax(
        "flax.linen.LayerNorm without scale and bias",
        lambda nn: nn.LayerNorm(use_bias=False, use_scale=False),
        X,
        **LAYER_NORM,
    ),
    "flax_rms_norm": flax(
        "flax.linen.RMSNorm",
        lambda nn: nn.RMSNorm(),
        X,
        functions="rms_norm",
        options="rms-norm=rsqrt",
        gone="stablehlo.divide",
    ),
    "flax_attention": flax(
        "flax.linen.MultiHeadDotProductAttention with a mask",
        lambda nn: _Masked(nn.MultiHeadDotProductAttention(num_heads=2)),
        CUBE,
        array(2, 1, 4, 4, dtype=jnp.bool_),
        **SOFTMAX,
    ),
    "flax_embed": flax("flax.linen.Embed", lambda nn: nn.Embed(10, 4), IDS, **EMBEDDING),
    "hugging_face_bert": hugging_face(
        "transformers.FlaxBertModel",
        "Bert",
        {
            "vocab_size": 12,
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 8,
        },
        "embedding embedding embedding layer_norm softmax layer_norm gelu layer_norm",
        "policy=ditto",
    ),
    "hugging_face_gpt2": hugging_face(
        "transformers.FlaxGPT2Model",
        "GPT2",
        {"vocab_size": 12, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 8},
        "embedding embedding layer_norm softmax layer_norm gelu layer_norm",
        "policy=ditto",
    ),
    "hugging_face_llama": hugging_face(
        "transformers.FlaxLlamaModel",
        "Llama",
        {
            "vocab_size": 12,
            "hidden_size": 8,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 8,
        },
        "embedding rms_norm embedding softmax rms_norm silu rms_norm",
        "policy=ditto",
    ),
}


class _Masked:
    """Attention of x to itself under a mask, with the interface of a module."""

    def __init__(self, attention: Any) -> None:
        self._attention = attention

    def init(self, key: Any, x: Any, mask: Any) -> Any:
        return self._attention.init(key, x, x, mask=mask)

    def apply(self, variables: Any, x: Any, mask: Any) -> Any:
        return self._attention.apply(variables, x, x, mask=mask)


def text_of(capture: Capture) -> str:
    """The content of a capture's file."""
    packages = ("jax", *capture.packages)
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    lines = [
        f"// RUN: {RUN.format(options=capture.options)}",
        f"// {capture.what}; {versions}; by test/recognizers/capture.py.",
        f"// Functions: {' '.join(capture.functions)}",
        "",
        "// CHECK-LABEL: func.func public @main(",
        *(f"// CHECK-NOT: {op}" for op in capture.gone),
    ]
    return "\n".join(lines) + "\n" + capture.lower().as_text()


if __name__ == "__main__":
    for name, capture in CAPTURES.items():
        (FOLDER / f"{name}.mlir").write_text(text_of(capture))
