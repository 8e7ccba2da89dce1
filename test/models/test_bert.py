"""BERT against a plain numpy float64 forward pass, and against Hugging Face transformers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest
import transformers
from safetensors.numpy import save_file

from ditto.models.bert import (
    BERT_PRESETS,
    BertConfig,
    bert_classify,
    bert_encode,
    init_bert,
    load_bert,
    sentence_embedding,
)
from ditto.models.layers import Params
from ditto_compiler.errors import DittoError

HF_CONFIG = {
    "model_type": "bert",
    "vocab_size": 29,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 12,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "id2label": {"0": "no", "1": "yes", "2": "maybe"},
}
IDS = np.array([2, 17, 5, 5, 28, 0, 11, 3])
MASK = np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=np.float32)
TYPES = np.array([0, 0, 0, 1, 1, 1, 0, 0])

Tensors = dict[str, np.ndarray]


def one_hot(ids: np.ndarray, size: int) -> np.ndarray:
    return np.eye(size, dtype=np.float32)[ids]


def random_tensors() -> Tensors:
    """Weights under Hugging Face's names, large enough that every term of the formulas matters."""
    rng = np.random.default_rng(1)
    size, inner = 24, 40
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (29, size),
        "embeddings.position_embeddings.weight": (12, size),
        "embeddings.token_type_embeddings.weight": (2, size),
        "pooler.dense.weight": (size, size),
        "pooler.dense.bias": (size,),
        "classifier.weight": (3, size),
        "classifier.bias": (3,),
    }
    norms = ["embeddings.LayerNorm"]
    for i in range(2):
        layer = f"encoder.layer.{i}"
        for part, (outputs, inputs) in {
            "attention.self.query": (size, size),
            "attention.self.key": (size, size),
            "attention.self.value": (size, size),
            "attention.output.dense": (size, size),
            "intermediate.dense": (inner, size),
            "output.dense": (size, inner),
        }.items():
            shapes[f"{layer}.{part}.weight"] = (outputs, inputs)
            shapes[f"{layer}.{part}.bias"] = (outputs,)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
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
def model(tmp_path: Path) -> tuple[BertConfig, Params]:
    return load_bert(write_model(tmp_path, random_tensors()))


def reference(tensors: Tensors, ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> np.ndarray:
    """The hidden states by the formulas of the BERT and Transformer papers, head by head."""
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def dense(name: str, x: np.ndarray) -> np.ndarray:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        standard = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return standard * t[f"{name}.weight"] + t[f"{name}.bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    x = t["embeddings.word_embeddings.weight"][ids] + t["embeddings.token_type_embeddings.weight"][types]
    x = norm("embeddings.LayerNorm", x + t["embeddings.position_embeddings.weight"][: len(ids)])
    for i in range(2):
        layer = f"encoder.layer.{i}"
        q, k, v = (dense(f"{layer}.attention.self.{part}", x) for part in ("query", "key", "value"))
        heads = []
        for h in range(3):
            part = slice(8 * h, 8 * h + 8)
            weights = np.exp(q[:, part] @ k[:, part].T / math.sqrt(8)) * mask
            heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, part])
        attended = dense(f"{layer}.attention.output.dense", np.concatenate(heads, axis=-1))
        x = norm(f"{layer}.attention.output.LayerNorm", x + attended)
        inner = gelu(dense(f"{layer}.intermediate.dense", x))
        x = norm(f"{layer}.output.LayerNorm", x + dense(f"{layer}.output.dense", inner))
    return x


