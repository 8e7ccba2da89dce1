"""LLaMA (Touvron et al., 2023) as pure functions of a weight pytree, with a key-value cache.

A driver generates text with `llama_prefill` for the prompt, then one `llama_step` per token. Choosing the
token from the logits is the driver's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ditto.models.checkpoint import (
    Tensors,
    check_model_type,
    read_checkpoint,
    require,
    side_by_side,
    take,
    take_linear,
    without_prefix,
)
from ditto.models.layers import (
    Cache,
    KeyValue,
    Params,
    activation,
    attention,
    causal_mask,
    check_length,
    check_position,
    embed_tokens,
    init_linear,
    init_table,
    linear,
    pad_cache,
    rms_norm,
    row_at,
    split_heads,
    tied_logits,
    update_cache,
)
from ditto_compiler.errors import DittoError


class _Rotation(NamedTuple):
    """Rotary position embedding: by how much each position turns each pair of features."""

    cos: jax.Array | NDArray[np.float32]
    """[positions, 1, head_dim]."""
    sin: jax.Array | NDArray[np.float32]

    def row(self, position: int | jax.Array) -> _Rotation:
        """The rotation of a single position, which is public and may be traced."""
        return _Rotation(row_at(jnp.asarray(self.cos), position), row_at(jnp.asarray(self.sin), position))

    def apply(self, x: jax.Array) -> jax.Array:
        """Turns x [positions, heads, head_dim]; feature i is paired with feature i + head_dim / 2."""
        first, second = jnp.split(x, 2, axis=-1)
        return x * self.cos + jnp.concatenate([-second, first], axis=-1) * self.sin


@dataclass(frozen=True)
class LlamaConfig:
    """The shape of a LLaMA model. Field names are those of Hugging Face's config.json."""

    vocab_size: int = 32000
    hidden_size: int = 4096
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    head_dim: int = 128
    intermediate_size: int = 11008
    max_position_embeddings: int = 4096
    rope_theta: float = 10000.0
    hidden_act: str = "silu"
    rms_norm_eps: float = 1e-5
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        activation(self.hidden_act)
        if self.num_attention_heads % self.num_key_value_heads:
            raise DittoError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        if self.head_dim % 2:
            raise DittoError(f"head_dim {self.head_dim} is odd; rotary embeddings need pairs")

    @classmethod
    def from_hugging_face(cls, config: Mapping[str, Any]) -> LlamaConfig:
        """Reads the content of a config.json; raises a DittoError for what this LLaMA does not have."""
        check_model_type(config, "llama")
        for option in ("attention_bias", "mlp_bias"):
            if config.get(option, False):
                raise DittoError(f"{option} is not supported")
        # Up to transformers 4 the scaling has a key of its own; from 5 on, all of rope has one key.
        rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
        rope_type = rope.get("rope_type", rope.get("type", "default"))
        if rope_type != "default":
            raise DittoError(f"rope type {rope_type!r} is not supported, only 'default'")
        hidden_size = require(config, "hidden_size")
        heads = require(config, "num_attention_heads")
        return cls(
            vocab_size=require(config, "vocab_size"),
            hidden_size=hidden_size,
            num_hidden_layers=require(config, "num_hidden_layers"),
            num_attention_heads=heads,
            num_key_value_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or hidden_size // heads,
            intermediate_size=require(config, "intermediate_size"),
            max_position_embeddings=require(config, "max_position_embeddings"),
            rope_theta=rope.get("rope_theta") or config.get("rope_theta", cls.rope_theta),
            hidden_act=config.get("hidden_act", cls.hidden_act),
            rms_norm_eps=require(config, "rms_norm_eps"),
            tie_word_embeddings=config.get("tie_word_embeddings", cls.tie_word_embeddings),
        )


LLAMA_PRESETS: Final[Mapping[str, LlamaConfig]] = MappingProxyType(
    {
        "7b": LlamaConfig(),
        "tiny": LlamaConfig(
            vocab_size=256,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=128,
            max_position_embeddings=64,
        ),
    }
)
"""Llama 2 7B, and a size for tests that has every feature."""


