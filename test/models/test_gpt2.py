"""GPT-2 against a plain numpy float64 forward pass, and against Hugging Face transformers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest
import transformers
from safetensors.numpy import save_file

from ditto.models.gpt2 import (
    GPT2_PRESETS,
    Gpt2Config,
    gpt2_logits,
    gpt2_prefill,
    gpt2_step,
    init_gpt2,
    load_gpt2,
)
from ditto.models.layers import Params
from ditto_compiler.errors import DittoError

HF_CONFIG = {
    "model_type": "gpt2",
    "vocab_size": 29,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 3,
    "n_positions": 12,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
}
IDS = np.array([2, 17, 5, 5, 28, 0, 11, 3])
TOKENS = np.eye(29, dtype=np.float32)[IDS]

Tensors = dict[str, np.ndarray]


def random_tensors() -> Tensors:
    """Weights under Hugging Face's names, large enough that every term of the formulas matters."""
    rng = np.random.default_rng(2)
    size, inner = 24, 96
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (29, size), "wpe.weight": (12, size)}
    norms = ["ln_f"]
    for i in range(2):
        for part, (inputs, outputs) in {
            "attn.c_attn": (size, 3 * size),
            "attn.c_proj": (size, size),
            "mlp.c_fc": (size, inner),
            "mlp.c_proj": (inner, size),
        }.items():
            shapes[f"h.{i}.{part}.weight"] = (inputs, outputs)
            shapes[f"h.{i}.{part}.bias"] = (outputs,)
        norms += [f"h.{i}.ln_1", f"h.{i}.ln_2"]
    tensors = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    for name in norms:
        tensors[f"{name}.weight"] = rng.normal(1, 0.3, size)
        tensors[f"{name}.bias"] = rng.normal(0, 0.3, size)
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def write_model(folder: Path, tensors: Tensors, **changes: object) -> Path:
    (folder / "config.json").write_text(json.dumps(HF_CONFIG | changes))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def model(tmp_path: Path) -> tuple[Gpt2Config, Params]:
    return load_gpt2(write_model(tmp_path, random_tensors()))


def reference(tensors: Tensors, ids: np.ndarray) -> np.ndarray:
    """The logits [seq, vocab] by the formulas of the GPT-2 and Transformer papers, head by head."""
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    length = len(ids)

    def dense(name: str, x: np.ndarray) -> np.ndarray:
        return x @ t[f"{name}.weight"] + t[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        standard = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return standard * t[f"{name}.weight"] + t[f"{name}.bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    x = t["wte.weight"][ids] + t["wpe.weight"][:length]
    for i in range(2):
        q, k, v = np.split(dense(f"h.{i}.attn.c_attn", norm(f"h.{i}.ln_1", x)), 3, axis=-1)
        heads = []
        for h in range(3):
            part = slice(8 * h, 8 * h + 8)
            weights = np.tril(np.exp(q[:, part] @ k[:, part].T / math.sqrt(8)))
            heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, part])
        x = x + dense(f"h.{i}.attn.c_proj", np.concatenate(heads, axis=-1))
        x = x + dense(f"h.{i}.mlp.c_proj", gelu(dense(f"h.{i}.mlp.c_fc", norm(f"h.{i}.ln_2", x))))
    return norm("ln_f", x) @ t["wte.weight"].T


def test_logits(model: tuple[Gpt2Config, Params]) -> None:
    config, params = model
    found = gpt2_logits(params, config, TOKENS)
    np.testing.assert_allclose(found, reference(random_tensors(), IDS), atol=2e-5)


def test_prefill_then_steps_is_the_full_forward_pass(model: tuple[Gpt2Config, Params]) -> None:
    config, params = model
    expected = reference(random_tensors(), IDS)
    prefill = jax.jit(lambda p, x: gpt2_prefill(p, config, x, 10))
    step = jax.jit(lambda p, x, i, cache: gpt2_step(p, config, x, i, cache))
    logits, cache = prefill(params, TOKENS[:5])
    np.testing.assert_allclose(logits, expected[4], atol=2e-5)
    for position in range(5, len(IDS)):
        logits, cache = step(params, TOKENS[position], position, cache)
        np.testing.assert_allclose(logits, expected[position], atol=2e-5)
    assert [layer.key.shape for layer in cache] == [(10, 3, 8)] * 2


