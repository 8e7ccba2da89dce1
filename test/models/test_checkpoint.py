"""Reading Hugging Face folders: what comes out, and every way a folder can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from ditto.models.checkpoint import (
    check_model_type,
    read_checkpoint,
    require,
    side_by_side,
    take,
    take_conv1d,
    take_linear,
    without_prefix,
)
from ditto_compiler.errors import DittoError

A = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.arange(3, dtype=np.float32)


def write_config(folder: Path, text: str = '{"model_type": "bert"}') -> None:
    (folder / "config.json").write_text(text)


def write_shards(folder: Path, weight_map: dict[str, str]) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_single_file(tmp_path: Path) -> None:
    write_config(tmp_path)
    save_file({"a": A, "b": B}, tmp_path / "model.safetensors")
    checkpoint = read_checkpoint(str(tmp_path))
    assert checkpoint.config == {"model_type": "bert"}
    assert checkpoint.tensors.keys() == {"a", "b"}
    np.testing.assert_array_equal(checkpoint.tensors["a"], A)


def test_shards_are_joined(tmp_path: Path) -> None:
    write_config(tmp_path)
    save_file({"a": A}, tmp_path / "1.safetensors")
    save_file({"b": B}, tmp_path / "2.safetensors")
    write_shards(tmp_path, {"a": "1.safetensors", "b": "2.safetensors"})
    tensors = read_checkpoint(tmp_path).tensors
    np.testing.assert_array_equal(tensors["a"], A)
    np.testing.assert_array_equal(tensors["b"], B)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_float_dtypes_become_float32(tmp_path: Path, dtype: type) -> None:
    write_config(tmp_path)
    save_file({"a": A.astype(dtype)}, tmp_path / "model.safetensors")
    taken = take(read_checkpoint(tmp_path).tensors, "a", (2, 3))
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken, A)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DittoError, match="nowhere does not exist"):
        read_checkpoint(tmp_path / "nowhere")


def test_missing_config(tmp_path: Path) -> None:
    with pytest.raises(DittoError, match=r"config\.json does not exist"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[" * 5000, "is not valid JSON"),
        ("[]", "holds a JSON list, expected an object"),
    ],
)
def test_bad_config(tmp_path: Path, text: str, message: str) -> None:
    write_config(tmp_path, text)
    with pytest.raises(DittoError, match=message):
        read_checkpoint(tmp_path)


def test_no_weights(tmp_path: Path) -> None:
    write_config(tmp_path)
    with pytest.raises(DittoError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        read_checkpoint(tmp_path)


def test_corrupt_weights(tmp_path: Path) -> None:
    write_config(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not a header at all")
    with pytest.raises(DittoError, match="is not a readable safetensors file"):
        read_checkpoint(tmp_path)


def test_missing_shard(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_shards(tmp_path, {"a": "1.safetensors"})
    with pytest.raises(DittoError, match=r"1\.safetensors does not exist"):
        read_checkpoint(tmp_path)


def test_shard_without_its_tensor(tmp_path: Path) -> None:
    write_config(tmp_path)
    save_file({"a": A}, tmp_path / "1.safetensors")
    write_shards(tmp_path, {"a": "1.safetensors", "b": "1.safetensors"})
    with pytest.raises(DittoError, match=r"lists 'b' in 1\.safetensors, which lacks it"):
        read_checkpoint(tmp_path)


def test_index_without_weight_map(tmp_path: Path) -> None:
    write_config(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {}}')
    with pytest.raises(DittoError, match=r"index\.json has no 'weight_map'; it has: metadata"):
        read_checkpoint(tmp_path)


def test_take_names_the_missing_tensor() -> None:
    with pytest.raises(DittoError, match=r"no tensor 'b', expected one of shape \[3\]"):
        take({"a": A}, "b", (3,))


def test_take_names_found_and_expected_shape() -> None:
    with pytest.raises(DittoError, match=r"tensor 'a' has shape \[2, 3\], expected \[3, 2\]"):
        take({"a": A}, "a", (3, 2))


def test_linear_is_transposed_and_conv1d_is_not() -> None:
    linear = take_linear({"x.weight": A, "x.bias": A[:, 0]}, "x", 3, 2)
    np.testing.assert_array_equal(linear["kernel"], A.T)
    np.testing.assert_array_equal(linear["bias"], A[:, 0])
    conv = take_conv1d({"x.weight": A, "x.bias": B}, "x", 2, 3)
    np.testing.assert_array_equal(conv["kernel"], A)
    assert take_linear({"x.weight": A}, "x", 3, 2, bias=False).keys() == {"kernel"}


def test_side_by_side_concatenates_outputs() -> None:
    x = np.array([[1.0, -2.0]], dtype=np.float32)
    layers = [{"kernel": A, "bias": B}, {"kernel": -A[:, :1], "bias": B[:1]}]
    joined = side_by_side(layers)
    separate = np.concatenate([x @ layer["kernel"] + layer["bias"] for layer in layers], axis=1)
    np.testing.assert_array_equal(x @ joined["kernel"] + joined["bias"], separate)


def test_prefix_is_cut_where_there_is_one() -> None:
    assert without_prefix({"bert.a": A, "classifier.bert.b": B}, "bert.").keys() == {"a", "classifier.bert.b"}


def test_require_names_the_key() -> None:
    with pytest.raises(DittoError, match=r"config\.json has no 'vocab_size'; it has: model_type"):
        require({"model_type": "bert"}, "vocab_size", "config.json")


def test_model_type() -> None:
    check_model_type({}, "bert")
    check_model_type({"model_type": "bert"}, "bert")
    with pytest.raises(DittoError, match="of type 'roberta', expected 'bert'"):
        check_model_type({"model_type": "roberta"}, "bert")
