"""The shared layers, each against its definition in numpy float64."""

from __future__ import annotations

import numpy as np
import pytest

from ditto.models.layers import (
    MASKED_SCORE,
    KeyValue,
    activation,
    attention,
    causal_mask,
    check_position,
    embed_tokens,
    key_mask,
    pad_cache,
    row_at,
    update_cache,
)
from ditto_compiler.errors import DittoError


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def test_grouped_query_attention_is_attention_with_repeated_key_heads() -> None:
    query, key, value = normal(5, 6, 4), normal(7, 2, 4), normal(7, 2, 4) + 1
    mask = key_mask(np.array([1, 1, 1, 1, 1, 0, 0], dtype=np.float32))
    expected = []
    for head in range(6):
        scores = query[:, head].astype(np.float64) @ key[:, head // 3].T / 2.0
        scores[:, 5:] = -np.inf
        expected.append(softmax(scores) @ value[:, head // 3])
    found = attention(query, key, value, mask)
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-5)


def test_masked_keys_weigh_exactly_nothing() -> None:
    query, key, value = 4 * normal(3, 2, 8), 4 * normal(5, 2, 8), normal(5, 2, 8)
    mask = key_mask(np.array([1, 1, 1, 0, 0], dtype=np.float32))
    short = attention(query, key[:3], value[:3], np.zeros((1, 3), dtype=np.float32))
    value[3:] = 1e30
    np.testing.assert_allclose(attention(query, key, value, mask), short, atol=1e-6)


def test_causal_mask_starts_at_the_first_position() -> None:
    hidden = MASKED_SCORE
    np.testing.assert_array_equal(causal_mask(0, 2, 3), [[0, hidden, hidden], [0, 0, hidden]])
    np.testing.assert_array_equal(causal_mask(1, 1, 3), [[0, 0, hidden]])


def test_masked_score_stays_in_the_domain_of_the_engines_exp() -> None:
    # The engine computes exp(x) as (1 + x / 256)^256; a masked score is -256 give or take the row's spread.
    spread = np.linspace(-200, 200, 101)
    assert np.abs(1 + (MASKED_SCORE + spread) / 256).max() ** 256 < 1e-20


def test_embed_tokens_tells_ids_from_embeddings() -> None:
    table = normal(9, 4)
    np.testing.assert_array_equal(embed_tokens(table, np.eye(9, dtype=np.float32)[[3, 1]]), table[[3, 1]])
    looked_up = normal(2, 4)
    assert embed_tokens(table, looked_up) is looked_up
    with pytest.raises(DittoError, match=r"shape \[2, 5\], expected one-hot ids \[seq, 9\] or .* \[seq, 4\]"):
        embed_tokens(table, normal(2, 5))


def test_unknown_activation_lists_the_known_ones() -> None:
    with pytest.raises(DittoError, match="unknown activation 'mish'; known: gelu, gelu_new,"):
        activation("mish")


def test_cache_is_written_at_the_position() -> None:
    cache = pad_cache([KeyValue(normal(2, 1, 2), normal(2, 1, 2))], 4)
    new = KeyValue(np.ones((1, 1, 2), np.float32), 2 * np.ones((1, 1, 2), np.float32))
    written = update_cache(cache[0], new, 2)
    np.testing.assert_array_equal(written.key[2], [[1, 1]])
    np.testing.assert_array_equal(written.value[2], [[2, 2]])
    for rows in (slice(0, 2), slice(3, 4)):
        np.testing.assert_array_equal(written.key[rows], cache[0].key[rows])
    np.testing.assert_array_equal(row_at(written.key, 2), new.key)


def test_cache_errors() -> None:
    layer = KeyValue(normal(3, 1, 2), normal(3, 1, 2))
    with pytest.raises(DittoError, match="cache_len 2 is shorter than the prompt of 3 tokens"):
        pad_cache([layer], 2)
    for position in (-1, 3):
        with pytest.raises(DittoError, match=f"position {position} is outside the cache of 3 positions"):
            check_position(position, [layer])