def load_llama(folder: str | Path) -> tuple[LlamaConfig, Params]:
    """Reads a Hugging Face LLaMA folder; names may carry the "model." prefix or not.

    Raises:
        DittoError: a file or tensor is missing, has the wrong shape, or the model is not a LLaMA.
    """
    checkpoint = read_checkpoint(folder)
    config = LlamaConfig.from_hugging_face(checkpoint.config)
    tensors = without_prefix(checkpoint.tensors, "model.")
    size, vocab = config.hidden_size, config.vocab_size
    params: Params = {
        "word": take(tensors, "embed_tokens.weight", (vocab, size)),
        "layers": [_take_layer(tensors, f"layers.{i}", config) for i in range(config.num_hidden_layers)],
        "norm": {"scale": take(tensors, "norm.weight", (size,))},
    }
    if not config.tie_word_embeddings:
        params["lm_head"] = take_linear(tensors, "lm_head", size, vocab, bias=False)
    return config, params


def init_llama(config: LlamaConfig, key: jax.Array) -> Params:
    """Random weights of the shapes that `load_llama` returns."""
    word, head, *layers = jax.random.split(key, 2 + config.num_hidden_layers)
    params: Params = {
        "word": init_table(word, config.vocab_size, config.hidden_size),
        "layers": [_init_layer(config, layer) for layer in layers],
        "norm": {"scale": jnp.ones(config.hidden_size)},
    }
    if not config.tie_word_embeddings:
        params["lm_head"] = init_linear(head, config.hidden_size, config.vocab_size, bias=False)
    return params


def llama_logits(params: Params, config: LlamaConfig, tokens: jax.Array) -> jax.Array:
    """The logits [seq, vocab_size] after each token; `tokens` as in `llama_prefill`."""
    hidden, _ = _prompt(params, config, tokens)
    return _head(params, config, hidden)


def llama_layer(layer: Params, config: LlamaConfig, hidden: jax.Array) -> jax.Array:
    """One decoder layer over the hidden states [seq, hidden_size] of a text from its start on.

    `layer` is one of `params["layers"]`. So a model that is too large to be held at once runs layer by layer.
    """
    length = hidden.shape[0]
    check_length(length, config.max_position_embeddings)
    mask = causal_mask(0, length, length)
    return _decoder_layer(layer, config, hidden, _rotation(config, length), mask, 0, None)[0]


def llama_prefill(
    params: Params, config: LlamaConfig, tokens: jax.Array, cache_len: int
) -> tuple[jax.Array, Cache]:
    """Reads a prompt.

    Args:
        params: as from `load_llama` or `init_llama`.
        config: the shape of `params`.
        tokens: one-hot ids [seq, vocab_size], or token embeddings that were looked up beforehand
            [seq, hidden_size]; float32. The prompt fills them: there is no padding.
        cache_len: positions in the cache, for the prompt and all tokens to be generated.

    Returns:
        The logits [vocab_size] of the next token, and the cache, [cache_len, kv_heads, head_dim] per layer.

    Raises:
        DittoError: `tokens` has another shape, or the prompt is longer than the cache, or the cache than
            the model has positions.
    """
    check_length(cache_len, config.max_position_embeddings)
    hidden, cache = _prompt(params, config, tokens)
    return _head(params, config, hidden[-1:])[0], pad_cache(cache, cache_len)


def llama_step(
    params: Params, config: LlamaConfig, token: jax.Array, position: int | jax.Array, cache: Cache
) -> tuple[jax.Array, Cache]:
    """Reads one more token.

    Args:
        params: as from `load_llama` or `init_llama`.
        config: the shape of `params`.
        token: one-hot [vocab_size], or its embedding [hidden_size]; float32.
        position: public; the number of tokens read before. If it is traced, one program serves all steps;
            it must then be below the cache length, which nobody can check.
        cache: as from the previous call.

    Returns:
        The logits [vocab_size] of the next token, and the cache with this token in it.

    Raises:
        DittoError: `token` has another shape, or `position` is outside the cache.
    """
    check_position(position, cache)
    cache_len = cache[0].key.shape[0]
    with jax.named_scope("embeddings"):
        hidden = embed_tokens(params["word"], token[None])
    rotation = _rotation(config, cache_len).row(position)
    mask = causal_mask(position, queries=1, keys=cache_len)
    hidden, cache = _decode(params, config, hidden, rotation, mask, position, cache)
    return _head(params, config, hidden)[0], cache


def _rotation(config: LlamaConfig, positions: int) -> _Rotation:
    # A public constant made outside the traced program: the engine's own cosine is too coarse for it.
    exponents = np.arange(0, config.head_dim, 2) / config.head_dim
    angles = np.arange(positions)[:, None] * config.rope_theta**-exponents
    angles = np.concatenate([angles, angles], axis=-1)[:, None, :]
    return _Rotation(np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32))


