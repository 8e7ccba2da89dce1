"""Token generation: the caller learns the next token or its logits, the parties learn nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from ditto.progress import Bar, bar
from ditto.runtime.caller.cluster import Cluster, RunStats
from ditto.sampling import Sampling
from ditto_compiler.errors import DittoError
from ditto_compiler.policy import Policy

MOST_STEPS = 67
"""Of all steps through the samples, at most so many are measured, at equal distances: a prime number, so that
they are not the same positions of each sample."""


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
    cluster: Cluster, model: CausalModel, params: Any, prompt: Sequence[int], new_tokens: int, **options: Any
) -> list[int]:
    """The tokens that `stream` gives, all at once.

    Raises:
        DittoError: as `stream`.
    """
    return list(stream(cluster, model, params, prompt, new_tokens, **options))


def stream(
    cluster: Cluster,
    model: CausalModel,
    params: Any,
    prompt: Sequence[int],
    new_tokens: int,
    *,
    policy: str | Policy = "ditto",
    samples: Sequence[Sequence[int]] = (),
    sampling: Sampling | None = None,
    stop: Collection[int] = (),
    guard: bool = False,
    progress: bool = False,
    on_token: Callable[[int, RunStats], None] | None = None,
) -> Iterator[int]:
    """The tokens after `prompt`, one by one, as they are found: at most `new_tokens`.

    Weights are shared once. The cache stays with the parties, as shares. The caller gives the last token
    back as a secret one-hot vector: lookups need no comparison then.

    Who knows what: the parties see neither text nor logits nor draws, but how many tokens the prompt and the
    answer have. The caller gets, without sampling, the id of the likeliest token, which the parties
    computed among themselves. With sampling it gets all logits of each step, which say more of the weights
    than the tokens do, and draws by itself.

    When the iterator ends, or is closed or dropped, the parties forget weights and cache.

    Args:
        cluster: where it runs.
        model: what runs.
        params: its weights.
        prompt: token ids, at least one.
        new_tokens: how many to generate at most.
        policy: precision policy.
        samples: texts to calibrate on, in plaintext, each of as many token ids as prompt and answer have, or
            more. Without any, functions are computed for all numbers there are, in about twice the time.
            What they are shows in the program, which parties have: take texts that are public.
        sampling: how tokens are drawn; by default the likeliest is taken.
        stop: tokens that end the text; they are not part of it.
        guard: have the parties check the ranges that calibration assumes, see `ditto.compile`.
        progress: show what is being done before the first token, on a terminal or in a notebook.
        on_token: called with each new token, also one that ends the text, and what its run cost.

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
    choose: Callable[[NDArray[Any]], int] = int if sampling is None else sampling.chooser()
    with bar(progress) as told:
        options = {"policy": policy, "guard": guard}
        prefill, step = _compiled(
            model, params, len(prompt), length, samples, sampling is not None, options, told
        )

    def tokens() -> Iterator[int]:
        held: tuple[Any, ...] = ()
        try:
            with bar(progress) as told:
                told("sharing weights")
                shared = cluster.share([prefill] if step is None else [prefill, step], 0, params)
                held = (shared,)
                told("reading the prompt")
                vectors = _one_hot(prompt, model.vocab_size)
                found, cache = cluster.run(prefill, shared, vectors, keep=(False, True))
            held = (shared, cache)
            for position in range(len(prompt), length):
                token = choose(found)
                if on_token is not None and cluster.stats is not None:
                    on_token(token, cluster.stats)
                if token in stop:
                    return
                yield token
                if position + 1 == length:
                    return
                assert step is not None
                old, vector = cache, _one_hot([token], model.vocab_size)[0]
                found, cache = cluster.run(
                    step, shared, vector, np.int32(position), cache, keep=(False, True)
                )
                held = (shared, cache)
                cluster.forget(old)
        finally:
            cluster.forget(held)

    return tokens()


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
    samples: Sequence[Sequence[int]],
    all_logits: bool,
    options: Mapping[str, Any],
    told: Bar,
) -> tuple[Program, Program | None]:
    """What reads a prompt of one length, and what makes a step towards another, if there is one.

    (params, tokens) -> (next token or logits, cache), and (params, token, position, cache) -> (the same);
    calibrated on samples, if there are any.
    """

    def first(params: Any, tokens: Any) -> Any:
        logits, cache = model.prefill(params, tokens, length)
        return logits if all_logits else jnp.argmax(logits), cache

    def following(params: Any, token: Any, position: Any, cache: Any) -> Any:
        logits, cache = model.step(params, token, position, cache)
        return logits if all_logits else jnp.argmax(logits), cache

    # The rotary tables of LLaMA are public constants: they say nothing about text or weights.
    constants: dict[str, Any] = {"max_public_constant": -1}
    measured = {"policy": options["policy"], **constants}
    words = [_one_hot(text, model.vocab_size) for text in samples]
    starts = [(params, text[:prompt]) for text in words]
    tokens = jax.ShapeDtypeStruct((prompt, model.vocab_size), np.float32)
    told("calibrating what reads the prompt")
    ranges = calibrate(first, starts, **measured) if samples else None
    told("compiling what reads the prompt")
    prefill = compile(first, params, tokens, ranges=ranges, **constants, **options)
    if length == prompt + 1:
        return prefill, None

    def steps() -> Iterator[tuple[Any, ...]]:
        begin, step = jax.jit(first), jax.jit(following)
        count = 0
        for start, text in zip(starts, words, strict=True):
            _, cache = begin(*start)
            for position in range(prompt, length - 1):
                arguments = (params, text[position], np.int32(position), cache)
                # To measure takes longer than to go on.
                if count % every == 0:
                    yield arguments
                count += 1
                _, cache = step(*arguments)

    every = math.ceil(len(words) * (length - 1 - prompt) / MOST_STEPS) or 1
    visibility = ("secret", "secret", "public", "secret")
    told("calibrating a step")
    ranges = calibrate(following, steps(), visibility=visibility, **measured) if samples else None
    told("compiling a step")
    cache = jax.eval_shape(first, params, tokens)[1]
    token = jax.ShapeDtypeStruct((model.vocab_size,), np.float32)
    step = compile(
        following,
        params,
        token,
        np.int32(0),
        cache,
        ranges=ranges,
        donate_argnums=3,
        visibility=visibility,
        **constants,
        **options,
    )
    return prefill, step


def _one_hot(tokens: Sequence[int], size: int) -> NDArray[np.float32]:
    vectors = np.zeros((len(tokens), size), np.float32)
    vectors[np.arange(len(tokens)), list(tokens)] = 1
    return vectors
