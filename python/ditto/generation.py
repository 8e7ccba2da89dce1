"""Greedy text generation: the client learns each next token, the parties learn nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ditto.api import compile
from ditto.models.gpt2 import Gpt2Config, gpt2_prefill, gpt2_step
from ditto.models.llama import LlamaConfig, llama_prefill, llama_step
from ditto.runtime.caller.cluster import LocalCluster, RunStats
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.errors import DittoError
from ditto_compiler.policy import Policy


@dataclass(frozen=True)
class CausalModel:
    """A language model with a key-value cache, as pure functions.

    Attributes:
        prefill: (params, one-hot tokens [seq, vocab], cache length) -> (logits [vocab], cache).
        step: (params, one-hot token [vocab], position, cache) -> (logits [vocab], cache).
        vocab_size: number of tokens.
    """

    prefill: Callable[..., Any]
    step: Callable[..., Any]
    vocab_size: int


def gpt2(config: Gpt2Config) -> CausalModel:
    """GPT-2 of this shape."""

    def prefill(params: Any, tokens: Any, cache_len: int) -> Any:
        return gpt2_prefill(params, config, tokens, cache_len)

    def step(params: Any, token: Any, position: Any, cache: Any) -> Any:
        return gpt2_step(params, config, token, position, cache)

    return CausalModel(prefill, step, config.vocab_size)


def llama(config: LlamaConfig) -> CausalModel:
    """LLaMA of this shape."""

    def prefill(params: Any, tokens: Any, cache_len: int) -> Any:
        return llama_prefill(params, config, tokens, cache_len)

    def step(params: Any, token: Any, position: Any, cache: Any) -> Any:
        return llama_step(params, config, token, position, cache)

    return CausalModel(prefill, step, config.vocab_size)


def generate(
    cluster: LocalCluster,
    model: CausalModel,
    params: Any,
    prompt: Sequence[int],
    new_tokens: int,
    *,
    policy: str | Policy = "ditto",
    on_token: Callable[[int, RunStats], None] | None = None,
) -> list[int]:
    """The `new_tokens` most likely tokens after `prompt`, one by one.

    Weights are shared once. The cache stays with the parties, as shares. Of each step the client gets the
    next token's id, and gives it back as a secret one-hot vector: lookups need no comparison then, and the
    parties do not see the text. They see how long it is.

    Args:
        cluster: where it runs.
        model: what runs.
        params: its weights.
        prompt: token ids, at least one.
        new_tokens: how many to generate.
        policy: precision policy.
        on_token: called with each new token and what its run cost.

    Raises:
        DittoError: an empty prompt, an id outside the vocabulary, or what `compile` and `run` raise.
    """
    if not prompt or new_tokens < 1:
        raise DittoError("generation needs at least one token of prompt, and at least one to generate")
    if not all(0 <= token < model.vocab_size for token in prompt):
        raise DittoError(f"token ids must be in [0, {model.vocab_size})")
    one_hot = partial(_one_hot, size=model.vocab_size)
    length = len(prompt) + new_tokens

    def first(params: Any, tokens: Any) -> Any:
        logits, cache = model.prefill(params, tokens, length)
        return jnp.argmax(logits), cache

    def following(params: Any, token: Any, position: Any, cache: Any) -> Any:
        logits, cache = model.step(params, token, position, cache)
        return jnp.argmax(logits), cache

    tokens = np.stack([one_hot(token) for token in prompt])
    # The rotary tables of LLaMA are public constants: they say nothing about text or weights.
    options: dict[str, Any] = {"policy": policy, "max_public_constant": -1}
    prefill = compile(first, params, tokens, **options)
    shared = cluster.share(prefill, 0, params)
    token, cache = cluster.run(prefill, shared, tokens, keep=(False, True))
    generated = [_told(cluster, int(token), on_token)]
    if new_tokens == 1:
        return generated
    example = _shapes(cache)
    step = compile(
        following,
        params,
        tokens[0],
        np.int32(0),
        example,
        visibility=("secret", "secret", "public", "secret"),
        **options,
    )
    for position in range(len(prompt), length - 1):
        old = cache
        arguments = (shared, one_hot(generated[-1]), np.int32(position), cache)
        token, cache = cluster.run(step, *arguments, keep=(False, True))
        cluster.forget(old)
        generated.append(_told(cluster, int(token), on_token))
    cluster.forget((shared, cache))
    return generated


def _one_hot(token: int, size: int) -> NDArray[np.float32]:
    vector = np.zeros(size, np.float32)
    vector[token] = 1
    return vector


def _told(cluster: LocalCluster, token: int, on_token: Callable[[int, RunStats], None] | None) -> int:
    if on_token is not None and cluster.stats is not None:
        on_token(token, cluster.stats)
    return token


def _shapes(cache: Any) -> Any:
    """Arrays of the shapes of shared ones, nested alike, to compile with."""
    return jax.tree_util.tree_map(lambda h: jax.ShapeDtypeStruct(h.shape, numpy_dtype(h.dtype)), cache)
