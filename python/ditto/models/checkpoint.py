"""Reading a local Hugging Face folder: config.json, and safetensors and tokenizer.json beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from ditto_compiler.errors import DittoError

Tensors = dict[str, NDArray[Any]]
"""Tensor name -> values, as stored in a checkpoint."""

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"


class Checkpoint(NamedTuple):
    """A Hugging Face folder in memory."""

    config: dict[str, Any]
    """The content of config.json."""
    tensors: Tensors
    """All tensors, under their names in the file and in the dtype they are stored in."""


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """Reads config.json and model.safetensors, or the shards that model.safetensors.index.json lists.

    Raises:
        DittoError: the folder or a file is missing or unreadable, or a shard lacks a tensor that the
            index promises.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DittoError(f"checkpoint folder {folder} does not exist")
    config = _read_json(folder / "config.json")
    if (folder / _SINGLE).is_file():
        return Checkpoint(config, _read_safetensors(folder / _SINGLE))
    if (folder / _INDEX).is_file():
        return Checkpoint(config, _read_shards(folder))
    raise DittoError(f"{folder} has neither {_SINGLE} nor {_INDEX}; save the model with safetensors first")


def read_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer in tokenizer.json, without padding and truncation.

    Raises:
        DittoError: there is none, or it cannot be read.
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise DittoError(f"'{path}' does not exist; save the model with its fast tokenizer")
    # The library raises plain exceptions.
    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:
        raise DittoError(f"cannot read '{path}': {error}") from None
    found.no_padding()
    found.no_truncation()
    return found


def require(config: Mapping[str, Any], key: str, source: str | Path = "config.json") -> Any:
    """Returns `config[key]`, or raises a DittoError that names the key and `source`, where it should be."""
    if key not in config:
        raise DittoError(f"{source} has no {key!r}; it has: {', '.join(sorted(config))}")
    return config[key]


def check_model_type(config: Mapping[str, Any], expected: str) -> None:
    """Raises a DittoError when config.json names another architecture than `expected`."""
    found = config.get("model_type", expected)
    if found != expected:
        raise DittoError(f"config.json describes a model of type {found!r}, expected {expected!r}")


def take(tensors: Tensors, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns the tensor `name` as float32.

    Raises:
        DittoError: there is no such tensor, or its shape is not `shape`.
    """
    if name not in tensors:
        raise DittoError(f"checkpoint has no tensor {name!r}, expected one of shape {list(shape)}")
    tensor = tensors[name]
    if tensor.shape != shape:
        raise DittoError(f"tensor {name!r} has shape {list(tensor.shape)}, expected {list(shape)}")
    return tensor.astype(np.float32, copy=False)


def take_linear(tensors: Tensors, name: str, inputs: int, outputs: int, *, bias: bool = True) -> Tensors:
    """A PyTorch Linear layer, stored [out, in], as {"kernel": [in, out]} and, with `bias`, "bias": [out]."""
    kernel = {"kernel": np.ascontiguousarray(take(tensors, f"{name}.weight", (outputs, inputs)).T)}
    return kernel | {"bias": take(tensors, f"{name}.bias", (outputs,))} if bias else kernel


def take_conv1d(tensors: Tensors, name: str, inputs: int, outputs: int) -> Tensors:
    """GPT-2's linear layer, stored [in, out], as {"kernel": [in, out], "bias": [out]}."""
    return {
        "kernel": take(tensors, f"{name}.weight", (inputs, outputs)),
        "bias": take(tensors, f"{name}.bias", (outputs,)),
    }


def side_by_side(layers: Sequence[Tensors]) -> Tensors:
    """One linear layer whose output is that of `layers`, which share their input, one after the other.

    One product in place of several needs that many times fewer messages.
    """
    return {part: np.concatenate([layer[part] for layer in layers], axis=-1) for part in layers[0]}


def take_layer_norm(tensors: Tensors, name: str, size: int) -> Tensors:
    """A LayerNorm as {"scale": [size], "bias": [size]}."""
    return {
        "scale": take(tensors, f"{name}.weight", (size,)),
        "bias": take(tensors, f"{name}.bias", (size,)),
    }


def without_prefix(tensors: Tensors, prefix: str) -> Tensors:
    """The same tensors with `prefix` cut from the names that have it.

    Hugging Face stores the bare model without the prefix and the model under a task head with it.
    """
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DittoError(f"{path} does not exist")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DittoError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise DittoError(f"{path} holds a JSON {type(content).__name__}, expected an object")
    return content


def _read_safetensors(path: Path) -> Tensors:
    if not path.is_file():
        raise DittoError(f"{path} does not exist")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DittoError(f"{path} is not a readable safetensors file: {error}") from error


def _read_shards(folder: Path) -> Tensors:
    weight_map: dict[str, str] = require(_read_json(folder / _INDEX), "weight_map", folder / _INDEX)
    tensors: Tensors = {}
    for shard in sorted(set(weight_map.values())):
        tensors |= _read_safetensors(folder / shard)
    absent = sorted(weight_map.keys() - tensors.keys())
    if absent:
        raise DittoError(f"{folder / _INDEX} lists {absent[0]!r} in {weight_map[absent[0]]}, which lacks it")
    return tensors
