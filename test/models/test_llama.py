"""LLaMA against a plain numpy float64 forward pass, and against Hugging Face transformers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest
import transformers
from safetensors.numpy import save_file

from ditto.models.layers import Params
from ditto.models.llama import (
    LLAMA_PRESETS,
    LlamaConfig,
    init_llama,
    llama_logits,
    llama_prefill,
    llama_step,
    load_llama,
)
from ditto_compiler.errors import DittoError

HF_CONFIG = {
    "model_type": "llama",
    "vocab_size": 29,
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "intermediate_size": 40,
    "max_position_embeddings": 12,
    "rope_theta": 100.0,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
IDS = np.array([2, 17, 5, 5, 28, 0, 11, 3])
TOKENS = np.eye(29, dtype=np.float32)[IDS]

Tensors = dict[str, np.ndarray]


def random_tensors(size: int = 20) -> Tensors:
    """Weights under Hugging Face's names, large enough that every term of the formulas matters."""
    rng = np.random.default_rng(3)
    inner = 40
    shapes = {"model.embed_tokens.weight": (29, size), "lm_head.weight": (29, size)}
    norms = ["model.norm"]
    for i in range(2):
        layer = f"model.layers.{i}"
        shapes |= {
            f"{layer}.self_attn.q_proj.weight": (24, size),
            f"{layer}.self_attn.k_proj.weight": (12, size),
            f"{layer}.self_attn.v_proj.weight": (12, size),
            f"{layer}.self_attn.o_proj.weight": (size, 24),
            f"{layer}.mlp.gate_proj.weight": (inner, size),
            f"{layer}.mlp.up_proj.weight": (inner, size),
            f"{layer}.mlp.down_proj.weight": (size, inner),
        }
        norms += [f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm"]
    tensors = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    tensors |= {f"{name}.weight": rng.normal(1, 0.3, size) for name in norms}
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def write_model(folder: Path, tensors: Tensors, **changes: object) -> Path:
    (folder / "config.json").write_text(json.dumps(HF_CONFIG | changes))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def model(tmp_path: Path) -> tuple[LlamaConfig, Params]:
    return load_llama(write_model(tmp_path, random_tensors()))


def rotate(x: np.ndarray) -> np.ndarray:
    """RoFormer's rotation of x [positions, 6], with features i and i + 3 as one complex number."""
    angles = np.arange(len(x))[:, None] * 100.0 ** (-2 * np.arange(3) / 6)
    turned = (x[:, :3] + 1j * x[:, 3:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=-1)


def reference(tensors: Tensors, ids: np.ndarray) -> np.ndarray:
    """The logits [seq, vocab] by the formulas of the LLaMA, RoFormer and GQA papers, head by head."""
    t = {name.removeprefix("model."): tensor.astype(np.float64) for name, tensor in tensors.items()}

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * t[f"{name}.weight"]

    x = t["embed_tokens.weight"][ids]
    for i in range(2):
        normalised = norm(f"layers.{i}.input_layernorm", x)
        q, k, v = (normalised @ t[f"layers.{i}.self_attn.{part}_proj.weight"].T for part in "qkv")
        heads = []
        for h in range(4):
            query, shared = slice(6 * h, 6 * h + 6), slice(6 * (h // 2), 6 * (h // 2) + 6)
            weights = np.tril(np.exp(rotate(q[:, query]) @ rotate(k[:, shared]).T / math.sqrt(6)))
            heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, shared])
        x = x + np.concatenate(heads, axis=-1) @ t[f"layers.{i}.self_attn.o_proj.weight"].T
        normalised = norm(f"layers.{i}.post_attention_layernorm", x)
        gate, up = (normalised @ t[f"layers.{i}.mlp.{part}_proj.weight"].T for part in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ t[f"layers.{i}.mlp.down_proj.weight"].T
    return norm("norm", x) @ t["lm_head.weight"].T


def test_logits(model: tuple[LlamaConfig, Params]) -> None:
    config, params = model
    found = llama_logits(params, config, TOKENS)
    np.testing.assert_allclose(found, reference(random_tensors(), IDS), atol=2e-5)


def test_prefill_then_steps_is_the_full_forward_pass(model: tuple[LlamaConfig, Params]) -> None:
    config, params = model
    expected = reference(random_tensors(), IDS)
    prefill = jax.jit(lambda p, x: llama_prefill(p, config, x, 10))
    step = jax.jit(lambda p, x, i, cache: llama_step(p, config, x, i, cache))
    logits, cache = prefill(params, TOKENS[:5])
    np.testing.assert_allclose(logits, expected[4], atol=2e-5)
    for position in range(5, len(IDS)):
        logits, cache = step(params, TOKENS[position], position, cache)
        np.testing.assert_allclose(logits, expected[position], atol=2e-5)
    assert [layer.key.shape for layer in cache] == [(10, 2, 6)] * 2


def test_step_with_a_static_position(model: tuple[LlamaConfig, Params]) -> None:
    config, params = model
    _, cache = llama_prefill(params, config, TOKENS[:7], 8)
    logits, _ = llama_step(params, config, TOKENS[7], 7, cache)
    np.testing.assert_allclose(logits, reference(random_tensors(), IDS)[7], atol=2e-5)


def test_tied_embeddings(tmp_path: Path) -> None:
    tensors = random_tensors()
    del tensors["lm_head.weight"]
    config, params = load_llama(write_model(tmp_path, tensors, tie_word_embeddings=True))
    tied = tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"]}
    np.testing.assert_allclose(llama_logits(params, config, TOKENS), reference(tied, IDS), atol=2e-5)
    assert jax.tree.map(np.shape, init_llama(config, jax.random.key(0))) == jax.tree.map(np.shape, params)


def test_random_weights_have_the_shapes_of_loaded_ones(model: tuple[LlamaConfig, Params]) -> None:
    config, params = model
    random = init_llama(config, jax.random.key(0))
    assert jax.tree.map(np.shape, random) == jax.tree.map(np.shape, params)


def test_preset_has_the_published_size() -> None:
    shapes = jax.eval_shape(lambda key: init_llama(LLAMA_PRESETS["7b"], key), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 6_738_415_616


def test_tiny_preset_runs() -> None:
    config = LLAMA_PRESETS["tiny"]
    params = init_llama(config, jax.random.key(0))
    logits = llama_logits(params, config, np.eye(config.vocab_size, dtype=np.float32)[IDS])
    assert logits.shape == (8, config.vocab_size)
    assert bool(np.isfinite(logits).all())


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}, "rope_theta": None},
        {"rope_parameters": {"rope_type": "default"}},
        {"rope_scaling": None},
    ],
)
def test_where_config_json_keeps_the_rope_base(changes: dict[str, object]) -> None:
    found = LlamaConfig.from_hugging_face(HF_CONFIG | changes)
    assert found == LlamaConfig.from_hugging_face(HF_CONFIG)
    assert found.rope_theta == 100.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mistral"}, "of type 'mistral', expected 'llama'"),
        ({"attention_bias": True}, "attention_bias is not supported"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "rope type 'llama3' is not supported, only 'default'"),
        ({"rope_scaling": {"type": "linear"}}, "rope type 'linear' is not supported"),
        ({"num_key_value_heads": 3}, "num_attention_heads 4 is not a multiple of num_key_value_heads 3"),
        ({"head_dim": 5}, "head_dim 5 is odd"),
        ({"num_key_value_heads": 4}, r"k_proj\.weight' has shape \[12, 20\], expected \[24, 20\]"),
    ],
)
def test_config_errors(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    write_model(tmp_path, random_tensors(), **changes)
    with pytest.raises(DittoError, match=message):
        load_llama(tmp_path)


def test_input_errors(model: tuple[LlamaConfig, Params]) -> None:
    config, params = model
    with pytest.raises(DittoError, match="13 tokens do not fit, the model has 12 positions"):
        llama_prefill(params, config, TOKENS, 13)
    with pytest.raises(DittoError, match="cache_len 7 is shorter than the prompt of 8 tokens"):
        llama_prefill(params, config, TOKENS, 7)
    _, cache = llama_prefill(params, config, TOKENS, 8)
    with pytest.raises(DittoError, match="position -1 is outside the cache of 8 positions"):
        llama_step(params, config, TOKENS[0], -1, cache)


def test_against_transformers(tmp_path: Path) -> None:
    # What its Flax model takes for granted: heads of hidden_size / heads, and this theta.
    write_model(tmp_path, random_tensors(24), hidden_size=24, rope_theta=10000.0)
    expected = transformers.FlaxLlamaForCausalLM.from_pretrained(tmp_path)(IDS[None]).logits[0]
    config, params = load_llama(tmp_path)
    np.testing.assert_allclose(llama_logits(params, config, TOKENS), expected, atol=2e-5)
