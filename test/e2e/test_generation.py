"""Private greedy generation gives the tokens that plaintext gives."""

import dataclasses

import jax
import numpy as np
import pytest

import ditto
from ditto.generation import generate, gpt2, llama
from ditto.models.gpt2 import Gpt2Config, gpt2_logits, init_gpt2
from ditto.models.llama import LLAMA_PRESETS, init_llama, llama_logits

GPT2 = Gpt2Config(
    vocab_size=24,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=16,
)


def plaintext(logits, params, config, prompt, count):
    """Greedy generation without a cache, and by how much each choice won."""
    # No token sees those after it, so there is one shape for all.
    one_hot = np.zeros((len(prompt) + count, config.vocab_size), np.float32)
    one_hot[np.arange(len(prompt)), prompt] = 1.0
    compiled = jax.jit(lambda tokens: logits(params, config, tokens))
    tokens, margins = list(prompt), []
    for place in range(len(prompt), len(one_hot)):
        found = np.asarray(compiled(one_hot))[place - 1]
        margins.append(np.diff(np.sort(found)[-2:])[0])
        tokens.append(int(found.argmax()))
        one_hot[place, tokens[-1]] = 1.0
    return tokens[len(prompt) :], min(margins)


def scaled(params):
    """Random weights large enough that choices are clear."""
    return jax.tree.map(lambda w: np.asarray(w * 4 if w.ndim > 1 else w, np.float32), params)


def from_gpt2(cluster, count, config=GPT2, **options):
    """What a small GPT-2 generates, which is what plaintext gives, and what each token cost."""
    params = scaled(init_gpt2(config, jax.random.key(1)))
    expected, margin = plaintext(gpt2_logits, params, config, [3, 7, 1], count)
    assert margin > 0.05
    seen = []

    def note(token, stats):
        seen.append((token, stats))

    found = generate(cluster, gpt2(config), params, [3, 7, 1], count, on_token=note, **options)
    assert found == expected
    assert [token for token, _ in seen] == expected
    return [stats for _, stats in seen]


@pytest.mark.parametrize("policy", ["uniform64", "ditto"])
def test_gpt2(cluster, policy):
    seen = from_gpt2(cluster, 3, policy=policy)
    # The weights were shared before the first run: a step's client sends a one-hot token and a position.
    words = {"uniform64": 8, "ditto": 4}[policy]
    assert seen[-1].input_bytes <= 3 * 2 * (words + 8) * GPT2.vocab_size + 3 * 16


def test_calibrated(cluster):
    """On other texts. Weights serve both programs as they are, and the cache of a step the next one."""
    samples = np.random.default_rng(5).integers(0, GPT2.vocab_size, (4, 9))
    config = dataclasses.replace(GPT2, num_hidden_layers=1)
    calibrated, not_calibrated = (from_gpt2(cluster, 5, config, samples=texts) for texts in (samples, ()))
    # The cache after the prompt is cast once, that of a step never.
    first, *others = calibrated[1:]
    assert len({stats.bytes for stats in others}) == 1
    assert first.bytes > others[0].bytes
    assert others[0].beside_rounds < 0.6 * not_calibrated[-1].beside_rounds


def test_a_bad_sample(cluster):
    with pytest.raises(ditto.DittoError, match="samples must have at least 5 tokens"):
        generate(cluster, gpt2(GPT2), {}, [1, 2], 3, samples=[[1, 2, 3, 4]])
    with pytest.raises(ditto.DittoError, match=r"must be in \[0, 24\)"):
        generate(cluster, gpt2(GPT2), {}, [1, 2], 1, samples=[[1, 2, -1]])


@pytest.mark.parametrize(("policy", "texts"), [("uniform64", 0), ("ditto", 3)])
def test_llama(cluster, policy, texts):
    config = LLAMA_PRESETS["tiny"]
    params = scaled(init_llama(config, jax.random.key(3)))
    expected, _ = plaintext(llama_logits, params, config, [2, 5], 2)
    samples = np.random.default_rng(0).integers(0, config.vocab_size, (texts, 4))
    found = generate(cluster, llama(config), params, np.array([2, 5]), 2, policy=policy, samples=samples)
    assert found == expected


def test_bad_prompts(cluster):
    with pytest.raises(ditto.DittoError, match="at least one token of prompt"):
        generate(cluster, gpt2(GPT2), {}, [], 2)
    with pytest.raises(ditto.DittoError, match=r"must be in \[0, 24\)"):
        generate(cluster, gpt2(GPT2), {}, [24], 2)
    for text in ([1.5], [True], [[1, 2]], "ab"):
        with pytest.raises(ditto.DittoError, match="must be a sequence of token ids"):
            generate(cluster, gpt2(GPT2), {}, text, 2)