def test_step_with_a_static_position(model: tuple[Gpt2Config, Params]) -> None:
    config, params = model
    _, cache = gpt2_prefill(params, config, TOKENS[:7], 8)
    logits, _ = gpt2_step(params, config, TOKENS[7], 7, cache)
    np.testing.assert_allclose(logits, reference(random_tensors(), IDS)[7], atol=2e-5)


def test_step_ignores_what_the_cache_holds_ahead(model: tuple[Gpt2Config, Params]) -> None:
    config, params = model
    _, cache = gpt2_prefill(params, config, TOKENS[:5], 8)
    expected, _ = gpt2_step(params, config, TOKENS[5], 5, cache)
    dirty = jax.tree.map(lambda x: x.at[6:].set(7.0), cache)
    found, _ = gpt2_step(params, config, TOKENS[5], 5, dirty)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_embeddings_in_place_of_ids(model: tuple[Gpt2Config, Params]) -> None:
    config, params = model
    expected, cache = gpt2_prefill(params, config, TOKENS[:5], 8)
    found, _ = gpt2_prefill(params, config, params["word"][IDS[:5]], 8)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    expected, _ = gpt2_step(params, config, TOKENS[5], 5, cache)
    found, _ = gpt2_step(params, config, params["word"][IDS[5]], 5, cache)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_prefix_is_optional(tmp_path: Path, model: tuple[Gpt2Config, Params]) -> None:
    prefixed = {f"transformer.{name}": tensor for name, tensor in random_tensors().items()}
    _, params = load_gpt2(write_model(tmp_path, prefixed))
    jax.tree.map(np.testing.assert_array_equal, params, model[1])


def test_random_weights_have_the_shapes_of_loaded_ones(model: tuple[Gpt2Config, Params]) -> None:
    config, params = model
    random = init_gpt2(config, jax.random.key(0))
    assert jax.tree.map(np.shape, random) == jax.tree.map(np.shape, params)


@pytest.mark.parametrize(
    ("preset", "weights"), [("base", 124_439_808), ("medium", 354_823_168), ("large", 774_030_080)]
)
def test_presets_have_the_published_sizes(preset: str, weights: int) -> None:
    shapes = jax.eval_shape(lambda key: init_gpt2(GPT2_PRESETS[preset], key), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == weights


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt_neo"}, "of type 'gpt_neo', expected 'gpt2'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "inverse_layer_idx = True is not supported, only False"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings = False is not supported, only True"),
        ({"n_head": 5}, "hidden_size 24 is not a multiple of num_attention_heads 5"),
        ({"n_inner": 48}, r"h\.0\.mlp\.c_fc\.weight' has shape \[24, 96\], expected \[24, 48\]"),
    ],
)
def test_config_errors(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    write_model(tmp_path, random_tensors(), **changes)
    with pytest.raises(DittoError, match=message):
        load_gpt2(tmp_path)


def test_input_errors(model: tuple[Gpt2Config, Params]) -> None:
    config, params = model
    with pytest.raises(DittoError, match="13 tokens do not fit, the model has 12 positions"):
        gpt2_prefill(params, config, TOKENS, 13)
    with pytest.raises(DittoError, match="cache_len 7 is shorter than the prompt of 8 tokens"):
        gpt2_prefill(params, config, TOKENS, 7)
    _, cache = gpt2_prefill(params, config, TOKENS, 8)
    with pytest.raises(DittoError, match="position 8 is outside the cache of 8 positions"):
        gpt2_step(params, config, TOKENS[0], 8, cache)
    with pytest.raises(DittoError, match=r"shape \[1, 7\], expected one-hot ids"):
        gpt2_step(params, config, TOKENS[0, :7], 7, cache)


def test_against_transformers(tmp_path: Path) -> None:
    write_model(tmp_path, random_tensors())
    expected = transformers.FlaxGPT2LMHeadModel.from_pretrained(tmp_path)(IDS[None]).logits[0]
    config, params = load_gpt2(tmp_path)
    np.testing.assert_allclose(gpt2_logits(params, config, TOKENS), expected, atol=2e-5)
