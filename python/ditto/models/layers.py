"""The layers that the transformer models share, in plain JAX.

Each is standard float arithmetic written so that it stays cheap and in range under secret sharing:
few and large matrix products, one reciprocal square root per normalised row, masks that are small
numbers. Scopes (`jax.named_scope`) name the parts, because a precision policy selects ops by scope.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from ditto_compiler.errors import DittoError

Params: TypeAlias = dict[str, Any]
"""Weights: nested dicts and lists of float32 arrays (a JAX pytree)."""

MASKED_SCORE: Final = -256.0
"""What the mask adds to an attention score that must not count.

Float softmax gives such a score the weight exp(-256 + d), exactly 0 in float32 as long as the scores
of a row differ by d < 150, so nothing is lost against -inf or -1e4. Fixed point is why it is not
larger: it is exact and in range in every format (ring 32 holds it up to 21 fraction bits), it is a
power of two, so scaling by it is a change of fraction, and above all exp(x) is computed there as
(1 + x/256)^256, which is near 0 around x = -256, leaves its domain at x = -512, and explodes at -1e4.
"""

ACTIVATIONS: Final[Mapping[str, Callable[[jax.Array], jax.Array]]] = MappingProxyType(
    {
        "gelu": functools.partial(jax.nn.gelu, approximate=False),
        "gelu_new": functools.partial(jax.nn.gelu, approximate=True),
        "gelu_pytorch_tanh": functools.partial(jax.nn.gelu, approximate=True),
        "relu": jax.nn.relu,
        "silu": jax.nn.silu,
        "swish": jax.nn.silu,
        "tanh": jnp.tanh,
        "quad": lambda x: 0.125 * x**2 + 0.25 * x + 0.5,
    }
)
"""Activation functions by the name that config.json gives them; `quad` is MPCFormer's (Li et al., 2022)."""


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """Returns the activation that config.json calls `name`, or raises a DittoError that lists them all."""
    if name not in ACTIVATIONS:
        raise DittoError(f"unknown activation {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class KeyValue(NamedTuple):
    """The attention keys and values of one layer, [positions, kv_heads, head_dim] each."""

    key: jax.Array
    value: jax.Array


Cache: TypeAlias = list[KeyValue]
"""What a decoder remembers: one entry per layer. Rows not written yet are 0."""


def embed_tokens(table: jax.Array, tokens: jax.Array) -> jax.Array:
    """The embeddings [seq, size] of `tokens` in `table` [vocab, size].

    `tokens` are one-hot ids [seq, vocab], or embeddings that were looked up beforehand [seq, size], which
    come back as they are. Raises a DittoError for any other shape.
    """
    vocab, size = table.shape
    if tokens.ndim != 2 or tokens.shape[1] not in (vocab, size):
        raise DittoError(
            f"tokens have shape {list(tokens.shape)}, expected one-hot ids [seq, {vocab}] "
            f"or token embeddings [seq, {size}]"
        )
    return tokens @ table if tokens.shape[1] == vocab else tokens


def tied_logits(table: jax.Array, hidden: jax.Array) -> jax.Array:
    """The logits [rows, vocab] of hidden [rows, size], with the embedding table as the output layer."""
    return hidden @ table.T


def linear(params: Params, x: jax.Array) -> jax.Array:
    """x [rows, in] @ kernel [in, out], plus bias [out] if there is one -> [rows, out]."""
    product: jax.Array = x @ params["kernel"]
    if "bias" in params:
        product = product + params["bias"]
    return product


def layer_norm(params: Params, x: jax.Array, eps: float) -> jax.Array:
    """Normalises the last axis of x [..., size] to mean 0 and variance 1, then scale and bias."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
    result: jax.Array = centred * jax.lax.rsqrt(variance + eps) * params["scale"] + params["bias"]
    return result


def rms_norm(params: Params, x: jax.Array, eps: float) -> jax.Array:
    """Divides the last axis of x [..., size] by its root mean square, then scale."""
    mean_square = jnp.mean(x * x, axis=-1, keepdims=True)
    result: jax.Array = x * jax.lax.rsqrt(mean_square + eps) * params["scale"]
    return result


def key_mask(mask: jax.Array) -> jax.Array:
    """The additive mask [1, keys] for mask [keys] float32, 1 where a key counts and 0 where it is padding."""
    return (mask[None, :] - 1.0) * -MASKED_SCORE


def causal_mask(first_position: int | jax.Array, queries: int, keys: int) -> jax.Array:
    """The additive mask [queries, keys] under which the query at position p sees keys 0 to p.

    `first_position` is the position of the first query. All of it is public.
    """
    positions = first_position + jnp.arange(queries, dtype=jnp.int32)
    hidden = jnp.arange(keys, dtype=jnp.int32)[None, :] > positions[:, None]
    return hidden.astype(jnp.float32) * MASKED_SCORE


def attention(query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Scaled dot-product attention.

    Args:
        query: [queries, heads, head_dim].
        key, value: [keys, kv_heads, head_dim]; kv_heads divides heads, and query head h uses key head
            h // (heads // kv_heads), which makes this grouped-query attention.
        mask: additive, [queries or 1, keys]; without one, all keys count.

    Returns:
        [queries, heads * head_dim].
    """
    queries, heads, head_dim = query.shape
    keys, kv_heads, _ = key.shape
    group = heads // kv_heads
    # The engine runs a batched product as one product per batch element: the query heads that share a
    # key head are rows of the same product.
    rows = query.reshape(queries, kv_heads, group, head_dim).transpose(1, 2, 0, 3)
    rows = rows.reshape(kv_heads, group * queries, head_dim)
    with jax.named_scope("scores"):
        scores = jnp.einsum("nqd,knd->nqk", rows * (1.0 / math.sqrt(head_dim)), key)
        scores = scores.reshape(heads, queries, keys)
        if mask is not None:
            scores = scores + mask
    with jax.named_scope("softmax"):
        weights = jax.nn.softmax(scores, axis=-1)
    with jax.named_scope("context"):
        weights = weights.reshape(kv_heads, group * queries, keys)
        context = jnp.einsum("nqk,knd->nqd", weights, value)
        context = context.reshape(heads, queries, head_dim).transpose(1, 0, 2)
        return context.reshape(queries, heads * head_dim)


class PreNorm(NamedTuple):
    """What a layer that normalises before it computes needs besides weights."""

    heads: int
    hidden_act: str
    eps: float


def pre_norm_layer(
    params: Params,
    shape: PreNorm,
    hidden: jax.Array,
    mask: jax.Array | None = None,
    past: KeyValue | None = None,
    position: int | jax.Array = 0,
) -> tuple[jax.Array, KeyValue]:
    """A Transformer layer as GPT-2 and vision Transformers have it.

    Args:
        params: as from `init_pre_norm_layer`.
        shape: see there.
        hidden: [rows, size].
        mask: as for `attention`.
        past: keys and values of a cache; without one, the rows see only each other.
        position: where in the cache these rows are.

    Returns:
        The hidden states [rows, size], and the keys and values that the rows saw.
    """
    with jax.named_scope("attention"):
        with jax.named_scope("norm"):
            normalised = layer_norm(params["attention_norm"], hidden, shape.eps)
        with jax.named_scope("qkv"):
            projected = jnp.split(linear(params["qkv"], normalised), 3, axis=-1)
        query, key, value = (split_heads(x, shape.heads) for x in projected)
        seen = KeyValue(key, value)
        if past is not None:
            seen = update_cache(past, seen, position)
        context = attention(query, seen.key, seen.value, mask)
        with jax.named_scope("output"):
            hidden = hidden + linear(params["attention_output"], context)
    with jax.named_scope("mlp"):
        with jax.named_scope("norm"):
            normalised = layer_norm(params["mlp_norm"], hidden, shape.eps)
        with jax.named_scope("up"):
            inner = linear(params["up"], normalised)
        with jax.named_scope("activation"):
            inner = activation(shape.hidden_act)(inner)
        with jax.named_scope("down"):
            hidden = hidden + linear(params["down"], inner)
    return hidden, seen


def init_pre_norm_layer(key: jax.Array, size: int, inner: int) -> Params:
    """Random weights of a `pre_norm_layer` of `size` features, `inner` within its two dense layers."""
    qkv, output, up, down = jax.random.split(key, 4)
    return {
        "attention_norm": init_layer_norm(size),
        "qkv": init_linear(qkv, size, 3 * size),
        "attention_output": init_linear(output, size, size),
        "mlp_norm": init_layer_norm(size),
        "up": init_linear(up, size, inner),
        "down": init_linear(down, inner, size),
    }


def split_heads(x: jax.Array, heads: int) -> jax.Array:
    """[rows, heads * head_dim] -> [rows, heads, head_dim]."""
    return x.reshape(x.shape[0], heads, -1)


def pad_cache(cache: Cache, length: int) -> Cache:
    """Appends rows of 0 up to `length` positions; raises a DittoError if there are more already."""
    rows = cache[0].key.shape[0]
    if rows > length:
        raise DittoError(f"cache_len {length} is shorter than the prompt of {rows} tokens")
    padding = ((0, length - rows), (0, 0), (0, 0))
    return [KeyValue(jnp.pad(layer.key, padding), jnp.pad(layer.value, padding)) for layer in cache]


def update_cache(layer: KeyValue, new: KeyValue, position: int | jax.Array) -> KeyValue:
    """Writes the rows of `new` into `layer` from the public `position` on."""
    start = _start(position)
    return KeyValue(
        jax.lax.dynamic_update_slice_in_dim(layer.key, new.key, start, axis=0),
        jax.lax.dynamic_update_slice_in_dim(layer.value, new.value, start, axis=0),
    )


def row_at(table: jax.Array, position: int | jax.Array) -> jax.Array:
    """The row of `table` at the public `position`; the first axis of the result is 1."""
    return jax.lax.dynamic_slice_in_dim(table, _start(position), 1)


def check_length(length: int, positions: int) -> None:
    """Raises a DittoError if a sequence of `length` tokens does not fit a model with so many positions."""
    if length > positions:
        raise DittoError(f"{length} tokens do not fit, the model has {positions} positions")


def check_position(position: int | jax.Array, cache: Cache) -> None:
    """Raises a DittoError if `position` is known and outside the cache; a traced one cannot be checked."""
    length = cache[0].key.shape[0]
    if isinstance(position, int) and not 0 <= position < length:
        raise DittoError(f"position {position} is outside the cache of {length} positions")


def _start(position: int | jax.Array) -> jax.Array:
    # For a signed index JAX emits a dozen scalar ops that count from the end if it is negative.
    return jnp.asarray(position, jnp.uint32)


def init_linear(key: jax.Array, inputs: int, outputs: int, *, bias: bool = True) -> Params:
    """A random linear layer: kernel [in, out] from a normal distribution, bias 0."""
    kernel = init_table(key, inputs, outputs)
    return {"kernel": kernel, "bias": jnp.zeros(outputs)} if bias else {"kernel": kernel}


def init_table(key: jax.Array, rows: int, columns: int) -> jax.Array:
    """A random matrix [rows, columns] with standard deviation 0.02, as all these models are initialised."""
    return 0.02 * jax.random.normal(key, (rows, columns), dtype=jnp.float32)


def init_layer_norm(size: int) -> Params:
    """The identity LayerNorm of `size` features."""
    return {"scale": jnp.ones(size), "bias": jnp.zeros(size)}
