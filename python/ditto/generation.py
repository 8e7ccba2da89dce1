"""Greedy text generation: the client learns each next token, the parties learn nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ditto.api import compile
from ditto.calibrating import calibrate
from ditto.compiled_program import Program
from ditto.models.gpt2 import Gpt2Config, gpt2_prefill, gpt2_step
from ditto.models.llama import LlamaConfig, llama_prefill, llama_step
from ditto.runtime.caller.cluster import LocalCluster, RunStats
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
    samples: Sequence[Sequence[int]] = (),
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
        samples: texts to calibrate on, in plaintext, each of as many token ids as prompt and answer have, or
            more. Without any, functions are computed for all numbers there are, in about twice the time.
        on_token: called with each new token and what its run cost.

    Raises:
        DittoError: an empty prompt, an id outside the vocabulary, a sample that is too short, or what
            `calibrate`, `compile` and `run` raise.
    """
    prompt, samples = _ids(prompt, model), [_ids(text, model) for text in samples]
    if not prompt or new_tokens < 1:
        raise DittoError("generation needs at least one token of prompt, and at least one to generate")
    length = len(prompt) + new_tokens
    if any(len(text) < length for text in samples):
        raise DittoError(f"samples must have at least {length} tokens, as prompt and answer have")
    prefill, step = _compiled(model, params, len(prompt), length, policy, samples)
    shared = cluster.share([prefill] if step is None else [prefill, step], 0, params)
    tokens = _one_hot(prompt, model.vocab_size)
    token, cache = cluster.run(prefill, shared, tokens, keep=(False, True))
    generated = [_told(cluster, int(token), on_token)]
    for position in range(len(prompt), length - 1):
        assert step is not None
        old, vector = cache, _one_hot(generated[-1:], model.vocab_size)[0]
        token, cache = cluster.run(step, shared, vector, np.int32(position), cache, keep=(False, True))
        cluster.forget(old)
        generated.append(_told(cluster, int(token), on_token))
    cluster.forget((shared, cache))
    return generated


def _ids(text: Sequence[int], model: CausalModel) -> list[int]:
    """Token ids as integers of Python."""
    ids = np.asarray(text)
    if ids.size and (ids.dtype.kind not in "iu" or ids.ndim != 1):
        raise DittoError(f"a text must be a sequence of token ids, got {ids.dtype} of shape {ids.shape}")
    found: list[int] = ids.tolist()
    if not all(0 <= token < model.vocab_size for token in found):
        raise DittoError(f"token ids must be in [0, {model.vocab_size})")
    return found


def _compiled(
    model: CausalModel,
    params: Any,
    prompt: int,
    length: int,
    policy: str | Policy,
    samples: Sequence[Sequence[int]],
) -> tuple[Program, Program | None]:
    """What reads a prompt of one length, and what makes a step towards another, if there is one.

    (params, tokens) -> (next token, cache), and (params, token, position, cache) -> (next token, cache);
    calibrated on samples, if there are any.
    """

    def first(params: Any, tokens: Any) -> Any:
        logits, cache = model.prefill(params, tokens, length)
        return jnp.argmax(logits), cache

    def following(params: Any, token: Any, position: Any, cache: Any) -> Any:
        logits, cache = model.step(params, token, position, cache)
        return jnp.argmax(logits), cache

    # The rotary tables of LLaMA are public constants: they say nothing about text or weights.
    options: dict[str, Any] = {"policy": policy, "max_public_constant": -1}
    words = [_one_hot(text, model.vocab_size) for text in samples]
    starts = [(params, text[:prompt]) for text in words]
    tokens = jax.ShapeDtypeStruct((prompt, model.vocab_size), np.float32)
    ranges = calibrate(first, starts, **options) if samples else None
    prefill = compile(first, params, tokens, ranges=ranges, **options)
    if length == prompt + 1:
        return prefill, None

    def steps() -> Iterator[tuple[Any, ...]]:
        begin, step = jax.jit(first), jax.jit(following)
        for start, text in zip(starts, words, strict=True):
            _, cache = begin(*start)
            for position in range(prompt, length - 1):
                arguments = (params, text[position], np.int32(position), cache)
                yield arguments
                _, cache = step(*arguments)

    options["visibility"] = ("secret", "secret", "public", "secret")
    ranges = calibrate(following, steps(), **options) if samples else None
    cache = jax.eval_shape(first, params, tokens)[1]
    token = jax.ShapeDtypeStruct((model.vocab_size,), np.float32)
    step = compile(following, params, token, np.int32(0), cache, ranges=ranges, donate_argnums=3, **options)
    return prefill, step


def _one_hot(tokens: Sequence[int], size: int) -> NDArray[np.float32]:
    vectors = np.zeros((len(tokens), size), np.float32)
    vectors[np.arange(len(tokens)), list(tokens)] = 1
    return vectors


def _told(cluster: LocalCluster, token: int, on_token: Callable[[int, RunStats], None] | None) -> int:
    if on_token is not None and cluster.stats is not None:
        on_token(token, cluster.stats)
    return token