def test_hidden_states(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    found = bert_encode(params, config, one_hot(IDS, 29), MASK, one_hot(TYPES, 2))
    np.testing.assert_allclose(found, reference(random_tensors(), IDS, MASK, TYPES), atol=1e-5)


def test_token_type_is_0_when_left_out(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    found = bert_encode(params, config, one_hot(IDS, 29), MASK)
    np.testing.assert_allclose(found, reference(random_tensors(), IDS, MASK, 0 * TYPES), atol=1e-5)


def test_embeddings_in_place_of_ids(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    embeddings = params["embeddings"]["word"][IDS]
    np.testing.assert_allclose(
        bert_encode(params, config, embeddings, MASK),
        bert_encode(params, config, one_hot(IDS, 29), MASK),
        atol=1e-6,
    )


def test_sentence_embedding(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    mean = reference(random_tensors(), IDS, MASK, 0 * TYPES)[:6].mean(axis=0)
    found = sentence_embedding(params, config, one_hot(IDS, 29), MASK)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-5)


def test_padding_changes_nothing(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    short = sentence_embedding(params, config, one_hot(IDS[:6], 29), MASK[:6])
    np.testing.assert_allclose(sentence_embedding(params, config, one_hot(IDS, 29), MASK), short, atol=1e-6)


def test_classification_head(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    t = random_tensors()
    first = reference(t, IDS, MASK, TYPES)[0]
    pooled = np.tanh(t["pooler.dense.weight"] @ first + t["pooler.dense.bias"])
    expected = t["classifier.weight"] @ pooled + t["classifier.bias"]
    found = bert_classify(params, config, one_hot(IDS, 29), MASK, one_hot(TYPES, 2))
    assert config.num_labels == 3
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_hidden_act_is_used(tmp_path: Path, activation: str) -> None:
    config, params = load_bert(write_model(tmp_path, random_tensors(), hidden_act=activation))
    exact = BertConfig.from_hugging_face(HF_CONFIG)
    difference = bert_encode(params, config, one_hot(IDS, 29), MASK) - bert_encode(
        params, exact, one_hot(IDS, 29), MASK
    )
    assert float(abs(difference).max()) > 1e-4


def test_names_of_older_checkpoints(tmp_path: Path, model: tuple[BertConfig, Params]) -> None:
    older = {}
    for name, tensor in random_tensors().items():
        name = name if name.startswith("classifier") else f"bert.{name}"
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        older[name] = tensor
    _, params = load_bert(write_model(tmp_path, older))
    jax.tree.map(np.testing.assert_array_equal, params, model[1])


def test_heads_are_optional(tmp_path: Path) -> None:
    bare = {n: t for n, t in random_tensors().items() if not n.startswith(("pooler", "classifier"))}
    config, params = load_bert(write_model(tmp_path, bare))
    assert params.keys() == {"embeddings", "layers"}
    with pytest.raises(DittoError, match="no 'pooler'"):
        bert_classify(params, config, one_hot(IDS, 29), MASK)


def test_random_weights_have_the_shapes_of_loaded_ones(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    random = init_bert(config, jax.random.key(0))
    assert jax.tree.map(np.shape, random) == jax.tree.map(np.shape, params)
    assert {leaf.dtype for leaf in jax.tree.leaves(random)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("preset", "weights"), [("base", 109_482_240), ("large", 335_141_888), ("minilm", 22_713_216)]
)
def test_presets_have_the_published_sizes(preset: str, weights: int) -> None:
    shapes = jax.eval_shape(lambda key: init_bert(BERT_PRESETS[preset], key), jax.random.key(0))
    del shapes["classifier"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == weights


def test_scopes_reach_the_ir(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    lowered = jax.jit(lambda p, x, m: sentence_embedding(p, config, x, m)).lower(
        params, one_hot(IDS, 29), MASK
    )
    text = lowered.compiler_ir("stablehlo").operation.get_asm(enable_debug_info=True)
    for scope in (
        "embeddings/norm",
        "encoder/layer0/attention/qkv",
        "encoder/layer1/attention/scores",
        "encoder/layer1/attention/softmax",
        "encoder/layer1/attention/context",
        "encoder/layer0/attention/output",
        "encoder/layer0/attention/norm",
        "encoder/layer0/mlp/up",
        "encoder/layer0/mlp/activation",
        "encoder/layer0/mlp/down",
        "encoder/layer1/mlp/norm",
        "pooling",
        "normalize",
    ):
        assert f"/{scope}/" in text, scope


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "of type 'roberta', expected 'bert'"),
        ({"position_embedding_type": "relative_key"}, "'relative_key' is not supported, only 'absolute'"),
        ({"hidden_act": "mish"}, "unknown activation 'mish'"),
        ({"num_attention_heads": 5}, "hidden_size 24 is not a multiple of num_attention_heads 5"),
        ({"intermediate_size": 41}, r"intermediate.dense.weight' has shape \[40, 24\], expected \[41, 24\]"),
        ({"num_hidden_layers": 3}, r"no tensor 'encoder\.layer\.2\.attention\.self\.query\.weight'"),
    ],
)
def test_config_errors(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    write_model(tmp_path, random_tensors(), **changes)
    with pytest.raises(DittoError, match=message):
        load_bert(tmp_path)


def test_config_without_a_key() -> None:
    with pytest.raises(DittoError, match="no 'vocab_size'"):
        BertConfig.from_hugging_face({"model_type": "bert"})


def test_input_errors(model: tuple[BertConfig, Params]) -> None:
    config, params = model
    with pytest.raises(DittoError, match="13 tokens do not fit, the model has 12 positions"):
        bert_encode(params, config, np.zeros((13, 29), np.float32), np.ones(13, np.float32))
    with pytest.raises(DittoError, match=r"expected one-hot ids \[seq, 29\]"):
        bert_encode(params, config, np.zeros((8, 30), np.float32), MASK)


def test_against_transformers(tmp_path: Path) -> None:
    write_model(tmp_path, {n if "class" in n else f"bert.{n}": t for n, t in random_tensors().items()})
    oracle = transformers.FlaxBertForSequenceClassification.from_pretrained(tmp_path)
    expected = oracle(IDS[None], attention_mask=MASK[None], token_type_ids=TYPES[None]).logits[0]
    config, params = load_bert(tmp_path)
    found = bert_classify(params, config, one_hot(IDS, 29), MASK, one_hot(TYPES, 2))
    np.testing.assert_allclose(found, expected, atol=1e-5)