def _prompt(params: Params, config: LlamaConfig, tokens: jax.Array) -> tuple[jax.Array, Cache]:
    length = tokens.shape[0]
    check_length(length, config.max_position_embeddings)
    with jax.named_scope("embeddings"):
        hidden = embed_tokens(params["word"], tokens)
    mask = causal_mask(0, length, length)
    return _decode(params, config, hidden, _rotation(config, length), mask, 0, None)


def _decode(
    params: Params,
    config: LlamaConfig,
    hidden: jax.Array,
    rotation: _Rotation,
    mask: jax.Array,
    position: int | jax.Array,
    cache: Cache | None,
) -> tuple[jax.Array, Cache]:
    """Runs all layers over hidden [rows, size]; without a cache, the rows see only each other."""
    new_cache = []
    for i, layer in enumerate(params["layers"]):
        with jax.named_scope(f"decoder/layer{i}"):
            past = None if cache is None else cache[i]
            hidden, key_value = _decoder_layer(layer, config, hidden, rotation, mask, position, past)
            new_cache.append(key_value)
    return hidden, new_cache


def _decoder_layer(
    params: Params,
    config: LlamaConfig,
    hidden: jax.Array,
    rotation: _Rotation,
    mask: jax.Array,
    position: int | jax.Array,
    past: KeyValue | None,
) -> tuple[jax.Array, KeyValue]:
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    with jax.named_scope("attention"):
        with jax.named_scope("norm"):
            normalised = rms_norm(params["attention_norm"], hidden, config.rms_norm_eps)
        with jax.named_scope("qkv"):
            projected = split_heads(linear(params["qkv"], normalised), heads + 2 * kv_heads)
        with jax.named_scope("rotary"):
            query, key = jnp.split(rotation.apply(projected[:, : heads + kv_heads]), [heads], axis=1)
        seen = KeyValue(key, projected[:, heads + kv_heads :])
        if past is not None:
            seen = update_cache(past, seen, position)
        context = attention(query, seen.key, seen.value, mask)
        with jax.named_scope("output"):
            hidden = hidden + linear(params["attention_output"], context)
    with jax.named_scope("mlp"):
        with jax.named_scope("norm"):
            normalised = rms_norm(params["mlp_norm"], hidden, config.rms_norm_eps)
        with jax.named_scope("up"):
            gate, up = jnp.split(linear(params["gate_up"], normalised), 2, axis=-1)
        with jax.named_scope("activation"):
            inner = activation(config.hidden_act)(gate) * up
        with jax.named_scope("down"):
            hidden = hidden + linear(params["down"], inner)
    return hidden, seen


def _head(params: Params, config: LlamaConfig, hidden: jax.Array) -> jax.Array:
    with jax.named_scope("decoder/norm"):
        normalised = rms_norm(params["norm"], hidden, config.rms_norm_eps)
    with jax.named_scope("lm_head"):
        if config.tie_word_embeddings:
            return tied_logits(params["word"], normalised)
        return linear(params["lm_head"], normalised)


def _take_layer(tensors: Tensors, name: str, config: LlamaConfig) -> Params:
    size, inner = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim

    def part(kind: str, inputs: int, outputs: int) -> Tensors:
        return take_linear(tensors, f"{name}.{kind}_proj", inputs, outputs, bias=False)

    return {
        "attention_norm": {"scale": take(tensors, f"{name}.input_layernorm.weight", (size,))},
        "qkv": side_by_side(
            [
                part("self_attn.q", size, queries),
                part("self_attn.k", size, keys),
                part("self_attn.v", size, keys),
            ]
        ),
        "attention_output": part("self_attn.o", queries, size),
        "mlp_norm": {"scale": take(tensors, f"{name}.post_attention_layernorm.weight", (size,))},
        "gate_up": side_by_side([part("mlp.gate", size, inner), part("mlp.up", size, inner)]),
        "down": part("mlp.down", inner, size),
    }


def _init_layer(config: LlamaConfig, key: jax.Array) -> Params:
    size, inner = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    qkv, output, gate_up, down = jax.random.split(key, 4)
    return {
        "attention_norm": {"scale": jnp.ones(size)},
        "qkv": init_linear(qkv, size, queries + 2 * keys, bias=False),
        "attention_output": init_linear(output, queries, size, bias=False),
        "mlp_norm": {"scale": jnp.ones(size)},
        "gate_up": init_linear(gate_up, size, 2 * inner, bias=False),
        "down": init_linear(down, inner, size, bias=False),
    }
